"""Trees of lines: drawn on a terminal, indented where a program reads them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from builder.cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.tree import Tree


@dataclass(frozen=True, slots=True)
class Branch:
    """A line and what belongs to it. ``style`` is one of rich's."""

    text: str
    branches: tuple[Branch, ...] = ()
    style: str = ""


def print_tree(root: Branch) -> None:
    """The tree on standard output."""
    if not sys.stdout.isatty():
        click.echo("\n".join(_indented(root, 0)))
        return
    from rich.console import Console  # noqa: PLC0415 -- rich takes a while to load

    Console().print(_drawn(root))


def _indented(branch: Branch, depth: int) -> Iterator[str]:
    for line in printable(branch.text).splitlines() or [""]:
        yield f"{'  ' * depth}{line}"
    for inner in branch.branches:
        yield from _indented(inner, depth + 1)


def _drawn(branch: Branch) -> Tree:
    from rich.text import Text  # noqa: PLC0415
    from rich.tree import Tree  # noqa: PLC0415

    tree = Tree(Text(printable(branch.text), style=branch.style))
    for inner in branch.branches:
        tree.children.append(_drawn(inner))
    return tree
