"""A release and a running node as two baselines: the PCRs that a verified quote carries, and the events they prove.

Only measurements have a counterpart on a node, so everything else is outside of both sides. Whether the node may be
trusted is not decided here: ``builder.evidence.appraisal`` does that, and no difference is no appraisal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import structs

from builder.compare.baseline import OUTSIDE, Baseline, Outside, Source, Unknown
from builder.errors import InvalidInputError
from builder.evidence.eventlog import UntrustedEvent
from builder.evidence.evidence import EvidenceKind
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.release.statements import MeasuredEvent, MeasuredPcr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.verified import VerifiedEvent, VerifiedEventLog
    from builder.measurement.configuration import SecureBootMode
    from builder.release.statements import ReferenceValues

_BANKS: Final = tuple(bank.value for bank in Bank)
_KINDS: Final = {EvidenceKind.TPM_QUOTE: "TPM quote", EvidenceKind.NITROTPM: "NitroTPM document"}
_LOG: Final = "event log"
_STALE: Final = "UNVERIFIED: its freshness was not checked, so it may be from another boot"


def release_and_node(
    release: Baseline,
    evidence: VerifiedEvidence,
    log: VerifiedEventLog | None,
    *,
    mode: SecureBootMode,
    phase: Phase = Phase.READY,
) -> tuple[Baseline, Baseline]:
    """Both sides, for one Secure Boot mode of the release and the boot phase that the node should have reached.

    PCRs that the evidence does not carry are not on the node's side, so they are incomplete and never equal. Raises
    InvalidInputError if the release does not state the mode, or the evidence carries no PCR that it states.
    """
    if isinstance(release.measured, Unknown | Outside) or mode.value not in release.measured:
        raise InvalidInputError(f"the release states no values for Secure Boot {mode.value}")
    stated = release.measured[mode.value]
    expected = {pcr: _at(entry, phase) for pcr, entry in stated.pcrs.items()}
    found = _node_pcrs(evidence, log, expected)
    if not found.keys() & expected.keys():
        raise InvalidInputError("the evidence carries no PCR that the release states")
    banks = {bank for entry in found.values() for bank in entry.values}
    node = Source("evidence", f"{_KINDS[evidence.kind]}, {evidence.trust.detail}")
    return (
        _side(release.source, mode, structs.replace(stated, pcrs=_in_banks(expected, banks)), release.remarks),
        _side(node, mode, structs.replace(stated, pcrs=found), () if evidence.nonce is not None else (_STALE,)),
    )


def _side(source: Source, mode: SecureBootMode, values: ReferenceValues, remarks: tuple[str, ...]) -> Baseline:
    measured = {mode.value: values}
    return Baseline(source=source, identity=OUTSIDE, uki=OUTSIDE, measured=measured, files=OUTSIDE, remarks=remarks)


def _at(entry: MeasuredPcr, phase: Phase) -> MeasuredPcr:
    """A stated PCR once a boot has reached a phase; only PCR 11 has phases, and their words are its last events."""
    if not entry.phases:
        return entry
    late = list(Phase)[list(Phase).index(phase) + 1 :]
    events = entry.events[: len(entry.events) - len(late)]
    return structs.replace(entry, values=entry.phases[phase.label], events=events, phases={})


def _in_banks(pcrs: Mapping[str, MeasuredPcr], banks: set[str]) -> dict[str, MeasuredPcr]:
    return {
        pcr: structs.replace(entry, values={bank: value for bank, value in entry.values.items() if bank in banks})
        for pcr, entry in pcrs.items()
    }


def _node_pcrs(
    evidence: VerifiedEvidence, log: VerifiedEventLog | None, expected: Mapping[str, MeasuredPcr]
) -> dict[str, MeasuredPcr]:
    values: dict[str, dict[str, str]] = {}
    for bank in _BANKS:
        for pcr, value in evidence.pcrs.get(bank, {}).items():
            if str(pcr) in expected:
                values.setdefault(str(pcr), {})[bank] = value.hex()
    return {
        pcr: MeasuredPcr(predictable=True, values=found, events=_events(int(pcr), log, expected[pcr].events))
        for pcr, found in values.items()
    }


def _events(pcr: int, log: VerifiedEventLog | None, expected: Sequence[MeasuredEvent]) -> tuple[MeasuredEvent, ...]:
    """The proven extends of a PCR, each by the words of the release's event with its digest, or else at its place."""
    if log is None:
        return ()
    proven = [event for event in log.events if event.register == pcr]
    return tuple(_event(event, index, expected) for index, event in enumerate(proven))


def _event(event: VerifiedEvent, index: int, expected: Sequence[MeasuredEvent]) -> MeasuredEvent:
    digests = {algorithm.label: digest.hex() for algorithm, digest in event.digests.items()}
    digests = {bank: digest for bank, digest in digests.items() if bank in _BANKS}
    same = next((item for item in expected if _agree(item.digests, digests)), None)
    kind = event.claim.type_name if isinstance(event.claim, UntrustedEvent) else None
    if same is None and index < len(expected) and expected[index].type == kind:
        same = expected[index]
    if same is None:
        return MeasuredEvent(type=kind, digests=digests, description=f"event {index}", source=_LOG)
    return structs.replace(same, digests=digests)


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    banks = one.keys() & other.keys()
    return bool(banks) and all(one[bank] == other[bank] for bank in banks)
