"""Keys and signatures: envelopes, signers, Authenticode, Secure Boot variables. Knows no document type.

Pure: bytes and values in, bytes and values out. Reading and writing key files is the caller's. A verification raises
or returns the verified value; there is no function that answers with a bool.
"""
