from __future__ import annotations

import pytest

from signing import der
from signing.errors import MalformedSignatureError


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (der.integer(0), "020100"),
        (der.integer(127), "02017f"),
        (der.integer(128), "02020080"),
        (der.integer(256), "02020100"),
        (der.integer(1 << 127), "021100" + "80" + "00" * 15),
        (der.object_identifier("1.2.840.113549.1.7.2"), "06092a864886f70d010702"),
        (der.object_identifier("2.16.840.1.101.3.4.2.1"), "0609608648016503040201"),
        (der.encode(der.NULL), "0500"),
        (der.set_of(b"\x02\x01\x02", b"\x02\x01\x01"), "3106020101020102"),
        (der.encode(der.OCTET_STRING, bytes(128))[:3], "048180"),
        (der.encode(der.OCTET_STRING, bytes(256))[:4], "04820100"),
    ],
)
def test_values_have_the_encoding_of_x690(encoded: bytes, expected: str) -> None:
    assert encoded.hex() == expected


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("", "expected value .tag 04., found the end"),
        ("0500", "expected value .tag 04., found 05"),
        ("04", "value has no length"),
        ("0401", "value has 1 bytes, 0 are left"),
        ("0480", "indefinite, huge or cut off length"),
        ("0481", "indefinite, huge or cut off length"),
        ("0484ffffffff", "indefinite, huge or cut off length"),
        ("04ff", "indefinite, huge or cut off length"),
        ("048101ff", "not in its shortest form"),
        ("04820080" + "00" * 128, "not in its shortest form"),
        ("04830000ff", "not in its shortest form"),
    ],
)
def test_what_is_not_der_is_refused(data: str, problem: str) -> None:
    with pytest.raises(MalformedSignatureError, match=f"^test data at offset 0x0: .*{problem}"):
        der.Reader(bytes.fromhex(data), "test data").take(der.OCTET_STRING, "value")


def test_tags_of_several_bytes_are_refused() -> None:
    with pytest.raises(MalformedSignatureError, match="tag of more than one byte"):
        der.Reader(b"\x1f\x81\x01\x00", "test data").take(0x1F, "value")


def test_bytes_left_over_are_refused() -> None:
    reader = der.Reader(bytes.fromhex("0400 0500"), "test data")
    reader.take(der.OCTET_STRING, "value")
    with pytest.raises(MalformedSignatureError, match="at offset 0x2: 2 bytes too many"):
        reader.finish()
