"""What happens to files and units, in the words of the rules."""

from __future__ import annotations

import pytest

from builder.compare.difference import Change, Difference, Field
from builder.review.file_needs import Files, file_changes, unit_changes, units
from builder.review.load import parse_rules


def unit(
    *fields: str, change: Change = Change.CONTENT, notes: tuple[str, ...] = (), name: str = "x.service"
) -> Difference:
    return Difference(
        id=f"units/root/{name}", kind="unit", subject=name, change=change, notes=notes, area="root",
        fields=tuple(Field(name=field, old="1", new="2") for field in fields),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (unit("Service.Nice"), {"settings"}),
        (unit("Service.ProtectSystem"), {"sandboxing"}),
        (unit("Service.RootHash"), {"sandboxing"}),
        (unit("Service.NetworkNamespacePath"), {"sandboxing"}),
        (unit("Unit.JoinsNamespaceOf"), {"sandboxing"}),
        (unit("Service.ExtensionImages"), {"sandboxing"}),
        (unit("Service.ExecStart"), {"programs"}),
        (unit("Service.ExecStart", "Service.User", "Unit.After"), {"programs", "sandboxing", "settings"}),
        (unit("Socket.ListenStream", notes=("listening socket",), name="x.socket"), {"listening"}),
        (unit("state", "started by", notes=("is started",)), {"started"}),
        (unit("state", "started by", "enabled by", notes=("is started",)), {"started", "settings"}),
        (unit("state", notes=("is started",), name="x.socket"), {"started", "listening"}),
        (unit("state", notes=("is no longer started",)), {"stopped"}),
        (unit("state", notes=("is no longer started",), name="x.socket"), {"stopped"}),
        (unit("state"), {"settings"}),
        (unit(change=Change.ADDED), {"added"}),
        (unit(change=Change.ADDED, notes=("is started", "programs")), {"added", "started"}),
        (unit(change=Change.ADDED, notes=("listening socket",), name="x.socket"), {"added", "listening"}),
        (unit(change=Change.ADDED, notes=("is started",), name="x.socket"), {"added", "started", "listening"}),
        (unit(change=Change.REMOVED, notes=("is no longer started", "sandboxing")), {"removed", "stopped"}),
        (unit(change=Change.REMOVED, notes=("listening socket",), name="x.socket"), {"removed"}),
    ],
)
def test_a_unit_needs_a_word_for_all_that_happens_to_it(item: Difference, expected: set[str]) -> None:
    assert {word.value for word in unit_changes(item)} == expected


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("{names: [x.*], changes: [settings]}", True),
        ("{names: [x.*], changes: [settings], areas: [root]}", True),
        ("{names: [x.*], changes: [settings], areas: [initrd]}", False),
        ("{names: [y.*], changes: [settings]}", False),
        ("{names: [x.*], changes: [programs]}", False),
    ],
)
def test_a_rule_for_units_is_for_its_names_areas_and_words(rule: str, *, allowed: bool) -> None:
    rules = parse_rules(f"name: test\nunits: [{rule}]".encode(), "rules.yaml").rules
    assert (not list(units(rules, unit("Unit.After")))) is allowed


def test_several_rules_for_a_unit_add_up() -> None:
    text = "name: test\nunits: [{names: ['*'], changes: [settings]}, {names: ['*'], changes: [programs]}]"
    item = unit("Unit.After", "Service.ExecStart")
    assert list(units(parse_rules(text.encode(), "rules.yaml").rules, item)) == []


def file(*fields: str, change: Change = Change.CONTENT, notes: tuple[str, ...] = ()) -> Difference:
    return Difference(
        id="files/root/etc/x", kind="file", subject="/etc/x", change=change, notes=notes, area="root",
        fields=tuple(Field(name=field, old="1", new="2") for field in fields),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (file("sha256", "size"), {"content"}),
        (file("sha256", "mtime"), {"content"}),
        (file("sha256", "mode"), {"content", "metadata"}),
        (file("target"), {"content"}),
        (file("type", "mode"), {"content", "metadata"}),
        (file("uid"), {"metadata"}),
        (file("security.capability"), {"metadata"}),
        (file("mode", "mtime"), {"metadata"}),
        (file("mtime"), {"timestamp"}),
        (file(change=Change.ADDED), {"added"}),
        (file(change=Change.REMOVED), {"removed"}),
    ],
)
def test_a_file_needs_a_word_for_all_that_happens_to_it(item: Difference, expected: set[str]) -> None:
    assert {word.value for word in file_changes(item)} == expected


@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("files: [{paths: [/etc/*], changes: [content]}]", True),
        ("files: [{paths: [/etc/*], changes: [content], areas: [initrd]}]", False),
        ("files: [{paths: [/usr/*], changes: [content]}]", False),
        ("files: [{paths: [/etc/*], changes: [added, removed, metadata, timestamp]}]", False),
        ("package_files: true", False),
    ],
)
def test_a_rule_for_files_is_for_its_paths_areas_and_words(rule: str, *, allowed: bool) -> None:
    rules = parse_rules(f"name: test\n{rule}".encode(), "rules.yaml").rules
    item = file("sha256")
    assert (not list(Files(frozenset(), (item,))(rules, item))) is allowed


@pytest.mark.parametrize("power", ["set-uid", "set-gid", "file capabilities", "a device node"])
@pytest.mark.parametrize(
    ("rule", "allowed"),
    [
        ("{paths: [/etc/*], gains: [POWER]}", True),
        ("{paths: [/etc/*], gains: [POWER], areas: [initrd]}", False),
        ("{paths: [/usr/*], gains: [POWER]}", False),
        ("{paths: [/etc/*], gains: [OTHER]}", False),
    ],
)
def test_power_needs_a_rule_of_its_own(rule: str, power: str, *, allowed: bool) -> None:
    other = "set-gid" if power == "set-uid" else "set-uid"
    text = rule.replace("POWER", power).replace("OTHER", other)
    rules = parse_rules(
        f"name: test\nfiles: [{{paths: ['/**'], changes: [metadata]}}]\nprivileges: [{text}]".encode(), "rules.yaml"
    ).rules
    item = file("mode", change=Change.METADATA, notes=(f"gains {power}",))
    assert (not list(Files(frozenset(), (item,))(rules, item))) is allowed
    lost = file("mode", change=Change.METADATA, notes=(f"loses {power}",))
    assert list(Files(frozenset(), (lost,))(rules, lost)) == []


@pytest.mark.parametrize(
    ("names", "allowed"), [((), True), (("mtime",), True), (("mode",), False), (("uid",), False), (("user.x",), False)]
)
def test_a_copy_in_the_initrd_changes_as_its_original_does(names: tuple[str, ...], *, allowed: bool) -> None:
    rules = parse_rules(b"name: test\npackage_files: true", "rules.yaml").rules
    original = Difference(
        id="files/root/x", kind="file", subject="/x", change=Change.CONTENT, old="1", new="2", area="root",
        package="x", fields=(Field(name="sha256", old="1", new="2"),),
    )  # fmt: skip
    copy = Difference(
        id="files/initrd/x", kind="file", subject="/x", change=Change.CONTENT, old="1", new="2", area="initrd",
        fields=(*original.fields, *(Field(name=name, old="1", new="2") for name in names)),
    )  # fmt: skip
    check = Files(frozenset({("root", "x")}), (original, copy))
    assert list(check(rules, original)) == []
    assert (not list(check(rules, copy))) is allowed


def packaged(*fields: tuple[str, str | None, str | None], path: str = "/usr/bin/x", package: str | None = "x",
             area: str = "root") -> Difference:  # fmt: skip
    return Difference(
        id=f"files/{area}{path}", kind="file", subject=path, change=Change.CONTENT, area=area, package=package,
        fields=tuple(Field(name=name, old=old, new=new) for name, old, new in fields),
    )  # fmt: skip


CONTENT = ("sha256", "1", "2")
KERNEL = "/usr/lib/modules/6.12.1"


@pytest.mark.parametrize(
    ("item", "allowed"),
    [
        (packaged(CONTENT, ("mtime", "1", "2")), True),
        (packaged(CONTENT, ("mode", "0755", "0777")), False),
        (packaged(CONTENT, ("user.x", None, "00")), False),
        (packaged(CONTENT, ("uid", "0", "1")), False),
        (packaged(CONTENT, ("package", "y", "x")), True),
        (packaged(CONTENT, ("package", "z", "x")), False),
        (packaged(CONTENT, ("package", "x", "z"), package="z"), False),
        (packaged(CONTENT, ("package", None, "x")), False),
        (packaged(CONTENT, ("package", "x", None)), False),
        (packaged(CONTENT, ("package", "y", "x"), ("mode", "0755", "0777")), False),
        (packaged(CONTENT, path=f"{KERNEL}/vmlinuz", package=None), True),
        (packaged(CONTENT, path=f"{KERNEL}/modules.dep", package=None, area="initrd"), True),
        (packaged(CONTENT, path="/usr/lib/modules/6.12.2/vmlinuz", package=None), False),
        (packaged(CONTENT, path=f"{KERNEL}/kernel/vmlinuz", package=None), False),
        (packaged(CONTENT, path=f"{KERNEL}/a.ko", package=None), False),
        (packaged(CONTENT, path=f"{KERNEL}/vmlinuz", package="z"), False),
        (packaged(CONTENT, ("mode", "0644", "0666"), path=f"{KERNEL}/vmlinuz", package=None), False),
    ],
)
def test_a_package_brings_contents_and_nothing_else(item: Difference, *, allowed: bool) -> None:
    rules = parse_rules(b"name: test\npackage_files: true", "rules.yaml").rules
    check = Files(frozenset({("root", "x"), ("root", "y"), ("root", "linux-image-6.12.1")}), (item,))
    assert (not list(check(rules, item))) is allowed
