"""Reading an ``image.yaml``: bytes to a checked ImageDefinition, and the directories it refers to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.definition.convert import Converter, format_path
from builder.definition.digest import tree_digest
from builder.definition.document import MAX_BYTES, read_document
from builder.definition.model import ImageDefinition
from builder.definition.problems import InvalidDefinitionError, Position, Problem
from builder.definition.rules import violations
from builder.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.definition.rules import KeyPath

FILE_NAME: Final = "image.yaml"
DEFAULT_FILES: Final = "files"


@dataclass(frozen=True, slots=True)
class LoadedDefinition:
    """A definition with the directories it names, all absolute.

    ``files_directory`` is None when the image adds no files, ``waivers`` when nothing is waived. ``file_digest`` is the
    SHA-256 of ``image.yaml`` itself, ``digest`` that of all that the definition consists of: the file, its base, its
    files, the packs and waivers that it names (see ``digest``).
    """

    definition: ImageDefinition
    path: Path
    directory: Path
    base_directory: Path
    files_directory: Path | None
    waivers: Path | None
    file_digest: str
    digest: str


def parse(text: bytes, source: str) -> ImageDefinition:
    """The definition that ``text`` holds; ``source`` is the file's name for messages.

    Raises InvalidDefinitionError (an InvalidInputError) with every problem found.
    """
    return _parse(text, source)[0]


def load(path: Path) -> LoadedDefinition:
    """Read a definition from an ``image.yaml`` or from the directory that holds one.

    Raises InvalidInputError if the file cannot be read, is not accepted, or names a directory that is not there.
    """
    file = path / FILE_NAME if path.is_dir() else path
    text = read_bytes(file, what="image definition", limit=MAX_BYTES)
    source = str(file)
    definition, positions = _parse(text, source)
    directory = file.resolve().parent
    base = _directory(directory, definition.base, "base", source, positions)
    files = None
    if definition.files is not None:
        files = _directory(directory, definition.files, "files", source, positions)
    elif (directory / DEFAULT_FILES).is_dir():
        files = directory / DEFAULT_FILES
    parts = {FILE_NAME: file, "base": base} | ({} if files is None else {"files": files})
    parts |= {f"policy/{name}": path for name, path in _policy_files(directory, definition, source, positions)}
    waivers = definition.policy.waivers
    return LoadedDefinition(
        definition=definition,
        path=file.resolve(),
        directory=directory,
        base_directory=base,
        files_directory=files,
        waivers=None if waivers is None else directory / waivers,
        file_digest=hashlib.sha256(text).hexdigest(),
        digest=tree_digest(parts),
    )


def _parse(text: bytes, source: str) -> tuple[ImageDefinition, dict[KeyPath, Position]]:
    converter = Converter()
    definition = converter.struct(read_document(text, source), ImageDefinition)
    if definition is None:
        raise InvalidDefinitionError(source, converter.problems)
    broken = [
        Problem(converter.positions[item.path], f"{format_path(item.path)} {item.problem}", item.hint)
        for item in violations(definition)
    ]
    if broken:
        raise InvalidDefinitionError(source, broken)
    return definition, converter.positions


def _policy_files(
    beside: Path, definition: ImageDefinition, source: str, positions: dict[KeyPath, Position]
) -> Iterator[tuple[str, Path]]:
    """The pack files and the waiver file that a definition names. Raises InvalidDefinitionError if one is not there."""
    policy = definition.policy
    named: dict[KeyPath, str] = {
        ("policy", "packs", index): name for index, name in enumerate(policy.packs or ()) if name.endswith(".yaml")
    }
    if policy.waivers is not None:
        named["policy", "waivers"] = policy.waivers
    for place, name in named.items():
        path = (beside / name).resolve()
        if not path.is_file():
            problem = Problem(positions[place], f"{format_path(place)} is {name!r}, but {path} is not a file")
            raise InvalidDefinitionError(source, [problem])
        yield name, path


def _directory(beside: Path, relative: str, key: str, source: str, positions: dict[KeyPath, Position]) -> Path:
    directory = (beside / relative).resolve()
    if not directory.is_dir():
        problem = Problem(positions[key,], f"{key} is {relative!r}, but {directory} is not a directory")
        raise InvalidDefinitionError(source, [problem])
    return directory
