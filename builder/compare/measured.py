"""PCR values and their events, side by side: which moved, by which events."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.compare.difference import Change, Difference, Field, Moved, Verdict, node_id
from builder.compare.parts import changed_fields, not_compared, pair, topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from builder.release.statements import MeasuredEvent, MeasuredPcr, ReferenceValues

NAME: Final = "measurements"
_TITLE: Final = "Measurements"
# Before the number of an event that the new side does not have.
GONE: Final = "old-"


@dataclass(frozen=True, slots=True)
class MovedEvent:
    """An event that is not the same on both sides; None where a side does not have it."""

    mode: str
    pcr: int
    index: int
    old: MeasuredEvent | None
    new: MeasuredEvent | None

    @property
    def id(self) -> str:
        """The id of its link. One that is gone counts among the old side's, so another may have its number."""
        number = str(self.index) if self.new is not None else f"{GONE}{self.index}"
        return node_id("event", self.mode, str(self.pcr), number)

    @property
    def either(self) -> MeasuredEvent:
        """The event on the side that has it, rather the new one."""
        event = self.new or self.old
        if event is None:
            raise ValueError("an event has a side")
        return event


@dataclass(frozen=True, slots=True)
class Measured:
    """The PCRs of all modes, the events that moved them, and what could not be compared."""

    pcrs: tuple[Moved, ...]
    events: tuple[MovedEvent, ...]
    incomplete: tuple[str, ...]


def compare_measurements(old: Baseline, new: Baseline) -> tuple[Topic, Measured]:
    """Every PCR of every mode that a side speaks of."""
    both = pair(old.measured, new.measured)
    if not isinstance(both, tuple):
        return not_compared(NAME, _TITLE, both), Measured((), (), ())
    pcrs: list[Moved] = []
    events: list[MovedEvent] = []
    incomplete: list[str] = []
    settings: list[Difference] = []
    for mode in sorted(both[0].keys() | both[1].keys()):
        one, other = both[0].get(mode), both[1].get(mode)
        if one is None or other is None:
            side = "old" if one is None else "new"
            incomplete.append(f"Secure Boot {mode}: the {side} side has no values for it")
            continue
        settings += _settings(mode, one, other)
        for pcr in sorted({int(index) for index in (*one.pcrs, *other.pcrs)}):
            moved, why = _compare_pcr(mode, pcr, one.pcrs.get(str(pcr)), other.pcrs.get(str(pcr)))
            pcrs.append(moved)
            events += why
            if moved.verdict is Verdict.INCOMPLETE:
                incomplete.append(f"PCR {pcr}, Secure Boot {mode}: {moved.reason}")
    found = Measured(tuple(pcrs), tuple(events), tuple(incomplete))
    return topic(NAME, _TITLE, [*settings, *_differences(found)], incomplete), found


def _compare_pcr(
    mode: str, pcr: int, old: MeasuredPcr | None, new: MeasuredPcr | None
) -> tuple[Moved, tuple[MovedEvent, ...]]:
    if old is None or new is None:
        reason = f"the {'old' if old is None else 'new'} side does not speak of it"
        return Moved(mode=mode, pcr=pcr, verdict=Verdict.INCOMPLETE, old={}, new={}, reason=reason), ()
    both = Moved(mode=mode, pcr=pcr, verdict=Verdict.EQUAL, old=old.values, new=new.values)
    if not old.predictable and not new.predictable:
        # Neither side promises a value; but what is said of the PCR may not be the same.
        verdict = Verdict.EQUAL if old.reason == new.reason else Verdict.DIFFERS
        return replace(both, verdict=verdict, reason=new.reason), ()
    if not old.predictable or not new.predictable:
        reason = f"no value on the {'new' if old.predictable else 'old'} side: {new.reason or old.reason}"
        return replace(both, verdict=Verdict.INCOMPLETE, reason=reason), ()
    banks = old.values.keys() & new.values.keys()
    if any(old.values[bank] != new.values[bank] for bank in banks) or old.phases != new.phases:
        events = tuple(_events(mode, pcr, old.events, new.events)) if _is_told(old) and _is_told(new) else ()
        return replace(both, verdict=Verdict.DIFFERS, events=tuple(event.id for event in events)), events
    if missing := sorted(old.values.keys() ^ new.values.keys()):
        return replace(both, verdict=Verdict.INCOMPLETE, reason=f"only one side has the bank {missing[0]}"), ()
    return both, ()


def _is_told(entry: MeasuredPcr) -> bool:
    """Whether the events are there: a value that something was extended into has some."""
    return bool(entry.events) or not any(value.strip("0") for value in entry.values.values())


def _events(mode: str, pcr: int, old: Sequence[MeasuredEvent], new: Sequence[MeasuredEvent]) -> Iterator[MovedEvent]:
    """The events that differ, those with the same meaning next to each other."""
    matcher = SequenceMatcher(
        None, [_meaning(event) for event in old], [_meaning(event) for event in new], autojunk=False
    )
    for kind, left, left_end, right, right_end in matcher.get_opcodes():
        if kind == "equal":
            pairs = zip(range(left, left_end), range(right, right_end), strict=True)
            for index, other in pairs:
                if _digests_differ(old[index].digests, new[other].digests):
                    yield MovedEvent(mode, pcr, other, old[index], new[other])
            continue
        yield from (MovedEvent(mode, pcr, index, old[index], None) for index in range(left, left_end))
        yield from (MovedEvent(mode, pcr, index, None, new[index]) for index in range(right, right_end))


def _meaning(event: MeasuredEvent) -> tuple[str | None, str, str]:
    """What an event is about, without the content that some descriptions quote and say to be absent."""
    words = event.description.partition(" '")[0].partition(' "')[0].removesuffix(" (absent)")
    return event.type, words, event.source


def _digests_differ(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    return any(old[bank] != new[bank] for bank in old.keys() & new.keys())


def _settings(mode: str, old: ReferenceValues, new: ReferenceValues) -> Iterator[Difference]:
    """What the values hold for: a profile of the UKI, a platform, a release of systemd in the initrd."""
    sides = [
        {"platform": side.boot.platform, "profile": str(side.boot.profile), "systemd": str(side.boot.initrd_systemd)}
        for side in (old, new)
    ]
    for field in changed_fields(*sides):
        yield Difference(
            id=node_id(NAME, mode, field.name), kind="setting", subject=f"{field.name}, Secure Boot {mode}",
            change=Change.CONTENT, old=field.old, new=field.new,
        )  # fmt: skip


def _differences(found: Measured) -> Iterator[Difference]:
    for moved in found.pcrs:
        if moved.verdict is not Verdict.DIFFERS:
            continue
        fields = tuple(
            Field(name=bank, old=moved.old.get(bank), new=moved.new.get(bank))
            for bank in sorted(moved.old.keys() | moved.new.keys())
            if moved.old.get(bank) != moved.new.get(bank)
        )
        yield Difference(
            id=pcr_id(moved.mode, moved.pcr),
            kind="PCR",
            subject=f"PCR {moved.pcr}, Secure Boot {moved.mode}",
            change=Change.CONTENT,
            fields=fields,
        )


def pcr_id(mode: str, pcr: int) -> str:
    """The id of a PCR's difference, and of its link."""
    return node_id(NAME, mode, f"pcr-{pcr}")
