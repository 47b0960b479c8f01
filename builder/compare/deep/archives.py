"""What archives and compressed files hold."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Final

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.cpio import MAGICS
from builder.image.decompress import decompress
from builder.image.initrd import read_initrd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES: Final = 256 << 20
_COMPRESSED: Final = (b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_SUFFIXES: Final = (".gz", ".xz", ".zst", ".tgz", ".txz")


def members(name: str, content: bytes) -> Mapping[str, bytes] | None:
    """The files by path in their order, a compressed file's content under its name without suffix; None for others.

    Raises MalformedImageError for a broken archive and for one that is too large.
    """
    if content.startswith(_COMPRESSED):
        view = BinaryView.of(content, name)
        unpacked, end = decompress(view, 0, MAX_BYTES)
        inner = name.rpartition("/")[2]
        for suffix in _SUFFIXES:
            inner = inner.removesuffix(suffix)
        return {inner or "content": bytes(unpacked)} if end == len(content) else None
    if content[:6] in MAGICS:
        files = read_initrd(BinaryView.of(content, name), MAX_BYTES).files
        return _by_name((entry.path, _shown(entry.mode, bytes(entry.content))) for entry in files)
    if content[257:262] == b"ustar":
        return _tar(name, content)
    return _zip(name, content) if content.startswith(b"PK\3\4") else None


def _tar(name: str, content: bytes) -> Mapping[str, bytes]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            return _by_name((item.name, _tar_content(archive, item)) for item in archive)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise MalformedImageError(name, None, f"no tar archive: {error}") from error


def _zip(name: str, content: bytes) -> Mapping[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            items = [item for item in archive.infolist() if not item.is_dir()]
            if sum(item.file_size for item in items) > MAX_BYTES:
                raise MalformedImageError(name, None, f"it holds more than {MAX_BYTES} bytes")
            return _by_name((item.filename, archive.read(item)) for item in items)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise MalformedImageError(name, None, f"no zip archive: {error}") from error


def _by_name(items: Iterable[tuple[str, bytes | None]]) -> Mapping[str, bytes]:
    """Contents by name in their order; a name that is there again is told apart, since both are in the archive."""
    found: dict[str, bytes] = {}
    counts: Counter[str] = Counter()
    for name, content in items:
        if content is not None:
            counts[name] += 1
            found[name if counts[name] == 1 else f"{name} ({counts[name]})"] = content
    return found


def _tar_content(archive: tarfile.TarFile, item: tarfile.TarInfo) -> bytes | None:
    """What a member holds: a link says where it leads; a directory holds nothing."""
    if item.issym() or item.islnk():
        return f"{'link to' if item.issym() else 'the same file as'} {item.linkname}".encode("utf-8", "surrogateescape")
    file = archive.extractfile(item)
    if file is not None:
        return file.read()
    return None if item.isdir() else f"device {item.devmajor}:{item.devminor} of type {item.type!r}".encode()


def _shown(mode: int, content: bytes) -> bytes | None:
    if stat.S_ISLNK(mode):
        return b"link to " + content
    if stat.S_ISDIR(mode):
        return None
    return content if stat.S_ISREG(mode) else f"special file of mode {mode:o}".encode()
