"""Partitions of which a comparison reads nothing: it tells that they differ, and does not take the root for whole."""

from __future__ import annotations

import pytest

from builder.baseline.any_image import any_baseline
from builder.compare.baseline import Outside, Unknown
from builder.compare.baselines import compare
from builder.compare.difference import Verdict
from builder.errors import InvalidInputError
from builder.image import gpt
from builder.image.binary import BinaryView
from builder.image.partitions import read_layout
from tests.broken_images import bases, gpt_disk


@pytest.fixture(scope="module")
def parts() -> tuple[tuple[str, bytes], ...]:
    """An ESP with a UKI, and a root."""
    image = bases()[0].image
    esp, root = read_layout(BinaryView.of(image, "disk")).partitions
    contents = (image[part.offset : part.offset + part.size] for part in (esp, root))
    return tuple(zip((str(gpt.ESP), str(gpt.ROOT_X86_64)), contents, strict=True))


@pytest.mark.parametrize("kind", [gpt.LINUX_GENERIC, gpt.HOME, gpt.USR_X86_64, gpt.ROOT_X86_64_VERITY_SIG, gpt.SWAP])
def test_what_lies_in_another_partition_is_told_beside_other_differences(
    kind: object, parts: tuple[tuple[str, bytes], ...]
) -> None:
    esp, root = parts
    other_esp = (esp[0], esp[1][:-1] + b"x")
    left, right = (
        any_baseline(memoryview(gpt_disk((*disk, (str(kind), content)))), "disk")
        for disk, content in (((esp, root), bytes(4096)), ((other_esp, root), b"door".ljust(4096)))
    )
    report = compare(left, right)
    (partitions,) = [topic for topic in report.topics if topic.name == "partitions"]
    assert [[field.name for field in item.fields] for item in partitions.differences] == [["content"]]
    same = compare(left, left)
    assert same.differences == ()


@pytest.mark.parametrize("kind", [gpt.HOME, gpt.USR_X86_64, gpt.VAR, gpt.SRV])
def test_a_root_of_several_partitions_is_not_compared_by_one(
    kind: object, parts: tuple[tuple[str, bytes], ...]
) -> None:
    left, right = (
        any_baseline(memoryview(gpt_disk((*parts, (str(kind), content)))), "disk") for content in (bytes(512), b"door")
    )
    topics = {topic.name: topic for topic in compare(left, right).topics}
    for name in ("files", "units", "modules"):
        assert topics[name].verdict is Verdict.INCOMPLETE
        assert "is mounted below its root" in topics[name].incomplete[0]


def loader_esp(esp: tuple[str, bytes]) -> tuple[str, bytes]:
    """The ESP with a boot loader where firmware looks: the program there is no UKI any more."""
    kind, content = esp
    assert content.count(b".linux\0\0") == 1
    return kind, content.replace(b".linux\0\0", b".loader\0")


@pytest.mark.parametrize(("flags", "named"), [(0, ""), (1 << 60 | 1 << 59, "growfs read-only"), (1 << 50, "bit-50")])
def test_a_flag_has_one_name_whatever_the_disk_boots(
    flags: int, named: str, parts: tuple[tuple[str, bytes], ...]
) -> None:
    esp, root = parts
    uki, loader = (
        any_baseline(memoryview(gpt_disk((first, root), flags=flags)), "disk") for first in (esp, loader_esp(esp))
    )
    assert not isinstance(uki.partitions, Unknown | Outside)
    assert isinstance(loader.uki, Unknown)
    assert uki.partitions == loader.partitions
    assert [partition.flags for partition in uki.partitions] == [named, named]


@pytest.mark.parametrize(
    ("kinds", "problem"),
    [
        ([gpt.USR_X86_64], r"partition 2 \(usr-x86-64\) is mounted at /usr, below a root that is in no partition$"),
        ([gpt.SWAP], r"root: no partition holds a root file system that could be read$"),
    ],
)
def test_a_disk_without_a_root_says_why_it_has_none(
    kinds: list[object], problem: str, parts: tuple[tuple[str, bytes], ...]
) -> None:
    esp, root = parts
    disk = gpt_disk((loader_esp(esp), *((str(kind), root[1]) for kind in kinds)))
    with pytest.raises(InvalidInputError, match=f"the disk has no root file system that can be compared: {problem}"):
        any_baseline(memoryview(disk), "disk")
    with_root = gpt_disk((loader_esp(esp), root))
    assert isinstance(any_baseline(memoryview(with_root), "disk").files, tuple)
