"""Where the root of a disk is found, on disks with an MBR around file systems of the samples."""

from __future__ import annotations

import datetime as dt
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from builder.facts.boot_volumes import Gaps
from builder.facts.build import facts_of_image
from builder.facts.roots import find_root
from builder.image.binary import BinaryView
from builder.image.partitions import DiskLayout, DiskPartition
from policies.engine import run
from policies.pack import load

if TYPE_CHECKING:
    from policies.facts import Facts

VECTORS = Path(__file__).parents[2] / "vectors/image"
START = 2048
LUKS = b"LUKS\xba\xbe\0\x02".ljust(1 << 16, b"\0")


def sample(name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress((VECTORS / f"{name}.zst").read_bytes())


ROOT = sample("root.erofs")


def mbr_disk(*partitions: tuple[int, bytes]) -> bytes:
    """A disk with these partitions, type and content, one after the other."""
    records, body = b"", b""
    for kind, content in partitions:
        sectors = -(-len(content) // 512)
        records += struct.pack("<B3xB3xII", 0, kind, START + len(body) // 512, sectors)
        body += content.ljust(sectors * 512, b"\0")
    return bytes(446) + records.ljust(64, b"\0") + b"\x55\xaa" + bytes((START - 1) * 512) + body


def facts(*partitions: tuple[int, bytes]) -> Facts:
    return facts_of_image(memoryview(mbr_disk(*partitions)))


def _gaps(found: Facts) -> list[str]:
    """Without the sample's program, of which only the first bytes are one's."""
    return [gap.place for gap in found.unread if gap.place != "root:/usr/bin/ping"]


def outcomes(found: Facts) -> dict[str, str]:
    report = run(found, load(("zero-operator-access",)), today=dt.date(2026, 1, 1))
    return {result.control: result.outcome for result in report.results}


def typed(*partitions: tuple[str, bytes]) -> tuple[BinaryView, DiskLayout]:
    """A disk and its layout, as if a GPT had partitions of these types."""
    offset, disk, found = 0, b"", []
    for number, (kind, content) in enumerate(partitions, start=1):
        found.append(DiskPartition(number, kind, "", kind, (), offset, len(content)))
        disk += content
        offset += len(content)
    return BinaryView.of(disk, "disk"), DiskLayout("gpt", 512, tuple(found), boot_code=False)


def test_a_disk_without_a_system_partition_is_checked_and_is_bad() -> None:
    found = facts((0x82, bytes(4096)), (0x83, ROOT))
    assert found.disk is not None
    assert (found.disk.table, found.disk.root_file_system, found.disk.hash_tree) == ("mbr", "erofs", "absent")
    assert [(item.number, item.role, item.type) for item in found.disk.partitions] == [
        (1, "other", "swap"),
        (2, "root", "linux"),
    ]
    assert found.root.find("/usr/bin/dash") is not None
    assert (found.uki, found.initrd, found.esp_files, _gaps(found)) == (None, None, (), [])
    assert {outcomes(found)[control] for control in ("ZOA-701", "ZOA-901", "ZOA-902", "ZOA-920")} == {"failed"}


def test_a_root_that_is_encrypted_fails_every_control() -> None:
    found = facts((0x83, LUKS))
    assert not found.root.has_files
    assert [gap.place for gap in found.unread] == ["partition 1 (linux)", "root"]
    assert "LUKS" in found.unread[0].problem
    assert set(outcomes(found).values()) == {"failed"}


def test_a_disk_with_no_root_at_all_fails_every_control() -> None:
    found = facts((0x82, bytes(4096)))
    assert [gap.problem for gap in found.unread] == ["no partition holds a root file system that could be read"]
    assert set(outcomes(found).values()) == {"failed"}


def test_a_partition_that_only_holds_data_is_no_root() -> None:
    found = facts((0x83, sample("fat16.img")), (0x83, ROOT))
    assert _gaps(found) == []
    assert found.root.find("/usr/bin/dash") is not None


@pytest.mark.parametrize("kind", [0xEF, 0x83])
def test_a_system_partition_that_is_broken_is_told(kind: int) -> None:
    found = facts((0xEF, b"\xff" * 4096), (kind, ROOT))
    assert "partition 1 (esp)" in {gap.place for gap in found.unread}


def test_a_second_root_is_told() -> None:
    gaps = Gaps()
    root = find_root(*typed(("root-x86-64", ROOT), ("root-x86-64", ROOT), ("root-x86-64", bytes(4096))), gaps)
    assert root.partition is not None
    assert root.partition.number == 1
    assert [gap.place for gap in gaps.found] == ["partition 2 (root-x86-64)"]
    assert "partition 1 is the root that was looked at" in gaps.found[0].problem


def test_usr_and_var_of_their_own_are_where_they_will_be_mounted() -> None:
    gaps = Gaps()
    root = find_root(*typed(("usr-x86-64", ROOT), ("var", ROOT)), gaps)
    assert root.partition is None
    assert {"/", "/usr/usr/bin/dash", "/var/usr/bin/dash"} <= root.tree.nodes.keys()
    assert gaps.found == []


def test_what_is_mounted_hides_what_was_there() -> None:
    root = find_root(*typed(("root-x86-64", ROOT), ("usr-x86-64", ROOT)), Gaps())
    assert "/usr/bin/dash" not in root.tree.nodes
    assert "/usr/usr/bin/dash" in root.tree.nodes
    assert root.file_system == "erofs"


def test_a_home_that_cannot_be_read_is_told() -> None:
    gaps = Gaps()
    find_root(*typed(("root-x86-64", ROOT), ("home", LUKS)), gaps)
    assert [gap.place for gap in gaps.found] == ["partition 2 (home)"]
