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
from builder.weights.identity import MAX_DOCUMENT_BYTES as MAX_IDENTITY_BYTES
from builder.weights.identity import decode_identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.definition.rules import KeyPath
    from builder.weights.identity import WeightsIdentity

FILE_NAME: Final = "image.yaml"
DEFAULT_FILES: Final = "files"


@dataclass(frozen=True, slots=True)
class LoadedDefinition:
    """A definition with the directories it names, all absolute.

    ``files_directory`` is None when the image adds no files, ``waivers`` when nothing is waived. ``file_digest`` is the
    SHA-256 of ``image.yaml`` itself, ``digest`` that of all that the definition consists of: the file, its base, its
    files, the packs, waivers, key files and weights that it names, and its engine's (see ``digest``). ``engine`` is the
    definition of the engine, ``weights`` the identity of the weights, None where the image has none.
    """

    definition: ImageDefinition
    path: Path
    directory: Path
    base_directory: Path
    files_directory: Path | None
    waivers: Path | None
    file_digest: str
    digest: str
    engine: LoadedDefinition | None = None
    weights: WeightsIdentity | None = None


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
    base = _directory(directory, definition.base, ("base",), source, positions)
    files = None
    if definition.files is not None:
        files = _directory(directory, definition.files, ("files",), source, positions)
    elif (directory / DEFAULT_FILES).is_dir():
        files = directory / DEFAULT_FILES
    parts = {FILE_NAME: file, "base": base} | ({} if files is None else {"files": files})
    parts |= {
        f"programs/{name}": _directory(directory, name, ("programs", index), source, positions)
        for index, name in enumerate(definition.programs)
    }
    parts |= dict(_named_files(directory, definition, source, positions))
    engine = _engine(directory, definition, source, positions)
    waivers = definition.policy.waivers
    return LoadedDefinition(
        definition=definition,
        path=file.resolve(),
        directory=directory,
        base_directory=base,
        files_directory=files,
        waivers=None if waivers is None else directory / waivers,
        file_digest=hashlib.sha256(text).hexdigest(),
        digest=_digest(tree_digest(parts), engine),
        engine=engine,
        weights=_weights(directory, definition, source, positions),
    )


def _digest(own: str, engine: LoadedDefinition | None) -> str:
    """The digest of a definition alone, or of it and its engine's."""
    return own if engine is None else hashlib.sha256(f"{own} {engine.digest}\n".encode()).hexdigest()


def _engine(
    beside: Path, definition: ImageDefinition, source: str, positions: dict[KeyPath, Position]
) -> LoadedDefinition | None:
    """The definition of the engine. Raises InvalidDefinitionError if it is one that cannot be an engine here."""
    if definition.engine is None:
        return None
    engine = load(_directory(beside, definition.engine, ("engine",), source, positions))
    if engine.definition.engine is not None or engine.definition.weights is not None:
        problem = f"engine is {definition.engine!r}, but {engine.path} has an engine or weights of its own"
        raise InvalidDefinitionError(source, [Problem(positions["engine",], problem)])
    return engine


def _weights(
    beside: Path, definition: ImageDefinition, source: str, positions: dict[KeyPath, Position]
) -> WeightsIdentity | None:
    """The identity of the weights. Raises InvalidDefinitionError if the file is not the one that is meant."""
    if definition.weights is None:
        return None
    path = (beside / definition.weights.identity).resolve()
    data = read_bytes(path, what="identity of weights", limit=MAX_IDENTITY_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != definition.weights.sha256:
        problem = f"weights.sha256 is {definition.weights.sha256}, but {path} has the SHA-256 {found}"
        raise InvalidDefinitionError(source, [Problem(positions["weights", "sha256"], problem)])
    return decode_identity(data, what=str(path))


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


def _named_files(
    beside: Path, definition: ImageDefinition, source: str, positions: dict[KeyPath, Position]
) -> Iterator[tuple[str, Path]]:
    """Packs, waivers and key files that a definition names, each under a name of its own.

    Raises InvalidDefinitionError if one is not there.
    """
    policy = definition.policy
    named: dict[KeyPath, str] = {
        ("policy", "packs", index): name for index, name in enumerate(policy.packs or ()) if name.endswith(".yaml")
    }
    if policy.waivers is not None:
        named["policy", "waivers"] = policy.waivers
    for index, archive in enumerate(definition.distribution.archives):
        if archive.keyring is not None:
            named["distribution", "archives", index, "keyring"] = archive.keyring
    if definition.node.metrics_clients is not None:
        named["node", "metrics_clients"] = definition.node.metrics_clients
    if definition.weights is not None:
        named["weights", "identity"] = definition.weights.identity
    for place, name in named.items():
        path = (beside / name).resolve()
        if not path.is_file():
            problem = Problem(positions[place], f"{format_path(place)} is {name!r}, but {path} is not a file")
            raise InvalidDefinitionError(source, [problem])
        yield f"{place[0]}/{name}", path


def _directory(beside: Path, relative: str, key: KeyPath, source: str, positions: dict[KeyPath, Position]) -> Path:
    directory = (beside / relative).resolve()
    if not directory.is_dir():
        problem = Problem(positions[key], f"{format_path(key)} is {relative!r}, but {directory} is not a directory")
        raise InvalidDefinitionError(source, [problem])
    return directory
