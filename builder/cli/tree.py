"""Trees of lines: drawn on a terminal, indented where a program reads them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.cli.errors import printable
from builder.cli.output import to_stdout
from policies.presenters.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.tree import Tree


@dataclass(frozen=True, slots=True)
class Branch:
    """A line and what belongs to it. ``style`` is one of rich's."""

    text: str
    branches: tuple[Branch, ...] = ()
    style: str = ""


def line(text: str, branches: tuple[Branch, ...] = (), style: str = "") -> Branch:
    """A branch whose text holds names of others: line feeds in them are spelled out, so that none makes a line."""
    return Branch(one_line(text), branches, style)


def print_tree(root: Branch) -> None:
    """The tree on standard output."""
    if not sys.stdout.isatty():
        to_stdout(plain_tree(root), nl=False)
        return
    from rich.console import Console  # noqa: PLC0415 -- rich takes a while to load

    Console().print(_drawn(root))


def plain_tree(root: Branch) -> str:
    """The tree as indented lines, for a program or a file."""
    return "".join(f"{line}\n" for line in _indented(root, 0))


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
