"""Disk images as other people make them: Debian by plain mkosi, made once and kept in the cache.

One mkosi run makes a tree and three disks of it. The key of the cache is what is asked for, not what the archive has
that day: delete ``tests/foreign`` of the cache directory to have them made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

from builder.definition.mirror import find_mirror
from builder.files import locked, new_directory, remove_partial
from builder.mkosi.build import Workspace, mkosi_command, mkosi_environment
from builder.mkosi.cache import find_cache
from builder.process import run_logged

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

NAMES = ("plain", "ssh", "cloud")
_SECONDS = 1800.0
_SOURCES = """Types: deb
URIs: {url}
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
_DISK = """[Config]
Dependencies={after}
[Output]
Format=disk
[Content]
BaseTrees=%O/base
Bootable=yes
CleanPackageMetadata=no
"""
# What mkosi does by itself: root on ext4, systemd-boot, a loader entry. The second and third take the first's initrd.
_CONFIGURATION = {
    "mkosi.conf": "[Distribution]\nDistribution=debian\nRelease=trixie\n"
    "[Output]\nFormat=none\n[Content]\nBootable=no\n",
    "mkosi.images/base/mkosi.conf": "[Output]\nFormat=directory\n[Content]\nBootable=no\n"
    "Packages=linux-image-cloud-amd64,systemd,systemd-boot,systemd-sysv,udev,dbus,util-linux\n",
    "mkosi.images/plain/mkosi.conf": _DISK.format(after="base").replace(
        "Format=disk\n", "Format=disk\nSplitArtifacts=initrd\n"
    ),
    "mkosi.images/ssh/mkosi.conf": _DISK.format(after="base,plain")
    + "Initrds=%O/plain.initrd\nPackages=openssh-server\n",
    # As Debian's images for clouds are: shim, GRUB, a serial console, agents, a user who may do everything.
    "mkosi.images/cloud/mkosi.conf": _DISK.format(after="base,plain")
    + "Initrds=%O/plain.initrd\nBootloader=grub-signed\nShimBootloader=signed\nKernelCommandLine=console=ttyS0\n"
    "Packages=cloud-init,qemu-guest-agent,openssh-server,sudo,grub-efi-amd64-signed,shim-signed\n",
    "mkosi.images/cloud/mkosi.extra/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service": "",
}
_RECIPE = 1


def foreign_images(toolchain: Toolchain) -> Path:
    """The directory with ``NAME.raw`` for each of NAMES."""
    cache = find_cache(os.environ)
    folder = cache.directory / "tests/foreign"
    recipe = json.dumps([_RECIPE, _CONFIGURATION], sort_keys=True)
    target = folder / f"{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):
        if not target.is_dir():
            remove_partial(folder)
            with new_directory(target) as partial:
                _make(toolchain, partial, cache.logs / f"foreign-{target.name}.log")
    return target


def _make(toolchain: Toolchain, target: Path, log: Path) -> None:
    workspace = Workspace(*(target / name for name in ("tree", "output", "scratch", "packages")))
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages, log.parent):
        directory.mkdir(parents=True, exist_ok=True)
    mirror = find_mirror(None, os.environ, None)
    files = dict(_CONFIGURATION)
    if mirror is not None:
        files["mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources"] = _SOURCES.format(url=mirror.url)
    for path, content in files.items():
        place = workspace.tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("@ttyS0.service"):
            place.symlink_to("/usr/lib/systemd/system/serial-getty@.service")
        else:
            place.write_text(content)
    command = mkosi_command(toolchain, workspace, "--force", "build")
    run_logged(command, timeout=_SECONDS, log=log, env=mkosi_environment(toolchain), cwd=workspace.tree)
    for name in NAMES:
        (workspace.output / f"{name}.raw").rename(target / f"{name}.raw")
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages):
        shutil.rmtree(directory)
