"""The identity of packed weights: which model, under which terms, and the root hash that a node is measured with.

The document and the version of the layout decide every byte of the disk but those of the model's own files. So
checking a disk needs no parser: what it must hold is computed from the document and compared.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from builder.errors import InvalidInputError, in_words
from builder.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TYPE: Final = "https://bedplate.dev/weights/v1"
MAX_FILES: Final = 65_536
MAX_DOCUMENT_BYTES: Final = 64 << 20
# Blocks have numbers of 32 bits in EROFS, and the last one means that there is none.
MAX_IMAGE_BYTES: Final = ((1 << 32) - 2) * 4096
_MAX_NAME_BYTES: Final = 255

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
ModelName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$(?!\n)")]
# No control characters: it is printed. What it says is for people and lawyers.
Licence = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,200}$(?!\n)")]
# A service file names these, so nothing in them needs quoting.
FilePath = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$(?!\n)", max_length=1024)
]


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the model by its path in the image, with its size in bytes and its SHA-256."""

    path: FilePath
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_IMAGE_BYTES)]
    sha256: Digest


class VerityTree(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The hash tree over the file system: dm-verity version 1, SHA-256, blocks of 4096 bytes, ``salt`` in hex.

    ``data_blocks`` is how many blocks the tree covers. The first half of ``root_hash`` is the UUID of the partition of
    the data, the second half that of the tree.
    """

    root_hash: Digest
    salt: Digest
    data_blocks: Annotated[int, msgspec.Meta(ge=1, lt=1 << 32)]


class WeightsIdentity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packed weights. ``sha256`` is the digest of the model, see :func:`model_digest`; ``size`` that of the disk."""

    type: str
    name: ModelName
    licence: Licence
    sha256: Digest
    files: Annotated[tuple[ModelFile, ...], msgspec.Meta(min_length=1, max_length=MAX_FILES)]
    verity: VerityTree
    size: Annotated[int, msgspec.Meta(gt=0, le=MAX_IMAGE_BYTES * 2)]


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model a node serves: what the root of the node and a statement of its release say of the weights.

    ``sha256`` is the digest of the model, ``root_hash`` that of the only disk which the node opens.
    """

    name: ModelName
    licence: Licence
    sha256: Digest
    root_hash: Digest

    @classmethod
    def of(cls, identity: WeightsIdentity) -> Model:
        """The model of packed weights."""
        return cls(
            name=identity.name,
            licence=identity.licence,
            sha256=identity.sha256,
            root_hash=identity.verity.root_hash,
        )


def model_digest(files: Iterable[ModelFile]) -> str:
    """The digest of a model: SHA-256 over what ``sha256sum`` prints for its files, in the byte order of their paths."""
    lines = sorted((file.path, f"{file.sha256}  {file.path}\n") for file in files)
    return hashlib.sha256("".join(line for _, line in lines).encode()).hexdigest()


def encode_identity(identity: WeightsIdentity) -> bytes:
    """The document: JSON with sorted keys, indented, with a final line feed."""
    return msgspec.json.format(msgspec.json.encode(identity, order="sorted"), indent=2) + b"\n"


def decode_identity(data: bytes, *, what: str) -> WeightsIdentity:
    """The document in ``data``, consistent in itself.

    Raises InvalidInputError that begins with ``what`` for anything else, such as a key that is unknown or there twice.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique)
        identity = msgspec.convert(value, WeightsIdentity)
        _check(identity)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise InvalidInputError(f"{what} is no identity of weights: {in_words(error)}") from error
    return identity


def read_identity(path: Path) -> WeightsIdentity:
    """The document in a file. Raises InvalidInputError that names the file."""
    return decode_identity(read_bytes(path, what="identity of weights", limit=MAX_DOCUMENT_BYTES), what=str(path))


def check_paths(paths: Iterable[str]) -> None:
    """Raises ValueError unless the paths are sorted, each once, none a file and a directory, no name too long."""
    previous: str | None = None
    directories: set[str] = set()
    files = set()
    for path in paths:
        if previous is not None and path <= previous:
            raise ValueError(f"the file {path} is out of order, or there twice")
        previous = path
        files.add(path)
        parts = path.split("/")
        if any(len(part) > _MAX_NAME_BYTES for part in parts):
            raise ValueError(f"a name in {path} is longer than {_MAX_NAME_BYTES} bytes")
        directories.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if both := files & directories:
        raise ValueError(f"{min(both)} is both a file and a directory")


def _check(identity: WeightsIdentity) -> None:
    if identity.type != TYPE:
        raise ValueError(f"its type is {identity.type!r}, expected {TYPE!r}")
    check_paths(file.path for file in identity.files)
    if model_digest(identity.files) != identity.sha256:
        raise ValueError("its sha256 is not the digest of its files")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found
