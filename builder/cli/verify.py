"""``bedplate verify``: a release against the keys that should have signed it, and its image against its claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.errors import printable
from builder.cli.output import Format, format_option, print_json, print_text
from builder.errors import NotVerifiedError

if TYPE_CHECKING:
    from builder.release.summary import VerificationSummary


@click.command(
    cls=Verb,
    short_help="Verify a release against the keys that you trust.",
    examples=("bedplate verify dist/inference-node/1.0.0 --trust keys/production/release.pub",),
)
@click.argument("release", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--trust",
    "trusted",
    required=True,
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public key (PEM) that you trust; may be given several times.",
)
@click.option(
    "--threshold",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many of the trusted keys must have signed each statement.",
)
@click.option(
    "--require-pack",
    "packs",
    multiple=True,
    metavar="NAME|FILE",
    help="Policy pack that the image must have been checked by; may be given several times. A production image must "
    "always have been checked by zero-operator-access.",
)
@click.option(
    "--rebuilders",
    type=click.IntRange(min=1),
    help="How many rebuilders must say that they built the same image from the same inputs.",
)
@click.option(
    "--trust-rebuilder",
    "rebuilder_keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Public key (PEM) of a rebuilder that you trust; may be given several times.",
)
@click.option(
    "--rebuilt",
    "statements",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `bedplate rebuild --attest` wrote; may be given several times.",
)
@click.option("--allow-development", is_flag=True, help="Accept a development image, which may have a way in.")
@format_option
def command(
    release: Path,
    trusted: tuple[Path, ...],
    threshold: int,
    packs: tuple[str, ...],
    rebuilders: int | None,
    rebuilder_keys: tuple[Path, ...],
    statements: tuple[Path, ...],
    output_format: Format,
    *,
    allow_development: bool,
) -> None:
    """Verify RELEASE: signatures first, then every digest, then the image against its own claims.

    Hash tree, inventory and PCR values are computed again from the image, and the controls of its policy run again. A
    waiver that has expired is a mismatch. All mismatches are listed; exit code 1 means that there is at least one.
    """
    from builder.files import read_bytes  # noqa: PLC0415 -- for a fast --help
    from builder.release.keyring import load_trusted  # noqa: PLC0415
    from builder.release.rebuild_statement import MAX_REBUILD_BYTES, require_rebuilders  # noqa: PLC0415
    from builder.release.verify import verify_release  # noqa: PLC0415

    if (rebuilders is None) is bool(rebuilder_keys or statements) or (rebuilders and not rebuilder_keys):
        raise click.UsageError("--rebuilders needs --trust-rebuilder, and --rebuilt goes with it")
    keys = [load_trusted(path) for path in trusted]
    trusted_rebuilders = [load_trusted(path) for path in rebuilder_keys]
    rebuilt: tuple[str, ...] = ()
    try:
        verified = verify_release(release, keys, threshold=threshold, allow_development=allow_development, packs=packs)
        if rebuilders is not None:
            said = {str(path): read_bytes(path, what="statement", limit=MAX_REBUILD_BYTES) for path in statements}
            rebuilt = require_rebuilders(verified, said, trusted_rebuilders, rebuilders)
    except NotVerifiedError as error:
        if output_format is Format.JSON:
            # A name that is not UTF-8 has no form in JSON, so it is told as on standard error.
            print_json({"verified": False, "problems": [printable(problem) for problem in error.problems]})
        raise
    image = verified.reference.image
    if output_format is Format.JSON:
        print_json(
            {
                "verified": True,
                "image": image,
                "uki": verified.reference.uki,
                "key_ids": verified.key_ids,
                "files": verified.files,
                "verdict": verified.verdict,
                "rebuilt_by": rebuilt,
            }
        )
        return
    modes = " and ".join(verified.reference.reference_values)
    print_text(
        f"verified: {image.name} {image.version} {image.architecture}, profile {image.profile}\n"
        f"  signed by    {', '.join(verified.key_ids)}\n"
        f"  files        {len(verified.files)}, every digest as signed\n"
        f"  root hash    {verified.reference.uki.root_hash}\n"
        f"  PCR values   as predicted from the image, for Secure Boot {modes}\n"
        f"  policy       {_policy(verified.verdict)}" + (f"\n  rebuilt by   {', '.join(rebuilt)}" if rebuilt else "")
    )


def _policy(verdict: VerificationSummary) -> str:
    details = verdict.details
    packs = ", ".join(pack.name for pack in details.packs if not pack.included)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in details.outcomes.items())
    return f"{packs}: {sum(details.outcomes.values())} controls, {outcomes}, the same again on this image"
