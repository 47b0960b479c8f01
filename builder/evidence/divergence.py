"""Where two sequences of extends part: of two logs, or of a log and the events that a release predicts.

A register is a chain: once one extend differs, the value differs for good. So the first one that differs is the one
that matters, and what comes after it is only shown to be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.decode import decode
from builder.evidence.efi_variable import EfiVariable
from builder.evidence.replay import replayable_algorithms
from builder.measurement.events import EventType
from builder.measurement.prediction import Unpredictable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.evidence.eventlog import UntrustedEventLog
    from builder.evidence.systemd_log import UserspaceLog
    from builder.measurement.events import Event
    from builder.measurement.prediction import PredictedPcr


@dataclass(frozen=True, slots=True)
class Extend:
    """One extend of a register with what is said of it. ``index`` is the record's number in its log, if it has one."""

    digests: Mapping[int, bytes]
    type_name: str
    text: str
    index: int | None


@dataclass(frozen=True, slots=True)
class RegisterComparison:
    """How one register compares.

    ``position`` counts the register's extends from 0 and is that of the first one that differs, None if all are the
    same. ``left`` and ``right`` are that extend; None stands for a sequence that has ended. ``reason`` is set if the
    register was not compared.
    """

    register: int
    left_count: int
    right_count: int
    position: int | None = None
    left: Extend | None = None
    right: Extend | None = None
    reason: str | None = None

    @property
    def equal(self) -> bool:
        """Whether both sides have the same extends."""
        return self.position is None and self.reason is None


def compare_logs(left: UntrustedEventLog, right: UntrustedEventLog) -> tuple[RegisterComparison, ...]:
    """Compare every register that either log extends, in the algorithms that both have.

    Raises InvalidInputError if the logs are of different kinds of registers or have no algorithm in common.
    """
    if left.registers is not right.registers:
        raise InvalidInputError("one log is of PCRs, the other of the registers of a confidential VM")
    common = [algorithm for algorithm in replayable_algorithms(left) if algorithm in right.algorithms]
    if not common:
        raise InvalidInputError("the logs have no hash algorithm in common")
    first, second = extends_by_register(left), extends_by_register(right)
    return tuple(
        _compare(register, first.get(register, ()), second.get(register, ()), common)
        for register in sorted(first.keys() | second.keys())
    )


def compare_with_prediction(
    log: UntrustedEventLog,
    predicted: Mapping[int, PredictedPcr | Unpredictable],
    userspace: UserspaceLog | None = None,
) -> tuple[RegisterComparison, ...]:
    """Compare every predicted PCR with the log; the prediction is on the left.

    Without user space's log, the predicted events of user space are left out. With it, a boot that has not come to
    the last phase yet shows as a sequence that ends early. Raises InvalidInputError if nothing is predicted, or in
    none of the log's banks.
    """
    if not predicted:
        raise InvalidInputError("nothing is predicted, so there is nothing to compare")
    seen = extends_by_register(log, userspace)
    comparisons = []
    for register, entry in sorted(predicted.items()):
        observed = seen.get(register, ())
        if isinstance(entry, Unpredictable):
            reason = f"not predictable: {entry.reason}"
            comparisons.append(RegisterComparison(register, 0, len(observed), reason=reason))
            continue
        events = [_predicted(event) for event in entry.events if userspace is not None or event.type is not None]
        banks = [HashAlgorithm.of_bank(bank) for bank in entry.values]
        common = [algorithm for algorithm in banks if algorithm in log.algorithms]
        if not common:
            raise InvalidInputError("the log has none of the banks that are predicted")
        comparisons.append(_compare(register, events, observed, common))
    return tuple(comparisons)


def secure_boot_in(log: UntrustedEventLog) -> bool:
    """Whether the log says that Secure Boot was on, by the first SecureBoot variable in it; no such variable is off."""
    for event in log.events:
        if event.type == EventType.EV_EFI_VARIABLE_DRIVER_CONFIG:
            variable = decode(event)
            if isinstance(variable, EfiVariable) and variable.name == "SecureBoot":
                return variable.content == b"\x01"
    return False


def extends_by_register(log: UntrustedEventLog, userspace: UserspaceLog | None = None) -> dict[int, list[Extend]]:
    """Every register's extends in order, decoded."""
    found: dict[int, list[Extend]] = {}
    for event in log.events:
        if event.extends:
            extend = Extend(event.digests, event.type_name, decode(event).text, event.index)
            found.setdefault(event.register, []).append(extend)
    for record in userspace.events if userspace else ():
        if record.pcr is not None:
            found.setdefault(record.pcr, []).append(Extend(record.digests, "systemd", record.text, record.index))
    return found


def _predicted(event: Event) -> Extend:
    digests: dict[int, bytes] = {HashAlgorithm.of_bank(bank): digest for bank, digest in event.digests.items()}
    text = f"{event.description} (from {event.source})"
    return Extend(digests, "user space" if event.type is None else event.type.name, text, None)


def _compare(
    register: int, left: Sequence[Extend], right: Sequence[Extend], algorithms: Sequence[HashAlgorithm]
) -> RegisterComparison:
    for position, (one, other) in enumerate(zip_longest(left, right)):
        if one is None or other is None or _differ(one, other, algorithms):
            return RegisterComparison(register, len(left), len(right), position, one, other)
    return RegisterComparison(register, len(left), len(right))


def _differ(one: Extend, other: Extend, algorithms: Sequence[HashAlgorithm]) -> bool:
    """A digest that one side lacks is a difference, too."""
    digests = [(one.digests.get(algorithm), other.digests.get(algorithm)) for algorithm in algorithms]
    return any(first is None or first != second for first, second in digests)
