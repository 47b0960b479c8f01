"""The axes along which a build must not vary: each changes one thing of the world that a build runs in.

A setting is what a command gets: its environment, its umask, what it is run by, and the cache that it works in. An axis
makes another setting of one; which programs or rights it needs is stated, so that a run can say what it left out.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.variation import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """The world of one build. ``prefix`` is put before the command, ``before`` is run in its namespaces first."""

    cache: Path
    python: Path = Path(sys.executable)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    umask: str = "0022"
    prefix: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    namespaces: frozenset[str] = frozenset()

    def command(self, *argv: str) -> tuple[str, ...]:
        """The command line in this world."""
        enter = ("unshare", *(f"--{name}" for name in sorted(self.namespaces))) if self.namespaces else ()
        script = "; ".join((*self.before, f"umask {self.umask}", 'exec "$@"'))
        return (*enter, "sh", "-ec", script, "sh", *self.prefix, *argv)

    def with_environment(self, **values: str) -> Setting:
        return replace(self, environment={**self.environment, **values})


@dataclass(frozen=True)
class Axis:
    """One thing that is changed. ``libfaketime`` is the library of that name, where an axis needs it."""

    name: str
    says: str
    apply: Callable[[Setting, Path | None], Setting]
    programs: tuple[str, ...] = ()
    as_root: bool = False
    needs_libfaketime: bool = False

    def lacks(self, libfaketime: Path | None) -> str | None:
        """Why it cannot be varied here; None if it can."""
        missing = [program for program in self.programs if shutil.which(program) is None]
        if missing:
            return f"{missing[0]} is not installed"
        if self.as_root and os.geteuid() != 0:
            return "only root can"
        return "there is no libfaketime" if self.needs_libfaketime and libfaketime is None else None


def _locale(setting: Setting, _: Path | None) -> Setting:
    names = ("LANG", "LC_ALL", "LC_COLLATE", "LC_NUMERIC", "LC_TIME", "LANGUAGE")
    return setting.with_environment(**dict.fromkeys(names, "tr_TR.UTF-8"))


def _time_zone(setting: Setting, _: Path | None) -> Setting:
    return setting.with_environment(TZ="Pacific/Kiritimati")


def _umask(setting: Setting, _: Path | None) -> Setting:
    return replace(setting, umask="0077")


def _user(setting: Setting, _: Path | None) -> Setting:
    home = setting.cache.parent / "home of mallory"
    home.mkdir(exist_ok=True)
    return setting.with_environment(HOME=str(home), USER="mallory", LOGNAME="mallory", EMAIL="mallory@example.org")


def _one_processor(setting: Setting, _: Path | None) -> Setting:
    return replace(setting, prefix=(*setting.prefix, "taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))))


def _host(setting: Setting, _: Path | None) -> Setting:
    """Not the kernel's own name: libc6 looks at it when it is installed, and refuses one that calls itself 2.6."""
    return replace(
        setting,
        namespaces=setting.namespaces | {"uts"},
        before=(*setting.before, "hostname hostile", "echo elsewhere >/proc/sys/kernel/domainname"),
    )


def _no_network(setting: Setting, _: Path | None) -> Setting:
    return replace(setting, namespaces=setting.namespaces | {"net"})


def _disk(setting: Setting, _: Path | None) -> Setting:
    return replace(
        setting,
        namespaces=setting.namespaces | {"mount"},
        before=(*setting.before, "mount -t tmpfs -o size=1m tmpfs /dev/shm"),
    )


def _clock(setting: Setting, libfaketime: Path | None) -> Setting:
    if libfaketime is None:
        raise ValueError("the axis was asked whether it can be varied")
    for tree in setting.cache.glob("toolchain/*/tree"):
        clock.shift(tree, libfaketime)
    return setting


def _user_namespace(setting: Setting, _: Path | None) -> Setting:
    """Before all other wrappers: what they need, they have inside."""
    return replace(setting, prefix=(sys.executable, str(HERE / "namespace.py"), *setting.prefix))


# What a directory and the order of its files are is varied by ``world.make``, for every run.
AXES = (
    Axis("locale", "Turkish, with its own sorting, numbers and case", _locale),
    Axis("time-zone", "UTC+14, in which it is another day", _time_zone),
    Axis("umask", "077", _umask),
    Axis("user", "another user name and home directory, with spaces", _user),
    Axis("processors", "one", _one_processor, programs=("taskset",)),
    Axis("host", "another host and domain name", _host, ("unshare", "hostname"), as_root=True),
    Axis("network", "no interface at all", _no_network, ("unshare",), as_root=True),
    Axis("disk", "work on the disk's file system instead of in memory: other order of directories", _disk,
         ("unshare", "mount"), as_root=True),
    Axis("clock", "400 days later for all programs of the toolchain that mkosi runs", _clock, needs_libfaketime=True),
    Axis("user-namespace", "root of a user namespace with 65536 ids, and no rights outside", _user_namespace,
         as_root=True),
)  # fmt: skip
