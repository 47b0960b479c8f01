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
    from builder.release.lock import NewLock
    from builder.release.lock_changes import PackageChange


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
@click.option(
    "--update", multiple=True, metavar="PACKAGE", help="Take only this package anew; may be given several times."
)
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

    The packages are those that apt chooses today from the archives of the definition, whose signatures are checked.
    `bedplate build` then uses these and no others. What changed against the old lock is printed; what Debian's security
    archive mends is marked, if the definition names that archive.
    """
    from builder.definition.load import load  # noqa: PLC0415 -- for a fast --help
    from builder.definition.lock import LOCK_FILE, load_lock  # noqa: PLC0415
    from builder.definition.mirror import find_mirror  # noqa: PLC0415
    from builder.mkosi.cache import find_cache  # noqa: PLC0415
    from builder.release.lock import LockRequest, make_lock, write_lock  # noqa: PLC0415

    loaded = load(image)
    path = loaded.directory / LOCK_FILE
    old = load_lock(loaded.directory) if path.exists() or check or update else None
    archive = find_mirror(mirror, os.environ, loaded.definition.distribution.mirror)
    cache = find_cache(os.environ)
    sources = find_sources(vault, archive, snapshot, old)
    made = make_lock(
        LockRequest(loaded, archive, cache, find_vault(vault, cache), sources, old, update or None), reporter
    )
    if not check:
        write_lock(made.lock, path)
    if output_format is Format.JSON:
        states = tuple(made.lock.current.values())
        print_json(
            {"lock": str(path), "packages": len(made.lock.packages), "archives": states, "changed": made.changes}
        )
    elif made.changes:
        print_table(("package", "old", "new", "archive", ""), [_row(change) for change in made.changes])
    would_be = check and bool(made.changes)
    _summarize(
        made, f"{shown_path(path)} would have" if would_be else f"{shown_path(path)}:", was_there=old is not None
    )
    if check and made.changes:
        ctx.exit(ExitCode.NO)


def _row(change: PackageChange) -> tuple[str, ...]:
    return (
        f"{change.package}:{change.architecture}",
        change.old or "-",
        change.new or "-",
        change.archive or "-",
        "security" if change.security else "",
    )


def _summarize(made: NewLock, subject: str, *, was_there: bool) -> None:
    states = ", ".join(f"{state.suite} as of {state.date}" for state in made.lock.current.values())
    to_stderr(f"{subject} {len(made.lock.packages)} packages of {states}\n")
    for state in made.lock.current.values():
        if state.expired is not None:
            to_stderr(f"warning: the archive {state.name} expired at {state.expired}; only the lock's digests vouch\n")
    if not was_there or not made.changes:
        return
    if all(change.security is None for change in made.changes):
        to_stderr("note: distribution.archives has no security archive, so security updates are not told apart\n")
    else:
        mended = sum(change.security is True for change in made.changes)
        to_stderr(f"{len(made.changes)} changes, {mended} of them security updates\n")
