"""Public keys, their identifiers, and the making and loading of private keys.

A key's identifier is the lower-case hexadecimal SHA-256 digest of its SubjectPublicKeyInfo in DER (RFC 5280, 4.1.2.7):
whoever has the public key can compute it.
"""

from __future__ import annotations

import enum
import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from signing.errors import InvalidKeyError, InvalidSignatureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 4096
GENERATED_RSA_BITS = 3072
RSA_PUBLIC_EXPONENT = 65537
# Larger than any key of the algorithms above, PEM and encryption included.
MAX_PEM_BYTES = 32 << 10
# The hint for a key that is encrypted; who asks for the passphrase knows where it comes from, and can say so.
NEEDS_PASSPHRASE = "give its passphrase"  # noqa: S105 -- words, not a passphrase

SupportedPrivateKey: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Algorithm(enum.StrEnum):
    """A kind of key together with the one signature scheme that it is used with here.

    ECDSA signatures are DER (RFC 3279, 2.2.3), Ed25519 ones are the 64 bytes of RFC 8032, RSA ones are PKCS #1 v1.5,
    the only RSA scheme of UEFI Secure Boot.
    """

    ED25519 = "ed25519"
    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ECDSA_P384_SHA384 = "ecdsa-p384-sha384"
    RSA_PKCS1_SHA256 = "rsa-pkcs1v15-sha256"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that was parsed and accepted; make one with ``load_public`` or ``public_key``.

    ``spki`` is the canonical DER of its SubjectPublicKeyInfo, so two values of the same key are equal.
    """

    algorithm: Algorithm
    spki: bytes

    @property
    def key_id(self) -> str:
        """The SHA-256 digest of ``spki``, lower-case hexadecimal."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def pem(self) -> bytes:
        """The key as PEM ("BEGIN PUBLIC KEY")."""
        key = serialization.load_der_public_key(self.spki)
        return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Return if ``signature`` is this key's over ``message``; raise InvalidSignatureError if it is not."""
        key = _parsed(self.spki)
        try:
            match key:
                case ed25519.Ed25519PublicKey():
                    key.verify(signature, message)
                case ec.EllipticCurvePublicKey():
                    key.verify(signature, message, ec.ECDSA(ecdsa_hash(key)))
                case rsa.RSAPublicKey():
                    key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
                case _:
                    raise InvalidKeyError(f"key {self.key_id} is of an unsupported type")
        except InvalidSignature:
            raise InvalidSignatureError(f"the signature is not one of key {self.key_id} over these bytes") from None


@functools.lru_cache(maxsize=16)
def _parsed(spki: bytes) -> PublicKeyTypes:
    """Parsed once, as a verifier has few keys and checks thousands of signatures with them."""
    return serialization.load_der_public_key(spki)


def public_key(key: object) -> PublicKey:
    """The value of a public key of the ``cryptography`` package.

    Raises InvalidKeyError for any other algorithm or curve, and for RSA keys that Secure Boot firmware may refuse:
    fewer than 2048 or more than 4096 bits, or another public exponent than 65537.
    """
    match key:
        case ed25519.Ed25519PublicKey():
            algorithm = Algorithm.ED25519
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            algorithm = Algorithm.ECDSA_P256_SHA256
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            algorithm = Algorithm.ECDSA_P384_SHA384
        case rsa.RSAPublicKey():
            _check_rsa(key)
            algorithm = Algorithm.RSA_PKCS1_SHA256
        case _:
            raise InvalidKeyError(
                "the key's algorithm or curve is not supported",
                hint="use Ed25519, ECDSA P-256, ECDSA P-384, or RSA with 3072 bits",
            )
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(algorithm, spki)


def load_public(pem: bytes) -> PublicKey:
    """Read a public key ("BEGIN PUBLIC KEY"). Raises InvalidKeyError."""
    if len(pem) > MAX_PEM_BYTES:
        raise InvalidKeyError(f"a public key has at most {MAX_PEM_BYTES} bytes, this has {len(pem)}")
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        # The library's words are left out: they may describe a private key given by mistake.
        raise InvalidKeyError(
            "not a public key in PEM", hint='the file must hold one block "BEGIN PUBLIC KEY"'
        ) from None
    return public_key(key)


def load_private(pem: bytes, passphrase: bytes | None = None) -> SupportedPrivateKey:
    """Read a private key in PEM (PKCS #8, PKCS #1 or SEC 1). Raises InvalidKeyError that never quotes the input."""
    if len(pem) > MAX_PEM_BYTES:
        raise InvalidKeyError(f"a private key has at most {MAX_PEM_BYTES} bytes, this has {len(pem)}")
    try:
        key = serialization.load_pem_private_key(pem, passphrase or None)
    except TypeError:
        if passphrase:
            raise InvalidKeyError(
                "a passphrase was given, but the private key is not encrypted", hint="leave the passphrase out"
            ) from None
        raise InvalidKeyError("the private key is encrypted", hint=NEEDS_PASSPHRASE) from None
    except (ValueError, UnsupportedAlgorithm):
        if passphrase:
            raise InvalidKeyError("the passphrase is wrong, or this is not a private key in PEM") from None
        raise InvalidKeyError(
            "not a private key in PEM", hint='the file must hold one block "BEGIN PRIVATE KEY"'
        ) from None
    if not isinstance(key, SupportedPrivateKey):
        raise InvalidKeyError(
            "the private key's algorithm is not supported", hint="use Ed25519, ECDSA P-256, ECDSA P-384, or RSA"
        )
    public_key(key.public_key())
    return key


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """A new key pair: the public key and, kept out of ``repr``, the private key as PKCS #8 in PEM."""

    public: PublicKey
    private_pem: bytes

    def __repr__(self) -> str:
        return f"GeneratedKey({self.public.algorithm}, {self.public.key_id})"


def generate(algorithm: Algorithm, passphrase: bytes | None = None) -> GeneratedKey:
    """Make a key pair from the operating system's randomness. With a passphrase the private key is encrypted.

    The caller writes ``private_pem`` with mode 0600 from creation.
    """
    key: SupportedPrivateKey
    match algorithm:
        case Algorithm.ED25519:
            key = ed25519.Ed25519PrivateKey.generate()
        case Algorithm.ECDSA_P256_SHA256:
            key = ec.generate_private_key(ec.SECP256R1())
        case Algorithm.ECDSA_P384_SHA384:
            key = ec.generate_private_key(ec.SECP384R1())
        case Algorithm.RSA_PKCS1_SHA256:
            key = rsa.generate_private_key(RSA_PUBLIC_EXPONENT, GENERATED_RSA_BITS)
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        if not passphrase:
            raise InvalidKeyError("an empty passphrase protects nothing", hint="give one, or leave it out")
        encryption = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return GeneratedKey(public_key(key.public_key()), pem)


def ecdsa_hash(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> hashes.HashAlgorithm:
    """The hash that goes with the key's curve, as ``Algorithm`` pairs them."""
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise InvalidKeyError(
            f"the RSA key has {key.key_size} bits, {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted",
            hint=f"make a key of {GENERATED_RSA_BITS} bits",
        )
    if key.public_numbers().e != RSA_PUBLIC_EXPONENT:
        raise InvalidKeyError(f"the RSA key's public exponent is not {RSA_PUBLIC_EXPONENT}")
