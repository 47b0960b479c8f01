"""User space's part of PCR 11 without its log: the boot phases that explain the quoted value.

systemd keeps a log of what it extends, which few agents hand over. The words of the phases are known, so the one
prefix of them that leads from the firmware's log to the quoted value is as good as a log: the quote proves it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.evidence.explanation import LATER_PHASES
from builder.evidence.replay import replay, replayable_algorithms
from builder.evidence.systemd_log import UserspaceEvent, UserspaceLog
from builder.measurement.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.evidence.eventlog import UntrustedEventLog
    from builder.evidence.verified import QuotedPcrs

_PCR: Final = 11
# What user space may extend into without a log of its own: IMA, systemd's identities and volumes, debugging, and the
# PCR for applications.
UNLOGGED: Final = frozenset({10, 15, 16, 23})


def assume_phases(log: UntrustedEventLog, quoted: QuotedPcrs) -> UserspaceLog:
    """The phases that lead to the quoted PCR 11; an empty log if none do, or if PCR 11 is not quoted."""
    algorithms = [item for item in replayable_algorithms(log) if _PCR in quoted.pcrs.get(item.label, {})]
    for words in _sequences():
        events = tuple(
            UserspaceEvent(
                index,
                _PCR,
                None,
                {item: item.digest(word.encode()) for item in replayable_algorithms(log)},
                {"string": word, "eventType": "phase"},
                0,
            )
            for index, word in enumerate(words)
        )
        assumed = UserspaceLog(events)
        replayed = replay(log, assumed)
        if algorithms and all(replayed.value(item, _PCR) == quoted.pcrs[item.label][_PCR] for item in algorithms):
            return assumed
    return UserspaceLog(())


def _sequences() -> Iterator[tuple[str, ...]]:
    """Every prefix of the way up, and from each of them one or two words of the way down."""
    up = tuple(phase.value for phase in Phase if phase.value is not None)
    for count in range(len(up) + 1):
        yield up[:count]
    for count in range(len(up) + 1):
        for word in LATER_PHASES:
            yield (*up[:count], word)
            yield from ((*up[:count], word, second) for second in LATER_PHASES)
