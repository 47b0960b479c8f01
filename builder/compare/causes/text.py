"""Causes in text: the two sides are made equal by one kind of change after the other, and the first that does names it.

So a cause is named only if it explains the whole difference; two causes in one file are told as unknown with the first
lines that differ, rather than half.
"""

from __future__ import annotations

import difflib
import itertools
import re
from typing import Final

from builder.compare.causes.cause import Builds, CauseKind, Finding

_SHOWN: Final = 60
# Of what differs; more is not a word that got in.
_MAX_TOKENS: Final = 2_000
# A shorter name stands in any text, and one that stands everywhere is no name.
_LEAST_WORD: Final = 3
_MOST_WORDS: Final = 20
_MONTHS: Final = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_CLOCK: Final = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
# RFC 3339 and its relatives, RFC 5322 and `date`, a compact form, and seconds (also milli, micro, nano) since 1970 from
# 2001 to 2286. A number that stands inside of a longer word is none.
_TIME: Final = re.compile(
    rf"\b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_CLOCK}(?:\s?(?:Z|UTC|[+-]\d{{2}}:?\d{{2}}))?)?"
    rf"|(?:\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?(?:\d{{1,2}}\s+(?:{_MONTHS})[a-z]*|(?:{_MONTHS})[a-z]*\s+\d{{1,2}})"
    rf"(?:,?\s+\d{{4}})?(?:\s+{_CLOCK})?(?:\s+(?:AM|PM))?(?:\s+(?:[A-Z]{{3,5}}|[+-]\d{{4}}))?(?:\s+\d{{4}})?"
    rf"|\b{_CLOCK}\b|\b\d{{8}}T\d{{6}}Z?\b|\b20\d{{12}}\b|\b[12]\d{{9}}(?:\d{{3}}){{0,3}}(?:\.\d+)?\b"
)
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# Hexadecimal and base64 that is long enough to be no word, with a digit in it.
_RANDOM: Final = re.compile(
    rf"{_UUID}|\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{{8,}}\b|(?<![\w/+=-])(?=[\w/+-]*\d)[A-Za-z0-9+/_-]{{12,}}={{0,2}}(?![\w/+=-])"
    r"|(?<=[./_-])(?=[A-Za-z0-9]*(?:\d|[a-z][A-Z]))[A-Za-z0-9]{6,}\b"
)
_PATH: Final = re.compile(r"(?<![\w.])/(?:[\w.+@~:-]+/)*[\w.+@~:-]+")
_VERSION: Final = re.compile(r"\b\d+(?:[.:+~-][\w]+)*\.\d[\w.+~-]*")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)+")
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")


def text_cause(old: str, new: str, builds: Builds) -> Finding:
    """The cause of a difference of two texts."""
    for find in (_marks, _order, _times, _words, _digests, _paths, _versions, _language, _random):
        finding = find(old, new, builds)
        if finding is not None:
            return finding
    return Finding(kind=CauseKind.UNKNOWN, evidence=_shown(old, new))


def _order(old: str, new: str, _builds: Builds) -> Finding | None:
    before, after = old.splitlines(), new.splitlines()
    if sorted(before) == sorted(after):
        if _by_locale(before, after) or _by_locale(after, before):
            return Finding(kind=CauseKind.LOCALE, evidence="the lines are sorted by the rules of two locales")
        return Finding(kind=CauseKind.ORDER, evidence=f"the same {len(before)} lines in another order")
    if len(old) == len(new) and sorted(_TOKEN.findall(old)) == sorted(_TOKEN.findall(new)):
        return Finding(kind=CauseKind.ORDER, evidence=f"the same words in another order: {_shown(old, new)}")
    return None


def _by_locale(plain: list[str], other: list[str]) -> bool:
    """Whether one side is sorted by bytes, as in the C locale, and the other as a language sorts: without case."""

    def key(line: str) -> tuple[str, ...]:
        return tuple(re.findall(r"\w+", line.casefold()))

    return plain == sorted(plain) and other != plain and [key(line) for line in other] == sorted(map(key, other))


def _times(old: str, new: str, _builds: Builds) -> Finding | None:
    return _same_without(_TIME, CauseKind.TIMESTAMP, "a time", old, new)


def _words(old: str, new: str, builds: Builds) -> Finding | None:
    for what, word in sorted(builds.words.items()):
        if len(word) < _LEAST_WORD or not 0 < new.count(word) <= _MOST_WORDS:
            continue
        template = re.escape(new).replace(re.escape(word), r"[\w.@/+-]+")
        if re.fullmatch(template, old):
            return Finding(kind=CauseKind.ENVIRONMENT, evidence=f"the {what} of this machine: {_shown(old, new)}")
    return None


def _digests(old: str, new: str, builds: Builds) -> Finding | None:
    pairs = _pairs(old, new)
    if pairs and all(one in builds.digests and other in builds.digests for one, other in pairs):
        return Finding(kind=CauseKind.CONSEQUENCE, evidence="digests of files that differ themselves")
    return None


def _paths(old: str, new: str, _builds: Builds) -> Finding | None:
    return _same_without(_PATH, CauseKind.BUILD_PATH, "a path", old, new)


def _versions(old: str, new: str, builds: Builds) -> Finding | None:
    for tool, (before, after) in sorted(builds.versions.items()):
        if before in old and after in new and old.replace(before, after) == new:
            return Finding(kind=CauseKind.TOOL_VERSION, evidence=f"{tool} {before} is now {after}")
    return _same_without(_VERSION, CauseKind.TOOL_VERSION, "a version", old, new)


def _marks(old: str, new: str, _builds: Builds) -> Finding | None:
    def plain(match: re.Match[str]) -> str:
        return re.sub("[.,]", "", match[0])

    if _NUMBER.sub(plain, old) == _NUMBER.sub(plain, new):
        return Finding(kind=CauseKind.LOCALE, evidence=f"the marks in numbers: {_shown(old, new)}")
    return None


def _language(old: str, new: str, _builds: Builds) -> Finding | None:
    pairs = _pairs(old, new)
    if pairs and all(one.isascii() != other.isascii() for one, other in pairs) and _letters(old) != _letters(new):
        return Finding(kind=CauseKind.LOCALE, evidence=f"words of another language: {_shown(old, new)}")
    return None


def _letters(text: str) -> bool:
    """Whether the text has letters beyond ASCII."""
    return any(character.isalpha() and not character.isascii() for character in text)


def _random(old: str, new: str, _builds: Builds) -> Finding | None:
    return _same_without(_RANDOM, CauseKind.RANDOMNESS, "an identifier", old, new)


def _same_without(pattern: re.Pattern[str], kind: CauseKind, what: str, old: str, new: str) -> Finding | None:
    """The finding, if both sides have matches of a pattern at the same places and differ in nothing else."""
    if pattern.sub("\0", old) != pattern.sub("\0", new):
        return None
    one, other = next(
        pair for pair in zip(pattern.findall(old), pattern.findall(new), strict=True) if pair[0] != pair[1]
    )
    return Finding(kind=kind, evidence=f"{what}: {_cut(one)} is now {_cut(other)}")


def _pairs(old: str, new: str) -> list[tuple[str, str]]:
    """The runs of words that differ, old and new; none if there are too many to say."""
    before, after = _trimmed(_TOKEN.findall(old), _TOKEN.findall(new))
    if max(len(before), len(after)) > _MAX_TOKENS:
        return []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return [
        ("".join(before[first:last]), "".join(after[start:end]))
        for tag, first, last, start, end in matcher.get_opcodes()
        if tag != "equal"
    ]


def _trimmed(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Both without what they have in common at their begin and end."""
    start = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    old, new = old[start:], new[start:]
    backwards = zip(reversed(old), reversed(new), strict=False)
    end = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], backwards))
    return old[: len(old) - end], new[: len(new) - end]


def _shown(old: str, new: str) -> str:
    """The first lines that differ."""
    before, after = old.splitlines(), new.splitlines()
    index = next((at for at, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), None)
    if index is None:
        index = min(len(before), len(after))
    sides = (lines[index] if index < len(lines) else "nothing" for lines in (before, after))
    one, other = (_cut(side) for side in sides)
    return f"line {index + 1}: {one} is now {other}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def lines_of(content: bytes) -> str | None:
    """The content as text, or None if it is none."""
    if b"\0" in content:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
