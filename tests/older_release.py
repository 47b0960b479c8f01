"""The shipped image as it would be without Debian's security archive: another state of Debian, and an older one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from msgspec.structs import replace

from builder.definition.load import load
from builder.definition.lock import ImageLock, LockedPackage, Part, load_lock
from builder.definition.mirror import find_mirror
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.release.build import BuildRequest, build_image
from builder.release.lock import LockRequest, make_lock, write_lock
from builder.vault.fetch import Source
from builder.vault.supply import Supply
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

VERSION = "0.9.0"
_SECONDS = 1800.0
_ARCHIVES = "  archives:\n    - name: security\n      suite: trixie-security\n"


def build_before_updates(folder: Path) -> Path:
    """An unsigned build of version 0.9.0 with packages of the main archive only, by the tools of the shipped image.

    Kept in the cache like the build of the shipped image; one of the same inputs is as good.
    """
    mirror = find_mirror(None, os.environ, None)
    assert mirror is not None, "there is no Debian archive to choose from: set BEDPLATE_MIRROR"
    cache, supply = find_cache(os.environ), shipped_supply()
    shutil.copytree(IMAGE.parent, folder / "images", symlinks=True)
    image = folder / "images" / IMAGE.name
    text = (image / "image.yaml").read_text().replace("\nversion: 1.0.0\n", f"\nversion: {VERSION}\n")
    assert VERSION in text
    assert _ARCHIVES in text
    (image / "image.yaml").write_text(text.replace(_ARCHIVES, ""))
    sources = [Source(mirror.url)]
    chosen = make_lock(LockRequest(load(image), mirror, cache, supply.vault, sources), Silent()).lock
    (image / "image.yaml").write_text(text)
    lock = with_tools_of(chosen, load_lock(IMAGE))
    write_lock(lock, image / "image.lock")
    target = cache.directory / "tests"
    request = BuildRequest(
        load(image), None, cache, target, _SECONDS, supply=Supply(lock, supply.vault, supply.sources)
    )
    return build_image(request, Silent()).directory


def with_tools_of(new: ImageLock, old: ImageLock) -> ImageLock:
    """The packages of the image from ``new``, and the toolchain and all else from ``old``."""
    packages: dict[tuple[str, str, str], LockedPackage] = {}
    tools = {Part.TOOLCHAIN.value}
    image = {part for package in new.packages for part in package.parts} - tools
    for package in (*_of(old, tools), *_of(new, image)):
        known = packages.get((package.name, package.architecture, package.sha256), package)
        parts = tuple(sorted({*known.parts, *package.parts}))
        packages[package.name, package.architecture, package.sha256] = replace(known, parts=parts)
    states = {state.id: state for state in (*old.archives, *new.archives)}
    used = {package.archive for package in packages.values()} | {state.id for state in old.current.values()}
    return replace(
        old,
        packages=tuple(sorted(packages.values())),
        archives=tuple(state for state in states.values() if state.id in used),
    )


def _of(lock: ImageLock, parts: Collection[str]) -> list[LockedPackage]:
    found = ((package, tuple(part for part in package.parts if part in parts)) for package in lock.packages)
    return [replace(package, parts=left) for package, left in found if left]
