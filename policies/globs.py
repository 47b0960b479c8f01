"""Patterns of names as glob(3) of the GNU C library takes them, braces included, which is what systemd asks it for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPECIAL: Final = frozenset("*?[")
# An image chose the text; who spells out more hides something.
_MAX_SPELLINGS: Final = 1024
# POSIX, "RE Bracket Expression"; a "]" that comes first is one of its characters.
_BRACKET: Final = re.compile(r"\[([!^]?)(\]?(?:\[:[a-z]+:\]|\[([.=]).\3\]|\\.|[^]\\])*)\]", re.DOTALL)
_MEMBER: Final = re.compile(r"\[:([a-z]+):\]|\[([.=])(.)\2\]|\\(.)|(.)", re.DOTALL)
_CLASSES: Final = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "0-9A-Za-z", "upper": "A-Z", "lower": "a-z", "xdigit": "0-9A-Fa-f",
    "punct": r"!-/:-@\[-`{-~", "graph": r"!-\~", "print": r"\ -\~", "space": r" \t-\r", "blank": r" \t",
    "cntrl": r"\0-\x1f\x7f",
}  # fmt: skip


def matches(text: str, name: str, separator: str) -> bool:
    """Whether a text means a name: it is the name, or a pattern of it, part by part.

    Neither stars nor brackets go over a separator. Without a star, question mark or bracket systemd takes a text as it
    is (src/basic/glob-util.h, ``string_is_glob``). Raises ValueError for a pattern whose braces spell out to more than
    1024, and for a bracket with a range that runs backwards or with an unknown class.
    """
    if _SPECIAL.isdisjoint(text):
        return text == name
    parts = name.split(separator)
    return any(_agree(spelled.split(separator), parts) for spelled in _spellings(text))


def agrees(pattern: str, part: str) -> bool:
    """Whether a pattern without separators and braces means a name. Raises ValueError for a bracket as above."""
    if pattern.isalnum():
        return pattern == part
    try:
        return re.fullmatch(_expression(pattern), part, re.DOTALL) is not None
    except re.error as error:
        raise ValueError(f"{pattern!r} is no pattern: {error}") from None


def _agree(patterns: list[str], parts: list[str]) -> bool:
    return len(patterns) == len(parts) and all(map(agrees, patterns, parts))


def _expression(pattern: str) -> str:
    """The regular expression of one part. A star takes the first that fits, which is enough, and never comes back."""
    pieces: list[list[str]] = [[]]
    position = 0
    while position < len(pattern):
        bracket = _BRACKET.match(pattern, position)
        letter = pattern[position]
        position = bracket.end() if bracket else position + 1
        if letter == "*":
            pieces.append([])
        elif letter == "\\" and position < len(pattern):
            pieces[-1].append(re.escape(pattern[position]))
            position += 1
        else:
            pieces[-1].append(_set(bracket) if bracket else "." if letter == "?" else re.escape(letter))
    first, *others = ("".join(piece) for piece in pieces)
    between = "".join(f"(?>.*?{piece})" for piece in others[:-1])
    return first + between + "".join(f".*{piece}" for piece in others[-1:])


def _set(bracket: re.Match[str]) -> str:
    members = []
    for name, _, quoted, escaped, plain in _MEMBER.findall(bracket[2]):
        letter = quoted or escaped
        members.append(_CLASSES.get(name, "") if name else re.escape(letter) if letter else _member(plain))
    return f"[{'^' if bracket[1] else ''}{''.join(members)}]"


def _member(letter: str) -> str:
    return letter if letter == "-" else re.escape(letter)


def _spellings(pattern: str) -> Iterator[str]:
    """What braces spell out to; where one is not closed, none of them is special."""
    pending, found = [("", pattern)], 0
    while pending:
        done, rest = pending.pop()
        found += 1
        if found > _MAX_SPELLINGS:
            raise ValueError(f"a pattern has braces that spell out to more than {_MAX_SPELLINGS} names")
        start = _brace(rest)
        choices = None if start is None else _choices(rest, start)
        if start is None or choices is None:
            yield done + rest
            continue
        alternatives, behind = choices
        pending += [(done + rest[:start], alternative + behind) for alternative in alternatives]


def _brace(text: str) -> int | None:
    position = 0
    while position < len(text):
        if text[position] == "{":
            return position
        position += 2 if text[position] == "\\" else 1
    return None


def _choices(text: str, start: int) -> tuple[list[str], str] | None:
    """The alternatives of the brace at ``start``, and what stands behind it; None if it is never closed."""
    alternatives, begun, depth = [], start + 1, 0
    position = start
    while position < len(text):
        letter = text[position]
        depth += (letter == "{") - (letter == "}")
        if depth == 0 or (depth == 1 and letter == ","):
            alternatives.append(text[begun:position])
            begun = position + 1
        if depth == 0:
            return alternatives, text[begun:]
        position += 2 if letter == "\\" else 1
    return None
