"""Variants of the shipped node: its definition with weights, and with what a test adds to it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from builder.definition.load import load
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.release.build import BuildRequest, build_image
from tests.models import digest
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.release.build import UnsignedBuild
    from builder.weights.pack import PackedWeights

BUILD_SECONDS = 1800.0
SERVICES = "services:\n"


def build_node(
    folder: Path,
    weights: PackedWeights,
    edits: Sequence[tuple[str, str]] = (),
    *,
    files: Path | None = None,
    programs: Sequence[Path] = (),
) -> UnsignedBuild:
    """Build the shipped node with weights, below the new directory ``folder``.

    ``edits`` replace words of its image.yaml, ``files`` is a tree that is laid over its own, ``programs`` are further
    Go programs beside it.
    """
    node = folder / "images/node"
    node.mkdir(parents=True)
    for base in IMAGE.parent.iterdir():
        if base != IMAGE:
            (node.parent / base.name).symlink_to(base)
    for entry in IMAGE.iterdir():
        if entry.name not in {"image.yaml", "files"}:
            (node / entry.name).symlink_to(entry)
    for program in programs:
        (node / program.name).symlink_to(program)
    shutil.copytree(IMAGE / "files", node / "files")
    if files is not None:
        shutil.copytree(files, node / "files", dirs_exist_ok=True)
    identity = os.path.relpath(weights.identity_file, node)
    served = f"weights:\n  identity: {identity}\n  sha256: {digest(weights.identity_file)}\n{SERVICES}"
    text = (IMAGE / "image.yaml").read_text()
    for old, new in (*edits, (SERVICES, served)):
        assert old in text, old
        text = text.replace(old, new, 1)
    (node / "image.yaml").write_text(text)
    request = BuildRequest(
        load(node), None, find_cache(os.environ), folder / "dist", BUILD_SECONDS, supply=shipped_supply()
    )
    return build_image(request, Silent())
