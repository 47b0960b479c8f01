"""What one part of an image needs of another: the edges that the closure follows.

``because`` says who asks, for messages and for the report. An optional edge leads to what may be missing, as its user
can do without; a required one that leads nowhere is a broken image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Where the manager looks for a program that is named without a path (systemd.exec(5), ExecSearchPath=).
SEARCH: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")


@dataclass(frozen=True, slots=True)
class File:
    """The file, directory or link at an absolute path, and what it leads to."""

    path: str
    because: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its absolute path, or by a name that is looked up in the directories of ``search``."""

    name: str
    because: str
    optional: bool = False
    search: tuple[str, ...] = SEARCH


@dataclass(frozen=True, slots=True)
class Library:
    """Any one of some shared libraries, looked up in ``search`` and then where ld.so looks; ELF's "/" means a path."""

    sonames: tuple[str, ...]
    because: str
    optional: bool = False
    search: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """A systemd unit by its name, aliases and instances too."""

    name: str
    because: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """Kernel modules by a name in which * and ? may stand for other characters, built in or not."""

    pattern: str
    because: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything in a directory, as it is: the root of a unit, which was closed when it was made."""

    path: str
    because: str


Edge = File | Program | Library | Unit | Module
