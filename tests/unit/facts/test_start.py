"""What could be started, of volumes that are made here: entries, menus, programs, initrds, and what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.facts.boot_volumes import BootFile, BootVolume, Gaps
from builder.facts.start import Start, read_start
from tests.uki_builder import Section, build_pe, build_uki, bzimage, tiny_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policies.facts.loaders import Volume

OS_RELEASE = b"IMAGE_ID=node\n"
TYPE_1 = (
    "title Debian\nlinux /debian/vmlinuz\ninitrd /debian/initrd\noptions root=/dev/vda2\noptions quiet console=ttyS0\n"
)
GRUB = """set timeout=5
if [ "${grub_platform}" == "efi" ]; then
menuentry 'Debian GNU/Linux' --class debian {
    search --no-floppy --set=root abc
    linux ($root)/vmlinuz-6.12 root=UUID=abc ro \\
        console=ttyS0
    initrd /initrd.img-6.12 /microcode.img
}
fi
menuentry "Shell" { chainloader /EFI/shell.efi }
"""


def cpio(*paths: str) -> bytes:
    """An archive of empty files in the root directory."""
    archive = b""
    for path in (*paths, "TRAILER!!!"):
        fields = (1, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, len(path) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % number for number in fields) + path.encode() + b"\0"
        archive += bytes(-len(archive) % 4)
    return archive


def volume(files: Mapping[str, bytes | str], name: Volume = "esp") -> BootVolume:
    contents = {path: data.encode() if isinstance(data, str) else data for path, data in files.items()}
    made = {
        path.lower(): BootFile(name, path, len(data), lambda data=data: memoryview(data))  # type: ignore[misc]
        for path, data in contents.items()
    }
    return BootVolume(name, made, folds=True)


def start(files: Mapping[str, bytes | str], *more: BootVolume) -> tuple[Start, dict[str, str]]:
    gaps = Gaps()
    found = read_start([volume(files), *more], gaps)
    return found, {gap.place: gap.problem for gap in gaps.found}


def uki(command_line: str = "quiet", initrd: bytes | None = None, ucode: bytes | None = None) -> bytes:
    sections = {".linux": tiny_kernel(), ".osrel": OS_RELEASE, ".cmdline": command_line.encode()}
    more = {".ucode": ucode, ".initrd": initrd}
    return build_uki((sections | {name: content for name, content in more.items() if content}).items())


def boot_program(product: str) -> bytes:
    rows = f"sbat,1,SBAT Version,sbat,1,https://x\n{product},4,Somebody,{product},2.12,https://y\n"
    return build_pe([Section(".text", b"\xc3"), Section(".sbat", rows.encode())])


def arguments(found: Start) -> list[list[str]]:
    return [[str(item) for item in entry.command_line.arguments] for entry in found.boot.entries if entry.command_line]


def test_the_uki_at_the_removable_path_is_the_one_and_others_are_entries() -> None:
    found, gaps = start(
        {
            "/EFI/BOOT/BOOTX64.EFI": uki("first", cpio("one")),
            "/EFI/Linux/b.efi": uki("second console=ttyS0", cpio("two")),
            "/EFI/Linux/same.efi": uki("third", cpio("two")),
        }
    )
    assert found.uki is not None
    assert found.uki.path == "/EFI/BOOT/BOOTX64.EFI"
    assert [(entry.kind, entry.kernel) for entry in found.boot.entries] == [
        ("uki", "/EFI/Linux/b.efi"),
        ("uki", "/EFI/Linux/same.efi"),
    ]
    assert arguments(found) == [["second", "console=ttyS0"], ["third"]]
    assert [max(tree.nodes) for tree in found.initrds] == ["/one", "/two"]
    assert [file.path for file in found.esp_files] == ["/EFI/Linux/b.efi", "/EFI/Linux/same.efi"]
    assert not gaps


def test_without_one_the_last_of_efi_linux_is_what_systemd_boot_takes() -> None:
    loader = build_uki([(".text2", b"x")], product="systemd-boot", version="257.1")
    found, _ = start(
        {
            "/EFI/BOOT/BOOTX64.EFI": loader,
            "/EFI/systemd/systemd-bootx64.efi": loader,
            "/EFI/Linux/image_1.efi": uki("old"),
            "/EFI/Linux/image_2.efi": uki("new"),
        }
    )
    assert found.uki is not None
    assert found.uki.path == "/EFI/Linux/image_2.efi"
    assert [(item.path, item.product) for item in found.boot.programs] == [
        ("/EFI/BOOT/BOOTX64.EFI", "systemd-boot"),
        ("/EFI/systemd/systemd-bootx64.efi", "systemd-boot"),
        ("/EFI/Linux/image_1.efi", "systemd-stub"),
    ]
    (menu,) = found.boot.menus
    assert (menu.loader, menu.path, menu.editor) == ("systemd-boot", "/EFI/BOOT/BOOTX64.EFI", True)


@pytest.mark.parametrize(
    ("text", "editor", "timeout"),
    [
        ("timeout 3\n", True, "3"),
        ("editor no\n", False, None),
        ("editor\tno\n", False, None),
        ("#editor no\n", True, None),
        ("editor yes\ntimeout menu-force\n", True, "menu-force"),
    ],
)
def test_the_editor_of_systemd_boot_is_on_unless_its_configuration_says_no(
    text: str,
    editor: bool,  # noqa: FBT001 -- a parameter of the test
    timeout: str | None,
) -> None:
    loader = build_uki([(".text2", b"x")], product="systemd-boot", version="257.1")
    found, _ = start({"/EFI/BOOT/BOOTX64.EFI": loader, "/loader/loader.conf": text})
    (menu,) = found.boot.menus
    assert (menu.path, menu.editor, menu.timeout) == ("/loader/loader.conf", editor, timeout)


def test_a_loader_entry_has_its_kernel_its_initrds_and_all_its_options() -> None:
    files: dict[str, bytes | str] = {
        "/loader/entries/debian.conf": TYPE_1,
        "/debian/VMLINUZ": bzimage("6.12.1"),
        "/debian/initrd": cpio("x"),
    }
    found, gaps = start(files)
    (entry,) = found.boot.entries
    assert (entry.kind, entry.title, entry.kernel) == ("loader-entry", "Debian", "/debian/vmlinuz")
    assert arguments(found) == [["root=/dev/vda2", "quiet", "console=ttyS0"]]
    assert [program.product for program in found.boot.programs if program.version == "6.12.1"] == ["linux"]
    assert len(found.initrds) == 1
    assert found.uki is None
    assert not gaps


def test_a_command_of_grub_is_an_entry_whatever_stands_around_it() -> None:
    root = volume(
        {
            "/boot/vmlinuz-6.12": bzimage("6.12.1"),
            "/boot/initrd.img-6.12": cpio("a"),
            "/boot/microcode.img": cpio("b"),
            "/boot/grub/grub.cfg": GRUB,
        },
        "root",
    )
    found, gaps = start({"/EFI/BOOT/BOOTX64.EFI": boot_program("shim"), "/EFI/shell.efi": boot_program("grub")}, root)
    first, second = found.boot.entries
    assert (first.title, first.kernel, str(first.origin)) == (
        "Debian GNU/Linux",
        "/vmlinuz-6.12",
        "/boot/grub/grub.cfg:5",
    )
    assert first.initrds == ("/initrd.img-6.12", "/microcode.img")
    assert (second.title, second.kernel) == ("Shell", "/EFI/shell.efi")
    assert arguments(found)[0] == ["root=UUID=abc", "ro", "console=ttyS0"]
    assert [sorted(tree.nodes) for tree in found.initrds] == [["/", "/a", "/b"]]
    assert [(menu.loader, menu.editor, menu.timeout) for menu in found.boot.menus] == [("grub", True, "5")]
    assert [(item.product, item.version, item.signed) for item in found.boot.programs] == [
        ("shim", "2.12", False),
        ("grub", "2.12", False),
    ]
    assert not gaps


def test_grub_with_superusers_asks_who_is_there() -> None:
    found, _ = start({"/grub/grub.cfg": 'set superusers="admin"\npassword_pbkdf2 admin grub.pbkdf2\n'})
    assert [menu.editor for menu in found.boot.menus] == [False]


@pytest.mark.parametrize(
    ("files", "place", "problem"),
    [
        ({"/loader/entries/a.conf": "title nothing\n"}, "esp:/loader/entries/a.conf", "names no kernel"),
        ({"/loader/entries/a.conf": "linux /gone\n"}, "esp:/loader/entries/a.conf", "it starts /gone, which is in no"),
        (
            {"/loader/entries/a.conf": "linux /k\ninitrd /i\n", "/k": b"MZ", "/i": b"junk"},
            "initrd /i",
            "begins neither a cpio archive nor a known compression",
        ),
        (
            {"/EFI/Linux/x.efi": build_uki([(".linux", tiny_kernel())], version="999")},
            "esp:/EFI/Linux/x.efi",
            "999",
        ),
        ({"/grub.cfg": b"#" * ((1 << 20) + 1)}, "esp:/grub.cfg", "more than the 1048576 that are read"),
    ],
    ids=["no kernel", "dangling", "unknown initrd", "unknown stub", "large"],
)
def test_what_cannot_be_read_is_told(files: dict[str, bytes | str], place: str, problem: str) -> None:
    _, gaps = start(files)
    assert problem in gaps[place]


def test_more_initrds_than_are_looked_at_are_told() -> None:
    files: dict[str, bytes | str] = {"/k": b"MZ"}
    for number in range(9):
        files[f"/loader/entries/{number}.conf"] = f"linux /k\ninitrd /i{number}\n"
        files[f"/i{number}"] = cpio(f"file-{number}")
    found, gaps = start(files)
    assert len(found.initrds) == 8
    assert "there are more than 8 initrds" in gaps["initrd /i8"]


def test_a_program_is_one_by_its_content_and_not_by_its_name() -> None:
    found, _ = start({"/firmware.bin": boot_program("grub"), "/notes.efi": "text"})
    assert [(program.path, program.product) for program in found.boot.programs] == [("/firmware.bin", "grub")]
    assert [(file.path, file.role) for file in found.esp_files] == [
        ("/firmware.bin", "program"),
        ("/notes.efi", "program"),
    ]


@pytest.mark.parametrize(("ucode", "initrd"), [(cpio("one")[:-3], cpio("two")), (cpio("two", "one"), None)])
def test_the_microcode_of_a_uki_is_unpacked_before_its_initrd(ucode: bytes, initrd: bytes | None) -> None:
    found, gaps = start({"/EFI/BOOT/BOOTX64.EFI": uki("x", initrd, ucode)})
    assert [sorted(tree.nodes) for tree in found.initrds] == [["/", "/one", "/two"]]
    assert not gaps
