"""OVMF's variable store: read what is in one, and write one with Secure Boot keys enrolled.

The file is a firmware volume (EFI_FIRMWARE_VOLUME_HEADER, UEFI Platform Initialization Specification, volume 3) with an
authenticated variable store in it (edk2 ``MdeModulePkg/Include/Guid/VariableFormat.h``): a VARIABLE_STORE_HEADER, then
one AUTHENTICATED_VARIABLE_HEADER after the other, each followed by its name and data and padded to four bytes. Free
space is 0xFF.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from builder.errors import InvalidInputError
from builder.image.binary import BinaryView
from builder.measurement.pcr7 import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE

_VOLUME_HEADER = struct.Struct("<16x16sQ4sIHHHBB")
_VOLUME_SIGNATURE = b"_FVH"
_VOLUME_GUID = uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")  # EFI_SYSTEM_NV_DATA_FV_GUID
_STORE_HEADER = struct.Struct("<16sIBB6x")
_STORE_GUID = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")  # EFI_AUTHENTICATED_VARIABLE_GUID
_STORE_FORMATTED = 0x5A
_STORE_HEALTHY = 0xFE
_VARIABLE_HEADER = struct.Struct("<HBxIQ16sIII16s")
_VARIABLE_START = 0x55AA
_VARIABLE_ADDED = 0x3F  # the state of a valid variable; a deleted or superseded one has more bits cleared
_ALIGNMENT = 4
_ERASED = 0xFF
_MAX_VARIABLES = 4096

_NON_VOLATILE = 0x01
_BOOT_SERVICE = 0x02
_RUNTIME = 0x04
_TIME_BASED_AUTHENTICATED = 0x20
_PRIVATE = _NON_VOLATILE | _BOOT_SERVICE
_KEYS = _NON_VOLATILE | _BOOT_SERVICE | _RUNTIME | _TIME_BASED_AUTHENTICATED

_SECURE_BOOT_ENABLE = uuid.UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
_CUSTOM_MODE = uuid.UUID("c076ec0c-7028-4399-a072-71ee5c448b9f")

# EFI_TIME of the authenticated variables, 2000-01-01 00:00:00 UTC. It is not measured; a fixed one makes the store
# reproducible, and an early one lets every later signed update pass.
_ENROLLED_AT = struct.pack("<HBBBBBxIhBx", 2000, 1, 1, 0, 0, 0, 0, 0, 0)
_NO_TIME = bytes(16)


@dataclass(frozen=True, slots=True)
class SecureBootVariables:
    """The keys to enrol: the raw EFI_SIGNATURE_LIST bytes of each variable, as firmware measures them into PCR 7.

    An empty dbx is an absent one.
    """

    pk: bytes
    kek: bytes
    db: bytes
    dbx: bytes = b""


@dataclass(frozen=True, slots=True)
class Variable:
    """One UEFI variable of the store; ``time`` is its EFI_TIME."""

    name: str
    vendor: uuid.UUID
    attributes: int
    time: bytes
    data: bytes


def read_variables(store: bytes) -> tuple[Variable, ...]:
    """The valid variables of a store, in its order; deleted ones are left out. Raises MalformedImageError."""
    return _read(_variable_area(store))[0]


def enrol(template: bytes, variables: SecureBootVariables) -> bytes:
    """A store like ``template``, with PK, KEK, db and dbx enrolled and Secure Boot switched on.

    ``template`` is a store without keys (Debian's OVMF_VARS_4M.fd); the result has its size, and the same input gives
    the same bytes. Raises MalformedImageError, or InvalidInputError if a key is empty, a variable is already there
    or the variables don't fit.
    """
    area = _variable_area(template)
    present, end = _read(area)
    wanted = _secure_boot_variables(variables)
    taken = {(variable.name, variable.vendor) for variable in present}
    for variable in wanted:
        if not variable.data:
            raise InvalidInputError(f"the Secure Boot variable {variable.name} is empty")
        if (variable.name, variable.vendor) in taken:
            raise InvalidInputError(f"the variable store already has {variable.name}")
    encoded = b"".join(map(_encode, wanted))
    if end + len(encoded) > len(area):
        raise InvalidInputError(
            f"the Secure Boot variables need {len(encoded)} bytes, the variable store has {len(area) - end} free"
        )
    if area.read(end, len(encoded)).strip(bytes([_ERASED])):
        raise area.error(end, "the space after the last variable is not erased")
    start = area.base + end
    return template[:start] + encoded + template[start + len(encoded) :]


def _secure_boot_variables(variables: SecureBootVariables) -> list[Variable]:
    keys = [
        Variable("PK", GLOBAL_VARIABLE, _KEYS, _ENROLLED_AT, variables.pk),
        Variable("KEK", GLOBAL_VARIABLE, _KEYS, _ENROLLED_AT, variables.kek),
        Variable("db", IMAGE_SECURITY_DATABASE, _KEYS, _ENROLLED_AT, variables.db),
    ]
    if variables.dbx:
        keys.append(Variable("dbx", IMAGE_SECURITY_DATABASE, _KEYS, _ENROLLED_AT, variables.dbx))
    # edk2 SecurityPkg/Library/AuthVariableLib: with a PK and SecureBootEnable = 1 the firmware enforces signatures;
    # CustomMode = 0 makes it demand signed updates of the keys.
    keys.append(Variable("SecureBootEnable", _SECURE_BOOT_ENABLE, _PRIVATE, _NO_TIME, b"\x01"))
    keys.append(Variable("CustomMode", _CUSTOM_MODE, _PRIVATE, _NO_TIME, b"\x00"))
    return keys


def _encode(variable: Variable) -> bytes:
    name = variable.name.encode("utf-16-le") + b"\0\0"
    header = _VARIABLE_HEADER.pack(
        _VARIABLE_START, _VARIABLE_ADDED, variable.attributes, 0, variable.time, 0, len(name), len(variable.data),
        variable.vendor.bytes_le,
    )  # fmt: skip
    body = header + name + variable.data
    return body + bytes([_ERASED]) * (-len(body) % _ALIGNMENT)


def _variable_area(store: bytes) -> BinaryView:
    """The part of the file that holds variables; its ``base`` is the part's offset in the file."""
    file = BinaryView.of(store, "firmware volume header")
    guid, length, signature, _, header_size, *_ = file.unpack(_VOLUME_HEADER)
    if signature != _VOLUME_SIGNATURE or uuid.UUID(bytes_le=guid) != _VOLUME_GUID:
        raise file.error(0, "this is not a firmware volume for variables")
    if length != len(store):
        raise file.error(32, f"the volume says it has {length} bytes, the file has {len(store)}")
    if sum(memoryview(file.read(0, header_size & ~1)).cast("H")) & 0xFFFF:
        raise file.error(0, "the header's checksum is wrong")
    header = file.view(header_size, _STORE_HEADER.size, "variable store header")
    guid, size, store_format, state = header.unpack(_STORE_HEADER)
    if uuid.UUID(bytes_le=guid) != _STORE_GUID:
        raise header.error(0, "this is not an authenticated variable store")
    if (store_format, state) != (_STORE_FORMATTED, _STORE_HEALTHY):
        raise header.error(20, f"the store is not formatted and healthy ({store_format:#x}, {state:#x})")
    if size < _STORE_HEADER.size:
        raise header.error(16, f"the store's size {size} is smaller than its header")
    return file.view(header_size, size, "variable store").view(_STORE_HEADER.size, size - _STORE_HEADER.size)


def _read(area: BinaryView) -> tuple[tuple[Variable, ...], int]:
    """The valid variables, and the offset of the free space after the last of any kind."""
    variables: list[Variable] = []
    offset = 0
    for _ in range(_MAX_VARIABLES):
        if len(area) - offset < _VARIABLE_HEADER.size or area.u16(offset) != _VARIABLE_START:
            return tuple(variables), offset
        variable, state, size = _decode(area, offset)
        if state == _VARIABLE_ADDED:
            variables.append(variable)
        offset = min(offset + size, len(area))
    raise area.error(offset, f"there are more than {_MAX_VARIABLES} variables")


def _decode(area: BinaryView, offset: int) -> tuple[Variable, int, int]:
    """The variable at ``offset``, its state and the bytes up to the next one."""
    _, state, attributes, _, time, _, name_size, data_size, vendor = area.unpack(_VARIABLE_HEADER, offset)
    name_at = offset + _VARIABLE_HEADER.size
    try:
        name, end, rest = area.read(name_at, name_size).decode("utf-16-le").partition("\0")
    except UnicodeDecodeError:
        raise area.error(name_at, "a variable's name is not UTF-16") from None
    if not name or not end or rest:
        raise area.error(name_at, "a variable's name is empty or does not end with its only NUL")
    data = area.read(name_at + name_size, data_size)
    size = _VARIABLE_HEADER.size + name_size + data_size
    return Variable(name, uuid.UUID(bytes_le=vendor), attributes, time, data), state, size + -size % _ALIGNMENT
