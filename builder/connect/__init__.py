"""Speaking to a node that was appraised, and to no other."""
