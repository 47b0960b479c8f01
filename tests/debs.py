"""Small Debian packages, their rows in a lock, and locks of them, made without dpkg."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

from builder.definition.lock import ArchiveState, ImageLock, LockedPackage, Part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def control_tar(text: str, mode: str = "w:xz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        member = tarfile.TarInfo("./control")
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def ar(*members: tuple[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in members:
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def deb(name: str = "hello", version: str = "1:1.0-1", architecture: str = "amd64", extra: str = "") -> bytes:
    text = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{extra}Description: a package\n"
    members = (("debian-binary", b"2.0\n"), ("control.tar.xz", control_tar(text)), ("data.tar.xz", b"data"))
    return ar(*members)


MAIN = ArchiveState(
    name="debian",
    suite="trixie",
    components=("main",),
    date="2026-01-01T00:00:00Z",
    inrelease="0" * 64,
    signed_by=("A" * 40,),
)


def row(
    content: bytes,
    name: str = "hello",
    version: str = "1:1.0-1",
    parts: Sequence[str] = (Part.ROOT,),
    archive: ArchiveState = MAIN,
) -> LockedPackage:
    return LockedPackage(
        name=name,
        version=version,
        architecture="amd64",
        parts=tuple(parts),
        archive=archive.id,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        path=f"pool/main/h/{name}_{version.partition(':')[2]}_amd64.deb",
    )


def lock(*packages: LockedPackage, archives: Sequence[ArchiveState] = (MAIN,)) -> ImageLock:
    return ImageLock(
        image="node",
        bedplate="0.1.0",
        source_date="2026-01-01T00:00:00Z",
        seed="5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31",
        archives=tuple(archives),
        requested=dict.fromkeys(Part, ("base-files",)),
        packages=packages,
    )


def publish(directory: Path, *packages: tuple[LockedPackage, bytes]) -> str:
    """An archive that has the files of some packages; its URL."""
    for package, content in packages:
        path = directory / package.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory.as_uri()
