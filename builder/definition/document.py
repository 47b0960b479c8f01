"""YAML text to a tree of scalars, lists and mappings that remember where they stand; nothing is interpreted.

The accepted YAML is the part that a person expects: one document of mappings, lists and scalars. A scalar keeps the
characters that were written, so ``1.10`` stays ``1.10`` and ``no`` stays ``no`` until a type asks for something else.
Refused are anchors and aliases (which can grow without bound), tags, merge keys, keys that are not plain words, and
the same key twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import yaml

from builder.definition.problems import InvalidDefinitionError, Position, Problem, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

# A definition has some hundred lines; these bounds are far above and keep a hostile file cheap.
MAX_BYTES: Final = 256 << 10
MAX_DEPTH: Final = 8
# What YAML 1.1's core schema reads as null when it is not quoted.
_NULLS: Final = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, with the text as written (quotes and escapes undone); ``plain`` if it stood without quotes."""

    text: str
    plain: bool
    position: Position

    @property
    def is_null(self) -> bool:
        """Whether nothing was given for a key."""
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file; no key stands twice."""

    entries: tuple[tuple[Scalar, Node], ...]
    position: Position


Node = Scalar | Sequence | Mapping


def read_document(text: bytes, source: str, what: str = "an image definition") -> Node:
    """The one document of a YAML file. ``source`` is the file's name for messages, ``what`` it should hold.

    Raises InvalidDefinitionError with the first place that is not acceptable.
    """
    try:
        return _Reader(_decode(text)).document(what)
    except _ProblemError as error:
        raise InvalidDefinitionError(source, [error.problem]) from None


class _ProblemError(Exception):
    """Carries a problem up to where the file's name is known."""

    def __init__(self, position: Position, sentence: str, hint: str | None = None) -> None:
        super().__init__(sentence)
        self.problem = Problem(position, sentence, hint)


def _decode(text: bytes) -> str:
    if len(text) > MAX_BYTES:
        raise _ProblemError(Position(1, 1), f"the file has {len(text)} bytes, expected at most {MAX_BYTES}")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        position = _position_in(text[: error.start].decode("utf-8"))
        raise _ProblemError(position, f"byte {text[error.start]:#04x} is not UTF-8") from None


def _position_in(before: str) -> Position:
    """The position right after the text ``before``."""
    return Position(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _position_of(event: yaml.Event) -> Position:
    # pyyaml marks every event; its stubs allow None because the constructors do.
    return _position_at(cast("yaml.Mark", event.start_mark))


def _position_at(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


class _Reader:
    """One pass over the events of pyyaml's parser."""

    def __init__(self, text: str) -> None:
        self._events = _events(text)

    def document(self, what: str) -> Node:
        next(self._events)  # StreamStartEvent
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _ProblemError(Position(1, 1), f"the file is empty, expected {what}")
        root = self._node(next(self._events), depth=1)
        next(self._events)  # DocumentEndEvent
        event = next(self._events)
        if isinstance(event, yaml.DocumentStartEvent):
            raise _ProblemError(_position_of(event), "a second document begins here, expected one")
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        position = _position_of(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _ProblemError(position, "anchors and aliases are not accepted", "write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _ProblemError(position, f"tag {quote(tag)} is not accepted", "remove it; each key knows its type")
        if depth > MAX_DEPTH:
            raise _ProblemError(position, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, position)
        if isinstance(event, yaml.SequenceStartEvent):
            return Sequence(tuple(self._items(depth)), position)
        return Mapping(tuple(self._entries(depth)), position)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth + 1)

    def _entries(self, depth: int) -> Iterator[tuple[Scalar, Node]]:
        seen: dict[str, Position] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise _ProblemError(key.position, "a list or mapping stands where a key is expected")
            if key.plain and key.text == "<<":
                raise _ProblemError(key.position, "merge keys are not accepted", "write the keys out")
            if key.text in seen:
                first = seen[key.text]
                raise _ProblemError(key.position, f"key {quote(key.text)} stands here again after line {first.line}")
            seen[key.text] = key.position
            yield key, self._node(next(self._events), depth + 1)


def _scalar(event: yaml.ScalarEvent, position: Position) -> Scalar:
    # "\ud800" is an escape that YAML allows and that no UTF-8 file can hold.
    if any("\ud800" <= character <= "\udfff" for character in event.value):
        raise _ProblemError(position, "half of a surrogate pair is no character")
    return Scalar(event.value, event.style is None, position)


def _events(text: str) -> Iterator[yaml.Event]:
    """The parser's events, with all the ways in which pyyaml says no turned into one."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        position = _position_in(text[: error.position])
        raise _ProblemError(position, f"character U+{ord(text[error.position]):04X} is not allowed in YAML") from None
    try:
        while loader.check_event():
            yield cast("yaml.Event", loader.get_event())  # type: ignore[no-untyped-call]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        sentence = ", ".join(part for part in (error.context, error.problem) if part)
        raise _ProblemError(_position_at(mark), f"not valid YAML: {sentence}", _syntax_hint(text, mark)) from None
    except (ValueError, OverflowError) as error:  # numbers out of range in "\UFFFFFFFF" and in %YAML directives
        raise _ProblemError(_position_at(loader.get_mark()), f"not valid YAML: {error}") from None
    finally:
        loader.dispose()


def _syntax_hint(text: str, mark: yaml.Mark) -> str | None:
    """A remark on the commonest slip, a tab as indentation, which the parser reports in its own words."""
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    indentation = line[: len(line) - len(line.lstrip())]
    return "indent with spaces; YAML does not accept tabs" if "\t" in indentation else None
