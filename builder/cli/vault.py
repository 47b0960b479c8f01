"""``bedplate vault``: keep, move and check what builds are made from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import VerbWithActions
from builder.cli.options import DIRECTORY, EXISTING_FILE
from builder.cli.output import Format, format_option, print_json, print_text
from builder.cli.progress import progress_option
from builder.cli.vault_options import find_vault, is_url, vault_option, vault_place

if TYPE_CHECKING:
    from builder.definition.lock import ImageLock
    from builder.progress import Reporter
    from builder.vault.exchange import Amount
    from builder.vault.store import Vault


_locks_argument = click.argument("locks", nargs=-1, required=True, type=EXISTING_FILE, metavar="LOCK...")


@click.group(
    cls=VerbWithActions,
    short_help="Keep, move and check what builds are made from.",
    examples=(
        "bedplate vault export images/inference-node/image.lock -o inputs-1.0.0",
        "bedplate vault import images/inference-node/image.lock --from inputs-1.0.0",
        "bedplate vault verify images/inference-node/image.lock",
        "bedplate vault gc images/*/image.lock",
    ),
)
def command() -> None:
    """Keep, move and check the vault, which holds by digest every package that locks name."""


@command.command("export", short_help="Copy what locks name into a new vault.")
@_locks_argument
@click.option("-o", "--output", required=True, type=DIRECTORY, help="Directory to make.")
@vault_option
@format_option
def _export(locks: tuple[Path, ...], output: Path, vault: str | None, output_format: Format) -> None:
    """Make OUTPUT, a vault of exactly what the LOCKs name, to keep with a release or to serve from the web."""
    from builder.vault.exchange import export_vault  # noqa: PLC0415 -- for a fast --help

    _print(export_vault(_vault(vault), _load(locks), output.absolute()), "exported", output_format)


@command.command("import", short_help="Take what locks name from another vault.")
@_locks_argument
@click.option("--from", "source", required=True, metavar="DIR|URL", callback=vault_place, help="Vault to take it from.")
@vault_option
@progress_option
@format_option
def _import(locks: tuple[Path, ...], source: str, vault: str | None, reporter: Reporter, output_format: Format) -> None:
    """Take in what the LOCKs name and the vault lacks, or has changed; each file is compared with the lock's digest."""
    from builder.vault.exchange import import_vault  # noqa: PLC0415
    from builder.vault.fetch import Source  # noqa: PLC0415

    url = source.rstrip("/") if is_url(source) else Path(source).absolute().as_uri()
    with reporter.stage("packages") as stage:
        amount = import_vault(_vault(vault), _load(locks), Source(url, is_vault=True), stage.line)
    _print(amount, "imported", output_format)


@command.command("verify", short_help="Check every file of a vault.")
@click.argument("locks", nargs=-1, type=EXISTING_FILE, metavar="[LOCK...]")
@vault_option
@format_option
def _verify(locks: tuple[Path, ...], vault: str | None, output_format: Format) -> None:
    """Check that every file is what its name says, and that all that the LOCKs name is there."""
    from builder.vault.exchange import verify_vault  # noqa: PLC0415

    _print(verify_vault(_vault(vault), _load(locks)), "verified", output_format)


@command.command("gc", short_help="Delete what no lock names.")
@_locks_argument
@vault_option
@format_option
def _collect(locks: tuple[Path, ...], vault: str | None, output_format: Format) -> None:
    """Delete from the vault what none of the LOCKs names."""
    from builder.vault.exchange import collect_vault  # noqa: PLC0415

    _print(collect_vault(_vault(vault), _load(locks)), "deleted", output_format)


def _vault(vault: str | None) -> Vault:
    from builder.mkosi.cache import find_cache  # noqa: PLC0415

    if vault is not None and is_url(vault):
        raise click.UsageError("--vault is a directory here, not a URL")
    return find_vault(vault, find_cache(os.environ))


def _load(paths: tuple[Path, ...]) -> list[ImageLock]:
    from builder.definition.lock import read_lock  # noqa: PLC0415

    return [read_lock(path) for path in paths]


def _print(amount: Amount, done: str, output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json({done: {"files": amount.files, "bytes": amount.bytes}})
    else:
        print_text(f"{done} {amount.files} files, {amount.bytes / 1e6:.1f} MB")
