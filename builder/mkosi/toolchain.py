"""The toolchain tree: a Debian tree with every program bedplate runs, so that all hosts build with the same tools.

Programs of the tree run in mkosi's own sandbox (``mkosi/sandbox.py``: user, mount and IPC namespaces; it replaces
itself by the program, so signals and exit status are the program's). They see the tree as /usr, the directories they
are given, and nothing else of the host.
"""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from builder.files import read_bytes
from builder.image import dpkg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MAX_STATUS_BYTES: Final = 64 << 20


class Origin(enum.StrEnum):
    """Where the tree of a build is from: it was made for this build, or an earlier one left it in the cache."""

    MADE = "made"
    CACHED = "cached"

    @property
    def words(self) -> str:
        """The same as a sentence goes on."""
        return "made anew" if self is Origin.MADE else "taken from the cache"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A finished toolchain tree on disk; ``tree`` is an absolute path."""

    tree: Path
    origin: Origin = field(default=Origin.CACHED, compare=False)

    @property
    def python_path(self) -> Path:
        """Where the tree's mkosi can be imported from; it runs on the host's Python (3.9 or newer)."""
        return self.tree / "usr/lib/python3/dist-packages"

    def packages(self) -> tuple[dpkg.Package, ...]:
        """The tree's packages. Raises InvalidInputError if the tree has no package database, or a broken one."""
        status = self.tree / dpkg.DATABASE / "status"
        return dpkg.packages(read_bytes(status, what="package list of the toolchain", limit=_MAX_STATUS_BYTES))

    def command(
        self, argv: Sequence[str], *, writable: Sequence[Path] = (), readable: Sequence[Path] = ()
    ) -> tuple[str, ...]:
        """The command line that runs ``argv`` in the tree, with the given paths at their own places."""
        binds = [option for path in readable for option in ("--ro-bind", str(path), str(path))]
        binds += [option for path in writable for option in ("--bind", str(path), str(path))]
        # fmt: off
        return (
            sys.executable, "-I", str(self.python_path / "mkosi/sandbox.py"),
            "--ro-bind", str(self.tree / "usr"), "/usr",
            "--ro-bind", str(self.tree / "etc"), "/etc",
            "--symlink", "usr/bin", "/bin",
            "--symlink", "usr/sbin", "/sbin",
            "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64",
            "--dev", "/dev",
            "--proc", "/proc",
            "--tmpfs", "/tmp",  # noqa: S108 -- a private tmpfs inside the sandbox
            "--tmpfs", "/var/tmp",  # noqa: S108 -- likewise
            "--tmpfs", "/run",
            "--setenv", "PATH", "/usr/sbin:/usr/bin",
            *binds,
            "--",
            *argv,
        )
        # fmt: on
