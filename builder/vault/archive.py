"""A local Debian archive of exactly the locked packages, for apt to install from without a network.

Its index is made from the packages themselves. It is not signed: each file was compared with the lock's digest while
it was put here, and what is in no lock is not here, so that apt cannot install it.

Source: https://wiki.debian.org/DebianRepository/Format; apt-secure(8).
"""

from __future__ import annotations

import hashlib
import itertools
import mmap
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.vault.deb import control

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from pathlib import Path

    from builder.definition.lock import LockedPackage
    from builder.vault.store import Vault

ARCHITECTURE: Final = "amd64"
COMPONENT: Final = "main"


def write_archive(
    vault: Vault, packages: Iterable[LockedPackage], directory: Path, *, suite: str, date: dt.datetime
) -> None:
    """Make ``directory`` (which exists, empty) an archive of ``packages`` under a suite's name, dated ``date`` (UTC).

    Raises InvalidInputError if files are missing or changed, all of which are named, or one is not the package that the
    lock says it is, and for two versions of a package, of which apt would take the newer one whoever needs it.
    """
    packages = sorted(packages)
    for first, second in itertools.pairwise(packages):
        if (first.name, first.architecture) == (second.name, second.architecture):
            raise InvalidInputError(
                f"{first.name} is there in the versions {first.version} and {second.version}, and parts that are "
                "installed from one archive need the same"
            )
    pool = directory / "pool"
    pool.mkdir()
    _take(vault, packages, pool)
    stanzas = [_stanza(pool / _file_name(package), package, f"pool/{_file_name(package)}") for package in packages]
    index = "\n".join(stanzas).encode()
    folder = directory / "dists" / suite
    index_path = f"{COMPONENT}/binary-{ARCHITECTURE}/Packages"
    (folder / index_path).parent.mkdir(parents=True)
    (folder / index_path).write_bytes(index)
    (folder / "Release").write_text(
        f"Origin: bedplate\nLabel: bedplate\nSuite: {suite}\nCodename: {suite}\n"
        f"Date: {format_datetime(date, usegmt=True)}\n"
        f"Architectures: {ARCHITECTURE}\nComponents: {COMPONENT}\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} {index_path}\n",
        encoding="ascii",
    )


def _file_name(package: LockedPackage) -> str:
    return f"{package.name}_{package.version.replace(':', '%3a')}_{package.architecture}.deb"


def _take(vault: Vault, packages: Iterable[LockedPackage], pool: Path) -> None:
    """Put the files of all packages into ``pool``. Every bad one is found at once, so that one run brings all anew."""
    errors = []
    for package in packages:
        try:
            vault.take(package.sha256, pool / _file_name(package), f"{package.name} {package.version}")
        except InvalidInputError as error:
            errors.append(error)
    if errors:
        raise InvalidInputError("\n".join(str(error) for error in errors), hint=errors[0].hint)


def _stanza(path: Path, package: LockedPackage, name: str) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        with memoryview(mapping) as view:
            fields = control(view, path.name)
        size = len(mapping)
    expected = {"Package": package.name, "Version": package.version, "Architecture": package.architecture}
    lines = fields.splitlines()
    for field, value in expected.items():
        if f"{field}: {value}" not in lines:
            raise InvalidInputError(
                f"the locked file of {package.name} {package.version} is another package: it has no line "
                f"'{field}: {value}'",
                hint="the lock is wrong; `bedplate lock` writes it anew",
            )
    if size != package.size:
        raise InvalidInputError(
            f"the locked file of {package.name} {package.version} has {size} bytes; the lock names {package.size}",
            hint="the lock is wrong; `bedplate lock` writes it anew",
        )
    return f"{fields}\nFilename: {name}\nSize: {size}\nSHA256: {package.sha256}\n"
