"""PAM stacks (pam.d(5), pam.conf(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import ordered
from builder.facts.text import statements
from policies.facts import Origin, PamRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

# libpam's search path; /usr/lib/pam.d and /usr/share/pam.d are Debian's and Fedora's vendor directories.
_DIRECTORIES: Final = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d")
_RULE: Final = re.compile(r"(-?\w+)\s+(\[[^]]*\]|\S+)\s+(\S+)\s*(.*)")


def pam(tree: FileTree) -> tuple[PamRule, ...]:
    """The rules of all stacks by service, in order."""
    return tuple(_rules(tree))


def _rules(tree: FileTree) -> Iterator[PamRule]:
    for path in ordered(tree, _DIRECTORIES, ""):
        for origin, text in statements(tree, path):
            yield from _rule(path.rpartition("/")[2], text, origin)
    for origin, text in statements(tree, "/etc/pam.conf"):
        service, _, rest = text.partition(" ")
        yield from _rule(service, rest.strip(), origin)


def _rule(service: str, text: str, origin: Origin) -> Iterator[PamRule]:
    if text.startswith("@include"):
        yield PamRule(
            service=service,
            type="@include",
            control="",
            module=text.removeprefix("@include").strip(),
            arguments=(),
            origin=origin,
        )
        return
    match = _RULE.fullmatch(text)
    if match is not None:
        kind, control, module, arguments = match.groups()
        yield PamRule(
            service=service,
            type=kind,
            control=control,
            module=module,
            arguments=tuple(arguments.split()),
            origin=origin,
        )
