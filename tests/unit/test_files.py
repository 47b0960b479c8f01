"""Files are whole or not there, whatever happens to the process that writes them."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from builder import files
from builder.errors import BedplateError, InvalidInputError, MalformedImageError
from builder.held import remove_abandoned

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


@pytest.mark.parametrize("name", ["target", "target/other"])
def test_a_directory_that_another_process_makes_meanwhile_is_never_replaced(tmp_path: Path, name: str) -> None:
    def overtaken() -> None:
        with files.new_directory(tmp_path / "target"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"other")

    with pytest.raises(InvalidInputError, match="target already exists"):
        overtaken()
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


@pytest.mark.parametrize("name", ["target", "t" * 255])
def test_what_was_killed_at_the_same_target_goes_and_what_lives_or_is_of_another_stays(
    tmp_path: Path, name: str
) -> None:
    def writer(target: str) -> tuple[subprocess.Popen[str], str]:
        before = set(names(tmp_path))
        child = run_until(
            "writing",
            f"""
import time
from pathlib import Path
from builder import files

with files.new_directory(Path({str(tmp_path)!r}, {target!r})) as partial:
    (partial / "file").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(600)
""",
        )
        (made,) = set(names(tmp_path)) - before
        return child, made

    (tmp_path / ".partial-foreign").mkdir()
    living, held = writer(name)
    try:
        other, left_of_other = writer("other")
        kill(other)
        killed, left = writer(name)
        kill(killed)
        assert names(tmp_path) == sorted([".partial-foreign", held, left, left_of_other])
        with files.new_directory(tmp_path / name):
            assert left not in names(tmp_path)
        assert names(tmp_path) == sorted([".partial-foreign", held, left_of_other, name])
        assert (tmp_path / held / "file").read_bytes() == b"half"
    finally:
        kill(living)


@pytest.mark.parametrize("before", [(os, "open"), (fcntl, "flock")], ids=["opened", "locked"])
def test_a_directory_that_is_taken_for_abandoned_before_it_is_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: tuple[object, str]
) -> None:
    real = getattr(*before)
    taken: list[str] = []

    def raced(*arguments: object, **named: object) -> object:
        found = names(tmp_path)
        if found and not taken:
            taken.extend(found)
            remove_abandoned(tmp_path, files.PARTIAL_PREFIX)
        return real(*arguments, **named)

    monkeypatch.setattr(*before, raced)
    with files.new_directory(tmp_path / "target") as partial:
        assert names(tmp_path) == [partial.name]
        assert len(taken) == 1
        assert partial.name not in taken
    assert names(tmp_path) == ["target"]


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


@pytest.mark.parametrize("layout", [b"", b"data", b"\0" * 300_000 + b"end", b"begin" + b"\0" * 300_000])
def test_a_sparse_copy_has_the_same_content_and_its_holes(tmp_path: Path, layout: bytes) -> None:
    with (tmp_path / "source").open("wb") as file:
        file.truncate(8 << 20)
        file.seek(1 << 20)
        file.write(layout)
    files.copy_sparse(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()
    assert (tmp_path / "target").stat().st_blocks * 512 <= 1 << 20


def test_a_sparse_copy_does_not_replace(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    (tmp_path / "target").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        files.copy_sparse(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"old"


def test_a_file_is_moved_to_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    (tmp_path / "source").write_bytes(b"data" * 1000)
    monkeypatch.setattr("pathlib.Path.rename", across)
    files.move_file(tmp_path / "source", tmp_path / "target")
    assert names(tmp_path) == ["target"]
    assert (tmp_path / "target").read_bytes() == b"data" * 1000


def test_every_file_of_a_new_directory_is_flushed_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    with files.new_directory(tmp_path / "made") as partial:
        (partial / "inner").mkdir()
        (partial / "inner/file").write_bytes(b"data")
        (partial / "link").symlink_to("nowhere")
        inodes = {path.stat().st_ino for path in (partial, partial / "inner", partial / "inner/file")}
        assert not flushed
    assert inodes <= set(flushed)


def test_a_directory_of_many_files_is_flushed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "sync", lambda: synced.append(True))
    monkeypatch.setattr(files, "_MOST_SINGLE_SYNCS", 2)
    with files.new_directory(tmp_path / "made") as partial:
        for number in range(3):
            (partial / str(number)).touch()
    assert synced == [True]


def test_what_is_wrong_in_a_file_is_told_with_its_name_and_the_hint(tmp_path: Path) -> None:
    expected = r"log\.bin: header at offset 0x4: too short$"
    with pytest.raises(InvalidInputError, match=expected) as caught, files.named(tmp_path / "log.bin"):
        raise MalformedImageError("header", 4, "too short", hint="copy it again")
    assert caught.value.hint == "copy it again"


@pytest.fixture
def null(tmp_path: Path) -> Path:
    """A character device of our own that takes everything, as /dev/null does."""
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("this user may not make or open device nodes")
    return device


def test_a_link_stays_and_the_file_that_it_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("kept/file")
    files.write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept/file").read_bytes() == b"new"
    assert names(tmp_path / "kept") == ["file"]


def test_a_dangling_link_stays_and_the_file_that_it_names_is_made(tmp_path: Path) -> None:
    (tmp_path / "second").symlink_to("file")
    (tmp_path / "first").symlink_to("second")
    files.write_atomically(tmp_path / "first", b"new")
    assert [path.is_symlink() for path in sorted(tmp_path.iterdir())] == [False, True, True]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_character_device_is_written_into(tmp_path: Path, null: Path) -> None:
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"):
        files.write_atomically(tmp_path / name, b"data")
    assert stat.S_ISCHR(null.lstat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_a_device_that_is_full_is_named(tmp_path: Path, null: Path) -> None:
    full = null.with_name("full")
    os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
    with pytest.raises(OSError, match="No space left on device") as caught:
        files.write_atomically(full, b"data")
    assert caught.value.filename == str(full)
    assert stat.S_ISCHR(full.lstat().st_mode)


@pytest.mark.parametrize("name", ["fifo", "link"])
def test_a_fifo_is_written_into(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    files.write_atomically(tmp_path / name, b"data")
    assert os.read(reader, 100) == b"data"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "fifo").lstat().st_mode)


def test_a_fifo_whose_reader_went_away_is_a_failure(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)

    def write() -> None:
        with files.new_file(tmp_path / "fifo") as file:
            os.close(reader)
            file.write(b"data")

    with pytest.raises(BedplateError, match=r"cannot write .*/fifo: nobody reads it any more$"):
        write()


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_link_to_standard_output_gets_what_follows_there(tmp_path: Path, mode: str) -> None:
    (tmp_path / "log").write_bytes(b"before\n")
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    code = f"""
from pathlib import Path
from builder import files
print("first", flush=True)
files.write_atomically(Path({str(tmp_path)!r}, "stdout"), b"data\\n")
print("last", flush=True)
"""
    with (tmp_path / "log").open(mode) as output:
        subprocess.run([sys.executable, "-c", code], stdout=output, check=True)
    assert (tmp_path / "log").read_bytes() == (b"before\n" if mode == "ab" else b"") + b"first\ndata\nlast\n"
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"first\ndata\nlast\n"
    assert (tmp_path / "stdout").is_symlink()


@pytest.mark.parametrize("name", ["target", "link"])
@pytest.mark.parametrize("kind", ["a directory", "a socket", "a block device"])
def test_what_is_no_file_is_neither_replaced_nor_removed(tmp_path: Path, kind: str, name: str) -> None:
    target = tmp_path / "target"
    if kind == "a directory":
        target.mkdir()
    else:
        try:
            os.mknod(target, stat.S_IFSOCK if kind == "a socket" else stat.S_IFBLK, os.makedev(7, 250))
        except PermissionError:
            pytest.skip("this user may not make device nodes")
    before = target.lstat()
    (tmp_path / "link").symlink_to("target")
    named = tmp_path / name
    expected = f"{named} is {kind}, expected a file, a character device, a FIFO, or nothing$"
    with pytest.raises(InvalidInputError, match=expected):
        files.write_atomically(named, b"data")
    with pytest.raises(InvalidInputError, match=expected):
        files.remove_earlier(named)
    assert target.lstat() == before
    assert names(tmp_path) == ["link", "target"]


def test_a_name_that_leads_nowhere_is_no_acceptable_target(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere/file")
    for name, problem in {
        "nowhere/file": ".*/nowhere is not there",
        "dangling": ".*/nowhere is not there",
        "file/file": "Not a directory",
        "loop": "Too many levels of symbolic links",
    }.items():
        with pytest.raises(InvalidInputError, match=f"cannot write {tmp_path}/{name}: {problem}$"):
            files.write_atomically(tmp_path / name, b"data")
    assert names(tmp_path) == ["dangling", "file", "loop"]


def test_an_earlier_file_is_removed_and_the_link_to_it_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    files.remove_earlier(tmp_path / "link")
    assert names(tmp_path) == ["link"]
    files.remove_earlier(tmp_path / "link")
    files.remove_earlier(tmp_path / "nowhere")
    assert names(tmp_path) == ["link"]


def test_a_fifo_or_a_device_is_no_earlier_file(tmp_path: Path, null: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", null):
        files.remove_earlier(path)
    assert names(tmp_path) == ["fifo", "null"]


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_atomically(tmp_path / "file", b"new")
    assert caught.value.filename == str(tmp_path / "file")


def test_what_the_block_could_not_read_keeps_its_own_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, files.new_file(tmp_path / "file"):
        (tmp_path / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "source")
    assert names(tmp_path) == []


def test_a_file_that_must_not_be_there_is_refused_also_behind_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    for absent in file, link, tmp_path / "/dev/null":
        files.require_absent(absent)
    file.write_bytes(b"")
    for there in file, link:
        with pytest.raises(InvalidInputError, match=f"{there} is there already, expected no file"):
            files.require_absent(there)
    with pytest.raises(InvalidInputError, match="is a directory"):
        files.require_absent(tmp_path)


def test_standard_output_may_be_a_file_that_is_there(tmp_path: Path) -> None:
    code = "from pathlib import Path; from builder.files import require_absent; require_absent(Path('/dev/stdout'))"
    with (tmp_path / "output").open("wb") as output:
        done = subprocess.run([sys.executable, "-c", code], stdout=output, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("named", [True, False])
def test_a_full_disk_is_told_with_the_directory_that_was_to_be_made(tmp_path: Path, *, named: bool) -> None:
    target = tmp_path / "target"
    words = os.strerror(errno.ENOSPC)
    said = rf"cannot write {target} \(file system /.*\): {words}"
    with pytest.raises(BedplateError, match=said) as caught, files.new_directory(target) as partial:
        raise OSError(errno.ENOSPC, words, *((str(partial / "a"),) if named else ()))
    assert "another file system" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_elsewhere_is_not_taken_for_that_of_the_directory(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/elsewhere/a"), files.new_directory(tmp_path / "target"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/elsewhere/a")
