"""``bedplate verify``: a release against the keys that should have signed it, and its image against its claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.errors import printable
from builder.cli.options import EXISTING_DIRECTORY, threshold_option, trust_option, trusted_keys
from builder.cli.output import Format, format_option, print_json, print_text
from builder.cli.verify_demands import RebuildOptions, ReviewOptions, rebuild_options, review_options
from builder.errors import NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.release.rebuild_statement import Rebuilder
    from builder.release.summary import VerificationSummary
    from builder.release.verify import VerifiedRelease
    from builder.weights.identity import Model


@click.command(
    cls=Verb,
    short_help="Verify a release against the keys that you trust.",
    examples=("bedplate verify dist/inference-node/1.0.0 --trust keys/production/release.pub",),
)
@click.argument("release", type=EXISTING_DIRECTORY)
@trust_option("that you trust", required=True)
@threshold_option
@click.option(
    "--require-pack",
    "packs",
    multiple=True,
    metavar="NAME|FILE",
    help="Policy pack that the image must have been checked by; may be given several times. A production image must "
    "always have been checked by zero-operator-access.",
)
@rebuild_options
@review_options
@click.option("--allow-development", is_flag=True, help="Accept a development image, which may have a way in.")
@format_option
def command(
    release: Path,
    trusted: tuple[Path, ...],
    threshold: int,
    packs: tuple[str, ...],
    output_format: Format,
    *,
    rebuild_options: RebuildOptions,
    review_options: ReviewOptions,
    allow_development: bool,
) -> None:
    """Verify RELEASE: signatures first, then every digest, then the image against its own claims.

    Hash tree, inventory and PCR values are computed again from the image, and the controls of its policy run again. The
    packages that the provenance names must be those of the release's lock; a build without a lock is told as such. A
    waiver that has expired is a mismatch. A policy may allow more than the packs that it includes, such as a port: what
    that is stands under departures. With --reviewers the releases are compared and judged again, and a review
    counts only if the same comes out. All mismatches are listed; exit code 1 means that there is at least one.
    """
    from builder.release.verify import verify_release  # noqa: PLC0415 -- for a fast --help

    keys = trusted_keys(trusted)
    rebuild, review = rebuild_options.demand(), review_options.demand()
    try:
        verified = verify_release(release, keys, threshold=threshold, allow_development=allow_development, packs=packs)
        rebuilt = () if rebuild is None else rebuild.require(verified)
        reviewed = () if review is None else review.require(release, keys)
    except NotVerifiedError as error:
        if output_format is Format.JSON:
            # A name that is not UTF-8 has no form in JSON, so it is told as on standard error.
            print_json({"verified": False, "problems": [printable(problem) for problem in error.problems]})
        raise
    if output_format is Format.JSON:
        print_json(
            {
                "verified": True,
                "image": verified.reference.image,
                "uki": verified.reference.uki,
                "key_ids": verified.key_ids,
                "files": verified.files,
                "lock": verified.lock,
                "verdict": verified.verdict,
                "departures": verified.departures,
                "model": verified.model,
                "rebuilt_by": rebuilt,
                "reviewed_by": reviewed,
            }
        )
    else:
        print_text(_text(verified, rebuilt, reviewed))


def _text(verified: VerifiedRelease, rebuilt: Sequence[Rebuilder], reviewed: Sequence[str]) -> str:
    image = verified.reference.image
    modes = " and ".join(verified.reference.reference_values)
    rows = [
        ("signed by", ", ".join(verified.key_ids)),
        ("files", f"{len(verified.files)}, every digest as signed"),
        ("packages", _packages(verified.lock)),
        ("root hash", verified.reference.uki.root_hash),
        ("PCR values", f"as predicted from the image, for Secure Boot {modes}"),
        ("policy", _policy(verified.verdict)),
        *(("departures", departure) for departure in verified.departures),
    ]
    if verified.model:
        rows.append(("model", _model(verified.model)))
    rows += [("rebuilt by", f"{item.key_id}, with tools {item.toolchain.words}") for item in rebuilt]
    if reviewed:
        rows.append(("reviewed by", ", ".join(reviewed)))
    heading = f"verified: {image.name} {image.version} {image.architecture}, profile {image.profile}"
    return "\n".join((heading, *(f"  {label:<11}  {value}" for label, value in rows)))


def _packages(lock: str | None) -> str:
    if lock is None:
        return "built without a lock (--unlocked): which they may be nobody can tell"
    return f"those of image.lock, sha256:{lock}"


def _model(model: Model) -> str:
    return f"{model.name} ({model.licence}), of weights with the root hash {model.root_hash}"


def _policy(verdict: VerificationSummary) -> str:
    details = verdict.details
    packs = ", ".join(pack.name for pack in details.packs if not pack.included)
    # A pack of one's own may be called anything; what it stands on tells what was asked.
    if built_in := [pack.name for pack in details.packs if pack.included and pack.builtin]:
        packs += f" (with {', '.join(built_in)})"
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in details.outcomes.items())
    return f"{packs}: {sum(details.outcomes.values())} controls, {outcomes}, the same again on this image"
