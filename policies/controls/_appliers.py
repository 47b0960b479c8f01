"""Programs that apply folders of configuration, and what makes them apply something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.controls._products import words
from policies.controls._writable import is_runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policies.facts import Area

# The folder that each reads, and the options that do not change what it reads (their manual pages). getopt_long(3)
# takes abbreviations and values behind a blank, too: what is not spelled as here counts as unknown.
_FOLDERS: Final = {
    "systemd-tmpfiles": "tmpfiles.d", "systemd-sysctl": "sysctl.d", "systemd-sysusers": "sysusers.d",
    "systemd-modules-load": "modules-load.d", "systemd-binfmt": "binfmt.d", "sysctl": "sysctl.d",
}  # fmt: skip
_OPTIONS: Final = {
    "systemd-tmpfiles": words("--create --clean --remove --boot --graceful --prefix= --exclude-prefix= -E --no-pager"),
    "systemd-sysctl": words("--prefix= --strict --no-pager"),
    "systemd-sysusers": words("--dry-run --no-pager"),
    "systemd-modules-load": words(""),
    "systemd-binfmt": words("--unregister --no-pager"),
    "sysctl": words(""),  # its --system reads /etc/sysctl.conf, too
}
_ROOTS: Final = ("/etc", "/usr/local/lib", "/usr/lib")
# udev(7), "String substitutions": in what udev runs, one may become several words, but names and numbers that the
# kernel gives have no blanks in them.
_SUBSTITUTION: Final = re.compile(r"[$%]")
_KERNEL_NAMES: Final = re.compile(r"\$\$|%%|\$(?:kernel|number|name|major|minor)\b|%[knMm]")


def foreign_input(area: Area, command: Sequence[str], *, is_udev: bool = False) -> str | None:
    """What an applier in a command is told to apply besides the files of the system; None if there is no such thing.

    A program is what its links lead to. Words behind a program that runs others count as commands, also several in one.
    """
    if not is_runner(area, "".join(command[:1])):
        return _foreign(area, command, is_udev=is_udev)
    parts = [part.strip("'\"") for word in command for part in word.split()]
    found = (_foreign(area, parts[position:], is_udev=is_udev) for position in range(len(parts)))
    return next((word for word in found if word is not None), None)


def _foreign(area: Area, command: Sequence[str], *, is_udev: bool) -> str | None:
    program = "".join(command[:1])
    names = [path.rpartition("/")[2].removesuffix(".standalone") for path in (program, area.real(program) or "")]
    for name in names:
        if name in _FOLDERS:
            for word in command[1:]:
                is_filled = is_udev and _SUBSTITUTION.search(_KERNEL_NAMES.sub("", word)) is not None
                if is_filled or not (_is_harmless(name, word) or _is_of_system(area, name, word)):
                    return word
    return None


def _is_harmless(name: str, word: str) -> bool:
    option, equals, _ = word.partition("=")
    return option + equals in _OPTIONS[name]


def _is_of_system(area: Area, name: str, word: str) -> bool:
    """Whether a word is the name of a file in the folder that the applier reads, and that it reads without the word."""
    places = (f"{root}/{_FOLDERS[name]}/{word}" for root in _ROOTS)
    return "/" not in word and word.endswith(".conf") and any(area.find(place) is not None for place in places)
