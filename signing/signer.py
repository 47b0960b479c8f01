"""Who signs: the protocol that every kind of key storage meets, and the signer whose key was in a file."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

from signing import keys


class Signer(Protocol):
    """Something that signs with one private key. The key may be in this process or in a device.

    ``public_key`` says which key it is (``.key_id``) and with which scheme it signs (``.algorithm``).
    """

    @property
    def public_key(self) -> keys.PublicKey:
        """The public half of the key that signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature over ``message``, which is hashed as the algorithm says. Raises SigningError."""
        ...


class FileSigner:
    """Signs with a private key that was read from a file; make one with ``from_pem``.

    Signatures are deterministic: Ed25519 and PKCS #1 v1.5 by nature, ECDSA by RFC 6979. So the same release signed
    twice has the same bytes.
    """

    __slots__ = ("_key", "_public_key")

    def __init__(self, key: keys.SupportedPrivateKey) -> None:
        self._key = key
        self._public_key = keys.public_key(key.public_key())

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None = None) -> FileSigner:
        """Read a private key in PEM. Raises InvalidKeyError, whose message never quotes the input."""
        return cls(keys.load_private(pem, passphrase))

    def __repr__(self) -> str:
        return f"FileSigner({self._public_key.algorithm}, {self._public_key.key_id})"

    @property
    def public_key(self) -> keys.PublicKey:
        """The public half of the key that signs."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """The signature over ``message``."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(message, ec.ECDSA(keys.ecdsa_hash(self._key), deterministic_signing=True))
        return self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
