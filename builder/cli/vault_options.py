"""Where a build's inputs come from: the options that the verbs of lock and vault share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.definition.lock import ImageLock
    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.vault.fetch import Source
    from builder.vault.store import Vault
    from builder.vault.supply import Supply

_URL: Final = "an http, https or file URL without user name, query and fragment"


def is_url(place: str) -> bool:
    """Whether a place is a URL and no directory."""
    return "://" in place


def vault_place(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A directory or a URL. Raises BadParameter for URLs that are not read, without repeating what they may hold."""
    if value is not None and (not value or (is_url(value) and not _is_readable(value))):
        raise click.BadParameter(f"expected a directory, or {_URL}")
    return value


def _snapshot_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _is_readable(value):
        raise click.BadParameter(f"expected {_URL}")
    return value


def _is_readable(url: str) -> bool:
    from builder.definition.text import MIRROR_PATTERN  # noqa: PLC0415 -- for a fast --help

    return re.fullmatch(MIRROR_PATTERN, url) is not None


vault_option = click.option(
    "--vault",
    metavar="DIR|URL",
    envvar="BEDPLATE_VAULT",
    callback=vault_place,
    help="Vault of packages: a directory, or a URL to read from.  [default: $BEDPLATE_VAULT, the cache's]",
)
snapshot_option = click.option(
    "--snapshot",
    metavar="URL",
    envvar="BEDPLATE_SNAPSHOT",
    callback=_snapshot_url,
    help="Archive of dated snapshots, for packages that the mirror has no more.",
)


def find_vault(vault: str | None, cache: Cache) -> Vault:
    """The vault on this disk: the directory that was named, else the one in the cache."""
    from builder.vault.store import Vault  # noqa: PLC0415 -- for a fast --help

    if vault is None or is_url(vault):
        return Vault(cache.directory / "vault")
    return Vault(Path(vault).absolute())


def find_sources(
    vault: str | None, mirror: Mirror | None, snapshot: str | None = None, lock: ImageLock | None = None
) -> Sequence[Source]:
    """Where to fetch what the vault lacks, in order: a vault's URL, the mirrors, snapshots of the lock's dates."""
    from builder.vault.fetch import Source  # noqa: PLC0415 -- for a fast --help
    from builder.vault.places import archive_sources  # noqa: PLC0415

    sources = []
    if vault is not None and is_url(vault):
        sources.append(Source(vault.rstrip("/"), is_vault=True))
    if lock is not None:
        sources += archive_sources(lock, mirror, snapshot)
    return sources


def find_supply(
    directory: Path, vault: str | None, mirror: Mirror | None, snapshot: str | None, cache: Cache
) -> Supply:
    """What a build of the definition in ``directory`` is made from. Raises InvalidInputError without a lock."""
    from builder.definition.lock import load_lock  # noqa: PLC0415
    from builder.vault.supply import Supply  # noqa: PLC0415

    lock = load_lock(directory)
    return Supply(lock, find_vault(vault, cache), find_sources(vault, mirror, snapshot, lock))
