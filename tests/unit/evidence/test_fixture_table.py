"""Every file of the public collection is read, verified or refused as its kind is; one of no known kind fails."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence import cbor
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.azure import parse_hcl_report
from builder.evidence.certificates import parse_certificates
from builder.evidence.cose import parse_sign1
from builder.evidence.decode import decode
from builder.evidence.eventlog import parse_event_log
from builder.evidence.evidence_files import Grounds, read_attestation_key, recognise, verify_evidence
from builder.evidence.freshness import NoNonce
from builder.evidence.go_tools import parse_go_attestation
from builder.evidence.nitro import document_time, verify_document
from builder.evidence.replay import replay
from builder.evidence.systemd_log import parse_userspace_log
from builder.image.pe import authenticode_digest
from builder.release.revocations import load_revocations
from builder.release.trusted import load_trusted_reference
from signing import esl, keys
from signing.errors import SigningError
from tests.attester import AT
from tests.event_logs import OWN_LOGS, PUBLIC, VECTORS
from tests.nodes import SIGNER
from tests.unit.evidence.test_evidence_published import aws_root, inner_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIMIT = 1 << 21
UNCHECKED = NoNonce.FRESHNESS_NOT_CHECKED
FIRST_USE = Grounds(None, first_use=True, nitro_roots=(), at=AT)
REFUSALS = (InvalidInputError, NotVerifiedError, SigningError)
# What a stranger can hand over, whatever it is called.
READERS: dict[str, Callable[[bytes], Any]] = {
    "event log": parse_event_log,
    "systemd's log": parse_userspace_log,
    "evidence": lambda data: verify_evidence(recognise([data]), UNCHECKED, FIRST_USE),
    "attestation key": read_attestation_key,
    "HCL report": parse_hcl_report,
    "release": lambda data: load_trusted_reference(data, [SIGNER.public_key]),
    "revocations": lambda data: load_revocations(data, [SIGNER.public_key]),
    "signature lists": esl.parse_signature_lists,
}


def log(path: Path) -> None:
    """Read, decoded, and replayed; what is known of the values is in test_eventlog_published.py."""
    found = parse_event_log(path.read_bytes())
    assert all(decode(event).text.isprintable() for event in found.events)
    assert replay(found).values.keys() == set(found.algorithms)


def tpm2_eventlog(path: Path) -> None:
    """What tpm2_eventlog printed of a log, if that is here."""
    name = path.name.removesuffix(".yaml")
    original = next((item for item in (path.parent / name, path.parents[1] / name) if item.is_file()), None)
    if original is None:
        return
    told = yaml.safe_load(path.read_text())
    ours = replay(parse_event_log(original.read_bytes())).values
    for label, values in (told.get("pcrs") or {}).items():
        algorithm = next(item for item in HashAlgorithm if item.label == label)
        assert {pcr: int(value.hex(), 16) for pcr, value in ours[algorithm].items()} == values
    # Of a log with SHA-1 only it prints a mapping with the same key again and again, which no YAML reader keeps.
    if isinstance(told["events"], list):
        events = parse_event_log(original.read_bytes()).events
        assert [event.register for event in events] == [item["PCRIndex"] for item in told["events"]]


def nothing_of_ours(path: Path) -> None:
    """Words, or evidence of kinds that bedplate does not read: every reader refuses it, and says so."""
    data = path.read_bytes()
    for name, read in READERS.items():
        with pytest.raises(REFUSALS) as refused:
            read(data)
        assert str(refused.value), name


def verified(path: Path) -> None:
    """Evidence with its key, which is all that vouches for it."""
    assert verify_evidence(recognise([path.read_bytes()]), UNCHECKED, FIRST_USE).pcrs


def refused_sha1(path: Path) -> None:
    """A quote that is signed over SHA-1."""
    assert parse_go_attestation(path.read_bytes()).quotes
    with pytest.raises(NotVerifiedError, match="signature is not valid"):
        verified(path)


def enclave(path: Path) -> None:
    """A document of AWS, in dstack's envelope."""
    data = inner_document(path.read_bytes())
    assert verify_document(data, [aws_root(data)], UNCHECKED, document_time(data)).sha384_pcrs


def certificate(path: Path) -> None:
    assert parse_certificates(path.read_bytes(), path.name)


def private_key(path: Path) -> None:
    """RSA of 4096 bits, by its name a Secure Boot key."""
    assert keys.load_private(path.read_bytes())


def program(path: Path) -> None:
    assert len(authenticode_digest(path.read_bytes(), "sha256")) == 32


def signature_lists(path: Path) -> None:
    assert esl.parse_signature_lists(path.read_bytes())


def variable(path: Path) -> None:
    """A file of efivarfs: four bytes of attributes, then the variable's value."""
    assert esl.parse_signature_lists(path.read_bytes()[4:])


def cbor_item(path: Path) -> None:
    cbor.loads(path.read_bytes(), path.name, limit=LIMIT)


def cose(path: Path) -> None:
    """Signed, but no document of AWS."""
    assert parse_sign1(path.read_bytes(), limit=LIMIT).payload
    with pytest.raises(REFUSALS):
        verify_evidence(recognise([path.read_bytes()]), UNCHECKED, FIRST_USE)


def hcl_report(path: Path) -> None:
    assert parse_hcl_report(path.read_bytes()).ak


def own(path: Path) -> None:
    """What is of our own making is in tests/vectors, too, where whole tests are about it."""
    copy = VECTORS / path.relative_to(PUBLIC)
    if path.name == "binary_bios_measurements":
        assert copy in OWN_LOGS
    if copy.exists() and copy.suffix != ".md":
        assert copy.read_bytes() == path.read_bytes()


# The first pattern that fits decides.
KINDS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("own-*", own),
    ("*.md", nothing_of_ours),
    ("*.diag", nothing_of_ours),
    ("*/event-raw/*.yaml", tpm2_eventlog),
    ("*/event-pretty*/*.yaml", tpm2_eventlog),
    ("*/fixtures/*.yaml", tpm2_eventlog),
    ("*.yaml", nothing_of_ours),
    ("*.snap", nothing_of_ours),
    ("*.warn", nothing_of_ours),
    ("attestation-verify.txt", nothing_of_ours),
    ("manifest.json", nothing_of_ours),
    ("replay-results.json", nothing_of_ours),
    ("*_out.json", nothing_of_ours),
    ("*_expected.json", nothing_of_ours),
    ("*/verifier/fixtures/*.json", nothing_of_ours),
    # A TPM 1.2, and a quote without the report that has its key.
    ("*/linux_tpm12.json", nothing_of_ours),
    ("*/tpm-quote*", nothing_of_ours),
    ("*/tpm_quote*", nothing_of_ours),
    ("*/windows_gcp_shielded_vm.json", refused_sha1),
    ("*/evidence-*.json", verified),
    ("*/tpm_evidence.json", verified),
    ("*/gce-*.pb", verified),
    ("*/nitro_attestation*.bin", enclave),
    ("*/hcl-report.bin", hcl_report),
    # ACPI tables that point to a log, reports and quotes of SEV-SNP and TDX, and CEL in base64.
    ("*/CCEL.bin", nothing_of_ours),
    ("*.table.bin", nothing_of_ours),
    ("*/sev_snp_attestation.bin", nothing_of_ours),
    ("*/guest-agent/fixtures/attestation.bin", nothing_of_ours),
    ("*/quote.bin", nothing_of_ours),
    ("*/td-quote.bin", nothing_of_ours),
    ("*/tdx_quote*", nothing_of_ours),
    ("*/tdxReportData.bin", nothing_of_ours),
    ("*/snp/*report.bin", nothing_of_ours),
    ("*/cel.b64", nothing_of_ours),
    # Authenticated variables, PKCS #7 and other parts of signatures.
    ("*/dbxupdate*.bin", nothing_of_ours),
    ("*.auth", nothing_of_ours),
    ("*/authenticode/testdata/*.der", nothing_of_ours),
    ("*.pk7", nothing_of_ours),
    ("*/test.authenticode.signed", nothing_of_ours),
    ("*/keys/*.key", private_key),
    ("*/secureboot/GUID", nothing_of_ours),
    ("*/data/misc/*", nothing_of_ours),
    ("*/sigsupport/*", nothing_of_ours),
    ("*/siglist*/*", signature_lists),
    ("*/efivars/PK", variable),
    ("*/efi/signature/testdata/*", variable),
    ("*.crt", certificate),
    ("*.pem", certificate),
    ("*.der", certificate),
    ("*.efi", program),
    ("*.efi.signed", program),
    ("*.efi.stub", program),
    ("*.pecoff", program),
    ("*.pecoff.signed", program),
    ("*/signed-*.cbor", cose),
    ("*.cbor", cbor_item),
    ("*eventlog", log),
    ("*/eventlogs/*.bin", log),
    ("*/samples/*.bin", log),
    ("*/test_data/CCEL_*", log),
    ("*/fixtures/*.bin", log),
)


def files() -> list[str]:
    return sorted(str(path.relative_to(PUBLIC)) for path in PUBLIC.rglob("*") if path.is_file())


def test_the_collection_is_here() -> None:
    if not PUBLIC.is_dir():
        pytest.skip(f"there is no {PUBLIC} (set BEDPLATE_FIXTURES)")
    listed = json.loads((PUBLIC / "manifest.json").read_bytes())
    assert {entry["local"] for entry in listed} <= set(files())


@pytest.mark.parametrize("name", files())
def test_a_file_of_the_collection_is_what_its_kind_is(name: str) -> None:
    check = next((check for pattern, check in KINDS if fnmatch.fnmatchcase(name, pattern)), None)
    assert check is not None, f"{name} is of no kind that is known here"
    check(PUBLIC / name)
