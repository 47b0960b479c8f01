"""Tools that a unit or a rule of udev runs, and that change what the machine is made of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.controls._products import words
from policies.controls._writable import is_runner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policies.facts import Area

# What mounts, maps, binds, starts another kernel or root, or makes units.
_ALWAYS: Final = words(
    "mount umount mount.fuse systemd-mount systemd-umount pivot_root switch_root kexec losetup veritysetup cryptsetup "
    "integritysetup systemd-integritysetup systemd-cryptsetup systemd-run run0 systemd-nspawn systemd-dissect "
    "systemd-socket-activate systemd-executor systemd-stdio-bridge machinectl portablectl busctl dbus-send "
    "gdbus ldconfig nvme nbd-client iscsiadm insmod"
)
_SYSTEMCTL_VERBS: Final = words(
    "start stop restart try-restart reload isolate poweroff reboot halt kill reset-failed is-active is-failed show"
)
_SYSTEMCTL_OPTIONS: Final = words("--force -f --no-block --quiet -q --no-wall --job-mode=replace-irreversibly")
_SWITCHES: Final = (["switch-root"], ["switch-root", "/sysroot"])
_UDEVADM_CONTROL: Final = words("control --exit -e --reload -R --ping")
# Of tools that are harmless with some verbs only.
_VERBS: Final = {
    "dmsetup": words("info udevflags udevcomplete splitname status"),
    "networkctl": words("persistent-storage list status reload"),
    "udevadm": words("info settle trigger wait"),
}
# Other programs that the same file is under these names.
_OTHERS: Final = {"systemd-udevd": "udevadm", "reboot": "systemctl", "poweroff": "systemctl", "halt": "systemctl"}
# `systemd-veritysetup attach VOLUME DATA HASHES ROOTHASH OPTIONS` opens nothing but what the image vouches for; how it
# meets corruption, the mounts are judged by.
_ROOT_HASH: Final = re.compile(r"[0-9a-f]{64}")
# Nothing that device mapper, systemd or a shell reads as something else.
_VOLUME: Final = re.compile(r"[A-Za-z0-9_.+-]+")
# Names below /dev/mapper that systemd-veritysetup-generator(8) opens, in units that no file has.
_OF_THE_ROOT: Final = words("root usr")
_USER_MANAGERS: Final = ("user@", "capsule@")


def meddling_tool(area: Area, command: Sequence[str], unit: str = "") -> str | None:
    """The tool of a command, also behind a program that runs others, by which it changes more than its own state.

    A tool is what its links lead to. ``unit`` is the name of the unit whose command it is, empty for a rule of udev.
    """
    for position, word in enumerate(command if is_runner(area, "".join(command[:1])) else command[:1]):
        called, name = (path.rpartition("/")[2] for path in (word, area.real(word) or word))
        for tool in (called, *([] if _OTHERS.get(called) == name else [name])):
            if _changes(tool, list(command[position + 1 :]), unit):
                return tool
    return None


def is_own_volume(name: str) -> bool:
    """Whether a name below /dev/mapper is not that of the root or of /usr, and is spelled plainly."""
    return _VOLUME.fullmatch(name) is not None and name not in _OF_THE_ROOT


def _changes(name: str, arguments: list[str], unit: str) -> bool:
    plain = [argument for argument in arguments if not argument.startswith("-")]
    verb = "".join(plain[:1])
    if name in _VERBS:
        is_control = name == "udevadm" and verb == "control" and _UDEVADM_CONTROL.issuperset(arguments)
        return verb not in _VERBS[name] and not is_control
    match name:
        case "systemctl":
            options = {argument for argument in arguments if argument.startswith("-")}
            is_plain = verb in _SYSTEMCTL_VERBS and not any("/" in argument for argument in plain)
            return not options <= _SYSTEMCTL_OPTIONS or not (is_plain or plain in _SWITCHES)
        case "systemd-veritysetup":
            volume, root_hash = ("".join(plain[place : place + 1]) for place in (1, 4))
            is_known = verb == "detach" or (verb == "attach" and _ROOT_HASH.fullmatch(root_hash) and unit)
            return not (is_known and is_own_volume(volume))
        case "systemd-volatile-root":  # as systemd has it in its unit, which asks the kernel command line
            return unit != f"{name}.service" or arguments != ["yes", "/sysroot"]
        case "systemd":
            return not unit.startswith(_USER_MANAGERS)
    # What stands behind modprobe, which is kmod, too, is the name of a module.
    return name in _ALWAYS or (name == "kmod" and verb == "insert")
