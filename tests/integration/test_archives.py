"""Several signed archives, real apt: what is chosen from which, and every way in which an archive is not to be used."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.definition.archives import PackageArchive
from builder.definition.mirror import Mirror
from builder.errors import ToolFailedError
from builder.mkosi.archive_state import require_not_older
from builder.mkosi.resolve import Index, read_archives
from tests.signed_archive import DATE, Key, Package, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration
NOW = dt.datetime.now(dt.UTC)
PAST = dt.datetime(2026, 1, 8, tzinfo=dt.UTC)
HELLO = Package("hello", "1.0", "libhello")
LIBRARY = Package("libhello", "1.0")


@pytest.fixture(scope="module")
def key(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key.new(toolchain, tmp_path_factory.mktemp("key") / "own")


@pytest.fixture
def roots(tmp_path: Path, key: Key) -> Path:
    """Where archives are; "main" is one of hello and its library."""
    write(tmp_path / "main", key, "trixie", HELLO, LIBRARY)
    return tmp_path


def archive(
    roots: Path,
    key: Key,
    name: str,
    suite: str,
    *,
    only: tuple[str, ...] | None = None,
    parts: tuple[str, ...] | None = None,
    allow_expired: bool = False,
) -> PackageArchive:
    place = Mirror((roots / name).as_uri(), "the test")
    return PackageArchive(
        name, suite, ("main",), place, keyring=key.public, only=only, parts=parts, allow_expired=allow_expired
    )  # fmt: skip


def read(toolchain: Toolchain, roots: Path, archives: Sequence[PackageArchive]) -> Index:
    (roots / "apt").mkdir()
    return read_archives(toolchain, roots / "apt", archives, now=NOW, log=roots / "log")


def test_of_two_archives_the_newer_version_is_chosen_and_its_archive_is_known(
    toolchain: Toolchain, roots: Path, key: Key
) -> None:
    write(roots / "security", key, "trixie-security", Package("hello", "1.0-1+deb13u1", "libhello"), date=PAST)
    index = read(
        toolchain, roots, [archive(roots, key, "main", "trixie"), archive(roots, key, "security", "trixie-security")]
    )
    chosen = index.choose("root", ["hello"], {})
    assert {item.name: (item.version, item.archive) for item in index.find(chosen).values()} == {
        "hello": ("1.0-1+deb13u1", "security"), "libhello": ("1.0", "main")
    }  # fmt: skip
    assert index.fixes({"hello", "libhello"}) == {("hello", "amd64"): ["1.0-1+deb13u1"]}
    assert [state.id for state in index.states.values()] == [
        "main@2026-01-01T00:00:00Z", "security@2026-01-08T00:00:00Z"
    ]  # fmt: skip
    assert all(re.fullmatch("[0-9A-F]{40}", signer) for state in index.states.values() for signer in state.signed_by)
    assert {state.expired for state in index.states.values()} == {None}


def test_of_an_archive_with_named_packages_nothing_else_is_taken(toolchain: Toolchain, roots: Path, key: Key) -> None:
    write(roots / "next", key, "forky", Package("hello", "2.0", "libhello"), Package("libhello", "2.0"))
    index = read(
        toolchain,
        roots,
        [archive(roots, key, "main", "trixie"), archive(roots, key, "next", "forky", only=("hello",))],
    )
    assert index.choose("root", ["hello"], {}) == {("hello", "2.0", "amd64"), ("libhello", "1.0", "amd64")}
    kept = index.choose("root", ["hello"], {"hello": "1.0"})
    assert kept == {("hello", "1.0", "amd64"), ("libhello", "1.0", "amd64")}


def test_an_archive_for_one_part_gives_nothing_to_others(toolchain: Toolchain, roots: Path, key: Key) -> None:
    write(roots / "next", key, "forky", Package("hello", "2.0", "libhello"), Package("libhello", "2.0"))
    both = [archive(roots, key, "main", "trixie"), archive(roots, key, "next", "forky", parts=("engine",))]
    index = read(toolchain, roots, both)
    assert index.choose("engine", ["hello"], {}) == {("hello", "2.0", "amd64"), ("libhello", "2.0", "amd64")}
    assert index.choose("root", ["hello"], {}) == {("hello", "1.0", "amd64"), ("libhello", "1.0", "amd64")}


def test_what_a_named_package_needs_from_there_must_be_named_too(toolchain: Toolchain, roots: Path, key: Key) -> None:
    write(roots / "next", key, "forky", Package("hello", "2.0", "libhello (>= 2)"), Package("libhello", "2.0"))
    both = [archive(roots, key, "main", "trixie"), archive(roots, key, "next", "forky", only=("hello",))]
    index = read(toolchain, roots, both)
    with pytest.raises(ToolFailedError, match=r"libhello \(>= 2\)"):
        index.choose("root", ["hello"], {})


def test_an_archive_whose_time_is_over_is_refused_unless_the_definition_allows_it(
    toolchain: Toolchain, roots: Path, key: Key, tmp_path: Path
) -> None:
    write(roots / "next", key, "forky", Package("hello", "2.0", "libhello"), valid_until=PAST)
    main = archive(roots, key, "main", "trixie")
    with pytest.raises(ToolFailedError, match=r"packages cannot be had from file://.*/next .*expired"):
        read(toolchain, roots, [main, archive(roots, key, "next", "forky")])
    (roots / "apt").rename(roots / "first")
    index = read(toolchain, roots, [main, archive(roots, key, "next", "forky", allow_expired=True)])
    assert index.states["next"].expired == "2026-01-08T00:00:00Z"
    assert index.states["main"].expired is None


def test_an_archive_that_another_key_signed_is_refused(toolchain: Toolchain, roots: Path, key: Key) -> None:
    other = Key.new(toolchain, roots / "other-key")
    write(roots / "security", other, "trixie-security", HELLO)
    both = [archive(roots, key, "main", "trixie"), archive(roots, key, "security", "trixie-security")]
    with pytest.raises(ToolFailedError, match=r"packages cannot be had from file://.*/security "):
        read(toolchain, roots, both)


def test_a_signature_that_has_expired_is_refused(toolchain: Toolchain, roots: Path) -> None:
    old = Key.new(toolchain, roots / "old-key", "--faked-system-time 20260101T000000")
    release = roots / "main/dists/trixie/Release"
    old.sign(release, "--faked-system-time 20260102T000000")
    read(toolchain, roots, [archive(roots, old, "main", "trixie")])
    (roots / "apt").rename(roots / "first")
    old.sign(release, "--faked-system-time 20260102T000000", "--default-sig-expire 1d")
    with pytest.raises(ToolFailedError, match="packages cannot be had from"):
        read(toolchain, roots, [archive(roots, old, "main", "trixie")])


def test_an_archive_without_a_key_file_must_be_signed_by_debian(toolchain: Toolchain, roots: Path) -> None:
    place = Mirror((roots / "main").as_uri(), "the test")
    with pytest.raises(ToolFailedError, match="packages cannot be had from"):
        read(toolchain, roots, [PackageArchive("debian", "trixie", ("main",), place)])


@pytest.mark.parametrize("file", ["InRelease", "main/binary-amd64/Packages"])
def test_an_archive_that_was_changed_after_it_was_signed_is_refused(
    toolchain: Toolchain, roots: Path, key: Key, file: str
) -> None:
    path = roots / "main/dists/trixie" / file
    path.write_text(path.read_text().replace("amd64", "amd46"))
    with pytest.raises(ToolFailedError, match="packages cannot be had from"):
        read(toolchain, roots, [archive(roots, key, "main", "trixie")])


def test_one_version_with_two_contents_is_refused(toolchain: Toolchain, roots: Path, key: Key) -> None:
    write(roots / "security", key, "trixie-security", Package("hello", "1.0", "libhello", b"something else"))
    both = [archive(roots, key, "main", "trixie"), archive(roots, key, "security", "trixie-security")]
    index = read(toolchain, roots, both)
    with pytest.raises(ToolFailedError, match=r"hello 1\.0 is one file in main and another in security"):
        index.find({("hello", "1.0", "amd64")})


def test_an_older_state_than_the_locks_is_refused(toolchain: Toolchain, roots: Path, key: Key) -> None:
    index = read(toolchain, roots, [archive(roots, key, "main", "trixie")])
    state = index.states["main"]
    require_not_older([state], {})
    require_not_older([state], {"main": state})
    newer = msgspec.structs.replace(state, date="2026-01-01T00:00:01Z")
    with pytest.raises(ToolFailedError, match=r"main is shown as of 2026-01-01T00:00:00Z, and the lock is of 2026-01"):
        require_not_older([state], {"main": newer})
    assert state.date == DATE.isoformat().replace("+00:00", "Z")
