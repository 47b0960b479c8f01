"""For each class of cause, pairs of contents in which nothing but that got in."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from builder.compare.causes.cause import Builds, CauseKind, Finding
from builder.compare.causes.content import content_causes, digests_of

# When the two builds ran: a release of January and a rebuild of June 2026.
THEN, NOW = 1_767_323_045, 1_780_304_461
BUILDS = Builds(
    times=((THEN - 100.0, THEN + 100.0), (NOW - 100.0, NOW + 100.0)),
    words={"host name": "hostile-host", "user's home": "/home/mallory", "user's name": "mallory"},
    versions={"bedplate": ("0.1.0", "0.2.0")},
    digests=frozenset((*digests_of(b"one"), *digests_of(b"other"))),
)


def causes(old: bytes | str, new: bytes | str, builds: Builds = BUILDS) -> list[Finding]:
    sides = [side.encode() if isinstance(side, str) else side for side in (old, new)]
    return list(content_causes("/usr/lib/file", *sides, builds))


def kinds(old: bytes | str, new: bytes | str) -> list[CauseKind]:
    return [finding.kind for finding in causes(old, new)]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1767323045\n", "1780304461\n"),
        ("1767323045.123\n", "1780304461.5\n"),
        ("built 1767323045123456789 ns\n", "built 1780304461000000000 ns\n"),
        ("date=2026-01-02T03:04:05Z rest\n", "date=2026-06-01T09:01:01+02:00 rest\n"),
        ("date=2026-01-02 03:04:05\n", "date=2026-06-01 09:01:01\n"),
        ("# Fri Jan  2 03:04:05 UTC 2026\n", "# Mon Jun  1 09:01:01 CEST 2026\n"),
        ("Date: Fri, 02 Jan 2026 03:04:05 +0000\n", "Date: Mon, 01 Jun 2026 09:01:01 +0000\n"),
        ('#define DATE "Jan 2 2026"\n#define TIME "03:04:05"\n',
         '#define DATE "Jun 1 2026"\n#define TIME "09:01:01"\n'),
        ("v20260102T030405Z\n\nid 20260102030405\n", "v20260102T030405Z\n\nid 20260601090101\n"),
        ("update-alternatives 2026-01-02 03:04:05: run\n" * 3, "update-alternatives 2026-06-01 09:01:01: run\n" * 3),
    ],
)  # fmt: skip
def test_a_time_in_text_is_a_timestamp(old: str, new: str) -> None:
    assert kinds(old, new) == [CauseKind.TIMESTAMP]


@pytest.mark.parametrize("order", ["<I", ">I", "<Q", ">Q"])
def test_a_time_in_bytes_is_a_timestamp(order: str) -> None:
    (found,) = causes(*(b"\0header\xff" * 9 + struct.pack(order, time) + b"\0rest\xfe" * 9 for time in (THEN, NOW)))
    assert found.kind is CauseKind.TIMESTAMP
    assert "at offset 0x" in found.evidence


def test_a_number_that_was_no_moment_of_a_build_is_no_timestamp() -> None:
    both = (b"\0header\xff" * 9 + struct.pack("<I", value) + b"\0\xff" for value in (THEN - 10_000_000, NOW))
    assert kinds(*both) == [CauseKind.UNKNOWN]


def test_gzips_own_time_is_a_timestamp() -> None:
    old, new = (gzip.compress(b"the same " * 50, mtime=time) for time in (THEN, NOW))
    assert causes(old, new) == [
        Finding(kind=CauseKind.TIMESTAMP, evidence=f"gzip's header: {THEN} is now {NOW}")
    ]  # fmt: skip


def tar(*members: tuple[str, bytes], mtime: int = 0) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_in_an_archive_each_member_has_its_cause() -> None:
    old = tar(("a/when", b"1767323045\n"), ("b/same", b"x"), ("c/list", b"one\ntwo\nthree\n"), ("gone", b""))
    new = tar(("a/when", b"1780304461\n"), ("b/same", b"x"), ("c/list", b"two\nthree\none\n"))
    packed = (gzip.compress(side, mtime=0) for side in (old, new))
    assert [(found.kind, found.member) for found in causes(*packed)] == [
        (CauseKind.TIMESTAMP, "file!a/when"), (CauseKind.ORDER, "file!c/list"), (CauseKind.UNKNOWN, "file!gone")
    ]  # fmt: skip


def test_members_in_another_order_are_an_order() -> None:
    members = (("a", b"1"), ("b", b"2"))
    assert kinds(tar(*members), tar(*reversed(members))) == [CauseKind.ORDER]


def test_the_same_content_packed_otherwise_is_a_tool() -> None:
    content = random.Random(1).randbytes(500) * 20  # noqa: S311 -- content, not secrets
    assert kinds(gzip.compress(content, 1, mtime=0), gzip.compress(content, 9, mtime=0)) == [CauseKind.TOOL_VERSION]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("b\na\nc\n", "a\nc\nb\n"),
        ("files: one two three\n", "files: two three one\n"),
        ("{a, b, c}\n" * 2, "{c, a, b}\n" * 2),
        (b"\0\1\2\3" * 8 + b"\xff" * 64 + b"\4\5\6\7" * 8, b"\4\5\6\7" * 8 + b"\xff" * 64 + b"\0\1\2\3" * 8),
    ],
)
def test_the_same_things_in_another_order_are_an_order(old: bytes | str, new: bytes | str) -> None:
    assert kinds(old, new) == [CauseKind.ORDER]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Bread\nZebra\napple\nzoo\n", "apple\nBread\nZebra\nzoo\n"),
        ("size 1.5 of 1,000\n", "size 1,5 of 1.000\n"),
        ("No such file\n", "Böyle bir dosya yok\n"),
    ],
)
def test_what_a_language_decides_is_a_locale(old: str, new: str) -> None:
    assert kinds(old, new) == [CauseKind.LOCALE]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id=7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b\n", "id=5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31\n"),
        ("0f3c9a81e2d47b65\n", "9d1b7c40aa52e3f8\n"),
        ("key: q83vEjRWeJCrze8SNFZ4kA==\n", "key: 3q2+7wABAgMEBQYHCAkKCw==\n"),
        ("include tmp.Xk29aQ\n", "include tmp.b7PzW1\n"),
        (
            b"\0head\xff" * 9 + bytes(range(130, 146)) + b"\0rest",
            b"\0head\xff" * 9 + bytes(range(160, 176)) + b"\0rest",
        ),
    ],
)
def test_an_identifier_is_randomness(old: bytes | str, new: bytes | str) -> None:
    assert kinds(old, new) == [CauseKind.RANDOMNESS]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("made by bedplate 0.1.0\n", "made by bedplate 0.2.0\n"),
        ("GCC: (Debian 14.2.0-19) 14.2.0\n", "GCC: (Debian 14.3.0-2) 14.3.0\n"),
        (b"\0\xff\0compiled by rustc 1.80.1\0\xff", b"\0\xff\0compiled by rustc 1.81.0\0\xff"),
    ],
)
def test_a_version_is_a_tools(old: bytes | str, new: bytes | str) -> None:
    assert kinds(old, new) == [CauseKind.TOOL_VERSION]


def test_a_path_is_where_it_was_built() -> None:
    assert kinds("in /srv/build/x.c, line 3\n", "in /home/eve/x.c, line 3\n") == [CauseKind.BUILD_PATH]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("on ci-17\n", "on hostile-host\n", "host name"),
        ("by alice\n", "by mallory\n", "user's name"),
    ],
)
def test_a_word_of_this_machine_is_its_environment(old: str, new: str, what: str) -> None:
    (found,) = causes(old, new)
    assert found.kind is CauseKind.ENVIRONMENT
    assert found.evidence.startswith(f"the {what} of this machine")


def test_the_digest_of_a_file_that_differs_is_a_consequence() -> None:
    lists = [f"{digests_of(content)[1]}  usr/bin/x\n" for content in (b"one", b"other")]
    assert kinds(*lists) == [CauseKind.CONSEQUENCE]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("the old words\n", "quite other ones\n"),
        ("1767323045 and words\n", "1780304461 and others\n"),
        ("", "more\n"),
        (b"\0\1\2", b"\0\1\2\3\4"),
        (b"\0" * 5000 + b"\1", b"\0" * 5000 + b"\2"),
    ],
)
def test_what_no_single_cause_explains_is_unknown_and_shown(old: bytes | str, new: bytes | str) -> None:
    (found,) = causes(old, new)
    assert found.kind is CauseKind.UNKNOWN
    assert found.evidence


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_two_contents_have_a_cause(old: bytes, new: bytes) -> None:
    assume(old != new)
    assert causes(old, new)


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_two_texts_have_a_cause(old: str, new: str) -> None:
    assume(old.encode("utf-8", "surrogatepass") != new.encode("utf-8", "surrogatepass"))
    assert list(
        content_causes("/file", *(side.encode("utf-8", "surrogatepass") for side in (old, new)), BUILDS)
    )  # fmt: skip


@given(st.integers(THEN - 90, THEN + 90), st.integers(NOW - 90, NOW + 90), st.binary(min_size=1, max_size=40))
def test_a_time_is_found_wherever_it_stands(then: int, now: int, around: bytes) -> None:
    old, new = (b"\0" + around + struct.pack("<I", time) + around for time in (then, now))
    assert kinds(old, new) == [CauseKind.TIMESTAMP]
