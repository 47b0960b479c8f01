"""Images that nobody here wrote: every door that is open is reported, with the path.

What is listed here was found by looking into the mounted images with other tools (``systemctl list-unit-files``, ``find
-perm /6000``, units read by eye) before any control was asked.
"""

from __future__ import annotations

import datetime as dt
import mmap
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.facts.build import facts_of_image
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.fat_edit import replace_file
from builder.image.filesystem import read_file
from builder.image.partitions import read_layout
from policies.engine import run
from policies.pack import load
from tests.foreign_images import NAMES, foreign_images

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain
    from policies.facts import Facts

pytestmark = pytest.mark.integration

Doors = set[tuple[str, str]]
SETUID = {
    "plain": {"bin/mount", "bin/su", "bin/umount", "lib/dbus-1.0/dbus-daemon-launch-helper", "sbin/unix_chkpwd"},
}
SETUID["ssh"] = SETUID["plain"] | {
    "bin/chage", "bin/chfn", "bin/chsh", "bin/expiry", "bin/gpasswd", "bin/passwd", "bin/ssh-agent",
    "lib/openssh/ssh-keysign",
}  # fmt: skip
SETUID["cloud"] = SETUID["ssh"] | {"bin/sudo"}
# A Debian with systemd, whatever else is in it.
PLAIN: Doors = {
    # boot: a menu with an editor, a kernel that is in no UKI, a root that is not checked
    ("ZOA-917", "esp:/loader/entries/*.conf"),
    ("ZOA-901", "uki"),
    ("ZOA-701", "disk:root"),
    ("ZOA-705", "disk:root"),
    ("ZOA-921", "root:systemd-boot-update.service"),
    ("ZOA-921", "root:systemd-boot-random-seed.service"),
    ("ZOA-921", "root:systemd-pcrlock-make-policy.service"),
    # consoles
    ("ZOA-208", "root:getty@tty1.service"),
    ("ZOA-208", "initrd:getty@tty1.service"),
    ("ZOA-209", "root:getty.target:getty@tty1.service"),
    ("ZOA-210", "root:/usr/sbin/agetty"),
    ("ZOA-211", "root:/usr/lib/systemd/system-generators/systemd-getty-generator"),
    ("ZOA-212", "root:/usr/lib/systemd/system-generators/systemd-debug-generator"),
    ("ZOA-213", "root:debug-shell.service"),
    ("ZOA-213", "initrd:debug-shell.service"),
    ("ZOA-214", "root:emergency.service"),
    ("ZOA-214", "initrd:rescue.service"),
    ("ZOA-216", "root:systemd-firstboot.service"),
    ("ZOA-225", "root:autovt@.service"),
    # SSH over virtual sockets, without any SSH server installed yet
    ("ZOA-104", "root:/usr/lib/systemd/system-generators/systemd-ssh-generator"),
    # agents of systemd
    ("ZOA-320", "root:systemd-sysext.service"),
    ("ZOA-320", "root:systemd-confext.service"),
    ("ZOA-323", "root:/usr/bin/run0"),
    # accounts and programs
    ("ZOA-502", "root:/etc/passwd:root"),
    ("ZOA-506", "root:/usr/bin/su"),
    ("ZOA-601", "root:/usr/bin/bash"),
    ("ZOA-601", "root:/usr/bin/dash"),
    ("ZOA-601", "initrd:/usr/bin/bash"),
    ("ZOA-603", "root:/usr/bin/perl"),
    ("ZOA-606", "root:/usr/bin/dpkg"),
}
SYSTEMD_BOOT: Doors = {
    ("ZOA-405", "esp:/loader/loader.conf"),
    ("ZOA-916", "esp:/EFI/BOOT/BOOTX64.EFI"),
    ("ZOA-916", "esp:/EFI/systemd/systemd-bootx64.efi"),
}
SSH: Doors = {
    ("ZOA-101", "root:/usr/sbin/sshd"),
    ("ZOA-102", "root:/usr/sbin/sshd"),
    ("ZOA-103", "root:ssh.service"),
    ("ZOA-103", "root:ssh.socket"),
    ("ZOA-103", "root:sshd@.service"),
    ("ZOA-113", "root:/usr/lib/openssh/sftp-server"),
    ("ZOA-120", "root:ssh.socket:22"),
}
CLOUD: Doors = {
    ("ZOA-405", "esp:/grub/grub.cfg"),
    ("ZOA-405", "esp:/EFI/debian/grub.cfg"),
    ("ZOA-916", "esp:/EFI/BOOT/BOOTX64.EFI"),  # shim
    ("ZOA-916", "esp:/EFI/BOOT/grubx64.EFI"),
    ("ZOA-916", "esp:/EFI/BOOT/mmx64.efi.signed"),
    ("ZOA-917", "esp:/grub/grub.cfg:debian-*"),
    ("ZOA-921", "root:grub-common.service"),
    ("ZOA-201", "esp:/grub/grub.cfg:debian-*:console=ttyS0"),
    ("ZOA-201", "esp:/loader/entries/*.conf:console=ttyS0"),
    ("ZOA-208", "root:serial-getty@ttyS0.service"),
    ("ZOA-209", "root:getty.target:serial-getty@ttyS0.service"),
    ("ZOA-304", "root:/usr/bin/cloud-init"),
    ("ZOA-304", "root:cloud-init-main.service"),
    ("ZOA-304", "root:cloud-init-local.service"),
    ("ZOA-304", "root:cloud-init-network.service"),
    ("ZOA-304", "root:cloud-config.service"),
    ("ZOA-304", "root:cloud-final.service"),
    ("ZOA-304", "root:cloud-init-hotplugd.socket"),
    ("ZOA-308", "root:/usr/sbin/qemu-ga"),
    ("ZOA-308", "root:qemu-guest-agent.service"),
    ("ZOA-323", "root:/usr/bin/sudo"),
    ("ZOA-329", "root:/usr/lib/systemd/system-generators/cloud-init-generator"),
    ("ZOA-507", "root:/etc/sudoers"),
    ("ZOA-603", "root:/usr/bin/python3.13"),
}
# An SSH server by another name, in another place, that a socket starts before there is a root.
HIDDEN = "usr/lib/firmware-loader/blob"
HIDDEN_UNIT = "usr/lib/systemd/system/telemetry"
IN_INITRD: Doors = {
    ("ZOA-102", f"initrd:/{HIDDEN}"),
    ("ZOA-103", "initrd:telemetry@.service"),
    ("ZOA-120", "initrd:telemetry.socket:2222"),
}
EXPECTED = {"plain": PLAIN | SYSTEMD_BOOT, "ssh": PLAIN | SYSTEMD_BOOT | SSH, "cloud": PLAIN | SSH | CLOUD}


@pytest.fixture(scope="module")
def images(toolchain: Toolchain) -> Path:
    return foreign_images(toolchain)


@pytest.fixture(scope="module")
def facts(images: Path) -> dict[str, Facts]:
    """The facts of each image, read once."""
    return {name: facts_of_image(open_image(images / f"{name}.raw")) for name in NAMES}


def open_image(path: Path, access: int = mmap.ACCESS_READ) -> memoryview:
    # ACCESS_COPY changes memory and never the file.
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=access))


def doors(image: Facts) -> Doors:
    """Control and subject of every finding."""
    report = run(image, load(("zero-operator-access",)), today=dt.date(2026, 1, 1))
    assert not report.passed
    assert not [result.control for result in report.results if result.outcome == "crashed"]
    return {(result.control, finding.subject) for result in report.results for finding in result.findings}


def missing(expected: Doors, found: Doors) -> Doors:
    """What is expected and was not found; a star stands for a part of a name that has versions in it."""

    def is_there(control: str, subject: str) -> bool:
        head, star, tail = subject.partition("*")
        if not star:
            return (control, subject) in found
        return any(item == control and name.startswith(head) and name.endswith(tail) for item, name in found)

    return {door for door in expected if not is_there(*door)}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_open_door_of_an_image_is_reported(facts: dict[str, Facts], name: str) -> None:
    assert facts[name].unread == ()
    found = doors(facts[name])
    assert missing(EXPECTED[name], found) == set()
    with_rights = {subject.removeprefix("root:/usr/") for control, subject in found if control == "ZOA-509"}
    assert {path for path in with_rights if not path.startswith("initrd:")} == SETUID[name]


def test_an_image_without_an_ssh_server_is_not_said_to_have_one(facts: dict[str, Facts]) -> None:
    found = doors(facts["plain"])
    assert {control for control, _ in found} & {"ZOA-101", "ZOA-102", "ZOA-103", "ZOA-304", "ZOA-308"} == set()


@pytest.fixture
def hidden(images: Path, facts: dict[str, Facts]) -> memoryview:
    """The plain image, with the SSH server of the other one in its initrd."""
    other = open_image(images / "ssh.raw")
    server = read_file(open_file_system(partition(other, "root-x86-64")), "usr/sbin/sshd")
    image = open_image(images / "plain.raw", mmap.ACCESS_COPY)
    esp = read_layout(BinaryView.of(image.toreadonly(), "disk")).of_type("esp")[0]
    volume = image[esp.offset : esp.offset + esp.size]
    entry = facts["plain"].boot.entries[0]
    extra = archive(
        {
            HIDDEN: (0o755, bytes(server)),
            f"{HIDDEN_UNIT}.socket": (0o644, b"[Socket]\nListenStream=2222\nAccept=yes\n"),
            f"{HIDDEN_UNIT}@.service": (0o644, f"[Service]\nExecStart=-/{HIDDEN} -i\nStandardInput=socket\n".encode()),
            "etc/systemd/system/sockets.target.wants/telemetry.socket": (None, f"/{HIDDEN_UNIT}.socket".encode()),
        }
    )
    replace_file(volume, entry.initrds[-1], extra)
    return image.toreadonly()


def test_an_ssh_server_by_another_name_in_the_initrd_is_reported(hidden: memoryview) -> None:
    found = doors(facts_of_image(hidden))
    assert missing(IN_INITRD, found) == set()


def partition(image: memoryview, kind: str) -> BinaryView:
    view = BinaryView.of(image, "disk")
    return read_layout(view).of_type(kind)[0].view(view)


def archive(files: dict[str, tuple[int | None, bytes]]) -> bytes:
    """A cpio archive (newc) of files by path, with their directories; a mode of None makes a symbolic link."""
    directories = sorted({str(parent) for path in files for parent in Path(path).parents if str(parent) != "."})
    members = [(path, stat.S_IFDIR | 0o755, b"") for path in directories]
    members += [
        (path, stat.S_IFLNK | 0o777 if mode is None else stat.S_IFREG | mode, content)
        for path, (mode, content) in files.items()
    ]
    made = b""
    for path, mode, content in (*members, ("TRAILER!!!", 0, b"")):
        fields = (1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path) + 1, 0)
        made += b"070701" + b"".join(b"%08X" % number for number in fields) + path.encode() + b"\0"
        made += bytes(-len(made) % 4)
        made += content + bytes(-len(content) % 4)
    return made
