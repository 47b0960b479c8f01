"""Comparison on random inventories, packages and command lines."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builder.compare.baseline import InstalledPackage
from builder.compare.command_line import argument_differences
from builder.compare.difference import Change
from builder.compare.entries import Entry, read_entries
from builder.compare.files import compare_files
from builder.compare.packages import package_differences
from builder.image.inventory import FileRecord
from builder.image.inventory_file import from_jsonl, to_jsonl
from tests.baselines import bare, mirrored, sorted_notes

paths = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6).map(lambda name: f"/{name}")
records = st.builds(
    FileRecord,
    area=st.sampled_from(["initrd", "root"]),
    path=paths,
    type=st.just("file"),
    mode=st.sampled_from([0o644, 0o755, 0o4755, 0o2755]),
    uid=st.integers(0, 1),
    gid=st.integers(0, 1),
    size=st.integers(0, 2),
    mtime=st.integers(0, 2),
    sha256=st.sampled_from(["00" * 32, "11" * 32]),
    xattrs=st.sampled_from([(), (("security.capability", "0100000200200000" + "00" * 12),), (("user.a", "00"),)]),
    target=st.none(),
    device=st.none(),
    package=st.sampled_from([None, "a", "b"]),
    version=st.none(),
)
inventories = st.lists(records, max_size=6, unique_by=lambda record: (record.area, record.path)).map(
    lambda found: tuple(sorted(found, key=lambda record: (record.area, record.path)))
)
packages = st.lists(
    st.builds(
        InstalledPackage,
        area=st.sampled_from(["root", "initrd"]),
        name=st.sampled_from(["a", "b", "libssl3"]),
        version=st.sampled_from(["1", "1.0", "2~rc1", "1:0"]),
        architecture=st.sampled_from(["amd64", "i386"]),
        sha256=st.sampled_from([None, "00", "11"]),
    ),
    max_size=5,
    unique_by=lambda package: (package.area, package.name, package.architecture),
)
lines = st.lists(st.sampled_from(["quiet", "a=1", "a=2", "b", "--", 'c="x y"', " "]), max_size=5).map(" ".join)


def entries(found: tuple[FileRecord, ...]) -> tuple[Entry, ...]:
    return read_entries(to_jsonl(found)) if found else ()


@given(inventories, inventories)
def test_files_differ_as_a_comparison_path_by_path_says(
    old: tuple[FileRecord, ...], new: tuple[FileRecord, ...]
) -> None:
    topic = compare_files(bare(files=entries(old)), bare(files=entries(new)))
    before, after = ({(record.area, record.path): record for record in side} for side in (old, new))
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert len(topic.differences) == len(changed)
    assert {item.change for item in topic.differences} <= set(Change)


@given(inventories, inventories)
def test_files_in_the_other_direction_are_mirrored(old: tuple[FileRecord, ...], new: tuple[FileRecord, ...]) -> None:
    left, right = bare(files=entries(old)), bare(files=entries(new))
    there = [mirrored(item) for item in compare_files(left, right).differences]
    back = [sorted_notes(item) for item in compare_files(right, left).differences]
    assert there == back


@given(inventories)
def test_an_inventory_is_read_as_the_strict_reader_does(found: tuple[FileRecord, ...]) -> None:
    if not found:
        return
    strict = from_jsonl(to_jsonl(found))
    assert [(entry.area, entry.path, entry.permissions) for entry in entries(found)] == [
        (record.area, record.path, record.mode) for record in strict
    ]


@given(packages, packages)
def test_packages_in_the_other_direction_are_mirrored(old: list[InstalledPackage], new: list[InstalledPackage]) -> None:
    there = [mirrored(item) for item in package_differences("packages", old, new)]
    assert there == [sorted_notes(item) for item in package_differences("packages", new, old)]
    assert list(package_differences("packages", old, [replace(package) for package in old])) == []


@given(lines, lines)
def test_command_lines_differ_if_and_only_if_they_are_not_the_same(old: str, new: str) -> None:
    found = list(argument_differences(old, new))
    assert bool(found) is (old != new)
    assert sorted(item.id for item in found) == sorted(item.id for item in argument_differences(new, old))
    assert len({item.id for item in found}) == len(found)
