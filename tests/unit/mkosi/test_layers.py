"""Which images of a tree root and initrd come from, and what decides each of them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from builder.definition.load import load
from builder.definition.lock import LockedPackage, Part
from builder.definition.render import RenderedFile, RenderedLink, RenderedTree, render
from builder.errors import InvalidInputError
from builder.mkosi.layers import (
    ENGINE,
    LAYERS,
    PROGRAMS,
    asked_by_area,
    differences,
    disk_tree,
    explain,
    key_of,
    layer_inputs,
    layer_tree,
    layers_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGES = {"base": ("systemd", "udev"), "initrd": (), "packages": ("linux",), "disk": ()}
# The layers of the shipped image that a tree of mkosi makes in one run.
IN_ONE_RUN = (*LAYERS, PROGRAMS)
SHIPPED = Path(__file__).parents[3] / "images"


def package(name: str, *parts: Part, digest: str = "0") -> LockedPackage:
    return LockedPackage(
        name=name,
        version="1",
        architecture="amd64",
        archive="main",
        parts=parts,
        size=1,
        sha256=digest * 64,
        path=f"pool/{name}.deb",
    )


PACKAGES = (
    package("libc6", Part.INITRD, Part.ROOT, Part.TOOLCHAIN),
    package("linux", Part.ROOT),
    package("mkosi", Part.TOOLCHAIN),
)


def shipped_tree() -> RenderedTree:
    return render(load(SHIPPED / "inference-node"), None)


def keys(
    tree: RenderedTree, packages: tuple[LockedPackage, ...] = PACKAGES, tools: str = "tools root"
) -> dict[str, str]:
    """The key of each layer, made as a build makes it."""
    found: dict[str, str] = {}
    for layer in IN_ONE_RUN:
        parts = [row for row in packages if set(row.parts) & set(layer.parts)]
        found[layer.name] = key_of(layer_inputs(layer, layer_tree(tree, layer), parts, found, tools))
    return found


def changed(tree: RenderedTree, path: str, content: bytes | None = None) -> RenderedTree:
    """The tree with one file that is new, or has a line more."""
    place = PurePosixPath(path)
    old = tree.entries.get(place)
    more = (old.content if isinstance(old, RenderedFile) else b"") + b"# changed\n" if content is None else content
    is_executable = isinstance(old, RenderedFile) and old.executable
    return RenderedTree(dict(sorted({**tree.entries, place: RenderedFile(more, executable=is_executable)}.items())))


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_what_is_asked_for_in_the_base_is_asked_for_in_root_and_initrd() -> None:
    assert asked_by_area(IMAGES) == {"root": ("linux", "systemd", "udev"), "initrd": ("systemd", "udev")}


@pytest.mark.parametrize("names", [("disk", "initrd"), ("base", "disk", "initrd", "packages", "tools"), ()])
def test_a_tree_of_other_images_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match="expected base, disk, initrd, packages"):
        asked_by_area(dict.fromkeys(names, ()))


def test_programs_are_compiled_without_packages() -> None:
    assert asked_by_area(IMAGES | {"programs": ()}) == asked_by_area(IMAGES)
    with pytest.raises(InvalidInputError, match="the image programs asks for golang-go, gcc, and what compiles"):
        asked_by_area(IMAGES | {"programs": ("golang-go", "gcc")})


@pytest.mark.parametrize(
    ("path", "layers"),
    [
        ("common.conf", {"base", "initrd", "packages", "programs"}),
        ("mkosi.images/base/mkosi.conf", {"base", "initrd", "packages"}),
        ("mkosi.images/initrd/mkosi.conf", {"initrd"}),
        ("mkosi.images/initrd/mkosi.prune.rules", {"initrd"}),
        ("mkosi.images/initrd/mkosi.finalize", {"initrd"}),
        ("mkosi.images/initrd/mkosi.extra/etc/new", {"initrd"}),
        ("mkosi.closed/usr/lib/sysctl.d/60-bedplate.conf", {"initrd"}),
        ("mkosi.prune/builder/closure/close.py", {"initrd"}),
        ("mkosi.images/packages/mkosi.conf", {"packages"}),
        ("mkosi.images/programs/mkosi.finalize", {"programs"}),
        ("mkosi.programs/gateway/main.go", {"programs"}),
        ("mkosi.programs/gateway/internal/new.go", {"programs"}),
        ("mkosi.conf", set()),
        ("mkosi.finalize", set()),
        ("mkosi.prune.rules", set()),
        ("mkosi.extra/etc/motd", set()),
        ("mkosi.repart/10-root.conf", set()),
    ],
)
def test_a_file_moves_the_layers_that_may_read_it_and_no_other(path: str, layers: set[str]) -> None:
    tree = shipped_tree()
    assert moved(keys(tree), keys(changed(tree, path))) == layers


@pytest.mark.parametrize(
    ("row", "layers"),
    [
        (package("libc6", Part.INITRD, Part.ROOT, digest="1"), {"base", "initrd", "packages"}),
        (package("linux", Part.ROOT, digest="1"), {"packages"}),
        (package("engine", Part.ROOT), {"packages"}),
        (package("mkosi", Part.TOOLCHAIN, digest="1"), set()),
    ],
    ids=["of both", "of the root", "new", "of the toolchain"],
)
def test_a_package_moves_the_layers_that_it_is_for(row: LockedPackage, layers: set[str]) -> None:
    tree = shipped_tree()
    packages = (*(old for old in PACKAGES if old.name != row.name), row)
    assert moved(keys(tree), keys(tree, packages)) == layers


@pytest.mark.parametrize("tools", ["other root", "tools user"])
def test_other_tools_or_other_rights_move_every_layer(tools: str) -> None:
    tree = shipped_tree()
    assert moved(keys(tree), keys(tree, tools=tools)) == {"base", "initrd", "packages", "programs"}


@pytest.mark.parametrize(
    ("old", "new", "layers"),
    [
        ("version: 1.0.0", "version: 1.0.1", {"initrd"}),
        ("profile: production", "profile: development", {"initrd"}),
        ("source_date: 2026-11-01", "source_date: 2026-11-02", {"base", "initrd", "packages", "programs"}),
        ("programs: [engine-watch, gateway, weights-read]", "programs: [engine-watch]", {"programs"}),
        ("seed: 5f6a", "seed: 5f6b", set()),
        ("size_mib: 128", "size_mib: 256", set()),
        ("esp:", "packages: [iputils-ping]\nesp:", {"packages"}),
        ("esp:", "kernel: {command_line: [nosmt]}\nesp:", set()),
        ("esp:", "prune: {keep: [/etc/motd]}\nesp:", set()),
    ],
)
def test_a_line_of_the_definition_moves_what_it_decides(tmp_path: Path, old: str, new: str, layers: set[str]) -> None:
    text = (SHIPPED / "inference-node/image.yaml").read_text()
    assert old in text
    for name in ("base", "engine-base", "llama-engine"):
        (tmp_path / name).symlink_to(SHIPPED / name)
    found = []
    for name, content in (("a", text), ("b", text.replace(old, new))):
        (tmp_path / name / "files").mkdir(parents=True)
        (tmp_path / name / "image.yaml").write_text(content.replace("name: inference-node", "name: node"))
        for part in ("engine-watch", "gateway", "weights-read", "inference-node.yaml"):
            (tmp_path / name / part).symlink_to(SHIPPED / "inference-node" / part)
        (tmp_path / name).rename(tmp_path / "node")
        found.append(keys(render(load(tmp_path / "node"), None)))
        (tmp_path / "node").rename(tmp_path / f"{name}-done")
    assert moved(*found) == layers


def test_a_mode_and_a_link_are_inputs_too() -> None:
    place = PurePosixPath("mkosi.images/initrd/mkosi.extra/x")
    entries = [RenderedFile(b"a", executable=False), RenderedFile(b"a", executable=True), RenderedLink("a")]
    tree = shipped_tree()
    found = {keys(RenderedTree(tree.entries | {place: entry}))["initrd"] for entry in entries}
    assert len(found) == 3


def test_a_layer_sees_nothing_of_the_disk_and_of_other_layers() -> None:
    tree = shipped_tree()
    seen = {layer.name: {path.parts[0] for path in layer_tree(tree, layer).entries} for layer in IN_ONE_RUN}
    assert seen == {
        "base": {"common.conf", "mkosi.conf", "mkosi.images"},
        "initrd": {"common.conf", "mkosi.closed", "mkosi.conf", "mkosi.images", "mkosi.prune"},
        "packages": {"common.conf", "mkosi.conf", "mkosi.images"},
        "programs": {"common.conf", "mkosi.conf", "mkosi.images", "mkosi.programs"},
    }
    images = {path.parts[1] for path in layer_tree(tree, LAYERS[2]).entries if path.parts[0] == "mkosi.images"}
    assert images == {"base", "packages"}


def test_the_disk_is_made_of_finished_layers() -> None:
    entries = disk_tree(shipped_tree()).entries
    images = {path: entry for path, entry in entries.items() if path.parts[0] == "mkosi.images"}
    assert {entry.content for entry in images.values() if isinstance(entry, RenderedFile)} == {
        b"[Output]\nFormat=none\n"
    }
    assert {path.parts[1] for path in images} == {"base", "initrd", "packages", "programs"}
    assert not [path for path in entries if path.parts[0] == "mkosi.programs"]


def test_an_image_has_the_layers_of_what_is_in_it() -> None:
    tree = shipped_tree()
    assert layers_of(tree) == (*LAYERS, PROGRAMS, ENGINE)
    without = RenderedTree({path: tree.entries[path] for path in tree.entries if "programs" not in path.parts})
    assert layers_of(without) == (*LAYERS, ENGINE)
    assert layers_of(RenderedTree({})) == LAYERS


def test_a_tree_without_an_image_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"has no mkosi.images/base/mkosi.conf or no common.conf"):
        layer_tree(RenderedTree({}), LAYERS[0])


@pytest.mark.parametrize(
    ("new", "rows"),
    [({}, "a is gone"), ({"a": "1"}, ""), ({"a": "2"}, "a changed"), ({"a": "1", "b": ""}, "b is new")],
)
def test_differences_are_told_by_name(new: dict[str, str], rows: str) -> None:
    assert explain(differences({"a": "1"}, new)) == rows
