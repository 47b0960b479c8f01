"""Vaults of strangers: what stands under a digest may be anything, and nothing of it may hold a process up."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, NotVerifiedError, ToolFailedError
from builder.vault.exchange import collect_vault, export_vault, import_vault, verify_vault
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault
from tests.debs import deb, lock, publish, row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELLO = deb()
DIGEST = row(HELLO).sha256
KINDS = ["FIFO", "directory", "symbolic link", "socket"]

pytestmark = pytest.mark.timeout(30)


def put(kind: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "FIFO":
            os.mkfifo(place)
        case "directory":
            place.mkdir()
        case "symbolic link":
            place.symlink_to("nowhere")
        case "socket":
            with socket.socket(socket.AF_UNIX) as listening:
                here = os.open(place.parent, os.O_RDONLY)
                listening.bind(f"/proc/self/fd/{here}/{place.name}")  # its own name is too long for a socket
                os.close(here)


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[[str], Vault]:
    def made(kind: str) -> Vault:
        vault = Vault(tmp_path / "hostile")
        put(kind, vault.place(DIGEST))
        return vault

    return made


@pytest.mark.parametrize("kind", KINDS)
def test_verify_names_what_is_no_regular_file(hostile: Callable[[str], Vault], kind: str) -> None:
    vault = hostile(kind)
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [lock(row(HELLO))])
    assert caught.value.problems == (f"{vault.place(DIGEST)} is a {kind}, expected a regular file",)


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_does_not_open_what_is_no_regular_file(
    hostile: Callable[[str], Vault], tmp_path: Path, kind: str
) -> None:
    source = Source(hostile(kind).directory.as_uri(), is_vault=True)
    problem = "No such file" if kind == "symbolic link" else f"is a {kind}, expected a regular file"
    with pytest.raises(ToolFailedError, match=rf"1 of 1 locked packages cannot be had: hello .*{problem}"):
        import_vault(Vault(tmp_path / "own"), [lock(row(HELLO))], source)


def test_an_export_does_not_open_a_fifo(hostile: Callable[[str], Vault], tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="is a FIFO, expected a regular file"):
        export_vault(hostile("FIFO"), [lock(row(HELLO))], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_to_a_fifo_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    package = row(HELLO)
    put("FIFO", tmp_path / "pipe")
    (tmp_path / "archive" / package.path).parent.mkdir(parents=True)
    (tmp_path / "archive" / package.path).symlink_to(tmp_path / "pipe")
    with pytest.raises(ToolFailedError, match="is a FIFO, expected a regular file"):
        fetch(Vault(tmp_path / "own"), [package], [Source((tmp_path / "archive").as_uri())])


def test_an_archive_of_links_to_files_is_read(tmp_path: Path) -> None:
    package = row(HELLO)
    (tmp_path / "elsewhere").write_bytes(HELLO)
    (tmp_path / "archive" / package.path).parent.mkdir(parents=True)
    (tmp_path / "archive" / package.path).symlink_to(tmp_path / "elsewhere")
    assert fetch(Vault(tmp_path / "own"), [package], [Source((tmp_path / "archive").as_uri())]) == 1


def test_a_name_with_a_zero_byte_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"1 of 1 locked packages cannot be had: .*null byte"):
        fetch(Vault(tmp_path / "own"), [row(HELLO)], [Source("file:///tmp/%00")])


@pytest.mark.parametrize("kind", ["FIFO", "symbolic link", "socket"])
def test_a_build_takes_only_regular_files_and_puts_right_what_is_none(
    hostile: Callable[[str], Vault], tmp_path: Path, kind: str
) -> None:
    vault = hostile(kind)
    with pytest.raises(InvalidInputError, match="hello is not in the vault"):
        vault.take(DIGEST, tmp_path / "taken.deb", "hello")
    assert fetch(vault, [row(HELLO)], [Source(publish(tmp_path / "archive", (row(HELLO), HELLO)))]) == 1
    vault.take(DIGEST, tmp_path / "taken.deb", "hello")
    assert (tmp_path / "taken.deb").read_bytes() == HELLO
    assert not (vault.place(DIGEST).parent / "nowhere").exists()


def test_a_link_to_the_right_file_is_not_taken_since_it_can_change_after_the_check(
    hostile: Callable[[str], Vault], tmp_path: Path
) -> None:
    vault = hostile("symbolic link")
    (vault.place(DIGEST).parent / "nowhere").write_bytes(HELLO)
    with pytest.raises(InvalidInputError, match="hello is not in the vault"):
        vault.take(DIGEST, tmp_path / "taken.deb", "hello")


def test_a_device_is_no_regular_file(tmp_path: Path) -> None:
    served = Vault(tmp_path / "served")
    served.place(DIGEST).parent.mkdir(parents=True)
    served.place(DIGEST).symlink_to("/dev/zero")
    with pytest.raises(ToolFailedError, match="/dev/zero is a device, expected a regular file"):
        fetch(Vault(tmp_path / "own"), [row(HELLO)], [Source(served.directory.as_uri(), is_vault=True)])


@pytest.mark.parametrize("kind", ["FIFO", "symbolic link", "socket"])
def test_collecting_deletes_what_is_no_regular_file(hostile: Callable[[str], Vault], kind: str) -> None:
    vault = hostile(kind)
    assert collect_vault(vault, [lock(row(deb("other"), "other"))]).files == 1
    assert list(vault.digests()) == []


def test_collecting_deletes_nothing_where_a_directory_stands(hostile: Callable[[str], Vault]) -> None:
    vault, other = hostile("directory"), deb("other")
    vault.add([other], row(other).sha256, len(other), "other")
    with pytest.raises(InvalidInputError, match=f"{DIGEST} is a directory, expected a regular file"):
        collect_vault(vault, [lock(row(deb("kept"), "kept"))])
    assert vault.has(row(other).sha256)
    assert collect_vault(vault, [lock(row(HELLO))]).files == 1


def test_a_copy_in_the_wrong_folder_is_no_file_of_the_vault(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    vault.add([HELLO], DIGEST, len(HELLO), "hello")
    copy = vault.directory / "sha256/zz" / DIGEST
    put("FIFO", copy)
    with pytest.raises(NotVerifiedError) as caught:
        verify_vault(vault, [])
    assert caught.value.problems == (f"{copy} is no file of a vault",)
