"""An attestation key is trusted for a reason that is asked for, checked and named."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.certificates import (
    MAX_BUNDLE,
    MAX_CERTIFICATE,
    fingerprint,
    parse_certificate,
    parse_certificates,
    subject,
    verify_path,
)
from builder.evidence.freshness import NoNonce
from builder.evidence.public_area import PublicArea, parse_public
from builder.evidence.signature import parse_signature
from builder.evidence.trust import (
    ATTESTATION_KEY_USAGE,
    TrustedAk,
    TrustKind,
    load_public_key,
    trust_certificate,
    trust_certified_key,
    trust_on_first_use,
    trust_pinned_key,
)
from tests.attester import (
    AK_ATTRIBUTES,
    AT,
    NONCE,
    RESTRICTED,
    Issued,
    certify_attest,
    ec_key,
    issue,
    public_area,
    quote_attest,
    rsa_key,
    tpmt_signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = issue("maker root", authority=True, end=AT + timedelta(days=3650))
MIDDLE = issue("maker issuing", ROOT, authority=True, path_length=0)
AK_CERTIFICATE = issue("", MIDDLE, key=rsa_key())
EK_USAGE = x509.ObjectIdentifier("2.23.133.8.1")


def area(**changes: Any) -> PublicArea:
    return parse_public(public_area(rsa_key(), **changes))


def chained(leaf: Issued, *, at: datetime = AT, roots: tuple[Issued, ...] = (ROOT,), **keywords: Any) -> TrustedAk:
    trusted = [root.certificate for root in roots]
    return trust_certificate(leaf.certificate, [MIDDLE.certificate], trusted, at, **keywords)


def refused(leaf: Issued, **keywords: Any) -> str:
    with pytest.raises(NotVerifiedError) as caught:
        chained(leaf, **keywords)
    return "; ".join(caught.value.problems)


@pytest.mark.parametrize(
    ("trust", "kind"), [(trust_pinned_key, TrustKind.PINNED_KEY), (trust_on_first_use, TrustKind.FIRST_USE)]
)
def test_the_result_names_why_a_key_is_trusted(trust: Callable[[Any], TrustedAk], kind: TrustKind) -> None:
    described, bare = trust(area()), trust(rsa_key().public_key())
    assert described.trust == bare.trust
    assert described.trust.kind == described.trust.root_kind == kind
    assert (described.public_area, bare.public_area) == (area(), None)
    with pytest.raises(NotVerifiedError, match="no attestation key"):
        trust(area(attributes=AK_ATTRIBUTES & ~RESTRICTED))


def test_a_certificate_leads_to_a_root_that_the_result_names() -> None:
    ak = chained(AK_CERTIFICATE, expected=area())
    assert ak.trust.kind == TrustKind.CERTIFICATE
    assert fingerprint(ROOT.certificate) in ak.trust.detail
    assert ak.key == rsa_key().public_key()


def test_another_root_of_the_same_name_is_refused() -> None:
    impostor = issue("maker root", key=ec_key("impostor"), authority=True, digest=hashes.SHA256())
    assert "signature does not match" in refused(AK_CERTIFICATE, roots=(impostor,))


def test_no_root_is_no_trust() -> None:
    with pytest.raises(InvalidInputError, match="no root certificate"):
        chained(AK_CERTIFICATE, roots=())


def test_the_time_must_have_a_zone() -> None:
    with pytest.raises(InvalidInputError, match="no time zone"):
        chained(AK_CERTIFICATE, at=AT.replace(tzinfo=None))


@pytest.mark.parametrize("hours", [-2, 2], ids=["before", "after"])
def test_a_certificate_outside_its_validity_is_refused(hours: int) -> None:
    problems = refused(AK_CERTIFICATE, at=AT + timedelta(hours=hours))
    assert "not valid at validation time; " in problems
    assert "is valid from 2026-03-01 11:00:00+00:00 to 2026-03-01 13:00:00+00:00" in problems


def test_an_expired_root_is_refused() -> None:
    root = issue("short root", authority=True, end=AT - timedelta(minutes=1))
    assert "not valid at validation time" in refused(issue("leaf", root), roots=(root,))


def test_a_missing_issuer_is_named_as_such() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify_path(AK_CERTIFICATE.certificate, [], [ROOT.certificate], AT)
    (problem,) = caught.value.problems
    assert problem.endswith(" UTC: the certificate of its issuer is not given")


def test_issuers_of_each_other_lead_nowhere_and_take_no_time() -> None:
    key = ec_key("circle", ec.SECP384R1)
    circle = [issue("circle", key=key, authority=True).certificate for _ in range(8)]
    leaf = issue("leaf", issue("circle", key=key, authority=True)).certificate
    with pytest.raises(NotVerifiedError, match="does not lead"):
        verify_path(leaf, circle, [ROOT.certificate], AT)


def test_an_issuer_that_is_no_authority_is_refused() -> None:
    assert refused(issue("leaf", issue("no authority", ROOT)))
    middle = issue("no authority", ROOT, usage="certificates")
    with pytest.raises(NotVerifiedError, match="does not lead"):
        verify_path(issue("leaf", middle).certificate, [middle.certificate], [ROOT.certificate], AT)


def test_an_issuer_that_may_not_sign_certificates_is_refused() -> None:
    middle = issue("weak", ROOT, authority=True, usage="data")
    with pytest.raises(NotVerifiedError) as caught:
        verify_path(issue("leaf", middle).certificate, [middle.certificate], [ROOT.certificate], AT)
    assert "may not sign certificates" in caught.value.problems[0]


def test_a_path_longer_than_an_issuer_allows_is_refused() -> None:
    below = issue("below", MIDDLE, authority=True)
    leaf = issue("leaf", below)
    with pytest.raises(NotVerifiedError, match="does not lead"):
        verify_path(leaf.certificate, [MIDDLE.certificate, below.certificate], [ROOT.certificate], AT)


def test_more_intermediates_than_any_maker_has_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="9 intermediate certificates"):
        verify_path(AK_CERTIFICATE.certificate, [MIDDLE.certificate] * 9, [ROOT.certificate], AT)


def test_an_authority_is_no_attestation_key() -> None:
    assert "is an authority's certificate" in refused(issue("authority", ROOT, authority=True))


def test_a_certificate_for_encipherment_is_refused() -> None:
    assert "may not sign data" in refused(issue("leaf", ROOT, usage="encipherment"))


def test_an_endorsement_key_is_no_attestation_key() -> None:
    usage = (x509.ExtendedKeyUsage([EK_USAGE]), False)
    assert "2.23.133.8.1" in refused(issue("ek", ROOT, extensions=[usage]))


def test_the_usage_and_the_critical_names_of_attestation_certificates_are_accepted() -> None:
    name = x509.DirectoryName(x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:414D4400")]))
    usage = (x509.ExtendedKeyUsage([ATTESTATION_KEY_USAGE]), True)
    leaf = issue("", ROOT, extensions=[usage, (x509.SubjectAlternativeName([name]), True)])
    assert chained(leaf).trust.kind == TrustKind.CERTIFICATE


def test_a_critical_extension_that_nobody_knows_is_refused() -> None:
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)
    assert refused(issue("leaf", ROOT, extensions=[unknown]))


def test_a_short_rsa_key_in_the_path_is_refused() -> None:
    root = issue("short", authority=True, key=rsa_key("short", 1024), digest=hashes.SHA256())
    assert refused(issue("leaf", root, digest=hashes.SHA256()), roots=(root,))


def test_a_key_that_is_expected_must_be_that_of_the_certificate() -> None:
    assert chained(AK_CERTIFICATE, expected=rsa_key().public_key()).public_area is None
    assert "not that of the certificate" in refused(AK_CERTIFICATE, expected=rsa_key("other").public_key())
    assert "not that of the certificate" in refused(AK_CERTIFICATE, expected=ec_key("other").public_key())
    other = parse_public(public_area(rsa_key("other")))
    assert "not that of the certificate" in refused(AK_CERTIFICATE, expected=other)
    with pytest.raises(NotVerifiedError, match="no attestation key"):
        chained(AK_CERTIFICATE, expected=area(attributes=AK_ATTRIBUTES & ~RESTRICTED))


def test_a_certificate_of_another_type_of_key_is_refused() -> None:
    key: Any = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises((NotVerifiedError, InvalidInputError)):
        chained(issue("leaf", ROOT, key=key))


def test_a_name_in_a_message_cannot_steer_a_terminal() -> None:
    assert subject(issue("a\x1b[2Jb", ROOT).certificate) == "CN=a\N{REPLACEMENT CHARACTER}[2Jb"
    assert subject(AK_CERTIFICATE.certificate).startswith("certificate ")


@pytest.mark.parametrize("data", [b"", b"0\0", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="this is no certificate"):
        parse_certificate(data, "root")


def test_a_certificate_is_read_from_pem_and_bounded() -> None:
    assert parse_certificate(ROOT.certificate.public_bytes(Encoding.PEM), "root") == ROOT.certificate
    with pytest.raises(InvalidInputError, match="longer than"):
        parse_certificate(bytes(MAX_CERTIFICATE + 1), "root")


def test_a_public_key_is_read() -> None:
    key = ec_key().public_key()
    for form in (Encoding.PEM, Encoding.DER):
        assert load_public_key(key.public_bytes(form, PublicFormat.SubjectPublicKeyInfo)) == key
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    with pytest.raises(InvalidInputError, match="only RSA and ECC"):
        load_public_key(other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(InvalidInputError, match="no public key"):
        load_public_key(b"key")


CERTIFIER = trust_on_first_use(parse_public(public_area(ec_key("certifier"))))


def certified(statement: bytes, public: PublicArea | None = None, nonce: Any = NONCE) -> TrustedAk:
    signature = parse_signature(tpmt_signature(ec_key("certifier"), statement, "ecdsa"))
    return trust_certified_key(public or area(), statement, signature, CERTIFIER, nonce)


def test_a_certified_key_is_as_good_as_its_certifier() -> None:
    ak = certified(certify_attest(area().name))
    assert ak.trust.kind == TrustKind.CERTIFIED_KEY
    assert ak.trust.root_kind == TrustKind.FIRST_USE
    assert ak.key == rsa_key().public_key()
    assert certified(certify_attest(area().name, nonce=b""), nonce=NoNonce.FRESHNESS_NOT_CHECKED) == ak


def test_a_certification_of_another_key_is_refused() -> None:
    with pytest.raises(NotVerifiedError, match="not trusted") as caught:
        certified(certify_attest(parse_public(public_area(rsa_key("other"))).name))
    assert "is certified, not" in caught.value.problems[0]


def test_a_certification_with_another_nonce_is_refused() -> None:
    with pytest.raises(NotVerifiedError, match="not an answer"):
        certified(certify_attest(area().name, nonce=b"other"))


def test_a_certified_key_that_is_no_attestation_key_is_refused() -> None:
    weak = area(attributes=AK_ATTRIBUTES & ~RESTRICTED)
    with pytest.raises(NotVerifiedError, match="no attestation key"):
        certified(certify_attest(weak.name), weak)


def test_a_quote_certifies_nothing() -> None:
    with pytest.raises(InvalidInputError, match="attests a quote instead of a certified key"):
        certified(quote_attest())


def test_a_certification_by_another_key_is_refused() -> None:
    statement = certify_attest(area().name)
    signature = parse_signature(tpmt_signature(ec_key("other"), statement, "ecdsa"))
    with pytest.raises(NotVerifiedError, match="signature is not valid"):
        trust_certified_key(area(), statement, signature, CERTIFIER, NONCE)


def test_a_file_may_have_several_certificates_where_several_are_wanted() -> None:
    chain = [issue("first"), issue("second")]
    bundle = b"".join(item.certificate.public_bytes(Encoding.PEM) for item in chain)
    assert parse_certificates(bundle, "bundle") == [item.certificate for item in chain]
    with pytest.raises(InvalidInputError, match="bundle: there are 2 certificates, expected is one"):
        parse_certificate(bundle, "bundle")
    with pytest.raises(InvalidInputError, match="longer than"):
        parse_certificates(bundle * MAX_BUNDLE * 8, "bundle")


def test_a_serial_number_that_is_not_positive_is_no_reason_for_a_warning() -> None:
    issued = issue("negative")
    serial = issued.certificate.serial_number.to_bytes(20, "big").lstrip(b"\0")
    negative = issued.der.replace(serial, b"\x80" + serial[1:], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_certificate(negative, "certificate").signature == issued.certificate.signature


def test_the_authority_of_a_cloud_may_have_usages_and_places_of_its_own() -> None:
    """As Google's: the authorities are for endorsement keys, the leaf has an extension of the maker, and is RSA's."""
    usage = (x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.1")]), False)
    place = x509.AccessDescription(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.48.2"), x509.UniformResourceIdentifier("http://ca.example/ca.crt")
    )
    access = (x509.AuthorityInformationAccess([place]), False)
    makers = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.1.21"), b"\x30\x00"), False)
    sha256 = hashes.SHA256()
    root = issue("EK/AK CA Root", key=rsa_key("root"), authority=True, digest=sha256, extensions=[usage])
    middle = issue("EK/AK CA", root, key=rsa_key("middle"), authority=True, digest=sha256, extensions=[usage, access])
    leaf = issue("instance", middle, key=ec_key("instance"), digest=sha256, extensions=[access, makers])
    chain = [middle.certificate, root.certificate]
    assert trust_certificate(leaf.certificate, chain, [root.certificate], AT).trust.kind is TrustKind.CERTIFICATE
