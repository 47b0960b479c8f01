"""Public areas of TPM keys: TPMT_PUBLIC and TPM2B_PUBLIC (TPM 2.0 Library, Part 2, 12.2).

``type | nameAlg | objectAttributes | authPolicy | parameters | unique``. The Name of a key is
``nameAlg || H_nameAlg(TPMT_PUBLIC)`` (Part 1, 16 "Names"), so it binds the attributes to the key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.attest import MAX_DIGEST
from builder.evidence.signature import SCHEMES
from builder.evidence.tpm_wire import ALG_NULL, HASHES, WireReader

if TYPE_CHECKING:
    from builder.evidence.signature import PublicKey

_ALG_RSA: Final = 0x0001
_ALG_ECC: Final = 0x0023
_CURVES: Final[dict[int, ec.EllipticCurve]] = {0x0003: ec.SECP256R1(), 0x0004: ec.SECP384R1(), 0x0005: ec.SECP521R1()}
_SYMMETRIC_WITH_PARAMETERS: Final = (0x0006, 0x0013, 0x0026)  # AES, SM4, CAMELLIA: key bits and mode follow
_DEFAULT_EXPONENT: Final = 65537
_MAX_RSA_BYTES: Final = 512
_MAX_COORDINATE: Final = 66

# TPMA_OBJECT (Part 2, 8.3): what makes a key an attestation key. It can be nowhere but in this TPM, and it signs
# nothing that starts with TPM_GENERATED_VALUE but what the TPM itself made.
_ATTESTATION_KEY: Final = {"fixedTPM": 1 << 1, "restricted": 1 << 16, "sign": 1 << 18}
_DECRYPT: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class PublicArea:
    """The public part of a TPM key.

    ``raw`` is the TPMT_PUBLIC; ``scheme`` and ``scheme_hash`` are ``None`` if the key leaves the choice to its user.
    """

    raw: bytes
    name_algorithm: str
    attributes: int
    auth_policy: bytes
    scheme: str | None
    scheme_hash: str | None
    key: PublicKey

    @property
    def name(self) -> bytes:
        """The key's Name, as TPM2_Certify and ``tpm2_readpublic -n`` give it."""
        algorithm = next(number for number, name in HASHES.items() if name == self.name_algorithm)
        return algorithm.to_bytes(2, "big") + hashlib.new(self.name_algorithm, self.raw).digest()


def parse_public(data: bytes) -> PublicArea:
    """Read a TPMT_PUBLIC, or a TPM2B_PUBLIC that holds one (``tpm2_createak -f tss``, systemd's .tpm2b_public).

    Raises MalformedImageError if it breaks the format, InvalidInputError for a type, curve or algorithm that is not
    supported or a key that is no key.
    """
    size = int.from_bytes(data[:2], "big")
    # No TPMT_PUBLIC is as short as the number of its type, so the two forms cannot be confused.
    raw = data[2:] if size == len(data) - 2 else data
    reader = WireReader(bytes(raw), "TPM public area")
    kind = reader.number(2)
    name_algorithm = reader.hash_name()
    attributes = reader.number(4)
    auth_policy = reader.sized(MAX_DIGEST)
    symmetric = reader.number(2)
    if symmetric in _SYMMETRIC_WITH_PARAMETERS:
        reader.take(4)
    elif symmetric != ALG_NULL:
        raise reader.error(f"the symmetric algorithm {symmetric:#06x} is not supported")
    scheme, scheme_hash = _scheme(reader)
    if kind == _ALG_RSA:
        key: PublicKey = _rsa_key(reader)
    elif kind == _ALG_ECC:
        key = _ecc_key(reader)
    else:
        raise InvalidInputError(f"TPM public area: the key type {kind:#06x} is not supported (RSA and ECC are)")
    reader.finish()
    return PublicArea(bytes(raw), name_algorithm, attributes, auth_policy, scheme, scheme_hash, key)


def require_attestation_key(area: PublicArea) -> PublicArea:
    """The same public area, if the key can only sign what the TPM itself states.

    Raises NotVerifiedError that names every attribute that is missing (restricted, sign, fixedTPM) or forbidden, and a
    Name by SHA-1: of two keys made to share one, certification and activation would vouch for both.
    """
    problems = [
        f"the attribute {name} is not set" for name, bit in _ATTESTATION_KEY.items() if not area.attributes & bit
    ]
    if area.attributes & _DECRYPT:
        problems.append("the attribute decrypt is set")
    if area.name_algorithm == "sha1":
        problems.append("its Name is a SHA-1 digest, which another key can share")
    if problems:
        raise NotVerifiedError("the key is no attestation key", tuple(problems))
    return area


def _scheme(reader: WireReader) -> tuple[str | None, str | None]:
    scheme = reader.number(2)
    if scheme == ALG_NULL:
        return None, None
    if scheme not in SCHEMES:
        raise reader.error(f"the scheme {scheme:#06x} is not supported ({', '.join(SCHEMES.values())} are)")
    return SCHEMES[scheme], reader.hash_name()


def _rsa_key(reader: WireReader) -> rsa.RSAPublicKey:
    bits = reader.number(2)
    exponent = reader.number(4) or _DEFAULT_EXPONENT
    modulus = int.from_bytes(reader.sized(_MAX_RSA_BYTES), "big")
    if modulus.bit_length() != bits:
        raise reader.error(f"the modulus has {modulus.bit_length()} bits, the parameters say {bits}")
    return rsa_key(modulus, exponent, "TPM public area")


def rsa_key(modulus: int, exponent: int, structure: str) -> rsa.RSAPublicKey:
    """An RSA key from its numbers. Raises InvalidInputError, for ``structure``, if they make no key."""
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError as error:
        raise InvalidInputError(f"{structure}: this is no RSA key: {error}") from None


def _ecc_key(reader: WireReader) -> ec.EllipticCurvePublicKey:
    number = reader.number(2)
    curve = _CURVES.get(number)
    if curve is None:
        raise reader.error(f"the curve {number:#06x} is not supported (NIST P-256, P-384 and P-521 are)")
    derivation = reader.number(2)
    if derivation != ALG_NULL:
        raise reader.error(f"the key derivation scheme {derivation:#06x} is not supported")
    x, y = (int.from_bytes(reader.sized(_MAX_COORDINATE), "big") for _ in range(2))
    try:
        return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
    except ValueError:
        raise InvalidInputError(f"TPM public area: the point is not on the curve {curve.name}") from None
