"""XML of configuration files: elements with attributes, text and line; no entities, no endless nesting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn
from xml.parsers import expat

from builder.facts.syntax import MAX_CONFIGURATION
from policies.facts import BrokenLine, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

_MAX_DEPTH: Final = 32


@dataclass(slots=True)
class Element:
    """An element; ``text`` is what stands directly in it, ``line`` counts from 1."""

    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """The element and all below it, in order."""
        yield self
        for child in self.children:
            yield from child.walk()


def elements(tree: FileTree, path: str, broken: list[BrokenLine]) -> Iterator[Element]:
    """The elements of a file of a tree, in order; none of what is no XML, which ``broken`` gets."""
    try:
        yield from read_xml(bytes(tree.content(path, MAX_CONFIGURATION))).walk()
    except ValueError as error:
        broken.append(BrokenLine(origin=Origin(path=path, line=None), problem=f"it is no XML: {error}"))


def read_xml(content: bytes) -> Element:
    """The root element. Raises ValueError for what is no XML, declares entities, or nests deeper than 32 levels."""
    parser = expat.ParserCreate()
    top = Element("", {}, 0)
    stack = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > _MAX_DEPTH:
            raise ValueError(f"it nests deeper than {_MAX_DEPTH} levels")
        element = Element(name, attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].text += data

    def entity(*_: object) -> NoReturn:
        raise ValueError("it declares an entity")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(content, True)  # noqa: FBT003 -- expat's
    except expat.ExpatError as error:
        raise ValueError(str(error)) from None
    return top.children[0]
