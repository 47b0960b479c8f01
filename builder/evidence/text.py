"""Strings of a log as text that is safe to show: whoever wrote the log must not steer a terminal or hide in it."""

from __future__ import annotations

_MAX_TEXT = 4096


def printable(text: str) -> str:
    """``text`` with everything that does not print, controls and direction marks among it, escaped as Python does."""
    shown = text[:_MAX_TEXT]
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in shown
    )
    return escaped if len(text) <= _MAX_TEXT else f"{escaped}... ({len(text)} characters)"


def utf16_text(data: bytes | memoryview) -> str:
    """UTF-16LE without its NULs at the end; broken units become U+FFFD, an odd last byte is kept as one."""
    return printable(bytes(data).decode("utf-16-le", "replace").rstrip("\0"))


def ascii_text(data: bytes | memoryview) -> str:
    """ASCII or UTF-8 without its NULs at the end; other bytes are escaped."""
    return printable(bytes(data).rstrip(b"\0").decode("utf-8", "backslashreplace"))


def guess_text(data: bytes) -> str | None:
    """The string in ``data`` if it plainly is one, with or without NULs at the end; else None.

    It is UTF-16LE if it starts with a Latin letter, else UTF-8: any bytes, a GUID's, say, are UTF-16 of some script.
    """
    body = data.rstrip(b"\0")
    if not body:
        return None
    wide = body + bytes(len(body) % 2)  # the high byte of the last character went with the NULs
    if data[1:2] == b"\0":
        return _decoded(wide, "utf-16-le")
    return _decoded(body, "utf-8")


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    plain = all(character.isprintable() or character in "\t\r\n" for character in text)
    return printable(text) if plain else None
