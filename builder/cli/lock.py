"""``bedplate lock``: from a definition to the lock that builds are made from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb, image_argument, mirror_option, shown_path
from builder.cli.exitcodes import ExitCode
from builder.cli.output import Format, format_option, print_json, print_table, to_stderr
from builder.cli.progress import progress_option
from builder.cli.vault_options import find_sources, find_vault, snapshot_option, vault_option

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Reporter


@click.command(
    cls=Verb,
    short_help="Choose the packages of an image, by digest.",
    examples=(
        "bedplate lock inference-node",
        "bedplate lock inference-node --check",
        "bedplate lock inference-node --update systemd --update udev",
    ),
)
@image_argument
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the archive has something else by now.")
@click.option("--update", multiple=True, metavar="PACKAGE", help="Take only this package anew; may repeat.")
@mirror_option
@vault_option
@snapshot_option
@progress_option
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    image: Path,
    update: tuple[str, ...],
    mirror: str | None,
    vault: str | None,
    snapshot: str | None,
    reporter: Reporter,
    output_format: Format,
    *,
    check: bool,
) -> None:
    """Write image.lock beside the definition IMAGE: every package of root, initrd and toolchain with its digest.

    The packages are those that apt chooses today from the archive, whose signature is checked. `bedplate build` then
    uses these and no others. What changed against the old lock is printed.
    """
    from builder.definition.load import load  # noqa: PLC0415 -- for a fast --help
    from builder.definition.lock import LOCK_FILE, differences, load_lock  # noqa: PLC0415
    from builder.definition.mirror import find_mirror  # noqa: PLC0415
    from builder.mkosi.cache import find_cache  # noqa: PLC0415
    from builder.release.lock import LockRequest, make_lock, write_lock  # noqa: PLC0415

    loaded = load(image)
    path = loaded.directory / LOCK_FILE
    old = load_lock(loaded.directory) if path.exists() or check or update else None
    archive = find_mirror(mirror, os.environ, loaded.definition.distribution.mirror)
    cache = find_cache(os.environ)
    sources = find_sources(vault, archive, snapshot, None if old is None else old.archive.date)
    lock = make_lock(
        LockRequest(loaded, archive, cache, find_vault(vault, cache), sources, old, update or None), reporter
    )
    changed = {} if old is None else differences(old, lock)
    if not check:
        write_lock(lock, path)
    if output_format is Format.JSON:
        rows = [{"package": name, "old": before, "new": after} for name, (before, after) in changed.items()]
        print_json({"lock": str(path), "packages": len(lock.packages), "changed": rows})
    elif changed:
        print_table(("package", "old", "new"), [(name, *(v or "-" for v in pair)) for name, pair in changed.items()])
    to_stderr(f"{shown_path(path)}: {len(lock.packages)} packages of {lock.archive.suite} as of {lock.archive.date}\n")
    if check and changed:
        ctx.exit(ExitCode.NO)
