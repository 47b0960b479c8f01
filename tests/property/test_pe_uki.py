"""PE files and UKIs of random, truncated and changed bytes: an error of our own or a sound result, never a crash."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import MalformedImageError, UnpredictableError
from builder.image.bzimage import kernel_release
from builder.image.pe import (
    attach_signature,
    authenticode_digest,
    authenticode_parts,
    certificates,
    pad_for_signing,
    read_pe,
    strip_signatures,
)
from builder.image.uki import SECTION_ORDER, read_uki
from builder.measurement.pcr import Bank
from tests.uki_builder import Section, build_pe, build_uki, bzimage

SIGNED = (Path(__file__).parents[1] / "vectors/own-tiny-uki/tsb257/esp/EFI/BOOT/BOOTX64.EFI").read_bytes()
HEADERS = 1536
SMALL = build_uki([(".linux", b"kernel"), (".cmdline", b"quiet"), (".profile", b"ID=a"), (".osrel", b"ID=x")])
NAMES = [rule.name for rule in SECTION_ORDER]

sections = st.lists(
    st.builds(
        Section,
        st.sampled_from([*NAMES, ".text", ".data"]),
        st.binary(max_size=1200),
        st.none() | st.integers(0, 1 << 14),
    ),
    min_size=1,
    max_size=8,
)


def read_everything(data: bytes) -> None:
    """All that reads a PE file, as far as it gets."""
    with contextlib.suppress(MalformedImageError):
        authenticode_digest(data, "sha256")
    with contextlib.suppress(MalformedImageError):
        certificates(data)
    with contextlib.suppress(MalformedImageError):
        strip_signatures(data)
    with contextlib.suppress(MalformedImageError):
        attach_signature(data, b"signature")
    with contextlib.suppress(MalformedImageError):
        kernel_release(data)
    with contextlib.suppress(MalformedImageError, UnpredictableError):
        read_uki(data)


@given(st.binary(max_size=4096))
def test_random_bytes(data: bytes) -> None:
    read_everything(data)
    read_everything(b"MZ" + data)


@given(st.integers(0, len(SIGNED)))
def test_truncated_files(size: int) -> None:
    read_everything(SIGNED[:size])


@settings(max_examples=400)
@given(
    st.sampled_from([SMALL, SIGNED, bzimage("6.12.1")]),
    st.lists(
        st.tuples(
            st.integers(0, HEADERS - 4),
            st.sampled_from([0, 1, 4, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 0xFFFFFFFF),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_changed_headers(data: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(data)
    for offset, value in changes:
        struct.pack_into("<I", changed, min(offset, len(changed) - 4), value)
    read_everything(bytes(changed))


@given(sections, st.integers(0, 1024), st.binary(max_size=20), st.sampled_from([0x10B, 0x20B]))
def test_a_file_is_read_as_it_was_built(parts: list[Section], gap: int, trailing: bytes, magic: int) -> None:
    image = read_pe(build_pe(parts, gap=gap, trailing=trailing, magic=magic))
    assert [(section.name, section.virtual_size) for section in image.sections] == [
        (part.name, part.in_memory) for part in parts
    ]


@given(sections, st.binary(max_size=20))
def test_without_a_gap_every_byte_is_hashed_once_but_checksum_and_directory(
    parts: list[Section], trailing: bytes
) -> None:
    data = build_pe(parts, trailing=trailing)
    assert sum(map(len, authenticode_parts(data))) == len(data) - 4 - 8


@given(sections, st.binary(max_size=20), st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=3))
def test_signatures_are_read_as_they_were_attached(
    parts: list[Section], trailing: bytes, signatures: list[bytes]
) -> None:
    padded = pad_for_signing(build_pe(parts, trailing=trailing))
    signed = padded
    for signature in signatures:
        signed = attach_signature(signed, signature)
    assert certificates(signed) == tuple(signatures)
    assert authenticode_digest(signed, "sha384") == authenticode_digest(padded, "sha384")
    assert len(strip_signatures(signed)) == len(padded)
    assert certificates(strip_signatures(signed)) == ()


@given(st.sampled_from(list(Bank)), st.lists(st.binary(max_size=20), min_size=2, max_size=5, unique=True))
def test_the_order_of_extends_matters(bank: Bank, words: list[bytes]) -> None:
    digests = [bank.digest(word) for word in words]
    assert bank.replay(digests) != bank.replay(digests[::-1])


@given(st.permutations([name for name in NAMES if name != ".profile"]))
def test_without_profiles_the_order_of_sections_does_not_matter(names: list[str]) -> None:
    uki = read_uki(build_uki([(name, name.encode()) for name in names], version="258.1"))
    assert [section.name for section in uki.sections()] == [name for name in NAMES if name != ".profile"]
