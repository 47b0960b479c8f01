"""What options make of a mount (mount(8), systemd.mount(5))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.controls._products import words

if TYPE_CHECKING:
    from policies.facts import Mount

_UNDO: Final = {"suid": "nosuid", "dev": "nodev", "exec": "noexec", "rw": "ro"}
# In quotes a comma ends no option (util-linux include/strutils.h, ``ul_optstr_next``), and a specifier may be several.
_QUOTED: Final = re.compile(r"[\"'\\]")
# In memory, or a view of the kernel: gone with the machine.
_MEMORY: Final = words(
    "tmpfs ramfs devtmpfs devpts proc sysfs cgroup cgroup2 mqueue hugetlbfs debugfs tracefs configfs securityfs "
    "fusectl bpf pstore efivarfs binfmt_misc autofs"
)
# With these mount(2) does not look at the type.
_TYPELESS: Final = words("bind rbind move remount")


def held_options(mount: Mount) -> frozenset[str]:
    """The options that hold: the last of two that contradict each other; none where one is not known.

    One with a value (exec=recursive, ro=vfs) undoes what the same without does, and is not taken for it: what it is
    about depends on the value (mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS").
    """
    held: set[str] = set()
    for option in mount.options:
        if _QUOTED.search(option) or (mount.unit and "%" in option.replace("%%", "")):
            return frozenset()
        name = option.partition("=")[0]
        if name in _UNDO:
            held.discard(_UNDO[name])
        held.add(option)
    return frozenset(held)


def is_bound(mount: Mount) -> bool:
    """Whether it shows what is there already, of whatever type it says that it is."""
    return any(option.partition("=")[0].strip(' "') in _TYPELESS for option in mount.options)


def is_in_memory(mount: Mount) -> bool:
    """Whether what is mounted is gone with the machine, and comes from nowhere else."""
    return mount.type in _MEMORY and not is_bound(mount)
