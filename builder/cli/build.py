"""``bedplate build``: from a definition to an unsigned build."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb, image_argument, mirror_option, shown_path
from builder.cli.numbers import SECONDS
from builder.cli.options import DIRECTORY
from builder.cli.output import Format, format_option, print_json, print_text, to_stderr
from builder.cli.progress import progress_option
from builder.cli.vault_options import find_supply, snapshot_option, vault_option

if TYPE_CHECKING:
    from builder.progress import Reporter


@click.command(
    cls=Verb,
    short_help="Build the unsigned disk image of a definition.",
    examples=("bedplate build inference-node", "bedplate build images/inference-node --mirror URL --force"),
)
@image_argument
@click.option(
    "-o",
    "--output",
    type=DIRECTORY,
    default=Path("dist"),
    show_default=True,
    help="Directory to build in.",
)
@click.option("--force", is_flag=True, help="Build even if a build of the same inputs is there.")
@click.option("--timeout", type=SECONDS, default=3600, show_default=True, help="Seconds that mkosi may take.")
@click.option(
    "--keep-failed",
    type=DIRECTORY,
    help="Directory to make for an image that does not satisfy its policy, to look at it; by default it is deleted.",
)
@click.option(
    "--explain-cache", is_flag=True, help="Say what was taken over from earlier builds, and why not more was."
)
@click.option(
    "--unlocked", is_flag=True, help="Build from what the archive has today, without a lock; nobody can repeat it."
)
@mirror_option
@vault_option
@snapshot_option
@progress_option
@format_option
def command(
    image: Path,
    output: Path,
    timeout: float,
    keep_failed: Path | None,
    mirror: str | None,
    vault: str | None,
    snapshot: str | None,
    reporter: Reporter,
    output_format: Format,
    *,
    force: bool,
    explain_cache: bool,
    unlocked: bool,
) -> None:
    """Build the definition IMAGE into OUTPUT/NAME/VERSION.unsigned.

    The toolchain tree is made on first use. The image is built by mkosi without any key, then read back and checked:
    partitions, UKI, hash tree and command line must belong together. `bedplate sign` makes the release of it.

    The finished image must satisfy the packs of its definition (`policy`), else findings go to standard error, the exit
    code is 1 and nothing is left in OUTPUT. What only a signed image can satisfy is deferred to `bedplate sign`.

    Packages are those of image.lock and no others: the vault has them, or they are fetched into it. A build of the same
    inputs is reused; with --unlocked these do not include the package archive, so use --force for newer packages.
    """
    from builder.cli.refused import findings_on_stderr  # noqa: PLC0415 -- for a fast --help
    from builder.definition.load import load  # noqa: PLC0415
    from builder.definition.mirror import find_mirror  # noqa: PLC0415
    from builder.mkosi.cache import find_cache  # noqa: PLC0415
    from builder.mkosi.prune_report import summary_lines  # noqa: PLC0415
    from builder.release.build import BuildRequest, build_image  # noqa: PLC0415
    from policies.presenters.text import text  # noqa: PLC0415

    loaded = load(image)
    source = find_mirror(mirror, os.environ, loaded.definition.distribution.mirror)
    cache = find_cache(os.environ)
    supply = None if unlocked else find_supply(loaded.directory, vault, source, snapshot, cache)
    request = BuildRequest(loaded, source, cache, output, timeout, force=force, keep_failed=keep_failed, supply=supply)
    with findings_on_stderr():
        built = build_image(request, reporter)
    if explain_cache:
        width = max(len(step.name) for step in built.steps)
        for step in built.steps:
            to_stderr(f"{step.name:{width}}  {f'made: {step.because}' if step.because else 'taken over'}\n")
    if built.report is None:
        to_stderr("note: reused the build of the same inputs; --force builds it again\n")
    else:
        to_stderr(f"{text(built.report)}\n")
    for line in summary_lines(built.record.pruned):
        to_stderr(f"pruned {line}\n")
    if output_format is Format.JSON:
        print_json({"directory": str(built.directory), "reused": built.reused, "record": built.record})
    else:
        print_text(shown_path(built.directory))
