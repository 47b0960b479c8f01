"""Disks of others, broken by chance: facts come out of all of them, or one sentence."""

from __future__ import annotations

from pathlib import Path

import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import InvalidInputError
from builder.facts.boot_volumes import BootFile, BootVolume, Gaps
from builder.facts.build import facts_of_image
from builder.facts.start import read_start
from builder.image.binary import BinaryView
from builder.image.partitions import read_layout

DISK = zstandard.ZstdDecompressor().decompress((Path(__file__).parents[1] / "vectors/image/disk.raw.zst").read_bytes())
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Where the table, the system partition and the root have their structures.
PLACES = st.one_of(
    st.integers(0, 2048), st.integers(1 << 20, (1 << 20) + 30_000), st.integers(2 << 20, (2 << 20) + 70_000)
)
WORDS = [
    "menuentry",
    "linux",
    "initrd",
    "chainloader",
    "set",
    "superusers=a",
    "{",
    "}",
    ";",
    "'",
    '"',
    "\\",
    "/k",
    "title",
]


@EXAMPLES
@given(changes=st.lists(st.tuples(PLACES, st.integers(0, 255)), min_size=1, max_size=30))
def test_a_disk_that_chance_changed_has_facts(changes: list[tuple[int, int]]) -> None:
    disk = bytearray(DISK)
    for place, value in changes:
        disk[place] = value
    try:
        found = facts_of_image(memoryview(bytes(disk)))
    except InvalidInputError as error:
        assert str(error)  # noqa: PT017 -- either outcome is right
        return
    assert found.root.has_files or found.unread


@EXAMPLES
@given(data=st.binary(min_size=512, max_size=4096), head=st.booleans())
def test_the_table_of_random_bytes_is_read_or_none(data: bytes, head: bool) -> None:  # noqa: FBT001 -- drawn
    disk = data[:510] + b"\x55\xaa" + data[512:] if head else data
    found = read_layout(BinaryView.of(disk, "disk"))
    assert found.partitions or found.problem or found.kind == "mbr"


@EXAMPLES
@given(lines=st.lists(st.lists(st.sampled_from(WORDS) | st.text(max_size=8), max_size=6), max_size=12))
def test_every_configuration_of_a_boot_loader_is_read(lines: list[list[str]]) -> None:
    text = "\n".join(" ".join(line) for line in lines).encode("utf-8", "backslashreplace")
    names = ("/grub/grub.cfg", "/loader/entries/a.conf", "/loader/loader.conf")
    files = {name: BootFile("esp", name, len(text), lambda: memoryview(text)) for name in names}
    gaps = Gaps()
    found = read_start([BootVolume("esp", files, folds=True)], gaps)
    assert all(entry.kernel for entry in found.boot.entries)
    assert len(found.boot.menus) == 1
