from __future__ import annotations

import datetime as dt
import http.server
import threading
from typing import TYPE_CHECKING

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
    with pytest.raises(ToolFailedError, match=r"1 of 2 locked packages cannot be had: world 2\.0"):
        export_vault(vault, [lock(row(HELLO), row(WORLD, "world", "2.0"))], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["vault"]


def test_an_import_does_not_take_in_a_changed_file(vault: Vault, tmp_path: Path) -> None:
    other = Vault(tmp_path / "other")
    fill(other, HELLO)
    other.place(row(HELLO).sha256).write_bytes(WORLD)
    with pytest.raises(ToolFailedError, match="1 of 1 locked packages cannot be had"):
        import_vault(vault, [lock(row(HELLO))], Source(other.directory.as_uri(), is_vault=True))
    assert list(vault.digests()) == []


def test_verify_names_every_changed_and_every_missing_file(vault: Vault) -> None:
    fill(vault, HELLO, WORLD)
    vault.place(row(HELLO).sha256).write_bytes(b"changed")
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [lock(row(deb("missing"), "missing", "3"))])
    assert [problem.partition(" ")[2] for problem in caught.value.problems] == [
        "has SHA-256 " + row(b"changed").sha256, "3 is missing"
    ]  # fmt: skip


def test_an_empty_vault_is_not_whole(vault: Vault) -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [])
    assert caught.value.problems == ("it holds no file",)


def test_collecting_deletes_what_no_lock_names_and_what_was_left_half(vault: Vault) -> None:
    fill(vault, HELLO, WORLD)
    (vault.place(row(HELLO).sha256).parent / ".partial-x").write_bytes(b"half")
    assert collect_vault(vault, [lock(row(HELLO))]).files == 1
    assert files(vault.directory) == [".lock", f"sha256/{row(HELLO).sha256[:2]}/{row(HELLO).sha256}"]


def test_collecting_without_a_lock_is_refused(vault: Vault) -> None:
    fill(vault, HELLO)
    with pytest.raises(InvalidInputError, match="no lock is named, so everything would be deleted"):
        collect_vault(vault, [])
    assert vault.has(row(HELLO).sha256)
