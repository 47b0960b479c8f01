"""``bedplate sign``: from an unsigned build to a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb, key_passphrase, shown_path
from builder.cli.options import DIRECTORY, EXISTING_DIRECTORY, keys_option
from builder.cli.output import Format, format_option, print_json, print_text
from builder.cli.progress import progress_option

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Reporter


@click.command(
    cls=Verb,
    short_help="Sign an unsigned build, which makes it a release.",
    examples=("bedplate sign dist/inference-node/1.0.0.unsigned --keys keys/production",),
)
@click.argument("build", type=EXISTING_DIRECTORY)
@keys_option
@click.option("-o", "--output", type=DIRECTORY, help="Directory to make.  [default: beside the build]")
@click.option("--force", is_flag=True, help="Replace the release that is there.")
@progress_option
@format_option
def command(
    build: Path, directory: Path, output: Path | None, reporter: Reporter, output_format: Format, *, force: bool
) -> None:
    """Make the release of BUILD, an unsigned build.

    Signs the UKI for Secure Boot and puts it back into the ESP, predicts the PCRs of the signed image, checks it by the
    policy of the build, writes inventory, reports and statements, and verifies the result before it gets its name. An
    image that does not satisfy its policy gets no release: findings go to standard error, the exit code is 1. Needs no
    toolchain, no network and no root, so it can run on the machine that holds the keys.
    """
    from builder.cli.refused import findings_on_stderr  # noqa: PLC0415 -- for a fast --help
    from builder.release.keyring import load_keyring  # noqa: PLC0415
    from builder.release.sign import sign_build  # noqa: PLC0415

    keyring = load_keyring(directory, key_passphrase())
    with findings_on_stderr():
        release = sign_build(build, keyring, reporter, output=output, force=force)
    if output_format is Format.JSON:
        print_json({"directory": str(release.directory), "key_ids": release.verified.key_ids})
    else:
        print_text(shown_path(release.directory))
