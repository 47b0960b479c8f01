"""A document's tree to a msgspec struct, by the types that the struct declares.

All problems are found in one pass, each with its position and key path. Only the types that definitions and rules
use are known here; a struct with another one is a bug and raises NotImplementedError.
"""

from __future__ import annotations

import difflib
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import inspect

from builder.definition.document import Mapping, Node, Scalar, Sequence
from builder.definition.problems import Position, Problem, quote

if TYPE_CHECKING:
    from builder.definition.rules import KeyPath

_Struct = TypeVar("_Struct", bound=msgspec.Struct)

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# YAML 1.2's core schema; YAML 1.1 took yes, no, on and off for truth values, too.
_TRUTH: Final = {"true": True, "false": False}
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_NO_FACTS: Final[dict[str, Any]] = {}


class Converter:
    """Turns one tree into one value; afterwards ``problems`` and ``positions`` tell what and where."""

    def __init__(self, document: str = "the definition") -> None:
        self._document = document
        self.problems: list[Problem] = []
        self.positions: dict[KeyPath, Position] = {}

    def struct(self, node: Node, struct: type[_Struct]) -> _Struct | None:
        """The value of ``node``, or None if there are ``problems``."""
        value = self._convert(node, inspect.type_info(struct), (), _NO_FACTS)
        return None if self.problems else value

    def _convert(self, node: Node, kind: inspect.Type, path: KeyPath, facts: dict[str, Any]) -> Any:
        """The value of ``node`` as ``kind``; ``facts`` are what the annotation says beyond the type."""
        self.positions[path] = node.position
        if isinstance(kind, inspect.Metadata):
            return self._convert(node, kind.type, path, facts | (kind.extra_json_schema or {}) | (kind.extra or {}))
        if isinstance(kind, inspect.UnionType):
            (inner,) = (option for option in kind.types if not isinstance(option, inspect.NoneType))
            if isinstance(node, Scalar) and node.is_null:
                return None
            return self._convert(node, inner, path, facts)
        if isinstance(kind, inspect.StructType):
            return self._struct(node, kind, path)
        if isinstance(kind, inspect.VarTupleType):
            return self._tuple(node, kind, path, facts)
        return self._scalar(node, kind, path, facts)

    def _struct(self, node: Node, kind: inspect.StructType, path: KeyPath) -> Any:
        if not isinstance(node, Mapping):
            return self._unexpected(node, path, f"a mapping with keys such as {kind.fields[0].name}")
        fields = {field.name: field for field in kind.fields}
        values: dict[str, Any] = {}
        for key, value in node.entries:
            if key.text in fields:
                values[key.text] = self._convert(value, fields[key.text].type, (*path, key.text), _NO_FACTS)
            else:
                self._unknown_key(key, path, sorted(fields))
        missing = [name for name, field in fields.items() if field.required and name not in values]
        for name in missing:
            self._problem(node.position, (*path, name), "is missing", _purpose(fields[name].type))
        # A value that was refused is None here; nobody sees the struct then.
        return None if missing else kind.cls(**values)

    def _tuple(self, node: Node, kind: inspect.VarTupleType, path: KeyPath, facts: dict[str, Any]) -> Any:
        if not isinstance(node, Sequence):
            return self._unexpected(node, path, "a list")
        least, most = kind.min_length or 0, kind.max_length
        if len(node.items) < least or (most is not None and len(node.items) > most):
            wanted = f"at least {least}" if len(node.items) < least else f"at most {most}"
            return self._problem(node.position, path, f"has {len(node.items)} entries, expected {wanted}")
        values = tuple(
            self._convert(item, kind.item_type, (*path, index), _NO_FACTS) for index, item in enumerate(node.items)
        )
        if facts.get("uniqueItems"):
            self._refuse_repeats(values, path)
        return values

    def _refuse_repeats(self, values: tuple[Any, ...], path: KeyPath) -> None:
        first: dict[str, int] = {}
        for index, value in enumerate(values):
            if value is not None and first.setdefault(value, index) != index:
                place = (*path, index)
                self._problem(
                    self.positions[place], place, f"is {quote(value)}, which stands already at [{first[value]}]"
                )

    def _scalar(self, node: Node, kind: inspect.Type, path: KeyPath, facts: dict[str, Any]) -> Any:
        expected = _expected(kind, facts)
        if not isinstance(node, Scalar) or node.is_null:
            return self._unexpected(node, path, expected)
        value = _scalar_value(node, kind)
        if value is None and facts.get("may_hold_secret"):
            return self._problem(node.position, path, f"is not {expected}")
        if value is None:
            return self._unexpected(node, path, expected, _advice(node, kind))
        return value

    def _unknown_key(self, key: Scalar, path: KeyPath, known: list[str]) -> None:
        near = difflib.get_close_matches(key.text, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
        name = f"{format_path(path)}.{_plain(key.text)}" if path else _plain(key.text)
        self.problems.append(Problem(key.position, f"{name} is not a known key", hint))

    def _unexpected(self, node: Node, path: KeyPath, expected: str, hint: str | None = None) -> None:
        self._problem(node.position, path, f"is {_found(node)}, expected {expected}", hint)

    def _problem(self, position: Position, path: KeyPath, sentence: str, hint: str | None = None) -> None:
        self.problems.append(Problem(position, f"{format_path(path) or self._document} {sentence}", hint))


def format_path(path: KeyPath) -> str:
    """``("kernel", "command_line", 2)`` as ``kernel.command_line[2]``; the whole document is empty."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _plain(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", key) else quote(key)


def _found(node: Node) -> str:
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if node.is_null:
        return "empty"
    return node.text if node.plain and _INTEGER.fullmatch(node.text) else quote(node.text)


def _purpose(kind: inspect.Type) -> str | None:
    """The description of a key, for the hint that says what is missing."""
    while isinstance(kind, inspect.Metadata):
        description = (kind.extra_json_schema or {}).get("description")
        if isinstance(description, str):
            return description.rstrip(".")
        kind = kind.type
    return None


def _expected(kind: inspect.Type, facts: dict[str, Any]) -> str:
    if "expected" in facts:
        return str(facts["expected"])
    if isinstance(kind, inspect.IntType):
        return f"a whole number from {kind.ge} to {kind.le}"
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    if isinstance(kind, inspect.EnumType):
        return " or ".join(member.value for member in kind.cls)
    if isinstance(kind, inspect.DateTimeType):
        return "a date and time in UTC such as 2026-01-31T00:00:00Z"
    if isinstance(kind, inspect.UUIDType):
        return "a UUID in lower case such as uuidgen prints"
    raise NotImplementedError(f"definitions have no values of type {kind}")


def _advice(node: Scalar, kind: inspect.Type) -> str | None:
    """What to do about a scalar that is not of its type, where that can be told."""
    if isinstance(kind, inspect.IntType) and not node.plain and _INTEGER.fullmatch(node.text):
        return "write the number without quotes"
    if isinstance(kind, inspect.EnumType):
        near = difflib.get_close_matches(node.text, [member.value for member in kind.cls], n=1)
        return f"did you mean {near[0]}?" if near else None
    return None


def _scalar_value(node: Scalar, kind: inspect.Type) -> Any:
    """The value of a scalar as ``kind``, or None if it is not one."""
    text = node.text
    if isinstance(kind, inspect.StrType):
        fits = kind.pattern is None or re.fullmatch(kind.pattern, text) is not None
        return text if fits and len(text) <= (kind.max_length or len(text)) else None
    if isinstance(kind, inspect.IntType):
        if not node.plain or not _INTEGER.fullmatch(text):
            return None
        number = int(text)
        low = number if kind.ge is None else kind.ge
        high = number if kind.le is None else kind.le
        return number if low <= number <= high else None
    if isinstance(kind, inspect.BoolType | inspect.EnumType):
        return _word_value(node, kind)
    if isinstance(kind, inspect.DateTimeType):
        return _date(text)
    if isinstance(kind, inspect.UUIDType):
        return uuid.UUID(text) if _UUID.fullmatch(text) else None
    raise NotImplementedError(f"definitions have no values of type {kind}")


def _word_value(node: Scalar, kind: inspect.BoolType | inspect.EnumType) -> Any:
    if isinstance(kind, inspect.BoolType):
        return _TRUTH.get(node.text) if node.plain else None
    return next((member for member in kind.cls if member.value == node.text), None)


def _date(text: str) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # the right shape, but no such day or hour
        return None
