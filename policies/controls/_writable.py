"""Places that are writable on a running node, and programs that run what they are given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.controls._program_names import INTERPRETERS, MULTI_CALL, SHELLS
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.facts import Area

# Places that are writable on a running node whatever the mounts of the image say, or show what others say: /proc has
# the files of every process, /sys what the firmware and the machine's owner hand over (qemu_fw_cfg, DMI).
_WRITABLE: Final = (
    "/run", "/tmp", "/var", "/dev", "/home", "/mnt", "/media", "/boot", "/efi", "/srv", "/root", "/proc",  # noqa: S108 -- a rule
    "/sys",
)  # fmt: skip
# The image itself, even where it is mounted by itself; ZOA-741 judges that.
_PROGRAMS: Final = "/usr"
# systemd.unit(5), "Specifiers": what may begin with a slash; other unknown ones stand for names.
_PATHS: Final = ("/", "%f", "%I", "%J", "%P")
# Programs that run what their arguments name.
_RUNNERS: Final = re.compile(
    r"env|ld-linux.*|ld-musl.*|ld-[0-9.]+\.so|ld\.so|nice|ionice|chrt|taskset|setarch|setpriv|setsid|stdbuf|nohup|timeout|flock|chroot"
    r"|unshare|nsenter|capsh|prlimit|choom|xargs|systemd-cat|systemd-inhibit|systemd-run|systemd-notify|insmod|modprobe|kmod"
)
_PATTERNS: Final = (_RUNNERS, SHELLS, INTERPRETERS, MULTI_CALL)
# ld.so(8): options that are followed by places to load from, behind a blank or, for musl, a "=".
_LOADER_OPTIONS: Final = frozenset({"--library-path", "--preload", "--audit"})
# modprobe(8): options whose value may stand behind them without a blank.
_ATTACHED: Final = re.compile(r"(?:--(?:config|dirname)=|-[Cd])(/.*)")
_SEPARATORS: Final = re.compile(r"[\s:;]+")
_PATTERN: Final = frozenset("*?[")


def given_to_run(area: Area, program: str, arguments: Sequence[str]) -> Iterator[str]:
    """The arguments of a program that it runs, or that the dynamic linker loads; none of a program that runs none.

    A program is what its links lead to. Of an option that takes several places each one is given.
    """
    if not is_runner(area, program):
        return
    option = ""
    for argument in arguments:
        name, _, value = argument.partition("=")
        if option in _LOADER_OPTIONS:
            yield from _SEPARATORS.split(argument)
        elif name in _LOADER_OPTIONS or name == "PATH":
            yield from _SEPARATORS.split(value)
        else:
            attached = _ATTACHED.match(argument)
            yield attached[1] if attached else argument
        option = argument


def is_runner(area: Area, program: str) -> bool:
    """Whether a program, or what its links lead to, runs or loads what its arguments name."""
    names = {path.rpartition("/")[2] for path in (program, area.real(program) or "")}
    return any(pattern.fullmatch(name) for pattern in _PATTERNS for name in names)


def named_by(area: Area, pattern: str) -> Iterator[str]:
    """The paths that a pattern of glob(3) means, and those below writable places that it could mean at run time."""
    parts = pattern.split("/")
    special = [number for number, part in enumerate(parts) if not _PATTERN.isdisjoint(part)]
    yield pattern
    for path in (*(file.path for file in area.reached), *_places(area)) if special else ():
        count = min(path.count("/"), special[-1]) + 1
        if matches("/".join(parts[:count]), path, "/"):
            yield "/".join((path, *parts[count:]))


def is_writable(area: Area, path: str) -> bool:
    """Whether a path, links followed, lies where a running node can write."""
    real = area.real(path)
    if real is None or real == "/dev/null":
        return False
    return any(f"{real}/".startswith(f"{place}/") for place in _places(area))


def may_be_writable(area: Area, path: str) -> bool:
    """Whether a path of a unit is writable, or has a specifier or a variable that only the running node knows."""
    is_unknown = path.startswith(_PATHS) and "%" in path.replace("%%", "")
    return is_unknown or path.startswith("${") or is_writable(area, path.replace("%%", "%"))


def _places(area: Area) -> tuple[str, ...]:
    """The places whose content is not the image's: also what is mounted for reading, whoever vouches for it."""
    mounts = (mount.where for mount in area.configuration.mounts)
    return (*_WRITABLE, *(where for where in mounts if where.startswith("/") and where != _PROGRAMS))
