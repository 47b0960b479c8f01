"""Small trees and facts for tests of controls: what an image has, in a few lines.

``facts(root={"usr/sbin/sshd": program()}, command_line="console=ttyS0")`` is a whole document of facts. Contents are
text, bytes, or an :class:`Entry` made by ``file``, ``link``, ``folder``, ``device`` or ``program``; directories in
between are made. Everything goes through the real readers, so a test of a control also tests what fills its facts.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from builder.facts.boot import command_line as parse_command_line
from builder.facts.build import facts_of_files
from builder.facts.syntax import variables
from builder.facts.tree import FileTree, Node
from policies.facts import Disk, EspFile, Facts, Partition, Uki, UkiProfile, UkiSection

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT_HASH = "ab" * 32
OS_RELEASE = "ID=debian\nIMAGE_ID=node\nIMAGE_VERSION=1.0.0\nVARIANT_ID=production\n"
# What systemd starts, as small as it can be: basic.target and below it sysinit.target and sockets.target.
UNITS = {
    "usr/lib/systemd/system/default.target": "[Unit]\nRequires=basic.target\n",
    "usr/lib/systemd/system/initrd.target": "[Unit]\nRequires=basic.target\n",
    "usr/lib/systemd/system/basic.target": "[Unit]\nRequires=sysinit.target\nWants=sockets.target\n",
    "usr/lib/systemd/system/sysinit.target": "[Unit]\n",
    "usr/lib/systemd/system/sockets.target": "[Unit]\n",
}


@dataclass(frozen=True)
class Entry:
    """One path of a tree."""

    content: bytes = b""
    mode: int = stat.S_IFREG | 0o644
    uid: int = 0
    gid: int = 0
    target: str | None = None
    device: tuple[int, int] | None = None
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


Content = str | bytes | Entry


def file(content: str | bytes = b"", mode: int = 0o644, *, uid: int = 0, gid: int = 0, **xattrs: bytes) -> Entry:
    """A regular file. Attributes: ``file(capability=capability("cap_net_raw"))``, the name without "security."."""
    data = content.encode() if isinstance(content, str) else content
    attributes = {f"security.{name}": value for name, value in xattrs.items()}
    return Entry(data, stat.S_IFREG | mode, uid, gid, xattrs=attributes)


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(mode=stat.S_IFLNK | 0o777, target=target)


def folder(mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> Entry:
    """A directory with other permissions than usual."""
    return Entry(mode=stat.S_IFDIR | mode, uid=uid, gid=gid)


def masked(name: str, content: str) -> dict[str, Content]:
    """A unit file, and the link that masks it."""
    return {f"usr/lib/systemd/system/{name}": content, f"etc/systemd/system/{name}": link("/dev/null")}


def conf(name: str, section: str, text: str, place: str = "etc/systemd") -> dict[str, str]:
    """A file with one section."""
    return {f"{place}/{name}": f"[{section}]\n{text}\n"}


def device(kind: int, major: int, minor: int, mode: int = 0o600) -> Entry:
    """A device node; ``kind`` is stat.S_IFCHR or stat.S_IFBLK."""
    return Entry(mode=kind | mode, device=(major, minor))


def capability(bit: int) -> bytes:
    """A security.capability attribute of version 2 that permits one capability, by its number."""
    low, high = (1 << bit) & 0xFFFFFFFF, (1 << bit) >> 32
    return struct.pack("<5I", 0x02000001, low, 0, high, 0)


def program(mode: int = 0o755, **options: Any) -> Entry:
    """An executable ELF file; options as for :func:`elf`."""
    return file(elf(**options), mode)


def elf(
    *,
    interpreter: str | None = "/lib64/ld-linux-x86-64.so.2",
    needed: tuple[str, ...] = ("libc.so.6",),
    runpath: str | None = None,
    rpath: str | None = None,
    soname: str | None = None,
    notes: bytes = b"",
    machine: int = 62,
    kind: int = 3,
    entry: int = 0,
    tags: Mapping[int, str] | None = None,
) -> bytes:
    """A 64 bit ELF file with program headers, a dynamic section and nothing that runs.

    ``kind`` is e_type, ``tags`` are further entries of the dynamic section.
    """
    strings = b"\0"
    entries = []
    for tag, values in (
        (1, needed),
        (14, (soname,)),
        (15, (rpath,)),
        (29, (runpath,)),
        *((tag, (text,)) for tag, text in (tags or {}).items()),
    ):
        for value in values:
            if value is not None:
                entries.append((tag, len(strings)))
                strings += value.encode() + b"\0"
    parts = [(3, interpreter.encode() + b"\0")] if interpreter else []
    parts += [(4, notes)] if notes else []
    head = 64 + 56 * (len(parts) + 2)
    strings_at = head + sum(len(content) for _, content in parts)
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in (*entries, (5, strings_at), (10, len(strings)), (0, 0)))
    headers, body, at = [], b"", head
    for part, content in (*parts, (0, strings), (2, dynamic)):
        if part:
            headers.append(struct.pack("<IIQQQQQQ", part, 4, at, at, at, len(content), len(content), 1))
        body += content
        at += len(content)
    headers.insert(0, struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, at, at, 4096))
    header = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        b"\x7fELF",
        2,
        1,
        1,
        0,
        0,
        kind,
        machine,
        1,
        entry,
        64,
        0,
        0,
        64,
        56,
        len(headers),
        64,
        0,
        0,
    )
    return header + b"".join(headers) + body


def note(name: bytes, kind: int, content: bytes) -> bytes:
    """An ELF note."""
    padded = (part + bytes(-len(part) % 4) for part in (name + b"\0", content))
    return struct.pack("<3I", len(name) + 1, len(content), kind) + b"".join(padded)


def tree(files: Mapping[str, Content]) -> FileTree:
    """A tree with these files, by path without a leading slash, and the directories that they are in."""
    entries: dict[str, Entry] = {"/": folder()}
    for path, content in files.items():
        entries[f"/{path}"] = content if isinstance(content, Entry) else file(content)
        parts = path.split("/")[:-1]
        for count in range(len(parts), 0, -1):
            entries.setdefault("/" + "/".join(parts[:count]), folder())
    return FileTree({path: _node(path, entry) for path, entry in entries.items()})


def facts(
    root: Mapping[str, Content] | None = None,
    initrd: Mapping[str, Content] | None = None,
    *,
    command_line: str | None = "quiet",
    os_release: str = OS_RELEASE,
    esp_files: tuple[EspFile, ...] = (),
    **changes: Any,
) -> Facts:
    """The facts of an image: a good one but for what is given. ``changes`` replace fields of the finished document.

    Root and initrd have units that start (:data:`UNITS`) and an os-release file besides the files that are named;
    ``os_release`` is the UKI's. ``replace(uki(), ...)`` and ``replace(disk(), ...)`` make other UKIs and disks.
    """
    common: dict[str, Content] = {"usr/lib/os-release": os_release, **UNITS}
    whole = facts_of_files(tree({**common, **(root or {})}), tree({**common, **(initrd or {})}))
    parts = {"kind": "image", "disk": disk(), "uki": uki(command_line, os_release), "esp_files": esp_files}
    return replace(whole, **{**parts, **changes})


def directory_facts(root: Mapping[str, Content]) -> Facts:
    """The facts of a directory tree, which has neither disk nor UKI nor initrd."""
    return facts_of_files(tree(root))


def uki(command_line: str | None = "quiet", os_release: str = OS_RELEASE) -> Uki:
    """A UKI with one profile."""
    profile = UkiProfile(
        number=0,
        id=None,
        sections=tuple(
            UkiSection(name=name, size=1, sha256="00" * 32) for name in (".linux", ".osrel", ".cmdline", ".initrd")
        ),
        command_line=None if command_line is None else parse_command_line(command_line),
        os_release=variables(os_release),
        kernel_release="6.12.0",
    )
    return Uki(
        path="/EFI/BOOT/BOOTX64.EFI",
        sha256="00" * 32,
        stub_release=257,
        stub_version="257.1",
        signed=True,
        profiles=(profile,),
    )


def disk() -> Disk:
    """The disk that bedplate makes: system partition, root and hash tree."""
    roles = (("esp", "esp"), ("root", "root-x86-64"), ("root-verity", "root-x86-64-verity"))
    partitions = tuple(
        Partition(
            number=number,
            role=role,  # type: ignore[arg-type]
            type=kind,
            uuid=f"00000000-0000-4000-8000-00000000000{number}",
            label=kind,
            offset=number << 20,
            size=1 << 20,
            flags=() if role == "esp" else ("read-only",),
        )
        for number, (role, kind) in enumerate(roles, start=1)
    )
    return Disk(
        table="gpt",
        boot_code=False,
        sector_size=512,
        partitions=partitions,
        root_hash=ROOT_HASH,
        hash_tree="matches",
        root_file_system="erofs",
    )


def esp_file(path: str, role: str = "other", command_line: str | None = None) -> EspFile:
    """A file in the system partition besides the UKI."""
    parsed = None if command_line is None else parse_command_line(command_line)
    return EspFile(path=path, size=1, sha256="00" * 32, role=role, command_line=parsed)  # type: ignore[arg-type]


def _node(path: str, entry: Entry) -> Node:
    return Node(
        path=path,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=len(entry.content),
        mtime=0,
        xattrs=tuple(sorted(entry.xattrs.items())),
        target=entry.target,
        device=entry.device,
        pieces=lambda: iter((memoryview(entry.content),)),
    )
