"""diffoscope (https://diffoscope.org) for kinds of files that bedplate has no comparator of its own for.

It is under the GPL and runs as a process, if it is installed. What it prints is bounded, and so is its time: it starts
other programs on contents that nobody trusts. Source of the JSON: diffoscope/presenters/json.py, version 1.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from builder.compare.deep.inside import MAX_CHILDREN, Inside
from builder.compare.difference import Change, Difference, node_id
from builder.errors import ToolFailedError, ToolMissingError
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM: Final = "diffoscope"
_SECONDS: Final = 120.0
_LINES: Final = 400
_DEPTH: Final = 8
_NAME: Final = 100
# 0: no difference, 1: some.
_ANSWERS: Final = (0, 1)


class _Node(msgspec.Struct, frozen=True):
    source1: str
    source2: str
    comments: tuple[str, ...] = ()
    unified_diff: str | None = None
    details: tuple[_Node, ...] = ()


def is_installed() -> bool:
    """Whether it can be started."""
    return shutil.which(PROGRAM) is not None


def look_inside(place: str, name: str, old: bytes, new: bytes) -> Inside:
    """What diffoscope finds between two contents of the file ``name``; ``place`` is the id of their node.

    A run that fails, takes too long or says too much makes it incomplete.
    """
    with tempfile.TemporaryDirectory(prefix="bedplate-diffoscope-") as folder:
        paths = []
        for side, content in (("old", old), ("new", new)):
            path = Path(folder, side, _file_name(name))
            path.parent.mkdir()
            path.write_bytes(content)
            paths.append(str(path))
        argv = (PROGRAM, "--no-progress", f"--max-diff-block-lines={_LINES}", f"--max-container-depth={_DEPTH}")
        try:
            done = run((*argv, "--json", "-", *paths), timeout=_SECONDS, accept=_ANSWERS)
        except (ToolFailedError, ToolMissingError) as error:
            return Inside((), str(error))
        return _inside(place, done.stdout, folder)


def _file_name(name: str) -> str:
    """The end of a name, from which kinds are told too, as far as it is harmless in a directory of ours."""
    return f"file{re.sub(r'[^A-Za-z0-9._+-]', '_', name.rpartition('/')[2])[-_NAME:]}" if name else "file"


def _inside(place: str, output: bytes, folder: str) -> Inside:
    try:
        root = msgspec.json.decode(output, type=_Node)
    except (msgspec.DecodeError, RecursionError) as error:
        return Inside((), f"{PROGRAM} printed no report: {error or 'nested too deep'}")
    children = tuple(_differences(place, root, folder))
    if len(children) > MAX_CHILDREN:
        return Inside(children[:MAX_CHILDREN], f"{len(children) - MAX_CHILDREN} more differences are not listed")
    return Inside(children, None if children else f"{PROGRAM} found no difference in what differs")


def _differences(place: str, node: _Node, folder: str) -> Iterator[Difference]:
    """A node for everything that has a text of its own, named by the way that leads to it."""
    way: list[tuple[_Node, tuple[str, ...]]] = [(node, ())]
    while way:
        at, parents = way.pop()
        names = (*parents, _name(at, folder))
        if at.unified_diff:
            yield Difference(
                id=node_id(place, "=diffoscope", "/".join(names)),
                kind="text",
                subject=at.unified_diff,
                change=Change.CONTENT,
                notes=(" > ".join(names), *at.comments),
            )
        way += [(inner, names) for inner in reversed(at.details)]


def _name(node: _Node, folder: str) -> str:
    """What a node is about, without our temporary directory."""
    return node.source1.removeprefix(f"{folder}/old/")
