"""Small Debian archives on this disk, signed by keys of the tests with the toolchain's gpg."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from email.utils import format_datetime
from typing import TYPE_CHECKING

from builder.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

DATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_SECONDS = 120.0
# gpg's home is in the sandbox's own /tmp, so that nothing of this machine's keys is seen or touched.
_GPG = (
    "export GNUPGHOME=/tmp/gpg; mkdir -m 700 $GNUPGHOME; gpg() { command gpg --batch --quiet --passphrase '' \"$@\"; }"
)


@dataclass(frozen=True)
class Key:
    """A key pair in files; ``public`` is what Signed-By= takes."""

    toolchain: Toolchain
    public: Path
    secret: Path

    @classmethod
    def new(cls, toolchain: Toolchain, directory: Path, *options: str) -> Key:
        directory.mkdir(parents=True)
        key = cls(toolchain, directory / "public.asc", directory / "secret.asc")
        key.gpg(
            f"gpg {' '.join(options)} --quick-generate-key archive@example.org ed25519 sign never",
            f"gpg --armor --export >{key.public}",
            f"gpg --armor --export-secret-keys >{key.secret}",
        )
        return key

    def gpg(self, *lines: str, beside: tuple[Path, ...] = ()) -> None:
        script = "\n".join(("set -e", _GPG, *lines))
        command = self.toolchain.command(["sh", "-c", script], writable=[self.public.parent, *beside])
        run(command, timeout=_SECONDS)

    def sign(self, release: Path, *options: str) -> None:
        """Make InRelease beside a Release file; ``options`` are gpg's."""
        signed = release.with_name("InRelease")
        signed.unlink(missing_ok=True)
        self.gpg(
            f"gpg --import {self.secret}",
            f"gpg {' '.join(options)} --clearsign --output {signed} {release}",
            beside=(release.parent,),
        )


@dataclass(frozen=True)
class Package:
    """An entry of an index; nobody looks into the file."""

    name: str
    version: str
    depends: str = ""
    content: bytes = b"a package"

    @property
    def stanza(self) -> str:
        depends = f"Depends: {self.depends}\n" if self.depends else ""
        return (
            f"Package: {self.name}\nVersion: {self.version}\nArchitecture: amd64\nMaintainer: nobody\n{depends}"
            f"Filename: pool/{self.name}_{self.version}_amd64.deb\nSize: {len(self.content)}\n"
            f"SHA256: {hashlib.sha256(self.content).hexdigest()}\nDescription: a package\n"
        )


def write(
    root: Path,
    key: Key,
    suite: str,
    *packages: Package,
    date: dt.datetime = DATE,
    valid_until: dt.datetime | None = None,
) -> Path:
    """Make ``root`` an archive of a suite; the directory of its Release files."""
    index = "\n".join(package.stanza for package in packages).encode()
    folder = root / "dists" / suite
    name = "main/binary-amd64/Packages"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(index)
    until = "" if valid_until is None else f"Valid-Until: {format_datetime(valid_until, usegmt=True)}\n"
    (folder / "Release").write_text(
        f"Origin: tests\nLabel: {root.name}\nSuite: {suite}\nCodename: {suite}\n"
        f"Date: {format_datetime(date, usegmt=True)}\n{until}Architectures: amd64\nComponents: main\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} {name}\n"
    )
    key.sign(folder / "Release")
    return folder
