"""The errors of keys and signatures. A message never carries key material; a hint says what to do next."""

from __future__ import annotations


class SigningError(Exception):
    """Base of all errors that this package raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InvalidRequestError(SigningError):
    """The caller asked for something that has no meaning: no signers, no trusted keys, a threshold of zero."""


class InvalidKeyError(SigningError):
    """A key, a passphrase or a certificate cannot be used for what was asked of it."""


class MalformedSignatureError(SigningError):
    """A signature, an envelope, a signature list or another encoded structure breaks its format."""


class InvalidSignatureError(SigningError):
    """A check was made and the answer is no."""
