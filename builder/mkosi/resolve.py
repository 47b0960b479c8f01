"""Which packages a set of names stands for, as apt chooses them from an archive today.

apt runs in the toolchain, with an empty system and an index of its own, and installs nothing. The archive's signature
is checked by apt against the toolchain's Debian keyring, and the index by the hashes that are signed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.definition.lock import ArchiveState
from builder.errors import ToolFailedError
from builder.files import read_bytes
from builder.mkosi.archive import ArchiveWatch, blame_archive
from builder.process import run, run_logged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from builder.definition.mirror import Mirror
    from builder.definition.model import Distribution
    from builder.mkosi.toolchain import Toolchain

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_RESOLVER: Final = Path("/etc/resolv.conf")
_UPDATE_TIMEOUT: Final = 600.0
_RESOLVE_TIMEOUT: Final = 120.0
_MAX_INDEX_BYTES: Final = 512 << 20
_MAX_INRELEASE_BYTES: Final = 16 << 20
# What `apt-get --simulate` says of each package (apt-pkg/algorithms.cc, pkgSimulate::RealInstall), with what it would
# leave broken for the moment behind it: "Inst libc6 (2.41-12 Debian:13.1/stable [amd64]) [bash:amd64 ]".
_INSTALL: Final = re.compile(r"Inst (?P<name>\S+) \((?P<version>\S+) [^()]*\[(?P<architecture>\S+)\]\)( \[.*\])?\s*")


# A package by name, version and architecture.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A package in an archive's index; ``path`` is relative to the archive's root, ``size`` in bytes."""

    name: str
    version: str
    architecture: str
    size: int
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive's index in a directory of its own, and apt to ask about it."""

    toolchain: Toolchain
    directory: Path
    distribution: Distribution

    def update(self, mirror: Mirror, *, log: Path, local: Path | None = None) -> ArchiveState:
        """Fetch the index into the directory, which is empty, and say what state the archive is in.

        ``local`` is an archive below the directory whose packages may be chosen, too. Raises ToolFailedError if the
        archive is not there, not signed by a key of Debian's keyring, or expired.
        """
        for name in ("lists/partial", "archives/partial", "none"):
            (self.directory / name).mkdir(parents=True)
        (self.directory / "status").touch()
        suite, components = self.distribution.suite, " ".join(self.distribution.components)
        sources = f"Types: deb\nURIs: {mirror.url}\nSuites: {suite}\nComponents: {components}\nSigned-By: {KEYRING}\n"
        if local is not None:
            sources += f"\nTypes: deb\nURIs: file://{local}\nSuites: {suite}\nComponents: main\nTrusted: yes\n"
        (self.directory / "apt.sources").write_text(sources, encoding="utf-8")
        (self.directory / "apt.conf").write_text(_configuration(self.directory), encoding="utf-8")
        watch = ArchiveWatch()
        command = self._command("apt-get", "--error-on=any", "update")
        with blame_archive(watch, mirror):
            run_logged(command, timeout=_UPDATE_TIMEOUT, log=log, on_line=watch.line)
        return self._state()

    def choose(self, names: Sequence[str], keep: Mapping[str, str]) -> frozenset[Key]:
        """The packages that apt would install for ``names`` on an empty system.

        ``keep`` are the versions to choose, by package, where there is such a version. Raises ToolFailedError with
        apt's words if it finds no way.
        """
        pins = "".join(
            f"Package: {name}\nPin: version {version}\nPin-Priority: 1001\n\n" for name, version in sorted(keep.items())
        )
        (self.directory / "preferences").write_text(pins, encoding="utf-8")
        done = run(self._command("apt-get", "--simulate", "install", *names), timeout=_RESOLVE_TIMEOUT)
        chosen = frozenset(_installed(line) for line in done.stdout.decode().splitlines() if line.startswith("Inst "))
        if not chosen:
            raise ToolFailedError(f"apt would install nothing for {' '.join(names)}")
        return chosen

    def find(self, keys: Collection[Key]) -> dict[Key, Candidate]:
        """The index's entries of packages. Raises ToolFailedError if one is not there."""
        names = {name for name, _, _ in keys}
        found: dict[Key, Candidate] = {}
        for path in sorted((self.directory / "lists").glob("*_Packages")):
            text = read_bytes(path, what="archive index", limit=_MAX_INDEX_BYTES).decode()
            for candidate in _candidates(text, names):
                found[candidate.name, candidate.version, candidate.architecture] = candidate
        missing = sorted(key for key in keys if key not in found)
        if missing:
            raise ToolFailedError(f"apt chose {' '.join(missing[0])}, which is not in the archive's index")
        return {key: found[key] for key in keys}

    def _command(self, *argv: str) -> tuple[str, ...]:
        readable = [path for path in (_RESOLVER,) if path.exists()]
        command = ("env", f"APT_CONFIG={self.directory / 'apt.conf'}", *argv)
        return self.toolchain.command(command, writable=[self.directory], readable=readable)

    def _state(self) -> ArchiveState:
        found = list((self.directory / "lists").glob("*_InRelease"))
        if len(found) != 1:
            raise ToolFailedError(f"apt left {len(found)} InRelease files, expected 1")
        content = read_bytes(found[0], what="InRelease file", limit=_MAX_INRELEASE_BYTES)
        verified = self.directory / "Release"
        argv = ("sqv", "--keyring", KEYRING, "--cleartext", "--output", str(verified), str(found[0]))
        done = run(self._command(*argv), timeout=_RESOLVE_TIMEOUT)
        date = re.search(r"^Date: (.+)$", verified.read_text(encoding="utf-8"), re.MULTILINE)
        if date is None:
            raise ToolFailedError("the archive's InRelease file has no date")
        return ArchiveState(
            suite=self.distribution.suite,
            components=self.distribution.components,
            date=parsedate_to_datetime(date[1]).astimezone(dt.UTC).isoformat().replace("+00:00", "Z"),
            inrelease=hashlib.sha256(content).hexdigest(),
            signed_by=tuple(sorted(set(done.stdout.decode().split()))),
        )


def _configuration(directory: Path) -> str:
    """apt's configuration (apt.conf(5)): nothing of a host's or the toolchain's own, and mkosi's choices.

    The options are those of ``Apt.cmd`` in mkosi 25.3 (mkosi/installer/apt.py) that decide what is installed.
    """
    return (
        f'Dir::State "{directory}";\n'
        f'Dir::State::status "{directory}/status";\n'
        f'Dir::Cache "{directory}";\n'
        f'Dir::Etc::sourcelist "{directory}/apt.sources";\n'
        f'Dir::Etc::sourceparts "{directory}/none";\n'
        f'Dir::Etc::preferences "{directory}/preferences";\n'
        f'Dir::Etc::preferencesparts "{directory}/none";\n'
        f'Dir::Etc::parts "{directory}/none";\n'
        'APT::Architecture "amd64";\n'
        'APT::Architectures "amd64";\n'
        'APT::Install-Recommends "false";\n'
        'APT::Sandbox::User "root";\n'
        'Acquire::Languages "none";\n'
        'Acquire::Retries "3";\n'
        'pkgCacheGen::ForceEssential ",";\n'
    )


def _installed(line: str) -> Key:
    """The package that apt would install."""
    match = _INSTALL.fullmatch(line)
    if match is None:
        raise ToolFailedError(f"apt says what is not understood: {line!r}")
    return match["name"].partition(":")[0], match["version"], match["architecture"]


def _candidates(index: str, names: Collection[str]) -> Iterator[Candidate]:
    for stanza in index.split("\n\n"):
        if stanza.partition("\n")[0].removeprefix("Package: ") not in names:
            continue
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        yield Candidate(
            name=fields["Package"],
            version=fields["Version"],
            architecture=fields["Architecture"],
            size=int(fields["Size"]),
            sha256=fields["SHA256"],
            path=fields["Filename"],
        )
