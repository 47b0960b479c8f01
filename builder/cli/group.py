"""The ``bedplate`` command and its verbs; a verb's module is imported when the verb is used."""

from __future__ import annotations

import difflib
import importlib
import os
from typing import TYPE_CHECKING, Final

import click

from builder import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

# Verb and summary, in the order in which an image goes through them. ``builder.cli.<verb>`` holds the verb's click
# command under the name ``command``.
VERBS: Final[dict[str, str]] = {
    "render": "Write the mkosi tree that a definition stands for.",
    "lock": "Choose the packages of an image, by digest.",
    "vault": "Keep, move and check what builds are made from.",
    "weights": "Pack the weights of a model for nodes, and check them.",
    "build": "Build the unsigned disk image of a definition.",
    "keys": "Make, show and rotate the keys that sign releases and their images.",
    "sign": "Sign an unsigned build, which makes it a release.",
    "measure": "Predict the PCR values of a UKI or a release.",
    "check": "Check that an image leaves no way in.",
    "verify": "Verify a release against the keys that you trust.",
    "diff": "Show what changed between two baselines, and which PCRs that moved.",
    "log": "Show releases, and what moved their PCRs.",
    "rebuild": "Build a release again, and compare bit by bit.",
    "boot": "Boot a release and compare the real PCRs with its reference values.",
    "export": "Write a release's reference values in the formats of other verifiers.",
    "appraise": "Appraise a node's evidence against the releases that it may run.",
    "connect": "Ask a running node for evidence, and appraise it.",
    "revoke": "Sign a list of releases that must not run any more.",
    "eventlog": "Read, replay and compare the event logs of machines.",
    "doctor": "Show what bedplate needs on this machine, and what is missing.",
}


class VerbGroup(click.Group):
    """A group that knows its verbs by name and imports them on use, which keeps ``--help`` fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's interface
        """The verbs, in their own order."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The click command of a verb, or None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"builder.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"builder.cli.{cmd_name}.command is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that was asked for. Raises UsageError that names the nearest one."""
        name = args[0]
        if name not in VERBS and not name.startswith("-"):
            near = difflib.get_close_matches(name, VERBS, n=1)
            remark = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no verb {name!r}{remark}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The verbs with their summaries, without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=VerbGroup,
    no_args_is_help=False,
    name="bedplate",
    subcommand_metavar="VERB [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 yes, 1 no, 2 invalid input, 3 a tool failed, 4 a tool is missing, 70 a bug in bedplate.",
)
@click.version_option(__version__, "--version", message="bedplate %(version)s")
def bedplate() -> None:
    """Build measured-boot OS images for inference nodes, and prove what is in them.

    Data goes to standard output; progress, hints and errors go to standard error.
    """


def run(arguments: Sequence[str]) -> int | None:
    """Run a command line (without the program's name); what a verb raises comes through.

    The value is the exit code of a verb that ended by ``ctx.exit``, else None.
    """
    if "_BEDPLATE_COMPLETE" in os.environ:  # a shell asks for completions, which click prints
        bedplate.main(args=list(arguments), prog_name="bedplate")
    # Not main(): it exits with 1 when a pipe breaks, which is our word for "the answer is no".
    try:
        with bedplate.make_context("bedplate", list(arguments)) as context:
            bedplate.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return None
