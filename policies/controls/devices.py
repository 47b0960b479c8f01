"""Door "integrity": nodes of devices, and who may open memory and disks by them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._tmpfiles import MAKES_CONTENT, granted, mode, owners
from policies.finding import about_name, about_path
from policies.globs import agrees, matches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from policies.control import Parameters
    from policies.facts import Facts, TmpfilesEntry, UdevSetting
    from policies.finding import Finding

# Devices that stand for all of their kind, by subsystem.
_DEVICES: Final = {
    "mem": ("mem", "kmem", "port"),
    "block": ("sda", "sda1", "vda", "vda1", "xvda", "hda", "nvme0n1", "nvme0n1p1", "mmcblk0", "dm-0", "md0", "loop0"),
    "scsi_generic": ("sg0",),
    "bsg": ("0:0:0:0",),
    "nvme-generic": ("ng0n1",),
    "tpm": ("tpm0",),
    "tpmrm": ("tpmrm0",),
    "misc": ("userfaultfd", "uinput", "loop-control", "device-mapper"),
}
_NODES: Final = re.compile(
    r"/dev/(?:mem|kmem|port|userfaultfd|uinput|loop-control|(?:sd|vd|xvd|hd)[a-z]+[0-9]*|(?:nvme|mmcblk|dm-|md|loop|sg|ng|tpm|tpmrm)[0-9].*"
    r"|(?:mapper|disk|block|char|bsg)(?:/.*)?|root)"
)
_RECURSIVE: Final = frozenset("ZA")
_GROUPS: Final = frozenset({"root", "0", "disk", "kmem", "cdrom", "tape"})
# What udev(7) calls a match.
_CONDITION: Final = re.compile(r'\b(KERNEL|SUBSYSTEM)\s*==\s*(i?)"([^"]*)"')
# udev(7), SYMLINK: names below /dev as rules of systemd, LVM and distributions give them. What a disk says about itself
# is in names of disks, so nobody relies on these; a name that is written out is one that a rule chose.
_FIRST: Final = "dri infiniband input mtd serial snd tape v4l virtio-ports"
_SAID: Final = r"(?:\$env\{(?:ID_\w+|DM_NAME|DM_UUID|DISKSEQ|\.\w+)\}|\$attr\{[\w/]+\}|\$result|%n)"
_LINK: Final = re.compile(
    rf"rtc|cdrom|ptp_(?:kvm|hyperv)|mapper/\$env\{{DM_NAME\}}|(?:{'|'.join(_FIRST.split())})/(?:[\w/-]|{_SAID})+"
    rf"|disk/by-[a-z-]+/(?:[a-z0-9]+-)*{_SAID}(?:[\w/-]|{_SAID})*"
)
# Links to the root, and what udev itself found out before (systemd rules.d/99-systemd.rules.in).
_AUTO_ROOTS: Final = frozenset({"gpt-auto-root", "gpt-auto-root-luks"})
_FOUND_OUT: Final = ('ENV{ID_PART_GPT_AUTO_ROOT}=="1"', 'ENV{DM_UUID}=="CRYPT-*", ENV{DM_NAME}=="root"')
_ALIAS: Final = re.compile(r"/sys/subsystem/[\w/%$-]+")
# Variables by which the rules above name a device, and the value that they give them.
_NAMING: Final[Mapping[str, str | None]] = {
    "ENV{DM_NAME}": "$attr{dm/name}", "ENV{ID_PART_GPT_AUTO_ROOT}": None, "ENV{DEVLINKS}": None, "ENV{DEVNAME}": None,
}  # fmt: skip
_NAME: Final = re.compile(r"[^/]*|mapper/control")
# The user and group that distributions have for the TPM, in rules about nothing else.
_OF_TPM: Final = re.compile(r'(?:.*[\s,])?KERNEL=="tpm(?:rm)?\[0-9\]\*"[\s,].*')
_TPM_OWNER: Final = "tss"
_STATIC_NODE: Final = re.compile(r'static_node=([^"\s]+)')


def _is_private(value: str) -> bool:
    return re.fullmatch("[0-7]*0", value) is not None


# What a rule of udev may assign to such a device.
_JUDGED: Final[Mapping[str, Callable[[str], bool]]] = {
    "OWNER": frozenset({"root", "0"}).__contains__, "GROUP": _GROUPS.__contains__, "MODE": _is_private,
}  # fmt: skip


@control(
    "ZOA-743",
    door=Door.INTEGRITY,
    severity=Severity.HIGH,
    title="Devices have the nodes of the kernel only, and memory and disks are root's",
    references=("NIST SP 800-53 CM-7",),
    parameters=(Parameter("allowed", (), "Paths of nodes that the image needs."),),
)
def no_device_node(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no device node outside of /dev, which the kernel's own nodes hide, and no
    line of tmpfiles.d makes one anywhere. No line of tmpfiles.d and no rule of udev gives memory (mem, kmem, port,
    userfaultfd), disks, also by their generic nodes, device mapper, loop-control, uinput or a TPM to a user or to a
    group but those that distributions have for them (disk, kmem, cdrom, tape; tss for the TPM), or lets others read or
    write them, and no line of tmpfiles.d writes to them. No rule of udev gives a device a name (SYMLINK, NAME,
    SYSTEMD_ALIAS) but those of systemd, LVM and distributions, such as mapper/$env{DM_NAME} and disk/by-uuid/ with what
    the disk says, or sets the variables by which these name the root's and the mapped devices.

    Why it matters: a node opens a disk, the memory or a console by its numbers, whatever it is called and whoever the
    rules for /dev would let; a disk that a service may read or write shows and changes what others trust. A disk that a
    rule calls mapper/root is mounted in the place of the root that dm-verity checks.

    Example: c /run/engine/m 0666 - - - 1:1 in tmpfiles.d is /dev/mem for everybody.

    Fix: remove the node or the line; give a service its device with DeviceAllow= and the group of the node in /dev.

    Known limits: programs that make nodes or change rights themselves are not known; nor is who is in a group. Of rules
    of udev the conditions on the name and on the subsystem are weighed, no others and no jumps. What a variable adds
    to a name is judged only where it has "..", or "mapper/", and not what the hardware database sets.
    """
    for area in facts.areas:
        for file in area.files:
            is_node = file.type in {"char", "block"} and not file.path.startswith("/dev/")
            if is_node and file.path not in parameters["allowed"]:
                yield about_path(area, file.path, "is a device node", f"device {file.device}, mode {file.mode:04o}")
        for entry in area.configuration.tmpfiles:
            if entry.type[:1] in {"c", "b"} and entry.path not in parameters["allowed"]:
                value = f"{entry.type} {entry.path} {entry.mode} {entry.argument}"
                yield about_name(
                    area, f"{entry.origin.path}:{entry.path}", "is made a device node", (entry.origin, value)
                )
            elif _opens_device(entry):
                value = f"{entry.type} {entry.path} {entry.mode} {entry.user} {entry.group} {entry.argument}"
                subject, message = (
                    f"{entry.origin.path}:{entry.path}",
                    "writes to memory, a disk or a TPM, or opens it to others than root",
                )
                yield about_name(area, subject, message, (entry.origin, value))
        for item in area.configuration.udev_settings:
            for subject, message in _given(item, parameters["allowed"]):
                yield about_name(area, f"{item.origin}:{subject}", message, (item.origin, item.rule))


def _given(item: UdevSetting, allowed: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with what a rule of udev gives a device: subject and message."""
    is_of_tpm = item.value == _TPM_OWNER and _OF_TPM.fullmatch(item.rule) is not None
    is_open = item.key in _JUDGED and not is_of_tpm and not _JUDGED[item.key](item.value)
    if is_open and _is_about_device(item.rule):
        yield item.key, "opens memory, a disk or a TPM to others than root"
    for name in _names(item):
        if f"/dev/{name}" not in allowed:
            yield f"{item.key}:{name}", "names a device as neither systemd nor a distribution does"


def _names(item: UdevSetting) -> Iterator[str]:
    """What a rule of udev gives a device as a name, or to a variable as one, where it is not known to be harmless."""
    words = item.value.split()
    if item.key == "SYMLINK":
        is_root = any(text in item.rule for text in _FOUND_OUT)
        yield from (word for word in words if not (_LINK.fullmatch(word) or (is_root and word in _AUTO_ROOTS)))
    elif item.key == "ENV{SYSTEMD_ALIAS}":
        yield from (word for word in words if not _ALIAS.fullmatch(word))
    elif (item.key == "NAME" and not _NAME.fullmatch(item.value)) or (
        item.key.startswith("ENV{") and (_NAMING.get(item.key, item.value) != item.value or _leads_away(item.value))
    ):
        yield item.value


def _leads_away(value: str) -> bool:
    return ".." in value.split("/") or "mapper/" in value


def _opens_device(entry: TmpfilesEntry) -> bool:
    """Whether a line of tmpfiles.d writes to a device or gives it away; to some groups distributions do."""
    user, group = owners(entry)
    is_open = bool(user) or bool(mode(entry) & 0o006) or (group and group not in _GROUPS)
    is_written = entry.type[:1] in MAKES_CONTENT
    return bool(is_open or is_written or granted(entry).strip("-xX0")) and _is_device(entry)


def _is_device(entry: TmpfilesEntry) -> bool:
    path = entry.path
    nodes = [f"/dev/{name}" for names in _DEVICES.values() for name in names]
    is_above = path == "/dev" and entry.type[:1] in _RECURSIVE
    return is_above or _NODES.fullmatch(path) is not None or any(matches(path, node, "/") for node in nodes)


def _is_about_device(rule: str) -> bool:
    """Whether a rule of udev could be about memory or a disk, by the names that it asks for."""
    asked: dict[str, list[str]] = {"KERNEL": ["*"], "SUBSYSTEM": ["*"]}
    for key, any_case, value in _CONDITION.findall(rule):
        asked[key] = (value.lower() if any_case else value).split("|")
    nodes = [(name, subsystem) for subsystem, names in _DEVICES.items() for name in names]
    return any(
        _is_asked(asked["KERNEL"], name) and _is_asked(asked["SUBSYSTEM"], subsystem) for name, subsystem in nodes
    ) or any(_NODES.fullmatch(f"/dev/{name}") for name in _STATIC_NODE.findall(rule))


def _is_asked(patterns: list[str], name: str) -> bool:
    return any(agrees(pattern, name) for pattern in patterns)


CONTROLS = (no_device_node,)
