"""The order of Debian versions (deb-version(7), "Sorting algorithm")."""

from __future__ import annotations

import re
from typing import Final

_PARTS: Final = re.compile(r"(\D*)(\d*)")
_END: Final = -1
_TILDE: Final = -2

_Part = tuple[tuple[int, ...], int]
_Key = tuple[_Part, ...]


def compare(left: str, right: str) -> int:
    """Negative if ``left`` is older than ``right``, positive if it is newer, 0 if neither.

    Never raises: a version that breaks the syntax still has a place, as it has in dpkg's own comparison.
    """
    for one, other in zip(_split(left), _split(right), strict=True):
        first, second = _key(one), _key(other)
        if first != second:
            return -1 if first < second else 1
    return 0


def _split(version: str) -> tuple[str, str, str]:
    """Epoch, upstream version and revision; an absent epoch or revision is "0"."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", version.strip()
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return epoch, upstream, revision


def _key(text: str) -> _Key:
    """Runs of other characters and numbers in turn, such that tuples sort as versions do.

    The end of a run sorts before letters and after a tilde, and a missing number is 0; so is what follows the last run,
    which is why one that is empty stands at the end.
    """
    parts = [((*map(_weight, run), _END), int(number or 0)) for run, number in _PARTS.findall(text)]
    if not parts or parts[-1] != ((_END,), 0):
        parts.append(((_END,), 0))
    return tuple(parts)


def _weight(character: str) -> int:
    """Tilde before the end of a run, letters by their code, all else behind the letters."""
    if character == "~":
        return _TILDE
    code = ord(character)
    return code if character.isascii() and character.isalpha() else code + 256
