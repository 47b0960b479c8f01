"""Reading PKCS #7 SignedData (RFC 2315, 9.1) as far as Authenticode uses it: one signer, one digest algorithm.

::

    ContentInfo ::= SEQUENCE { contentType OID, content [0] EXPLICIT SignedData }
    SignedData ::= SEQUENCE { version INTEGER, digestAlgorithms SET OF AlgorithmIdentifier, contentInfo ContentInfo,
                              certificates [0] IMPLICIT SET OF Certificate OPTIONAL, crls [1] OPTIONAL,
                              signerInfos SET OF SignerInfo }
    SignerInfo ::= SEQUENCE { version INTEGER, issuerAndSerialNumber SEQUENCE { issuer Name, serial INTEGER },
                              digestAlgorithm AlgorithmIdentifier,
                              authenticatedAttributes [0] IMPLICIT SET OF Attribute OPTIONAL,
                              digestEncryptionAlgorithm AlgorithmIdentifier, encryptedDigest OCTET STRING,
                              unauthenticatedAttributes [1] IMPLICIT SET OF Attribute OPTIONAL }
"""

from __future__ import annotations

from dataclasses import dataclass

from signing import der
from signing.errors import MalformedSignatureError

# Real signatures have 1 to 10 KiB. WIN_CERTIFICATE pads to 8 bytes, so up to 7 zeros may follow.
MAX_PKCS7_BYTES = 0xFFFF
MAX_CERTIFICATES = 16
MAX_ATTRIBUTES = 16
MAX_PADDING = 7

SIGNED_DATA = der.object_identifier("1.2.840.113549.1.7.2")
CONTENT_TYPE = der.object_identifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = der.object_identifier("1.2.840.113549.1.9.4")
RSA_ENCRYPTION = der.object_identifier("1.2.840.113549.1.1.1")

# The hashes that edk2 accepts for an image (DxeImageVerificationLib, mHash); SHA-1 and SHA-224 are left out on purpose.
DIGEST_OIDS = {
    "sha256": der.object_identifier("2.16.840.1.101.3.4.2.1"),
    "sha384": der.object_identifier("2.16.840.1.101.3.4.2.2"),
    "sha512": der.object_identifier("2.16.840.1.101.3.4.2.3"),
}
_DIGEST_NAMES = {oid: name for name, oid in DIGEST_OIDS.items()}
_RSA_SIGNATURE_OIDS = {
    "sha256": der.object_identifier("1.2.840.113549.1.1.11"),
    "sha384": der.object_identifier("1.2.840.113549.1.1.12"),
    "sha512": der.object_identifier("1.2.840.113549.1.1.13"),
}
_CONTENT_INFO_START = bytes([der.SEQUENCE, 0x82])


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """The one signer: the certificate it names, what it signed and the signature.

    ``issuer_and_serial`` is a whole element, for comparison with ``certificate.issuer_and_serial``.
    """

    issuer_and_serial: bytes
    content_type: bytes
    message_digest: bytes
    signed_attributes: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignedData:
    """SignedData with one signer. Nothing in it is verified; object identifiers are whole elements.

    ``digest_algorithm`` is hashlib's name, the same in all places that give one; ``content`` is the encoded content
    element; ``certificates`` are DER; ``signer.signed_attributes`` is the SET OF whose encoding is signed.
    """

    digest_algorithm: str
    content_type: bytes
    content: der.Element
    certificates: tuple[bytes, ...]
    signer: SignerInfo


def parse(data: bytes) -> SignedData:
    """Read a ContentInfo with SignedData. Raises MalformedSignatureError."""
    if len(data) > MAX_PKCS7_BYTES:
        raise MalformedSignatureError(f"PKCS #7 data has {len(data)} bytes, more than the {MAX_PKCS7_BYTES} allowed")
    # edk2 reads the digest algorithm at a fixed offset that holds for a two-byte length only (HashPeImageByType).
    if data[:2] != _CONTENT_INFO_START:
        raise MalformedSignatureError("PKCS #7 data does not begin with a ContentInfo of 256 bytes or more")
    outer = der.Reader(data, "PKCS #7 data")
    content_info = outer.enter(der.SEQUENCE, "ContentInfo")
    if len(outer.rest) > MAX_PADDING or any(outer.rest):
        raise MalformedSignatureError(f"PKCS #7 data is followed by {len(outer.rest)} bytes that are not padding")
    _expect(content_info, SIGNED_DATA, "content type signedData")
    explicit = content_info.enter(der.context(0), "content")
    content_info.finish()
    signed_data = explicit.enter(der.SEQUENCE, "SignedData")
    explicit.finish()
    return _signed_data(signed_data)


def algorithm_identifier(oid: bytes) -> bytes:
    """AlgorithmIdentifier with NULL parameters."""
    return der.sequence(oid, der.encode(der.NULL))


def read_digest_algorithm(reader: der.Reader) -> str:
    """Take an AlgorithmIdentifier of one of the accepted hashes and return hashlib's name of it."""
    oid = _algorithm(reader, "digestAlgorithm")
    if oid not in _DIGEST_NAMES:
        raise MalformedSignatureError(f"the digest algorithm is none of {', '.join(DIGEST_OIDS)}")
    return _DIGEST_NAMES[oid]


def _signed_data(reader: der.Reader) -> SignedData:
    _expect(reader, der.integer(1), "version 1")
    algorithms = reader.enter(der.SET, "digestAlgorithms")
    digest_algorithm = read_digest_algorithm(algorithms)
    algorithms.finish()
    content_info = reader.enter(der.SEQUENCE, "contentInfo")
    content_type = content_info.take(der.OBJECT_IDENTIFIER, "content type").encoding
    explicit = content_info.enter(der.context(0), "content")
    content_info.finish()
    content = explicit.take(der.SEQUENCE, "content")
    explicit.finish()
    certificates = _certificates(reader)
    signers = reader.enter(der.SET, "signerInfos")
    reader.finish()
    signer = _signer_info(signers.enter(der.SEQUENCE, "SignerInfo"), digest_algorithm)
    signers.finish()
    return SignedData(digest_algorithm, content_type, content, certificates, signer)


def _certificates(reader: der.Reader) -> tuple[bytes, ...]:
    embedded = reader.enter(der.context(0), "certificates")
    certificates: list[bytes] = []
    while embedded.peek() is not None:
        if len(certificates) == MAX_CERTIFICATES:
            raise MalformedSignatureError(f"SignedData holds more than {MAX_CERTIFICATES} certificates")
        certificates.append(embedded.take(der.SEQUENCE, "certificate").encoding)
    return tuple(certificates)


def _signer_info(reader: der.Reader, digest_algorithm: str) -> SignerInfo:
    _expect(reader, der.integer(1), "version 1")
    issuer_and_serial = reader.take(der.SEQUENCE, "issuerAndSerialNumber").encoding
    if read_digest_algorithm(reader) != digest_algorithm:
        raise MalformedSignatureError("the signer's digest algorithm is not the one of the SignedData")
    attributes = reader.take(der.context(0), "authenticatedAttributes")
    if _algorithm(reader, "digestEncryptionAlgorithm") not in {RSA_ENCRYPTION, _RSA_SIGNATURE_OIDS[digest_algorithm]}:
        raise MalformedSignatureError("the signature algorithm is not RSA PKCS #1 v1.5 with the digest algorithm")
    signature = reader.take(der.OCTET_STRING, "encryptedDigest").content
    if reader.peek() == der.context(1):  # timestamps and the like; firmware does not look at them either
        reader.take(der.context(1), "unauthenticatedAttributes")
    reader.finish()
    values = _attributes(attributes.content)
    content_type = _single_value(values, CONTENT_TYPE, der.OBJECT_IDENTIFIER, "contentType")
    message_digest = _single_value(values, MESSAGE_DIGEST, der.OCTET_STRING, "messageDigest")
    # The signature covers the attributes with the tag of a SET OF, not with the [0] they are stored under (9.3).
    signed = der.encode(der.SET, attributes.content)
    return SignerInfo(issuer_and_serial, content_type.encoding, message_digest.content, signed, signature)


def _attributes(data: bytes) -> dict[bytes, bytes]:
    """Attribute type to the content of its SET OF values."""
    reader = der.Reader(data, "authenticatedAttributes")
    values: dict[bytes, bytes] = {}
    while reader.peek() is not None:
        attribute = reader.enter(der.SEQUENCE, "Attribute")
        kind = attribute.take(der.OBJECT_IDENTIFIER, "attribute type").encoding
        if kind in values or len(values) == MAX_ATTRIBUTES:
            raise MalformedSignatureError(f"an attribute comes twice, or there are more than {MAX_ATTRIBUTES}")
        values[kind] = attribute.take(der.SET, "attribute values").content
        attribute.finish()
    return values


def _single_value(values: dict[bytes, bytes], kind: bytes, tag: int, name: str) -> der.Element:
    if kind not in values:
        raise MalformedSignatureError(f"the authenticated attribute {name} is missing")
    reader = der.Reader(values[kind], name)
    value = reader.take(tag, f"value of {name}")
    reader.finish()
    return value


def _algorithm(reader: der.Reader, what: str) -> bytes:
    algorithm = reader.enter(der.SEQUENCE, what)
    oid = algorithm.take(der.OBJECT_IDENTIFIER, "algorithm").encoding
    if algorithm.peek() is not None:
        algorithm.enter(der.NULL, "parameters").finish()
    algorithm.finish()
    return oid


def _expect(reader: der.Reader, encoding: bytes, what: str) -> None:
    if reader.take(encoding[0], what).encoding != encoding:
        raise MalformedSignatureError(f"expected {what}")
