from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from builder.facts.boot import command_line
from policies.facts import Boot, BootEntry, BootProgram, LoaderMenu, Origin, Unread
from tests.control_cases import bad, good
from tests.fact_trees import disk, file, link

ENTRY = "/loader/entries/debian.conf"
_BOMB = {f"opt/d{level}/{name}": link(f"/opt/d{level + 1}") for level in range(9) for name in "abcdefgh"}
_BOMB["opt/d9/x"] = file("x")


def program(product: str, *, signed: bool = True, path: str = "/EFI/BOOT/X.EFI") -> BootProgram:
    return BootProgram(volume="esp", path=path, product=product, version="1", signed=signed)


def entry(kind: str = "loader-entry", arguments: str = "quiet") -> BootEntry:
    return BootEntry(
        kind=kind,  # type: ignore[arg-type]
        volume="esp",
        origin=Origin(path=ENTRY, line=None),
        title="debian",
        kernel="/vmlinuz",
        initrds=("/initrd",),
        command_line=command_line(arguments),
    )


def menu(loader: str, *, editor: bool) -> LoaderMenu:
    return LoaderMenu(loader=loader, volume="esp", path="/x.cfg", editor=editor, timeout="5")  # type: ignore[arg-type]


def boot(**parts: Any) -> Boot:
    return Boot(**{"programs": (), "entries": (), "menus": (), **parts})


def _with_partition(**changes: Any) -> Any:
    partitions = disk().partitions
    return replace(disk(), partitions=(*partitions[:2], replace(partitions[2], **changes)))


def _started(command: str, *, wanted: bool = True) -> dict[str, Any]:
    """A unit that runs a command, and whether the start brings it in."""
    files: dict[str, Any] = {"usr/lib/systemd/system/x.service": f"[Service]\nExecStart={command}\n"}
    if wanted:
        files["etc/systemd/system/sysinit.target.wants/x.service"] = link("/usr/lib/systemd/system/x.service")
    return files


CASES = (
    *(bad("ZOA-405", "esp:/x.cfg", boot=boot(menus=(menu(name, editor=True),))) for name in ("systemd-boot", "grub")),
    *(good("ZOA-405", boot=boot(menus=(menu(name, editor=False),))) for name in ("systemd-boot", "grub")),
    *(
        bad("ZOA-916", "esp:/EFI/BOOT/X.EFI", boot=boot(programs=(program(product),)))
        for product in ("grub", "shim", "systemd-boot", "unknown", "memtest86+")
    ),
    *(good("ZOA-916", boot=boot(programs=(program(product),))) for product in ("linux", "addon", "systemd-stub")),
    bad("ZOA-917", f"esp:{ENTRY}", boot=boot(entries=(entry(),))),
    bad("ZOA-917", f"esp:{ENTRY}:debian", boot=boot(entries=(entry("grub"),))),
    bad("ZOA-917", f"esp:{ENTRY}:debian", boot=boot(entries=(entry("uki"),))),
    good("ZOA-917", boot=boot(programs=(program("linux"),))),
    bad("ZOA-918", "esp:/EFI/BOOT/X.EFI", boot=boot(programs=(program("linux", signed=False),))),
    good("ZOA-918", boot=boot(programs=(program("linux"),))),
    bad("ZOA-919", "unread:root", unread=(Unread(place="root", problem="it is LUKS"),)),
    good("ZOA-919", unread=()),
    bad("ZOA-919", "root:links", root=_BOMB),
    bad("ZOA-919", "initrd:links", initrd=_BOMB),
    good("ZOA-919", root={path: target for path, target in _BOMB.items() if path < "opt/d3"}),
    *(bad("ZOA-920", "disk:partition table", disk=replace(disk(), table=kind)) for kind in ("hybrid", "mbr", "none")),
    bad("ZOA-920", "disk:boot code", disk=replace(disk(), boot_code=True)),
    bad("ZOA-920", "disk:3:bios-boot", disk=_with_partition(type="bios-boot")),
    bad("ZOA-920", "disk:3:root-x86-64-verity", disk=_with_partition(flags=("legacy-boot",))),
    good("ZOA-920", disk=_with_partition(flags=("read-only",))),
    *(
        bad("ZOA-921", "root:x.service", root=_started(command))
        for command in (
            "/usr/bin/bootctl --no-variables --graceful update",
            "bootctl random-seed",
            "-/usr/bin/grub-editenv - unset x",
            *(
                f"/usr/bin/{name}"
                for name in (
                    "systemd-pcrlock make-policy",
                    "systemd-pcrlock remove-policy",
                    "systemd-bless-boot",
                    "kernel-install",
                    "ukify",
                    "efibootmgr",
                    "mokutil",
                    "grub-install",
                    "grub-reboot",
                    "grub-set-default",
                    "update-grub",
                    "fwupd",
                    "fwupdmgr",
                )
            ),
        )
    ),
    bad("ZOA-921", "initrd:x.service", initrd=_started("/usr/lib/systemd/systemd-pcrlock make-policy")),
    good("ZOA-921", root=_started("/usr/bin/bootctl update", wanted=False)),
    *(
        good("ZOA-921", root=_started(command))
        for command in ("bootctl status", "bootctl list", "/x/systemd-pcrlock lock-gpt")
    ),
    # What other controls refuse on the UKI's command line, they refuse on that of every boot entry.
    bad("ZOA-201", f"esp:{ENTRY}:console=ttyS0", boot=boot(entries=(entry(arguments="console=ttyS0"),))),
    bad("ZOA-203", f"esp:{ENTRY}:debian:kgdboc=ttyS0", boot=boot(entries=(entry("grub", "kgdboc=ttyS0"),))),
)
