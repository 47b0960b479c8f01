"""Which of many texts a content holds, found in one or two passes over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ahocorasick_rs import BytesAhoCorasick, MatchKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Every match becomes a tuple, and a content may be one text over and over: a window bounds how many there are at once.
_WINDOW: Final = 1 << 18
# So many texts are looked for with vector instructions, ten times as fast as more (aho-corasick's packed::teddy).
_TOGETHER: Final = 48


class Texts:
    """Texts to look for, each of at least one byte."""

    def __init__(self, texts: Iterable[bytes]) -> None:
        unique = tuple(dict.fromkeys(texts))
        self._passes: Final = [_Pass(unique[at : at + _TOGETHER]) for at in range(0, len(unique), _TOGETHER)]
        self._overlap: Final = max(map(len, unique)) - 1

    def held_by(self, content: memoryview | bytes) -> set[bytes]:
        """Those that are in the content, wherever and however they overlap."""
        found: set[bytes] = set()
        for start in range(0, len(content), _WINDOW):
            window = content[start : start + _WINDOW + self._overlap]
            for search in self._passes:
                found.update(search.found_in(window))
        return found


class _Pass:
    def __init__(self, texts: tuple[bytes, ...]) -> None:
        self._texts: Final = texts
        self._fast: Final = BytesAhoCorasick(texts, matchkind=MatchKind.LeftmostFirst)
        self._thorough: Final = BytesAhoCorasick(texts)
        self._overlap: Final = max(map(len, texts)) - 1

    def found_in(self, window: memoryview | bytes) -> Iterator[bytes]:
        """The fast search goes on behind a match, so others that begin within it are looked for where it is."""
        places = [(start, end + self._overlap) for _, start, end in self._fast.find_matches_as_indexes(window)]
        if len(places) * self._overlap > len(window):
            places = [(0, len(window))]
        for start, end in places:
            for match in self._thorough.find_matches_as_indexes(window[start:end], overlapping=True):
                yield self._texts[match[0]]
