"""Which of two versions is newer (UAPI group, "Version Format Specification", version 1, "Version Comparison")."""

from __future__ import annotations

import re
from typing import Final

# As image.yaml and the statements of a release have it.
_VERSION: Final = re.compile(r"[a-z0-9][a-z0-9.~^-]*")
# What the specification gives no meaning is skipped, as is anything that is not ASCII.
_SKIPPED: Final = re.compile(r"[^a-zA-Z0-9.~^-]+")
_DIGITS: Final = re.compile(r"[0-9]*")
_LETTERS: Final = re.compile(r"[a-zA-Z]*")
# In the order of the specification: the mark, and how a string compares that has it where the other has not.
_TILDE: Final = (("~", -1),)
# Of "^" the text says that the string compares higher; systemd's code, of which the text is a description, has it lower
# here and higher only than a string that has ended (systemd-analyze compare-versions 123^1 123.1). systemd decides.
_MARKS: Final = (("-", -1), ("^", -1), (".", -1))
# Why two versions that are not alike cannot be compared.
UNLIKE: Final = "one begins with a digit, the other with a letter"


def is_version(text: str) -> bool:
    """Whether an image can have this version."""
    return _VERSION.fullmatch(text) is not None


def is_below(version: str, lowest: str) -> bool:
    """Whether ``version`` may be older than ``lowest``.

    A number and a letter have an order, too, but none that says what is older: v2 is below 1. Nobody can tell how such
    versions compare, so they are below each other.
    """
    return not are_alike(version, lowest) or compare_versions(version, lowest) < 0


def are_alike(left: str, right: str) -> bool:
    """Whether two versions begin alike, and so can be compared."""
    return left[:1].isdigit() == right[:1].isdigit()


def compare_versions(left: str, right: str) -> int:
    """Negative if ``left`` is older than ``right``, positive if it is newer, 0 if neither."""
    while True:
        left, right = _skip(left), _skip(right)
        order, left, right = _compare_marks(_TILDE, left, right)
        if order or not left or not right:  # "~" comes before the end, so that 1.0~rc1 is older than 1.0
            return order or bool(left) - bool(right)
        order, left, right = _compare_marks(_MARKS, left, right)
        if order:
            return order
        if left[:1].isdigit() or right[:1].isdigit():
            (number, left), (other, right) = _split(_DIGITS, left), _split(_DIGITS, right)
            difference = _compare_numbers(number, other)
        else:
            (letters, left), (others, right) = _split(_LETTERS, left), _split(_LETTERS, right)
            # ASCII order: capital letters are lower, and a prefix is lower than what it begins.
            difference = (letters > others) - (letters < others)
        if difference:
            return difference


def _compare_marks(marks: tuple[tuple[str, int], ...], left: str, right: str) -> tuple[int, str, str]:
    """How the strings compare by these marks, and what is left of them where both have one."""
    for mark, order in marks:
        if left.startswith(mark) != right.startswith(mark):
            return (order if left.startswith(mark) else -order), left, right
        left, right = left.removeprefix(mark), right.removeprefix(mark)
    return 0, left, right


def _skip(text: str) -> str:
    found = _SKIPPED.match(text)
    return text[found.end() :] if found else text


def _split(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    found = pattern.match(text)
    end = found.end() if found else 0
    return text[:end], text[end:]


def _compare_numbers(left: str, right: str) -> int:
    """Compare runs of digits of any length; an empty one is 0."""
    left, right = left.lstrip("0"), right.lstrip("0")
    one, other = (len(left), left), (len(right), right)
    return (one > other) - (one < other)
