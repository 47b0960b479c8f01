"""File facts: metadata, digest, capabilities and the package that owns each path."""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING, Final

from builder.image import dpkg
from policies.facts import File, FileType, Package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.facts.tree import FileTree, Node

_TYPES: Final[dict[int, FileType]] = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
    stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
}  # fmt: skip
_CAPABILITY_XATTR: Final = "security.capability"
# Linux include/uapi/linux/capability.h, in order of the bits.
_CAPABILITIES: Final = (
    "cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid", "cap_kill", "cap_setgid",
    "cap_setuid", "cap_setpcap", "cap_linux_immutable", "cap_net_bind_service", "cap_net_broadcast", "cap_net_admin",
    "cap_net_raw", "cap_ipc_lock", "cap_ipc_owner", "cap_sys_module", "cap_sys_rawio", "cap_sys_chroot",
    "cap_sys_ptrace", "cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice", "cap_sys_resource",
    "cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write", "cap_audit_control",
    "cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog", "cap_wake_alarm", "cap_block_suspend",
    "cap_audit_read", "cap_perfmon", "cap_bpf", "cap_checkpoint_restore",
)  # fmt: skip
# Ten times what the largest distribution has of all of its packages.
_MAX_DATABASE: Final = 256 << 20
_DATABASE: Final = f"/{dpkg.DATABASE}"


def files(tree: FileTree, digests: Mapping[str, str]) -> tuple[File, ...]:
    """All files of a tree by path, with what is known of their digests."""
    owners, versions = _owners(tree)
    return tuple(_file(tree.nodes[path], owners, versions, digests.get(path)) for path in sorted(tree.nodes))


def packages(tree: FileTree) -> tuple[Package, ...]:
    """The packages of the tree's dpkg database, none where there is no database.

    Raises MalformedImageError for a broken one.
    """
    return tuple(
        Package(name=item.name, version=item.version, architecture=item.architecture, source=item.source)
        for item in _status(tree)
    )


def capabilities(value: bytes) -> tuple[str, ...]:
    """The names in a ``security.capability`` attribute (struct vfs_cap_data); "cap_invalid" for another form."""
    if len(value) not in {12, 20, 24} or value[3] not in {1, 2, 3}:
        return ("cap_invalid",)
    words = struct.unpack_from(f"<{(len(value) - 4) // 4}I", value, 4)[:4]
    permitted = words[0] | (words[2] << 32 if len(words) == 4 else 0)  # noqa: PLR2004 -- two pairs since version 2
    inheritable = words[1] | (words[3] << 32 if len(words) == 4 else 0)  # noqa: PLR2004
    bits = permitted | inheritable
    names = dict(enumerate(_CAPABILITIES))
    return tuple(names.get(bit, f"cap_{bit}") for bit in range(64) if bits >> bit & 1)


def _file(node: Node, owners: dict[str, str], versions: dict[str, str], sha256: str | None) -> File:
    package = None if stat.S_ISDIR(node.mode) else owners.get(node.path[1:])
    return File(
        path=node.path,
        type=_TYPES[stat.S_IFMT(node.mode)],
        mode=stat.S_IMODE(node.mode),
        uid=node.uid,
        gid=node.gid,
        size=node.size if node.is_file else 0,
        mtime=node.mtime,
        sha256=sha256,
        capabilities=next((capabilities(value) for name, value in node.xattrs if name == _CAPABILITY_XATTR), ()),
        xattrs={name: value.hex() for name, value in node.xattrs if name != _CAPABILITY_XATTR},
        target=node.target,
        device=node.device,
        package=package,
        version=None if package is None else versions.get(package),
    )


def _status(tree: FileTree) -> tuple[dpkg.Package, ...]:
    node = tree.find(f"{_DATABASE}/status")
    return () if node is None or not node.is_file else dpkg.packages(tree.content(node.path, _MAX_DATABASE))


def _owners(tree: FileTree) -> tuple[dict[str, str], dict[str, str]]:
    versions = {package.name: package.version for package in _status(tree)}
    names = [name for name in tree.names(f"{_DATABASE}/info") if name.endswith(".list")]
    lists = {name: tree.content(f"{_DATABASE}/info/{name}", _MAX_DATABASE) for name in names}
    links = {path[1:]: node.target for path, node in tree.nodes.items() if node.target and "/" not in path[1:]}
    owned = dpkg.owners(lists, links) if versions else {}
    return {path: package for path, package in owned.items() if package in versions}, versions
