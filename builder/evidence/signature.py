"""Signatures of TPM keys: TPMT_SIGNATURE (TPM 2.0 Library, Part 2, 11.3.4), and the plain forms that tools make of it.

A plain signature (``tpm2_quote -f plain``, cloud agents) has no header: RSA is the number alone, ECDSA is the DER
sequence of r and s. Its scheme and hash are then taken from the key's public area or from the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.tpm_wire import HASH_SIZES, WireReader

if TYPE_CHECKING:
    from typing import TypeAlias

    PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

RSASSA: Final = "rsassa"
RSAPSS: Final = "rsapss"
ECDSA: Final = "ecdsa"
SCHEMES: Final = {0x0014: RSASSA, 0x0016: RSAPSS, 0x0018: ECDSA}
MIN_RSA_BITS: Final = 2048
_MAX_RSA_BYTES: Final = 512
_MAX_COORDINATE: Final = 66
_DER_SEQUENCE: Final = 0x30
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- only if the caller allows it, see require_strong
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class TpmSignature:
    """A signature, not verified. ``value`` is the RSA number or, for ECDSA, the DER sequence of r and s."""

    scheme: str
    hash: str
    value: bytes


def parse_signature(data: bytes) -> TpmSignature:
    """Read a TPMT_SIGNATURE.

    Raises MalformedImageError if it breaks the format, InvalidInputError if its scheme or hash is not supported.
    """
    reader = WireReader(data, "TPM signature")
    number = reader.number(2)
    scheme = SCHEMES.get(number)
    if scheme is None:
        supported = ", ".join(SCHEMES.values())
        raise InvalidInputError(f"TPM signature: the scheme {number:#06x} is not supported ({supported} are)")
    algorithm = reader.hash_name()
    if scheme == ECDSA:
        r, s = (int.from_bytes(reader.sized(_MAX_COORDINATE), "big") for _ in range(2))
        value = encode_dss_signature(r, s)
    else:
        value = reader.sized(_MAX_RSA_BYTES)
    reader.finish()
    return TpmSignature(scheme, algorithm, value)


def plain_signature(data: bytes, scheme: str, algorithm: str) -> TpmSignature:
    """A signature without header, of the given ``scheme`` ("rsassa", "rsapss", "ecdsa") and hash ("sha256").

    Raises InvalidInputError if either is not supported or the bytes cannot be such a signature.
    """
    if scheme not in SCHEMES.values():
        raise InvalidInputError(f"the signature scheme {scheme!r} is not supported")
    if algorithm not in HASH_SIZES:
        raise InvalidInputError(f"the hash algorithm {algorithm!r} is not supported")
    if not data or len(data) > _MAX_RSA_BYTES or (scheme == ECDSA and data[0] != _DER_SEQUENCE):
        raise InvalidInputError(f"these {len(data)} bytes are no plain {scheme} signature")
    return TpmSignature(scheme, algorithm, bytes(data))


def check_signature(key: PublicKey, signature: TpmSignature, message: bytes, *, allow_sha1: bool = False) -> bytes:
    """``message``, if ``key`` made ``signature`` over it.

    RSAPSS is accepted with any length of salt, as TPMs differ in it. Raises NotVerifiedError if the signature is not
    the key's, does not fit its type, is over SHA-1 without ``allow_sha1``, or the RSA key is shorter than
    MIN_RSA_BITS.
    """
    problem = _unfit(key, signature, allow_sha1=allow_sha1)
    if problem is None:
        try:
            _verify(key, signature, message)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            problem = f"the {signature.scheme} signature was not made over this statement by the attestation key"
    if problem is not None:
        raise NotVerifiedError("the signature is not valid", (problem,))
    return message


def _unfit(key: PublicKey, signature: TpmSignature, *, allow_sha1: bool) -> str | None:
    if signature.hash == "sha1" and not allow_sha1:
        return "it is a signature over SHA-1, for which collisions can be made"
    if isinstance(key, rsa.RSAPublicKey) != (signature.scheme != ECDSA):
        kind = "an RSA" if isinstance(key, rsa.RSAPublicKey) else "an ECC"
        return f"the scheme is {signature.scheme}, and the attestation key is {kind} key"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return f"the attestation key has {key.key_size} bits, fewer than {MIN_RSA_BITS}"
    return None


def _verify(key: PublicKey, signature: TpmSignature, message: bytes) -> None:
    algorithm = _HASHES[signature.hash]
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature.value, message, ec.ECDSA(algorithm))
    elif signature.scheme == RSAPSS:
        pss = padding.PSS(mgf=padding.MGF1(algorithm), salt_length=padding.PSS.AUTO)
        key.verify(signature.value, message, pss, algorithm)
    else:
        key.verify(signature.value, message, padding.PKCS1v15(), algorithm)
