"""Why a JSON document is not of a type, in words: place, what was found, what was expected.

msgspec decides whether it is; its own words are regular expressions and JSONPath.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import inspect

from builder.definition.convert import format_path
from builder.definition.problems import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.definition.rules import KeyPath

_EXPECTED: Final = "expected"


def explain(document: object, struct: type) -> tuple[KeyPath, str] | None:
    """The first problem: its path and a sentence that begins with it; None if nothing is found to be wrong.

    What a text has to be is told in the words that its annotation has as ``Meta(extra={"expected": ...})``.
    """
    return next(_problems(document, inspect.type_info(struct), (), None), None)


def _problems(value: object, kind: inspect.Type, path: KeyPath, expected: str | None) -> Iterator[tuple[KeyPath, str]]:
    match kind:
        case inspect.Metadata():
            yield from _problems(value, kind.type, path, (kind.extra or {}).get(_EXPECTED, expected))
        case inspect.UnionType():
            if value is not None:
                inner = next(option for option in kind.types if not isinstance(option, inspect.NoneType))
                yield from _problems(value, inner, path, expected)
        case inspect.StructType() if isinstance(value, dict):
            yield from _of_struct(value, kind, path)
        case inspect.DictType() if isinstance(value, dict):
            for key, item in value.items():
                yield from _problems(key, kind.key_type, (*path, "a key"), None)
                yield from _problems(item, kind.value_type, (*path, key), None)
        case inspect.VarTupleType() if isinstance(value, list):
            yield from _of_list(value, kind, path)
        case _ if not _fits(value, kind):
            yield path, f"{_name(path)} is {_found(value)}, expected {expected or _wanted(kind)}"


def _of_list(value: list[Any], kind: inspect.VarTupleType, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if len(value) < (kind.min_length or 0):
        yield path, f"{_name(path)} is empty"
    for index, item in enumerate(value):
        yield from _problems(item, kind.item_type, (*path, index), None)


def _of_struct(value: dict[str, Any], kind: inspect.StructType, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    fields = {field.encode_name: field for field in kind.fields}
    for key in value:
        if key not in fields:
            yield path, f"{_name(path)} has the unknown key {quote(key)}, known are {', '.join(fields)}"
    for name, field in fields.items():
        if name in value:
            yield from _problems(value[name], field.type, (*path, name), None)
        elif field.required:
            yield path, f"{_name(path)} has no {name}"


def _fits(value: object, kind: inspect.Type) -> bool:
    """Whether a value without parts is of its type; what has parts is none, or is of the wrong kind here."""
    match kind:
        case inspect.StrType():
            if not isinstance(value, str):
                return False
            short = kind.max_length is None or len(value) <= kind.max_length
            return short and (kind.pattern is None or re.search(kind.pattern, value) is not None)
        case inspect.IntType():
            whole = isinstance(value, int) and not isinstance(value, bool)
            return whole and all(_between(value, kind))
        case inspect.LiteralType():
            return value in kind.values
    return False


def _between(value: Any, kind: inspect.IntType) -> Iterable[bool]:
    return (kind.ge is None or value >= kind.ge, kind.le is None or value <= kind.le)


def _wanted(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType():
            return f"a whole number from {kind.ge} to {kind.le}"
        case inspect.LiteralType():
            return " or ".join(str(value) for value in kind.values)
        case inspect.VarTupleType():
            return "a list"
        case inspect.StrType():
            return "a text"
    return "an object"


def _found(value: object) -> str:
    match value:
        case str():
            return quote(value)
        case list():
            return "a list"
        case dict():
            return "an object"
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
    return str(value)


def _name(path: KeyPath) -> str:
    return format_path(path) or "it"
