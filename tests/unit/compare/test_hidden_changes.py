"""Changes that another change, or nothing at all, could hide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from builder.compare.baseline import PackedFile, PolicyVerdict
from builder.compare.baselines import compare
from builder.compare.command_line import argument_differences
from builder.compare.difference import Change, Verdict
from builder.compare.entries import Entry, read_entries
from builder.compare.files import CAPABILITY, compare_files
from builder.compare.kernel import compare_modules
from builder.compare.policy import compare_policy
from builder.compare.systemd import compare_units
from builder.compare.uki import compare_packing
from builder.errors import MalformedImageError
from builder.release.statements import BootState, MeasuredEvent, MeasuredPcr, ReferenceValues
from builder.review.file_needs import unit_changes
from policies.facts import Origin, Setting, Unit
from tests.baselines import bare, mirrored, sorted_notes

if TYPE_CHECKING:
    from collections.abc import Mapping

# struct vfs_cap_data: version and flag "effective", then permitted and inheritable, low and high words.
NET_BIND = "0100000200040000000000000000000000000000"
SYS_ADMIN = "0100000200002000000000000000000000000000"
BOTH = "0100000200042000000000000000000000000000"
OF_ANOTHER_ROOT = "0100000300040000000000000000000000000000e8030000"
SHA256 = "a" * 64


def entry(**parts: Any) -> Entry:
    values: dict[str, Any] = {
        "area": "root", "path": "/usr/bin/x", "type": "file", "mode": "0755", "uid": 0, "gid": 0, "size": 1,
        "mtime": 1, "sha256": SHA256, "xattrs": {}, "target": None, "device": None, "package": "x", "version": "1",
    }  # fmt: skip
    return Entry(**(values | parts))


@pytest.mark.parametrize(
    ("old", "new", "gains", "loses"),
    [
        ({"mode": "4755", "uid": 1000}, {"mode": "4755"}, "set-uid", "set-uid"),
        ({"mode": "2755", "gid": 5}, {"mode": "2755", "gid": 6}, "set-gid", "set-gid"),
        ({"mode": "0755", "uid": 1000}, {"mode": "4755"}, "set-uid", None),
        ({"xattrs": {CAPABILITY: NET_BIND}}, {"xattrs": {CAPABILITY: BOTH}}, "file capabilities", None),
        ({"xattrs": {CAPABILITY: BOTH}}, {"xattrs": {CAPABILITY: NET_BIND}}, None, "file capabilities"),
        (
            {"xattrs": {CAPABILITY: NET_BIND}}, {"xattrs": {CAPABILITY: SYS_ADMIN}},
            "file capabilities", "file capabilities",
        ),
        (
            {"xattrs": {CAPABILITY: NET_BIND}}, {"xattrs": {CAPABILITY: OF_ANOTHER_ROOT}},
            "file capabilities", "file capabilities",
        ),
        ({"xattrs": {CAPABILITY: "00"}}, {"xattrs": {CAPABILITY: "01"}}, "file capabilities", "file capabilities"),
        (
            {"type": "char", "sha256": None, "device": "1:3"}, {"type": "char", "sha256": None, "device": "1:1"},
            "a device node", "a device node",
        ),
        ({"mode": "4755"}, {"mode": "4755", "sha256": "b" * 64}, None, None),
        ({"mode": "0755", "uid": 1000}, {"mode": "0755"}, None, None),
    ],
)  # fmt: skip
def test_power_in_other_hands_is_gained(
    old: Mapping[str, Any], new: Mapping[str, Any], gains: str | None, loses: str | None
) -> None:
    sides = [bare(files=(entry(**parts),)) for parts in (old, new)]
    (there,), (back,) = (compare_files(*pair).differences for pair in (sides, sides[::-1]))
    expected = [f"{verb} {power}" for verb, power in (("gains", gains), ("loses", loses)) if power]
    assert list(there.notes) == expected
    assert mirrored(there) == sorted_notes(back)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("ro rw roothash=1", "rw ro roothash=2", ["order of the arguments", "roothash"]),
        ("ro quiet roothash=1", "quiet ro roothash=1 panic=1", ["order of the arguments", "panic"]),
        ("a=1 b a=2", "a=1 a=2 b", ["order of the arguments"]),
        ("ro rw roothash=1", "ro rw roothash=2", ["roothash"]),
        ("ro roothash=1 rw", "ro rw", ["roothash"]),
        ("ro rw", "ro panic=1 rw", ["panic"]),
        ("a -- b", "b -- a", ["-- a", "-- b", "a", "b"]),
    ],
)
def test_an_argument_that_changed_hides_no_other_order(old: str, new: str, found: list[str]) -> None:
    both = [list(argument_differences(*pair)) for pair in ((old, new), (new, old))]
    names = [
        sorted(
            item.subject if item.change is Change.ORDER else item.id.split("/")[1].replace("%20", " ") for item in side
        )
        for side in both
    ]
    assert names == [found, found]


def packed(*files: tuple[str, int]) -> tuple[PackedFile, ...]:
    return tuple(PackedFile(path, run, "none") for path, run in files)


def test_a_directory_may_be_in_each_archive_of_an_initrd() -> None:
    one = bare(packing=packed(("usr", 0), ("usr/a", 0)))
    two = bare(packing=packed(("usr", 0), ("usr/a", 0), ("usr", 1), ("usr/b", 1)))
    for pair in ((one, two), (two, one)):
        assert [item.subject for item in compare_packing(*pair).differences] == ["archives and their compression"]
    swapped = bare(packing=packed(("usr", 0), ("usr/b", 0), ("usr", 1), ("usr/a", 1)))
    assert "order of the files" in [item.subject for item in compare_packing(two, swapped).differences]


def test_disks_that_differ_in_nothing_that_is_compared_differ() -> None:
    one, other = (bare(files=(entry(),), partitions=(), artifacts={"disk": digest}) for digest in ("1" * 64, "2" * 64))
    report = compare(one, other)
    assert report.verdict is Verdict.DIFFERS
    assert [(item.id, item.old, item.new) for item in report.differences] == [("partitions/rest", "1" * 64, "2" * 64)]
    assert compare(one, one).verdict is Verdict.EQUAL


def test_disks_that_differ_in_a_file_differ_in_that() -> None:
    one = bare(files=(entry(),), partitions=(), artifacts={"disk": "1" * 64})
    other = bare(files=(entry(size=2),), partitions=(), artifacts={"disk": "2" * 64})
    assert [item.kind for item in compare(one, other).differences] == ["file"]


@pytest.mark.parametrize(
    "parts",
    [
        {"sha256": None},
        {"type": "directory"},
        {"sha256": "x"},
        {"sha256": SHA256 + "\n"},
        {"xattrs": {CAPABILITY: "zz"}},
        {"xattrs": {CAPABILITY: "0"}},
        {"uid": -1},
        {"size": -1},
    ],
)
def test_a_file_of_which_an_inventory_does_not_say_enough_is_none(parts: Mapping[str, Any]) -> None:
    with pytest.raises(MalformedImageError):
        read_entries(line(entry(**parts)))
    assert read_entries(line(entry())) == (entry(),)


def line(item: Entry) -> bytes:
    return json.dumps({name: getattr(item, name) for name in Entry.__struct_fields__}, sort_keys=True).encode() + b"\n"


def test_an_event_that_is_gone_hides_none_that_came_in_its_place() -> None:
    """The links of both are there, and the new one, which nothing explains, is told so."""
    sides = [
        bare(measured={"enabled": values(name, str(number) * 64)}) for number, name in enumerate(("one", "other"), 1)
    ]
    for pair in (sides, sides[::-1]):
        report = compare(*pair)
        (moved,) = report.pcrs
        assert moved.events == ("event/enabled/4/old-0", "event/enabled/4/0")
        events = {link.id: link for link in report.links if link.kind == "event"}
        assert list(events) == list(moved.events)
        assert not any(link.explained for link in events.values())


def values(name: str, digest: str) -> ReferenceValues:
    event = MeasuredEvent(type="EV_IPL", description=name, source=name, digests={"sha256": digest})
    pcr = MeasuredPcr(predictable=True, values={"sha256": digest}, events=(event,))
    boot = BootState(secure_boot="enabled", platform="generic", profile=0, initrd_systemd=257)
    return ReferenceValues(schema="x", stub="257", boot=boot, banks=("sha256",), pcrs={"4": pcr})


@pytest.mark.parametrize(
    "key", ["ListenStream", "BindToDevice", "BindIPv6Only", "SocketMode", "SocketUser", "FreeBind"]
)
def test_who_can_reach_a_socket_is_part_of_what_listens(key: str) -> None:
    """A socket bound to lo listens elsewhere when that line goes."""
    sides = [bare(systemd={"root": (socket(*settings),)}) for settings in (((key, "lo"),), ())]
    for pair in (sides, sides[::-1]):
        (found,) = compare_units(*pair).differences
        assert "listening socket" in found.notes
        assert {word.value for word in unit_changes(found)} == {"listening"}


def socket(*settings: tuple[str, str]) -> Unit:
    place = Origin(path="/usr/lib/systemd/system/x.socket", line=2)
    return Unit(
        name="x.socket", type="socket", path=place.path, shadowed=(), drop_ins=(), masked_by=None, aliases=(),
        template=False, instance=None, enabled_by=(), edges=(), programs=(), listens=(), credentials=(),
        pulled_in_by=("sockets.target",), file_variables=(), resets=(),
        settings=tuple(Setting(section="Socket", key=key, value=value, origin=place) for key, value in settings),
    )  # fmt: skip


def test_a_module_hides_none_of_the_same_name_of_another_kernel() -> None:
    one, other = (
        bare(
            files=(
                entry(path="/usr/lib/modules/1/a.ko", sha256=digest * 64),
                entry(path="/usr/lib/modules/2/a.ko", sha256="c" * 64),
            )
        )
        for digest in "ab"
    )
    (found,) = compare_modules(one, other).differences
    assert (found.subject, found.old, found.new) == ("a", f"{'a' * 64}, {'c' * 64}", f"{'b' * 64}, {'c' * 64}")
    assert compare_modules(one, one).differences == ()


@pytest.mark.parametrize(
    ("old", "new", "unknown"), [(None, None, ["old", "new"]), ({}, None, ["new"]), (None, {}, ["old"]), ({}, {}, [])]
)
def test_what_was_asked_of_controls_is_not_the_same_where_nobody_knows_it(
    old: Mapping[str, str] | None, new: Mapping[str, str] | None, unknown: list[str]
) -> None:
    sides = (
        bare(verdict=PolicyVerdict(passed=True, outcomes={"ZOA-101": "passed"}, waivers={}, demands=demands))
        for demands in (old, new)
    )
    found = compare_policy(*sides)
    assert [reason.split(": ")[1] for reason in found.incomplete] == unknown
    assert found.verdict is (Verdict.INCOMPLETE if unknown else Verdict.EQUAL)
