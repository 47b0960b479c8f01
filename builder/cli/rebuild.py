"""``bedplate rebuild``: build a release again, and compare bit by bit."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb, key_passphrase, shown_path
from builder.cli.exitcodes import ExitCode
from builder.cli.numbers import SECONDS
from builder.cli.options import DIRECTORY, EXISTING_DIRECTORY, EXISTING_FILE, FILE, trust_option, trusted_keys
from builder.cli.output import Format, format_option, print_json, print_text, to_stderr
from builder.cli.progress import progress_option
from builder.cli.vault_options import find_sources, find_vault, is_url, snapshot_option, vault_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from builder.compare.causes.cause import Cause
    from builder.compare.difference import Report
    from builder.mkosi.cache import Cache
    from builder.progress import Reporter
    from builder.release.rebuild import Rebuilt
    from builder.release.verify import VerifiedRelease
    from builder.vault.fetch import Source
    from signing.signer import Signer

_SHOWN_CAUSES = 20


@click.command(
    cls=Verb,
    short_help="Build a release again, and compare bit by bit.",
    examples=(
        "bedplate rebuild dist/inference-node/1.0.0 --trust keys/production/release.pub --vault inputs-1.0.0 --offline",
        "bedplate rebuild dist/inference-node/1.0.0 --trust keys/production/release.pub \\",
        "    --attest keys/rebuilder/release.key -o rebuilt.json",
    ),
)
@click.argument("release", type=EXISTING_DIRECTORY)
@trust_option("that must have signed RELEASE", required=True)
@click.option("--allow-development", is_flag=True, help="Also rebuild a development image.")
@click.option("--offline", is_flag=True, help="Use the vault only, and no network.")
@click.option(
    "--mirror",
    metavar="URL",
    help="Debian archive for packages that the vault lacks.  [default: $BEDPLATE_MIRROR, this host's]",
)
@vault_option
@snapshot_option
@click.option(
    "--attest",
    "key",
    type=EXISTING_FILE,
    help="Private key to sign with that the image came out again. $BEDPLATE_KEY_PASSPHRASE opens an encrypted one.",
)
@click.option("-o", "--output", type=FILE, help="File to write the signed statement to.")
@click.option("--force", is_flag=True, help="Replace the file that is there.")
@click.option(
    "--keep",
    type=DIRECTORY,
    help="Directory to make for the rebuilt image; by default it is deleted.",
)
@click.option("--timeout", type=SECONDS, default=3600, show_default=True, help="Seconds that mkosi may take.")
@progress_option
@format_option
@click.pass_context
def command(
    ctx: click.Context,
    release: Path,
    trusted: tuple[Path, ...],
    mirror: str | None,
    vault: str | None,
    snapshot: str | None,
    key: Path | None,
    output: Path | None,
    keep: Path | None,
    timeout: float,
    reporter: Reporter,
    output_format: Format,
    *,
    allow_development: bool,
    offline: bool,
    force: bool,
) -> None:
    """Build RELEASE again from the tree and the lock that it carries, and compare the disk images.

    The rebuilt image gets the release's own signatures. Exit code 0 means that it is the published image, bit by bit;
    1, that it differs: then what differs is shown, and for each file the cause, such as a timestamp or an order.

    With --attest a key that signed nothing of RELEASE signs that it came out again, and whether the tools were made of
    the lock's packages for this, or taken from the cache.
    """
    from builder.definition.lock import read_lock  # noqa: PLC0415 -- for a fast --help
    from builder.definition.mirror import find_mirror  # noqa: PLC0415
    from builder.files import require_absent, write_atomically  # noqa: PLC0415
    from builder.mkosi.cache import find_cache  # noqa: PLC0415
    from builder.release.keyring import load_signer  # noqa: PLC0415
    from builder.release.layout import LOCK  # noqa: PLC0415
    from builder.release.rebuild import RebuildRequest, rebuild  # noqa: PLC0415
    from builder.release.rebuild_statement import require_independent  # noqa: PLC0415
    from builder.release.verify import verify_release  # noqa: PLC0415

    if (key is None) is not (output is None):
        raise click.UsageError("--attest KEY and --output FILE go together")
    if offline and vault is not None and is_url(vault):
        raise click.UsageError("--offline uses no network, so --vault is a directory with it, not a URL")
    cache = find_cache(os.environ)
    if vault is not None and not is_url(vault):
        find_vault(vault, cache).require_there()
    # A rebuild takes minutes: what would stop its statement is told before.
    if output is not None and not force:
        require_absent(output)
    signer = None if key is None else load_signer(key, key_passphrase())
    keys = trusted_keys(trusted)
    with reporter.stage("verify"):
        verified = verify_release(release, keys, allow_development=allow_development)
    if signer is not None:
        require_independent(verified, signer.public_key)
    sources: Sequence[Source] = ()
    if not offline:
        lock = read_lock(release / LOCK) if (release / LOCK).exists() else None
        sources = find_sources(vault, find_mirror(mirror, os.environ, None), snapshot, lock)
    request = RebuildRequest(verified, find_vault(vault, cache), sources, cache, timeout)
    started = time.time()
    with _directory(keep, cache) as directory:
        rebuilt = rebuild(request, directory, reporter)
        explained = None if rebuilt.is_identical else _explain(verified, rebuilt, started)
        _print(rebuilt, explained, output_format)
    if not rebuilt.is_identical:
        ctx.exit(ExitCode.NO)
    if signer is not None and output is not None:
        statement = _signed(verified, rebuilt, signer)
        # Somebody else may have written it meanwhile.
        if not force:
            require_absent(output)
        write_atomically(output, statement)
        to_stderr(f"attested in {shown_path(output)} by {signer.public_key.key_id}\n")


def _signed(release: VerifiedRelease, rebuilt: Rebuilt, signer: Signer) -> bytes:
    from builder import __version__  # noqa: PLC0415
    from builder.mkosi.toolchain import Origin  # noqa: PLC0415
    from builder.release.rebuild_statement import sign_rebuild  # noqa: PLC0415

    if rebuilt.toolchain is Origin.CACHED:
        to_stderr(
            "note: the toolchain was taken from the cache, and the statement says so; with BEDPLATE_CACHE set to an "
            "empty directory it is made anew\n"
        )
    return sign_rebuild(release, rebuilt, __version__, dt.datetime.now(dt.UTC), signer)


@contextlib.contextmanager
def _directory(keep: Path | None, cache: Cache) -> Iterator[Path]:
    """Where to rebuild: in a directory that stays once the image is whole, or in one that goes away."""
    if keep is not None:
        from builder.files import new_directory  # noqa: PLC0415

        with new_directory(keep.absolute()) as partial:
            yield partial
        return
    from builder.mkosi.scratch import scratch_in_cache  # noqa: PLC0415

    with scratch_in_cache(cache) as directory:
        yield directory


def _explain(release: VerifiedRelease, rebuilt: Rebuilt, started: float) -> tuple[Report, Sequence[Cause]]:
    """What differs, and the cause for each file."""
    from builder import __version__  # noqa: PLC0415
    from builder.baseline.causes import find_causes, known_builds  # noqa: PLC0415
    from builder.baseline.deepen import deepen  # noqa: PLC0415
    from builder.baseline.source import read_baseline  # noqa: PLC0415
    from builder.compare.baselines import compare  # noqa: PLC0415

    published = release.directory / rebuilt.disk.name
    report = compare(read_baseline(published), read_baseline(rebuilt.disk))
    builds = known_builds(release.provenance, __version__, started)
    causes = find_causes(report, published, rebuilt.disk, builds)
    return deepen(report, published, rebuilt.disk), causes


def _print(rebuilt: Rebuilt, explained: tuple[Report, Sequence[Cause]] | None, output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json(
            {
                "identical": rebuilt.is_identical,
                "rebuilt": rebuilt.digest,
                "published": rebuilt.published,
                "toolchain": rebuilt.toolchain,
                "causes": () if explained is None else explained[1],
            }
        )
    elif explained is None:
        print_text(f"identical: {rebuilt.disk.name} came out again, sha256:{rebuilt.digest}")
        print_text(f"  toolchain: {rebuilt.toolchain.words}")
    else:
        print_text(
            f"different: {rebuilt.disk.name} is sha256:{rebuilt.digest}, published is sha256:{rebuilt.published}"
        )
        print_text(f"  toolchain: {rebuilt.toolchain.words}")
        _print_difference(*explained)


def _print_difference(report: Report, causes: Sequence[Cause]) -> None:
    from msgspec.structs import replace  # noqa: PLC0415

    from builder.cli.diff_text import outline  # noqa: PLC0415
    from builder.cli.tree import print_tree  # noqa: PLC0415

    for cause in causes[:_SHOWN_CAUSES]:
        owner = f" (package {cause.package})" if cause.package else ""
        print_text(f"  cause: {cause.kind.value} in {cause.area} {cause.path}{owner}: {cause.evidence}")
    if len(causes) > _SHOWN_CAUSES:
        print_text(f"  and {len(causes) - _SHOWN_CAUSES} more; --format json has all")
    # Nobody means to give keys to an image that should have been the published one.
    print_tree(outline(replace(report, key_policies=()), full=False))
