"""Text line by line."""

from __future__ import annotations

import difflib
from itertools import islice
from typing import Final

_MAX_BYTES: Final = 1 << 20
_MAX_LINES: Final = 400
_CONTEXT: Final = 3


def unified(old: bytes, new: bytes) -> tuple[str, bool]:
    """A unified diff without its header, and whether it is whole. Raises UnicodeDecodeError for what is no text."""
    before, after = (_lines(side) for side in (old, new))
    whole = len(old) <= _MAX_BYTES and len(new) <= _MAX_BYTES
    diff = difflib.unified_diff(before, after, n=_CONTEXT, lineterm="")
    lines = list(islice(diff, 2, 2 + _MAX_LINES + 1))
    return "\n".join(lines[:_MAX_LINES]), whole and len(lines) <= _MAX_LINES


def _lines(content: bytes) -> list[str]:
    if b"\0" in content:
        raise UnicodeDecodeError("utf-8", content, content.index(b"\0"), content.index(b"\0") + 1, "binary")
    return content[:_MAX_BYTES].decode("utf-8", "strict" if len(content) <= _MAX_BYTES else "ignore").split("\n")
