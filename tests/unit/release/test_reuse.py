"""What of a build that stands a new one takes over: no more than its inputs allow."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from builder.definition.render import RenderedFile, RenderedTree
from builder.definition.tree_archive import pack_tree, tree_digest
from builder.errors import InvalidInputError
from builder.mkosi.layers import Inputs, key_of
from builder.release.record import BuildRecord, encode_record
from builder.release.reuse import Reuse, Standing, find_standing, image_inputs

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "[Output]\nImageId=node\n\n[Content]\nKernelCommandLine=\n    # why\n    panic=30\n    quiet\n\n[Validation]\n"
POLICY = hashlib.sha256(b"a policy").hexdigest()
DEFINITION = "2" * 64
LOCK = b"a lock"


def tree(config: str = CONFIG, **files: str) -> RenderedTree:
    entries = {"mkosi.conf": config, "mkosi.extra/motd": "hello"} | {f"mkosi.extra/{k}": v for k, v in files.items()}
    return RenderedTree(
        {PurePosixPath(path): RenderedFile(text.encode(), executable=False) for path, text in entries.items()}
    )


def inputs(made: RenderedTree, **changed: str | None) -> Inputs:
    values = {"tools": "4" * 16, "lock": hashlib.sha256(LOCK).hexdigest(), "bedplate": "0.1.0"} | changed
    return image_inputs(made, tools=str(values["tools"]), lock=values["lock"], bedplate=str(values["bedplate"]))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A build of ``tree()``."""
    directory = tmp_path / "1.0.0.unsigned"
    directory.mkdir()
    (directory / "node.raw").write_bytes(b"disk")
    (directory / "image.lock").write_bytes(LOCK)
    (directory / "policy.json").write_bytes(b"a policy")
    (directory / "mkosi-tree.tar").write_bytes(pack_tree(tree()))
    record = BuildRecord(
        name="node",
        version="1.0.0",
        architecture="x86-64",
        profile="production",
        stem="node",
        inputs=key_of(inputs(tree())),
        definition=DEFINITION,
        tree=tree_digest(tree()),
        source_date_epoch=1,
        seed="5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31",
        bedplate="0.1.0",
        lock=hashlib.sha256(LOCK).hexdigest(),
        toolchain="4" * 16,
        toolchain_packages=(),
        root_packages=(),
        initrd_packages=(),
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
        disk=hashlib.sha256(b"disk").hexdigest(),
        policy=POLICY,
    )
    (directory / "build.json").write_bytes(encode_record(record))
    return directory


def found(target: Path, made: RenderedTree | None = None, policy: str = POLICY, **changed: str | None) -> Standing:
    return find_standing(target, inputs(made or tree(), **changed), policy=policy, definition=DEFINITION)


def test_the_same_inputs_and_policy_take_over_all(target: Path) -> None:
    assert found(target).reuse is Reuse.BUILD


def test_another_policy_takes_over_the_image(target: Path) -> None:
    standing = found(target, policy="9" * 64)
    assert (standing.reuse, standing.because) == (Reuse.IMAGE, "the policy changed")
    assert standing.record is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    quiet\n", "    quiet\n    nosmt\n"),
        ("    panic=30\n    quiet\n", "    panic=0\n"),
        ("KernelCommandLine=\n    # why\n    panic=30\n", "KernelCommandLine=panic=30\n"),
    ],
)
def test_another_command_line_takes_over_the_root(target: Path, old: str, new: str) -> None:
    assert old in CONFIG
    standing = found(target, tree(CONFIG.replace(old, new)))
    assert (standing.reuse, standing.because) == (Reuse.ROOT, "command line changed")


def test_another_command_line_and_another_policy_take_over_the_root(target: Path) -> None:
    assert found(target, tree(CONFIG.replace("quiet", "loud")), "9" * 64).reuse is Reuse.ROOT


@pytest.mark.parametrize(
    ("made", "changed", "because"),
    [
        (tree(motd="bye"), {}, "file mkosi.extra/motd changed"),
        (tree(issue="hello"), {}, "file mkosi.extra/issue is new"),
        (tree(CONFIG.replace("node", "knot")), {}, "file mkosi.conf changed"),
        (tree(CONFIG.replace("[Validation]\n", "[Validation]\nSecureBoot=yes\n")), {}, "file mkosi.conf changed"),
        (tree(CONFIG.replace("quiet", "loud"), motd="bye"), {}, "command line changed; file mkosi.extra/motd changed"),
        (tree(), {"lock": "8" * 64}, "lock changed"),
        (tree(), {"lock": None}, "lock changed"),
        (tree(), {"tools": "5" * 16}, "tools changed"),
        (tree(), {"bedplate": "0.2.0"}, "bedplate changed"),
    ],
)
def test_anything_else_takes_over_nothing_and_is_named(
    target: Path, made: RenderedTree, changed: dict[str, str | None], because: str
) -> None:
    standing = found(target, made, **changed)
    assert (standing.reuse, standing.because) == (Reuse.NOTHING, because)


def test_another_definition_of_the_same_image_takes_over_the_image(target: Path) -> None:
    standing = find_standing(target, inputs(tree()), policy=POLICY, definition="3" * 64)
    assert (standing.reuse, standing.because) == (Reuse.IMAGE, "the definition changed where the image does not")


@pytest.mark.parametrize(
    ("policy", "command_line"), [(POLICY, "quiet"), (POLICY, "loud"), ("9" * 64, "quiet"), ("9" * 64, "loud")]
)
@pytest.mark.parametrize("content", [b"dusk", None])
def test_an_image_that_is_not_the_one_that_was_built_is_not_taken_over(
    target: Path, policy: str, command_line: str, content: bytes | None
) -> None:
    _put(target / "node.raw", content)
    standing = found(target, tree(CONFIG.replace("quiet", command_line)), policy)
    assert standing.reuse is Reuse.NOTHING
    assert "node.raw" in standing.because


@pytest.mark.parametrize("content", [b"other", None])
def test_a_build_that_lost_its_policy_gets_it_again(target: Path, content: bytes | None) -> None:
    _put(target / "policy.json", content)
    standing = found(target)
    assert (standing.reuse, standing.because) == (Reuse.IMAGE, "policy.json is not the one that was built for")


@pytest.mark.parametrize("name", ["image.lock", "mkosi-tree.tar"])
@pytest.mark.parametrize("content", [b"other", None])
def test_a_build_that_lost_what_it_was_made_from_is_not_taken_over(
    target: Path, name: str, content: bytes | None
) -> None:
    _put(target / name, content)
    standing = found(target)
    assert standing.reuse is Reuse.NOTHING
    assert name in standing.because


@pytest.mark.parametrize("content", [b"", pack_tree(tree(motd="bye")), None])
def test_a_build_whose_tree_is_not_what_it_was_made_of_is_not_taken_over(target: Path, content: bytes | None) -> None:
    (target / "mkosi-tree.tar").unlink()
    if content is not None:
        (target / "mkosi-tree.tar").write_bytes(content)
    assert found(target, tree(CONFIG.replace("quiet", "loud"))).reuse is Reuse.NOTHING


def test_a_build_of_another_version_of_bedplate_is_replaced_and_what_is_no_build_is_not(target: Path) -> None:
    (target / "build.json").write_text("{}")
    assert found(target).because == "another version of bedplate made the build that is there"
    (target / "build.json").unlink()
    with pytest.raises(InvalidInputError, match="is no unsigned build"):
        found(target)


def test_without_a_build_there_is_nothing(tmp_path: Path) -> None:
    assert found(tmp_path / "none").because == "there is no build of this version yet"


def test_a_record_that_says_other_inputs_than_its_tree_is_not_taken_over(target: Path) -> None:
    record = replace(_record(target), inputs="0" * 64)
    (target / "build.json").write_bytes(encode_record(record))
    assert found(target).reuse is Reuse.NOTHING


def _record(target: Path) -> BuildRecord:
    standing = found(target)
    assert standing.record is not None
    return standing.record


def _put(path: Path, content: bytes | None) -> None:
    """Replace a file, or take it away."""
    path.unlink()
    if content is not None:
        path.write_bytes(content)
