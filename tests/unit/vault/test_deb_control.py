from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import zstandard

from builder.errors import InvalidInputError
from builder.vault.deb import control
from tests.debs import ar, control_tar, deb

if TYPE_CHECKING:
    from pathlib import Path

DPKG_DEB = "/usr/bin/dpkg-deb"
FIELDS = "Package: hello\nVersion: 1\nDescription: a package\n of two lines\n"


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("control.tar", control_tar(FIELDS, "w")),
        ("control.tar.gz", control_tar(FIELDS, "w:gz")),
        ("control.tar.xz", control_tar(FIELDS, "w:xz")),
        ("control.tar.zst", zstandard.compress(control_tar(FIELDS, "w"))),
    ],
)
def test_the_control_file_is_read_whatever_packs_it(member: str, content: bytes) -> None:
    package = ar(("debian-binary", b"2.0\n"), (member, content), ("data.tar", b""))
    assert control(package, "hello.deb") == FIELDS.rstrip("\n")


@pytest.mark.oracle
def test_a_package_of_dpkg_is_read_as_dpkg_reads_it(tmp_path: Path) -> None:
    (tmp_path / "tree/DEBIAN").mkdir(parents=True)
    (tmp_path / "tree/DEBIAN/control").write_text(
        "Package: hello\nVersion: 2:1.0~rc1-1\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n y\n"
    )
    subprocess.run([DPKG_DEB, "--build", "tree", "hello.deb"], cwd=tmp_path, check=True, capture_output=True)
    expected = subprocess.run([DPKG_DEB, "--field", "hello.deb"], cwd=tmp_path, check=True, capture_output=True)
    assert control((tmp_path / "hello.deb").read_bytes(), "hello.deb") == expected.stdout.decode().rstrip("\n")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "does not begin as an ar archive"),
        (b"PK\3\4" + deb(), "does not begin as an ar archive"),
        (deb()[:60], "no ar member begins at offset 8|ends behind the end"),
        (deb()[:100], "offset 72"),
        (ar(("debian-binary", b"2.0\n"), ("data.tar", b"x")), "second member is 'data.tar'"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar.xz", b"\xfd7zXZ\0broken")), "control.tar.xz"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar.bz2", b"BZh9")), "bzip2 compression is not supported"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar", b"no tar archive")), "is no Debian package"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar", control_tar("", "w"))), "not one paragraph"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar", control_tar("A: 1\n\nB: 2\n", "w"))), "not one paragraph"),
    ],
)
def test_what_is_no_package_is_refused_by_name(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        control(content, "hello.deb")
    assert str(caught.value).startswith("hello.deb is no Debian package: ")


def test_a_member_that_claims_more_than_the_file_has_is_refused() -> None:
    content = deb().replace(b"4         `\n", b"4000000000`\n", 1)
    with pytest.raises(InvalidInputError, match="the ar member at offset 8 ends behind the end of the file"):
        control(content, "hello.deb")


def test_a_control_file_of_absurd_size_is_refused() -> None:
    bomb = zstandard.compress(bytes(64 << 20))
    content = ar(("debian-binary", b"2.0\n"), ("control.tar.zst", bomb))
    with pytest.raises(InvalidInputError, match="is no Debian package"):
        control(content, "hello.deb")
