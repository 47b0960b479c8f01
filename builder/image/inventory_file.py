"""The inventory as a file, ``inventory.jsonl.zst``: a JSON object with sorted keys per line, compressed with zstd."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any, get_args

import zstandard

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView
from builder.image.decompress import decompress
from builder.image.inventory import Area, FileRecord, FileType

# Fixed, so that the same records make the same bytes; higher levels gain little on text like this.
_LEVEL = 12
_MAX_SIZE = 1 << 30
_KEYS = frozenset(field.name for field in fields(FileRecord))
_AREAS, _TYPES = get_args(Area), get_args(FileType)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODE = re.compile(r"[0-7]{4}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")
_DEVICE = re.compile(r"(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})")
_MAX_NUMBER = 1 << 64


def to_jsonl(records: tuple[FileRecord, ...]) -> bytes:
    """The records in their order, one compact line each. Mode is octal ("0755"), a device "MAJOR:MINOR".

    Pure ASCII: bytes of names that are not UTF-8 appear as escaped lone surrogates (PEP 383).
    """
    return b"".join(_line(record) for record in records)


def from_jsonl(data: bytes) -> tuple[FileRecord, ...]:
    """The records of an inventory.

    Raises MalformedImageError that names the offset of the line for anything that :func:`to_jsonl` would not have
    written: other keys, types or spelling, lines out of order or twice, and no line at all.
    """
    view = BinaryView.of(data, "inventory")
    if not data.endswith(b"\n"):
        raise view.error(len(data), "the last line has no end, or there is none")
    records: list[FileRecord] = []
    offset = 0
    for line in data.split(b"\n")[:-1]:
        record = _record(view, offset, line)
        if records and (records[-1].area, records[-1].path) >= (record.area, record.path):
            raise view.error(offset, f"{record.path!r} is out of order, or there twice")
        records.append(record)
        offset += len(line) + 1
    return tuple(records)


def pack(jsonl: bytes) -> bytes:
    """The bytes of ``inventory.jsonl.zst``: the same for the same input and version of zstd."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(jsonl)


def unpack(data: bytes) -> bytes:
    """What :func:`pack` was given. Raises MalformedImageError if it is broken, too large or not alone."""
    content, end = decompress(BinaryView.of(data, "inventory"), 0, _MAX_SIZE)
    if end != len(data):
        raise MalformedImageError("inventory", end, "there is something behind the compressed inventory")
    return bytes(content)


def _line(record: FileRecord) -> bytes:
    values = {field: getattr(record, field) for field in _KEYS}
    values["mode"] = f"{record.mode:04o}"
    values["xattrs"] = dict(record.xattrs)
    values["device"] = None if record.device is None else f"{record.device[0]}:{record.device[1]}"
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def _record(view: BinaryView, offset: int, line: bytes) -> FileRecord:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        raise view.error(offset, "a line is no JSON object") from None
    if not isinstance(values, dict) or values.keys() != _KEYS:
        raise view.error(offset, f"a line does not have the keys {', '.join(sorted(_KEYS))}")
    wrong = [key for key in sorted(_KEYS) if not _is_valid(key, values[key])]
    if wrong:
        raise view.error(offset, f"{wrong[0]} has the value {str(values[wrong[0]])[:80]!r}")
    values["mode"] = int(values["mode"], 8)
    values["xattrs"] = tuple(values["xattrs"].items())
    if values["device"] is not None:
        major, _, minor = values["device"].partition(":")
        values["device"] = (int(major), int(minor))
    record = FileRecord(**values)
    present = (record.sha256 is not None, record.target is not None, record.device is not None)
    if present != (record.type == "file", record.type == "symlink", record.type in {"char", "block"}):
        raise view.error(offset, f"a {record.type} has a digest, target or device number that it cannot have, or none")
    if _line(record) != line + b"\n":
        raise view.error(offset, "a line is not spelled as bedplate does: sorted keys, no spaces, ASCII")
    return record


def _is_valid(key: str, value: Any) -> bool:  # noqa: PLR0911 -- one answer per kind of field
    match key:
        case "area":
            return value in _AREAS
        case "type":
            return value in _TYPES
        case "path":
            return isinstance(value, str) and value.startswith("/")
        case "uid" | "gid" | "size" | "mtime":
            return type(value) is int and 0 <= value < _MAX_NUMBER
        case "mode":
            return isinstance(value, str) and _MODE.fullmatch(value) is not None
        case "xattrs":
            return isinstance(value, dict) and all(isinstance(v, str) and _HEX.fullmatch(v) for v in value.values())
        case "sha256":
            return value is None or (isinstance(value, str) and _SHA256.fullmatch(value) is not None)
        case "device":
            return value is None or (isinstance(value, str) and _DEVICE.fullmatch(value) is not None)
    return value is None or isinstance(value, str)
