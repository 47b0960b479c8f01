from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.definition.apt_sources import is_archive_url, is_debian_archive, parse_deb822, parse_one_line
from builder.definition.mirror import Mirror, find_mirror, from_apt, host_sources
from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE = "http://mirror.example.org/debian"
KEYRING = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"
# What debian:bookworm container images have, with another host.
SECURITY = "http://mirror.example.org/debian-security"
SOURCES = f"""\
Types: deb
# http://snapshot.example.org/archive/debian/20250520T000000Z
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
{KEYRING}

Types: deb deb-src
URIs: {ARCHIVE}
Suites: bookworm
 bookworm-updates
Components: main
{KEYRING}
"""


def apt_mirror(directory: Path) -> str | None:
    mirror = find_mirror(None, {}, None, apt=directory)
    return None if mirror is None else mirror.url


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def deb822_mirror(text: str) -> str | None:
    mirror = from_apt(parse_deb822(text, "debian.sources"))
    return None if mirror is None else mirror.url


def one_line_mirror(text: str) -> str | None:
    mirror = from_apt(parse_one_line(text, "sources.list"))
    return None if mirror is None else mirror.url


def test_the_option_goes_before_everything(apt: Path) -> None:
    (apt / "sources.list").write_text(f"deb {ARCHIVE} bookworm main\n")
    environment = {"BEDPLATE_MIRROR": "http://two.example.org/debian"}
    mirror = find_mirror("http://one.example.org/debian/", environment, "http://three.example.org/", apt=apt)
    assert mirror == Mirror("http://one.example.org/debian", "--mirror")


def test_the_environment_goes_before_the_definition(apt: Path) -> None:
    environment = {"BEDPLATE_MIRROR": "http://two.example.org/debian"}
    mirror = find_mirror(None, environment, "http://three.example.org", apt=apt)
    assert mirror == Mirror("http://two.example.org/debian", "BEDPLATE_MIRROR")


def test_the_definition_goes_before_the_host(apt: Path) -> None:
    (apt / "sources.list").write_text(f"deb {ARCHIVE} bookworm main\n")
    mirror = find_mirror(None, {"BEDPLATE_MIRROR": ""}, "http://three.example.org", apt=apt)
    assert mirror == Mirror("http://three.example.org", "distribution.mirror of the definition")


def test_the_hosts_own_is_told_with_its_file(apt: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(SOURCES)
    file = apt / "sources.list.d" / "debian.sources"
    assert find_mirror(None, {}, None, apt=apt) == Mirror(ARCHIVE, f"apt sources of this host ({file})", SECURITY)


def test_where_the_security_archive_is_can_be_named(apt: Path) -> None:
    named = {"BEDPLATE_SECURITY_MIRROR": "http://security.example.org/x/"}
    mirror = find_mirror("http://one.example.org/debian", named, None, apt=apt)
    assert mirror == Mirror("http://one.example.org/debian", "--mirror", "http://security.example.org/x")
    (apt / "sources.list.d" / "debian.sources").write_text(SOURCES)
    found = find_mirror(None, named, None, apt=apt)
    assert found is not None
    assert (found.url, found.security) == (ARCHIVE, "http://security.example.org/x")
    with pytest.raises(InvalidInputError, match="BEDPLATE_SECURITY_MIRROR is not an http, https or file URL"):
        find_mirror(None, {"BEDPLATE_SECURITY_MIRROR": "x"}, None, apt=apt)


def test_a_host_without_a_security_archive_names_none(apt: Path) -> None:
    (apt / "sources.list").write_text(f"deb {ARCHIVE} bookworm main\n")
    found = find_mirror(None, {}, None, apt=apt)
    assert found is not None
    assert found.security is None


def test_without_any_there_is_none(apt: Path) -> None:
    assert find_mirror(None, {}, None, apt=apt) is None


def test_a_host_without_apt_has_none(tmp_path: Path) -> None:
    assert find_mirror(None, {}, None, apt=tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "url", ["mirror.example.org", "https://user:secret@mirror.example.org/", "ftp://mirror.example.org"]
)
def test_an_option_that_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInputError, match="--mirror is not an http, https or file URL") as caught:
        find_mirror(url, {}, None)
    assert "secret" not in str(caught.value)


def test_an_environment_that_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="BEDPLATE_MIRROR is not an http, https or file URL"):
        find_mirror(None, {"BEDPLATE_MIRROR": "x"}, None)


def test_the_security_archive_is_not_taken_for_the_main_one() -> None:
    assert deb822_mirror(SOURCES) == ARCHIVE


@pytest.mark.parametrize(
    "change",
    [
        ("Types: deb deb-src", "Types: deb-src"),
        ("Components: main", "Components: contrib"),
        (KEYRING, f"{KEYRING}\nEnabled: no"),
        (KEYRING, f"{KEYRING}\nArchitectures: arm64"),
        (KEYRING, "Signed-By: /etc/apt/keyrings/vendor.gpg"),
        (KEYRING, f"{KEYRING} /etc/apt/keyrings/vendor.gpg"),
        (KEYRING, "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n AAAA"),
        ("Suites: bookworm\n", "Suites: bookworm-backports\n"),
        (f"URIs: {ARCHIVE}\n", "URIs: http://mirror.example.org/vendor\n"),
        (f"URIs: {ARCHIVE}\n", "URIs: http://mirror.example.org/debian-ports\n"),
        (f"URIs: {ARCHIVE}\n", "URIs: http://debian/\n"),
        (f"URIs: {ARCHIVE}\n", "URIs: http://user:secret@mirror.example.org/debian\n"),
        (f"URIs: {ARCHIVE}\n", "URIs: cdrom:[Debian]/debian\n"),
        (f"URIs: {ARCHIVE}\n", ""),
    ],
    ids=lambda change: change[1][:60],
)
def test_another_kind_of_entry_is_not_taken(change: tuple[str, str]) -> None:
    assert change[0] in SOURCES
    assert deb822_mirror(SOURCES.replace(*change)) is None


@pytest.mark.parametrize(
    "change",
    [
        (f"URIs: {ARCHIVE}\n", f"URIs: http://mirror.example.org/other {ARCHIVE}/\n"),
        ("URIs:", "uris:"),
        (KEYRING, "Architectures: amd64 arm64"),
        (KEYRING, f"{KEYRING}\nEnabled: yes"),
        ("\n\n", "\n# a remark\n  \n\n"),
    ],
    ids=lambda change: change[1][:60],
)
def test_other_spellings_of_the_archive_are_taken(change: tuple[str, str]) -> None:
    assert change[0] in SOURCES
    assert deb822_mirror(SOURCES.replace(*change)) == ARCHIVE


def test_a_continuation_without_a_field_is_passed_over() -> None:
    assert deb822_mirror(f" stray\n\n{SOURCES}") == ARCHIVE


@pytest.mark.parametrize(
    "line",
    [
        f"deb {ARCHIVE} bookworm main",
        f"deb {ARCHIVE}/ stable main contrib # a remark",
        f"deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {ARCHIVE} nextone main",
        f"  deb\t{ARCHIVE}\ttrixie\tmain",
    ],
)
def test_a_line_of_the_archive_is_taken(line: str) -> None:
    assert one_line_mirror(line) == ARCHIVE


@pytest.mark.parametrize(
    "line",
    [
        "",
        "deb",
        f"# deb {ARCHIVE} bookworm main",
        f"deb-src {ARCHIVE} bookworm main",
        f"deb {ARCHIVE} bookworm",
        f"deb {ARCHIVE} ./",
        f"deb {ARCHIVE} noble main",
        f"deb {ARCHIVE}-security bookworm-security main",
        f"deb [arch=arm64] {ARCHIVE} bookworm main",
        f"deb [signed-by=/etc/apt/keyrings/vendor.gpg] {ARCHIVE} bookworm main",
        "deb https://apt.example.org/apt cloud-sdk-bookworm main",
    ],
)
def test_another_line_is_not_taken(line: str) -> None:
    assert one_line_mirror(line) is None


def test_a_dated_snapshot_is_an_archive() -> None:
    assert is_archive_url("https://snapshot.example.org/archive/debian/20260101T000000Z/")


def test_a_host_named_debian_is_no_archive() -> None:
    assert not is_archive_url("http://debian")


def test_files_that_apt_passes_over_are_passed_over(apt: Path) -> None:
    for name in ("debian.sources.disabled", "debian.sources~", "a b.list", "x.bak"):
        (apt / "sources.list.d" / name).write_text(f"{SOURCES}\ndeb {ARCHIVE} bookworm main\n")
    assert apt_mirror(apt) is None


def test_the_first_file_in_apts_order_decides(apt: Path) -> None:
    (apt / "sources.list.d" / "b.list").write_text("deb http://b.example.org/debian bookworm main\n")
    (apt / "sources.list.d" / "a.list").write_text("deb http://a.example.org/debian bookworm main\n")
    assert apt_mirror(apt) == "http://a.example.org/debian"
    (apt / "sources.list").write_text(f"deb {ARCHIVE} bookworm main\n")
    assert apt_mirror(apt) == ARCHIVE


def test_a_mirror_file_of_a_cloud_image_is_followed(apt: Path) -> None:
    (apt / "mirrors.list").write_text(f"# mirrors\n\n{ARCHIVE}\tpriority:1\n")
    text = SOURCES.replace(f"URIs: {ARCHIVE}\n", f"URIs: mirror+file:{apt}/mirrors.list\n")
    (apt / "sources.list.d" / "debian.sources").write_text(text)
    assert apt_mirror(apt) == ARCHIVE


def test_a_mirror_file_that_is_missing_is_passed_over(apt: Path) -> None:
    text = SOURCES.replace(f"URIs: {ARCHIVE}\n", f"URIs: mirror+file:{apt}/gone.list\n")
    (apt / "sources.list.d" / "debian.sources").write_text(text)
    assert apt_mirror(apt) is None


def test_bytes_that_are_no_text_are_passed_over(apt: Path) -> None:
    (apt / "sources.list").write_bytes(b"\xff\xfe\x00deb\n" + f"deb {ARCHIVE} bookworm main\n".encode())
    assert [is_debian_archive(source) for source in host_sources(apt)] == [True]
