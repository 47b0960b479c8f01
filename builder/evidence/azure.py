"""Azure confidential VMs: the HCL report, which names the vTPM's attestation key, and quotes of that vTPM.

NV index 0x01400001 holds the report of the paravisor ("host compatibility layer"), little-endian:

    "HCLA" | u32 version | u32 size | u32 type | u32 status | 12 reserved
    1184 bytes: the SEV-SNP report, or the TDX TDREPORT (1024 bytes) and zeros
    u32 size | u32 version | u32 report type (2 SNP, 4 TDX) | u32 hash type (1, 2, 3: SHA-256, -384, -512)
    u32 size of the claims | claims: JSON {"keys": [JWK HCLAkPub, JWK HCLEkPub], "vm-configuration", "user-data"}

The hardware report's report data starts with the hash over the claims, so whoever verifies the hardware report has
the key. Reading the report here checks that binding and nothing of the hardware: ``HclReport.ak`` is as much worth
as ``hardware_report`` is. The key has no public area, hence its attributes are not known; the paravisor vouches.

Sources: github.com/Azure/confidential-computing-cvm-guest-attestation, cvm-attestation docs; trustee az-snp-vtpm.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.public_area import rsa_key
from builder.evidence.strict_json import decode_json
from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

_NAME: Final = "HCL report"
_SIGNATURE: Final = b"HCLA"
_VERSIONS: Final = (1, 2)
_HEADER_SIZE: Final = 32
HARDWARE_REPORT_SIZE: Final = 1184
_CLAIMS_HEADER: Final = _HEADER_SIZE + HARDWARE_REPORT_SIZE
_CLAIMS: Final = _CLAIMS_HEADER + 20
MAX_REPORT: Final = 16384
_MAX_RSA_BYTES: Final = 512
_HASHES: Final = {1: "sha256", 2: "sha384", 3: "sha512"}
AK_KEY_ID: Final = "HCLAkPub"


class HardwareReportKind(enum.Enum):
    """The processor's report inside; the value is Azure's number."""

    SNP = 2
    TDX = 4

    @property
    def report_data_offset(self) -> int:
        """Where the 64 bytes that the paravisor chose lie: in REPORT_DATA, or in the REPORTMACSTRUCT."""
        return 0x50 if self is HardwareReportKind.SNP else 128


@dataclass(frozen=True, slots=True)
class HclReport:
    """A report whose claims are those that the hardware report names. The hardware report is **not** verified."""

    kind: HardwareReportKind
    hardware_report: bytes
    claims: bytes
    ak: rsa.RSAPublicKey
    user_data: bytes


class _Jwk(msgspec.Struct):
    kid: str
    kty: str
    e: str = ""
    n: str = ""


class _Claims(msgspec.Struct, rename="kebab"):
    keys: list[_Jwk]
    user_data: str = ""


def parse_hcl_report(data: bytes) -> HclReport:
    """Read a report and check that its hardware report binds its claims.

    Raises MalformedImageError or InvalidInputError if it breaks the format or has not one RSA key HCLAkPub, and
    NotVerifiedError if the claims are not those whose hash the hardware report carries.
    """
    view = BinaryView.of(data, _NAME)
    if len(view) > MAX_REPORT:
        raise view.error(0, f"{len(view)} bytes are more than {MAX_REPORT}")
    if view.read(0, 4) != _SIGNATURE or view.u32(4) not in _VERSIONS:
        raise view.error(0, "it does not start with HCLA and version 1 or 2")
    kind, algorithm = _kind(view), _HASHES.get(view.u32(_CLAIMS_HEADER + 12))
    if algorithm is None:
        raise view.error(_CLAIMS_HEADER + 12, "the hash type is none of SHA-256, SHA-384 and SHA-512")
    claims = view.read(_CLAIMS, view.u32(_CLAIMS_HEADER + 16))
    hardware_report = view.read(_HEADER_SIZE, HARDWARE_REPORT_SIZE)
    digest = hashlib.new(algorithm, claims).digest()
    bound = hardware_report[kind.report_data_offset :][: len(digest)]
    if not hmac.compare_digest(digest, bound):
        raise NotVerifiedError(
            "the HCL report is not that of its hardware report",
            ("the hash over its claims is not the report data of the hardware report",),
        )
    decoded = _decode(claims)
    return HclReport(kind, hardware_report, claims, _attestation_key(decoded), _hexadecimal(decoded.user_data))


def _kind(view: BinaryView) -> HardwareReportKind:
    number = view.u32(_CLAIMS_HEADER + 8)
    try:
        return HardwareReportKind(number)
    except ValueError:
        raise view.error(_CLAIMS_HEADER + 8, f"the report type {number} is neither SNP (2) nor TDX (4)") from None


def _decode(claims: bytes) -> _Claims:
    return decode_json(claims, _Claims, f"{_NAME}: its claims cannot be read")


def _attestation_key(claims: _Claims) -> rsa.RSAPublicKey:
    keys = [key for key in claims.keys if key.kid == AK_KEY_ID]
    if len(keys) != 1 or keys[0].kty != "RSA":
        raise InvalidInputError(f"{_NAME}: it does not have one RSA key {AK_KEY_ID}")
    modulus, exponent = (int.from_bytes(_base64url(text), "big") for text in (keys[0].n, keys[0].e))
    return rsa_key(modulus, exponent, _NAME)


def _base64url(text: str) -> bytes:
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"{_NAME}: a number of a key is not base64url") from None
    if not 1 <= len(decoded) <= _MAX_RSA_BYTES:
        raise InvalidInputError(f"{_NAME}: a number of a key has {len(decoded)} bytes, not 1 to {_MAX_RSA_BYTES}")
    return decoded


def _hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidInputError(f"{_NAME}: its user data is not hexadecimal") from None
