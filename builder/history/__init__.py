"""Releases in the order of their versions, and what changed from each to the next."""
