"""Texts of an image that a reader must see as they are: names can hold what steers a terminal or turns lines around."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""``text`` with what cannot be seen as ``\x1b``, ``\u202e`` and the like; line feeds and tabs stay."""
    if text.isprintable():
        return text
    return "".join(item if item.isprintable() or item in "\n\t" else ascii(item)[1:-1] for item in text)


def one_line(text: str) -> str:
    r"""The same on one line: a name with a line feed in it must not make up a line, a verdict perhaps, of its own."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")
