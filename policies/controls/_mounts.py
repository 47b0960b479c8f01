"""What options make of a mount (mount(8), systemd.mount(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.controls._products import words

if TYPE_CHECKING:
    from policies.facts import Mount

_UNDO: Final = {"suid": "nosuid", "dev": "nodev", "exec": "noexec", "rw": "ro"}
# In memory, or a view of the kernel: gone with the machine.
_MEMORY: Final = words(
    "tmpfs ramfs devtmpfs devpts proc sysfs cgroup cgroup2 mqueue hugetlbfs debugfs tracefs configfs securityfs "
    "fusectl bpf pstore efivarfs binfmt_misc autofs"
)
# With these mount(2) does not look at the type.
_TYPELESS: Final = words("bind rbind move remount")


def held_options(mount: Mount) -> frozenset[str]:
    """The options that hold: the last of two that contradict each other."""
    held: set[str] = set()
    for option in mount.options:
        if option in _UNDO:
            held.discard(_UNDO[option])
        held.add(option)
    return frozenset(held)


def is_bound(mount: Mount) -> bool:
    """Whether it shows what is there already, of whatever type it says that it is."""
    return any(option.partition("=")[0].strip(' "') in _TYPELESS for option in mount.options)


def is_in_memory(mount: Mount) -> bool:
    """Whether what is mounted is gone with the machine, and comes from nowhere else."""
    return mount.type in _MEMORY and not is_bound(mount)
