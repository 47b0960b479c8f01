"""What bedplate needs of the machine and of a toolchain tree, and what of it is there.

All of it is looked at, and looked at for real: a program by running it, user namespaces by making one. Nothing stops
at the first lack, so that one installation can mend all of them.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.errors import BedplateError, InvalidInputError
from builder.files import free_bytes, read_bytes
from builder.process import child_environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.mkosi.toolchain import Toolchain

MINIMUM_PYTHON: Final = (3, 11)
# Debian 12's, the oldest that made a trixie tree in our tests.
MINIMUM_MMDEBSTRAP: Final = (1, 3)
# A toolchain tree has 0.5 GiB; a build's packages, workspace and outputs have about 2.
MINIMUM_FREE_BYTES: Final = 4 << 30
# mmdebstrap and mkosi map the whole range of a system's users (subuid(5)).
MINIMUM_SUBORDINATE_IDS: Final = 65536
_PROBE_SECONDS: Final = 30.0
_MAX_SUBID_BYTES: Final = 1 << 20
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that is needed: where it was found, in which version, or what is wrong with it and how to mend it."""

    name: str
    needed_for: str
    found: str | None = None
    version: str | None = None
    problem: str | None = None
    remedy: str | None = None

    @property
    def is_met(self) -> bool:
        """Whether it is there and good enough."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class TreeTool:
    """A program of the toolchain tree: its path in the tree and the package that brings it, at least in ``minimum``."""

    name: str
    path: str
    package: str
    needed_for: str
    minimum: tuple[int, ...] = ()


TREE_TOOLS: Final = (
    TreeTool("mkosi", "usr/bin/mkosi", "mkosi", "build the image", (25, 3)),
    TreeTool("mmdebstrap", "usr/bin/mmdebstrap", "mmdebstrap", "unpack the image's packages"),
    TreeTool("systemd-repart", "usr/bin/systemd-repart", "systemd-repart", "make the partitions", (257,)),
    TreeTool("ukify", "usr/bin/ukify", "systemd-ukify", "assemble the UKI", (257,)),
    TreeTool("EFI stub", "usr/lib/systemd/boot/efi/linuxx64.efi.stub", "systemd-boot-efi", "begin the UKI", (257,)),
    TreeTool("mkfs.erofs", "usr/bin/mkfs.erofs", "erofs-utils", "make the root file system", (1, 8)),
    TreeTool("veritysetup", "usr/sbin/veritysetup", "cryptsetup-bin", "check the verity tree"),
    TreeTool("mkfs.vfat", "usr/sbin/mkfs.vfat", "dosfstools", "make the EFI system partition"),
    TreeTool("mcopy", "usr/bin/mcopy", "mtools", "fill the EFI system partition"),
    TreeTool("cpio", "usr/bin/cpio", "cpio", "pack the initrd"),
    TreeTool("zstd", "usr/bin/zstd", "zstd", "compress the initrd"),
    TreeTool("qemu", "usr/bin/qemu-system-x86_64", "qemu-system-x86", "boot the image in a virtual machine", (8,)),
    TreeTool("swtpm", "usr/bin/swtpm", "swtpm", "give the virtual machine a TPM", (0, 7)),
    TreeTool("OVMF", "usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "ovmf", "be the virtual machine's firmware"),
)  # fmt: skip


def host_requirements(cache: Path) -> tuple[Requirement, ...]:
    """What is needed of this machine before there is a toolchain tree; ``cache`` is where trees are to be kept."""
    return (_python(), _mmdebstrap(), _keyring(), _namespaces(), *_subordinate_ids(), _space(cache))


def tree_requirements(toolchain: Toolchain) -> tuple[Requirement, ...]:
    """What is needed of a toolchain tree: that its programs run here, and each program by its package's version."""
    purpose = "run the toolchain's programs"
    remedy = "remove the tree; the next build makes it anew"
    try:
        versions = {package.name: package.version for package in toolchain.packages()}
    except InvalidInputError as error:
        lacking = Requirement("toolchain", purpose, str(toolchain.tree), problem=str(error), remedy=remedy)
        return (lacking,)
    try:
        run(toolchain.command(["true"]), timeout=_PROBE_SECONDS)
        sandbox = Requirement("sandbox", purpose, str(toolchain.tree))
    except BedplateError as error:
        sandbox = Requirement("sandbox", purpose, str(toolchain.tree), problem=_first_line(error), remedy=remedy)
    return (sandbox, *(_tree_tool(tool, toolchain.tree, versions, remedy) for tool in TREE_TOOLS))


def subordinate_ids(text: str, *, user: str, uid: int) -> int:
    """The largest range that ``/etc/subuid`` or ``/etc/subgid`` gives to a user (subuid(5)); 0 if there is none."""
    sizes = [0]
    for line in text.splitlines():
        owner, _, size = line.partition(":")[0], *line.rpartition(":")[1:]
        if owner in {user, str(uid)} and size.isascii() and size.isdigit():
            sizes.append(int(size))
    return max(sizes)


def version_number(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, without Debian's epoch: ``1:2.10+dfsg-3`` is (2, 10)."""
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", text, re.ASCII)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def _python() -> Requirement:
    version = ".".join(str(part) for part in sys.version_info[:3])
    old = sys.version_info < MINIMUM_PYTHON
    return Requirement(
        "python",
        "run bedplate, and mkosi of the toolchain",
        sys.executable,
        version,
        problem=f"is older than {dotted(MINIMUM_PYTHON)}" if old else None,
        remedy="use a newer Python" if old else None,
    )


def _mmdebstrap() -> Requirement:
    name, purpose, remedy = "mmdebstrap", "make the toolchain tree", "apt-get install mmdebstrap"
    # The path that processes get, which has sbin, and not the one of the caller.
    path = shutil.which(name, path=child_environment()["PATH"])
    if path is None:
        return Requirement(name, purpose, problem="is not installed", remedy=remedy)
    try:
        printed = run([path, "--version"], timeout=_PROBE_SECONDS).stdout.decode(errors="replace")
    except BedplateError as error:
        return Requirement(name, purpose, path, problem=_first_line(error), remedy=remedy)
    version = printed.strip().removeprefix(f"{name} ")
    old = version_number(version) < MINIMUM_MMDEBSTRAP
    problem = f"is older than {dotted(MINIMUM_MMDEBSTRAP)}" if old else None
    return Requirement(name, purpose, path, version, problem, remedy if old else None)


def _keyring() -> Requirement:
    name, purpose = "debian-archive-keyring", "check the signatures of packages"
    if _KEYRING.is_file():
        return Requirement(name, purpose, str(_KEYRING))
    return Requirement(name, purpose, problem="is not installed", remedy=f"apt-get install {name}")


def _namespaces() -> Requirement:
    """Root needs a mount namespace, anybody else a user namespace in which to make one."""
    purpose = "build without touching this machine"
    root = os.geteuid() == 0
    user = [] if root else ["--user", "--map-root-user"]
    kind = "mount namespaces" if root else "user namespaces"
    try:
        run(["unshare", *user, "--mount", "--ipc", "true"], timeout=_PROBE_SECONDS)
    except BedplateError as error:
        remedy = (
            "run in a container that may use mount (CAP_SYS_ADMIN)"
            if root
            else "as root: sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0"
        )
        return Requirement(kind, purpose, problem=_first_line(error), remedy=remedy)
    return Requirement(kind, purpose, "allowed")


def _subordinate_ids() -> Iterator[Requirement]:
    uid = os.geteuid()
    if uid == 0:
        return
    purpose = "give files of the image their owners"
    helper = shutil.which("newuidmap", path=child_environment()["PATH"])
    if helper is None:
        yield Requirement("newuidmap", purpose, problem="is not installed", remedy="apt-get install uidmap")
    else:
        yield Requirement("newuidmap", purpose, helper)
    user = _user_name(uid)
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        try:
            text = read_bytes(file, what="id ranges", limit=_MAX_SUBID_BYTES).decode(errors="replace")
        except InvalidInputError:
            text = ""
        size = subordinate_ids(text, user=user, uid=uid)
        few = size < MINIMUM_SUBORDINATE_IDS
        yield Requirement(
            f"range in {file}",
            purpose,
            f"{size} ids" if size else None,
            problem=f"{user} has {size} ids, {MINIMUM_SUBORDINATE_IDS} are needed" if few else None,
            remedy=f"as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}" if few else None,
        )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container started with a number
        return str(uid)


def _space(cache: Path) -> Requirement:
    free = free_bytes(cache)
    short = free < MINIMUM_FREE_BYTES
    return Requirement(
        "disk space",
        "keep the toolchain tree and builds",
        f"{free / 2**30:.1f} GiB in {cache}",
        problem=f"less than {MINIMUM_FREE_BYTES >> 30} GiB are free" if short else None,
        remedy="free some space, or name another cache directory" if short else None,
    )


def _tree_tool(tool: TreeTool, tree: Path, versions: Mapping[str, str], remedy: str) -> Requirement:
    path = tree / tool.path
    version = versions.get(tool.package)
    problem = None
    if version is None or not path.exists():
        problem = f"is not in the tree (package {tool.package})"
    elif version_number(version) < tool.minimum:
        problem = f"is older than {dotted(tool.minimum)}"
    found = str(path) if path.exists() else None
    return Requirement(tool.name, tool.needed_for, found, version, problem, remedy if problem else None)


def dotted(version: Sequence[int]) -> str:
    """(1, 3) as "1.3"."""
    return ".".join(str(part) for part in version)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(":")
