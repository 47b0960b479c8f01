"""PE headers, Authenticode digests, certificate tables."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from builder.errors import MalformedImageError
from builder.image.pe import (
    MAX_ZERO_FILL,
    attach_signature,
    authenticode_digest,
    certificates,
    loaded_section,
    pad_for_signing,
    read_pe,
    strip_signatures,
)
from tests.uki_builder import Section, build_pe

TINY = Path(__file__).parents[2] / "vectors/own-tiny-uki"
IMAGES = [
    (path, entry["authenticode"])
    for expected in sorted(TINY.glob("*/expected.json"))
    for entry in json.loads(expected.read_text()).get("esp_files", ())
    if "authenticode" in entry and (path := expected.parent / "esp" / entry["path"])
]
SIGNED = TINY / "tsb257/esp/EFI/BOOT/BOOTX64.EFI"
TEXT = Section(".text", b"\xc3" * 700)
PE = 64
OPTIONAL = PE + 24


def patched(data: bytes, offset: int, layout: str, *values: int | bytes) -> bytes:
    copy = bytearray(data)
    struct.pack_into(layout, copy, offset, *values)
    return bytes(copy)


@pytest.mark.parametrize(("path", "digests"), IMAGES, ids=[str(path.relative_to(TINY)) for path, _ in IMAGES])
def test_the_digest_is_the_one_that_firmware_measured(path: Path, digests: dict[str, str]) -> None:
    data = path.read_bytes()
    assert {name: authenticode_digest(data, name).hex() for name in digests} == digests


def test_firmware_pads_nothing_when_the_size_is_odd() -> None:
    data = (TINY / "ttrail/esp/EFI/BOOT/BOOTX64.EFI").read_bytes()
    assert len(data) % 8 == 3
    assert authenticode_digest(data, "sha256").hex() == (
        "7b3c59a422cfef7ac75a5b2112d2a1ae0945b442c3e047f115c3feb2b3c1cced"
    )
    assert authenticode_digest(pad_for_signing(data), "sha256").hex().startswith("719604ca")


def test_bytes_after_a_gap_are_hashed_from_where_the_sizes_end() -> None:
    data = build_pe([TEXT], gap=512)
    headers = data[: OPTIONAL + 64] + data[OPTIONAL + 68 : OPTIONAL + 144] + data[OPTIONAL + 152 : 512]
    section, tail = data[1024:2048], data[1536:]
    assert authenticode_digest(data, "sha256") == hashlib.sha256(headers + section + tail).digest()


def test_without_a_security_directory_all_of_the_headers_is_hashed() -> None:
    data = build_pe([TEXT], directories=4)
    assert authenticode_digest(data, "sha256") == hashlib.sha256(data[: OPTIONAL + 64] + data[OPTIONAL + 68 :]).digest()


def test_a_pe32_file_has_its_directories_elsewhere() -> None:
    data = build_pe([TEXT], magic=0x10B)
    assert (
        authenticode_digest(data, "sha256")
        == hashlib.sha256(
            data[: OPTIONAL + 64] + data[OPTIONAL + 68 : OPTIONAL + 128] + data[OPTIONAL + 136 :]
        ).digest()
    )


def test_headers_are_read() -> None:
    image = read_pe(build_pe([TEXT, Section(".bss", b"", 5000)], image_version=(1, 1)))
    assert (image.machine, image.subsystem, image.image_version) == (0x8664, 10, (1, 1))
    assert [(section.name, section.virtual_size, section.raw_size) for section in image.sections] == [
        (".text", 700, 1024),
        (".bss", 5000, 0),
    ]


@pytest.mark.parametrize(
    ("virtual_size", "loaded"), [(3, b"abc"), (6, b"abcdef"), (8, b"abcdef\0\0"), (600, b"abcdef" + bytes(594))]
)
def test_a_section_in_memory_is_cut_or_zero_extended(virtual_size: int, loaded: bytes) -> None:
    data = memoryview(build_pe([Section(".data", b"abcdef", virtual_size)]))
    assert bytes(loaded_section(data, read_pe(data).sections[0])) == loaded


def test_a_section_of_gigabytes_of_zeros_is_refused() -> None:
    data = memoryview(build_pe([Section(".data", b"", MAX_ZERO_FILL + 1)]))
    with pytest.raises(MalformedImageError, match="VirtualSize asks for"):
        loaded_section(data, read_pe(data).sections[0])


GOOD = build_pe([TEXT])
TABLE = OPTIONAL + 240


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"", "MZ header", id="empty"),
        pytest.param(GOOD[:63], "MZ header", id="no room for the DOS header"),
        pytest.param(b"ZM" + GOOD[2:], "MZ header", id="another DOS magic"),
        pytest.param(patched(GOOD, 0x3C, "<I", 0), "no PE header at", id="PE header inside the DOS header"),
        pytest.param(patched(GOOD, 0x3C, "<I", 0xFFFFFFFF), "needs 4 bytes", id="PE header outside the file"),
        pytest.param(patched(GOOD, PE, "<4s", b"PE\0\1"), "no PE header at", id="another PE magic"),
        pytest.param(patched(GOOD, PE + 6, "<H", 0), "no sections", id="no sections"),
        pytest.param(patched(GOOD, PE + 6, "<H", 0xFFFF), "SizeOfHeaders", id="section table past the headers"),
        pytest.param(patched(GOOD, PE + 20, "<H", 100), "room for", id="optional header too small"),
        pytest.param(patched(GOOD, OPTIONAL, "<H", 0x107), "neither PE32 nor PE32", id="ROM image"),
        pytest.param(patched(GOOD, OPTIONAL + 108, "<I", 17), "NumberOfRvaAndSizes is 17", id="17 directories"),
        pytest.param(patched(GOOD, OPTIONAL + 108, "<I", 15), "NumberOfRvaAndSizes is 15", id="15 of 16 directories"),
        pytest.param(patched(GOOD, OPTIONAL + 60, "<I", 1 << 20), "SizeOfHeaders", id="headers larger than the image"),
        pytest.param(patched(GOOD, OPTIONAL + 56, "<I", 4096), "past SizeOfImage", id="section outside the image"),
        pytest.param(
            patched(GOOD, OPTIONAL + 144, "<II", len(GOOD) - 8, 16),
            "PE security directory",
            id="certificates past the end",
        ),
        pytest.param(patched(GOOD, TABLE + 16, "<I", 1 << 20), "PE section .text", id="raw data past the end"),
        pytest.param(patched(GOOD, TABLE, "<8s", b".te\0xt"), "not ASCII padded", id="name with bytes after its NUL"),
        pytest.param(patched(GOOD, TABLE, "<8s", b".t\xffxt"), "not ASCII padded", id="name that is not ASCII"),
    ],
)
def test_what_firmware_refuses_is_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        read_pe(data)


def test_headers_cut_off_by_the_end_of_the_file_are_refused() -> None:
    with pytest.raises(MalformedImageError, match="needs 512 bytes"):
        read_pe(GOOD[:500])


def test_a_certificate_table_over_the_sections_is_refused() -> None:
    data = patched(GOOD + bytes(8), OPTIONAL + 144, "<II", 512, 16)
    with pytest.raises(MalformedImageError, match="overlaps what is signed"):
        authenticode_digest(data, "sha256")


def test_taking_a_signature_off_and_putting_it_on_again_gives_the_signers_file() -> None:
    signed = SIGNED.read_bytes()
    (signature,) = certificates(signed)
    assert attach_signature(strip_signatures(signed), signature) == signed


def test_a_signature_does_not_change_the_digest_of_a_padded_file() -> None:
    padded = pad_for_signing(build_pe([TEXT], trailing=b"odd"))
    signed = attach_signature(padded, b"signature")
    assert authenticode_digest(signed, "sha256") == authenticode_digest(padded, "sha256")
    assert authenticode_digest(strip_signatures(signed), "sha256") == authenticode_digest(padded, "sha256")


def test_signing_pads_the_file_first() -> None:
    odd = build_pe([TEXT], trailing=b"odd")
    assert attach_signature(odd, b"s") == attach_signature(pad_for_signing(odd), b"s")


def test_a_second_signature_stands_behind_the_first() -> None:
    signed = attach_signature(attach_signature(GOOD, b"first!"), b"second")
    assert certificates(signed) == (b"first!", b"second")
    assert len(signed) % 8 == 0


def test_an_unsigned_file_has_no_certificates_and_stays_as_it_is_when_stripped() -> None:
    assert certificates(GOOD) == ()
    assert strip_signatures(GOOD) == GOOD


def test_an_empty_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="empty signature"):
        attach_signature(GOOD, b"")


def test_a_file_without_room_for_a_security_directory_cannot_be_signed() -> None:
    with pytest.raises(MalformedImageError, match="no room for a security directory"):
        attach_signature(build_pe([TEXT], directories=4), b"signature")


@pytest.mark.parametrize("change", [attach_signature, lambda data, _: strip_signatures(data)])
def test_a_certificate_table_that_is_not_last_is_left_alone(change: object) -> None:
    signed = attach_signature(GOOD, b"signature") + bytes(8)
    assert callable(change)
    with pytest.raises(MalformedImageError, match="not an aligned last part"):
        change(signed, b"another")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (struct.pack("<IHH", 8, 0x200, 2), "holds no signature"),
        (struct.pack("<IHH", 4, 0x200, 2), "holds no signature"),
        (struct.pack("<IHH", 12, 0x200, 0x0EF1) + b"guid", "no PKCS#7 signature"),
        (struct.pack("<IHH", 12, 0x100, 2) + b"pkcs", "no PKCS#7 signature"),
        (struct.pack("<IHH", 200, 0x200, 2) + b"pkcs", "needs 192 bytes"),
        (struct.pack("<IHH", 9, 0x200, 2) + b"p" + bytes(7) + b"rest", "needs 8 bytes"),
    ],
)
def test_a_broken_certificate_table_is_refused(entry: bytes, problem: str) -> None:
    data = patched(GOOD + entry, OPTIONAL + 144, "<II", len(GOOD), len(entry))
    with pytest.raises(MalformedImageError, match=problem):
        certificates(data)
