from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError
from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES = bytes(range(1, 17))


def test_numbers_are_little_endian() -> None:
    view = BinaryView.of(BYTES, "sample")
    assert (view.u8(0), view.u16(0), view.u32(0), view.u64(0)) == (1, 0x0201, 0x04030201, 0x0807060504030201)


def test_an_error_names_the_structure_and_the_absolute_offset() -> None:
    view = BinaryView.of(BYTES, "sample", base=0x1000).view(8, 8, "inner thing")
    with pytest.raises(
        MalformedImageError, match=r"^inner thing at offset 0x100c: needs 8 bytes.*ends at 0x1010$"
    ) as e:
        view.u64(4)
    assert (e.value.structure, e.value.offset) == ("inner thing", 0x100C)


@pytest.mark.parametrize(
    "read",
    [
        lambda view: view.u8(16),
        lambda view: view.u16(15),
        lambda view: view.u32(13),
        lambda view: view.u64(9),
        lambda view: view.u8(-1),
        lambda view: view.read(4, 13),
        lambda view: view.read(4, -1),
        lambda view: view.slice(2**70, 1),
        lambda view: view.view(17, 0),
        lambda view: view.unpack(struct.Struct("<QQ"), 1),
    ],
)
def test_a_place_outside_the_view_is_malformed(read: Callable[[BinaryView], object]) -> None:
    with pytest.raises(MalformedImageError, match=r"sample at offset .*: needs"):
        read(BinaryView.of(BYTES, "sample"))


def test_a_string_ends_at_the_first_nul() -> None:
    assert BinaryView.of(b"xab\0cd\0", "names").c_string(1, 10) == b"ab"


@pytest.mark.parametrize(("offset", "limit"), [(0, 3), (4, 3), (9, 4), (-1, 4)])
def test_a_string_without_an_end_is_malformed(offset: int, limit: int) -> None:
    with pytest.raises(MalformedImageError, match="names at offset"):
        BinaryView.of(b"abc\0de", "names").c_string(offset, limit)


def test_a_buffer_of_wider_items_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="not a flat run of bytes"):
        BinaryView.of(memoryview(bytearray(8)).cast("I"), "wide")


def test_signed_bytes_are_read_as_unsigned() -> None:
    assert BinaryView.of(memoryview(b"\xff").cast("b"), "signed").u8(0) == 255
