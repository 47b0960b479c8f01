"""Layers come out of the cache as they went in, or not at all."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.mkosi import layer_store
from builder.mkosi.layer_store import LayerRecord, LayerStore
from builder.mkosi.layers import LAYERS, Inputs
from builder.mkosi.manifest import InstalledPackage

if TYPE_CHECKING:
    from pathlib import Path

INITRD = LAYERS[1]
INPUTS: Inputs = {"tools": "a", "file mkosi.conf": "b"}
PACKAGES = (InstalledPackage("libc6", "1", "amd64", "0" * 64),)
# Puts half of the layer in the directory argv[2] into the cache argv[1].
WRITE = """
import sys
from pathlib import Path
from builder.mkosi import layer_store
from builder.mkosi.layer_store import LayerRecord, LayerStore
record = LayerRecord(layer="initrd", inputs={"a": "b"}, files={"initrd.cpio.zst": "0"}, packages=())
def hold(*_):
    print("half", flush=True)
    sys.stdin.read()
layer_store.write_atomically = hold
LayerStore(Path(sys.argv[1])).put(record, Path(sys.argv[2]))
"""


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return LayerStore(tmp_path / "layers")


def made(tmp_path: Path, inputs: Inputs = INPUTS, content: bytes = b"initrd") -> LayerRecord:
    """The record of a layer whose file is in the directory ``in``."""
    (tmp_path / "in/initrd.cpio.zst").write_bytes(content)
    return LayerRecord(
        layer="initrd",
        inputs=inputs,
        files={"initrd.cpio.zst": hashlib.sha256(content).hexdigest()},
        packages=PACKAGES,
    )


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_layer_comes_out_as_it_went_in(store: LayerStore, tmp_path: Path) -> None:
    record = made(tmp_path)
    store.put(record, tmp_path / "in")
    assert store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES) == record
    assert (tmp_path / "out/initrd.cpio.zst").read_bytes() == b"initrd"


def test_an_empty_cache_says_so(store: LayerStore, tmp_path: Path) -> None:
    assert store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES) == "none is in the cache"


def test_a_layer_of_other_inputs_says_how_they_differ_from_the_most_similar_one(
    store: LayerStore, tmp_path: Path
) -> None:
    store.put(made(tmp_path), tmp_path / "in")
    store.put(made(tmp_path, {"tools": "b"}), tmp_path / "in")
    found = store.take(INITRD, INPUTS | {"file mkosi.conf": "c", "package x": "d"}, tmp_path / "out", PACKAGES)
    assert found == "file mkosi.conf changed; package x is new"
    assert names(tmp_path / "out") == []


def test_only_some_of_many_differences_are_told(store: LayerStore, tmp_path: Path) -> None:
    store.put(made(tmp_path), tmp_path / "in")
    found = store.take(INITRD, {f"package {number}": "" for number in range(5)}, tmp_path / "out", PACKAGES)
    assert found == "file mkosi.conf is gone; package 0 is new; package 1 is new; package 2 is new and 3 more"


CHANGED: dict[str, dict[str, object]] = {
    "inputs": {"inputs": {"tools": "b"}},
    "layer": {"layer": "base"},
    "less": {"files": {}},
    "version": {"packages": [{"name": "libc6", "version": "2", "architecture": "amd64", "sha256": "0" * 64}]},
    "no packages": {"packages": []},
}


def tamper(place: Path, change: str) -> None:
    record = msgspec.json.decode((place / "layer.json").read_bytes())
    if change == "content":
        (place / "initrd.cpio.zst").write_bytes(b"intrud")
    elif change == "file":
        (place / "initrd.cpio.zst").unlink()
    elif change == "record":
        (place / "layer.json").write_bytes(b"{")
    elif change == "deep record":
        (place / "layer.json").write_bytes(b'{"x": ' + b"[" * 100_000)
    elif change == "no record":
        (place / "layer.json").unlink()
    elif change in CHANGED:
        (place / "layer.json").write_bytes(msgspec.json.encode(record | CHANGED[change]))
    elif change == "path":
        (place.parent / "intruder").write_bytes(b"x")
        files = record["files"] | {"../intruder": hashlib.sha256(b"x").hexdigest()}
        (place / "layer.json").write_bytes(msgspec.json.encode(record | {"files": files}))


@pytest.mark.parametrize("change", ["content", "file", "record", "deep record", "no record", "path", *CHANGED])
def test_a_layer_that_was_changed_is_not_used_and_is_deleted(store: LayerStore, tmp_path: Path, change: str) -> None:
    store.put(made(tmp_path), tmp_path / "in")
    (place,) = store.directory.glob("initrd-*")
    (tmp_path / "in/initrd.cpio.zst").unlink()
    tamper(place, change)
    found = store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES)
    assert isinstance(found, str)
    assert "the one in the cache" in found
    assert names(tmp_path / "out") == []
    assert not place.exists()


def test_a_killed_write_leaves_nothing_that_is_used(store: LayerStore, tmp_path: Path) -> None:
    (tmp_path / "in/initrd.cpio.zst").write_bytes(b"initrd")
    child = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(store.directory), str(tmp_path / "in")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half\n"
        child.send_signal(signal.SIGKILL)
    assert [path for path in store.directory.iterdir() if path.name.startswith(".partial-")]
    assert store.take(INITRD, {"a": "b"}, tmp_path / "out", PACKAGES) == "none is in the cache"
    store.put(made(tmp_path, {"a": "b"}), tmp_path / "in")
    assert not [path for path in store.directory.iterdir() if path.name.startswith(".partial-")]
    assert isinstance(store.take(INITRD, {"a": "b"}, tmp_path / "out", PACKAGES), LayerRecord)


def test_what_is_there_already_stays(store: LayerStore, tmp_path: Path) -> None:
    first = made(tmp_path)
    store.put(first, tmp_path / "in")
    store.put(made(tmp_path, content=b"another"), tmp_path / "in")
    assert store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES) == first


def test_the_layers_that_were_not_used_for_longest_go(
    store: LayerStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_store, "_KEPT", 2)
    for number in range(2):
        store.put(made(tmp_path, {"n": str(number)}), tmp_path / "in")
        for path in store.directory.glob("initrd-*/layer.json"):
            os.utime(path, (number, number))
    assert isinstance(store.take(INITRD, {"n": "0"}, tmp_path / "out", PACKAGES), LayerRecord)
    store.put(made(tmp_path, {"n": "2"}), tmp_path / "in")
    (tmp_path / "out/initrd.cpio.zst").unlink()
    found = {
        n: isinstance(store.take(INITRD, {"n": n}, tmp_path / f"out-{n}", PACKAGES), str)
        for n in "012"
        if _made(tmp_path, n)
    }
    assert found == {"0": False, "1": True, "2": False}


def _made(tmp_path: Path, name: str) -> bool:
    (tmp_path / f"out-{name}").mkdir()
    return True


def test_a_second_builder_waits_for_the_first_and_takes_its_layer(store: LayerStore, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom builder.mkosi.layer_store import LayerStore\n"
        f"with LayerStore(Path(sys.argv[1])).building([{INPUTS!r}]):\n    print('mine', flush=True)\n"
    )
    with store.building([INPUTS]):
        child = subprocess.Popen([sys.executable, "-c", code, str(store.directory)], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(1.5)
        store.put(made(tmp_path), tmp_path / "in")
    assert child.communicate(timeout=60)[0] == "mine\n"
    assert isinstance(store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES), LayerRecord)


def test_what_was_checked_does_not_change_with_the_cache(store: LayerStore, tmp_path: Path) -> None:
    """Whoever has a file of the cache open, or another name for it, may write to it at any time."""
    store.put(made(tmp_path), tmp_path / "in")
    (place,) = store.directory.glob("initrd-*/initrd.cpio.zst")
    with place.open("r+b") as held:
        assert isinstance(store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES), LayerRecord)
        held.write(b"intrud")
    assert place.read_bytes() == b"intrud"
    assert (tmp_path / "out/initrd.cpio.zst").read_bytes() == b"initrd"


def test_what_is_no_file_any_more_is_not_used(store: LayerStore, tmp_path: Path) -> None:
    store.put(made(tmp_path), tmp_path / "in")
    (place,) = store.directory.glob("initrd-*/initrd.cpio.zst")
    place.unlink()
    place.symlink_to(tmp_path / "in/initrd.cpio.zst")
    found = store.take(INITRD, INPUTS, tmp_path / "out", PACKAGES)
    assert found == "initrd.cpio.zst of the one in the cache was changed on the disk"
    assert names(tmp_path / "out") == []
