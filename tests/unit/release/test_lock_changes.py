from __future__ import annotations

import msgspec

from builder.definition.lock import Part
from builder.release.lock_changes import PackageChange, package_changes
from tests.debs import MAIN, deb, lock, row

SECURITY = msgspec.structs.replace(MAIN, name="security", suite="trixie-security")
OLD = lock(row(deb()), row(deb("gone", "1"), "gone", "1"), row(deb("same", "1"), "same", "1"))
NEW = lock(
    row(deb(version="1:1.0-2"), version="1:1.0-2", archive=SECURITY),
    row(deb("come", "1"), "come", "1"),
    row(deb("same", "1"), "same", "1", archive=SECURITY),
    archives=(MAIN, SECURITY),
)


def change(package: str, old: str | None, new: str | None, archive: str | None, security: bool | None) -> PackageChange:  # noqa: FBT001
    return PackageChange(
        package=package, architecture="amd64", parts=("root",), old=old, new=new, archive=archive, security=security
    )


def test_changes_are_what_came_went_and_moved() -> None:
    assert package_changes(OLD, NEW) == (
        change("come", None, "1", "debian", None),
        change("gone", "1", None, None, None),
        change("hello", "1:1.0-1", "1:1.0-2", "security", None),
    )
    assert package_changes(OLD, OLD) == ()


def test_what_the_security_archive_has_newer_is_a_security_update() -> None:
    fixes = {("hello", "amd64"): ["1:1.0-1+deb13u1"], ("gone", "amd64"): ["1"], ("come", "amd64"): ["9"]}
    assert {item.package: item.security for item in package_changes(OLD, NEW, fixes)} == {
        "come": False, "gone": False, "hello": True
    }  # fmt: skip
    older = {("hello", "amd64"): ["1:1.0-1", "1.9"]}
    assert not any(item.security for item in package_changes(OLD, NEW, older))


def test_the_parts_in_which_a_package_changed_alike_are_told_together() -> None:
    both = [Part.ROOT, Part.INITRD]
    old = lock(row(deb(version="1"), version="1", parts=both))
    new = lock(row(deb(version="2"), version="2", parts=[Part.ROOT]))
    assert [(item.parts, item.old, item.new) for item in package_changes(old, new)] == [
        (("initrd",), "1", None), (("root",), "1", "2")
    ]  # fmt: skip
