"""What is in the tree of tests/vectors/image/make.py, whichever file system it was written to."""

from __future__ import annotations

import os
import stat
import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError
from builder.image.filesystem import read_file

if TYPE_CHECKING:
    from pathlib import Path

    from builder.image.filesystem import FileEntry, FileSystem

EPOCH = 1735689600
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


def assert_sample_contents(file_system: FileSystem, *, sparse_size: int = 40000) -> dict[str, FileEntry]:
    """Contents and symbolic links of the tree; the entries by path, without ``lost+found``."""
    found = {entry.path: entry for entry in file_system.entries() if entry.path != "lost+found"}
    assert len(found) == 644
    for size in (0, 1, 4095, 4096, 4097, 10000):
        content = found[f"odd/size-{size}"].content()
        assert content == bytes(number * 7 % 251 for number in range(size))
    sparse = bytes(found["odd/sparse"].content())
    assert (len(sparse), sparse.strip(b"\0"), sparse.index(b"in")) == (sparse_size, b"in the middle", 20000)
    extents = bytes(found["odd/extents"].content())
    assert len(extents) == found["odd/extents"].size == 399 * 8192 + 4096
    for number in range(400):
        block = extents[number * 8192 : (number + 1) * 8192]
        assert block == (bytes([number % 251]) * 4096 + bytes(4096))[: len(block)]
    assert bytes(found["odd/medium"].content()) == b"more than sixty bytes, and less than an inode has room for. " * 2
    for number in range(600):
        assert found[f"etc/many/file-{number:04}"].content() == f"{number}\n".encode()
    assert (found["bin"].target, found["bin"].size) == ("usr/bin", 0)
    assert found["odd/long-link"].target == "x/" * 400
    assert stat.S_ISDIR(found["odd/a/b/c/d"].mode)
    assert bytes(found["odd/" + "n" * 255].content()) == b"long name"
    assert bytes(found["odd/größe"].content()) == b"not ASCII\n"
    assert bytes(found["odd/not-\udcff-utf8"].content()) == b"bytes"
    return found


def assert_sample_metadata(found: dict[str, FileEntry]) -> None:
    """Owners, modes, links, devices, times and attributes of the tree, but for those that a test changes."""
    assert found["odd/hardlink"].inode == found["odd/size-1"].inode
    assert len({entry.inode for entry in found.values()}) == len(found) - 1
    assert (found["odd/size-4096"].uid, found["odd/size-4096"].gid) == (100000, 70000)
    assert [found[f"dev/{name}"].device for name in ("null", "large", "pipe")] == [(1, 3), (259, 70000), None]
    assert [stat.S_IFMT(found[f"dev/{name}"].mode) for name in ("null", "large", "pipe", "socket")] == [
        stat.S_IFCHR,
        stat.S_IFBLK,
        stat.S_IFIFO,
        stat.S_IFSOCK,
    ]
    assert [stat.S_IMODE(found[path].mode) for path in ("usr/bin/ping", "dev/null")] == [0o4755, 0o666 & ~0o022]
    times = [entry.mtime for entry in found.values()]
    assert (min(times), max(times)) == (EPOCH - 640, EPOCH)
    assert found["usr/bin/ping"].xattrs == (("security.capability", CAPABILITY),)
    assert found["odd/size-1"].xattrs == (("user.comment", b"one"), ("user.shared", b"the same for all of them"))
    assert found["odd/size-10000"].xattrs == (("trusted.overlay.opaque", b"y"), ("user.long", b"v" * 600))
    assert found["odd/size-0"].xattrs == ()


def read_all(file_system: FileSystem) -> None:
    """Every file, and all that it holds."""
    for entry in file_system.entries():
        if entry.is_file:
            for _ in entry.pieces():
                pass


def assert_paths_lead_nowhere_else(file_system: FileSystem) -> None:
    """A path is found as it is written, or not at all."""
    assert file_system.entry("usr/bin/nothing") is None
    assert file_system.entry("usr/bin/dash/below-a-file") is None
    assert file_system.entry("bin/dash") is None  # a symbolic link is not followed
    root = file_system.entry("/")
    assert root is not None
    assert stat.S_ISDIR(root.mode)
    with pytest.raises(InvalidInputError, match=f"there is no regular file usr/bin in the {file_system.name} image"):
        read_file(file_system, "usr/bin")


def assert_as_on_disk(file_system: FileSystem, source: Path) -> None:
    """What a tool packed is what lies in the directory ``source``."""
    found = {entry.path: entry for entry in file_system.entries() if entry.path != "lost+found"}
    paths = [source, *source.rglob("*")]
    assert set(found) == {"", *(str(path.relative_to(source)) for path in paths[1:])}
    for path in paths[1:]:
        status, entry = path.lstat(), found[str(path.relative_to(source))]
        owner_and_time = (status.st_uid, status.st_gid, int(status.st_mtime))
        assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (status.st_mode, *owner_and_time)
        assert entry.target == (str(path.readlink()) if path.is_symlink() else None)
        if entry.is_file:
            assert entry.content() == path.read_bytes()
            assert entry.xattrs == tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
