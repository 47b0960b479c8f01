from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from signing import authenticode, der, keys, pkcs7
from signing.errors import InvalidKeyError, InvalidRequestError, InvalidSignatureError, MalformedSignatureError
from signing.signer import FileSigner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from signing.secureboot import GeneratedIdentity, SecureBootIdentity

IMAGE = hashlib.sha256(b"an image").digest()
CONTENT_TYPE = der.sequence(pkcs7.CONTENT_TYPE, der.set_of(authenticode.SPC_INDIRECT_DATA))
SHA256, SHA384 = (pkcs7.algorithm_identifier(pkcs7.DIGEST_OIDS[name]) for name in ("sha256", "sha384"))
SHA1 = pkcs7.algorithm_identifier(der.object_identifier("1.3.14.3.2.26"))
RSA = pkcs7.algorithm_identifier(pkcs7.RSA_ENCRYPTION)


def image_digest(algorithm: str) -> bytes:
    """The Authenticode digest of the image of these tests; only the signed hash may be asked for."""
    assert algorithm == "sha256"
    return IMAGE


@pytest.fixture(scope="session")
def signed(identity: SecureBootIdentity, db_signer: FileSigner) -> bytes:
    return authenticode.build(IMAGE, db_signer, identity.db_certificate)


class Forge:
    """Builds SignedData part by part, signed by the right key, so that each test changes one part."""

    def __init__(self, certificate: x509.Certificate, signer: FileSigner) -> None:
        self.signer = signer
        self.digest_algorithms = SHA256
        self.content_type = authenticode.SPC_INDIRECT_DATA
        self.data = der.Reader(authenticode._indirect_data(IMAGE).content, "").take(der.SEQUENCE, "").encoding
        self.digest_info = der.sequence(SHA256, der.encode(der.OCTET_STRING, IMAGE))
        self.certificates = certificate.public_bytes(Encoding.DER)
        self.signer_algorithm = SHA256
        self.attribute_type = CONTENT_TYPE
        self.more_attributes = b""
        self.signature_algorithm = RSA
        self.tail = b""
        self.more_signers = b""
        self.name = der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))

    def build(self) -> bytes:
        """The PKCS #7 data of the parts."""
        digest = der.encode(der.OCTET_STRING, hashlib.sha256(self.data + self.digest_info).digest())
        attributes = self.attribute_type + der.sequence(pkcs7.MESSAGE_DIGEST, der.set_of(digest)) + self.more_attributes
        signer_info = der.sequence(
            der.integer(1),
            self.name,
            self.signer_algorithm,
            der.encode(der.context(0), attributes),
            self.signature_algorithm,
            der.encode(der.OCTET_STRING, self.signer.sign(der.encode(der.SET, attributes))),
            self.tail,
        )
        content = der.encode(der.context(0), der.sequence(self.data, self.digest_info))
        signed_data = der.sequence(
            der.integer(1),
            der.set_of(self.digest_algorithms),
            der.sequence(self.content_type, content),
            der.encode(der.context(0), self.certificates),
            der.encode(der.SET, signer_info, self.more_signers),
        )
        return der.sequence(pkcs7.SIGNED_DATA, der.encode(der.context(0), signed_data))


@pytest.fixture
def forge(identity: SecureBootIdentity, db_signer: FileSigner) -> Forge:
    return Forge(identity.db_certificate, db_signer)


def test_a_signature_verifies_with_its_db_certificate(signed: bytes, identity: SecureBootIdentity) -> None:
    verified = authenticode.verify(signed, image_digest=image_digest, anchor=identity.db_certificate)
    assert verified == authenticode.VerifiedAuthenticode("sha256", IMAGE, (identity.db_certificate,))
    assert verified.signer == identity.db_certificate


def test_signing_twice_gives_the_same_bytes(signed: bytes, identity: SecureBootIdentity, db_signer: FileSigner) -> None:
    assert authenticode.build(IMAGE, db_signer, identity.db_certificate) == signed


def test_the_parts_of_the_forge_make_the_real_signature(forge: Forge, signed: bytes) -> None:
    assert forge.build() == signed


def test_a_signature_made_elsewhere_gives_the_same_bytes(
    signed: bytes, identity: SecureBootIdentity, db_signer: FileSigner
) -> None:
    signature = db_signer.sign(authenticode.to_be_signed(IMAGE))
    assert authenticode.assemble(IMAGE, signature, identity.db_certificate) == signed


def test_a_signature_of_another_key_is_not_assembled(identity: SecureBootIdentity) -> None:
    other = FileSigner.from_pem(keys.generate(keys.Algorithm.RSA_PKCS1_SHA256).private_pem)
    with pytest.raises(InvalidSignatureError, match="not one of key"):
        authenticode.build(IMAGE, other, identity.db_certificate)


def test_only_rsa_signs_images(identity: SecureBootIdentity) -> None:
    signer = FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)
    with pytest.raises(InvalidKeyError, match="need an RSA key, this one is ed25519"):
        authenticode.build(IMAGE, signer, identity.db_certificate)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(48)])
def test_only_a_sha256_digest_is_signed(digest: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="sha256 digest has 32 bytes"):
        authenticode.to_be_signed(digest)


def test_another_image_is_refused(signed: bytes, identity: SecureBootIdentity) -> None:
    with pytest.raises(
        InvalidSignatureError, match=f"is for an image with sha256 {IMAGE.hex()}, not {bytes(32).hex()}"
    ):
        authenticode.verify(signed, image_digest=lambda _: bytes(32), anchor=identity.db_certificate)


def test_another_anchor_is_refused(signed: bytes, identity: SecureBootIdentity) -> None:
    anchor = x509.load_der_x509_certificate(identity.kek)
    problem = "'CN=test db' does not lead to the trusted certificate 'CN=test KEK'"
    with pytest.raises(InvalidSignatureError, match=problem):
        authenticode.verify(signed, image_digest=image_digest, anchor=anchor)


def test_every_flipped_byte_is_refused(signed: bytes, identity: SecureBootIdentity) -> None:
    accepted = []
    for position in range(len(signed)):
        changed = signed[:position] + bytes([signed[position] ^ 1]) + signed[position + 1 :]
        try:
            authenticode.verify(changed, image_digest=image_digest, anchor=identity.db_certificate)
        except (InvalidSignatureError, MalformedSignatureError):
            continue
        accepted.append(position)
    assert accepted == []


def test_every_truncation_is_refused(signed: bytes, identity: SecureBootIdentity) -> None:
    for size in range(len(signed)):
        with pytest.raises(MalformedSignatureError, match=r"at offset|does not begin"):
            authenticode.verify(signed[:size], image_digest=image_digest, anchor=identity.db_certificate)


@pytest.mark.parametrize("size", [1, 7])
def test_the_padding_of_the_certificate_table_is_allowed(
    signed: bytes, identity: SecureBootIdentity, size: int
) -> None:
    padded = signed + bytes(size)
    assert authenticode.verify(padded, image_digest=image_digest, anchor=identity.db_certificate).image_digest == IMAGE


@pytest.mark.parametrize("tail", [bytes(8), b"\1", b"\0\0\1"])
def test_other_bytes_after_the_signature_are_refused(signed: bytes, tail: bytes) -> None:
    with pytest.raises(MalformedSignatureError, match=f"followed by {len(tail)} bytes that are not padding"):
        pkcs7.parse(signed + tail)


def test_signed_data_over_the_limit_is_not_parsed(signed: bytes) -> None:
    with pytest.raises(MalformedSignatureError, match="more than the 65535 allowed"):
        pkcs7.parse(signed.ljust(65536, b"\0"))


def edit(**parts: object) -> Callable[[Forge], None]:
    """A change that sets parts of the forge."""
    return lambda forge: [setattr(forge, name, value) for name, value in parts.items()] and None


SIGNING_TIME = der.sequence(
    der.object_identifier("1.2.840.113549.1.9.5"), der.set_of(der.encode(0x17, b"260101000000Z"))
)
OPUS = der.sequence(der.object_identifier("1.3.6.1.4.1.311.2.1.12"), der.set_of(der.sequence()))


@pytest.mark.parametrize(
    "change",
    [
        edit(more_attributes=SIGNING_TIME + OPUS),
        edit(signature_algorithm=pkcs7.algorithm_identifier(der.object_identifier("1.2.840.113549.1.1.11"))),
        edit(signature_algorithm=der.sequence(pkcs7.RSA_ENCRYPTION)),
        edit(tail=der.encode(der.context(1), b"countersignature")),
    ],
    ids=["more-attributes", "sha256WithRSAEncryption", "no-parameters", "unauthenticated-attributes"],
)
def test_what_other_signers_write_is_accepted(
    forge: Forge, identity: SecureBootIdentity, change: Callable[[Forge], None]
) -> None:
    change(forge)
    assert authenticode.verify(forge.build(), image_digest=image_digest, anchor=identity.db_certificate)


DIGEST_ATTRIBUTE = der.sequence(pkcs7.MESSAGE_DIGEST, der.set_of(der.encode(der.OCTET_STRING, bytes(32))))
PKCS7_DATA = der.object_identifier("1.2.840.113549.1.7.1")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (edit(digest_algorithms=SHA1), "digest algorithm is none of sha256, sha384, sha512"),
        (edit(digest_algorithms=SHA256 + SHA384), "digestAlgorithms .* bytes too many"),
        (edit(digest_algorithms=b""), "digestAlgorithms .* expected digestAlgorithm"),
        (edit(digest_algorithms=SHA384), "signer's digest algorithm is not the one of the SignedData"),
        (edit(signer_algorithm=SHA384), "signer's digest algorithm is not the one of the SignedData"),
        (edit(digest_info=der.sequence(SHA384, der.encode(der.OCTET_STRING, bytes(48)))), "image digest is not one of"),
        (edit(digest_info=der.sequence(SHA256, der.encode(der.OCTET_STRING, bytes(31)))), "image digest is not one of"),
        (edit(content_type=PKCS7_DATA), "signed content is not SPC_INDIRECT_DATA"),
        (edit(data=der.sequence(PKCS7_DATA, der.sequence())), "not about a PE image"),
        (edit(certificates=b""), "signer's certificate is not embedded"),
        (edit(certificates=der.sequence()), "embedded certificate is not a usable"),
        (edit(certificates=der.sequence() * 17), "more than 16 certificates"),
        (edit(name=der.sequence(der.sequence(), der.integer(1))), "signer's certificate is not embedded"),
        (edit(attribute_type=b""), "attribute contentType is missing"),
        (edit(attribute_type=CONTENT_TYPE * 2), "an attribute comes twice"),
        (edit(more_attributes=DIGEST_ATTRIBUTE), "an attribute comes twice"),
        (
            edit(attribute_type=der.sequence(pkcs7.CONTENT_TYPE, der.set_of(PKCS7_DATA))),
            "attribute contentType is not SPC_INDIRECT_DATA",
        ),
        (
            edit(attribute_type=der.sequence(pkcs7.CONTENT_TYPE, der.set_of(*[authenticode.SPC_INDIRECT_DATA] * 2))),
            "contentType .* bytes too many",
        ),
        (edit(signature_algorithm=SHA256), "not RSA PKCS #1 v1.5"),
        (
            edit(signature_algorithm=pkcs7.algorithm_identifier(der.object_identifier("1.2.840.113549.1.1.10"))),
            "not RSA PKCS #1 v1.5",
        ),
        (edit(more_signers=der.sequence()), "signerInfos .* 2 bytes too many"),
        (edit(tail=der.encode(der.context(2))), "SignerInfo .* bytes too many"),
    ],
)
def test_what_firmware_would_refuse_or_read_otherwise_is_refused(
    forge: Forge, identity: SecureBootIdentity, change: Callable[[Forge], None], problem: str
) -> None:
    change(forge)
    with pytest.raises((MalformedSignatureError, InvalidSignatureError), match=problem):
        authenticode.verify(forge.build(), image_digest=image_digest, anchor=identity.db_certificate)


def test_a_message_digest_of_other_content_is_refused(
    signed: bytes, forge: Forge, identity: SecureBootIdentity
) -> None:
    """The content claims this image, the signed attributes are those of a signature over another one."""
    other = hashlib.sha256(b"another image").digest()
    forge.digest_info = der.sequence(SHA256, der.encode(der.OCTET_STRING, other))
    spliced = forge.build().replace(other, IMAGE)
    assert len(spliced) == len(signed)
    with pytest.raises(InvalidSignatureError, match="messageDigest is not the digest of the signed content"):
        authenticode.verify(spliced, image_digest=image_digest, anchor=identity.db_certificate)


def test_a_pss_signature_is_refused(signed: bytes, generated: GeneratedIdentity, identity: SecureBootIdentity) -> None:
    key = keys.load_private(generated.files["db.key"].content)
    assert isinstance(key, rsa.RSAPrivateKey)
    pss = key.sign(authenticode.to_be_signed(IMAGE), padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    right = FileSigner(key).sign(authenticode.to_be_signed(IMAGE))
    with pytest.raises(InvalidSignatureError, match="not one of the key of 'CN=test db'"):
        authenticode.verify(signed.replace(right, pss), image_digest=image_digest, anchor=identity.db_certificate)


def test_a_signature_of_another_tool_is_verified(vectors: Path) -> None:
    data = (vectors / "go-uefi-test.pecoff.pk7").read_bytes()
    anchor = x509.load_der_x509_certificate(pkcs7.parse(data).certificates[0])
    digest = bytes.fromhex("e7d74d2bc1287c17bf056e259ad7d2ca557e848b252509ae9956df0b14f69702")
    verified = authenticode.verify(data, image_digest=lambda _: digest, anchor=anchor)
    assert verified.image_digest == digest
    assert authenticode.digest_algorithm(data) == "sha256"
    with pytest.raises(InvalidSignatureError, match="is for an image with"):
        authenticode.verify(data, image_digest=lambda _: bytes(32), anchor=anchor)
