"""A key is trusted for its TPM if that has a certificate that holds, and answers; a software TPM reads what we ask."""

from __future__ import annotations

import struct
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.credential import make_credential
from builder.evidence.endorsement import ENDORSEMENT_KEY_USAGE, Activation, EndorsementRoots, ask_endorsed
from builder.evidence.evidence_files import Grounds
from builder.evidence.public_area import parse_public
from builder.evidence.trust import ATTESTATION_KEY_USAGE, TrustKind, load_public_key
from builder.process import run
from tests.attester import AK_ATTRIBUTES, AT, Issued, ec_key, issue, public_area, rsa_key

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from builder.mkosi.toolchain import Toolchain

ROOT = issue("maker root", authority=True, end=AT + timedelta(days=3650))
MIDDLE = issue("maker issuing", ROOT, authority=True, path_length=0)
TRUSTED = EndorsementRoots([ROOT.certificate], [MIDDLE.certificate])
AREA = parse_public(public_area(ec_key("ak")))
# Of a certificate as the TCG's profile has it: no subject, and the TPM's maker in a critical alternative name.
MAKER = x509.SubjectAlternativeName(
    [x509.DirectoryName(x509.Name([x509.NameAttribute(x509.ObjectIdentifier("2.23.133.2.1"), "id:00001014")]))]
)
USAGE = x509.ExtendedKeyUsage([ENDORSEMENT_KEY_USAGE])


def endorsement(issuer: Issued = MIDDLE, **options: Any) -> x509.Certificate:
    plain = {"key": rsa_key("ek"), "usage": "encipherment", "extensions": [(MAKER, True), (USAGE, False)]}
    return issue("", issuer, **(plain | options)).certificate


def asked(certificate: x509.Certificate, trusted: EndorsementRoots = TRUSTED, area: bytes | None = None) -> Activation:
    return ask_endorsed(AREA if area is None else parse_public(area), certificate, trusted, AT)


@pytest.mark.parametrize("key", [rsa_key("ek"), ec_key("ek")], ids=["rsa", "ecc"])
def test_the_right_answer_makes_the_key_a_trusted_one(key: Any) -> None:
    activation = asked(endorsement(key=key))
    trusted = activation.trusted(activation._secret)
    assert trusted.public_area == AREA
    assert trusted.trust.kind is trusted.trust.root_kind is TrustKind.ENDORSED
    assert "by root CN=maker root" in trusted.trust.detail


def test_any_other_answer_does_not() -> None:
    activation = asked(endorsement())
    for answer in (b"", bytes(32), activation._secret[:-1], activation._secret + b"\0", asked(endorsement())._secret):
        with pytest.raises(NotVerifiedError, match="not trusted") as refused:
            activation.trusted(answer)
        assert "its answer is wrong" in refused.value.problems[0]


def test_the_secret_is_in_no_representation_of_the_question() -> None:
    activation = asked(endorsement())
    assert activation._secret.hex() not in repr(activation)
    assert repr(activation._secret) not in repr(activation)
    assert activation._secret not in activation.credential.wire


def test_a_certificate_without_usages_will_do() -> None:
    assert asked(endorsement(usage=None, extensions=[]))


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        (endorsement(issue("other", authority=True)), "the certificate of its issuer is not given"),
        (endorsement(end=AT - timedelta(minutes=1)), "is valid from"),
        (endorsement(usage="data"), "may not share secrets"),
        (
            endorsement(extensions=[(x509.ExtendedKeyUsage([ATTESTATION_KEY_USAGE]), False)]),
            "not for an endorsement key",
        ),
        (MIDDLE.certificate, "authority's certificate"),
        (endorsement(extensions=[(x509.UnrecognizedExtension(ENDORSEMENT_KEY_USAGE, b"x"), True)]), "critical"),
    ],
    ids=["issuer", "expired", "signs", "attestation", "authority", "extension"],
)
def test_a_certificate_that_does_not_hold_is_refused_before_anything_is_asked(
    certificate: x509.Certificate, problem: str
) -> None:
    with pytest.raises(NotVerifiedError) as refused:
        asked(certificate)
    assert problem in " ".join(refused.value.problems)


def test_without_a_root_and_with_keys_that_no_template_has_nothing_is_asked() -> None:
    with pytest.raises(InvalidInputError, match="no root certificate"):
        asked(endorsement(), EndorsementRoots([], [MIDDLE.certificate]))
    for key in (ec_key("ek", ec.SECP384R1), rsa_key("large", 3072)):
        with pytest.raises(InvalidInputError, match="only RSA with 2048 bits and ECC on P-256"):
            asked(endorsement(key=key))


@pytest.mark.parametrize("bit", [1 << 1, 1 << 16, 1 << 17], ids=["fixedTPM", "restricted", "decrypt"])
def test_a_key_that_is_no_attestation_key_is_refused_whatever_tpm_it_is_in(bit: int) -> None:
    with pytest.raises(NotVerifiedError, match="no attestation key"):
        asked(endorsement(), area=public_area(ec_key("ak"), attributes=AK_ATTRIBUTES ^ bit))


def test_a_secret_that_a_tpm_cannot_hold_is_a_mistake_of_ours() -> None:
    for secret in (b"", bytes(33)):
        with pytest.raises(ValueError, match="1 to 32 bytes"):
            make_credential(rsa_key("ek").public_key(), AREA.name, secret)


def test_a_key_has_one_ground() -> None:
    with pytest.raises(ValueError, match="not for two"):
        Grounds(None, first_use=True, nitro_roots=(), at=AT, endorsed=TRUSTED)


# An endorsement key of each kind, and an attestation key: the same in every run. In the second, the credentials.
MAKE = """
set -eu
cd "$1"
mkdir -p state
swtpm socket --tpm2 --tpmstate dir=state --flags not-need-init,startup-clear \\
    --server type=unixio,path=tpm.sock --ctrl type=unixio,path=tpm.sock.ctrl >swtpm.log 2>&1 &
trap "kill $!" EXIT
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -S tpm.sock.ctrl ] && break; sleep 0.25; done
export TPM2TOOLS_TCTI=swtpm:path=tpm.sock
for type in rsa ecc; do
    tpm2_createek -Q -c ek_$type.ctx -G $type
    tpm2_readpublic -Q -c ek_$type.ctx -f pem -o ek_$type.pem
    tpm2_flushcontext -t
    tpm2_createprimary -Q -C e -c ak_$type.ctx -G ecc256:ecdsa-sha256:null \\
        -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
    tpm2_flushcontext -t
    tpm2_readpublic -Q -c ak_$type.ctx -f tss -o ak_$type.pub
    tpm2_flushcontext -t
    [ -f $type.credential ] || continue
    tpm2_startauthsession -Q --policy-session -S session.ctx
    tpm2_policysecret -Q -S session.ctx -c e
    tpm2_activatecredential -Q -c ak_$type.ctx -C ek_$type.ctx -P session:session.ctx \\
        -i $type.credential -o $type.secret
    tpm2_flushcontext session.ctx
    tpm2_flushcontext -t
done
rm -f tpm.sock tpm.sock.ctrl
"""
# tpm2-tools' file: magic and version, then both structures.
HEAD = struct.pack(">II", 0xBADCC0DE, 1)


@pytest.mark.oracle
def test_a_tpm_reads_the_secret_that_was_protected_for_its_keys(test_tools: Toolchain, tmp_path: Path) -> None:
    make = test_tools.command(["sh", "-c", MAKE, "make", str(tmp_path)], writable=[tmp_path])
    run(make, timeout=120)
    for kind in ("rsa", "ecc"):
        key = load_public_key((tmp_path / f"ek_{kind}.pem").read_bytes())
        name = parse_public((tmp_path / f"ak_{kind}.pub").read_bytes()).name
        (tmp_path / f"{kind}.credential").write_bytes(HEAD + make_credential(key, name, kind.encode()).wire)
    run(make, timeout=120)
    for kind in ("rsa", "ecc"):
        assert (tmp_path / f"{kind}.secret").read_bytes() == kind.encode()
