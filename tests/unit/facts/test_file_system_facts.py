from __future__ import annotations

from pathlib import Path

import pytest
import zstandard

from builder.errors import InvalidInputError
from builder.release.check import read_facts

VECTORS = Path(__file__).parents[2] / "vectors" / "image"
CHANGED = {"/odd/size-4095", "/odd/size-4096", "/odd/größe", "/odd/medium", "/odd/extents", "/lost+found"}
# What one file system says and another does not: when a directory got its last entry.
DIRECTORIES = {"/", "/odd"}


def image(folder: Path, name: str) -> Path:
    target = folder / name
    target.write_bytes(zstandard.ZstdDecompressor().decompress((VECTORS / f"{name}.zst").read_bytes(), 1 << 28))
    return target


@pytest.mark.parametrize("name", ["root.ext4", "root.ext2", "root-xz.squashfs", "root-lz4.squashfs"])
def test_the_same_tree_has_the_same_facts_on_any_file_system(tmp_path: Path, name: str) -> None:
    expected, found = read_facts(image(tmp_path, "root.erofs")), read_facts(image(tmp_path, name))
    assert (found.kind, found.disk, found.uki) == ("tree", None, None)
    kept = [
        [file for file in facts.root.files if file.path not in CHANGED | DIRECTORIES] for facts in (expected, found)
    ]
    assert len(kept[0]) == 637
    assert kept[1] == kept[0]
    assert found.root.packages == expected.root.packages
    assert [(file.capabilities, file.package) for file in found.root.files if file.path == "/usr/bin/ping"] == [
        (("cap_net_raw",), "iputils-ping")
    ]


def test_an_image_that_a_mount_would_change_is_refused(tmp_path: Path) -> None:
    unclean = image(tmp_path, "root.ext2")
    data = bytearray(unclean.read_bytes())
    data[1024 + 0x60] |= 4
    unclean.write_bytes(data)
    with pytest.raises(InvalidInputError, match="the journal has to be replayed first") as refused:
        read_facts(unclean)
    assert str(unclean) in str(refused.value)


def test_a_file_system_without_a_reader_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "root.xfs"
    other.write_bytes(b"XFSB" + bytes(1 << 17))
    with pytest.raises(InvalidInputError, match="the image is XFS, which is not read") as caught:
        read_facts(other)
    assert caught.value.hint == "mount it, and check the directory"
