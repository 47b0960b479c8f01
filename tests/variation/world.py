"""Another place for a build: code, release, vault and toolchain in other directories, copied in another order."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.definition.lock import read_lock
from builder.release.layout import LOCK
from builder.vault.exchange import export_vault
from builder.vault.store import Vault
from tests.variation import namespace
from tests.variation.axes import Setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.mkosi.toolchain import Toolchain
    from tests.variation.axes import Axis

ROOT = Path(__file__).parents[2]
CODE = ("builder", "policies", "signing")
SECONDS = 3600.0


@dataclass(frozen=True)
class Result:
    """How a rebuild ended."""

    status: int
    stdout: str
    stderr: str


def shuffled_copy(source: Path, target: Path, *, link: bool, seed: int = 1) -> None:
    """Copy a tree file by file in a random order, so that its directories list their entries in another one."""
    files: list[Path] = []
    for folder, directories, names in os.walk(source):
        (target / Path(folder).relative_to(source)).mkdir(parents=True, exist_ok=True)
        files += [Path(folder, name) for name in names]
        files += [Path(folder, name) for name in directories if Path(folder, name).is_symlink()]
    random.Random(seed).shuffle(files)  # noqa: S311 -- an order, no secret
    for file in files:
        place = target / file.relative_to(source)
        if file.is_symlink():
            place.symlink_to(file.readlink())
        elif link:
            os.link(file, place)
        else:
            shutil.copy2(file, place)


def make(place: Path, toolchain: Toolchain | None) -> Setting:
    """A setting in ``place``, a new directory on the file system of the toolchain.

    Code and toolchain are copied in another order. Without ``toolchain`` the cache is empty, and the build makes one.
    """
    place.mkdir(parents=True)
    cache = place / "cache"
    cache.mkdir()
    for package in CODE:
        shuffled_copy(ROOT / package, place / "code" / package, link=False)
    if toolchain is not None:
        shuffled_copy(toolchain.tree, cache / "toolchain" / toolchain.tree.parent.name / "tree", link=True)
    setting = Setting(cache)
    return setting.with_environment(
        BEDPLATE_CACHE=str(cache),
        BEDPLATE_PROGRESS="plain",
        PYTHONPATH=str(place / "code"),
        PYTHONDONTWRITEBYTECODE="1",
    )


def rebuild(
    setting: Setting, axes: Sequence[Axis], libfaketime: Path | None, release: Path, key: Path, vault: Path
) -> Result:
    """Rebuild a release in a setting with some axes applied: from a copy that lies elsewhere, and an exported vault."""
    place = setting.cache.parent
    copy = place / "release"
    if not copy.exists():
        shuffled_copy(release, copy, link=False)
        shutil.copyfile(key, place / "release.pub")
        export_vault(Vault(vault), [read_lock(release / LOCK)], place / "vault")
    for axis in axes:
        setting = axis.apply(setting, libfaketime)
    if any(axis.name == "user-namespace" for axis in axes):
        _give_away(place)
    command = (
        str(setting.python), "-P", "-c", "from builder.cli.main import entry_point; entry_point()",
        "rebuild", "release", "--trust", "release.pub", "--vault", "vault", "--offline",
    )  # fmt: skip
    done = subprocess.run(
        setting.command(*command), cwd=place, env=dict(setting.environment), timeout=SECONDS, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


def _give_away(place: Path) -> None:
    """Make everything below ``place`` the namespace's root's; files that are shared by links stay readable for it."""
    for folder, directories, names in os.walk(place):
        for path in (Path(folder), *(Path(folder, name) for name in (*directories, *names))):
            if path.is_symlink() or path.lstat().st_nlink == 1 or path.is_dir():
                os.lchown(path, namespace.FIRST_ID, namespace.FIRST_ID)
