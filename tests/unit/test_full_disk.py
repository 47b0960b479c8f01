"""A full file system is told in one sentence: what was written, where, on which file system. Nothing half-made stays.

Each case runs on a small tmpfs of its own.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.errors import BedplateError, ToolFailedError
from builder.full_disk import file_system_of, telling_full_disk

ROOT = Path(__file__).parents[2]
IN_NAMESPACE = ("/usr/bin/unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c")
NO_SPACE = "No space left on device"
# What a case does; ``small`` is the tmpfs of 3 MiB, ``large`` a directory on the disk.
CASE = """
import hashlib, sys
from pathlib import Path
from builder.cli.errors import render
from builder.mkosi import bootstrap
from builder.mkosi.cache import Cache
from builder.mkosi.layer_store import LayerRecord, LayerStore
from builder.mkosi.layers import LAYERS
from builder.progress import Silent
from builder.vault.store import Vault
from builder.vault.supply import Supply
from tests.debs import deb, lock, row
small, large = Path(sys.argv[1]), Path(sys.argv[2])
CONTENT = bytes(4 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
RECORD = LayerRecord(layer="initrd", inputs={"a": "b"}, files={"initrd.cpio.zst": DIGEST}, packages=())
(large / "initrd.cpio.zst").write_bytes(CONTENT)
bootstrap._NEEDED_BYTES = 0
try:
    exec(sys.stdin.read())
except Exception as error:
    sys.exit(render(error).rstrip())
"""
PUT_LAYER = "LayerStore(small / 'layers').put(RECORD, large)"
TAKE_LAYER = """
LayerStore(large / 'layers').put(RECORD, large)
(small / 'output').mkdir()
LayerStore(large / 'layers').take(LAYERS[1], {'a': 'b'}, small / 'output', ())
"""
MAKE_ARCHIVE = """
import datetime as dt
content = deb() + CONTENT
package = row(content)
vault = Vault(large / 'vault')
vault.add([content], package.sha256, package.size, 'hello')
Supply(lock(package), vault, []).write_archive(small / 'archive', *package.parts, date=dt.datetime.now(dt.UTC))
"""
FILL_VAULT = "Vault(small / 'vault').add([CONTENT], DIGEST, len(CONTENT), 'hello 1')"
MAKE_TREE = "bootstrap.ensure_toolchain(Cache(small / 'cache'), None, Silent(), ['a'])"
CACHE_HINT = (
    "what is in the cache is whole; free some space there, or set BEDPLATE_CACHE to a directory on another file"
)


def run(case: str, tmp_path: Path, mmdebstrap: str = "") -> tuple[list[str], list[str]]:
    """The lines of the error, and the files that are left on the small file system."""
    for name in ("small", "large", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/mmdebstrap").write_text(f"#!{sys.executable} -I\n{mmdebstrap}")
    (tmp_path / "bin/mmdebstrap").chmod(0o755)
    script = f"""
        mount -t tmpfs -o size=3m tmpfs {tmp_path}/small || exit 9
        {sys.executable} -c "$CASE" {tmp_path}/small {tmp_path}/large && exit 9
        cd {tmp_path}/small && find . -type f -not -name .lock -not -name '*.log'
    """
    environment = os.environ | {
        "CASE": CASE,
        "TMPDIR": str(tmp_path),
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [*IN_NAMESPACE, script],
        input=case, cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stderr.splitlines(), done.stdout.splitlines()


@pytest.mark.parametrize(
    ("case", "sentence", "hint"),
    [
        (PUT_LAYER, "cannot write the layer initrd to {small}/layers (file system {small})", CACHE_HINT),
        (TAKE_LAYER, "cannot write the layer initrd to {small}/output (file system {small})", "free some space there,"),
        (
            MAKE_ARCHIVE,
            "cannot write the local archive of packages to {small}/archive (file system {small})",
            "free some space there, or name a directory on another file system (--output, BEDPLATE_CACHE)",
        ),
    ],
)
def test_what_bedplate_writes_itself(case: str, sentence: str, hint: str, tmp_path: Path) -> None:
    told, left = run(case, tmp_path)
    assert told[0] == f"error: {sentence.format(small=tmp_path / 'small')}: {NO_SPACE}"
    assert told[1].startswith(f"hint: {hint}")
    assert len(told) == 2
    # What a build leaves on the way goes with its scratch directory; a cache has to be clean at once.
    assert case is not PUT_LAYER or left == []


def test_a_vault(tmp_path: Path) -> None:
    told, left = run(FILL_VAULT, tmp_path)
    small = tmp_path / "small"
    assert told == [
        f"error: the vault {small}/vault cannot take hello 1: {NO_SPACE} (file system {small})",
        "hint: what it has is whole; free some space or name another directory (--vault)",
    ]
    assert left == []


def test_a_tool_that_says_so_somewhere(tmp_path: Path) -> None:
    told, left = run(MAKE_TREE, tmp_path, f"import sys\nprint('dpkg: error: {NO_SPACE}')\nsys.exit(25)\n")
    small = tmp_path / "small"
    # The process is root in its namespace, and root unpacks below the cache.
    place = f"{small}/cache/toolchain (file system {small})"
    assert told[0] == f"error: cannot write the toolchain tree to {place}: {NO_SPACE}"
    assert told[1].startswith(
        "hint: free some space there, or set BEDPLATE_CACHE to a directory on another file system; "
        f"the full log is {small}/cache/logs/toolchain-"
    )
    assert len(told) == 2
    assert left == []


UNPACKS_TOO_MUCH = """
import io, sys, tarfile
(archive,) = (argument for argument in sys.argv if argument.endswith(".tar"))
with tarfile.open(archive, "w") as tar:
    for name in ("./usr/lib/os-release", "./usr/lib/large"):
        member = tarfile.TarInfo(name)
        member.size = 1_200_000
        tar.addfile(member, io.BytesIO(bytes(member.size)))
"""


def test_a_tree_that_does_not_fit(tmp_path: Path) -> None:
    told, left = run(MAKE_TREE, tmp_path, UNPACKS_TOO_MUCH)
    assert told[0].startswith(
        f"error: cannot write the toolchain tree to {tmp_path}/small/cache/toolchain (file system"
    )
    assert told[0].endswith(f": {NO_SPACE}")
    assert len(told) == 2
    assert left == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_each_way_to_be_full_has_its_words(number: int, tmp_path: Path) -> None:
    place = tmp_path / "missing"
    expected = f"cannot write it to {place} (file system {file_system_of(tmp_path)}): {os.strerror(number)}"
    with pytest.raises(BedplateError) as caught, telling_full_disk("it", place, place, hint="free some"):
        raise OSError(number, os.strerror(number))
    assert (str(caught.value), caught.value.hint) == (expected, "free some")


def test_a_tool_without_a_log_and_with_a_quota(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="cannot write it") as caught, telling_full_disk("it", tmp_path, hint="x"):
        raise ToolFailedError("tar failed: Disk quota exceeded")
    assert str(caught.value).endswith(": Disk quota exceeded")
    assert caught.value.hint == "x"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ToolFailedError("no such package")])
def test_what_else_goes_wrong_is_told_as_before(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, telling_full_disk("it", tmp_path, hint="free some"):
        raise error
    assert caught.value is error
