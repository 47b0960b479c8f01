"""Where a build's inputs come from: the options that the verbs of lock and vault share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.definition.mirror import Mirror
    from builder.mkosi.cache import Cache
    from builder.vault.fetch import Source
    from builder.vault.store import Vault
    from builder.vault.supply import Supply

_URL: Final = ("http://", "https://", "file://")

vault_option = click.option(
    "--vault",
    metavar="DIR|URL",
    envvar="BEDPLATE_VAULT",
    help="Vault of packages: a directory, or a URL to read from.  [default: $BEDPLATE_VAULT, the cache's]",
)
snapshot_option = click.option(
    "--snapshot",
    metavar="URL",
    envvar="BEDPLATE_SNAPSHOT",
    help="Archive of dated snapshots, for packages that the mirror has no more.",
)


def find_vault(vault: str | None, cache: Cache) -> Vault:
    """The vault on this disk: the directory that was named, else the one in the cache."""
    from builder.vault.store import Vault  # noqa: PLC0415 -- for a fast --help

    if vault is None or vault.startswith(_URL):
        return Vault(cache.directory / "vault")
    return Vault(Path(vault).absolute())


def find_sources(
    vault: str | None, mirror: Mirror | None, snapshot: str | None = None, date: str | None = None
) -> Sequence[Source]:
    """Where to fetch what the vault lacks, in order: a vault's URL, the mirror, a snapshot of a date (RFC 3339)."""
    from builder.vault.fetch import Source  # noqa: PLC0415

    sources = []
    if vault is not None and vault.startswith(_URL):
        sources.append(Source(vault.rstrip("/"), is_vault=True))
    if mirror is not None:
        sources.append(Source(mirror.url))
    if snapshot is not None and date is not None:
        stamp = date.replace("-", "").replace(":", "")
        sources.append(Source(f"{snapshot.rstrip('/')}/archive/debian/{stamp}"))
    return sources


def find_supply(
    directory: Path, vault: str | None, mirror: Mirror | None, snapshot: str | None, cache: Cache
) -> Supply:
    """What a build of the definition in ``directory`` is made from. Raises InvalidInputError without a lock."""
    from builder.definition.lock import load_lock  # noqa: PLC0415
    from builder.vault.supply import Supply  # noqa: PLC0415

    lock = load_lock(directory)
    return Supply(lock, find_vault(vault, cache), find_sources(vault, mirror, snapshot, lock.archive.date))
