"""``bedplate doctor``: what is needed on this machine, and what of it is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.options import DIRECTORY, EXISTING_DIRECTORY
from builder.cli.output import Format, format_option, print_json, print_table
from builder.errors import ToolMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.requirements import Requirement


@click.command(
    cls=Verb,
    short_help="Show what bedplate needs on this machine, and what is missing.",
    examples=("bedplate doctor", "bedplate doctor --format json | jq '.requirements[] | select(.problem)'"),
)
@click.option(
    "--cache",
    type=DIRECTORY,
    help="Directory in which toolchain trees are kept.  [default: $BEDPLATE_CACHE or $XDG_CACHE_HOME/bedplate]",
)
@click.option(
    "--toolchain",
    "tree",
    type=EXISTING_DIRECTORY,
    envvar="BEDPLATE_TOOLCHAIN_TREE",
    show_envvar=True,
    help="Toolchain tree to look at.  [default: the one in the cache, if there is one]",
)
@format_option
def command(cache: Path | None, tree: Path | None, output_format: Format) -> None:
    """Show every tool that bedplate needs: where it is, its version, what for, and how to install it.

    Exits with 4 if something that is needed is missing or too old.
    """
    from builder.mkosi.bootstrap import find_toolchain  # noqa: PLC0415 -- for a fast --help
    from builder.mkosi.cache import Cache, find_cache  # noqa: PLC0415
    from builder.mkosi.requirements import host_requirements, tree_requirements  # noqa: PLC0415
    from builder.mkosi.toolchain import Toolchain  # noqa: PLC0415

    place = find_cache(os.environ) if cache is None else Cache(cache.absolute())
    toolchain = find_toolchain(place) if tree is None else Toolchain(tree.resolve())
    found = host_requirements(place.directory)
    if toolchain is not None:
        found += tree_requirements(toolchain)
    unmet = [requirement for requirement in found if not requirement.is_met]
    if output_format is Format.JSON:
        print_json({"ok": not unmet, "requirements": found})
    else:
        print_table(("", "NAME", "VERSION", "NEEDED TO", "FOUND"), [_row(requirement) for requirement in found])
    if unmet:
        problems = "\n".join(f"{item.name} {item.problem}; {item.remedy}" for item in unmet)
        raise ToolMissingError(f"{len(unmet)} of {len(found)} requirements are not met:\n{problems}")


def _row(requirement: Requirement) -> tuple[str, str, str, str, str]:
    return (
        "ok" if requirement.is_met else "no",
        requirement.name,
        requirement.version or "",
        requirement.needed_for,
        requirement.found or "" if requirement.is_met else str(requirement.problem),
    )
