from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from signing.certificate import load_certificate
from signing.chain import build_chain
from signing.errors import InvalidSignatureError, MalformedSignatureError

# Long over: firmware has no clock to trust.
START, END = datetime(2001, 1, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC)
CA, LEAF = x509.BasicConstraints(ca=True, path_length=None), x509.BasicConstraints(ca=False, path_length=None)
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "middle", "leaf", "other")}


def certificate(
    subject: str,
    issuer: str,
    *extensions: x509.ExtensionType,
    key: str | None = None,
    critical: x509.ExtensionType | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    """A certificate over the key named as ``subject``, signed by the one named ``key`` or as ``issuer``."""
    builder = x509.CertificateBuilder(
        issuer_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
        subject_name=x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
        public_key=KEYS[subject.rstrip("0123456789")].public_key(),
        serial_number=1,
        not_valid_before=START,
        not_valid_after=END,
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return builder.sign(KEYS[(key or issuer).rstrip("0123456789")], algorithm or hashes.SHA256())


def usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


ROOT = certificate("root", "root", CA)
MIDDLE = certificate("middle", "root", CA)
UNDER_MIDDLE = certificate("leaf", "middle", LEAF)


def test_the_anchor_itself_is_a_chain_of_one() -> None:
    lone = certificate("leaf", "leaf", LEAF)
    assert build_chain(lone, [lone], lone) == (lone,)


def test_a_chain_goes_through_embedded_certificates_to_the_anchor() -> None:
    assert build_chain(UNDER_MIDDLE, [MIDDLE, UNDER_MIDDLE], ROOT) == (UNDER_MIDDLE, MIDDLE, ROOT)


def test_an_anchor_need_not_be_a_root() -> None:
    assert build_chain(UNDER_MIDDLE, [UNDER_MIDDLE], MIDDLE) == (UNDER_MIDDLE, MIDDLE)


def test_key_usage_for_certificates_is_accepted() -> None:
    anchor = certificate("middle", "root", CA, critical=usage(key_cert_sign=True))
    assert build_chain(UNDER_MIDDLE, [], anchor) == (UNDER_MIDDLE, anchor)


@pytest.mark.parametrize(
    ("leaf", "embedded", "anchor"),
    [
        (UNDER_MIDDLE, [], ROOT),
        (UNDER_MIDDLE, [MIDDLE], certificate("other", "other", CA)),
        (UNDER_MIDDLE, [certificate("middle", "root", LEAF)], ROOT),
        (UNDER_MIDDLE, [certificate("middle", "root")], ROOT),
        (UNDER_MIDDLE, [certificate("middle", "root", CA, key="other")], ROOT),
        (UNDER_MIDDLE, [certificate("middle", "root", CA, critical=usage(key_cert_sign=False))], ROOT),
        (UNDER_MIDDLE, [MIDDLE], certificate("root", "root", x509.BasicConstraints(ca=True, path_length=0))),
        (certificate("leaf", "middle", LEAF, key="other"), [MIDDLE], ROOT),
        (
            certificate("leaf", "middle", x509.AuthorityKeyIdentifier(b"wrong", None, None)),
            [],
            certificate("middle", "root", CA, x509.SubjectKeyIdentifier(b"right")),
        ),
        (certificate("leaf", "leaf", LEAF), [certificate("leaf", "leaf", LEAF)], ROOT),
        (UNDER_MIDDLE, [certificate("middle", "other", CA), certificate("other", "middle", CA)], ROOT),
    ],
    ids=[
        "issuer-missing",
        "other-anchor",
        "issuer-not-ca",
        "issuer-without-constraints",
        "issuer-signed-by-other",
        "issuer-key-usage",
        "path-too-long",
        "leaf-signed-by-other",
        "other-key-identifier",
        "self-signed-but-not-trusted",
        "loop",
    ],
)
def test_a_chain_that_does_not_hold_is_refused(
    leaf: x509.Certificate, embedded: list[x509.Certificate], anchor: x509.Certificate
) -> None:
    with pytest.raises(InvalidSignatureError, match="does not lead to the trusted certificate"):
        build_chain(leaf, embedded, anchor)


def test_a_chain_of_unlimited_length_is_refused() -> None:
    steps = [certificate(f"middle{n}", f"middle{n + 1}", CA) for n in range(20)]
    with pytest.raises(InvalidSignatureError, match="does not lead to"):
        build_chain(steps[0], steps[1:], certificate("middle20", "middle20", CA))
    assert len(build_chain(steps[0], steps[1:7], certificate("middle7", "middle7", CA))) == 8


@pytest.mark.parametrize(
    "extension",
    [
        x509.NameConstraints([x509.DNSName("example.com")], None),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""),
    ],
    ids=["name-constraints", "unknown-critical"],
)
def test_an_extension_that_would_have_to_be_obeyed_is_refused(extension: x509.ExtensionType) -> None:
    anchor = certificate("middle", "root", CA, critical=extension)
    with pytest.raises(InvalidSignatureError, match=r"'CN=middle' has the extension [\d.]+, which is not supported"):
        build_chain(UNDER_MIDDLE, [], anchor)


def test_names_from_a_certificate_cannot_write_to_the_terminal() -> None:
    KEYS["\x1b[2J"] = KEYS["leaf"]
    hostile = certificate("\x1b[2J", "other", LEAF)
    with pytest.raises(InvalidSignatureError, match=r"'CN=\\\\?x1b\[2J'") as caught:
        build_chain(hostile, [], ROOT)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("data", [b"", b"\x30\x00", bytes(64)])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedSignatureError, match=r"^the thing is not a usable X\.509 certificate"):
        load_certificate(data, "the thing")
