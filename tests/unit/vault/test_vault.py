from __future__ import annotations

import datetime as dt
import http.server
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.definition.lock import Part
from builder.errors import InvalidInputError, NotVerifiedError, ToolFailedError
from builder.vault.archive import write_archive
from builder.vault.exchange import collect_vault, export_vault, import_vault, verify_vault
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault
from builder.vault.supply import Supply
from tests.debs import deb, lock, publish, row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.definition.lock import LockedPackage

HELLO = deb()
WORLD = deb("world", "2.0")
DATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "vault")


def fill(vault: Vault, *contents: bytes) -> None:
    for content in contents:
        package = row(content)
        vault.add([content], package.sha256, package.size, "a package")


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_what_is_put_in_comes_out(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO)
    vault.take(row(HELLO).sha256, tmp_path / "out.deb", "hello")
    assert (tmp_path / "out.deb").read_bytes() == HELLO


@pytest.mark.parametrize(
    ("chunks", "problem"),
    [
        ([HELLO[:-1]], f"has {len(HELLO) - 1} bytes, SHA-256"),
        ([HELLO, b"x"], f"is longer than {len(HELLO)} bytes"),
        ([HELLO[:-1], b"x"], "SHA-256 .*; the lock names"),
        ([], "has 0 bytes"),
    ],
)
def test_a_file_that_is_not_the_locked_one_does_not_get_in(vault: Vault, chunks: list[bytes], problem: str) -> None:
    package = row(HELLO)
    with pytest.raises(InvalidInputError, match=problem):
        vault.add(chunks, package.sha256, package.size, "hello")
    assert files(vault.directory) == []


def test_a_longer_file_is_not_read_to_its_end(vault: Vault) -> None:
    def endless() -> Iterator[bytes]:
        yield HELLO
        yield b"x"
        raise AssertionError("read on")

    package = row(HELLO)
    with pytest.raises(InvalidInputError, match="is longer"):
        vault.add(endless(), package.sha256, package.size, "hello")


def test_a_file_that_was_changed_in_the_vault_is_refused_and_removed(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO)
    place = vault.place(row(HELLO).sha256)
    place.write_bytes(HELLO[:-1] + b"!")
    with pytest.raises(InvalidInputError, match=r"hello in the vault .* was changed: its SHA-256 is"):
        vault.take(row(HELLO).sha256, tmp_path / "out.deb", "hello")
    assert not place.exists()
    assert not (tmp_path / "out.deb").exists()


def test_what_was_taken_does_not_change_with_the_vault(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO)
    vault.take(row(HELLO).sha256, tmp_path / "out.deb", "hello")
    with vault.place(row(HELLO).sha256).open("r+b") as file:
        file.write(b"changed in place")
    assert (tmp_path / "out.deb").read_bytes() == HELLO


def test_all_files_that_were_changed_are_told_and_removed_at_once(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO, WORLD)
    for content in (HELLO, WORLD):
        vault.place(row(content).sha256).write_bytes(b"changed")
    (tmp_path / "archive").mkdir()
    packages = [row(HELLO), row(WORLD, "world", "2.0")]
    with pytest.raises(
        InvalidInputError, match=r"hello 1:1\.0-1 in the vault .* was changed(.|\n)*\nworld 2\.0 in the"
    ):
        write_archive(vault, packages, tmp_path / "archive", suite="trixie", date=DATE)
    assert list(vault.digests()) == []


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_can_be_no_vault(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    vault, locks = Vault(tmp_path / name), [lock(row(HELLO))]
    with pytest.raises(InvalidInputError, match=f"{name} can be no vault"):
        import_vault(vault, locks, Source(tmp_path.as_uri(), is_vault=True))
    with pytest.raises(InvalidInputError, match="there is no vault"):
        collect_vault(vault, locks)


def test_missing_packages_are_fetched_once(vault: Vault, tmp_path: Path) -> None:
    hello, world = row(HELLO), row(WORLD, "world", "2:2.0")
    source = Source(publish(tmp_path / "mirror", (hello, HELLO), (world, WORLD)))
    fill(vault, HELLO)
    lines: list[str] = []
    assert fetch(vault, [hello, world], [source], lines.append) == 1
    assert lines == ["fetched 1 of 1 packages"]
    assert fetch(vault, [hello, world], []) == 0


def test_a_later_source_has_what_the_first_has_not(vault: Vault, tmp_path: Path) -> None:
    hello = row(HELLO)
    wrong = Source(publish(tmp_path / "wrong", (hello, WORLD)))
    empty = Source((tmp_path / "empty").as_uri())
    right = Source(publish(tmp_path / "right", (hello, HELLO)))
    assert fetch(vault, [hello], [empty, wrong, right]) == 1


def test_all_that_cannot_be_had_is_told_and_the_rest_is_kept(vault: Vault, tmp_path: Path) -> None:
    hello, world = row(HELLO), row(WORLD, "world", "2:2.0")
    source = Source(publish(tmp_path / "mirror", (hello, HELLO[:-1]), (world, WORLD)))
    with pytest.raises(ToolFailedError, match=r"1 of 2 locked packages cannot be had: hello 1:1.0-1 \(file://.*bytes"):
        fetch(vault, [hello, world], [source])
    assert vault.has(world.sha256)
    assert not vault.has(hello.sha256)


def test_packages_that_cannot_be_had_for_one_reason_are_told_with_it_once(vault: Vault, tmp_path: Path) -> None:
    packages = [row(deb(f"package{number}"), f"package{number}") for number in range(7)]
    source = Source((tmp_path / "empty").as_uri())
    with pytest.raises(ToolFailedError) as caught:
        fetch(vault, packages, [source])
    names = ", ".join(f"package{number} 1:1.0-1" for number in range(5))
    assert str(caught.value) == (
        f"7 of 7 locked packages cannot be had: {names} and 2 more ({source.url}: No such file or directory)"
    )


def test_not_more_reasons_are_told_than_one_reads(vault: Vault, tmp_path: Path) -> None:
    packages = [row(deb(f"package{number}"), f"package{number}") for number in range(7)]
    source = Source(publish(tmp_path / "archive", *((package, package.name.encode()) for package in packages)))
    with pytest.raises(ToolFailedError, match=r"7 of 7 .*package4 1:1\.0-1 .*; and 2 more$"):
        fetch(vault, packages, [source])


def test_without_a_source_a_missing_package_is_named(vault: Vault) -> None:
    with pytest.raises(ToolFailedError, match=r"hello 1:1\.0-1 \(no source is named\)"):
        fetch(vault, [row(HELLO)], [])


def test_a_vault_on_a_web_server_is_a_source_and_its_errors_are_told(vault: Vault, tmp_path: Path) -> None:
    served = Vault(tmp_path / "served")
    fill(served, HELLO)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(served.directory))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = Source(f"http://127.0.0.1:{server.server_address[1]}", is_vault=True)
        assert fetch(vault, [row(HELLO)], [source]) == 1
        with pytest.raises(ToolFailedError, match=r"hello 1:1\.0-1 \(http://127.0.0.1:\d+: 404"):
            fetch(vault, [row(WORLD)], [source])
        server.shutdown()


def test_the_archive_has_the_locked_packages_and_their_fields(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO, WORLD)
    archive = tmp_path / "archive"
    archive.mkdir()
    write_archive(vault, [row(HELLO)], archive, suite="trixie", date=DATE)
    assert files(archive) == [
        "dists/trixie/Release",
        "dists/trixie/main/binary-amd64/Packages",
        "pool/hello_1%3a1.0-1_amd64.deb",
    ]
    index = (archive / "dists/trixie/main/binary-amd64/Packages").read_text()
    assert index == (
        "Package: hello\nVersion: 1:1.0-1\nArchitecture: amd64\nDescription: a package\n"
        f"Filename: pool/hello_1%3a1.0-1_amd64.deb\nSize: {len(HELLO)}\nSHA256: {row(HELLO).sha256}\n"
    )
    assert "Date: Thu, 01 Jan 2026 00:00:00 GMT\n" in (archive / "dists/trixie/Release").read_text()


@pytest.mark.parametrize(
    ("content", "line"), [(deb("other"), "Package: hello"), (deb(version="2"), "Version: 1:1.0-1"),
                          (deb(architecture="arm64"), "Architecture: amd64")]
)  # fmt: skip
def test_a_locked_file_that_is_another_package_is_refused(
    vault: Vault, tmp_path: Path, content: bytes, line: str
) -> None:
    fill(vault, content)
    (tmp_path / "archive").mkdir()
    with pytest.raises(InvalidInputError, match=f"is another package: it has no line '{line}'"):
        write_archive(vault, [row(content)], tmp_path / "archive", suite="trixie", date=DATE)


def test_two_versions_of_a_package_are_not_put_into_one_archive(vault: Vault, tmp_path: Path) -> None:
    newer = deb(version="2")
    fill(vault, HELLO, newer)
    packages = [row(HELLO), row(newer, version="2", parts=["engine"])]
    (tmp_path / "archive").mkdir()
    with pytest.raises(InvalidInputError, match=r"hello is there in the versions 1:1\.0-1 and 2, and parts that"):
        write_archive(vault, packages, tmp_path / "archive", suite="trixie", date=DATE)


def test_a_supply_writes_the_parts_that_are_asked_for(vault: Vault, tmp_path: Path) -> None:
    hello, world = row(HELLO), row(WORLD, "world", "2.0", [Part.TOOLCHAIN, Part.INITRD])
    fill(vault, HELLO, WORLD)
    supply = Supply(lock(hello, world), vault, [])
    supply.write_archive(tmp_path / "archive", Part.TOOLCHAIN, date=DATE)
    assert [path.name for path in (tmp_path / "archive/pool").iterdir()] == ["world_2.0_amd64.deb"]


def test_the_digest_of_a_part_follows_its_packages_only() -> None:
    hello, world = row(HELLO), row(WORLD, "world", "2.0", [Part.TOOLCHAIN])
    both, other = Supply(lock(hello, world), Vault, []), Supply(lock(row(WORLD), world), Vault, [])  # type: ignore[arg-type]
    assert both.digest(Part.TOOLCHAIN) == other.digest(Part.TOOLCHAIN)
    assert both.digest(Part.ROOT) != other.digest(Part.ROOT)


def test_an_exported_vault_has_what_the_locks_name_and_nothing_else(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO, WORLD)
    assert export_vault(vault, [lock(row(HELLO))], tmp_path / "out").files == 1
    assert list(Vault(tmp_path / "out").digests()) == [row(HELLO).sha256]
    assert not Vault(tmp_path / "out").place(row(HELLO).sha256).samefile(vault.place(row(HELLO).sha256))
    other = Vault(tmp_path / "other")
    assert import_vault(other, [lock(row(HELLO))], Source((tmp_path / "out").as_uri(), is_vault=True)).files == 1
    assert verify_vault(other, [lock(row(HELLO))]).bytes == len(HELLO)


def test_an_export_that_lacks_a_file_leaves_nothing(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO)
    with pytest.raises(ToolFailedError, match=r"1 of 2 locked packages cannot be had: world 2\.0") as caught:
        export_vault(vault, [lock(row(HELLO), row(WORLD, "world", "2.0"))], tmp_path / "out")
    assert caught.value.hint == "`bedplate vault import LOCK` brings what is missing or changed into the vault"
    assert [path.name for path in tmp_path.iterdir()] == ["vault"]


def test_an_import_does_not_take_in_a_changed_file(vault: Vault, tmp_path: Path) -> None:
    other = Vault(tmp_path / "other")
    fill(other, HELLO)
    other.place(row(HELLO).sha256).write_bytes(WORLD)
    with pytest.raises(ToolFailedError, match="1 of 1 locked packages cannot be had"):
        import_vault(vault, [lock(row(HELLO))], Source(other.directory.as_uri(), is_vault=True))
    assert list(vault.digests()) == []


@pytest.mark.parametrize("changed", [HELLO[:-1] + b"!", b"", HELLO + b"x"], ids=["same size", "empty", "longer"])
def test_an_import_replaces_a_file_that_was_changed(vault: Vault, tmp_path: Path, changed: bytes) -> None:
    locks, other = [lock(row(HELLO))], Vault(tmp_path / "other")
    fill(vault, HELLO)
    fill(other, HELLO)
    vault.place(row(HELLO).sha256).write_bytes(changed)
    source = Source(other.directory.as_uri(), is_vault=True)
    assert import_vault(vault, locks, source).files == 1
    assert verify_vault(vault, locks).files == 1
    assert import_vault(vault, locks, source).files == 0


def test_an_import_that_cannot_replace_a_changed_file_says_so(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO)
    vault.place(row(HELLO).sha256).write_bytes(HELLO[:-1] + b"!")
    with pytest.raises(ToolFailedError, match="1 of 1 locked packages cannot be had") as caught:
        import_vault(vault, [lock(row(HELLO))], Source((tmp_path / "empty").as_uri(), is_vault=True))
    assert caught.value.hint == "name a vault that has them (--from)"


def larger(package: LockedPackage) -> LockedPackage:
    return msgspec.structs.replace(package, size=package.size + 1)


def test_verify_names_a_size_that_is_not_the_locked_one(vault: Vault) -> None:
    fill(vault, HELLO)
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [lock(larger(row(HELLO)))])
    size = len(HELLO)
    assert caught.value.problems == (f"hello 1:1.0-1 has {size} bytes; the lock names {size + 1} bytes",)


def test_two_locks_are_compared_each_by_its_own_size(vault: Vault) -> None:
    fill(vault, HELLO)
    for locks in ([row(HELLO), larger(row(HELLO))], [larger(row(HELLO)), row(HELLO)]):
        with pytest.raises(NotVerifiedError):
            verify_vault(vault, [lock(package) for package in locks])


def test_an_import_for_a_lock_with_a_wrong_size_is_refused(vault: Vault, tmp_path: Path) -> None:
    other = Vault(tmp_path / "other")
    fill(vault, HELLO)
    fill(other, HELLO)
    with pytest.raises(ToolFailedError, match=f"has {len(HELLO)} bytes.*the lock names {len(HELLO) + 1} bytes"):
        import_vault(vault, [lock(larger(row(HELLO)))], Source(other.directory.as_uri(), is_vault=True))
    assert verify_vault(vault, [lock(row(HELLO))]).files == 1


def test_a_build_refuses_a_lock_with_a_wrong_size(vault: Vault, tmp_path: Path) -> None:
    fill(vault, HELLO)
    (tmp_path / "archive").mkdir()
    with pytest.raises(InvalidInputError, match=f"has {len(HELLO)} bytes; the lock names {len(HELLO) + 1}"):
        write_archive(vault, [larger(row(HELLO))], tmp_path / "archive", suite="trixie", date=DATE)


def test_verify_names_every_changed_and_every_missing_file(vault: Vault) -> None:
    fill(vault, HELLO, WORLD)
    vault.place(row(HELLO).sha256).write_bytes(b"changed")
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [lock(row(deb("missing"), "missing", "3"))])
    assert [problem.partition(" ")[2] for problem in caught.value.problems] == [
        "has SHA-256 " + row(b"changed").sha256, "3 is missing"
    ]  # fmt: skip


def test_verify_names_what_is_no_file_of_a_vault(vault: Vault) -> None:
    fill(vault, HELLO)
    stranger = vault.place(row(HELLO).sha256).with_name("hello.deb")
    stranger.write_bytes(HELLO)
    (vault.directory / "sha256/ab").mkdir()
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [])
    assert caught.value.problems == (f"{stranger} is no file of a vault",)


def test_an_empty_vault_is_not_whole(vault: Vault) -> None:
    vault.directory.mkdir()
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [])
    assert caught.value.problems == ("it holds no file",)


def test_a_directory_that_is_not_there_is_told_and_not_made(vault: Vault, tmp_path: Path) -> None:
    locks = [lock(row(HELLO))]
    for act in (
        lambda: verify_vault(vault, locks),
        lambda: collect_vault(vault, locks),
        lambda: export_vault(vault, locks, tmp_path / "out"),
    ):
        with pytest.raises(InvalidInputError, match=f"there is no vault {vault.directory}"):
            act()
    assert list(tmp_path.iterdir()) == []


def test_an_import_makes_the_vault(vault: Vault, tmp_path: Path) -> None:
    source = Vault(tmp_path / "source")
    fill(source, HELLO)
    assert import_vault(vault, [lock(row(HELLO))], Source(source.directory.as_uri(), is_vault=True)).files == 1
    assert vault.has(row(HELLO).sha256)


def test_collecting_deletes_what_no_lock_names_and_what_was_left_half(vault: Vault) -> None:
    fill(vault, HELLO, WORLD)
    (vault.place(row(HELLO).sha256).parent / ".partial-x").write_bytes(b"half")
    assert collect_vault(vault, [lock(row(HELLO))]).files == 1
    assert files(vault.directory) == [f"sha256/{row(HELLO).sha256[:2]}/{row(HELLO).sha256}"]


def test_collecting_without_a_lock_is_refused(vault: Vault) -> None:
    fill(vault, HELLO)
    with pytest.raises(InvalidInputError, match="no lock is named, so everything would be deleted"):
        collect_vault(vault, [])
    assert vault.has(row(HELLO).sha256)
