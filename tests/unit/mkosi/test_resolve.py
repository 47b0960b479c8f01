from __future__ import annotations

import pytest

from builder.errors import ToolFailedError
from builder.mkosi.resolve import Candidate, _candidates, _installed

INDEX = """Package: libc6
Source: glibc
Version: 2.41-12
Architecture: amd64
Depends: libgcc-s1, a (>= 1: 2)
Description: GNU C Library
 Version: of a line that continues
Filename: pool/main/g/glibc/libc6_2.41-12_amd64.deb
Size: 2846580
SHA256: 0a

Package: libc6-dev
Version: 1
Architecture: amd64
Filename: pool/x.deb
Size: 1
SHA256: 0b
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Inst libc6 (2.41-12 Debian:13.1/stable [amd64])", ("libc6", "2.41-12", "amd64")),
        (
            "Inst libc6 (2.41-12 Debian:13.1/stable [amd64]) [bash:amd64 coreutils:amd64 ]",
            ("libc6", "2.41-12", "amd64"),
        ),
        ("Inst ca-certificates (20250419 Debian:13.1/stable [all]) []", ("ca-certificates", "20250419", "all")),
        ("Inst tar:amd64 (1.35 a:1/b, c:2/d [amd64])", ("tar", "1.35", "amd64")),
    ],
)
def test_apts_lines_are_read_with_and_without_what_is_broken_for_the_moment(
    line: str, expected: tuple[str, str, str]
) -> None:
    assert _installed(line) == expected


@pytest.mark.parametrize(
    "line", ["Inst libc6", "Inst libc6 [2.40] (2.41 x [amd64])", "Inst libc6 (2.41 x [amd64]) and"]
)
def test_a_line_of_apt_that_is_not_understood_is_an_error(line: str) -> None:
    with pytest.raises(ToolFailedError, match="apt says what is not understood"):
        _installed(line)


def test_of_an_index_exactly_the_named_packages_are_read() -> None:
    (found,) = _candidates(INDEX, {"libc6"}, "debian")
    path = "pool/main/g/glibc/libc6_2.41-12_amd64.deb"
    assert found == Candidate("libc6", "2.41-12", "amd64", 2846580, "0a", path, "debian")
