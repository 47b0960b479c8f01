"""Evidence files as other people's tools write them."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.attester import ALGORITHMS, PCRS, public_area, quote_attest, rsa_key, sized, tpmt_signature
from tests.tpm_messages import pcr_selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric import rsa


HARDWARE_REPORT_SIZE = 1184
TPM_PCRS = {index: bytes([index]) * 32 for index in range(24)}


def serialized_pcrs(pcrs: Mapping[str, Mapping[int, bytes]]) -> bytes:
    """The PCR file of ``tpm2_quote -o``: C structures of a little-endian machine."""
    entries = b"".join(
        struct.pack("<HB4sx", ALGORITHMS[name], 3, sum(1 << index for index in bank).to_bytes(4, "little"))
        for name, bank in pcrs.items()
    )
    digests = [bank[index] for bank in pcrs.values() for index in sorted(bank)]
    lists = [digests[start : start + 8] for start in range(0, len(digests), 8)]
    packed = (
        struct.pack("<I", len(part)) + b"".join(struct.pack("<H64s", len(digest), digest) for digest in part)
        for part in lists
    )
    selection = struct.pack("<I", len(pcrs)) + entries
    return selection.ljust(132, b"\0") + struct.pack("<I", len(lists)) + b"".join(p.ljust(532, b"\0") for p in packed)


def marshaled_pcrs(pcrs: Mapping[str, Mapping[int, bytes]]) -> bytes:
    """The PCR file of ``tpm2_quote -F marshaled``."""
    digests = [bank[index] for bank in pcrs.values() for index in sorted(bank)]
    lists = [digests[start : start + 8] for start in range(0, len(digests), 8)]
    packed = (struct.pack(">I", len(part)) + b"".join(sized(digest) for digest in part) for part in lists)
    selection = pcr_selection(*((ALGORITHMS[name], bank) for name, bank in pcrs.items()))
    return selection + struct.pack(">I", len(lists)) + b"".join(packed)


def varint(value: int) -> bytes:
    """A number of protobuf."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def field(number: int, value: int | bytes) -> bytes:
    """A field of protobuf."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def go_quote(pcrs: Mapping[str, Mapping[int, bytes]], attest: bytes | None = None) -> bytes:
    """tpm.Quote of go-tpm-tools over one bank."""
    attest = quote_attest(pcrs) if attest is None else attest
    ((name, bank),) = pcrs.items()
    entries = b"".join(field(2, (field(1, index) if index else b"") + field(2, value)) for index, value in bank.items())
    values = field(1, ALGORITHMS[name]) + entries
    return field(1, attest) + field(2, tpmt_signature(rsa_key(), attest)) + field(3, values)


def go_tpm_tools_file(log: bytes = b"log") -> bytes:
    """attest.Attestation of go-tpm-tools with one quote per bank."""
    quotes = b"".join(field(2, go_quote({name: bank})) for name, bank in PCRS.items())
    return field(1, public_area(rsa_key())) + quotes + (field(3, log) if log else b"") + field(4, b"instance")


def hcl_claims(key: rsa.RSAPrivateKey | None = None, kid: str = "HCLAkPub", user_data: str = "00ff") -> bytes:
    """The JSON in Azure's HCL report."""
    numbers = (key or rsa_key()).public_key().public_numbers()
    n, e = (
        base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()
        for number in (numbers.n, numbers.e)
    )
    return json.dumps({"keys": [{"kid": kid, "kty": "RSA", "n": n, "e": e}], "user-data": user_data}).encode()


def hcl_report(
    claims: bytes | None = None, *, kind: int = 2, hash_type: int = 1, digest: bytes | None = None, version: int = 1
) -> bytes:
    """Azure's HCL report around a hardware report that is nothing but its report data."""
    claims = hcl_claims() if claims is None else claims
    algorithm = {1: "sha256", 2: "sha384", 3: "sha512"}.get(hash_type, "sha256")
    digest = hashlib.new(algorithm, claims).digest() if digest is None else digest
    offset = 0x50 if kind == 2 else 128
    hardware = (bytes(offset) + digest).ljust(HARDWARE_REPORT_SIZE, b"\0")
    header = b"HCLA" + struct.pack("<IIII", version, len(hardware), 2, 0) + bytes(12)
    return header + hardware + struct.pack("<5I", 20 + len(claims), 1, kind, hash_type, len(claims)) + claims


def tpm_evidence(**changes: object) -> dict[str, object]:
    """The JSON of trustee's tpm attester."""
    attest = quote_attest({"sha256": TPM_PCRS})
    key = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    quote = {
        "message": base64.b64encode(attest).decode(),
        "signature": base64.b64encode(tpmt_signature(rsa_key(), attest)).decode(),
        "pcrs": [value.hex() for value in TPM_PCRS.values()],
    }
    return {"ak_public": base64.b64encode(key).decode(), "tpm_quote": quote | changes}
