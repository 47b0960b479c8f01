"""Making the toolchain tree: once for each set of packages, under a lock, and never half.

mmdebstrap writes a tar archive that is unpacked as the calling user: ownership means nothing to the tools, and a tree
that belongs to its user can be read and deleted without further rights.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.definition.lock import Part
from builder.errors import ToolFailedError, ToolMissingError
from builder.files import locked, new_directory, remove_partial, require_free
from builder.full_disk import telling_full_disk
from builder.mkosi.archive import ArchiveWatch, blame_archive
from builder.mkosi.packages import SUITE, TOOLCHAIN
from builder.mkosi.toolchain import Origin, Toolchain
from builder.process import run, run_logged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.progress import Reporter
    from builder.vault.supply import Supply

BOOTSTRAP_TIMEOUT: Final = 1800.0
UNPACK_TIMEOUT: Final = 600.0
_NEEDED_BYTES: Final = 2 << 30
# As root, mmdebstrap mounts /proc, /sys and the host's /dev/shm below TMPDIR. In namespaces of its own the mounts end
# with it, and all of it ends with bedplate, also when that is killed.
_ALONE: Final = (
    "setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"
)  # fmt: skip
_FULL_HINT: Final = "free some space there, or set {} to a directory on another file system"
# Raise it when the way a tree is made changes, so that trees of the old kind are not taken for new ones.
_RECIPE: Final = 1


def toolchain_key(packages: Sequence[str] = TOOLCHAIN, supply: Supply | None = None) -> str:
    """The name of the tree that holds ``packages``: SHA-256 over recipe, suite and sorted package names, shortened.

    A tree of locked packages has the digest of the lock's part behind it, shortened.
    """
    recipe = json.dumps([_RECIPE, SUITE, sorted(packages)])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:16]
    return key if supply is None else f"{key}-{supply.digest(Part.TOOLCHAIN)[:16]}"


def find_toolchain(cache: Cache, packages: Sequence[str] = TOOLCHAIN) -> Toolchain | None:
    """A finished tree for ``packages``, whatever their versions, or None if none has been made yet."""
    key = toolchain_key(packages)
    trees = [tree for name in (key, f"{key}-*") for tree in sorted(cache.toolchains.glob(f"{name}/tree"))]
    return Toolchain(trees[0]) if trees else None


def require_toolchain(cache: Cache) -> Toolchain:
    """A finished tree. Raises ToolMissingError for verbs that use the tree but never make one."""
    toolchain = find_toolchain(cache)
    if toolchain is None:
        raise ToolMissingError(f"there is no toolchain tree in {cache.toolchains}", hint="`bedplate build` makes it")
    return toolchain


def ensure_toolchain(
    cache: Cache,
    mirror: Mirror | None,
    reporter: Reporter,
    packages: Sequence[str] = TOOLCHAIN,
    *,
    supply: Supply | None = None,
) -> Toolchain:
    """The tree for ``packages``, made if it is not there; a second process waits for the first one's tree.

    With ``supply`` the tree is made of the lock's packages and ``mirror`` means nothing. Raises ToolMissingError
    without mmdebstrap, ToolFailedError with the log's path if it fails, and BedplateError for a full file system.
    """
    tree = cache.toolchains / toolchain_key(packages, supply) / "tree"
    if tree.is_dir():
        return Toolchain(tree)
    # mmdebstrap unpacks in TMPDIR (mmdebstrap(1)), which for root is below the cache.
    as_root = os.geteuid() == 0
    places = (cache.toolchains,) if as_root else (cache.toolchains, Path(tempfile.gettempdir()))
    hint = _FULL_HINT.format("BEDPLATE_CACHE" if as_root else "BEDPLATE_CACHE or TMPDIR")
    with telling_full_disk("the toolchain tree", *places, hint=hint), locked(cache.toolchains / ".lock"):
        remove_partial(cache.toolchains)
        if tree.is_dir():
            return Toolchain(tree)
        _make(tree.parent, cache, mirror, reporter, packages, supply)
    return Toolchain(tree, Origin.MADE)


def _make(
    target: Path,
    cache: Cache,
    mirror: Mirror | None,
    reporter: Reporter,
    packages: Sequence[str],
    supply: Supply | None,
) -> None:
    if shutil.which("mmdebstrap") is None:
        raise ToolMissingError(
            "mmdebstrap, which makes the toolchain tree, is not installed", hint="apt-get install mmdebstrap"
        )
    require_free(cache.toolchains, _NEEDED_BYTES, what="the toolchain tree")
    cache.logs.mkdir(parents=True, exist_ok=True)
    log = cache.logs / f"toolchain-{time.strftime('%Y%m%dT%H%M%S')}.log"
    with reporter.stage("toolchain") as stage, new_directory(target) as partial:
        source = None if mirror is None else mirror.url
        if supply is not None:
            local = partial / "archive"
            supply.write_archive(local, Part.TOOLCHAIN, date=dt.datetime.now(dt.UTC), on_line=stage.line)
            # "copy:", because dpkg runs inside the new tree, where it does not see the files of a "file:" archive.
            source = f"deb [trusted=yes] copy:{local} {SUITE} main"
        archive = partial / "tree.tar"
        watch = ArchiveWatch(stage.line)
        command, environment = bootstrap_command(archive, source, packages), None
        if os.geteuid() == 0:
            # What a killed run leaves in the partial directory goes with it. A user's mmdebstrap has other users' ids,
            # for which the cache is closed.
            scratch = partial / "scratch"
            scratch.mkdir(mode=0o755)
            command, environment = (*_ALONE, *command), {"TMPDIR": str(scratch)}
        with blame_archive(watch, mirror):
            run_logged(command, timeout=BOOTSTRAP_TIMEOUT, log=log, on_line=watch.line, env=environment)
        tree = partial / "tree"
        tree.mkdir()
        run(unpack_command(archive, tree), timeout=UNPACK_TIMEOUT)
        archive.unlink()
        if environment is not None:
            shutil.rmtree(scratch)
        if supply is not None:
            shutil.rmtree(local)
        if not (tree / "usr/lib/os-release").is_file():
            raise ToolFailedError("mmdebstrap made a tree that is no Debian tree", hint=f"the full log is {log}")


def bootstrap_command(archive: Path, source: str | None, packages: Sequence[str]) -> tuple[str, ...]:
    """mmdebstrap's command line; ``source`` is a mirror's URL or a line of sources.list, None means its own default."""
    # fmt: off
    return (
        "mmdebstrap",
        "--variant=apt",
        "--format=tar",
        f"--include={','.join(packages)}",
        "--aptopt=Acquire::Retries 3",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        SUITE,
        str(archive),
        *(() if source is None else (source,)),
    )
    # fmt: on


def unpack_command(archive: Path, tree: Path) -> tuple[str, ...]:
    """The command that unpacks the tree as the calling user, without device nodes."""
    # fmt: off
    return (
        "tar", "--extract",
        "--file", str(archive),
        "--directory", str(tree),
        "--no-same-owner",
        "--no-same-permissions",
        "--exclude=./dev/*",
    )
    # fmt: on
