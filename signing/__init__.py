"""Keys and signatures: envelopes, signers, Authenticode, Secure Boot variables. Knows no document type."""
