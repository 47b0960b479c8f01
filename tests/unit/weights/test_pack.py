from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError
from builder.files import mapped
from builder.image import verity
from builder.image.binary import BinaryView
from builder.image.erofs import open_erofs
from builder.image.gpt import read_partition_table
from builder.process import run
from builder.progress import Silent
from builder.weights.disk import DATA_TYPE, TREE_TYPE, DiskLayout
from builder.weights.erofs import plan
from builder.weights.hash_tree import BLOCK
from builder.weights.identity import read_identity
from builder.weights.pack import pack
from tests.packed_weights import FILES, packed, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain
    from builder.weights.pack import PackedWeights


@pytest.fixture
def small(tmp_path: Path) -> PackedWeights:
    return packed(write_model(tmp_path / "model"), tmp_path / "out")


def test_the_disk_has_two_partitions_of_own_types_whose_uuids_are_the_root_hash(small: PackedWeights) -> None:
    with mapped(small.disk, what="disk") as data:
        table = read_partition_table(BinaryView.of(data, "disk"))
    assert [partition.type_guid for partition in table.partitions] == [DATA_TYPE, TREE_TYPE]
    root_hash = b"".join(partition.unique_guid.bytes for partition in table.partitions)
    assert root_hash.hex() == small.identity.verity.root_hash


def test_our_readers_find_every_file_below_a_whole_hash_tree(small: PackedWeights) -> None:
    with mapped(small.disk, what="disk") as data:
        disk = BinaryView.of(data, "disk")
        fs_part, tree_part = read_partition_table(disk).partitions
        verity.check(fs_part.view(disk), tree_part.view(disk), bytes.fromhex(small.identity.verity.root_hash))
        fs = open_erofs(fs_part.view(disk))
        files = {file.path: file for file in fs.walk()}
        regular = {path: bytes(fs.content(file.inode)) for path, file in files.items() if path in FILES}
    assert regular == FILES
    assert {stat.S_IMODE(file.inode.mode) for file in files.values()} == {0o444, 0o555}
    assert {(file.inode.uid, file.inode.gid, file.inode.mtime) for file in files.values()} == {(0, 0, 0)}


def test_the_same_model_gives_the_same_bytes(small: PackedWeights, tmp_path: Path) -> None:
    model = write_model(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    for file in model.rglob("*"):
        os.utime(file, (1, 1))
    again = packed(model, tmp_path / "again")
    assert again.disk.read_bytes() == small.disk.read_bytes()
    assert again.identity_file.read_bytes() == small.identity_file.read_bytes()


def test_the_identity_on_disk_is_the_one_that_pack_gives(small: PackedWeights) -> None:
    assert read_identity(small.identity_file) == small.identity
    assert small.disk.stat().st_size == small.identity.size


def test_the_digest_of_a_model_is_what_sha256sum_says_of_its_files(small: PackedWeights, tmp_path: Path) -> None:
    files = sorted(FILES)
    listing = subprocess.run(
        ["/usr/bin/sha256sum", *files], cwd=tmp_path / "model", capture_output=True, check=True
    ).stdout
    assert small.identity.sha256 == hashlib.sha256(listing).hexdigest()


def test_a_single_file_is_called_model_and_keeps_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "Gemma 3.gguf").write_bytes(b"weights")
    identity = packed(tmp_path / "Gemma 3.gguf", tmp_path / "out").identity
    assert [file.path for file in identity.files] == ["model.gguf"]


def test_a_link_to_a_file_is_packed_as_the_file(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", {"real.bin": b"content"})
    (model / "link.bin").symlink_to("real.bin")
    sizes = {file.path: file.size for file in packed(model, tmp_path / "out").identity.files}
    assert sizes == {"link.bin": 7, "real.bin": 7}


def test_holes_stay_holes_and_change_no_byte(tmp_path: Path) -> None:
    contents = bytes(5 << 20) + b"middle" + bytes(3 << 20) + b"end" + bytes(2 << 20)
    (tmp_path / "full.bin").write_bytes(contents)
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(len(contents))
        for word in (b"middle", b"end"):
            file.seek(contents.index(word))
            file.write(word)
    full = packed(tmp_path / "full.bin", tmp_path / "full-out")
    sparse = packed(tmp_path / "sparse.bin", tmp_path / "sparse-out")
    assert sparse.disk.read_bytes() == full.disk.read_bytes()
    assert sparse.disk.stat().st_blocks * 512 < 2 << 20


def test_a_model_of_other_content_has_another_root_hash_and_partitions(small: PackedWeights, tmp_path: Path) -> None:
    other = packed(write_model(tmp_path / "other", FILES | {"config.json": b"[]\n"}), tmp_path / "other-out")
    assert other.identity.verity.root_hash != small.identity.verity.root_hash


def test_a_directory_with_thousands_of_names_is_found_in_whole(tmp_path: Path) -> None:
    files = {f"part-{number:05}-of-03000.safetensors": b"%d" % number for number in range(3000)}
    small = packed(write_model(tmp_path / "model", files), tmp_path / "out")
    with mapped(small.disk, what="disk") as data:
        disk = BinaryView.of(data, "disk")
        fs = open_erofs(read_partition_table(disk).partitions[0].view(disk))
        assert {file.path: bytes(fs.content(file.inode)) for file in fs.walk() if file.path} == files


@pytest.mark.parametrize(
    ("name", "licence", "reason"),
    [
        ("Gemma", "MIT", "'Gemma' cannot be the name"),
        ("", "MIT", "'' cannot be the name"),
        ("a/b", "MIT", "'a/b' cannot be the name"),
        ("a", "", "'' cannot be the licence"),
        ("a", "two\nlines", "cannot be the licence"),
    ],
)
def test_a_name_or_licence_that_cannot_be_printed_or_named_is_refused(
    name: str, licence: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        pack(write_model(tmp_path / "model"), name, licence, tmp_path, Silent())


def test_a_model_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model/empty").mkdir(parents=True)
    with pytest.raises(InvalidInputError, match="is a directory without files"):
        packed(tmp_path / "model", tmp_path / "out")


@pytest.mark.parametrize("name", [".hidden", "with space", "ünicode", "-dash", "quote'", "line\nfeed"])
def test_a_file_name_that_a_unit_could_not_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be a path in packed weights"):
        packed(write_model(tmp_path / "model", {name: b""}), tmp_path / "out")


def test_a_link_to_a_directory_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / "loop").symlink_to(".")
    with pytest.raises(InvalidInputError, match="loop is a link to a directory"):
        packed(model, tmp_path / "out")


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / "gone").symlink_to("nowhere")
    with pytest.raises(InvalidInputError, match=r"cannot read the model .*gone: No such file"):
        packed(model, tmp_path / "out")


def test_a_pipe_in_a_model_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    os.mkfifo(model / "pipe")
    with pytest.raises(InvalidInputError, match="pipe is neither a file nor a directory"):
        packed(model, tmp_path / "out")


def test_weights_that_are_there_are_not_overwritten(small: PackedWeights, tmp_path: Path) -> None:
    before = small.disk.read_bytes()
    with pytest.raises(InvalidInputError, match=r"small\.weights\.raw already exists"):
        pack(tmp_path / "model", "small", "MIT", small.disk.parent, Silent())
    assert small.disk.read_bytes() == before


def test_a_model_that_changes_while_it_is_packed_leaves_nothing_behind(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")

    class Meddler(Silent):
        def line(self, text: str) -> None:  # noqa: ARG002
            (model / "config.json").write_bytes(b"{ }")

    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidInputError, match=r"config\.json changed while it was packed"):
        pack(model, "small", "MIT", tmp_path / "out", Meddler())
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.oracle
def test_veritysetup_and_fsck_erofs_agree(small: PackedWeights, toolchain: Toolchain, tmp_path: Path) -> None:
    layout = DiskLayout.of(small.identity.verity.data_blocks)
    disk = small.disk.read_bytes()
    data, tree = tmp_path / "data.img", tmp_path / "tree.img"
    data.write_bytes(disk[layout.data_offset :][: layout.data_size])
    tree.write_bytes(disk[layout.tree_offset :][: layout.tree_size])
    root_hash, salt = small.identity.verity.root_hash, small.identity.verity.salt
    tools = (
        ("veritysetup", "verify", str(data), str(tree), root_hash),
        (
            "veritysetup",
            "format",
            f"--salt={salt}",
            f"--root-hash-file={tmp_path}/root",
            str(data),
            f"{tmp_path}/other",
        ),
        ("fsck.erofs", f"--extract={tmp_path}/extracted", str(data)),
    )
    for argv in tools:
        run(toolchain.command(argv, writable=[tmp_path]), timeout=60)
    assert (tmp_path / "root").read_text() == root_hash
    extracted = tmp_path / "extracted"
    found = {str(file.relative_to(extracted)): file.read_bytes() for file in extracted.rglob("*") if file.is_file()}
    assert found == FILES
    assert layout.tree_offset % BLOCK == 0


def test_a_file_that_is_a_directory_too_has_no_image() -> None:
    with pytest.raises(InvalidInputError, match="a/b: a is both a file and a directory"):
        plan({"a": 1, "a/b": 1})
