"""What is done with whole vaults: taking one along, checking one, and deleting what no lock names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import locked, new_directory, remove_partial
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from builder.definition.lock import ImageLock, LockedPackage


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of files and their bytes."""

    files: int
    bytes: int


def export_vault(
    vault: Vault, locks: Iterable[ImageLock], target: Path, on_line: Callable[[str], None] | None = None
) -> Amount:
    """Make ``target``, a new vault with exactly what some locks name.

    Raises ToolFailedError if a file is missing or changed; then there is no ``target``.
    """
    packages = _packages(locks)
    with new_directory(target) as partial:
        fetch(Vault(partial), packages, [Source(vault.directory.as_uri(), is_vault=True)], on_line)
    return _amount(packages)


def import_vault(
    vault: Vault, locks: Iterable[ImageLock], source: Source, on_line: Callable[[str], None] | None = None
) -> Amount:
    """Take what some locks name, and the vault lacks, from another one; what is wrong there does not get in."""
    packages = [package for package in _packages(locks) if not vault.has(package.sha256)]
    with locked(vault.directory / ".lock"):
        fetch(vault, packages, [source], on_line)
    return _amount(packages)


def collect_vault(vault: Vault, locks: Sequence[ImageLock]) -> Amount:
    """Delete what none of the locks names. Raises InvalidInputError without a lock, which would delete everything."""
    if not locks:
        raise InvalidInputError("no lock is named, so everything would be deleted", hint="name what to keep")
    with locked(vault.directory / ".lock"):
        for directory in sorted((vault.directory / "sha256").glob("??")):
            remove_partial(directory)
        files, size = vault.collect({package.sha256 for package in _packages(locks)})
    return Amount(files, size)


def verify_vault(vault: Vault, locks: Iterable[ImageLock]) -> Amount:
    """Check every file, and that all that some locks name is there; how much that was.

    Raises NotVerifiedError with every problem, also for a vault without a file.
    """
    problems = [f"{damage.path} has SHA-256 {damage.found}" for damage in vault.verify()]
    problems += [
        f"{package.name} {package.version} is missing" for package in _packages(locks) if not vault.has(package.sha256)
    ]
    found = [vault.place(sha256).stat().st_size for sha256 in vault.digests()]
    if not found:
        problems.append("it holds no file")
    if problems:
        raise NotVerifiedError(f"the vault {vault.directory} is not whole", tuple(problems))
    return Amount(len(found), sum(found))


def _packages(locks: Iterable[ImageLock]) -> list[LockedPackage]:
    by_digest = {package.sha256: package for lock in locks for package in lock.packages}
    return sorted(by_digest.values())


def _amount(packages: Sequence[LockedPackage]) -> Amount:
    return Amount(len(packages), sum(package.size for package in packages))
