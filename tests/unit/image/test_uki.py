"""Unified kernel images, as the stub of each release reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import MalformedImageError, UnpredictableError
from builder.image.bzimage import kernel_release
from builder.image.uki import MAX_SECTIONS, SECTION_ORDER, read_loader_info, read_uki, rules_of
from tests.uki_builder import Section, build_pe, build_uki, bzimage, tiny_kernel

if TYPE_CHECKING:
    from builder.image.uki import Uki

LINUX = (".linux", b"kernel")
ALL = [(rule.name, rule.name.encode()) for rule in SECTION_ORDER]


def names(uki: Uki, profile: int = 0) -> list[str]:
    return [section.name for section in uki.sections(profile)]


@pytest.mark.parametrize(
    ("version", "unknown"),
    [
        ("252.39-1~deb12u2", {".ucode", ".uname", ".sbat", ".profile", ".dtbauto", ".hwids", ".efifw"}),
        ("254.26", {".ucode", ".profile", ".dtbauto", ".hwids", ".efifw"}),
        ("257.13-1~deb13u1", {".efifw"}),
        ("258", set()),
        ("262.1-1", set()),
    ],
)
def test_a_stub_ignores_the_sections_that_it_does_not_know(version: str, unknown: set[str]) -> None:
    sections = [pair for pair in ALL if pair[0] != ".dtbauto" or not unknown]
    uki = read_uki(build_uki(reversed(sections), version=version))
    known = {name for name, _ in sections} - unknown
    assert names(uki) == [rule.name for rule in SECTION_ORDER if rule.name in known]


def test_the_order_is_systemds_whatever_the_files() -> None:
    uki = read_uki(build_uki([(".uname", b"6"), (".cmdline", b"quiet"), (".osrel", b"ID=x"), LINUX]))
    assert names(uki) == [".linux", ".osrel", ".cmdline", ".uname"]


def test_of_equal_names_old_stubs_take_the_last_and_new_ones_the_first() -> None:
    sections = [LINUX, (".cmdline", b"first"), (".cmdline", b"last")]
    assert read_uki(build_uki(sections, version="254.1")).kernel_command_line() == "last"
    assert read_uki(build_uki(sections, version="257.1")).kernel_command_line() == "first"


def test_old_stubs_take_a_longer_name_for_the_shorter() -> None:
    sections = [LINUX, (".dtb", b"right"), (".dtbauto", b"wrong")]
    assert bytes(read_uki(build_uki(sections, version="252.1")).content(".dtb") or b"") == b"wrong"
    assert bytes(read_uki(build_uki(sections, version="257.1")).content(".dtb") or b"") == b"right"


@pytest.mark.parametrize("release", ["255.4", "256.7"])
def test_where_the_rule_is_not_known_only_what_both_rules_agree_on_is_read(release: str) -> None:
    assert names(read_uki(build_uki([LINUX, (".cmdline", b"x")], version=release))) == [".linux", ".cmdline"]
    with pytest.raises(UnpredictableError, match="equal or similar names"):
        read_uki(build_uki([LINUX, (".cmdline", b"x"), (".cmdline", b"y")], version=release))


def test_an_empty_section_is_not_there() -> None:
    assert read_uki(build_uki([LINUX, (".cmdline", b"")])).kernel_command_line() is None


def test_profiles_override_what_stands_before_the_first_of_them() -> None:
    uki = read_uki(
        build_uki(
            [
                LINUX,
                (".cmdline", b"base"),
                (".profile", b"ID=main"),
                (".profile", b"ID=debug"),
                (".cmdline", b"debug"),
                (".osrel", b"ID=x"),
            ]
        )
    )
    assert [uki.text(".profile", number) for number in range(2)] == ["ID=main", "ID=debug"]
    assert [uki.kernel_command_line(number) for number in range(2)] == ["base", "debug"]
    assert (uki.os_release(0), uki.os_release(1)) == (None, "ID=x")


def test_a_profile_that_is_not_there_is_refused() -> None:
    uki = read_uki(build_uki([LINUX]))
    assert len(uki.profiles) == 1
    with pytest.raises(UnpredictableError, match="no profile 1, its last is 0"):
        uki.sections(1)


def test_an_old_stub_knows_no_profiles() -> None:
    sections = [LINUX, (".profile", b"ID=a"), (".profile", b"ID=b")]
    assert len(read_uki(build_uki(sections, version="254.1")).profiles) == 1


def test_texts_end_at_their_nul() -> None:
    uki = read_uki(build_uki([LINUX, (".cmdline", b"quiet\0"), (".uname", b"6.12\0rest")]))
    assert (uki.kernel_command_line(), uki.kernel_release()) == ("quiet", "6.12")
    assert bytes(uki.content(".cmdline") or b"") == b"quiet\0"


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedImageError, match=r"\.osrel: it is not UTF-8"):
        read_uki(build_uki([LINUX, (".osrel", b"\xff")])).os_release()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(build_uki([(".cmdline", b"x")]), r"no \.linux section", id="no kernel"),
        pytest.param(build_uki([LINUX, (".new", b"x")]), r"unknown sections: \.new", id="unknown section"),
        pytest.param(build_pe([Section(*LINUX)]), r"0 \.sdmagic sections", id="no stub"),
        pytest.param(build_uki([LINUX, (".sdmagic", b"x")]), r"2 \.sdmagic sections", id="two stubs"),
        pytest.param(build_uki([LINUX], product="systemd-boot"), "it is systemd-boot", id="a boot loader"),
        pytest.param(
            build_pe([Section(".sdmagic", b"#### LoaderInfo: other 1 ####"), Section(*LINUX)]),
            "does not name a program of systemd",
            id="another stub",
        ),
        pytest.param(build_uki([LINUX] * (MAX_SECTIONS + 1)), "more than", id="too many sections"),
    ],
)
def test_what_is_no_uki_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        read_uki(data)


@pytest.mark.parametrize("version", ["251.2", "263.1", "100", "258~rc1", "257-rc2", "258~devel"])
def test_a_stub_that_is_not_known_is_refused(version: str) -> None:
    with pytest.raises(UnpredictableError, match="releases 252 to 262"):
        read_uki(build_uki([LINUX], version=version))


def test_sections_that_overlap_in_memory_are_refused() -> None:
    data = bytearray(build_uki([LINUX, (".cmdline", b"quiet")]))
    header = data.index(b".cmdline")
    data[header + 12 : header + 16] = data[header - 28 : header - 24]
    with pytest.raises(MalformedImageError, match=r"overlaps \.\w+ in memory"):
        read_uki(bytes(data))


def test_a_boot_loader_says_its_release() -> None:
    info = read_loader_info(build_uki([LINUX], product="systemd-boot", version="252.39-1~deb12u2"))
    assert (info.product, info.release, info.version) == ("systemd-boot", 252, "252.39-1~deb12u2")


def test_rules_grow_with_the_release() -> None:
    assert [rule.name for rule in rules_of(252)] == [
        ".linux",
        ".osrel",
        ".cmdline",
        ".initrd",
        ".splash",
        ".dtb",
        ".pcrsig",
        ".pcrpkey",
    ]


def test_a_kernel_says_its_release() -> None:
    assert kernel_release(bzimage("6.12.107+deb13-cloud-amd64")) == "6.12.107+deb13-cloud-amd64"


@pytest.mark.parametrize("kernel", [b"", b"MZ", tiny_kernel()])
def test_what_is_no_bzimage_says_no_release(kernel: bytes) -> None:
    assert kernel_release(kernel) is None


def test_a_bzimage_may_leave_its_release_out() -> None:
    kernel = bytearray(bzimage("6.1"))
    kernel[0x20E:0x210] = bytes(2)
    assert kernel_release(kernel) is None


@pytest.mark.parametrize(("pointer", "problem"), [(0xFFFF, "outside|needs"), (0x0300, "not text|no end")])
def test_a_bzimage_with_a_broken_release_is_refused(pointer: int, problem: str) -> None:
    kernel = bytearray(bzimage("6.1"))
    kernel[0x20E:0x210] = pointer.to_bytes(2, "little")
    kernel[0x500:0x600] = b"\xff" * 0x100
    with pytest.raises(MalformedImageError, match=problem):
        kernel_release(bytes(kernel))
