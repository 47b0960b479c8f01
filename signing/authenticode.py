"""Authenticode signatures of PE images ("Windows Authenticode Portable Executable Signature Format", 2008).

Works on the PKCS #7 data alone. Hashing an image and putting the data into its certificate table is the caller's.
What is signed: the authenticated attributes, which hold the digest of SpcIndirectDataContent, which holds the digest of
the image. No signing time, no timestamp: the same image, key and certificate give the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from signing import der, pkcs7
from signing.certificate import issuer_and_serial, load_certificate, name
from signing.chain import build_chain
from signing.errors import InvalidKeyError, InvalidRequestError, InvalidSignatureError, MalformedSignatureError
from signing.keys import MAX_RSA_BITS, MIN_RSA_BITS, Algorithm, public_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from signing.signer import Signer

SPC_INDIRECT_DATA = der.object_identifier("1.3.6.1.4.1.311.2.1.4")
SPC_PE_IMAGE_DATA = der.object_identifier("1.3.6.1.4.1.311.2.1.15")
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DIGEST = "sha256"

# SpcPeImageData: no flags, and the file "<<<Obsolete>>>" that every signer writes.
_PE_IMAGE_DATA = der.sequence(
    der.encode(der.BIT_STRING, b"\0"),
    der.encode(
        der.context(0),
        der.encode(der.context(2), der.encode(der.context(0, constructed=False), "<<<Obsolete>>>".encode("utf-16-be"))),
    ),
)


@dataclass(frozen=True, slots=True)
class VerifiedAuthenticode:
    """A signature that holds: hash name, the image's digest, and the certificates from the signer to the anchor."""

    digest_algorithm: str
    image_digest: bytes
    chain: tuple[x509.Certificate, ...]

    @property
    def signer(self) -> x509.Certificate:
        """The certificate whose key signed."""
        return self.chain[0]


def build(image_digest: bytes, signer: Signer, certificate: x509.Certificate) -> bytes:
    """Sign an image's SHA-256 Authenticode digest and return PKCS #7 data that embeds ``certificate``.

    Raises InvalidKeyError if the signer is not RSA or the certificate is not of its key.
    """
    if signer.public_key.algorithm is not Algorithm.RSA_PKCS1_SHA256:
        raise InvalidKeyError(
            f"Secure Boot signatures need an RSA key, this one is {signer.public_key.algorithm}",
            hint="sign with the db key of a Secure Boot identity",
        )
    return assemble(image_digest, signer.sign(to_be_signed(image_digest)), certificate)


def to_be_signed(image_digest: bytes) -> bytes:
    """The bytes that an RSA key signs with PKCS #1 v1.5 and SHA-256 for an image with this SHA-256 digest."""
    content_digest = hashlib.sha256(_indirect_data(image_digest).content).digest()
    return der.set_of(
        der.sequence(pkcs7.CONTENT_TYPE, der.set_of(SPC_INDIRECT_DATA)),
        der.sequence(pkcs7.MESSAGE_DIGEST, der.set_of(der.encode(der.OCTET_STRING, content_digest))),
    )


def assemble(image_digest: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    """PKCS #7 data from a signature over ``to_be_signed(image_digest)`` that may have been made elsewhere.

    Raises InvalidSignatureError if the signature is not one of the certificate's key over these bytes.
    """
    signed_attributes = to_be_signed(image_digest)
    public_key(certificate.public_key()).verify(signature, signed_attributes)
    encoded_certificate = certificate.public_bytes(Encoding.DER)
    digest_algorithm = pkcs7.algorithm_identifier(pkcs7.DIGEST_OIDS[_DIGEST])
    signer_info = der.sequence(
        der.integer(1),
        issuer_and_serial(encoded_certificate),
        digest_algorithm,
        der.encode(der.context(0), der.Reader(signed_attributes, "attributes").take(der.SET, "attributes").content),
        pkcs7.algorithm_identifier(pkcs7.RSA_ENCRYPTION),
        der.encode(der.OCTET_STRING, signature),
    )
    signed_data = der.sequence(
        der.integer(1),
        der.set_of(digest_algorithm),
        der.sequence(SPC_INDIRECT_DATA, der.encode(der.context(0), _indirect_data(image_digest).encoding)),
        der.encode(der.context(0), encoded_certificate),
        der.set_of(signer_info),
    )
    return der.sequence(pkcs7.SIGNED_DATA, der.encode(der.context(0), signed_data))


def digest_algorithm(data: bytes) -> str:
    """The hash (hashlib's name) that PKCS #7 data says the image was digested with. Nothing is verified."""
    return _read_indirect_data(pkcs7.parse(data))[0]


def verify(data: bytes, *, image_digest: Callable[[str], bytes], anchor: x509.Certificate) -> VerifiedAuthenticode:
    """Decide as edk2 does for one signature and one X.509 entry of db (``AuthenticodeVerify`` in CryptAuthenticode.c).

    ``image_digest`` gives the Authenticode digest of the image for hashlib's name of a hash; ``anchor`` is the
    certificate in db. Checked: the image's digest; that the authenticated attributes name that content; the RSA
    signature of the certificate that the signer names, which must be embedded; its way to the anchor (``chain``).
    Not checked, as in firmware: validity periods, extended key usage, revocation lists, timestamps. Not looked at:
    dbx, which is a separate question (UEFI Specification 2.10, 32.5.3.3).

    Stricter than firmware, so that yes here means yes there: DER only, one signer, SHA-2 only, the same hash in all
    places, RSA PKCS #1 v1.5 with 2048 to 4096 bits, authenticated attributes and their contentType required.

    Raises InvalidSignatureError if the answer is no, MalformedSignatureError if the data cannot be read.
    """
    signed_data = pkcs7.parse(data)
    algorithm, claimed = _read_indirect_data(signed_data)
    actual = image_digest(algorithm)
    if claimed != actual:
        raise InvalidSignatureError(
            f"the signature is for an image with {algorithm} {claimed.hex()}, not {actual.hex()}"
        )
    if signed_data.signer.content_type != SPC_INDIRECT_DATA:
        raise InvalidSignatureError("the attribute contentType is not SPC_INDIRECT_DATA")
    if hashlib.new(algorithm, signed_data.content.content).digest() != signed_data.signer.message_digest:
        raise InvalidSignatureError("the attribute messageDigest is not the digest of the signed content")
    embedded = [load_certificate(certificate, "an embedded certificate") for certificate in signed_data.certificates]
    signer = _signer_certificate(signed_data.signer, embedded)
    _verify_rsa(signer, signed_data.signer, algorithm)
    return VerifiedAuthenticode(algorithm, actual, build_chain(signer, embedded, anchor))


def _indirect_data(image_digest: bytes) -> der.Element:
    """SpcIndirectDataContent. The signed digest is over its content octets, without tag and length."""
    size = hashlib.new(_DIGEST).digest_size
    if len(image_digest) != size:
        raise InvalidRequestError(f"a {_DIGEST} digest has {size} bytes, not {len(image_digest)}")
    encoded = der.sequence(
        der.sequence(SPC_PE_IMAGE_DATA, _PE_IMAGE_DATA),
        der.sequence(
            pkcs7.algorithm_identifier(pkcs7.DIGEST_OIDS[_DIGEST]), der.encode(der.OCTET_STRING, image_digest)
        ),
    )
    return der.Reader(encoded, "SpcIndirectDataContent").take(der.SEQUENCE, "SpcIndirectDataContent")


def _read_indirect_data(signed_data: pkcs7.SignedData) -> tuple[str, bytes]:
    """The hash and the image digest that the content claims."""
    if signed_data.content_type != SPC_INDIRECT_DATA:
        raise MalformedSignatureError("the signed content is not SPC_INDIRECT_DATA")
    reader = der.Reader(signed_data.content.content, "SpcIndirectDataContent")
    data = reader.enter(der.SEQUENCE, "SpcAttributeTypeAndOptionalValue")
    if data.take(der.OBJECT_IDENTIFIER, "type").encoding != SPC_PE_IMAGE_DATA:
        raise MalformedSignatureError("the signed content is not about a PE image")
    digest_info = reader.enter(der.SEQUENCE, "DigestInfo")
    reader.finish()
    algorithm = pkcs7.read_digest_algorithm(digest_info)
    digest = digest_info.take(der.OCTET_STRING, "digest").content
    digest_info.finish()
    if algorithm != signed_data.digest_algorithm or len(digest) != hashlib.new(algorithm).digest_size:
        raise MalformedSignatureError("the image digest is not one of the digest algorithm of the SignedData")
    return algorithm, digest


def _signer_certificate(signer: pkcs7.SignerInfo, embedded: list[x509.Certificate]) -> x509.Certificate:
    for certificate in embedded:
        if issuer_and_serial(certificate.public_bytes(Encoding.DER)) == signer.issuer_and_serial:
            return certificate
    raise InvalidSignatureError("the signer's certificate is not embedded in the signature")


def _verify_rsa(certificate: x509.Certificate, signer: pkcs7.SignerInfo, algorithm: str) -> None:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise InvalidSignatureError(
            f"the key of {name(certificate)} is not RSA with {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
        )
    try:
        key.verify(signer.signature, signer.signed_attributes, padding.PKCS1v15(), _HASHES[algorithm])
    except InvalidSignature:
        raise InvalidSignatureError(f"the signature is not one of the key of {name(certificate)}") from None
