from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from builder.definition.digest import tree_digest
from builder.definition.load import load
from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "image.yaml").write_text(TEXT)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "mkosi.conf").write_text("[Output]\n")
    return tmp_path


def test_a_definition_is_found_by_its_directory_and_by_its_file(images: Path) -> None:
    assert load(images / "node") == load(images / "node" / "image.yaml")


def test_directories_are_absolute_and_without_detours(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(images)
    loaded = load(images.joinpath("node").relative_to(images))
    assert loaded.directory == images / "node"
    assert loaded.base_directory == images / "base"
    assert loaded.path == images / "node" / "image.yaml"
    assert loaded.file_digest == hashlib.sha256(TEXT.encode()).hexdigest()


def test_the_directory_files_is_taken_if_it_is_there(images: Path) -> None:
    assert load(images / "node").files_directory is None
    (images / "node" / "files").mkdir()
    assert load(images / "node").files_directory == images / "node" / "files"


def test_a_directory_that_is_named_must_be_there(images: Path) -> None:
    (images / "node" / "image.yaml").write_text(f"{TEXT}files: own\n")
    with pytest.raises(InvalidInputError, match=r"image\.yaml:6:8: files is 'own', but .*/node/own is not a directory"):
        load(images / "node")


def test_the_base_must_be_there(images: Path) -> None:
    (images / "node" / "image.yaml").write_text(TEXT.replace("../base", "../bass"))
    with pytest.raises(
        InvalidInputError, match=r"image\.yaml:3:7: base is '\.\./bass', but .*/bass is not a directory"
    ):
        load(images / "node")


def test_a_directory_without_a_definition_is_refused(images: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot read image definition .*/base/image\.yaml"):
        load(images / "base")


def test_every_change_of_what_is_built_changes_the_digest(images: Path) -> None:
    files = images / "node" / "files"
    digests = [load(images / "node").digest]

    def changed() -> bool:
        digests.append(load(images / "node").digest)
        return len(set(digests)) == len(digests)

    (images / "base" / "mkosi.conf").write_text("[Output]\nFormat=disk\n")
    assert changed()
    files.mkdir()
    (files / "a").write_text("x")
    assert changed()
    (files / "a").rename(files / "b")
    assert changed()
    (files / "b").chmod(0o755)
    assert changed()
    (files / "link").symlink_to("b")
    assert changed()
    (files / "link").unlink()
    (files / "link").symlink_to("c")
    assert changed()
    (images / "node" / "image.yaml").write_text(TEXT + "# a remark\n")
    assert changed()


def test_place_owner_times_and_umask_do_not_change_the_digest(images: Path) -> None:
    before = load(images / "node").digest
    os.utime(images / "base" / "mkosi.conf", (0, 0))
    (images / "base" / "mkosi.conf").chmod(0o600)
    (images / "base" / "empty").mkdir()
    moved = images.rename(images.with_name("moved"))
    assert load(moved / "node").digest == before


def test_the_digest_is_that_of_the_listing_that_is_documented(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a\n").symlink_to("b")
    content, target = (hashlib.sha256(data).hexdigest() for data in (b"abc", b"b"))
    listing = f"l {target} 'part/a\\n'\nf {content} 'part/b'\n"
    assert tree_digest({"part": tmp_path}) == hashlib.sha256(listing.encode()).hexdigest()


def test_what_is_no_file_is_refused(images: Path) -> None:
    os.mkfifo(images / "base" / "fifo")
    with pytest.raises(InvalidInputError, match="fifo is neither a file, a directory nor a symbolic link"):
        load(images / "node")


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot read .*/gone: No such file"):
        tree_digest({"gone": tmp_path / "gone"})


def test_packs_and_waivers_of_its_own_belong_to_the_definition(images: Path) -> None:
    text = f"{TEXT}policy:\n  packs: [zero-operator-access, ../site.yaml]\n  waivers: waivers.yaml\n"
    (images / "node" / "image.yaml").write_text(text)
    with pytest.raises(
        InvalidInputError, match=r"image\.yaml:7:33: policy\.packs\[1\] is '\.\./site\.yaml', but .* file"
    ):
        load(images / "node")
    (images / "site.yaml").write_text("a")
    with pytest.raises(InvalidInputError, match=r"image\.yaml:8:12: policy\.waivers is 'waivers\.yaml', but .* file"):
        load(images / "node")
    (images / "node" / "waivers.yaml").write_text("a")
    loaded = load(images / "node")
    assert (loaded.definition.packs, loaded.waivers) == (
        ("zero-operator-access", "../site.yaml"),
        images / "node" / "waivers.yaml",
    )
    for path in (images / "site.yaml", images / "node" / "waivers.yaml"):
        path.write_text("b")
        assert load(images / "node").digest != loaded.digest
        path.write_text("a")


def test_a_definition_that_names_no_pack_has_that_of_its_profile(images: Path) -> None:
    assert load(images / "node").definition.packs == ("zero-operator-access",)
    (images / "node" / "image.yaml").write_text(f"{TEXT}profile: development\npolicy:\n  packs:\n")
    assert load(images / "node").definition.packs == ("development",)
