"""PAM stacks (pam.d(5), pam.conf(5))."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import joined_lines, ordered
from builder.facts.text import statements
from policies.facts import Origin, PamRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

# libpam's search path; /usr/lib/pam.d and /usr/share/pam.d are Debian's and Fedora's vendor directories.
_DIRECTORIES: Final = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d")
_MAX_STACKS: Final = 1024
# pam.conf(5): an argument with spaces stands in brackets.
_ARGUMENT: Final = re.compile(r"\[((?:[^\]\\]|\\.)*)\]|(\S+)")
_RULE: Final = re.compile(r"(-?\w+)\s+(\[[^]]*\]|\S+)\s+(\S+)\s*(.*)")


def pam(tree: FileTree) -> tuple[PamRule, ...]:
    """The rules of all stacks by service, in order; libpam does not look at case."""
    return tuple(_rules(tree))


def _rules(tree: FileTree) -> Iterator[PamRule]:
    pending = list(ordered(tree, _DIRECTORIES, ""))
    read = set(pending)
    while pending:
        path = pending.pop(0)
        for origin, text in statements(tree, path, joined_lines):
            for rule in _rule(path.rpartition("/")[2], text, origin):
                yield rule
                included = _included(rule)
                if included is not None and included not in read and len(read) < _MAX_STACKS:
                    read.add(included)
                    pending.append(included)
    for origin, text in statements(tree, "/etc/pam.conf", joined_lines):
        service, _, rest = text.partition(" ")
        yield from _rule(service, rest.strip(), origin)


def _included(rule: PamRule) -> str | None:
    """The file that a rule reads, if it lies elsewhere than other stacks do."""
    if rule.type != "@include" and rule.control not in {"include", "substack"}:
        return None
    path = normpath(f"{_DIRECTORIES[0]}/{rule.module}" if not rule.module.startswith("/") else rule.module)
    return None if path.rpartition("/")[0] in _DIRECTORIES else path


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
            type=kind.lower(),
            control=control.lower(),
            module=module,
            arguments=tuple(quoted or word for quoted, word in _ARGUMENT.findall(arguments)),
            origin=origin,
        )
