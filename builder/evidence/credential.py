"""TPM2_MakeCredential: a secret that a TPM gives out only if it holds an endorsement key and one further key.

TPM 2.0 Library, Part 1, 24 "Credential Protection"; secret sharing as in its annexes B (RSA, OAEP) and C (ECC, one-pass
ECDH), both with the label "IDENTITY"; key derivation as in 11.4.10. The endorsement key is one of the TCG's default
templates L-1 or L-2 (TCG EK Credential Profile, B.3.3 and B.3.4), which fix what a certificate does not say of it: the
Name's hash is SHA-256, and its symmetric algorithm AES-128 in CFB mode.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256

from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from builder.evidence.signature import PublicKey

_LABEL: Final = b"IDENTITY\0"
_HASH_BYTES: Final = 32
_KEY_BITS: Final = 128
_RSA_BITS: Final = 2048
_BLOCK: Final = 16


@dataclass(frozen=True, slots=True)
class Credential:
    """What TPM2_ActivateCredential takes: the contents of TPM2B_ID_OBJECT and of TPM2B_ENCRYPTED_SECRET."""

    blob: bytes
    encrypted_secret: bytes

    @property
    def wire(self) -> bytes:
        """Both as the TPM takes them, one after the other."""
        return _sized(self.blob) + _sized(self.encrypted_secret)


def make_credential(endorsement_key: PublicKey, name: bytes, secret: bytes) -> Credential:
    """Protect ``secret`` (1 to 32 bytes) for the TPM that holds ``endorsement_key`` and a key with this Name.

    Raises InvalidInputError if the endorsement key is neither RSA with 2048 bits nor on P-256.
    """
    if not 1 <= len(secret) <= _HASH_BYTES:
        raise ValueError(f"a secret has 1 to {_HASH_BYTES} bytes, not {len(secret)}")
    seed, encrypted_secret = _share_seed(endorsement_key)
    identity = _encrypt(_kdfa(seed, b"STORAGE", name, _KEY_BITS), _sized(secret))
    integrity = hmac.digest(_kdfa(seed, b"INTEGRITY", b"", 8 * _HASH_BYTES), identity + name, "sha256")
    return Credential(_sized(integrity) + identity, encrypted_secret)


def _share_seed(key: PublicKey) -> tuple[bytes, bytes]:
    """A fresh seed, and what tells it to the holder of ``key``."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == _RSA_BITS:
        seed = secrets.token_bytes(_HASH_BYTES)
        return seed, key.encrypt(seed, padding.OAEP(padding.MGF1(SHA256()), SHA256(), _LABEL))
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        ephemeral = ec.generate_private_key(key.curve)
        ours, theirs = ephemeral.public_key().public_numbers(), key.public_numbers()
        parties = _coordinate(ours.x) + _coordinate(theirs.x)
        # KDFe (11.4.10.3), one block of it.
        shared = struct.pack(">I", 1) + ephemeral.exchange(ec.ECDH(), key) + _LABEL + parties
        return hashlib.sha256(shared).digest(), _sized(_coordinate(ours.x)) + _sized(_coordinate(ours.y))
    raise InvalidInputError("endorsement key: only RSA with 2048 bits and ECC on P-256 are supported")


def _kdfa(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa (11.4.10.2, after SP 800-108), one block of it."""
    counted = struct.pack(">I", 1) + label + b"\0" + context + struct.pack(">I", bits)
    return hmac.digest(key, counted, "sha256")[: bits // 8]


def _encrypt(key: bytes, data: bytes) -> bytes:
    """AES in CFB mode from an initial value of zeros, which cryptography has among what it will take away."""
    cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 -- one block at a time, chained here
    block, encrypted = bytes(_BLOCK), b""
    for start in range(0, len(data), _BLOCK):
        stream = cipher.encryptor().update(block)
        block = bytes(left ^ right for left, right in zip(data[start : start + _BLOCK], stream, strict=False))
        encrypted += block
    return encrypted


def _coordinate(number: int) -> bytes:
    return number.to_bytes(_HASH_BYTES, "big")


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
