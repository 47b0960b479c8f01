"""Which packages a set of names stands for, as apt chooses them from archives today.

apt runs in the toolchain, with an empty system and an index of its own, and installs nothing. The signature of each
archive is checked by apt against that archive's keys, Debian's unless the definition names others, and the index by
the hashes that are signed.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.errors import ToolFailedError
from builder.files import read_bytes
from builder.mkosi.archive import ArchiveWatch, blame_archive
from builder.mkosi.archive_state import MAX_RELEASE_BYTES, read_state, release_fields
from builder.process import run, run_logged

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from builder.definition.archives import PackageArchive
    from builder.definition.lock import ArchiveState
    from builder.mkosi.toolchain import Toolchain

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_RESOLVER: Final = Path("/etc/resolv.conf")
_UPDATE_TIMEOUT: Final = 600.0
_RESOLVE_TIMEOUT: Final = 120.0
_MAX_INDEX_BYTES: Final = 512 << 20
# Above the 500 of archives without a pin, below 1000 (apt_preferences(5)); a version that is kept goes before all.
_NAMED_PRIORITY: Final = 990
_KEPT_PRIORITY: Final = 1001
# What `apt-get --simulate` says of each package (apt-pkg/algorithms.cc, pkgSimulate::RealInstall), with what it would
# leave broken for the moment behind it: "Inst libc6 (2.41-12 Debian:13.1/stable [amd64]) [bash:amd64 ]".
_INSTALL: Final = re.compile(r"Inst (?P<name>\S+) \((?P<version>\S+) [^()]*\[(?P<architecture>\S+)\]\)( \[.*\])?\s*")


# A package by name, version and architecture.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A package in the index of an archive; ``path`` is relative to the archive's root, ``size`` in bytes."""

    name: str
    version: str
    architecture: str
    size: int
    sha256: str
    path: str
    archive: str

    @property
    def key(self) -> Key:
        """What apt calls it by."""
        return self.name, self.version, self.architecture


@dataclass(frozen=True, slots=True)
class Apt:
    """apt in the toolchain; all that it writes is in ``directory``, and ``readable`` is what else it may see."""

    toolchain: Toolchain
    directory: Path
    readable: tuple[Path, ...]

    def command(self, *argv: str) -> tuple[str, ...]:
        """The command line of a program that sees apt's directory."""
        readable = [path for path in (_RESOLVER, *self.readable) if path.exists()]
        command = ("env", f"APT_CONFIG={self.directory / 'apt.conf'}", *argv)
        return self.toolchain.command(command, writable=[self.directory], readable=readable)


@dataclass(frozen=True, slots=True)
class Index:
    """The signed indexes of archives. ``states``, ``files`` (of packages) and ``pins`` are by the archive's name."""

    apt: Apt
    archives: tuple[PackageArchive, ...]
    states: Mapping[str, ArchiveState]
    files: Mapping[str, tuple[Path, ...]]
    pins: Mapping[str, str]

    def choose(self, part: str, names: Sequence[str], keep: Mapping[str, str]) -> frozenset[Key]:
        """The packages that apt would install for ``names`` on an empty system, from the archives for a part.

        ``keep`` are the versions to choose, by package, where there is such a version. Raises ToolFailedError with
        apt's words if it finds no way.
        """
        (self.apt.directory / "preferences").write_text(self._preferences(part, keep), encoding="utf-8")
        done = run(self.apt.command("apt-get", "--simulate", "install", *names), timeout=_RESOLVE_TIMEOUT)
        chosen = frozenset(_installed(line) for line in done.stdout.decode().splitlines() if line.startswith("Inst "))
        if not chosen:
            raise ToolFailedError(f"apt would install nothing for {' '.join(names)}")
        return chosen

    def find(self, keys: Collection[Key]) -> dict[Key, Candidate]:
        """The entries of packages, each of the first archive that has it.

        Raises ToolFailedError if one is not there, or if two archives have different files for it.
        """
        found: dict[Key, Candidate] = {}
        for candidate in self.candidates({name for name, _, _ in keys}):
            first = found.setdefault(candidate.key, candidate)
            if first.sha256 != candidate.sha256 and candidate.key in keys:
                raise ToolFailedError(
                    f"{candidate.name} {candidate.version} is one file in {first.archive} and another in "
                    f"{candidate.archive}, so it is not clear which one is meant"
                )
        missing = sorted(key for key in keys if key not in found)
        if missing:
            raise ToolFailedError(f"apt chose {' '.join(missing[0])}, which is in no archive's index")
        return {key: found[key] for key in keys}

    def candidates(self, names: Collection[str], archives: Collection[str] | None = None) -> Iterator[Candidate]:
        """All entries of packages by name, of all archives or of some."""
        for archive in self.archives:
            if archives is None or archive.name in archives:
                for path in self.files[archive.name]:
                    text = read_bytes(path, what="archive index", limit=_MAX_INDEX_BYTES).decode()
                    yield from _candidates(text, names, archive.name)

    def fixes(self, names: Collection[str]) -> dict[tuple[str, str], list[str]] | None:
        """The versions of packages in security archives, by name and architecture; None without such an archive."""
        security = [archive.name for archive in self.archives if archive.is_security]
        if not security:
            return None
        versions: dict[tuple[str, str], list[str]] = {}
        for candidate in self.candidates(names, security):
            versions.setdefault((candidate.name, candidate.architecture), []).append(candidate.version)
        return versions

    def _preferences(self, part: str, keep: Mapping[str, str]) -> str:
        """What apt_preferences(5) is told. For a package the first record that names it counts."""
        records = [(name, f"version {version}", _KEPT_PRIORITY) for name, version in sorted(keep.items())]
        for archive in self.archives:
            is_for_part = archive.parts is None or part in archive.parts
            if is_for_part and archive.only is None:
                continue
            pin = self.pins[archive.name]
            if is_for_part:
                records += [(name, pin, _NAMED_PRIORITY) for name in sorted(archive.only or ()) if name not in keep]
            records.append(("*", pin, -1))
        return "".join(f"Package: {name}\nPin: {pin}\nPin-Priority: {priority}\n\n" for name, pin, priority in records)


def read_archives(
    toolchain: Toolchain,
    directory: Path,
    archives: Sequence[PackageArchive],
    *,
    now: dt.datetime,
    log: Path,
    local: tuple[Path, str] | None = None,
) -> Index:
    """Fetch the indexes of archives into ``directory``, which is empty, and say what state each archive is in.

    ``local`` is an archive below the directory, and its suite, whose packages may be chosen, too. Raises
    ToolFailedError that names the archive which is not there, not signed by one of its keys, or expired.
    """
    for name in ("lists/partial", "archives/partial", "none", "keys"):
        (directory / name).mkdir(parents=True)
    (directory / "status").touch()
    keyrings = {archive.name: _keyring(archive, directory / "keys") for archive in archives}
    sources = [_source(archive, keyrings[archive.name]) for archive in archives]
    if local is not None:
        sources.append(f"Types: deb\nURIs: file://{local[0]}\nSuites: {local[1]}\nComponents: main\nTrusted: yes\n")
    (directory / "apt.sources").write_text("\n".join(sources), encoding="utf-8")
    (directory / "apt.conf").write_text(_configuration(directory), encoding="utf-8")
    places = [archive.directory for archive in archives if archive.directory is not None]
    apt = Apt(toolchain, directory, tuple(places))
    watch = ArchiveWatch()
    with blame_archive(watch, *(archive.place for archive in archives)):
        run_logged(
            apt.command("apt-get", "--error-on=any", "update"), timeout=_UPDATE_TIMEOUT, log=log, on_line=watch.line
        )
    files = _index_files(apt, archives)
    states, pins = {}, {}
    for archive in archives:
        release = _release(archive, files[archive.name])
        verified = directory / f"Release-{archive.name}"
        keyring = keyrings[archive.name]
        command = ("sqv", "--keyring", keyring, "--cleartext", "--output", str(verified), str(release))
        signed_by = run(apt.command(*command), timeout=_RESOLVE_TIMEOUT).stdout.decode().split()
        fields = release_fields(read_bytes(verified, what="Release file", limit=MAX_RELEASE_BYTES).decode())
        content = read_bytes(release, what="InRelease file", limit=MAX_RELEASE_BYTES)
        states[archive.name] = read_state(archive, content, fields, signed_by, now)
        if archive.only is not None or archive.parts is not None:
            pins[archive.name] = _pin(archive, fields)
    return Index(apt, tuple(archives), states, files, pins)


def _source(archive: PackageArchive, keyring: str) -> str:
    """An entry of sources.list(5)."""
    unchecked = "Check-Valid-Until: no\n" if archive.allow_expired else ""
    return (
        f"Types: deb\nURIs: {archive.place.url}\nSuites: {archive.suite}\n"
        f"Components: {' '.join(archive.components)}\nSigned-By: {keyring}\n{unchecked}"
    )


def _keyring(archive: PackageArchive, directory: Path) -> str:
    """Where the sandbox sees the keys of an archive."""
    if archive.keyring is None:
        return KEYRING
    place = directory / f"{archive.name}{archive.keyring.suffix}"
    shutil.copyfile(archive.keyring, place)
    return str(place)


def _index_files(apt: Apt, archives: Sequence[PackageArchive]) -> dict[str, tuple[Path, ...]]:
    """The files with the packages of each archive, which apt names by a quoting of its own."""
    wanted = "$(REPO_URI) $(RELEASE) $(FILENAME)"
    done = run(
        apt.command("apt-get", "indextargets", "--format", wanted, "Created-By: Packages"), timeout=_RESOLVE_TIMEOUT
    )
    rows = [line.split(" ", 2) for line in done.stdout.decode().splitlines()]
    return {
        archive.name: tuple(
            Path(file)
            for uri, release, file in rows
            if (_plain(uri), release) == (_plain(archive.place.url), archive.suite)
        )
        for archive in archives
    }


def _plain(uri: str) -> str:
    """A place as apt says it and as a person does: with one slash or three behind "file:", with a final one or not."""
    return uri.rstrip("/").replace("file:///", "file:/")


def _release(archive: PackageArchive, files: Sequence[Path]) -> Path:
    """The InRelease file that belongs to an archive's index."""
    marker = f"_dists_{archive.suite}_"
    found = {file.with_name(file.name.rpartition(marker)[0] + marker + "InRelease") for file in files}
    if len(found) != 1 or not all(path.is_file() for path in found):
        raise ToolFailedError(f"apt left no InRelease file of the archive {archive.name} ({archive.place.url})")
    return found.pop()


def _pin(archive: PackageArchive, fields: Mapping[str, str]) -> str:
    """What tells an archive from the others (apt_preferences(5)): what its signed Release file says of itself."""
    known = {"n": "codename", "a": "suite", "o": "origin", "l": "label"}
    words = [f"{letter}={fields[name]}" for letter, name in known.items() if fields.get(name)]
    if not words or any("," in word for word in words):
        raise ToolFailedError(f"the Release file of {archive.name} does not say which archive it is")
    return f"release {','.join(words)}"


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


def _candidates(index: str, names: Collection[str], archive: str) -> Iterator[Candidate]:
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
            path=fields["Filename"].removeprefix("./"),
            archive=archive,
        )
