"""The types of the facts, for those who write about facts from outside: by the annotations of their structures."""

from __future__ import annotations

import types
import typing
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from policies.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def entries_of(path: str) -> type:
    """The type of the entries of a list of the facts, such as "root.files". Raises ValueError if it is no list."""
    kind: Any = Facts
    for part in path.split("."):
        fields = {field.name: field.type for field in msgspec.structs.fields(kind)} if is_structure(kind) else {}
        if part not in fields:
            raise ValueError(f"the facts have no {path!r}: there is no {part!r}")
        kind = bare(fields[part])[0]
    if typing.get_origin(kind) is not tuple:
        raise ValueError(f"{path!r} is no list of the facts")
    return typing.cast("type", bare(typing.get_args(kind)[0])[0])


def structures(roots: Sequence[type]) -> Iterator[type]:
    """The structures that some consist of, each once."""
    seen: set[type] = set()
    pending = deque(roots)
    while pending:
        kind = pending.popleft()
        if kind not in seen:
            seen.add(kind)
            yield kind
            pending.extend(part for field in msgspec.structs.fields(kind) for part in _parts(field.type))


def _parts(annotation: Any) -> Iterator[type]:
    if is_structure(annotation):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _parts(argument)


def is_structure(kind: Any) -> bool:
    """Whether a type is one of the structures that facts consist of."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def bare(annotation: Any) -> tuple[Any, bool]:
    """A type without its description and without "or null", and whether it may be null; a choice is its type."""
    if typing.get_origin(annotation) is typing.Annotated:
        return bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is Literal:
        (kind,) = {type(value) for value in typing.get_args(annotation)}
        return kind, False
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        (kind,) = (bare(part)[0] for part in typing.get_args(annotation) if part is not type(None))
        return kind, True
    return annotation, False
