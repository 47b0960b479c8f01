"""Files of other people's tools: what is read, what is refused, and what it is worth as evidence."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.evidence.attest import parse_quote
from builder.evidence.azure import HardwareReportKind, parse_hcl_report
from builder.evidence.evidence import EvidenceKind, evidence_of_document, evidence_of_quotes
from builder.evidence.evidence_files import Grounds, recognise, verify_evidence
from builder.evidence.go_tools import parse_go_attestation, parse_go_tpm_tools
from builder.evidence.nitro import NitroKind, verify_document
from builder.evidence.public_area import parse_public
from builder.evidence.quote import VerifiedQuote, verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.tpm2_tools import parse_marshaled_pcrs, parse_plain_pcrs, parse_serialized_pcrs, read_signature
from builder.evidence.trust import TrustKind, trust_on_first_use
from builder.evidence.trustee import parse_azure_evidence, parse_tpm_evidence
from tests.attester import (
    AT,
    NONCE,
    PCRS,
    clock,
    nitro_chain,
    nitro_document,
    public_area,
    quote_attest,
    raw_signature,
    rsa_key,
    tpmt_signature,
)
from tests.evidence_files import (
    TPM_PCRS,
    field,
    go_quote,
    go_tpm_tools_file,
    hcl_claims,
    hcl_report,
    marshaled_pcrs,
    serialized_pcrs,
    tpm_evidence,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = {"sha1": {i: bytes([i]) * 20 for i in range(24)}, "sha256": {i: bytes([i]) * 32 for i in range(24)}}


def quoted(pcrs: Any = PCRS, key: str = "ak", nonce: bytes = NONCE, **head: Any) -> VerifiedQuote:
    attest = quote_attest(pcrs, nonce=nonce, **head)
    ak = trust_on_first_use(parse_public(public_area(rsa_key(key))))
    return verify_quote(attest, parse_signature(tpmt_signature(rsa_key(key), attest)), ak, nonce, pcrs)


# tpm2-tools


@pytest.mark.parametrize("pcrs", [PCRS, MANY], ids=["few", "many"])
def test_every_form_of_a_pcr_file_is_the_same(pcrs: Any) -> None:
    values = b"".join(bank[index] for bank in pcrs.values() for index in sorted(bank))
    selection = parse_quote(quote_attest(pcrs)).selection
    assert parse_serialized_pcrs(serialized_pcrs(pcrs)) == pcrs
    assert parse_marshaled_pcrs(marshaled_pcrs(pcrs)) == pcrs
    assert parse_plain_pcrs(values, selection) == pcrs


def patched(offset: int, value: bytes) -> bytes:
    data = bytearray(serialized_pcrs(PCRS))
    data[offset : offset + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "needs 4 bytes"),
        (patched(0, b"\x11"), "a selection of 17 banks"),
        (patched(4, b"\x12"), "hash algorithm 0x0012 is not supported"),
        (patched(6, b"\5"), "a PCR selection of 5 bytes"),
        (patched(12, b"\x0b\0"), "the bank sha256 is selected twice"),
        (patched(7, b"\3"), "the digests are not those of the selected PCRs"),
        (patched(132, b"\xff"), "255 lists of digests are more than 48"),
        (patched(132, b"\2"), "do not hold 2 lists"),
        (patched(136, b"\x09"), "a list of 9 digests"),
        (patched(136, b"\3"), "the digests are not those of the selected PCRs"),
        (patched(140, b"\x41"), "a digest of 65 bytes"),
        (patched(140, b"\x14"), "the digests are not those of the selected PCRs"),
        (serialized_pcrs(PCRS) + b"\0", "do not hold 1 lists of digests and nothing else"),
        (serialized_pcrs(PCRS)[:-1], "do not hold 1 lists"),
    ],
)
def test_a_pcr_file_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_serialized_pcrs(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (marshaled_pcrs(PCRS) + b"\0", "1 bytes follow its end"),
        (marshaled_pcrs(PCRS)[:-50], "needs"),
        (
            marshaled_pcrs({"sha256": {0: bytes(32)}}).replace(b"\x00\x20" + bytes(32), b"\0\x10" + bytes(16)),
            "not those",
        ),
    ],
)
def test_a_marshaled_pcr_file_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        parse_marshaled_pcrs(data)


def test_plain_pcr_values_have_the_size_of_the_selection() -> None:
    selection = parse_quote(quote_attest(PCRS)).selection
    with pytest.raises(MalformedImageError, match="1 bytes follow the last selected PCR"):
        parse_plain_pcrs(bytes(3 * 32 + 48 + 1), selection)
    with pytest.raises(MalformedImageError, match="needs 48 bytes"):
        parse_plain_pcrs(bytes(3 * 32 + 47), selection)


# go-tpm-tools and go-attestation


def test_an_attestation_of_go_tpm_tools_is_evidence() -> None:
    file = parse_go_tpm_tools(go_tpm_tools_file())
    area = parse_public(file.ak_public)
    ak = trust_on_first_use(area)
    quotes = [verify_quote(q.attest, read_signature(q.signature, area), ak, NONCE, q.pcrs) for q in file.quotes]
    evidence = evidence_of_quotes(quotes)
    assert (evidence.kind, evidence.pcrs, evidence.nonce) == (EvidenceKind.TPM_QUOTE, PCRS, NONCE)
    assert evidence.trust.kind == TrustKind.FIRST_USE
    assert evidence.clock == quotes[0].clock
    assert file.event_log == b"log"


def test_an_attestation_may_have_no_log() -> None:
    assert parse_go_tpm_tools(go_tpm_tools_file(b"")).event_log == b""


PUBLIC, QUOTE = field(1, public_area(rsa_key())), go_quote({"sha256": {0: bytes(32)}})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it has 0 quotes"),
        (PUBLIC, "it has 0 quotes"),
        (PUBLIC + field(2, QUOTE) * 17, "it has 17 quotes"),
        (field(2, QUOTE), "the field ak_pub is not there once"),
        (PUBLIC * 2 + field(2, QUOTE), "the field ak_pub is not there once"),
        (field(1, 5) + field(2, QUOTE), "the field ak_pub is not there once"),
        (PUBLIC + field(2, 7), "a quote is no message"),
        (PUBLIC + field(2, b""), "the field pcrs is not there once"),
        (PUBLIC + field(2, field(3, b"")), "do not name one hash"),
        (
            PUBLIC + field(2, field(1, b"") + field(2, b"") + field(3, field(1, 0x12))),
            "hash algorithm 0x0012 is not supported",
        ),
        (PUBLIC + field(2, field(3, field(1, 11) + field(2, b"") * 2)), "value of a PCR is not there once"),
        (PUBLIC + field(2, field(3, field(1, 11) + field(2, field(2, b"x")) * 2)), "one index of its own"),
        (PUBLIC + b"\x0b", "the wire type 3 is not supported"),
        (PUBLIC + b"\x00\x00", "a field has the number 0"),
        (PUBLIC + b"\xff" * 10, "a number is longer than 10 bytes"),
        (PUBLIC + b"\x12\xff\xff\xff\xff\x0f", "needs 4294967295 bytes"),
        (PUBLIC + b"\x2d\0\0", "needs 4 bytes"),
        (b"\x20\0" * 4097, "more than 4096 fields"),
    ],
)
def test_a_protobuf_that_is_no_attestation_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_go_tpm_tools(data)


def go_record(**changes: Any) -> bytes:
    pcrs = {"sha256": {0: bytes(32)}}
    attest = quote_attest(pcrs)
    text = {
        "ak": public_area(rsa_key()),
        "quote": attest,
        "signature": tpmt_signature(rsa_key(), attest),
        "digest": bytes(32),
    }
    encoded = {name: base64.b64encode(value).decode() for name, value in text.items()}
    pcr = {"Index": 0, "Digest": encoded["digest"], "DigestAlg": changes.get("algorithm", 5)}
    return json.dumps(
        {
            "Static": {"TPMVersion": changes.get("version", 2), "EKPem": None},
            "AK": {"Public": encoded["ak"], "CreateData": None},
            "Quote": {"Quote": encoded["quote"], "Signature": encoded["signature"], "Nonce": ""},
            "Log": {"PCRs": [pcr] * changes.get("times", 1), "Raw": "bG9n"},
        }
    ).encode()


def test_a_record_of_go_attestation_is_verified() -> None:
    file = parse_go_attestation(go_record())
    (quote,) = file.quotes
    ak = trust_on_first_use(parse_public(file.ak_public))
    assert verify_quote(quote.attest, parse_signature(quote.signature), ak, NONCE, quote.pcrs).pcrs == quote.pcrs
    assert file.event_log == b"log"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (go_record(version=1), "only quotes of a TPM 2.0"),
        (go_record(algorithm=9), "the hash 9 of PCR 0 is not supported"),
        (go_record(times=2), r"PCR 0 \(sha256\) comes twice"),
        (b"{}", "missing required field"),
        (b"\xff", "go-attestation record"),
        (b"[" * 100000, "go-attestation record"),
        (go_record().replace(b'"Raw":', b'"Raw": "", "Raw":'), "an object has a key twice"),
    ],
)
def test_a_record_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_go_attestation(data)


# Azure


@pytest.mark.parametrize(("kind", "hash_type"), [(2, 1), (4, 1), (2, 2), (4, 3)])
def test_an_hcl_report_names_the_key_that_its_hardware_report_binds(kind: int, hash_type: int) -> None:
    report = parse_hcl_report(hcl_report(kind=kind, hash_type=hash_type))
    assert report.kind == HardwareReportKind(kind)
    assert report.ak == rsa_key().public_key()
    assert report.user_data == b"\0\xff"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (hcl_report(digest=bytes(32)), "not that of its hardware report"),
        (hcl_report()[:-1] + b" ", "not that of its hardware report"),
        (hcl_report(kind=3), "the report type 3 is neither SNP"),
        (hcl_report(hash_type=4), "the hash type is none of"),
        (hcl_report(version=9), "does not start with HCLA"),
        (b"HCLB" + hcl_report()[4:], "does not start with HCLA"),
        (hcl_report()[:-1], "needs"),
        (hcl_report()[:1200], "needs 4 bytes"),
        (bytes(16385), "16385 bytes are more"),
        (hcl_report(b"{}"), "its claims cannot be read"),
        (hcl_report(b"\xff"), "its claims cannot be read"),
        (hcl_report(b"[" * 10000), "its claims cannot be read"),
        (hcl_report(hcl_claims(kid="HCLEkPub")), "does not have one RSA key HCLAkPub"),
        (hcl_report(hcl_claims().replace(b'"RSA"', b'"EC"')), "does not have one RSA key HCLAkPub"),
        (hcl_report(hcl_claims().replace(b'"AQAB"', b'"A*AB"')), "is not base64url"),
        (hcl_report(hcl_claims().replace(b'"AQAB"', b'""')), "0 bytes, not 1 to 512"),
        (hcl_report(hcl_claims().replace(b'"AQAB"', b'"AAAC"')), "this is no RSA key"),
        (hcl_report(hcl_claims(user_data="xx")), "its user data is not hexadecimal"),
        (hcl_report(hcl_claims().replace(b'"keys":', b'"keys": [], "keys":')), "an object has a key twice"),
    ],
)
def test_an_hcl_report_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises((InvalidInputError, NotVerifiedError), match=problem):
        parse_hcl_report(data)


@pytest.mark.parametrize("data", [b"hello world", b"\x89PNG\r\n", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_that_is_nothing_of_the_kind_is_no_evidence(data: bytes) -> None:
    with pytest.raises(InvalidInputError, match="no evidence of a known kind") as caught:
        recognise([data])
    assert caught.value.hint is not None


AZURE_PCRS = {"sha256": {index: bytes([index]) * 32 for index in range(24)}}


def azure_evidence(form: Callable[[bytes], Any] = bytes.hex, **changes: Any) -> bytes:
    attest = quote_attest(AZURE_PCRS)
    quote = {
        "message": form(attest),
        "signature": form(raw_signature(rsa_key(), attest)),
        "pcrs": [form(value) for value in AZURE_PCRS["sha256"].values()],
    }
    report = base64.urlsafe_b64encode(hcl_report()).rstrip(b"=").decode() if form is bytes.hex else form(hcl_report())
    fields = {"version": 1, "tpm_quote": quote, "hcl_report": report, "vcek": ""} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


@pytest.mark.parametrize("data", [azure_evidence(), azure_evidence(list, version=...)], ids=["hex", "lists"])
def test_azure_evidence_is_verified_with_the_key_of_its_report(data: bytes) -> None:
    file = parse_azure_evidence(data)
    quote = verify_quote(file.attest, file.signature, trust_on_first_use(file.report.ak), NONCE, file.pcrs)
    assert quote.pcrs == AZURE_PCRS


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (azure_evidence(version=3), "version 3 is none of 0, 1 and 2"),
        (azure_evidence(tpm_quote=...), "the quote or the HCL report is missing"),
        (azure_evidence(hcl_report=...), "the quote or the HCL report is missing"),
        (azure_evidence(hcl_report="*"), "the HCL report is not base64url"),
        (azure_evidence(tpm_quote={"message": "", "signature": "", "pcrs": []}), "0 PCRs instead of 24"),
        (azure_evidence(tpm_quote={"message": "xx", "signature": "00", "pcrs": ["00"] * 24}), "neither hexadecimal"),
        (azure_evidence(tpm_quote={"message": [256], "signature": "00", "pcrs": ["00"] * 24}), "neither hexadecimal"),
        (b"{", "Azure vTPM evidence"),
        (azure_evidence().replace(b'"hcl_report":', b'"hcl_report": "", "hcl_report":'), "has a key twice"),
        (bytes((1 << 20) + 1), "bytes are more than"),
    ],
)
def test_azure_evidence_that_is_none_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_azure_evidence(data)


def test_evidence_of_a_tpm_with_a_key_twice_is_refused() -> None:
    data = json.dumps(tpm_evidence()).encode().replace(b'"ak_public":', b'"ak_public": "", "ak_public":')
    with pytest.raises(InvalidInputError, match="an object has a key twice"):
        parse_tpm_evidence(data)


def test_evidence_of_any_tpm_is_verified_with_the_key_that_came_along() -> None:
    untrusted = recognise([json.dumps(tpm_evidence()).encode()])
    grounds = Grounds(None, first_use=True, nitro_roots=(), at=AT)
    found = verify_evidence(untrusted, NONCE, grounds)
    assert found.pcrs == {"sha256": TPM_PCRS}
    assert found.trust.kind == TrustKind.FIRST_USE
    with pytest.raises(InvalidInputError, match="none is given"):
        verify_evidence(untrusted, NONCE, replace(grounds, first_use=False))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (tpm_evidence(pcrs=[]), "TPM evidence: it has 0 PCRs instead of 24"),
        (tpm_evidence(pcrs=["xx"] * 24), "TPM evidence: a value is neither"),
        (tpm_evidence(message="*"), "TPM evidence: a value is not base64"),
        (tpm_evidence(signature=""), "TPM signature at offset 0x0: it is empty"),
        (tpm_evidence() | {"ak_public": ""}, "this is no public key"),
        (tpm_evidence() | {"tpm_quote": 1}, "TPM evidence: Expected"),
    ],
)
def test_evidence_of_a_tpm_that_is_none_is_refused(value: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        recognise([json.dumps(value).encode()])


def test_long_evidence_of_a_tpm_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="bytes are more than"):
        parse_tpm_evidence(bytes((1 << 20) + 1))


# Evidence


def test_quotes_of_one_state_are_one_piece_of_evidence() -> None:
    parts = [quoted({name: bank}) for name, bank in PCRS.items()]
    assert evidence_of_quotes(parts).pcrs == evidence_of_quotes([quoted()]).pcrs == PCRS


def test_no_quote_is_no_evidence() -> None:
    with pytest.raises(InvalidInputError, match="there is no quote"):
        evidence_of_quotes([])


def test_quotes_that_are_not_of_one_state_are_refused_with_every_reason() -> None:
    changed = {"sha256": PCRS["sha256"] | {0: bytes(32)}}
    other = quoted(changed, key="other", nonce=b"other", clock_info=clock(resets=9))
    with pytest.raises(NotVerifiedError, match="one state of one machine") as caught:
        evidence_of_quotes([quoted(), other])
    assert caught.value.problems == (
        "PCR 0 (sha256) changed between them",
        "the TPM was reset or restarted between them",
        "they are signed by different keys",
        "they carry different nonces",
    )


def test_a_nitrotpm_document_is_evidence_with_its_claims() -> None:
    document = verify_document(nitro_document(public_key=b"key"), [nitro_chain()[0].certificate], NONCE, AT)
    evidence = evidence_of_document(document)
    assert (evidence.kind, evidence.time, evidence.trust.kind) == (EvidenceKind.NITROTPM, AT, TrustKind.CERTIFICATE)
    assert evidence.pcrs == {"sha384": document.sha384_pcrs}
    assert evidence.claims == {"module_id": document.module_id, "user_data": b"user data", "public_key": b"key"}


def test_an_enclaves_document_is_no_evidence_of_a_boot() -> None:
    document = verify_document(nitro_document(), [nitro_chain()[0].certificate], NONCE, AT)
    with pytest.raises(InvalidInputError, match="document of the Nitro Enclave"):
        evidence_of_document(replace(document, kind=NitroKind.ENCLAVE))
