"""Evidence of a node: event logs, quotes and attestation documents, from bytes to values that a verifier can judge.

Pure: bytes and values in, values out. What comes from a node is untrusted, and named so, until a signature covers it.
"""
