"""A node made of software: TPM statements, certificates and Nitro documents, right or wrong in one chosen place."""

from __future__ import annotations

import functools
import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from builder.evidence.cose import CoseAlgorithm, sign1
from tests.tpm_messages import pcr_selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
NONCE = bytes(range(32))
ALGORITHMS = {"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}
SCHEMES = {"rsassa": 0x0014, "rsapss": 0x0016, "ecdsa": 0x0018}
HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- to be refused
    "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
}  # fmt: skip
CURVES = {"secp256r1": 0x0003, "secp384r1": 0x0004, "secp521r1": 0x0005}
# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign: what tpm2_createak asks for.
AK_ATTRIBUTES = 0x00050072
RESTRICTED, SIGN, FIXED_TPM, DECRYPT = 1 << 16, 1 << 18, 1 << 1, 1 << 17
PCRS = {"sha256": {0: b"\1" * 32, 4: b"\2" * 32, 7: b"\3" * 32}, "sha384": {11: b"\4" * 48}}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(name: str = "ak", bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key that is the same for the same name during one run."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ec_key(name: str = "ak", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """An ECC key that is the same for the same name and curve during one run."""
    return ec.generate_private_key(curve())


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def clock(milliseconds: int = 1234, resets: int = 5, restarts: int = 6, safe: int = 1) -> bytes:
    """TPMS_CLOCK_INFO."""
    return struct.pack(">QIIB", milliseconds, resets, restarts, safe)


def attest_head(kind: int, nonce: bytes = NONCE, magic: int = 0xFF544347, clock_info: bytes | None = None) -> bytes:
    """TPMS_ATTEST up to ``attested``."""
    head = struct.pack(">IH", magic, kind) + sized(b"\0\x0b" + b"s" * 32) + sized(nonce)
    return head + (clock() if clock_info is None else clock_info) + struct.pack(">Q", 0x20191023)


def quote_attest(
    pcrs: Mapping[str, Mapping[int, bytes]] = PCRS,
    *,
    algorithm: str = "sha256",
    selection: bytes | None = None,
    digest: bytes | None = None,
    kind: int = 0x8018,
    **head: Any,
) -> bytes:
    """TPMS_ATTEST of a quote over ``pcrs``."""
    values = b"".join(bank[index] for bank in pcrs.values() for index in sorted(bank))
    if selection is None:
        selection = pcr_selection(*((ALGORITHMS[name], bank) for name, bank in pcrs.items()))
    composite = hashlib.new(algorithm, values).digest() if digest is None else digest
    return attest_head(kind, **head) + selection + sized(composite)


def certify_attest(name: bytes, **head: Any) -> bytes:
    """TPMS_ATTEST of TPM2_Certify."""
    return attest_head(0x8017, **head) + sized(name) + sized(b"\0\x0b" + b"q" * 32)


def raw_signature(key: PrivateKey, message: bytes, scheme: str = "rsassa", algorithm: str = "sha256") -> bytes:
    """A plain signature: the RSA number, or DER."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(HASHES[algorithm]))
    if scheme == "rsapss":
        pss = padding.PSS(padding.MGF1(HASHES[algorithm]), padding.PSS.DIGEST_LENGTH)
        return key.sign(message, pss, HASHES[algorithm])
    return key.sign(message, padding.PKCS1v15(), HASHES[algorithm])


def tpmt_signature(key: PrivateKey, message: bytes, scheme: str = "rsassa", algorithm: str = "sha256") -> bytes:
    """TPMT_SIGNATURE over ``message``."""
    signature = raw_signature(key, message, scheme, algorithm)
    body = sized(signature)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        body = b"".join(sized(number.to_bytes(size, "big")) for number in decode_dss_signature(signature))
    return struct.pack(">HH", SCHEMES[scheme], ALGORITHMS[algorithm]) + body


def public_area(
    key: PrivateKey, *, attributes: int = AK_ATTRIBUTES, scheme: str | None = "default", algorithm: str = "sha256"
) -> bytes:
    """TPMT_PUBLIC of a key without symmetric algorithm."""
    public = key.public_key()
    kind = 0x0001 if isinstance(public, rsa.RSAPublicKey) else 0x0023
    if scheme == "default":
        scheme = "rsassa" if isinstance(public, rsa.RSAPublicKey) else "ecdsa"
    bound = struct.pack(">H", 0x0010) if scheme is None else struct.pack(">HH", SCHEMES[scheme], ALGORITHMS[algorithm])
    head = struct.pack(">HHI", kind, 0x000B, attributes) + sized(b"") + struct.pack(">H", 0x0010) + bound
    if isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers().n.to_bytes((public.key_size + 7) // 8, "big")
        return head + struct.pack(">HI", public.key_size, 0) + sized(modulus)
    size = (public.curve.key_size + 7) // 8
    numbers = public.public_numbers()
    point = sized(numbers.x.to_bytes(size, "big")) + sized(numbers.y.to_bytes(size, "big"))
    return head + struct.pack(">HH", CURVES[public.curve.name], 0x0010) + point


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    key: PrivateKey | None = None,
    authority: bool = False,
    path_length: int | None = None,
    start: datetime = AT - timedelta(hours=1),
    end: datetime = AT + timedelta(hours=1),
    digest: hashes.HashAlgorithm | None = None,
    usage: str | None = "default",
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
) -> Issued:
    """A certificate of ``issuer``, or one that issued itself; P-384 and SHA-384 unless told otherwise."""
    key = ec_key(name, ec.SECP384R1) if key is None else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    parent, signer = (subject, key) if issuer is None else (issuer.certificate.subject, issuer.key)
    if usage == "default":
        usage = "certificates" if authority else "data"
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(authority, path_length), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(key_usage(usage), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Issued(builder.sign(signer, digest or hashes.SHA384()), key)


def key_usage(usage: str) -> x509.KeyUsage:
    """Key usage of one bit: "certificates", "data" or "encipherment"."""
    return x509.KeyUsage(
        digital_signature=usage == "data",
        content_commitment=False,
        key_encipherment=usage == "encipherment",
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=usage == "certificates",
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@functools.cache
def nitro_chain() -> tuple[Issued, Issued, Issued]:
    """Root, intermediate and leaf as AWS has them."""
    root = issue("root", authority=True, end=AT + timedelta(days=9000))
    regional = issue("regional", root, authority=True, path_length=2)
    return root, regional, issue("i-0123.example.aws", regional)


def nitro_payload(**changes: Any) -> dict[Any, Any]:
    """The fields of a NitroTPM document; a change to ``...`` takes the field away."""
    root, regional, leaf = nitro_chain()
    fields = {
        "module_id": "i-0123456789abcdef0-tpm0000000000000000",
        "digest": "SHA384",
        "timestamp": int(AT.timestamp() * 1000),
        "nitrotpm_pcrs": {index: bytes([index]) * 48 for index in range(24)},
        "certificate": leaf.der,
        "cabundle": [root.der, regional.der],
        "public_key": None,
        "user_data": b"user data",
        "nonce": NONCE,
    } | changes
    return {name: value for name, value in fields.items() if value is not ...}


def indefinite_map(fields: Mapping[Any, Any]) -> bytes:
    """A CBOR map of indefinite length, as AWS writes it."""
    return b"\xbf" + b"".join(cbor2.dumps(name) + cbor2.dumps(value) for name, value in fields.items()) + b"\xff"


def nitro_document(
    payload: bytes | None = None, *, key: ec.EllipticCurvePrivateKey | None = None, **changes: Any
) -> bytes:
    """A signed document; ``payload`` in place of the fields."""
    payload = indefinite_map(nitro_payload(**changes)) if payload is None else payload
    leaf_key = nitro_chain()[2].key
    assert isinstance(leaf_key, ec.EllipticCurvePrivateKey)
    return sign1(payload, key or leaf_key, CoseAlgorithm.ES384, tagged=False)
