"""Options that several verbs have, the kinds of paths that options name, and options that belong together."""

from __future__ import annotations

import functools
import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from builder.cli.numbers import COUNT
from builder.measurement.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from builder.cli.output import Callback
    from signing.keys import PublicKey

EXISTING: Final = click.Path(exists=True, path_type=Path)
EXISTING_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_DIRECTORY: Final = click.Path(exists=True, file_okay=False, path_type=Path)


def require_target(path: Path) -> Path:
    """``path`` if a file can be written there. Raises BadParameter, before the verb's work, if not."""
    from builder.errors import InvalidInputError  # noqa: PLC0415 -- for a fast --help
    from builder.files import check_target  # noqa: PLC0415

    try:
        check_target(path)
    except InvalidInputError as error:
        raise click.BadParameter(str(error)) from error
    return path


class _FileToWrite(click.Path):
    """A file that the verb will write."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises BadParameter for what cannot be written."""
        return require_target(Path(os.fsdecode(super().convert(value, param, ctx))))


FILE: Final = _FileToWrite(dir_okay=False, path_type=Path)


class _NamedDirectory(click.Path):
    """A directory with a name: an empty text, as of a variable that is not set, would be the current one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises BadParameter for an empty text."""
        if value == "":
            self.fail("expected a directory, found an empty text", param, ctx)
        return super().convert(value, param, ctx)


DIRECTORY: Final = _NamedDirectory(file_okay=False, path_type=Path)

PHASE: Final = click.Choice([phase.label for phase in Phase])

threshold_option = click.option(
    "--threshold",
    type=COUNT,
    default=1,
    show_default=True,
    help="How many of the trusted keys must have signed each statement.",
)

keys_option = click.option(
    "--keys",
    "directory",
    required=True,
    type=DIRECTORY,
    help="Directory that `bedplate keys new` made. $BEDPLATE_KEY_PASSPHRASE opens encrypted keys.",
)


def trust_option(purpose: str, *, required: bool = False, default: str = "") -> Callable[[Callback], Callback]:
    """The option ``--trust``: public keys as ``trusted``, a tuple of paths; ``purpose`` says what they are for."""
    ending = f"  [default: {default}]" if default else ""
    return click.option(
        "--trust",
        "trusted",
        required=required,
        multiple=True,
        type=EXISTING_FILE,
        help=f"Public key (PEM) {purpose}; may be given several times.{ending}",
    )


def trusted_keys(paths: Iterable[Path]) -> list[PublicKey]:
    """The public keys in files. Raises InvalidInputError that names the file."""
    from builder.release.keyring import load_trusted  # noqa: PLC0415 -- for a fast --help

    return [load_trusted(path) for path in paths]


def together(
    kind: type[Any], name: str, *options: Callable[[Callable[..., None]], Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add ``options``; their values come as one of the dataclass ``kind``, as the argument ``name`` of the command."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> None:
            command(**{name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})}, **given)

        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate
