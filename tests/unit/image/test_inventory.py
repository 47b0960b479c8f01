from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import MalformedImageError
from builder.image import inventory_file
from builder.image.binary import BinaryView
from builder.image.detect import open_file_system
from builder.image.dpkg import Package, owners, packages
from builder.image.erofs import Erofs, open_erofs
from builder.image.initrd import Initrd, read_initrd
from builder.image.inventory import FileRecord, file_system_inventory, inventory

if TYPE_CHECKING:
    from collections.abc import Callable

RECORD = FileRecord(
    area="root",
    path="/usr/bin/ping",
    type="file",
    mode=0o4755,
    uid=0,
    gid=0,
    size=3,
    mtime=1735689600,
    sha256="ab" * 32,
    xattrs=(("security.capability", "00ff"),),
    target=None,
    device=None,
    package="iputils-ping",
    version="3:20240905-3",
)


@pytest.fixture
def root(sample: Callable[[str], bytes]) -> Erofs:
    return open_erofs(BinaryView.of(sample("root.erofs"), "root"))


@pytest.fixture
def initrd(sample: Callable[[str], bytes]) -> Initrd:
    return read_initrd(BinaryView.of(sample("initrd.cpio"), "initrd"))


@pytest.fixture
def records(root: Erofs, initrd: Initrd) -> dict[tuple[str, str], FileRecord]:
    return {(record.area, record.path): record for record in inventory(root, initrd)}


def test_every_file_of_both_areas_is_there_in_order(root: Erofs, initrd: Initrd) -> None:
    found = inventory(root, initrd)
    assert [(record.area, record.path) for record in found] == sorted((record.area, record.path) for record in found)
    assert len(found) == 642 + 8
    assert [record.path for record in found[:3]] == ["/", "/dev", "/dev/console"]


def test_a_file_has_its_digest_owner_and_attributes(records: dict[tuple[str, str], FileRecord]) -> None:
    ping = records["root", "/usr/bin/ping"]
    assert (ping.type, ping.mode, ping.size) == ("file", 0o4755, 900)
    assert ping.sha256 == hashlib.sha256(b"\x7fELF ping" * 100).hexdigest()
    assert ping.xattrs == (("security.capability", "0100000200200000000000000000000000000000"),)
    assert (ping.package, ping.version) == ("iputils-ping", "3:20240905-3+b1")


def test_a_file_listed_below_the_old_name_of_a_merged_directory_has_its_owner(
    records: dict[tuple[str, str], FileRecord],
) -> None:
    assert records["root", "/usr/bin/dash"].package == "dash"
    assert records["root", "/usr/bin/sh"].package == "dash"
    assert records["root", "/usr/bin/sh"].target == "dash"
    assert records["root", "/bin"].package == "dash"


def test_nobody_owns_directories_and_what_no_package_lists(records: dict[tuple[str, str], FileRecord]) -> None:
    for path in ("/usr", "/usr/lib/unowned.so", "/odd/size-1"):
        assert (records["root", path].package, records["root", path].version) == (None, None)


def test_without_a_database_nothing_has_an_owner(records: dict[tuple[str, str], FileRecord]) -> None:
    assert {record.package for (area, _), record in records.items() if area == "initrd"} == {None}


def test_hard_links_have_the_same_digest(records: dict[tuple[str, str], FileRecord]) -> None:
    assert records["root", "/odd/hardlink"].sha256 == records["root", "/odd/size-1"].sha256
    assert records["initrd", "/usr/lib/init"].sha256 == records["initrd", "/usr/lib/second-name"].sha256


def test_what_is_no_file_has_neither_size_nor_digest(records: dict[tuple[str, str], FileRecord]) -> None:
    for area, path, kind, device in (
        ("root", "/dev/large", "block", (259, 70000)),
        ("root", "/dev/pipe", "fifo", None),
        ("root", "/dev/socket", "socket", None),
        ("root", "/odd", "directory", None),
        ("initrd", "/dev/console", "char", (5, 1)),
        ("initrd", "/init", "symlink", None),
    ):
        record = records[area, path]
        assert (record.type, record.device, record.size, record.sha256) == (kind, device, 0, None)


def test_an_inventory_reads_back_as_it_was(root: Erofs, initrd: Initrd) -> None:
    found = inventory(root, initrd)
    packed = inventory_file.pack(inventory_file.to_jsonl(found))
    assert packed == inventory_file.pack(inventory_file.to_jsonl(found))
    assert inventory_file.from_jsonl(inventory_file.unpack(packed)) == found
    assert any("\udcff" in record.path for record in found)


def test_a_line_is_compact_with_sorted_keys() -> None:
    assert inventory_file.to_jsonl((RECORD,)) == (
        b'{"area":"root","device":null,"gid":0,"mode":"4755","mtime":1735689600,"package":"iputils-ping",'
        b'"path":"/usr/bin/ping","sha256":"' + b"ab" * 32 + b'","size":3,"target":null,"type":"file","uid":0,'
        b'"version":"3:20240905-3","xattrs":{"security.capability":"00ff"}}\n'
    )


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("area", "usr", "area has the value 'usr'"),
        ("area", ["root"], "area has the value"),
        ("type", "door", "type has the value"),
        ("path", "usr", "path has the value 'usr'"),
        ("path", None, "path has the value"),
        ("mode", "755", "mode has the value '755'"),
        ("mode", 493, "mode has the value '493'"),
        ("uid", -1, "uid has the value '-1'"),
        ("gid", 1.0, "gid has the value"),
        ("size", True, "size has the value 'True'"),
        ("mtime", 2**64, "mtime has the value"),
        ("sha256", "AB" * 32, "sha256 has the value"),
        ("sha256", None, "a file has a digest, target or device number that it cannot have, or none"),
        ("target", "x", ".*that it cannot have"),
        ("device", "1:2", ".*that it cannot have"),
        ("device", "01:2", "device has the value"),
        ("xattrs", [], "xattrs has the value"),
        ("xattrs", {"user.x": "0"}, "xattrs has the value"),
        ("package", 3, "package has the value '3'"),
        ("more", 1, "a line does not have the keys"),
    ],
)
def test_a_line_with_another_value_is_refused(key: str, value: Any, problem: str) -> None:
    values = json.loads(inventory_file.to_jsonl((RECORD,))) | {key: value}
    line = json.dumps(values, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(MalformedImageError, match=f"^inventory at offset 0x0: {problem}"):
        inventory_file.from_jsonl(line)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda _: b"", "the last line has no end, or there is none"),
        (lambda line: line[:-1], "the last line has no end"),
        (lambda _: b"\n", "a line is no JSON object"),
        (lambda _: b"[" * 100_000 + b"\n", "a line is no JSON object"),
        (lambda _: b"[]\n", "does not have the keys"),
        (lambda line: line.replace(b":0", b": 0"), "is not spelled"),
        (lambda line: line.replace(b"ping", b"p\\u0069ng"), "is not spelled"),
        (lambda line: line.replace(b'"uid":0', b'"uid":7,"uid":0'), "is not spelled"),
        (lambda line: line + line, "at offset 0x131: '/usr/bin/ping' is out of order, or there twice"),
    ],
)
def test_an_inventory_that_is_spelled_otherwise_is_refused(change: Callable[[bytes], bytes], problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        inventory_file.from_jsonl(change(inventory_file.to_jsonl((RECORD,))))


def test_lines_out_of_order_are_refused() -> None:
    jsonl = inventory_file.to_jsonl((RECORD, replace(RECORD, path="/a")))
    with pytest.raises(MalformedImageError, match="'/a' is out of order"):
        inventory_file.from_jsonl(jsonl)


def test_a_packed_inventory_with_something_behind_it_is_refused() -> None:
    packed = inventory_file.pack(inventory_file.to_jsonl((RECORD,)))
    with pytest.raises(MalformedImageError, match="something behind the compressed inventory"):
        inventory_file.unpack(packed + b"x")
    with pytest.raises(MalformedImageError, match=r"needs|is broken"):
        inventory_file.unpack(packed[:-1])
    with pytest.raises(MalformedImageError, match="is broken"):
        inventory_file.unpack(packed[:-1] + bytes([packed[-1] ^ 1]))


def test_packages_are_read_from_the_status_file(root: Erofs) -> None:
    assert packages(root.read_file("var/lib/dpkg/status")) == (
        Package("dash", "0.5.12-12", "amd64", "dash", "0.5.12-12", 226),
        Package("iputils-ping", "3:20240905-3+b1", "amd64", "iputils", "3:20240905-3", None),
    )


STANZA = b"Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (STANZA.replace(b"Package: a\n", b""), "at offset 0x0: a stanza has no field Package"),
        (b"\n\n" + STANZA.replace(b"Version: 1\n", b""), "at offset 0x2: a stanza has no field Version"),
        (STANZA.replace(b"Architecture: amd64\n", b""), "no field Architecture"),
        (STANZA.replace(b"ok installed", b"ok borrowed"), "status 'install ok borrowed' is unknown"),
        (STANZA.replace(b"ok installed", b"ok"), "status 'install ok' is unknown"),
        (STANZA + b"\n" + STANZA, "the package a:amd64 is there twice"),
        (STANZA + b"Version: 2\n", "'Version' is no field, or is there twice"),
        (STANZA + b"nonsense\n", "'nonsense' is no field"),
        (b" continued\n" + STANZA, "nothing to continue"),
        (STANZA + b"Installed-Size: many\n", "installed size 'many' of a is no number"),
        (STANZA + b"Maintainer: \xff\n", "a line is not UTF-8"),
    ],
)
def test_a_status_file_that_breaks_the_format_is_refused(status: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        packages(status)


def test_of_several_owners_the_first_by_name_counts() -> None:
    lists = {"b.list": b"/usr/share/x\n", "a:amd64.list": b"/usr/share/x\n/bin/y\n"}
    assert owners(lists, {"bin": "usr/bin"}) == {"usr/share/x": "a", "usr/bin/y": "a"}


@pytest.mark.parametrize("name", ["root.ext4", "root-plain.squashfs"])
def test_the_same_tree_in_another_file_system_has_the_same_inventory(
    sample: Callable[[str], bytes], root: Erofs, name: str
) -> None:
    empty = Initrd((), ())
    other = open_file_system(BinaryView.of(sample(name), name))
    found = {record.path: record for record in file_system_inventory(other, empty)}
    packaged = [record for record in inventory(root, empty) if record.package is not None]
    assert len(packaged) == 4
    assert [found[record.path] for record in packaged] == packaged
