"""What several verbs share: their form of help, and arguments."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import click

IMAGES: Final = Path("images")


class Verb(click.Command):
    """A verb's command, whose help ends with examples that can be typed as they stand."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, each on a line of its own."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class VerbWithActions(Verb, click.Group):
    """A verb that has subcommands, listed in the order in which they are written; none at all is an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, no_args_is_help=False, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's interface
        """The subcommands."""
        return list(self.commands)


def _find_image(_context: click.Context, _parameter: click.Parameter, value: str) -> Path:
    path = Path(value)
    if path.exists():
        return path
    if re.fullmatch(r"[a-z0-9-]+", value) and (IMAGES / value).is_dir():
        return IMAGES / value
    raise click.BadParameter(f"there is no {value}, nor {IMAGES / value}")


# The path of a definition, or the name of a directory below images/.
image_argument = click.argument("image", callback=_find_image)

mirror_option = click.option(
    "--mirror",
    metavar="URL",
    help="Debian archive to use.  [default: $BEDPLATE_MIRROR, the definition's, this host's, mkosi's]",
)


def key_passphrase() -> bytes | None:
    """What opens encrypted private keys: from the environment, so that it is in no list of processes."""
    from builder.release.keyring import PASSPHRASE_VARIABLE  # noqa: PLC0415 -- for a fast --help

    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    return None if passphrase is None else passphrase.encode()


def shown_path(path: Path) -> str:
    """A path as a person would type it here: relative to the working directory where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
