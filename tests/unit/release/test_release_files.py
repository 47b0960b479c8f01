"""The files of a release directory: what is looked at, and what is not even opened."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.errors import NotVerifiedError
from builder.release.files import check_files, list_files
from builder.release.statements import Subject

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def release(tmp_path: Path) -> Path:
    directory = tmp_path / "release"
    (directory / "secure-boot").mkdir(parents=True)
    for name in ("release.intoto.jsonl", "node.efi", "secure-boot/db.esl"):
        (directory / name).write_text(name)
    return directory


def subject(name: str, content: str | None = None) -> Subject:
    return Subject(name, {"sha256": hashlib.sha256((content or name).encode()).hexdigest()})


def problems(release: Path, *subjects: Subject, bundles: dict[str, frozenset[bytes]] | None = None) -> list[str]:
    return list(check_files(release, list_files(release), subjects, bundles or {}))


def test_a_directory_of_exactly_the_signed_files_has_no_problem(release: Path) -> None:
    listing = list_files(release)
    assert listing.files == {"release.intoto.jsonl", "node.efi", "secure-boot/db.esl"}
    assert listing.directories == {"secure-boot"}
    assert problems(release, subject("node.efi"), subject("secure-boot/db.esl")) == []


def bind(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the path of a socket may have 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        bind,
        lambda path: path.symlink_to("node.efi"),
        lambda path: path.symlink_to("/nowhere"),
        lambda path: path.symlink_to("secure-boot"),
        lambda path: path.symlink_to(path.name),
    ],
    ids=["fifo", "socket", "link", "dangling link", "link to a directory", "link to itself"],
)
def test_what_is_no_file_is_told_and_not_opened(release: Path, make: Callable[[Path], None]) -> None:
    make(release / "odd")
    make(release / "secure-boot/odd")
    with pytest.raises(NotVerifiedError, match="holds what no release does") as caught:
        list_files(release)
    assert caught.value.problems == ("odd: not a regular file", "secure-boot/odd: not a regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_told(release: Path) -> None:
    (release / "node.efi").chmod(0)
    assert problems(release, subject("node.efi"), subject("secure-boot/db.esl")) == [
        "node.efi: cannot be read: Permission denied"
    ]
    (release / "secure-boot").chmod(0)
    with pytest.raises(NotVerifiedError) as caught:
        list_files(release)
    (release / "secure-boot").chmod(0o755)
    assert caught.value.problems == ("secure-boot: cannot be listed: Permission denied",)


def test_every_kind_of_problem_is_told_at_once(release: Path) -> None:
    (release / "new/deep").mkdir(parents=True)
    (release / ".hidden").touch()
    (release / "a.sigstore.json").write_text("other")
    found = problems(
        release,
        subject("node.efi", "changed"),
        subject("gone"),
        subject("secure-boot", "a file once"),
        bundles={"a.sigstore.json": frozenset({b"bundle"})},
    )
    changed = hashlib.sha256(b"node.efi").hexdigest(), hashlib.sha256(b"changed").hexdigest()
    assert found == [
        ".hidden: no statement knows this file",
        "secure-boot/db.esl: no statement knows this file",
        "new: no statement knows this directory",
        "new/deep: no statement knows this directory",
        "secure-boot: no statement knows this directory",
        "a.sigstore.json: it is not the bundle of the statement in release.intoto.jsonl",
        f"node.efi: SHA-256 is {changed[0]}, signed was {changed[1]}",
        "gone: missing",
        "secure-boot: missing",
    ]


@pytest.mark.parametrize("digest", [{}, {"sha512": "00"}, subject("node.efi").digest | {"md5": "00"}])
def test_a_digest_that_is_not_checked_vouches_for_nothing(release: Path, digest: dict[str, str]) -> None:
    expected = f"node.efi: the statement has digests by {sorted(digest)}, expected sha256 alone"
    assert problems(release, Subject("node.efi", digest), subject("secure-boot/db.esl")) == [expected]


def test_a_digest_in_capitals_is_another_text(release: Path) -> None:
    capitals = {"sha256": subject("node.efi").digest["sha256"].upper()}
    assert len(problems(release, Subject("node.efi", capitals), subject("secure-boot/db.esl"))) == 1


def test_hard_links_are_files_like_any_other(release: Path) -> None:
    os.link(release / "node.efi", release / "twin.efi")
    assert problems(release, subject("node.efi"), subject("secure-boot/db.esl")) == [
        "twin.efi: no statement knows this file"
    ]
