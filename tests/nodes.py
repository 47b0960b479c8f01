"""Nodes for appraisal: real boots of tiny UKIs, with what a test adds to their logs, and the releases they run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.eventlog import UntrustedEvent, UntrustedEventLog, parse_event_log
from builder.evidence.evidence import EvidenceKind, VerifiedEvidence
from builder.evidence.replay import replay
from builder.evidence.systemd_log import UserspaceEvent, UserspaceLog
from builder.evidence.trust import Trust, TrustKind
from builder.evidence.verified import VerifiedEventLog, verify_event_log
from builder.measurement.configuration import BootConfiguration, KernelMeasurement
from builder.measurement.pcr7 import GLOBAL_VARIABLE, variable_data
from builder.measurement.predict import predict
from builder.measurement.report import reference_values
from builder.release.revocations import Revocation, RevocationList, sign_revocations
from builder.release.statements import (
    MODEL,
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    VERDICT,
    ReferenceMeasurements,
    ReferenceValues,
    Subject,
    UkiIdentity,
    encode_statement,
)
from builder.release.trusted import TrustedReference, load_trusted_reference
from signing import dsse, envelope_json, keys
from signing.signer import FileSigner
from tests.attester import NONCE, quote_attest, rsa_key, tpmt_signature
from tests.event_logs import NO_ACTION, record, sha1_record, spec_id_data
from tests.export_subjects import ENROLLED, IMAGE, SETUP_MODE, TINY, tiny_uki
from tests.verdicts import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from builder.weights.identity import Model
    from signing.signer import Signer

SIGNER = FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)
FINISHED = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECTS = (Subject(name="node.efi", digest={"sha256": "ab" * 32}),)
QUOTED = (0, 2, 4, 5, 7, 9, 11, 12, 13, 14)
COMMAND_LINE = "embedded=1"
PINNED = Trust(TrustKind.PINNED_KEY, "pinned by a test")
BANKS = (HashAlgorithm.SHA1, HashAlgorithm.SHA256, HashAlgorithm.SHA384)


def reference(uki: str = "tsb257", **identity: str) -> ReferenceMeasurements:
    """What a release of a tiny UKI states, for both modes if the UKI is signed."""
    values = {}
    for mode in (ENROLLED, SETUP_MODE) if uki == "tsb257" else (SETUP_MODE,):
        prediction = predict(tiny_uki(uki), BootConfiguration(mode, None, kernel=KernelMeasurement.NOTHING))
        values[mode.mode.value] = msgspec.convert(reference_values(prediction), ReferenceValues)
    return ReferenceMeasurements(
        image=msgspec.structs.replace(IMAGE, **identity),
        uki=UkiIdentity(stub="257", kernel="6.12", command_line=COMMAND_LINE, root_hash="00"),
        reference_values=values,
    )


def signed(
    stated: ReferenceMeasurements,
    *,
    finished: str | None = FINISHED.isoformat(),
    model: Model | None = None,
    signer: Signer = SIGNER,
) -> bytes:
    """The statements of a release; without ``finished`` there is only the first."""
    payloads = [encode_statement(REFERENCE_MEASUREMENTS, stated, SUBJECTS)]
    if finished is not None:
        details = {"runDetails": {"metadata": {"finishedOn": finished}}}
        payloads.append(encode_statement(PROVENANCE, details, SUBJECTS))
        payloads.append(encode_statement(VERDICT, verdict(), SUBJECTS))
    if model is not None:
        payloads.append(encode_statement(MODEL, model, SUBJECTS))
    return envelope_json.encode_lines(dsse.sign(PAYLOAD_TYPE, payload, [signer]) for payload in payloads)


def release(
    uki: str = "tsb257",
    *,
    finished: str | None = FINISHED.isoformat(),
    model: Model | None = None,
    **identity: str,
) -> TrustedReference:
    """A trusted release of a tiny UKI."""
    statements = signed(reference(uki, **identity), finished=finished, model=model)
    return load_trusted_reference(statements, [SIGNER.public_key])


def revocations(*entries: Revocation, serial: int = 1, **minimum_versions: str) -> bytes:
    """A signed list of revocations."""
    return sign_revocations(RevocationList(serial, FINISHED, entries, minimum_versions), [SIGNER])


def event(register: int, kind: int, data: bytes, measured: bytes | None = None) -> UntrustedEvent:
    """A record whose digests are of ``measured``, by default of its data."""
    content = data if measured is None else measured
    return UntrustedEvent(0, register, kind, {bank: bank.digest(content) for bank in BANKS}, data, 0)


def without_secure_boot(item: UntrustedEvent) -> UntrustedEvent:
    """The event as firmware that has Secure Boot, and no keys, would log it."""
    empty = variable_data(GLOBAL_VARIABLE, "SecureBoot", b"")
    off = variable_data(GLOBAL_VARIABLE, "SecureBoot", b"\0")
    return event(7, item.type, off) if item.data == empty else item


@dataclass(frozen=True)
class Node:
    """A machine: its firmware's log, and the words that its user space extended into PCR 11."""

    log: UntrustedEventLog
    words: tuple[str, ...] = ("enter-initrd", "leave-initrd", "sysinit", "ready")

    @classmethod
    def of(cls, boot: str = "tsb257") -> Node:
        """A machine that booted like a recorded one."""
        return cls(parse_event_log((TINY / boot / "binary_bios_measurements").read_bytes()))

    def with_events(self, *events: UntrustedEvent) -> Node:
        """The same with more at the end of the firmware's log."""
        return replace(self, log=replace(self.log, events=(*self.log.events, *events)))

    def edited(self, edit: Any) -> Node:
        """The same with every event passed through ``edit``, which may drop it by returning None."""
        events = tuple(found for item in self.log.events if (found := edit(item)) is not None)
        return replace(self, log=replace(self.log, events=events))

    @property
    def userspace(self) -> UserspaceLog:
        return UserspaceLog(
            tuple(
                UserspaceEvent(
                    index, 11, None, {bank: bank.digest(word.encode()) for bank in BANKS},
                    {"string": word, "eventType": "phase"}, 0,
                )
                for index, word in enumerate(self.words)
            )
        )  # fmt: skip

    def evidence(
        self, pcrs: Iterable[int] = QUOTED, banks: Sequence[str] = ("sha256", "sha384"), **changes: Any
    ) -> VerifiedEvidence:
        """What a verified quote of these PCRs says."""
        replayed = replay(self.log, self.userspace)
        selected = tuple(pcrs)
        values: dict[str, Any] = {}
        for bank in BANKS:
            if bank.label in banks:
                values[bank.label] = {pcr: replayed.value(bank, pcr) for pcr in selected}
        fields = {
            "kind": EvidenceKind.TPM_QUOTE, "pcrs": MappingProxyType(values), "trust": PINNED, "nonce": bytes(32),
            "time": None, "clock": None, "firmware_version": None, "claims": {},
        }  # fmt: skip
        return VerifiedEvidence(**(fields | changes))

    def verified_log(self, evidence: VerifiedEvidence) -> VerifiedEventLog:
        return verify_event_log(self.log, evidence, userspace=self.userspace)


def real_pcrs(boot: str) -> dict[str, dict[int, bytes]]:
    """What the TPM of a recorded boot showed."""
    banks = json.loads((TINY / boot / "expected.json").read_text())["pcrs"]
    return {bank: {int(pcr): bytes.fromhex(value) for pcr, value in values.items()} for bank, values in banks.items()}


def log_bytes(log: UntrustedEventLog) -> bytes:
    """The log as a file."""
    first, *rest = log.events
    table = spec_id_data((bank, bank.size) for bank in BANKS)
    assert not first.extends
    records = (record(item.register, item.type, item.data, digests=dict(item.digests)) for item in rest)
    return sha1_record(0, NO_ACTION, table, bytes(20)) + b"".join(records)


def quote_files(evidence: VerifiedEvidence, nonce: bytes = NONCE) -> dict[str, bytes]:
    """What tpm2_quote writes with a key of ours, with the raw PCR values."""
    attest = quote_attest(evidence.pcrs, nonce=nonce)
    values = b"".join(bank[index] for bank in evidence.pcrs.values() for index in sorted(bank))
    return {"quote.msg": attest, "quote.sig": tpmt_signature(rsa_key(), attest), "pcrs.bin": values}


def ak_pem() -> bytes:
    """The public half of that key."""
    return rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
