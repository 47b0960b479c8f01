"""Two contents of one file, by what the file is."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.compare.deep import elf
from builder.compare.deep.inside import Inside, look_inside
from builder.compare.difference import Change
from builder.errors import MalformedImageError
from signing import secureboot
from tests.uki_builder import Section, build_pe

TRUE = Path("/bin/true")


def inside(name: str, old: bytes, new: bytes) -> Inside:
    return look_inside("files/root/x", name, old, new)


def found(name: str, old: bytes, new: bytes) -> dict[str, tuple[str | None, str | None]]:
    """Old and new value by subject."""
    result = inside(name, old, new)
    assert result.incomplete is None
    return {child.subject: (child.old, child.new) for child in result.children}


def test_the_same_content_has_nothing_inside() -> None:
    assert inside("/x", b"same", b"same") == Inside(())


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("/a.json", b'{"a": {"b": [1, 2]}}', b'{"a": {"b": [1, 3]}, "c": null}',
         {"a.b[1]": ("2", "3"), "c": (None, "null")}),
        ("/a.yaml", b"a:\n- x: 1\n", b"a:\n- x: 2\n", {"a[0].x": ("1", "2")}),
        ("/x.service", b"[Service]\nUser=a\nUser=b\n", b"[Service]\nUser=a\n", {"Service.User": ("a\nb", "a")}),
        ("/etc/os-release", b"ID=debian\n", b'ID=debian\nNAME="x"\n', {"NAME": (None, '"x"')}),
        ("/a.toml", b"[a]\nb = [1, 2]\n", b"[a]\nb = [1, 3]\nc = true\n",
         {"a.b[1]": ("2", "3"), "a.c": (None, "true")}),
        ("/boot/config-6.12", b"CONFIG_A=y\n# CONFIG_B is not set\n", b"CONFIG_A=m\n# CONFIG_B is not set\n",
         {"CONFIG_A": ("y", "m")}),
        ("/boot/config-6.12", b"# General\nCONFIG_A=y\n", b"# CONFIG_A is not set\n# General\n",
         {"CONFIG_A": ("y", "n")}),
    ],
)  # fmt: skip
def test_keys_are_compared_one_by_one(
    name: str, old: bytes, new: bytes, expected: dict[str, tuple[str | None, str | None]]
) -> None:
    assert found(name, old, new) == expected


@pytest.mark.parametrize("name", ["/a.json", "/a.yaml", "/a.toml", "/x.service", "/notes"])
def test_what_has_no_keys_is_compared_as_text(name: str) -> None:
    (child,) = inside(name, b"[one\n{ two\n", b"[one\n{ three\n").children
    assert (child.kind, child.subject) == ("text", "@@ -1,3 +1,3 @@\n [one\n-{ two\n+{ three\n ")


def test_spelling_that_no_key_shows_is_compared_as_text() -> None:
    (child,) = inside("/a.json", b'{"a":1}', b'{"a": 1}').children
    assert child.kind == "text"


def test_a_yaml_that_explodes_is_compared_as_text() -> None:
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (letter, letter, b",".join([b"*%c" % (letter - 1)] * 9)) for letter in range(98, 107)
    )
    (child,) = inside("/a.yaml", bomb, bomb + b"z: 1\n").children
    assert child.kind == "text"


def test_binaries_are_incomplete() -> None:
    assert inside("/x", b"\0\1", b"\0\2") == Inside((), "both are binary, 2 and 2 bytes: needs diffoscope")


def test_a_long_text_is_said_to_be_cut() -> None:
    lines = b"".join(b"%d\n" % number for number in range(1000))
    assert inside("/x", b"", lines).incomplete == "there is more than is shown"


def test_compressed_files_are_compared_by_their_content() -> None:
    old, new = (gzip.compress(text, mtime=0) for text in (b'{"a": 1}', b'{"a": 2}'))
    (child,) = inside("/x.json.gz", old, new).children
    assert [(inner.subject, inner.old, inner.new) for inner in child.children] == [("a", "1", "2")]


def test_another_compression_of_the_same_is_metadata() -> None:
    (child,) = inside("/x.gz", gzip.compress(b"x", mtime=0), gzip.compress(b"x", mtime=1)).children
    assert child.change is Change.METADATA


def tar(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files:
            item = tarfile.TarInfo(name)
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return buffer.getvalue()


def zipped(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


@pytest.mark.parametrize("archive", [tar, zipped])
def test_archives_are_compared_member_by_member(archive: type) -> None:
    old, new = archive(("a", b"1\n"), ("b", b"2")), archive(("a", b"3\n"), ("c", b"2"))
    children = inside("/x", old, new).children
    assert [(child.subject, child.change) for child in children] == [
        ("a", Change.CONTENT), ("b", Change.REMOVED), ("c", Change.ADDED),
    ]  # fmt: skip
    assert children[0].children[0].kind == "text"


def linked(target: str) -> bytes:
    """A tar archive with a symbolic link, which has no content of its own."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        item = tarfile.TarInfo("a")
        item.type, item.linkname = tarfile.SYMTYPE, target
        archive.addfile(item)
    return buffer.getvalue()


def test_a_link_in_an_archive_differs_by_its_target() -> None:
    (child,) = inside("/x", linked("b"), linked("c")).children
    assert (child.subject, child.change) == ("a", Change.CONTENT)
    assert "-link to b" in child.children[0].subject


def test_a_name_that_is_twice_in_an_archive_hides_nothing() -> None:
    (child,) = inside("/x", tar(("a", b"1"), ("a", b"2")), tar(("a", b"3"), ("a", b"2"))).children
    assert (child.subject, child.change) == ("a", Change.CONTENT)


def test_efi_programs_are_compared_by_section() -> None:
    old, new = (build_pe([Section(".text", b"code"), Section(".cmdline", text)]) for text in (b"quiet", b"debug"))
    assert list(found("/loader/x.addon.efi", old, new)) == ["section .cmdline"]


def test_a_broken_efi_program_is_incomplete() -> None:
    assert inside("/x.efi", b"MZ", b"MZ\0").incomplete is not None


def test_a_long_yaml_is_compared_as_text() -> None:
    text = b"a: 1\n" + b"# filled\n" * 200_000
    assert inside("/a.yaml", text, text.replace(b"1", b"2")).children[0].kind == "text"


def test_the_order_of_members_is_an_order() -> None:
    (child,) = inside("/x", tar(("a", b"1"), ("b", b"2")), tar(("b", b"2"), ("a", b"1"))).children
    assert child.change is Change.ORDER


def test_archives_in_archives_have_an_end() -> None:
    old, new = b"old", b"new"
    for _ in range(6):
        old, new = gzip.compress(old, mtime=0), gzip.compress(new, mtime=0)
    result = inside("/x.gz", old, new)
    while result.children:
        (child,) = result.children
        result = Inside(child.children, child.incomplete)
    assert result.incomplete == "archives in archives are looked into 4 times"


def test_a_broken_archive_is_incomplete() -> None:
    whole = gzip.compress(b"x", mtime=0)
    assert "gzip" in (inside("/x.gz", whole, whole[:-4]).incomplete or "")


def test_certificates_are_compared_by_field() -> None:
    made = [
        secureboot.generate_identity(name, secureboot.owner_guid("x"), datetime(2026, 1, 1, tzinfo=UTC)).identity.db
        for name in ("one", "two")
    ]
    fields = found("/etc/x.der", *made)
    assert fields["subject"] == ("'CN=one db'", "'CN=two db'")
    assert {"issuer", "serial number", "SHA-256"} <= fields.keys()


def test_programs_are_compared_by_section() -> None:
    program = TRUE.read_bytes()
    changed = bytearray(program)
    changed[program.index(b"coreutils")] ^= 1
    assert {name.partition(" ")[0] for name in found("/bin/true", program, bytes(changed))} == {"section"}


@pytest.mark.oracle
def test_readelf_sees_the_same_libraries_sections_and_symbols() -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        if os.environ.get("CI"):
            pytest.fail("readelf is not installed")
        pytest.skip("readelf is not installed")
    properties = elf.properties("/bin/true", TRUE.read_bytes())
    assert properties is not None

    def told(option: str) -> str:
        return subprocess.run([readelf, "--wide", option, str(TRUE)], capture_output=True, text=True, check=True).stdout

    libraries = {line.split("[")[1].rstrip("]") for line in told("--dynamic").splitlines() if "(NEEDED)" in line}
    assert {name.removeprefix("needs ") for name in properties if name.startswith("needs ")} == libraries
    sections = {name.removeprefix("section ") for name in properties if name.startswith("section ")}
    assert all(f" {name} " in told("--sections") for name in sections)
    symbols = {name.removeprefix("symbol ") for name in properties if name.startswith("symbol ")}
    assert symbols == {
        line.split()[7].partition("@")[0] for line in told("--dyn-syms").splitlines() if len(line.split()) > 7
    } - {"Name"}


def module(tmp_path: Path, source: str) -> bytes:
    """A relocatable file, as kernel modules are."""
    compiler = shutil.which("cc")
    if compiler is None:
        if os.environ.get("CI"):
            pytest.fail("there is no C compiler")
        pytest.skip("there is no C compiler")
    (tmp_path / "x.c").write_text(source)
    subprocess.run([compiler, "-c", "-o", str(tmp_path / "x.o"), str(tmp_path / "x.c")], check=True)
    return (tmp_path / "x.o").read_bytes()


@pytest.mark.oracle
def test_kernel_modules_are_compared_by_their_global_symbols(tmp_path: Path) -> None:
    old = module(tmp_path, "int other(void); static int inner; int run(void) { return inner + other(); }")
    new = module(tmp_path, "int more(void); static int inner; int run(void) { return inner + more(); }")
    symbols = {name: values for name, values in found("/a.ko", old, new).items() if name.startswith("symbol ")}
    assert symbols == {"symbol other": ("undefined", None), "symbol more": (None, "undefined")}


@pytest.mark.oracle
def test_programs_are_compared_by_their_search_path(tmp_path: Path) -> None:
    module(tmp_path, "int main(void) { return 0; }")
    made = []
    for path in ("/opt/a", "/opt/b"):
        command = [shutil.which("cc") or "cc", "-o", str(tmp_path / "x"), str(tmp_path / "x.o"), f"-Wl,-rpath,{path}"]
        subprocess.run([*command, "-Wl,--enable-new-dtags"], check=True)
        made.append((tmp_path / "x").read_bytes())
    assert found("/x", *made)["runpath"] == ("/opt/a", "/opt/b")


@given(st.binary(max_size=300))
def test_broken_programs_are_refused_by_their_own_error(rest: bytes) -> None:
    try:
        elf.properties("/x", b"\x7fELF\x02\x01" + rest)
    except MalformedImageError:
        return


@given(st.sampled_from(["/a.json", "/a.yaml", "/x.conf", "/x.crt", "/x.gz", "/x"]), st.binary(), st.binary())
def test_any_two_contents_differ_or_are_incomplete(name: str, old: bytes, new: bytes) -> None:
    result = inside(name, old, new)
    assert bool(result.children or result.incomplete) is (old != new)
