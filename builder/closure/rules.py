"""The rules of an image: what the closure starts from, as text that a person reads and reviews.

::

    [units]      # units that are started by somebody who is no unit: the manager, the kernel, a person
    [keep]       # files that programs open by names which nothing here reads; * stays in a directory, ** does not
    [modules]    # kernel modules, by name; what they depend on comes along
    [missing]    # programs, units and kernel modules that are asked for and need not be there

A "-" before an entry says that it may be missing. "#" begins a comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from builder.errors import InvalidInputError

_SECTIONS: Final = ("units", "keep", "modules", "missing")


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry, whether it may be missing, and the line it stands in."""

    text: str
    optional: bool
    place: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The entries of a rules file, by section and in order."""

    units: tuple[Rule, ...]
    keep: tuple[Rule, ...]
    modules: tuple[Rule, ...]
    missing: tuple[Rule, ...]


def parse_rules(text: str, name: str) -> Rules:
    """The rules in a file's text. Raises InvalidInputError for an unknown section, and for rules that start nothing."""
    found: dict[str, list[Rule]] = {section: [] for section in _SECTIONS}
    section = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.partition("#")[0].strip()
        place = f"{name}:{number}"
        if line.startswith("["):
            section = line.strip("[]")
            if section not in found:
                raise InvalidInputError(f"{place}: {line} is no section", hint=f"sections: {', '.join(_SECTIONS)}")
        elif line and section is None:
            raise InvalidInputError(f"{place}: {line!r} stands before the first section")
        elif line and section is not None:
            entry = line.removeprefix("-").strip()
            if section == "keep" and not entry.startswith("/"):
                raise InvalidInputError(f"{place}: {entry!r} is no absolute path")
            found[section].append(Rule(entry, line.startswith("-"), place))
    if not found["units"] and not found["keep"]:
        raise InvalidInputError(f"{name} names nothing to start from, so nothing would be kept")
    return Rules(**{section: tuple(rules) for section, rules in found.items()})


def path_pattern(glob: str) -> re.Pattern[str]:
    """A pattern of paths as an expression for ``fullmatch``: * and ? stay in a directory, ** does not."""
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile(
        "".join(words.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*|\?)", glob)), re.DOTALL
    )
