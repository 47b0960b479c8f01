"""Small trees for tests of the closure: units that start programs, kernel modules, rules of udev."""

from __future__ import annotations

import json
import lzma
from typing import TYPE_CHECKING, Any

from tests.fact_trees import note, program

if TYPE_CHECKING:
    from tests.fact_trees import Content, Entry

UNITS = "usr/lib/systemd/system"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
RULES = "[units]\ndefault.target\n"
KERNEL = "usr/lib/modules/6.12"


def dlopen(soname: str, priority: str = "recommended") -> bytes:
    content = json.dumps([{"feature": "x", "priority": priority, "soname": [soname]}]).encode()
    return note(b"FDO", 0x407C0C0A, content)


def plain(**options: Any) -> Entry:
    """A program that needs neither interpreter nor library unless it says so."""
    return program(**{"interpreter": None, "needed": (), **options})


def library(soname: str, **options: Any) -> Entry:
    return plain(soname=soname, **options)


def started(line: str, **more: str) -> dict[str, Content]:
    """A tree whose default.target wants one service that starts something."""
    return {
        f"{UNITS}/default.target": "[Unit]\nWants=a.service\n",
        f"{UNITS}/a.service": f"[Unit]\nDefaultDependencies=no\n[Service]\n{line}\n",
        **more,
    }


A = started("ExecStart=/usr/bin/a")

UDEV = {**started("ExecStart=/usr/bin/udevadm"), "usr/bin/udevadm": plain()}


MODULES: dict[str, Content] = {
    f"{UNITS}/default.target": "[Unit]\n",
    f"{KERNEL}/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
    f"{KERNEL}/modules.order": "",
    f"{KERNEL}/modules.dep": "kernel/a-one.ko.xz: kernel/b.ko.xz\nkernel/b.ko.xz:\nkernel/c.ko.xz:\nkernel/d.ko.xz:\n",
    f"{KERNEL}/modules.softdep": "softdep b pre: c\n",
    f"{KERNEL}/kernel/a-one.ko.xz": lzma.compress(b"license=GPL\0firmware=maker/blob.bin\0"),
    **{f"{KERNEL}/kernel/{name}.ko.xz": lzma.compress(b"license=GPL\0") for name in "bcd"},
    "usr/lib/firmware/maker/blob.bin.xz": "x",
    "usr/lib/firmware/maker/other.bin": "x",
}
