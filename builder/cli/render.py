"""``bedplate render``: the mkosi tree of a definition."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builder.cli.arguments import Verb, image_argument, mirror_option
from builder.cli.options import DIRECTORY
from builder.cli.output import Format, format_option, print_json, print_text, to_stdout
from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from builder.definition.render import RenderedTree


def _print_schema(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 -- click's
    if value:
        from builder.definition.schema import schema_text  # noqa: PLC0415 -- for a fast --help

        to_stdout(schema_text(), nl=False)
        context.exit()


@click.command(
    cls=Verb,
    short_help="Write the mkosi tree that a definition stands for.",
    examples=(
        "bedplate render inference-node",
        "bedplate render images/inference-node -o tree && mkosi -C tree summary",
        "bedplate render --schema > images/image.schema.json",
    ),
)
@image_argument
@click.option(
    "-o",
    "--output",
    type=DIRECTORY,
    help="Directory to make.  [default: dist/NAME/VERSION.mkosi]",
)
@click.option("--force", is_flag=True, help="Replace a tree that an earlier render wrote there.")
@mirror_option
@format_option
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of image.yaml and do nothing else.",
)
def command(image: Path, output: Path | None, mirror: str | None, output_format: Format, *, force: bool) -> None:
    """Write the mkosi tree that the definition IMAGE stands for.

    IMAGE is a directory with an image.yaml, such a file, or the name of a directory below images/. What is written is
    what `bedplate build` builds; stock mkosi builds it by itself.
    """
    from builder.definition.load import load  # noqa: PLC0415 -- for a fast --help
    from builder.definition.mirror import find_mirror  # noqa: PLC0415
    from builder.definition.render import render  # noqa: PLC0415
    from builder.files import new_directory  # noqa: PLC0415

    loaded = load(image)
    definition = loaded.definition
    source = find_mirror(mirror, os.environ, definition.distribution.mirror)
    tree = render(loaded, source)
    target = output or Path("dist", definition.name, f"{definition.version}.mkosi")
    if force:
        _require_tree(target)
    with new_directory(target, replace=force) as directory:
        tree.write(directory)
    if output_format is Format.TEXT:
        print_text(str(target))
        return
    print_json(
        {
            "tree": str(target),
            "definition": str(loaded.path),
            "definition_digest": {"sha256": loaded.digest},
            "mirror": None if source is None else {"url": source.url, "origin": source.origin},
            "entries": _entries(tree),
        }
    )


def _require_tree(target: Path) -> None:
    """Only a rendered tree may be replaced: ``--force -o ~`` must not empty a home."""
    if target.exists() and not (target / "mkosi.conf").is_file():
        raise InvalidInputError(f"{target} is no rendered tree: it has no mkosi.conf", hint="choose another directory")


def _entries(tree: RenderedTree) -> dict[str, Any]:
    from builder.definition.render import RenderedLink  # noqa: PLC0415 -- for a fast --help

    return {
        str(path): {"link": entry.target}
        if isinstance(entry, RenderedLink)
        else {"sha256": hashlib.sha256(entry.content).hexdigest(), "executable": entry.executable}
        for path, entry in tree.entries.items()
    }
