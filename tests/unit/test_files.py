"""Files are whole or not there, whatever happens to the process that writes them."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builder import files
from builder.errors import BedplateError, InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def run_until(text: str, code: str) -> subprocess.Popen[str]:
    """A Python process that has printed ``text``."""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == text
    return child


def kill(child: subprocess.Popen[str]) -> None:
    with child:
        child.send_signal(signal.SIGKILL)


def test_a_file_is_written_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        files.write_atomically(tmp_path / "public", b"data")
    finally:
        os.umask(before)
    assert (tmp_path / "public").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644


def test_a_secret_file_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode)))
    files.write_atomically(tmp_path / "key", b"secret", mode=0o600)
    assert modes[0] == 0o600
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    files.write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(TypeError, match="bytes-like"):
        files.write_atomically(tmp_path / "file", "text")  # type: ignore[arg-type]
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(tmp_path / "file", b"new")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    kill(
        run_until(
            "writing",
            f"""
import os, time
from pathlib import Path
from builder import files

def stall(descriptor):
    print("writing", flush=True)
    time.sleep(600)

os.fsync = stall
files.write_atomically(Path({str(tmp_path)!r}, "file"), b"new")
""",
        )
    )
    assert (tmp_path / "file").read_bytes() == b"old"
    files.remove_partial(tmp_path)
    assert names(tmp_path) == ["file"]


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with files.new_directory(target) as partial:
        assert partial.name.startswith(files.PARTIAL_PREFIX)
        (partial / "sub").mkdir()
        (partial / "sub" / "file").write_bytes(b"data")
        assert not target.exists()
    assert (target / "sub" / "file").read_bytes() == b"data"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert names(tmp_path / "deep") == ["target"]


def test_links_and_fifos_in_a_directory_are_no_obstacle(tmp_path: Path) -> None:
    with files.new_directory(tmp_path / "target") as partial:
        (partial / "link").symlink_to("/nowhere")
        os.mkfifo(partial / "fifo")
    assert names(tmp_path / "target") == ["fifo", "link"]


def test_a_directory_whose_block_fails_vanishes(tmp_path: Path) -> None:
    def interrupted() -> None:
        with files.new_directory(tmp_path / "target") as partial:
            (partial / "file").write_bytes(b"data")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_a_directory_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with (
        pytest.raises(InvalidInputError, match="target already exists"),
        files.new_directory(tmp_path / "target"),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["target"]


def test_a_dangling_link_in_the_place_of_a_directory_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").symlink_to("nowhere")
    with (
        pytest.raises(InvalidInputError, match="target already exists"),
        files.new_directory(tmp_path / "target"),
    ):
        pytest.fail("the block must not run")


def test_a_kill_in_the_middle_of_a_directory_leaves_no_target(tmp_path: Path) -> None:
    kill(
        run_until(
            "writing",
            f"""
import time
from pathlib import Path
from builder import files

with files.new_directory(Path({str(tmp_path)!r}, "target")) as partial:
    (partial / "file").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(600)
""",
        )
    )
    assert all(name.startswith(files.PARTIAL_PREFIX) for name in names(tmp_path))
    files.remove_partial(tmp_path)
    assert names(tmp_path) == []


def test_only_unfinished_work_is_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / ".partial-link").symlink_to("kept")
    (tmp_path / ".partial-file").write_bytes(b"")
    (tmp_path / ".partial-dir").mkdir()
    files.remove_partial(tmp_path)
    assert names(tmp_path) == ["kept"]


def test_a_lock_excludes_another_process_until_its_holder_dies(tmp_path: Path) -> None:
    lock = tmp_path / "cache" / "lock"
    holder = run_until(
        "locked",
        f"""
import time
from pathlib import Path
from builder import files

with files.locked(Path({str(lock)!r})):
    print("locked", flush=True)
    time.sleep(600)
""",
    )
    with lock.open("ab") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kill(holder)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with files.locked(lock):
        pass


def test_reading_tells_what_the_file_should_have_been(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot read public key .*/nowhere: No such file or directory"):
        files.read_bytes(tmp_path / "nowhere", what="public key", limit=10)


def test_a_file_at_the_limit_is_read_and_one_beyond_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    assert files.read_bytes(tmp_path / "file", what="manifest", limit=10) == b"0123456789"
    with pytest.raises(InvalidInputError, match=r"manifest .*file is larger than 9 bytes"):
        files.read_bytes(tmp_path / "file", what="manifest", limit=9)


def test_a_mapped_file_reads_and_refuses_writes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    with files.mapped(tmp_path / "file", what="disk image") as view:
        assert bytes(view) == b"data"
        with pytest.raises(TypeError, match="read-only"):
            view[0] = 0


def test_a_slice_that_outlives_the_map_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    with files.mapped(tmp_path / "file", what="disk image") as view:
        kept = view[1:3]
    assert bytes(kept) == b"at"


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_file_that_cannot_be_mapped_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with (
        pytest.raises(InvalidInputError, match=f"disk image .*/{name}"),
        files.mapped(tmp_path / name, what="disk image"),
    ):
        pytest.fail("the block must not run")


def test_the_digest_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    # FIPS 180-2, B.1
    assert files.sha256_file(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_free_space_is_that_of_the_nearest_directory_that_exists(tmp_path: Path) -> None:
    assert files.free_bytes(tmp_path / "not" / "yet") > 0


def test_work_that_needs_more_space_than_there_is_does_not_start(tmp_path: Path) -> None:
    files.require_free(tmp_path, 1, what="the build")
    with pytest.raises(BedplateError, match=r"the build needs \d+ MiB in .*, which has \d+ MiB free"):
        files.require_free(tmp_path, 1 << 60, what="the build")
