"""YAML files of policies, read strictly: every scalar is text, no key twice, no anchors, no tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import yaml

from policies.errors import InvalidPolicyError
from policies.mismatch import told

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES: Final = 1 << 20
_T = TypeVar("_T")


class _Loader(yaml.BaseLoader):
    """pyyaml's loader of texts, lists and mappings."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(problem="anchors and tags are not accepted", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- pyyaml's
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen or not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is no text or there twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read(path: Path, type_: type[_T]) -> _T:
    """The document in a file, as a value of a type. Raises InvalidPolicyError that names file and place."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1).decode()
        if len(text) > _MAX_BYTES:
            raise InvalidPolicyError(f"{path}: larger than {_MAX_BYTES} bytes")
        document = yaml.load(text, _Loader)  # noqa: S506 -- BaseLoader makes texts only
        return _converted(document, type_)
    except OSError as error:
        raise InvalidPolicyError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f":{mark.line + 1}:{mark.column + 1}"
        raise InvalidPolicyError(f"{path}{place}: {error.problem}") from None
    except msgspec.ValidationError as error:
        raise InvalidPolicyError(f"{path}: {told(str(error))}") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        problem = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise InvalidPolicyError(f"{path}: {problem}") from None


def _converted(document: Any, type_: type[_T]) -> _T:
    """The value of a document. Raises ValidationError that names the entry of a mapping, which msgspec does not."""
    try:
        return msgspec.convert(document, type_, strict=False)
    except msgspec.ValidationError as error:
        field, unnamed, _ = str(error).partition("[...]")
        name = field.rpartition("$.")[2]
        entries = document.get(name, {}).items() if unnamed else ()
        for key, value in entries:
            try:
                msgspec.convert({**document, name: {key: value}}, type_, strict=False)
            except msgspec.ValidationError as one:
                raise msgspec.ValidationError(str(one).replace("[...]", f".{key}", 1)) from None
        raise
