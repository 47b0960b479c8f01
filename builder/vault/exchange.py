"""What is done with whole vaults: taking one along, checking one, and deleting what no lock names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import new_directory, require_free
from builder.vault.fetch import Source, fetch_all
from builder.vault.store import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from builder.definition.lock import ImageLock, LockedPackage
    from builder.vault.store import Examined

_EXPORT_HINT: Final = "`bedplate vault import LOCK` brings what is missing or changed into the vault"
_IMPORT_HINT: Final = "name a vault that has them (--from)"


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of files and their bytes."""

    files: int
    bytes: int


def export_vault(
    vault: Vault, locks: Iterable[ImageLock], target: Path, on_line: Callable[[str], None] | None = None
) -> Amount:
    """Make ``target``, a new vault with exactly what some locks name.

    Raises ToolFailedError if a file is missing or changed, and InvalidInputError if there is no such vault; then there
    is no ``target``.
    """
    vault.require_there()
    packages = _packages(locks)
    with new_directory(target) as partial:
        # Only now: what a killed export left is gone.
        require_free(target.parent, _amount(packages).bytes, what="the export")
        source = Source(vault.directory.as_uri(), is_vault=True)
        fetch_all(Vault(partial), packages, [source], on_line, hint=_EXPORT_HINT)
    return _amount(packages)


def import_vault(
    vault: Vault, locks: Iterable[ImageLock], source: Source, on_line: Callable[[str], None] | None = None
) -> Amount:
    """Take what some locks name, and the vault lacks, from another one; what is wrong there does not get in.

    What the vault has is read, too: a file that was changed is replaced.
    """
    with vault.locked(on_line):
        packages = [package for package in _packages(locks) if _problem(vault.examine(package.sha256), package)]
        fetch_all(vault, packages, [source], on_line, hint=_IMPORT_HINT)
    return _amount(packages)


def collect_vault(vault: Vault, locks: Sequence[ImageLock]) -> Amount:
    """Delete what none of the locks names.

    Raises InvalidInputError without a lock, which would delete everything, and if there is no such vault.
    """
    if not locks:
        raise InvalidInputError("no lock is named, so everything would be deleted", hint="name what to keep")
    vault.require_there()
    with vault.locked():
        files, size = vault.collect({package.sha256 for package in _packages(locks)})
    return Amount(files, size)


def verify_vault(vault: Vault, locks: Iterable[ImageLock]) -> Amount:
    """Check every file, and that all that some locks name is there; how much that was.

    Raises NotVerifiedError with every problem, also for a vault without a file, and InvalidInputError if there is no
    such directory.
    """
    vault.require_there()
    # What another process deletes meanwhile is None.
    examined = {sha256: file for sha256 in vault.digests() if (file := vault.examine(sha256)) is not None}
    problems = [file.problem for file in examined.values() if file.problem is not None]
    problems += [f"{path} is no file of a vault" for path in vault.strangers()]
    problems += [
        problem
        for package in _packages(locks)
        if (problem := _problem(examined.get(package.sha256), package)) and problem not in problems
    ]
    if not examined:
        problems.append("it holds no file")
    if problems:
        raise NotVerifiedError(f"the vault {vault.directory} is not whole", tuple(problems))
    return Amount(len(examined), sum(file.size for file in examined.values()))


def _problem(file: Examined | None, package: LockedPackage) -> str | None:
    """Why what is there under its digest is not the package, or None."""
    if file is None:
        return f"{package.name} {package.version} is missing"
    if file.problem is None and file.size != package.size:
        return f"{package.name} {package.version} has {file.size} bytes; the lock names {package.size} bytes"
    return file.problem


def _packages(locks: Iterable[ImageLock]) -> list[LockedPackage]:
    """Each file once; of two sizes that locks name for it one is wrong, so both are looked at."""
    by_file = {(package.sha256, package.size): package for lock in locks for package in lock.packages}
    return sorted(by_file.values())


def _amount(packages: Sequence[LockedPackage]) -> Amount:
    return Amount(len(packages), sum(package.size for package in packages))
