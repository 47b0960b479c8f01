"""The mkosi tree of a definition."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

import pytest

from builder.closure.rules import parse_rules
from builder.definition.load import load
from builder.definition.mirror import Mirror
from builder.definition.render import RenderedFile, RenderedLink, RenderedTree, render
from builder.errors import InvalidInputError
from builder.process import run

IMAGES = Path(__file__).parents[3] / "images"
MIRROR = Mirror("http://mirror.example.org/debian", "--mirror")
SOURCES = PurePosixPath("mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources")
TEXT = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """images/node on images/base."""
    (tmp_path / "node/files").mkdir(parents=True)
    (tmp_path / "node/image.yaml").write_text(TEXT)
    (tmp_path / "base").mkdir()
    (tmp_path / "base/mkosi.conf.j2").write_text("[Output]\nImageId={{ definition.name }}\n")
    return tmp_path


def link_shipped(images: Path) -> None:
    """What the shipped image stands on, beside a definition that was made from its own."""
    for name in ("base", "engine-base", "llama-engine"):
        (images / name).symlink_to(IMAGES / name)
    for name in ("engine-watch", "gateway", "weights-read", "inference-node.yaml"):
        (images / "node" / name).symlink_to(IMAGES / "inference-node" / name)


def tree_of(images: Path, mirror: Mirror | None = None) -> RenderedTree:
    return render(load(images / "node"), mirror)


def text_of(tree: RenderedTree, path: str) -> str:
    entry = tree.entries[PurePosixPath(path)]
    assert isinstance(entry, RenderedFile)
    return entry.content.decode()


def test_the_shipped_image_is_rendered_without_a_trace_of_templates() -> None:
    tree = render(load(IMAGES / "inference-node"), MIRROR)
    assert list(tree.entries) == sorted(tree.entries)
    assert not [path for path in tree.entries if path.suffix == ".j2" or path.name.startswith("_")]
    for path, entry in tree.entries.items():
        if isinstance(entry, RenderedFile):
            assert not {b"{{", b"{%"} & {entry.content[at : at + 2] for at in range(len(entry.content))}, path


def test_the_shipped_image_is_rendered_with_its_own_values() -> None:
    tree = render(load(IMAGES / "inference-node"), MIRROR)
    config = text_of(tree, "mkosi.conf")
    for line in (
        "Output=inference-node_1.0.0_x86-64",
        "ImageVersion=1.0.0",
        "Seed=5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31",
        "    /var/cache/*",  # a line of the part that the base includes
    ):
        assert line in config.splitlines()
    assert {"Release=trixie", "SourceDateEpoch=1793491200"} <= set(text_of(tree, "common.conf").splitlines())
    assert "VARIANT_ID=production" in text_of(tree, "mkosi.finalize")
    assert "URIs: http://mirror.example.org/debian" in text_of(tree, str(SOURCES))
    assert "enable engine.service" in text_of(tree, "mkosi.extra/usr/lib/systemd/system-preset/00-bedplate.preset")
    assert PurePosixPath("mkosi.extra/usr/lib/systemd/network/20-dhcp.network") in tree.entries


def test_the_floor_keeps_its_links_and_its_modes() -> None:
    entries = render(load(IMAGES / "inference-node"), MIRROR).entries
    wanted = PurePosixPath("mkosi.extra/usr/lib/systemd/system/local-fs.target.wants/var.mount")
    assert entries[wanted] == RenderedLink("../var.mount")
    executable = {str(path) for path, entry in entries.items() if isinstance(entry, RenderedFile) and entry.executable}
    places = ("mkosi.engine", ".", "mkosi.images/initrd", "mkosi.images/programs")
    assert executable == {str(PurePosixPath(place, "mkosi.finalize")) for place in places}


@pytest.mark.parametrize(("setting", "is_pruned"), [("", True), ("prune: {enabled: false}\n", False)])
def test_the_program_that_prunes_goes_along_unless_it_is_turned_off(
    tmp_path: Path, *, setting: str, is_pruned: bool
) -> None:
    text = (IMAGES / "inference-node/image.yaml").read_text() + setting
    (tmp_path / "node/files").mkdir(parents=True)
    (tmp_path / "node/image.yaml").write_text(text)
    link_shipped(tmp_path)
    tree = tree_of(tmp_path)
    assert (PurePosixPath("mkosi.prune/builder/closure/program.py") in tree.entries) is is_pruned
    assert ("builder.closure.program" in text_of(tree, "mkosi.finalize")) is is_pruned


def test_what_the_definition_keeps_is_in_the_rules(tmp_path: Path) -> None:
    text = (IMAGES / "inference-node/image.yaml").read_text()
    text += "prune: {keep: [/usr/share/engine/**], keep_modules: [nfs], allow_missing: [/usr/bin/helper]}\n"
    (tmp_path / "node/files").mkdir(parents=True)
    (tmp_path / "node/image.yaml").write_text(text)
    link_shipped(tmp_path)
    rules = parse_rules(text_of(tree_of(tmp_path), "mkosi.prune.rules"), "mkosi.prune.rules")
    assert "/usr/share/engine/**" in {rule.text for rule in rules.keep if not rule.optional}
    assert "nfs" in {rule.text for rule in rules.modules if not rule.optional}
    assert {rule.text for rule in rules.missing} == {"/usr/bin/helper"}
    assert "engine.service" in {rule.text for rule in rules.units}


@pytest.mark.parametrize(
    ("modules", "is_read"),
    [("# /etc/modules\n\n  ; nothing\n", False), ("", False), (None, False), ("# Tunnels\n tun\n", True)],
    ids=["comments", "empty", "missing", "a module"],
)
def test_debians_list_of_modules_is_read_if_there_is_one_on_it(
    tmp_path: Path, *, modules: str | None, is_read: bool
) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node/image.yaml").write_text(f"{TEXT}prune: {{enabled: false}}\n")
    link_shipped(tmp_path)
    etc = tmp_path / "root/etc"
    (etc / "modules-load.d").mkdir(parents=True)
    (etc / "modules-load.d/modules.conf").symlink_to("../modules")
    for name, text in (("passwd", ""), ("shadow", ""), ("modules", modules)):
        if text is not None:
            (etc / name).write_text(text)
    (tmp_path / "finalize").write_text(text_of(tree_of(tmp_path), "mkosi.finalize"))
    run(["sh", str(tmp_path / "finalize")], timeout=60, env={"BUILDROOT": str(tmp_path / "root")})
    assert (etc / "modules-load.d/modules.conf").is_symlink() is is_read


def test_without_a_mirror_mkosi_has_its_own_sources() -> None:
    assert SOURCES not in render(load(IMAGES / "inference-node"), None).entries


def test_a_development_image_is_marked_in_two_measured_places(tmp_path: Path) -> None:
    text = (IMAGES / "inference-node/image.yaml").read_text()
    (tmp_path / "node/files").mkdir(parents=True)
    text = text.replace("profile: production", "profile: development").replace("name: inference-node", "name: node")
    (tmp_path / "node/image.yaml").write_text(text)
    link_shipped(tmp_path)
    tree = tree_of(tmp_path)
    assert "    bedplate.profile=development" in text_of(tree, "mkosi.conf").splitlines()
    assert "VARIANT_ID=development" in text_of(tree, "mkosi.finalize")
    assert "bedplate.profile" not in text_of(render(load(IMAGES / "inference-node"), None), "mkosi.conf")


@pytest.mark.parametrize(
    ("packages", "removed"),
    [("", (True, True)), ("[cryptsetup-bin]", (False, True)), ("[dmsetup]", (True, False))],
)
def test_what_only_the_initrd_needs_is_removed_from_the_root_unless_it_is_asked_for(
    tmp_path: Path, packages: str, removed: tuple[bool, bool]
) -> None:
    text = (IMAGES / "inference-node/image.yaml").read_text()
    (tmp_path / "node/files").mkdir(parents=True)
    (tmp_path / "node/image.yaml").write_text(text + (f"packages: {packages}\n" if packages else ""))
    link_shipped(tmp_path)
    lines = text_of(tree_of(tmp_path), "mkosi.conf").split()
    found = ("/usr/lib/*/libcryptsetup.so.12*" in lines, "/usr/lib/udev/rules.d/55-dm.rules" in lines)
    assert found == removed


@pytest.mark.parametrize("name", ["mkosi.extra/etc/motd", "mkosi.extra/etc/motd.j2", "mkosi.closed/etc/motd"])
def test_a_file_of_the_base_cannot_be_replaced(images: Path, name: str) -> None:
    (images / "base" / name).parent.mkdir(parents=True)
    (images / "base" / name).write_text("floor\n")
    (images / "node/files/etc").mkdir()
    (images / "node/files/etc/motd").write_text("mine\n")
    with pytest.raises(InvalidInputError, match=r"files/etc/motd would replace etc/motd of the base") as caught:
        tree_of(images)
    assert caught.value.hint == "rename the file, or change the base"


def test_parts_are_included_and_not_copied(images: Path) -> None:
    (images / "base/_part.j2").write_text("from the part of {{ definition.version }}\n")
    (images / "base/mkosi.conf.j2").write_text('{% include "_part.j2" %}')
    tree = tree_of(images)
    assert list(tree.entries) == [PurePosixPath("mkosi.conf")]
    assert text_of(tree, "mkosi.conf") == "from the part of 1.0.0\n"


def test_links_are_kept_whatever_they_point_to(images: Path) -> None:
    (images / "node/files/etc").mkdir()
    (images / "node/files/etc/mtab").symlink_to("../proc/self/mounts")
    (images / "node/files/srv").symlink_to("/nowhere")
    entries = tree_of(images).entries
    assert entries[PurePosixPath("mkosi.extra/etc/mtab")] == RenderedLink("../proc/self/mounts")
    assert entries[PurePosixPath("mkosi.extra/srv")] == RenderedLink("/nowhere")


def test_a_link_to_a_directory_is_not_entered(images: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").touch()
    (images / "node/files/opt").symlink_to(tmp_path / "secret")
    assert PurePosixPath("mkosi.extra/opt/key") not in tree_of(images).entries


def test_a_fifo_is_no_file_of_an_image(images: Path) -> None:
    os.mkfifo(images / "node/files/pipe")
    with pytest.raises(InvalidInputError, match="pipe is neither a file, a directory nor a symbolic link"):
        tree_of(images)


def test_a_base_needs_a_configuration(images: Path) -> None:
    (images / "base/mkosi.conf.j2").rename(images / "base/other.j2")
    with pytest.raises(InvalidInputError, match=r"has neither mkosi\.conf nor mkosi\.conf\.j2"):
        tree_of(images)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("a\n{% if %}\n", r"mkosi.conf.j2:2: Expected an expression"),
        ("a\n{{ definition.colour }}", r"base/mkosi.conf.j2:2: .*no attribute 'colour'"),
        ("a\n\n{{ nothing }}", r"base/mkosi.conf.j2:3: 'nothing' is undefined"),
        ('a\n{% include "_none.j2" %}', r"base/mkosi.conf.j2:2: .*_none.j2"),
        ('{% include "../../secret" %}', r"base/mkosi.conf.j2:1: .*secret"),
    ],
)
def test_a_mistake_in_a_template_is_told_by_its_place(images: Path, template: str, problem: str) -> None:
    (images / "base/mkosi.conf.j2").write_text(template)
    with pytest.raises(InvalidInputError, match=problem):
        tree_of(images)


@pytest.mark.parametrize("mistake", ["{{ }", "{{ nothing }}"])
def test_a_mistake_in_a_part_is_told_by_its_place(images: Path, mistake: str) -> None:
    (images / "base/_part.j2").write_text(f"a\nb\n{mistake}\n")
    (images / "base/mkosi.conf.j2").write_text('{% include "_part.j2" %}')
    with pytest.raises(InvalidInputError, match=r"_part.j2:3: "):
        tree_of(images)


def test_what_is_rendered_is_not_escaped_as_html(images: Path) -> None:
    (images / "node/image.yaml").write_text(TEXT + "description: a & b\n")
    (images / "base/mkosi.conf.j2").write_text("{{ definition.description }}")
    assert text_of(tree_of(images), "mkosi.conf") == "a & b"


def test_a_written_tree_does_not_depend_on_the_umask(images: Path, tmp_path: Path) -> None:
    (images / "base/mkosi.finalize").write_text("#!/bin/sh\n")
    (images / "base/mkosi.finalize").chmod(0o700)
    (images / "base/link").symlink_to("/dev/null")
    tree = tree_of(images)
    before = os.umask(0o077)
    try:
        (tmp_path / "out").mkdir()
        tree.write(tmp_path / "out")
    finally:
        os.umask(before)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "out", *(tmp_path / "out").iterdir())
        if not path.is_symlink()
    }
    assert modes == {"out": 0o755, "mkosi.conf": 0o644, "mkosi.finalize": 0o755}
    assert (tmp_path / "out/link").readlink() == Path("/dev/null")
