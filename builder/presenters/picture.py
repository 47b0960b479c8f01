"""The overview picture: what changed on the left, through root hash and UKI, to the PCRs on the right.

Causes with the same consequences are one box, however many they are, so that 200 packages are as readable as one. What
did not change is there too, greyed: an auditor looks for it. Coordinates are units of the picture, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.compare.command_line import NAME as COMMAND_LINE
from builder.compare.command_line import ROOT_HASH
from builder.compare.difference import Verdict
from builder.compare.links import ROOT_HASH_ID, UKI_ID
from builder.compare.measured import pcr_id
from builder.compare.uki import section_id
from builder.measurement.pcr import HOLDS
from builder.presenters.arrangement import UNEXPLAINED, files_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.compare.difference import Link, Report
    from builder.presenters.arrangement import Told

# Left edge and width of the columns: causes, root hash, UKI sections and what is beside the UKI, UKI, PCRs.
_COLUMNS: Final = ((0, 340), (410, 104), (584, 132), (776, 56), (892, 208))
WIDTH: Final = 1100
_TOP: Final = 34
_LINE: Final = 17
_PAD: Final = 7
_GAP: Final = 10
_CHAINS: Final = 10
_NAMED: Final = 4
# Characters that fit into a box of causes, and into one of the others by a unit of width.
_CHARACTERS: Final = 43
_UNIT: Final = 7.4
# Kinds of links that are steps between a cause and the PCRs, and their columns.
_STEPS: Final = {"root hash": 1, "section": 2, "stub": 2, "variable": 2, "UKI": 3}
_PCRS: Final = 4
_IMAGE_PCR: Final = 4
_BEND: Final = 36


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a box: a name, or words about names."""

    text: str
    is_name: bool = True


@dataclass(frozen=True, slots=True)
class Box:
    """A thing in the picture. ``state`` is "moved", "still", "unknown" or "unexplained"; ``target`` an id, or none."""

    key: str
    title: str
    lines: tuple[Line, ...]
    state: str
    target: str
    x: float
    y: float
    width: float

    @property
    def height(self) -> float:
        """From the number of lines."""
        return len(self.lines) * _LINE + 2 * _PAD

    @property
    def middle(self) -> float:
        """Where its edges begin and end."""
        return self.y + self.height / 2

    @property
    def rows(self) -> tuple[tuple[float, Line], ...]:
        """The lines of text with their baselines, from the top of the box."""
        return tuple((round(_PAD + (index + 0.76) * _LINE, 1), line) for index, line in enumerate(self.lines))


@dataclass(frozen=True, slots=True)
class Edge:
    """From a cause to what it changed, by the keys of their boxes; ``path`` is that of an SVG."""

    start: str
    end: str
    path: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes and edges; headings with the x at which they begin."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    headings: tuple[tuple[float, str], ...]
    height: float
    width: float = WIDTH


@dataclass(frozen=True, slots=True)
class _Thing:
    """A box that has no place yet."""

    key: str
    column: int
    title: str
    lines: tuple[Line, ...]
    state: str
    target: str = ""


def picture(report: Report, chains: Sequence[Told]) -> Picture | None:
    """The picture of a report; None where no PCRs were compared."""
    if not report.pcrs:
        return None
    things = [*_causes(chains), *_steps(report), *_pcrs(report)]
    boxes = {box.key: box for box in _placed(things)}
    pairs = dict.fromkeys(_pairs(report, chains, boxes))
    edges = tuple(Edge(start, end, _curve(boxes[start], boxes[end])) for start, end in pairs)
    headings = ("What changed", "Root", "UKI and beside it", "", "PCRs")
    return Picture(
        boxes=tuple(boxes.values()),
        edges=edges,
        headings=tuple((x, words) for (x, _), words in zip(_COLUMNS, headings, strict=True) if words),
        height=max(box.y + box.height for box in boxes.values()) + 2,
    )


def _causes(chains: Sequence[Told]) -> Iterator[_Thing]:
    """A box for each chain; those that are too many share the last one."""
    for number, told in enumerate(chains[:_CHAINS], 1):
        names = [Line(_cut(cause.subject, _CHARACTERS)) for cause in told.causes]
        if len(names) > _NAMED:
            names = [*names[: _NAMED - 1], Line(_more(len(names) - _NAMED + 1), is_name=False)]
        about = [UNEXPLAINED] if not told.chain.explained else [f"→ {files_words(told.files)}"] if told.files else []
        lines = (*names, *(Line(_cut(text, _CHARACTERS), is_name=False) for text in about))
        state = "moved" if told.chain.explained else "unexplained"
        yield _Thing(f"chain-{number}", 0, told.chain.sentence, lines, state, f"chain-{number}")
    if rest := chains[_CHAINS:]:
        words = f"{_more(sum(len(told.causes) for told in rest))} in {len(rest)} chains"
        yield _Thing("chains", 0, words, (Line(words, is_name=False),), "moved", f"chain-{_CHAINS + 1}")


def _more(count: int) -> str:
    return f"and {count} more"


def _steps(report: Report) -> Iterator[_Thing]:
    changed = {link.id: link for link in report.links if link.kind in _STEPS}
    if ROOT_HASH_ID in changed or _is_equal(report, COMMAND_LINE, ROOT_HASH):
        yield _step(changed.pop(ROOT_HASH_ID, None), ROOT_HASH_ID, 1, "root hash")
    for name in report.sections:
        yield _step(changed.pop(section_id(name), None), section_id(name), 2, name)
    # The image is what PCR 4 measures: that it is the same is known from there only.
    if UKI_ID in changed or any(item.pcr == _IMAGE_PCR and item.verdict is Verdict.EQUAL for item in report.pcrs):
        yield _step(changed.pop(UKI_ID, None), UKI_ID, 3, "UKI")
    for link in changed.values():
        yield _step(link, link.id, _STEPS[link.kind], link.subject.removeprefix("section "))


def _is_equal(report: Report, topic: str, subject: str) -> bool:
    """Whether a topic was compared, and something in it is no difference."""
    return any(
        item.name == topic
        and item.verdict in {Verdict.EQUAL, Verdict.DIFFERS}
        and all(difference.subject != subject for difference in item.differences)
        for item in report.topics
    )


def _step(link: Link | None, key: str, column: int, name: str) -> _Thing:
    line = Line(_cut(name, int(_COLUMNS[column][1] / _UNIT)))
    if link is None:
        return _Thing(key, column, f"{name} did not change", (line,), "still")
    return _Thing(key, column, f"{name} changed", (line,), "moved" if link.explained else "unexplained", key)


def _pcrs(report: Report) -> Iterator[_Thing]:
    by_pcr: dict[int, set[Verdict]] = {}
    for item in report.pcrs:
        by_pcr.setdefault(item.pcr, set()).add(item.verdict)
    states = {Verdict.DIFFERS: ("moved", "moved"), Verdict.INCOMPLETE: ("unknown", "not compared")}
    for pcr, verdicts in sorted(by_pcr.items()):
        found = next((states[item] for item in states if item in verdicts), ("still", "did not move"))
        title = f"PCR {pcr} {found[1]}"
        lines = (Line(title), *(Line(HOLDS[pcr], is_name=False) for _ in range(pcr in HOLDS)))
        yield _Thing(f"pcr-{pcr}", _PCRS, title, lines, found[0], f"pcr-{pcr}")


def _placed(things: Sequence[_Thing]) -> Iterator[Box]:
    """The things below each other in their columns, each column in the middle of the picture."""
    columns = [[thing for thing in things if thing.column == index] for index in range(len(_COLUMNS))]
    heights = [sum(len(thing.lines) * _LINE + 2 * _PAD + _GAP for thing in column) - _GAP for column in columns]
    for column, height, (x, width) in zip(columns, heights, _COLUMNS, strict=True):
        y = _TOP + (max(heights) - height) / 2
        for thing in column:
            box = Box(thing.key, thing.title, thing.lines, thing.state, thing.target, x, round(y, 1), width)
            yield box
            y += box.height + _GAP


def _pairs(report: Report, chains: Sequence[Told], boxes: Mapping[str, Box]) -> Iterator[tuple[str, str]]:
    """Which boxes lead to which: links that have no box are passed through."""
    keys = {pcr_id(item.mode, item.pcr): f"pcr-{item.pcr}" for item in report.pcrs}
    keys |= {link.id: link.id for link in report.links if link.id in boxes}
    for number, told in enumerate(chains, 1):
        for cause in told.causes:
            chain = f"chain-{number}" if number <= _CHAINS else "chains"
            # A step for which nothing was found is in its own place, and its chain says so.
            if cause.id in keys:
                yield chain, keys[cause.id]
            else:
                keys[cause.id] = chain
    sources: dict[str, tuple[str, ...]] = {}
    for link in report.links:
        found = tuple(dict.fromkeys(source for cause in link.because for source in sources[cause]))
        own = keys.get(link.id)
        if own is not None:
            yield from ((source, own) for source in found)
        sources[link.id] = found if own is None else (own,)


def _curve(start: Box, end: Box) -> str:
    left, right = start.x + start.width, end.x
    if start.x == end.x:
        # In one column, as from .linux to .uname: around on the right side.
        beside = left + _BEND
        return (
            f"M{left} {start.middle:.1f}C{beside} {start.middle:.1f} {beside} {end.middle:.1f} {left} {end.middle:.1f}"
        )
    bend = (right - left) / 2
    controls = f"{left + bend:.0f} {start.middle:.1f} {right - bend:.0f} {end.middle:.1f}"
    return f"M{left} {start.middle:.1f}C{controls} {right} {end.middle:.1f}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
