"""Patterns of names and paths: ``*`` and ``?`` stop at a slash, ``**`` does not, a backslash takes their meaning."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN: Final = re.compile(r"\\(.)|(\*\*)|(\*)|(\?)|(.)", re.DOTALL)


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns is for the whole of ``name``."""
    return any(_compiled(pattern).fullmatch(name) is not None for pattern in patterns)


def literal(name: str) -> str:
    """The pattern that is for this name and for no other."""
    return re.sub(r"[\\*?]", r"\\\g<0>", name)


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_expression(token) for token in _TOKEN.finditer(pattern)), re.DOTALL)


def _expression(token: re.Match[str]) -> str:
    escaped, anything, some, one, plain = token.groups()
    if anything:
        return ".*"
    if some or one:
        return "[^/]*" if some else "[^/]"
    return re.escape(escaped or plain)
