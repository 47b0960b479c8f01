"""Whether what changed between two releases may change: rules, the judgement by them, and the signed statement."""
