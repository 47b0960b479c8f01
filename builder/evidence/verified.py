"""From a log that a node sent to a log that a TPM vouches for.

``verify_event_log`` is the only way to a :class:`VerifiedEventLog`. What it means: these digests, in this order, made
the quoted registers what they are. It does not mean that the type or the data of an event are true; ``proven`` of a
:class:`VerifiedEvent` has the bytes for which they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import InitVar, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.digest_check import check_digest
from builder.evidence.eventlog import RegisterKind, UntrustedEvent, UntrustedEventLog
from builder.evidence.replay import Replay, replay

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from builder.evidence.pcr_selection import PcrBanks
    from builder.evidence.systemd_log import UserspaceEvent, UserspaceLog

_PROOF = object()
_BY_LABEL = {algorithm.label: algorithm for algorithm in HashAlgorithm}


@runtime_checkable
class QuotedPcrs(Protocol):
    """A verified quote or attestation document: ``builder.evidence.quote.VerifiedQuote`` and its like.

    A bare mapping of values is none, for nobody vouches for it.
    """

    @property
    def pcrs(self) -> PcrBanks:
        """Bank name, PCR, value."""


@dataclass(frozen=True, slots=True)
class VerifiedEvent:
    """An extend that the quoted registers prove.

    ``digests`` has the quoted banks only. ``claim`` is the record as the log has it: its type and its data are not
    proven. ``proven`` are the bytes of the data that the digests were made from, empty if they were made from
    something that the log does not hold.
    """

    register: int
    digests: Mapping[HashAlgorithm, bytes]
    claim: UntrustedEvent | UserspaceEvent
    proven: bytes


@dataclass(frozen=True, slots=True)
class VerifiedEventLog:
    """The extends that made the quoted registers, in order; made by ``verify_event_log`` and by nothing else.

    ``values`` are the quoted ones. ``unlogged`` are quoted registers that the caller said no log explains: no event of
    theirs is here.
    """

    events: tuple[VerifiedEvent, ...]
    values: Mapping[HashAlgorithm, Mapping[int, bytes]]
    unlogged: frozenset[int]
    # No default, so that dataclasses.replace() needs it, too.
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _PROOF:
            raise TypeError("a VerifiedEventLog is made by verify_event_log")


def verify_event_log(
    log: UntrustedEventLog,
    quoted: QuotedPcrs,
    *,
    userspace: UserspaceLog | None = None,
    unlogged: Collection[int] = (),
) -> VerifiedEventLog:
    """The part of ``log`` that the registers of a verified quote prove.

    Every quoted register, in every quoted bank, must be what the log (then user space's log, if given) replays to;
    one without events must have its initial value. ``unlogged`` are the PCRs that something extends of which there is
    no log, such as 10 with IMA.

    Raises NotVerifiedError that names every register that differs, InvalidInputError if the log is not a TPM's, if
    the quote covers nothing, or if nothing is left to verify; TypeError if ``quoted`` is no verified quote.
    """
    if not isinstance(log, UntrustedEventLog) or not isinstance(quoted, QuotedPcrs):
        raise TypeError("a parsed log and a verified quote are expected")
    if log.registers is not RegisterKind.PCR:
        raise InvalidInputError("the log is of the registers of a confidential VM, the quote of PCRs")
    values = _known_banks(quoted.pcrs)
    replayed = replay(log, userspace)
    problems = tuple(_differences(log, replayed, values, unlogged))
    if problems:
        raise NotVerifiedError("the event log does not explain the quoted PCRs", problems)
    covered = {register for bank in values.values() for register in bank} - set(unlogged)
    if not covered:
        raise InvalidInputError("the quote covers no PCR that the log is to explain")
    records: list[tuple[int, UntrustedEvent | UserspaceEvent]] = [
        (event.register, event) for event in log.events if event.extends
    ]
    if userspace is not None:
        records += [(event.pcr, event) for event in userspace.events if event.pcr is not None]
    events = tuple(_verified(register, record, values) for register, record in records if register in covered)
    return VerifiedEventLog(events, values, frozenset(unlogged), _PROOF)


def _known_banks(pcrs: PcrBanks) -> Mapping[HashAlgorithm, Mapping[int, bytes]]:
    unknown = sorted(name for name in pcrs if name not in _BY_LABEL)
    if unknown:
        raise InvalidInputError(f"the quote is of the unknown bank {unknown[0]!a}")
    banks = {_BY_LABEL[name]: MappingProxyType(dict(bank)) for name, bank in pcrs.items() if bank}
    if not banks:
        raise InvalidInputError("the quote covers no PCR")
    return MappingProxyType(banks)


def _differences(
    log: UntrustedEventLog,
    replayed: Replay,
    values: Mapping[HashAlgorithm, Mapping[int, bytes]],
    unlogged: Collection[int],
) -> Iterator[str]:
    for algorithm, bank in values.items():
        if algorithm not in log.algorithms:
            yield f"the log has no digests of the bank {algorithm.label}"
            continue
        for register, quoted in sorted(bank.items()):
            if register in unlogged:
                continue
            value = replayed.value(algorithm, register)
            if value is None:
                yield f"PCR {register} ({algorithm.label}): an event has no digest of this bank"
            elif value != quoted:
                yield f"PCR {register} ({algorithm.label}): quoted is {quoted.hex()}, the log gives {value.hex()}"


def _verified(
    register: int,
    record: UntrustedEvent | UserspaceEvent,
    values: Mapping[HashAlgorithm, Mapping[int, bytes]],
) -> VerifiedEvent:
    digests = {
        algorithm: record.digests[algorithm]
        for algorithm, bank in values.items()
        if register in bank and algorithm in record.digests
    }
    quoted: dict[int, bytes] = dict(digests.items())
    if isinstance(record, UntrustedEvent):
        # Digests of other banks are not quoted; they must not have a say.
        check = check_digest(dataclasses.replace(record, digests=quoted))
        proven = check.covered if check else b""
    else:
        narrowed = dataclasses.replace(record, digests=quoted)
        proven = (narrowed.string or "").encode("utf-8", "surrogatepass") if narrowed.string_is_measured else b""
    return VerifiedEvent(register, MappingProxyType(digests), record, proven)
