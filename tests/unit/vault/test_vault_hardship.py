"""Full disks, read-only disks, bad servers, several processes at once, kills: a vault stays whole, or says why not."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, ToolFailedError
from builder.vault import fetch as fetching
from builder.vault.exchange import verify_vault
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault
from tests.debs import deb, lock, publish, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.definition.lock import LockedPackage

ROOT = Path(__file__).parents[3]
KILLS = 6
IN_NAMESPACE = ("/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c")
# Fills the vault at argv[1] with all packages of the lock at argv[2] from the archive at argv[3].
FILL = """
import sys
from pathlib import Path
from builder.cli.errors import render
from builder.definition.lock import read_lock
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault
vault = Vault(Path(sys.argv[1]))
try:
    with vault.locked():
        fetch(vault, read_lock(Path(sys.argv[2])).packages, [Source(sys.argv[3])])
except Exception as error:
    sys.exit(render(error))
"""


def many(count: int, size: int) -> list[tuple[LockedPackage, bytes]]:
    chance = random.Random(1)  # noqa: S311 -- content, not secrets
    contents = [deb(f"package{number}", "1") + chance.randbytes(size) for number in range(count)]
    return [(row(content, f"package{number}", "1", ["root", "initrd", "toolchain"]), content) for number, content in
            enumerate(contents)]  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, str, list[LockedPackage]]:
    """A lock, the archive that has its 60 packages of 200 kB, and the packages."""
    from builder.definition.lock import encode_lock  # noqa: PLC0415

    packages = many(60, 200_000)
    rows = [package for package, _ in packages]
    (tmp_path / "image.lock").write_bytes(encode_lock(lock(*rows)))
    return tmp_path / "image.lock", publish(tmp_path / "archive", *packages), rows


def fill(vault: Path, lock_file: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FILL, str(vault), str(lock_file), url]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def test_a_full_disk_is_told_and_leaves_a_whole_vault(
    archive: tuple[Path, str, list[LockedPackage]], tmp_path: Path
) -> None:
    lock_file, url, _ = archive
    script = f"""
        set -e
        mount -t tmpfs -o size=3m tmpfs {tmp_path}/small
        {sys.executable} -c "$FILL" {tmp_path}/small/vault {lock_file} {url} && exit 9
        find {tmp_path}/small/vault -type f -name '.partial-*' | wc -l
        cd {tmp_path}/small/vault/sha256 && for file in ??/*; do sha256sum $file; done
    """
    (tmp_path / "small").mkdir()
    done = subprocess.run(
        [*IN_NAMESPACE, script],
        cwd=ROOT, env=os.environ | {"FILL": FILL}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error: the vault" in done.stderr
    assert f"No space left on device (file system {tmp_path}/small)" in done.stderr
    assert "hint: what it has is whole" in done.stderr
    partial, *sums = done.stdout.splitlines()
    assert partial == "0"
    assert len(sums) > 2
    assert all(line.split()[0] == line.split()[1].rpartition("/")[2] for line in sums)


def test_a_vault_on_a_read_only_disk_serves_and_is_not_changed(tmp_path: Path) -> None:
    """As an exported vault on a medium that was handed over does."""
    content, other = deb(), deb("other", "2")
    writable = Vault(tmp_path / "vault")
    for item in (content, other):
        writable.add([item], row(item).sha256, len(item), "a package")
    writable.place(row(other).sha256).write_bytes(b"changed")
    writable.place(row(other).sha256).with_name(".partial-left").write_bytes(b"half")
    code = f"""
from pathlib import Path
from builder.errors import InvalidInputError
from builder.vault.store import Vault
vault = Vault(Path({str(writable.directory)!r}))
with vault.locked():
    vault.take({row(content).sha256!r}, Path({str(tmp_path)!r}) / "taken.deb", "hello")
    try:
        vault.take({row(other).sha256!r}, Path({str(tmp_path)!r}) / "other.deb", "other")
    except InvalidInputError as error:
        print(error.hint)
"""
    mount = f"mount --bind {writable.directory} {writable.directory} && mount -o remount,bind,ro {writable.directory}"
    done = subprocess.run(
        [*IN_NAMESPACE, f'{mount} && exec "$@"', "-",
         sys.executable, "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "use another vault: it cannot be removed (Read-only file system)\n"
    assert (tmp_path / "taken.deb").read_bytes() == content
    assert not (tmp_path / "other.deb").exists()


def test_two_processes_fill_one_vault(archive: tuple[Path, str, list[LockedPackage]], tmp_path: Path) -> None:
    lock_file, url, rows = archive
    running = [fill(tmp_path / "vault", lock_file, url) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 3
    assert verify_vault(Vault(tmp_path / "vault"), [lock(*rows)]).files == len(rows)
    assert len(files(tmp_path / "vault")) == len(rows)


def test_a_process_that_waits_for_another_one_says_so(tmp_path: Path) -> None:
    vault, lines = Vault(tmp_path / "vault"), list[str]()
    with vault.locked(lines.append):
        assert lines == []
        waiting = threading.Thread(target=lambda: vault.locked(lines.append).__enter__(), daemon=True)
        waiting.start()
        deadline = time.monotonic() + 10
        while not lines and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lines == ["another process uses the vault: waiting"]
    waiting.join(10)
    assert not waiting.is_alive()


def test_kills_at_random_moments_leave_nothing_half(
    archive: tuple[Path, str, list[LockedPackage]], tmp_path: Path
) -> None:
    lock_file, url, rows = archive
    vault = Vault(tmp_path / "vault")
    chance = random.Random(2)  # noqa: S311 -- moments, not secrets
    reached = []
    for _ in range(KILLS):
        process = fill(vault.directory, lock_file, url)
        # From the first file on: the start of Python takes longer than all the rest.
        deadline = time.monotonic() + 20
        before = len(files(vault.directory)) if vault.directory.exists() else 0
        while process.poll() is None and len(files(vault.directory)) <= before and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert [file for file in map(vault.examine, vault.digests()) if file is None or file.problem] == []
        reached.append(len(list(vault.digests())))
    process = fill(vault.directory, lock_file, url)
    assert (process.communicate()[1], process.returncode) == ("", 0)
    assert verify_vault(vault, [lock(*rows)]).files == len(rows), json.dumps(reached)
    assert [path for path in files(vault.directory) if path.name.startswith(".partial-")] == []


@contextmanager
def server(answers: list[tuple[int, bytes, int]]) -> Iterator[str]:
    """Gives each answer (status, body, stated length) once, the last one again and again; its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, length = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_a_server_with_a_bad_moment_is_asked_again(tmp_path: Path) -> None:
    content = deb()
    good = (200, content, len(content))
    with server([(503, b"", 0), (200, content[:100], len(content)), good]) as url:
        assert fetch(Vault(tmp_path / "vault"), [row(content)], [Source(url)]) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((404, b"", 0), "404 Not Found"),
        ((503, b"", 0), "503 Service Unavailable"),
        ((200, b"a page that says who pays for the network", 41), "has 41 bytes, SHA-256"),
        ((200, deb(version="2") + bytes(200), len(deb(version="2")) + 200), "is longer than"),
    ],
)
def test_a_server_that_never_gives_the_file_is_told_and_nothing_is_kept(
    tmp_path: Path, answer: tuple[int, bytes, int], problem: str
) -> None:
    with server([answer]) as url, pytest.raises(ToolFailedError, match=f"1 of 1 locked .* cannot be had: .*{problem}"):
        fetch(Vault(tmp_path / "vault"), [row(deb())], [Source(url)])
    assert files(tmp_path) == []


def test_a_file_is_not_asked_of_an_archive_that_its_state_is_not_of(tmp_path: Path) -> None:
    content = deb()
    url = publish(tmp_path / "archive", (row(content), content))
    with pytest.raises(ToolFailedError, match="no source is named"):
        fetch(Vault(tmp_path / "vault"), [row(content)], [Source(url, states=frozenset(["other@2026"]))])
    own = Source(url, states=frozenset([row(content).archive]))
    assert fetch(Vault(tmp_path / "vault"), [row(content)], [own]) == 1


def test_a_tampered_file_is_named_removed_and_fetched_again(tmp_path: Path) -> None:
    content = deb()
    vault = Vault(tmp_path / "vault")
    url = publish(tmp_path / "archive", (row(content), content))
    fetch(vault, [row(content)], [Source(url)])
    vault.place(row(content).sha256).write_bytes(content + b"x")
    found = hashlib.sha256(content + b"x").hexdigest()
    with pytest.raises(InvalidInputError, match=f"hello in the vault .* was changed: its SHA-256 is {found}") as caught:
        vault.take(row(content).sha256, tmp_path / "taken", "hello")
    assert caught.value.hint == (
        "it was removed; the next run that may fetch brings it again, and so does `bedplate vault import`"
    )
    assert fetch(vault, [row(content)], [Source(url)]) == 1
    vault.take(row(content).sha256, tmp_path / "taken", "hello")
