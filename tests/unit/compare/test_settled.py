"""What inventories alone settle about units, modules and the kernel's configuration, and what they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from builder.compare.baseline import Unknown
from builder.compare.difference import Verdict
from builder.compare.entries import Entry
from builder.compare.kernel import compare_configuration, compare_modules
from builder.compare.systemd import compare_units
from tests.baselines import bare

if TYPE_CHECKING:
    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic

CLOSED = Unknown("the image was not opened")
# The links that every image has whose /usr is merged, and one by which a unit is enabled.
USUAL = {
    "/lib": "-> usr/lib",
    "/etc/systemd/system/multi-user.target.wants/a.service": "-> /usr/lib/systemd/system/a.service",
    "/etc/systemd/system/masked.service": "-> /dev/null",
    "/usr/lib/systemd/system/a.service": "unit",
    "/usr/lib/modules/6/config": "CONFIG_A=y",
    "/usr/lib/modules/6/a.ko": "module",
}


def side(tree: dict[str, str], area: str = "root") -> Baseline:
    """Files by path; a content that begins with an arrow is a link's target."""
    return bare(files=tuple(entry(area, path, tree[path]) for path in sorted(tree)), systemd=CLOSED, kernels=CLOSED)


def entry(area: str, path: str, content: str) -> Entry:
    target = content.removeprefix("-> ") if content.startswith("-> ") else None
    values: dict[str, Any] = {
        "area": area, "path": path, "type": "symlink" if target else "file", "mode": "0644", "uid": 0, "gid": 0,
        "size": len(content), "mtime": 1, "sha256": None if target else content.encode().hex().ljust(64, "0"),
        "xattrs": {}, "target": target, "device": None, "package": None, "version": None,
    }  # fmt: skip
    return Entry(**values)


def units(old: dict[str, str], new: dict[str, str]) -> Topic:
    return compare_units(side(old), side(new))


@pytest.mark.parametrize("compared", [compare_units, compare_configuration, compare_modules])
def test_a_change_elsewhere_leaves_them_equal(compared: Any) -> None:
    old, new = USUAL | {"/opt/x": "one"}, USUAL | {"/opt/x": "other"}
    assert compared(side(old), side(new)).verdict is Verdict.EQUAL
    assert compared(side(old), side(old)).verdict is Verdict.EQUAL


LED_OUT: dict[str, tuple[dict[str, str], str]] = {
    "a link to a file": ({"/etc/systemd/system/b.service": "-> /opt/b.service"}, "/opt/b.service"),
    "several links": (
        {"/etc/systemd/system/b.service": "-> /opt/1", "/opt/1": "-> ../srv/2", "/srv/2": "-> /opt/b"}, "/opt/b",
    ),
    "a changed link in between": (
        {"/etc/systemd/system/b.service": "-> /opt/one", "/srv/x": "", "/srv/y": ""}, "/opt/one",
    ),
    "a directory of drop-ins": ({"/etc/systemd/system/x.service.d": "-> /opt/d"}, "/opt/d/10.conf"),
    "a link below a linked directory": (
        {"/etc/systemd/system/x.service.d": "-> /opt/d", "/opt/d/10.conf": "-> ../c"}, "/opt/c",
    ),
    "a linked search path": ({"/usr/local/lib/systemd": "-> /opt/s"}, "/opt/s/system/b.service"),
    "a link on the way of the search path": ({"/usr/local": "-> /opt/l"}, "/opt/l/lib/systemd/system/b.service"),
    "a link on the way of the target": (
        {"/etc/systemd/system/b.service": "-> /opt/x/b.service", "/opt/x": "-> y"}, "/opt/y/b.service",
    ),
    "a preset": ({}, "/usr/lib/systemd/system-preset/90.preset"),
    "a linked preset": ({"/etc/systemd/system-preset/1.preset": "-> /opt/preset"}, "/opt/preset"),
    "a generator": ({}, "/usr/lib/systemd/system-generators/g"),
    "a linked generator": ({"/etc/systemd/system-generators/g": "-> /opt/g"}, "/opt/g"),
    "linked mounts": ({"/etc/fstab": "-> /opt/fstab"}, "/opt/fstab"),
    "rules of udev": ({"/etc/udev/rules.d": "-> /opt/rules"}, "/opt/rules/1.rules"),
}  # fmt: skip


@pytest.mark.parametrize("case", LED_OUT)
def test_units_are_not_equal_where_what_links_lead_to_changed(case: str) -> None:
    links, changed = LED_OUT[case]
    tree = USUAL | links
    before, after, absent = tree | {changed: "-> /srv/x"}, tree | {changed: "-> /srv/y"}, tree
    plain = tree | {changed: "one"}, tree | {changed: "other"}
    for old, new in ((before, after), plain, (absent, after), (after, absent)):
        assert units(old, new).verdict is Verdict.INCOMPLETE
        assert units(old, old).verdict is Verdict.EQUAL


def test_what_only_one_side_links_to_counts() -> None:
    one = USUAL | {"/opt/b": "one"}
    other = USUAL | {"/opt/b": "other", "/etc/systemd/system/b.service": "-> /opt/b"}
    assert units(one, other).verdict is units(other, one).verdict is Verdict.INCOMPLETE


def test_a_link_leads_nowhere_in_another_area() -> None:
    tree = USUAL | {"/etc/systemd/system/b.service": "-> /opt/b.service"}
    sides = [
        bare(files=(entry("initrd", "/opt/b.service", content), *side(tree).files), systemd=CLOSED)  # type: ignore[misc]
        for content in ("one", "other")
    ]
    assert compare_units(*sides).verdict is Verdict.EQUAL


@pytest.mark.parametrize(
    "links",
    [
        {"/etc/systemd/system/x.service": "-> y.service", "/etc/systemd/system/y.service": "-> x.service"},
        {"/etc/systemd/system/x.service.d": "-> ."},
        {"/etc/systemd/one": "-> .", "/etc/systemd/two": "-> ."},
        {"/etc/systemd": "-> systemd"},
    ],
)
def test_links_without_an_end_settle_nothing(links: dict[str, str]) -> None:
    tree = USUAL | links
    assert units(tree | {"/opt/x": "one"}, tree | {"/opt/x": "other"}).verdict is Verdict.INCOMPLETE
    assert units(tree, tree).verdict is Verdict.EQUAL


@pytest.mark.parametrize(
    ("links", "changed"),
    [
        ({"/usr/lib/modules/6/config": "-> /opt/config"}, "/opt/config"),
        ({"/usr/lib/modules/7": "-> /opt/7"}, "/opt/7/config"),
        ({"/boot/config-6": "-> /opt/config"}, "/opt/config"),
        ({"/boot": "-> /opt/boot"}, "/opt/boot/config-6"),
        ({}, "/usr/lib/kernel/config-6"),
    ],
)
def test_a_configuration_behind_a_link_counts(links: dict[str, str], changed: str) -> None:
    tree = USUAL | links
    old, new = (side(tree | {changed: content}) for content in ("one", "other"))
    assert compare_configuration(old, new).verdict is Verdict.INCOMPLETE
    assert compare_configuration(old, old).verdict is Verdict.EQUAL


def test_the_name_of_a_newer_release_alone_can_choose_another_configuration() -> None:
    old = USUAL | {"/boot/config-7": "CONFIG_B=y"}
    new = old | {"/usr/lib/modules/7": "directory, as it were"}
    assert compare_configuration(side(old), side(new)).verdict is Verdict.INCOMPLETE


@pytest.mark.parametrize(
    ("links", "changed"),
    [
        ({"/usr/lib/modules/6/b.ko": "-> /opt/b.ko"}, "/opt/b.ko"),
        ({"/usr/lib/modules/6/b.ko.xz": "-> c", "/usr/lib/modules/6/c": "-> /opt/c"}, "/opt/c"),
        ({"/usr/lib/modules/6/extra": "-> /opt/extra"}, "/opt/extra/b.ko"),
        ({"/usr/lib/modules": "-> /opt/modules"}, "/opt/modules/6/b.ko"),
    ],
)
def test_modules_behind_links_are_not_equal(links: dict[str, str], changed: str) -> None:
    tree = {path: content for path, content in USUAL.items() if not path.startswith("/usr/lib/modules")} | links
    old, new = (side(tree | {changed: content}) for content in ("one", "other"))
    topic = compare_modules(old, new)
    assert topic.verdict is Verdict.INCOMPLETE
    assert topic.incomplete == (f"root: {changed} differs, and is behind, or is, a link by which modules are found",)
    assert compare_modules(old, old).verdict is Verdict.EQUAL


def test_a_link_to_modules_that_leads_elsewhere_is_told() -> None:
    tree = USUAL | {"/opt/one/b.ko": "b", "/opt/other/b.ko": "b"}
    old, new = (side(tree | {"/usr/lib/modules/6/extra": f"-> /opt/{name}"}) for name in ("one", "other"))
    assert compare_modules(old, new).incomplete == (
        "root: /usr/lib/modules/6/extra differs, and is behind, or is, a link by which modules are found",
    )


def test_what_is_no_module_behind_a_link_does_not_count() -> None:
    tree = USUAL | {"/usr/lib/modules/6/build": "-> /usr/src/6"}
    old, new = (side(tree | {"/usr/src/6/Makefile": content}) for content in ("one", "other"))
    assert compare_modules(old, new).verdict is Verdict.EQUAL


def test_modules_whose_links_have_no_end_are_not_equal() -> None:
    tree = USUAL | {"/usr/lib/modules/6/extra": "-> ."}
    old, new = (side(tree | {"/opt/x": content}) for content in ("one", "other"))
    assert compare_modules(old, new).incomplete == ("links below /usr/lib/modules lead in a circle",)
    assert compare_modules(old, old).verdict is Verdict.EQUAL
