"""``bedplate revoke``: a signed list of releases that must not run any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from builder.cli.appraise_inputs import read_input, read_reference
from builder.cli.arguments import Verb, key_passphrase, shown_path
from builder.cli.options import EXISTING, EXISTING_FILE, FILE, keys_option, trust_option, trusted_keys
from builder.cli.output import Format, format_option, print_json, print_text

if TYPE_CHECKING:
    from pathlib import Path

    from builder.release.revocations import RevocationList


@click.command(
    cls=Verb,
    short_help="Sign a list of releases that must not run any more.",
    examples=(
        'bedplate revoke dist/inference-node/1.0.0 --reason "the engine leaks prompts" --first \\',
        "    --keys keys/production -o revocations.json",
        "bedplate revoke --minimum-version inference-node 1.2.0 --previous revocations.json \\",
        "    --keys keys/production -o revocations.json",
    ),
)
@click.argument("releases", nargs=-1, type=EXISTING)
@click.option("--reason", help="Why, for the people who read of a refusal.")
@click.option(
    "--image", "named", nargs=2, multiple=True, metavar="NAME VERSION", help="Revoke by name, whoever signed."
)
@click.option("--digest", "digests", multiple=True, metavar="SHA256", help="Revoke by the digest of a release's file.")
@click.option(
    "--minimum-version", "lowest", nargs=2, multiple=True, metavar="NAME VERSION", help="Revoke what is older."
)
@click.option("--previous", type=EXISTING_FILE, help="The list that this one takes the place of, and adds to.")
@click.option("--first", is_flag=True, help="There is no previous list.")
@keys_option
@trust_option("that signed what is read", default="that of --keys")
@click.option("-o", "--output", required=True, type=FILE, help="File to write.")
@format_option
def command(
    releases: tuple[Path, ...],
    reason: str | None,
    named: tuple[tuple[str, str], ...],
    digests: tuple[str, ...],
    lowest: tuple[tuple[str, str], ...],
    previous: Path | None,
    directory: Path,
    trusted: tuple[Path, ...],
    output: Path,
    output_format: Format,
    *,
    first: bool,
) -> None:
    """Sign a list that adds RELEASES, directories or their release.intoto.jsonl, to the previous list.

    The new list has the next serial number. Verifiers that are told the highest number they have seen refuse older
    lists (`bedplate appraise --revocations-serial`).
    """
    from builder.files import write_atomically  # noqa: PLC0415 -- for a fast --help
    from builder.release.keyring import load_keyring  # noqa: PLC0415
    from builder.release.revocations import Revocation, amended, load_revocations, sign_revocations  # noqa: PLC0415
    from builder.release.statements import convert  # noqa: PLC0415

    if (previous is None) is not first:
        raise click.UsageError("name either --previous, or --first for a list that takes the place of none")
    if not (releases or named or digests or lowest):
        raise click.UsageError("nothing is revoked: name RELEASES, --image, --digest or --minimum-version")
    if (reason is None) is bool(releases or named or digests):
        raise click.UsageError("--reason goes with RELEASES, --image and --digest, and they with it")
    if output.is_file() and output != previous:
        raise click.UsageError(f"{output} is there already and is not --previous")
    keyring = load_keyring(directory, key_passphrase())
    keys = trusted_keys(trusted) or [keyring.release.public_key]
    members = [{"digest": read_reference(path, keys, 1).digest} for path in releases]
    members += [{"name": name, "version": version} for name, version in named]
    members += [{"digest": digest} for digest in digests]
    entries = [convert({"reason": reason, **member}, Revocation, what="revocation") for member in members]
    old = None if previous is None else load_revocations(read_input(previous, "revocations"), keys)
    content = amended(old, entries, _minimum_versions(lowest), datetime.now(UTC).replace(microsecond=0))
    data = sign_revocations(content, [keyring.release])
    write_atomically(output, data)
    _show(content, output, output_format)


def _minimum_versions(lowest: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """By the name of the image. Raises UsageError for a name that is there twice, of which one would be lost."""
    versions = dict(lowest)
    if len(versions) != len(lowest):
        raise click.UsageError("--minimum-version names an image twice")
    return versions


def _show(content: RevocationList, output: Path, output_format: Format) -> None:
    if output_format is Format.JSON:
        print_json(
            {
                "file": str(output),
                "serial": content.serial,
                "issued": content.issued.isoformat(),
                "revoked": content.revoked,
                "minimum_versions": dict(content.minimum_versions),
            }
        )
        return
    print_text(f"{shown_path(output)}: serial {content.serial}, {len(content.revoked)} revoked")
    for name, version in content.minimum_versions.items():
        print_text(f"  {name}: {version} or newer may run")
