"""Quotes and documents of real clouds verify or fail as published lists of them say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import NotVerifiedError
from builder.evidence.attest import parse_quote
from builder.evidence.azure import HardwareReportKind, parse_hcl_report
from builder.evidence.certificates import fingerprint, parse_certificate
from builder.evidence.cose import parse_sign1
from builder.evidence.evidence import evidence_of_quotes
from builder.evidence.evidence_files import Grounds
from builder.evidence.freshness import NoNonce
from builder.evidence.go_tools import parse_go_attestation, parse_go_tpm_tools
from builder.evidence.nitro import (
    AWS_ROOT_FINGERPRINT,
    MAX_DOCUMENT,
    NitroKind,
    document_time,
    parse_payload,
    verify_document,
)
from builder.evidence.node_document import Challenge, parse_node_document, verify_node_document
from builder.evidence.public_area import parse_public
from builder.evidence.quote import verify_quote
from builder.evidence.signature import RSASSA, plain_signature
from builder.evidence.tpm2_tools import read_signature
from builder.evidence.trust import trust_on_first_use
from builder.evidence.trustee import parse_azure_evidence
from tests.attester import nitro_chain
from tests.event_logs import public
from tests.node_documents import NONCE, encoded, fields, identity, tls_key
from tests.nodes import Node

if TYPE_CHECKING:
    from cryptography import x509

DSTACK = "Dstack-TEE+dstack/dstack"
TRUSTEE = "confidential-containers+trustee/deps/verifier/test_data"
GO_TPM_TOOLS = "google+go-tpm-tools/internal/test/attestations"
UNCHECKED = NoNonce.FRESHNESS_NOT_CHECKED


def inner_document(data: bytes) -> bytes:
    """The COSE_Sign1 in dstack's SCALE envelope: two bytes, a compact length in its two-byte form, the document."""
    return data[4:][: int.from_bytes(data[2:4], "little") >> 2]


def aws_root(document: bytes) -> x509.Certificate:
    """AWS's root from a document, known by its fingerprint."""
    root = parse_payload(parse_sign1(document, limit=MAX_DOCUMENT).payload).cabundle[0]
    certificate = parse_certificate(root, "root")
    assert fingerprint(certificate) == AWS_ROOT_FINGERPRINT
    return certificate


@pytest.mark.parametrize(
    ("path", "module_id"),
    [
        (f"{DSTACK}/nsm-attest/tests/nitro_attestation.bin", "i-0827e799ec9232d44-enc019b55a68bd2ed4b"),
        (f"{DSTACK}/nsm-qvl/tests/nitro_attestation.bin", "i-0827e799ec9232d44-enc019b55a68bd2ed4b"),
        (f"{DSTACK}/dstack-attest/tests/nitro_attestation.bin", "i-0827e799ec9232d44-enc019b5640fdf630d6"),
        (f"{DSTACK}/dstack-attest/tests/nitro_attestation_dbg.bin", "i-0fd3fdaad4e904e69-enc019b54988b2d89ba"),
    ],
)
def test_an_enclave_document_of_aws_is_verified(path: str, module_id: str) -> None:
    data = inner_document(public(path))
    document = verify_document(data, [aws_root(data)], UNCHECKED, document_time(data))
    assert (document.kind, document.module_id, len(document.sha384_pcrs)) == (NitroKind.ENCLAVE, module_id, 16)
    assert document.trust.detail.startswith(f"certificate CN={module_id}.us-east-1.aws")


def test_a_document_of_aws_is_refused_with_a_nonce_it_does_not_carry() -> None:
    data = inner_document(public(f"{DSTACK}/nsm-attest/tests/nitro_attestation.bin"))
    with pytest.raises(NotVerifiedError, match="not an answer"):
        verify_document(data, [aws_root(data)], b"nonce", document_time(data))


def test_a_document_of_aws_that_was_recorded_is_genuine_and_answers_no_client_of_a_node() -> None:
    data = inner_document(public(f"{DSTACK}/nsm-attest/tests/nitro_attestation.bin"))
    challenge = Challenge(NONCE, tls_key(identity("node")))
    told = fields(Node.of(), challenge) | {"nitrotpm": {"document": encoded(data)}}
    del told["tpm"]
    document = parse_node_document(json.dumps(told).encode())

    def verify(root: x509.Certificate) -> None:
        grounds = Grounds(None, first_use=False, nitro_roots=[root], at=document_time(data))
        verify_node_document(document, challenge, grounds)

    with pytest.raises(NotVerifiedError, match="not an answer to this request"):
        verify(aws_root(data))
    with pytest.raises(NotVerifiedError, match="does not lead to a trusted root"):
        verify(nitro_chain()[0].certificate)


@pytest.mark.parametrize(("name", "nonce"), [("no-nonce", UNCHECKED), ("nonce9009", b"\x90\x09")])
def test_the_quotes_of_a_gce_instance_are_verified_in_every_bank(name: str, nonce: Any) -> None:
    file = parse_go_tpm_tools(public(f"{GO_TPM_TOOLS}/gce-cos-85-{name}.pb"))
    area = parse_public(file.ak_public)
    ak = trust_on_first_use(area)
    quotes = [verify_quote(q.attest, read_signature(q.signature, area), ak, nonce, q.pcrs) for q in file.quotes]
    evidence = evidence_of_quotes(quotes)
    assert {bank: len(values) for bank, values in evidence.pcrs.items()} == {"sha1": 24, "sha256": 24, "sha384": 24}
    assert file.event_log


def test_a_gce_instance_without_nonce_is_refused_where_one_is_asked_for() -> None:
    file = parse_go_tpm_tools(public(f"{GO_TPM_TOOLS}/gce-cos-85-no-nonce.pb"))
    area, quote = parse_public(file.ak_public), file.quotes[0]
    signature = read_signature(quote.signature, area)
    with pytest.raises(NotVerifiedError, match="not an answer"):
        verify_quote(quote.attest, signature, trust_on_first_use(area), b"\x90\x09", quote.pcrs)


def test_a_windows_quote_over_sha1_is_refused_unless_it_is_allowed() -> None:
    data = public("google+go-eventlog/testdata/legacydata/windows_gcp_shielded_vm.json")
    file = parse_go_attestation(data)
    area, quote = parse_public(file.ak_public), file.quotes[0]
    signature, ak = read_signature(quote.signature, area), trust_on_first_use(area)
    with pytest.raises(NotVerifiedError, match="signature is not valid"):
        verify_quote(quote.attest, signature, ak, UNCHECKED, quote.pcrs)
    assert len(verify_quote(quote.attest, signature, ak, UNCHECKED, quote.pcrs, allow_sha1=True).pcrs["sha1"]) == 24


AZURE = [
    *(f"az-snp-vtpm/evidence-{version}.json" for version in ("v0", "v1", "v2", "genoa")),
    *(f"az-tdx-vtpm/evidence-{version}.json" for version in ("v0", "v1")),
]


@pytest.mark.parametrize("name", AZURE)
def test_the_quote_of_an_azure_vm_is_verified_with_the_key_of_its_hcl_report(name: str) -> None:
    file = parse_azure_evidence(public(f"{TRUSTEE}/{name}"))
    quote = verify_quote(file.attest, file.signature, trust_on_first_use(file.report.ak), UNCHECKED, file.pcrs)
    assert len(quote.pcrs["sha256"]) == 24
    assert file.report.kind == (HardwareReportKind.SNP if "snp" in name else HardwareReportKind.TDX)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{TRUSTEE}/az-snp-vtpm/hcl-report.bin", HardwareReportKind.SNP),
        (f"{TRUSTEE}/az-tdx-vtpm/hcl-report.bin", HardwareReportKind.TDX),
        (
            "edgelesssys+constellation/internal/attestation/azure/tdx/testdata/hclreport.bin",
            HardwareReportKind.TDX,
        ),
    ],
)
def test_an_hcl_report_is_bound_to_its_hardware_report(path: str, kind: HardwareReportKind) -> None:
    assert parse_hcl_report(public(path)).kind == kind


def test_a_quote_of_another_machine_is_refused() -> None:
    attest = public(f"{TRUSTEE}/az-snp-vtpm/tpm-quote.msg")
    signature = plain_signature(public(f"{TRUSTEE}/az-snp-vtpm/tpm-quote.sig"), RSASSA, "sha256")
    report = parse_hcl_report(public(f"{TRUSTEE}/az-snp-vtpm/hcl-report.bin"))
    with pytest.raises(NotVerifiedError, match="signature is not valid"):
        verify_quote(attest, signature, trust_on_first_use(report.ak), b"challenge", {})


@pytest.mark.parametrize(
    ("path", "pcrs", "nonce"),
    [
        (f"{DSTACK}/tpm-attest/tests/tpm_quote_sample.bin", (0, 1, 2), "12345678"),
        (f"{TRUSTEE}/az-snp-vtpm/tpm-quote.msg", (0, 1, 2, 3, 4, 5, 6, 7, 14), "6368616c6c656e6765"),
    ],
)
def test_a_quote_without_its_key_is_read(path: str, pcrs: tuple[int, ...], nonce: str) -> None:
    quote = parse_quote(public(path))
    assert quote.selection == (("sha256", pcrs),)
    assert quote.extra_data.hex() == nonce
