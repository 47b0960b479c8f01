"""What of the build that stands at the target a new build may take over, by what both were made of."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from builder import __version__
from builder.definition.render import RenderedFile, RenderedTree
from builder.definition.tree_archive import MAX_ARCHIVE_BYTES, unpack_tree
from builder.errors import InvalidInputError
from builder.files import read_bytes, sha256_file
from builder.mkosi.command_line import split_command_line
from builder.mkosi.layers import Inputs, differences, explain, key_of, tree_rows
from builder.release.layout import BUILD_RECORD, POLICY, TREE
from builder.release.record import load_record
from builder.release.unsigned import find_unsigned, read_sources

if TYPE_CHECKING:
    from pathlib import Path

    from builder.release.record import BuildRecord

COMMAND_LINE: Final = "command line"
_CONFIG: Final = PurePosixPath("mkosi.conf")


class Reuse(enum.Enum):
    """How much is taken over."""

    BUILD = "the whole build"
    IMAGE = "the image, with a new record and verdict"
    ROOT = "root, hash tree and all of the UKI but its command line"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Standing:
    """The build at the target: how much of it can be taken over, and why not more.

    ``record`` is None where there is none to take anything from.
    """

    reuse: Reuse
    because: str
    record: BuildRecord | None = None


def image_inputs(tree: RenderedTree, *, tools: str, lock: str | None, bedplate: str = __version__) -> Inputs:
    """What decides the bytes of a disk image; the kernel command line has a row of its own."""
    entries = dict(tree.entries)
    config = entries.get(_CONFIG)
    setting = b""
    if isinstance(config, RenderedFile):
        setting, rest = split_command_line(config.content)
        entries[_CONFIG] = RenderedFile(rest, config.executable)
    return {
        "bedplate": bedplate,
        "tools": tools,
        "lock": lock or "none",
        COMMAND_LINE: setting.decode(),
        **tree_rows(RenderedTree(entries)),
    }


def find_standing(target: Path, inputs: Inputs, *, policy: str, definition: str) -> Standing:
    """Compare the build at ``target``, if there is one, with the inputs of the one to make.

    ``policy`` and ``definition`` are digests of what decides nothing in the image, only what is said about it.

    Raises InvalidInputError if what is there is no build: then it is not for us to replace.
    """
    if not target.exists():
        return Standing(Reuse.NOTHING, "there is no build of this version yet")
    record = _readable_record(target)
    if record is None:
        return Standing(Reuse.NOTHING, "another version of bedplate made the build that is there")
    if record.inputs != key_of(inputs):
        return _compare_inputs(target, record, inputs)
    stale = _stale(target, record, policy, definition)
    return _if_unchanged(target, Standing(Reuse.IMAGE if stale else Reuse.BUILD, stale, record))


def _stale(target: Path, record: BuildRecord, policy: str, definition: str) -> str:
    """Why record and verdict of the same image are not those of today; empty if they are."""
    if record.policy != policy:
        return "the policy changed"
    if record.definition != definition:
        # A comment, say. The provenance names the definition by its digest, which is then another one.
        return "the definition changed where the image does not"
    path = target / POLICY
    if not path.is_file() or sha256_file(path) != policy:
        return f"{POLICY} is not the one that was built for"
    return ""


def _compare_inputs(target: Path, record: BuildRecord, inputs: Inputs) -> Standing:
    try:
        tree = unpack_tree(read_bytes(target / TREE, what="mkosi tree", limit=MAX_ARCHIVE_BYTES), TREE)
    except InvalidInputError:
        return Standing(Reuse.NOTHING, "the inputs changed, and nobody kept what the build that is there was made of")
    old = image_inputs(tree, tools=record.toolchain, lock=record.lock, bedplate=record.bedplate)
    if key_of(old) != record.inputs:
        return Standing(Reuse.NOTHING, f"{TREE} of the build that is there is not what it was made of")
    rows = differences(old, inputs)
    if rows.keys() == {COMMAND_LINE}:
        return _if_unchanged(target, Standing(Reuse.ROOT, explain(rows), record))
    return Standing(Reuse.NOTHING, explain(rows))


def _if_unchanged(target: Path, found: Standing) -> Standing:
    """The same, or nothing to reuse if the image, its lock or its tree are not those that the record names."""
    if found.record is None:
        return found
    try:
        find_unsigned(target)
        read_sources(target, found.record)
    except InvalidInputError as error:
        return Standing(Reuse.NOTHING, f"{found.because}, and {error}" if found.because else str(error))
    return found


def _readable_record(target: Path) -> BuildRecord | None:
    """The record of the build that is there; None if another version of bedplate wrote it, so that it is replaced."""
    try:
        return load_record(target)
    except InvalidInputError:
        if not (target / BUILD_RECORD).exists():
            raise
        return None
