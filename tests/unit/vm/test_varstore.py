from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.measurement.pcr7 import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE
from builder.process import run
from builder.vm.qemu import FIRMWARE_VARIABLES
from builder.vm.varstore import (
    SecureBootVariables,
    enrol,
    read_variables,
)
from tests.variable_stores import HEADER_BYTES, empty_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.mkosi.toolchain import Toolchain

VECTORS = Path(__file__).parents[2] / "vectors/own-tiny-uki"
KEYS = SecureBootVariables(pk=b"platform key", kek=b"key exchange key", db=b"allowed", dbx=b"forbidden")


def test_enrolled_keys_are_read_back() -> None:
    variables = {variable.name: variable for variable in read_variables(enrol(empty_store(), KEYS))}
    assert {name: variable.data for name, variable in variables.items()} == {
        "PK": KEYS.pk,
        "KEK": KEYS.kek,
        "db": KEYS.db,
        "dbx": KEYS.dbx,
        "SecureBootEnable": b"\x01",
        "CustomMode": b"\x00",
    }
    assert {variables[name].vendor for name in ("PK", "KEK")} == {GLOBAL_VARIABLE}
    assert {variables[name].vendor for name in ("db", "dbx")} == {IMAGE_SECURITY_DATABASE}
    # Non-volatile, boot and run time, time-based authenticated: the attributes the specification fixes for keys.
    assert {variables[name].attributes for name in ("PK", "KEK", "db", "dbx")} == {0x27}
    assert {variables[name].attributes for name in ("SecureBootEnable", "CustomMode")} == {0x03}


def test_without_a_dbx_none_is_written() -> None:
    without = SecureBootVariables(KEYS.pk, KEYS.kek, KEYS.db)
    assert "dbx" not in {variable.name for variable in read_variables(enrol(empty_store(), without))}


def test_a_store_keeps_its_size_and_all_that_lies_around_the_variables() -> None:
    template = empty_store(trailer=b"fault tolerant write area")
    store = enrol(template, KEYS)
    assert len(store) == len(template)
    assert store[:HEADER_BYTES] == template[:HEADER_BYTES]
    assert store.endswith(b"fault tolerant write area")


def test_enrolling_is_deterministic() -> None:
    assert enrol(empty_store(), KEYS) == enrol(empty_store(), KEYS)


def test_an_empty_store_has_no_variables() -> None:
    assert read_variables(empty_store()) == ()


def test_a_deleted_variable_is_not_read_and_its_place_not_reused() -> None:
    store = bytearray(enrol(empty_store(), KEYS))
    store[HEADER_BYTES + 2] = 0x3D  # VAR_DELETED of the first variable
    assert next(variable.name for variable in read_variables(bytes(store))) == "KEK"


def test_keys_are_not_enrolled_twice() -> None:
    with pytest.raises(InvalidInputError, match="already has PK"):
        enrol(enrol(empty_store(), KEYS), KEYS)


@pytest.mark.parametrize("name", ["pk", "kek", "db"])
def test_an_empty_key_is_refused(name: str) -> None:
    fields = {"pk": b"1", "kek": b"2", "db": b"3", "dbx": b"4"} | {name: b""}
    with pytest.raises(InvalidInputError, match="is empty"):
        enrol(empty_store(), SecureBootVariables(**fields))


def test_keys_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"need \d+ bytes, the variable store has \d+ free"):
        enrol(empty_store(), SecureBootVariables(b"1", b"2", b"3", bytes(1 << 20)))


def test_space_that_is_not_erased_is_not_written_over() -> None:
    store = bytearray(empty_store())
    store[HEADER_BYTES + 40] = 0
    with pytest.raises(MalformedImageError, match="is not erased"):
        enrol(bytes(store), KEYS)


def _set(offset: int, layout: str, value: int) -> Callable[[bytearray], None]:
    return lambda store: struct.pack_into(layout, store, offset, value)


FIRST = HEADER_BYTES


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda store: store.__delitem__(slice(40, None)), "firmware volume header at offset 0x0: needs 56 bytes"),
        (_set(40, "<I", 0), "not a firmware volume for variables"),
        (_set(16, "<I", 0), "not a firmware volume for variables"),
        (_set(32, "<Q", 1), "the volume says it has 1 bytes"),
        (_set(50, "<H", 0), "checksum is wrong"),
        (_set(72, "<I", 0), "not an authenticated variable store"),
        (_set(92, "<B", 0), "not formatted and healthy"),
        (_set(88, "<I", 4), "size 4 is smaller than its header"),
        (_set(88, "<I", 1 << 30), "firmware volume header at offset 0x48: needs"),
        (_set(FIRST + 36, "<I", 1 << 31), "variable store at offset .*: needs"),
        (_set(FIRST + 40, "<I", 1 << 31), "variable store at offset .*: needs"),
        (_set(FIRST + 36, "<I", 4), "does not end with its only NUL"),
        (_set(FIRST + 36, "<I", 5), "is not UTF-16"),
        (_set(FIRST + 36, "<I", 0), "is empty"),
    ],
)
def test_a_damaged_store_is_malformed(damage: Callable[[bytearray], None], problem: str) -> None:
    store = bytearray(enrol(empty_store(), KEYS))
    damage(store)
    with pytest.raises(MalformedImageError, match=problem):
        read_variables(bytes(store))


@pytest.mark.oracle
def test_virt_fw_vars_reads_the_same_variables(toolchain: Toolchain, tmp_path: Path) -> None:
    """On the store that Debian ships. virt-firmware parses signature lists, so these are real ones."""
    keys = SecureBootVariables(*((VECTORS / f"{name}.esl").read_bytes() for name in ("PK", "KEK", "db", "dbx")))
    store, dump = tmp_path / "variables.fd", tmp_path / "variables.json"
    store.write_bytes(enrol((toolchain.tree / FIRMWARE_VARIABLES).read_bytes(), keys))
    program = str(Path(sys.executable).with_name("virt-fw-vars"))
    run([program, "--input", str(store), "--output-json", str(dump)], timeout=60)
    read = {entry["name"]: entry for entry in json.loads(dump.read_bytes())["variables"]}
    ours = {variable.name: variable for variable in read_variables(store.read_bytes())}
    assert {name: entry["data"] for name, entry in read.items()} == {n: v.data.hex() for n, v in ours.items()}
    assert {name: entry["guid"] for name, entry in read.items()} == {n: str(v.vendor) for n, v in ours.items()}
    assert {name: entry["attr"] for name, entry in read.items()} == {n: v.attributes for n, v in ours.items()}


@pytest.mark.oracle
def test_a_store_that_microsoft_keys_were_enrolled_in_by_a_real_boot_is_read(toolchain: Toolchain) -> None:
    """Debian makes this store by running the firmware; it holds deleted variables between the valid ones."""
    names = [v.name for v in read_variables((toolchain.tree / "usr/share/OVMF/OVMF_VARS_4M.ms.fd").read_bytes())]
    assert len(names) == len(set(names))
    assert {"PK", "KEK", "db", "dbx", "SecureBootEnable"} <= set(names)
