"""``bedplate keys``: make the keys that sign releases and images."""

from __future__ import annotations

from pathlib import Path

import click

from builder.cli.arguments import Verb
from builder.cli.output import Format, format_option, print_json, print_text

_ALGORITHMS = ("ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519", "rsa-pkcs1v15-sha256")


@click.command(
    cls=Verb,
    short_help="Make the keys that sign releases and their images.",
    examples=("bedplate keys keys/production", "bedplate keys keys/lab --profile development"),
)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--profile",
    type=click.Choice(["production", "development"]),
    default="production",
    show_default=True,
    help="Profile of the images that these keys sign; they sign no others.",
)
@click.option(
    "--algorithm",
    type=click.Choice(_ALGORITHMS),
    default=_ALGORITHMS[0],
    show_default=True,
    help="Algorithm of the release key; Secure Boot keys are always RSA-3072.",
)
@format_option
def command(directory: Path, profile: str, algorithm: str, output_format: Format) -> None:
    """Make a directory of new keys: one for release statements, and a Secure Boot identity (PK, KEK, db).

    Private keys are readable by their owner only. Give release.pub to those who verify, and the files
    secure-boot/*.esl to the firmware of the machines.
    """
    from builder.definition.model import Profile  # noqa: PLC0415 -- for a fast --help
    from builder.release.keyring import RELEASE_PUBLIC_KEY, generate_keyring  # noqa: PLC0415
    from signing.keys import Algorithm  # noqa: PLC0415

    public = generate_keyring(directory, Profile(profile), Algorithm(algorithm))
    path = directory / RELEASE_PUBLIC_KEY
    if output_format is Format.JSON:
        print_json({"directory": str(directory), "public_key": str(path), "key_id": public.key_id})
    else:
        print_text(f"{path}")
