"""``bedplate export``: a release's reference values in the formats of other verifiers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from builder.cli.arguments import Verb, VerbWithActions
from builder.cli.options import (
    EXISTING_DIRECTORY,
    EXISTING_FILE,
    FILE,
    threshold_option,
    trust_option,
    trusted_keys,
)
from builder.cli.output import print_text, to_stderr, to_stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.cli.output import Callback
    from builder.export.subject import Subject


class _Formats(VerbWithActions):
    """The formats as subcommands; those that need nothing but releases come from the table of ``builder.export``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All formats."""
        from builder.export.formats import FORMATS  # noqa: PLC0415 -- for a fast --help of the other verbs

        return [*FORMATS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a format, or None if there is no such format."""
        from builder.export.formats import FORMATS  # noqa: PLC0415 -- for a fast --help of the other verbs

        return _simple(cmd_name) if cmd_name in FORMATS else super().get_command(ctx, cmd_name)


@click.group(
    cls=_Formats,
    short_help="Write a release's reference values in the formats of other verifiers.",
    examples=(
        "bedplate export nitrotpm dist/inference-node/1.0.0 --trust keys/production/release.pub",
        "bedplate export kms-policy OLD NEW --trust release.pub --principal ARN",
        "bedplate export kms-lint policy.json",
    ),
)
def command() -> None:
    """Write reference values in a format of another verifier to standard output, or judge one.

    The release is verified first. Of its two sets of values, those for Secure Boot with the release's own keys are
    written unless --no-secure-boot asks for the others.
    """


def _release_options(*, several: bool) -> Callable[[Callback], Callback]:
    """The argument and the options that all formats of releases share."""
    options = (
        click.argument("releases", metavar="RELEASE..." if several else "RELEASE", nargs=-1 if several else 1,
                       required=True, type=EXISTING_DIRECTORY),
        trust_option("that must have signed the releases"),
        threshold_option,
        click.option("--unverified", is_flag=True, help="Do not verify: export what the release's files say."),
        click.option("--secure-boot/--no-secure-boot", default=True, show_default=True,
                     help="Which of the release's values: with its own keys enrolled, or without any."),
        click.option("--allow-development", is_flag=True, help="Export a development image, which may have a way in."),
        click.option("-o", "--output", type=FILE,
                     help="File to write.  [default: standard output]"),
    )  # fmt: skip

    def decorate(function: Callback) -> Callback:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _simple(name: str) -> click.Command:
    """The command of a format that needs nothing but releases."""
    from builder.export.formats import FORMATS  # noqa: PLC0415 -- for a fast --help of the other verbs

    chosen = FORMATS[name]

    @click.command(
        name, cls=Verb, short_help=chosen.summary, help=chosen.summary,
        examples=(f"bedplate export {name} dist/inference-node/1.0.0 --trust keys/production/release.pub",),
    )  # fmt: skip
    @_release_options(several=chosen.several)
    def run(output: Path | None, **options: Any) -> None:
        _write(chosen.render(_subjects(**options)), output)

    return run


@command.command(
    "kms-policy",
    cls=Verb,
    short_help="AWS KMS key policy for machines with a NitroTPM.",
    examples=(
        "bedplate export kms-policy OLD NEW --trust release.pub --principal arn:aws:iam::111122223333:role/node",
    ),
)
@_release_options(several=True)
@click.option(
    "--principal", "principals", required=True, multiple=True, help="ARN of a role or user; may be given several times."
)
def _kms_policy(output: Path | None, principals: tuple[str, ...], **options: Any) -> None:
    """Statements that let the principals use a key from machines that boot one of the releases.

    Give the old and the new release for a rollout, and the new one alone when it is done. A key needs statements for
    its administrators too, which are yours to add; `bedplate export kms-lint` judges the whole.
    """
    from builder.export import kms  # noqa: PLC0415 -- for a fast --help

    _write(kms.export(_subjects(**options), principals), output)


@command.command(
    "kms-lint",
    cls=Verb,
    short_help="Judge an AWS KMS key policy instead of making one.",
    examples=("aws kms get-key-policy --key-id ID --output text | bedplate export kms-lint -",),
)
@click.argument("policy", type=click.File("rb"))
def _kms_lint(policy: BinaryIO) -> None:
    """Judge the key policy POLICY (JSON, - for standard input): all findings, and exit code 1 if there is one."""
    from builder.export import kms_lint  # noqa: PLC0415 -- for a fast --help

    kms_lint.check_policy(policy.read(kms_lint.MAX_POLICY_BYTES + 1))
    print_text("every use of the key is bound to a measured boot")


@command.command(
    "corim",
    cls=Verb,
    short_help="Signed CoRIM (draft-ietf-rats-corim-11).",
    examples=("bedplate export corim dist/inference-node/1.0.0 --trust release.pub --key corim.key -o node.corim",),
)
@_release_options(several=True)
@click.option("--key", required=True, type=EXISTING_FILE,
              help="Private key (PEM, ECDSA P-256 or P-384) that signs the CoRIM.")  # fmt: skip
@click.option("--signer", "signer_name", help="Name of the signer, for people.  [default: the id of the key]")
def _corim(output: Path | None, key: Path, signer_name: str | None, **options: Any) -> None:
    """A CoRIM in COSE_Sign1, with a CoMID tag per release: integrity registers, and digests per PCR."""
    from builder.export import corim  # noqa: PLC0415 -- for a fast --help
    from builder.files import read_bytes  # noqa: PLC0415
    from signing.keys import MAX_PEM_BYTES, load_private  # noqa: PLC0415

    private = load_private(read_bytes(key, what="private key", limit=MAX_PEM_BYTES))
    _write(corim.signed(_subjects(**options), private, signer_name), output)


def _subjects(
    releases: Path | tuple[Path, ...],
    trusted: tuple[Path, ...],
    threshold: int,
    *,
    unverified: bool,
    secure_boot: bool,
    allow_development: bool,
) -> Sequence[Subject]:
    from builder.export.subject import subject_of  # noqa: PLC0415 -- for a fast --help
    from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
    from builder.release.prove import load_reference  # noqa: PLC0415
    from builder.release.reference import load_variables  # noqa: PLC0415
    from builder.release.verify import verify_release  # noqa: PLC0415

    if unverified == bool(trusted):
        raise click.UsageError("give either --trust or --unverified")
    keys = trusted_keys(trusted)
    mode = SecureBootMode.ENABLED if secure_boot else SecureBootMode.DISABLED
    found = []
    for release in (releases,) if isinstance(releases, Path) else releases:
        if unverified:
            to_stderr(f"warning: UNVERIFIED: whoever could write to {release} chose these values\n")
            reference = load_reference(release)
        else:
            reference = verify_release(
                release, keys, threshold=threshold, allow_development=allow_development
            ).reference
        subject = subject_of(reference, mode, load_variables(release), allow_development=allow_development)
        for pcr in subject.left_out:
            to_stderr(f"note: {release}: PCR {pcr.pcr} is left out, it cannot be predicted: {pcr.reason}\n")
        found.append(subject)
    return found


def _write(content: str | bytes, output: Path | None) -> None:
    from builder.files import write_atomically  # noqa: PLC0415 -- for a fast --help

    data = content if isinstance(content, bytes) else f"{content}\n".encode()
    if output is not None:
        write_atomically(output, data)
    elif isinstance(content, bytes) and sys.stdout.isatty():
        raise click.UsageError("this format is binary: name a file with --output")
    else:
        to_stdout(data, nl=False)
