from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from builder.definition.load import load
from builder.definition.lock import (
    LOCK_FILE,
    ImageLock,
    Part,
    decode_lock,
    differences,
    encode_lock,
    load_lock,
    requested,
    require_current,
    require_requested,
)
from builder.errors import InvalidInputError
from tests.debs import deb, lock, row

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = (
    row(deb(), parts=[Part.ROOT, Part.INITRD]),
    row(deb("world", "2.0"), "world", "2.0", [Part.TOOLCHAIN]),
)
ASKED = {"root": ["systemd"], "initrd": ["udev"]}


def documents() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode_lock(lock(*PACKAGES)))
    return value


def changed(path: tuple[str | int, ...], value: object) -> bytes:
    document: Any = documents()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document).encode()


def test_a_lock_is_read_as_it_was_written() -> None:
    original = lock(*sorted(PACKAGES))
    assert decode_lock(encode_lock(original), "image.lock") == original


def test_the_order_of_packages_changes_no_byte() -> None:
    assert encode_lock(lock(*PACKAGES)) == encode_lock(lock(*reversed(PACKAGES)))


def test_each_package_has_a_line_of_its_own() -> None:
    lines = encode_lock(lock(*PACKAGES)).decode().splitlines()
    assert [json.loads(line.rstrip(","))["name"] for line in lines if '"sha256"' in line] == ["hello", "world"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "truncated"),
        (b"packages: []", "malformed"),
        (changed(("schema",), "bedplate.lock.v2"), "bedplate.lock.v2"),
        (changed(("unknown",), 1), "unknown"),
        (changed(("packages",), []), "packages"),
        (changed(("packages", 0, "sha256"), "A" * 64), "sha256"),
        (changed(("packages", 0, "sha256"), "a" * 64 + "\n"), "sha256"),
        (changed(("packages", 0, "size"), 0), "size"),
        (changed(("packages", 0, "name"), "../x"), "name"),
        (changed(("packages", 0, "version"), "1/2"), "version"),
        (changed(("packages", 0, "path"), "pool/../../etc/x.deb"), "path"),
        (changed(("packages", 0, "path"), "/pool/x.deb"), "path"),
        (changed(("packages", 0, "parts"), []), "parts"),
        (changed(("packages", 0, "parts"), ["kernel"]), "parts"),
        (changed(("packages", 1, "name"), "hello"), "hello:amd64 is there twice"),
        (changed(("packages", 1, "parts"), ["root"]), "it has no package for toolchain"),
        (changed(("requested",), {"root": ["x"]}), "requested names root, expected initrd, root, toolchain"),
        (changed(("archive", "signed_by"), []), "signed_by"),
    ],
)
def test_what_is_no_lock_is_refused_with_its_place(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        decode_lock(data, "image.lock")
    assert str(caught.value).startswith("image.lock is no lock: ")


def test_a_missing_lock_is_told_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"has no {LOCK_FILE}, which says what to build from"):
        load_lock(tmp_path)


def test_differences_are_what_came_went_and_moved() -> None:
    old = lock(*PACKAGES, row(deb("gone", "1"), "gone", "1"))
    new = lock(row(deb(version="2"), version="2"), PACKAGES[1], row(deb("come", "1"), "come", "1"))
    assert differences(old, new) == {
        "come:amd64": (None, "1"), "gone:amd64": ("1", None), "hello:amd64": ("1:1.0-1", "2")
    }  # fmt: skip
    assert differences(old, old) == {}


@pytest.fixture
def locked(tmp_path: Path) -> tuple[Path, ImageLock]:
    (tmp_path / "base").mkdir()
    (tmp_path / "node").mkdir()
    (tmp_path / "node/image.yaml").write_text(
        "name: node\nversion: 1.0.0\nbase: ../base\nsource_date: 2026-01-01T00:00:00Z\n"
        "seed: 5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31\n"
    )
    return tmp_path / "node", msgspec.structs.replace(lock(*PACKAGES), requested=requested(ASKED, ["mkosi"]))


def test_a_lock_of_the_same_request_is_current(locked: tuple[Path, ImageLock]) -> None:
    require_current(locked[1], load(locked[0]))
    require_requested(locked[1], requested(ASKED, ["mkosi"]))


@pytest.mark.parametrize(
    ("asked", "toolchain", "problem"),
    [
        (ASKED | {"root": ["systemd", "nginx"]}, ["mkosi"], r"nginx is not in the lock \(root\)"),
        (ASKED | {"initrd": []}, ["mkosi"], r"udev is in the lock and not asked for \(initrd\)"),
        (ASKED, ["mkosi", "qemu"], r"qemu is not in the lock \(toolchain\)"),
    ],
)
def test_a_definition_that_asks_for_something_else_makes_the_lock_old(
    locked: tuple[Path, ImageLock], asked: dict[str, list[str]], toolchain: list[str], problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"the lock of node is out of date: {problem}"):
        require_requested(locked[1], requested(asked, toolchain))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("distribution: {suite: forky}\n", "distribution.suite is trixie in the lock and forky in the definition"),
        ("distribution: {components: [main, contrib]}\n", "distribution.components is"),
    ],
)
def test_another_archive_makes_the_lock_old(locked: tuple[Path, ImageLock], line: str, problem: str) -> None:
    path = locked[0] / "image.yaml"
    path.write_text(path.read_text() + line)
    with pytest.raises(InvalidInputError, match=problem):
        require_current(locked[1], load(locked[0]))
