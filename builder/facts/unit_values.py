"""Values in unit files: specifiers in names, and the commands of Exec lines (systemd.unit(5), systemd.service(5)).

Standard library only, see ``builder.facts.syntax``.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import SPACE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# systemd src/basic/escape.c, ``cunescape_one``; behind the backslash.
_ESCAPE: Final = re.compile(
    r"x(?P<hex>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<octal>[0-3][0-7]{2})"
    r"|(?P<letter>[abfnrtv\\\"'s])"
)
_ESCAPES: Final = re.compile(rf"\\(?:{_ESCAPE.pattern}|(?P<other>.))", re.DOTALL)
_LETTERS: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", '"': '"', "'": "'", "s": " ",
}  # fmt: skip
_SPECIFIER: Final = re.compile("%(.)")
# What the system manager makes of the others; systemd-path(1).
_SAME: Final = {
    "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "T": "/tmp", "V": "/var/tmp",  # noqa: S108 -- what it means
    "h": "/root", "s": "/bin/sh", "u": "root", "U": "0", "g": "root", "G": "0",
}  # fmt: skip
# A dollar sign that stands for itself, or a variable.
_VARIABLE: Final = re.compile(r"\$(?:\$|\{(\w+)\})")
_STRANGE: Final = re.compile(r"[^!-~]|[%'\"]")


def expand(word: str, name: str) -> str:
    """The specifiers of systemd.unit(5) in the name of another unit; a template's own instance is empty."""
    return known(word, name).replace("%i", "").replace("%I", "")


def known(value: str, name: str) -> str:
    """A value with the specifiers that follow from the unit's name or are the same for the whole system manager.

    Others, a template's instance, and what would add a blank, a quote or a specifier stay as they are.
    """
    if "%" not in value:
        return value
    values = _specifiers(name)
    return _SPECIFIER.sub(lambda match: values.get(match[1], match[0]), value)


def _specifiers(name: str) -> dict[str, str]:
    """systemd src/core/unit-printf.c, ``unit_full_printf_full``."""
    stem = name.rpartition(".")[0]
    prefix, at, instance = stem.partition("@")
    last = prefix.rpartition("-")[2]
    named = {"n": name, "N": stem, "p": prefix, "P": path_of(prefix)[1:], "j": last, "J": path_of(last)[1:]}
    if instance or not at:
        named |= {"i": instance, "I": path_of(instance)[1:], "f": path_of(instance or prefix)}
    plain = {letter: text for letter, text in named.items() if not _STRANGE.search(text)}
    return {**_SAME, "d": f"/run/credentials/{name}", **plain}


def path_of(escaped: str) -> str:
    """The path that a part of a unit's name stands for (systemd.unit(5), "String Escaping").

    A part that stands for no path is, without the slash, what it was before it was escaped.
    """
    plain = re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), escaped.replace("-", "/"))
    return f"/{plain}" if escaped[:1] != "-" else "/" + plain.lstrip("/")


def commands(value: str) -> Iterator[list[str]]:
    """The words of each command of an Exec line; a lone ";" separates commands."""
    command: list[str] = []
    for word in (*split(value), ";"):
        if word != ";":
            command.append(word)
        elif command:
            yield command
            command = []


def substituted(words: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Arguments with the variables that are known; a whole word may become several (systemd.service(5))."""
    for word in words:
        if word.startswith("$") and word[1:] in variables:
            yield from variables[word[1:]].split()
        else:
            yield _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), word)


def split(value: str, *, escapes: bool = True) -> list[str]:
    """All words of a value, as :func:`extract_word` takes them."""
    words: list[str] = []
    word, position = extract_word(value, 0, escapes=escapes)
    while word is not None:
        words.append(word)
        word, position = extract_word(value, position, escapes=escapes)
    return words


def extract_word(value: str, position: int, *, escapes: bool = True) -> tuple[str | None, int]:
    """The next word behind a position, None at the end, and where it ends.

    As systemd's ``extract_first_word`` with EXTRACT_UNQUOTE and EXTRACT_RELAX (src/basic/extract-word.c): quotes of
    both kinds count anywhere in a word and are taken away. With ``escapes`` a backslash spells a character as in C
    (EXTRACT_CUNESCAPE), else it is dropped. What systemd refuses, such as an open quote, is still worth a look.
    """
    word: list[str] = []
    begun, quote = False, ""
    while position < len(value):
        character = value[position]
        position += 1
        if character in SPACE and not quote:
            if begun:
                break
            continue
        begun = True
        if character == "\\":
            match = _ESCAPE.match(value, position) if escapes else None
            word.append(_spelled(match) if match else value[position : position + 1])
            position += len(match[0]) if match else 1
        elif character in (quote or "'\""):
            quote = "" if quote else character
        else:
            word.append(character)
    return ("".join(word) if begun else None), position


def unescaped(text: str) -> str:
    """A text with its escapes spelled out; what is no escape stays as it is."""
    return _ESCAPES.sub(lambda match: _spelled(match) if match["other"] is None else match[0], text)


def _spelled(match: re.Match[str]) -> str:
    """The character of an escape; a byte that is not ASCII is taken for the character of this number."""
    if match["letter"]:
        return _LETTERS[match["letter"]]
    if match["octal"]:
        return chr(int(match["octal"], 8))
    number = int(match["hex"] or match["short"] or match["long"], 16)
    return chr(number) if number <= sys.maxunicode else match[0]
