from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from builder.errors import InvalidInputError
from builder.facts.boot import command_line
from builder.facts.build import facts_of_image
from builder.image.disk import replace_uki
from tests.uki_builder import build_uki, tiny_kernel

VECTORS = Path(__file__).parents[2] / "vectors" / "image"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quiet  console=ttyS0,115200", [("quiet", None), ("console", "ttyS0,115200")]),
        ('a="b c" "d=e f"', [("a", "b c"), ("d", "e f")]),
        ("x= y==z\n", [("x", ""), ("y", "=z")]),
        ('open="a b', [("open", "a b")]),
        ("", []),
    ],
)
def test_a_command_line_is_split_as_linux_does(text: str, expected: list[tuple[str, str | None]]) -> None:
    found = command_line(text)
    assert [(argument.name, argument.value) for argument in found.arguments] == expected
    assert [argument.position for argument in found.arguments] == list(range(len(expected)))


def test_arguments_behind_two_dashes_are_for_init() -> None:
    found = command_line("a -- b")
    assert [argument.for_init for argument in found.arguments] == [False, False, True]


def test_dashes_and_underscores_in_names_are_the_same() -> None:
    found = command_line("rd.break=a rd-break rd_break=b")
    assert [str(argument) for argument in found.all("rd_break")] == ["rd-break", "rd_break=b"]


def test_an_empty_file_is_no_image() -> None:
    with pytest.raises(InvalidInputError, match=r"this is no disk image: there is neither a GPT nor an MBR"):
        facts_of_image(memoryview(bytes(4096)))


def cpio_entry(name: str, mode: int, content: bytes = b"") -> bytes:
    fields = (1, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % number for number in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def image(root_hash: str) -> bytearray:
    """The vector's disk with a UKI that names a root hash."""
    disk = bytearray(zstandard.ZstdDecompressor().decompress((VECTORS / "disk.raw.zst").read_bytes(), 1 << 28))
    initrd = b"".join(
        [
            cpio_entry("etc", 0o40755),
            cpio_entry("etc/initrd-release", 0o100644, b"ID=initrd\n"),
            cpio_entry("TRAILER!!!", 0),
        ]
    )
    payload = {
        ".linux": tiny_kernel(),
        ".osrel": b"IMAGE_ID=node\nIMAGE_VERSION=2\nVARIANT_ID=development\n",
        ".cmdline": f"quiet roothash={root_hash}".encode(),
        ".initrd": initrd,
    }
    replace_uki(disk, build_uki(payload.items()))
    return disk


def test_a_disk_has_facts_of_all_its_parts() -> None:
    root_hash = (VECTORS / "disk-verity.img.root").read_text().strip()
    found = facts_of_image(memoryview(image(root_hash)))
    assert (found.identity.name, found.identity.version, found.identity.profile) == ("node", "2", "development")
    assert found.disk is not None
    assert [(item.number, item.role) for item in found.disk.partitions] == [(1, "esp"), (2, "root"), (3, "root-verity")]
    assert (found.disk.root_hash, found.disk.hash_tree) == (root_hash, "matches")
    assert found.uki is not None
    (profile,) = found.uki.profiles
    assert (found.uki.path, found.uki.signed, profile.number) == ("/EFI/BOOT/BOOTX64.EFI", False, 0)
    assert [section.name for section in profile.sections] == [".linux", ".osrel", ".cmdline", ".initrd"]
    assert found.initrd is not None
    assert [item.path for item in found.initrd.files] == ["/", "/etc", "/etc/initrd-release"]
    assert found.root.files[0].path == "/"
    assert len(found.root.files) > 1


def test_a_root_hash_of_another_image_does_not_match() -> None:
    found = facts_of_image(memoryview(image("00" * 32)))
    assert found.disk is not None
    assert found.disk.hash_tree == "differs"


def test_a_disk_whose_boot_program_is_none_has_no_uki_but_is_read() -> None:
    disk = zstandard.ZstdDecompressor().decompress((VECTORS / "disk.raw.zst").read_bytes(), 1 << 28)
    found = facts_of_image(memoryview(disk))
    assert found.uki is None
    assert found.boot.programs == ()
    assert ("/EFI/BOOT/BOOTX64.EFI", "program") in {(file.path, file.role) for file in found.esp_files}
    assert found.root.has_files
