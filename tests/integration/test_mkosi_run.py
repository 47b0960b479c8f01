"""What the real mkosi makes of a tree that is wrong, and what we make of its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, ToolFailedError
from builder.mkosi.build import Workspace, build, validate

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration

CONFIG = "[Distribution]\nDistribution=debian\nRelease=trixie\n\n[Output]\nImageId=node\nFormat=directory\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(*(tmp_path / name for name in ("tree", "output", "scratch", "packages")))
    for directory in (made.tree, made.output, made.scratch, made.packages):
        directory.mkdir()
    (made.tree / "mkosi.conf").write_text(CONFIG)
    return made


def test_mkosi_accepts_a_plain_tree(toolchain: Toolchain, workspace: Workspace) -> None:
    validate(toolchain, workspace)


def test_a_section_that_mkosi_would_ignore_is_refused(toolchain: Toolchain, workspace: Workspace) -> None:
    (workspace.tree / "mkosi.conf").write_text(CONFIG + "\n[Contents]\nBootable=yes\n")
    with pytest.raises(InvalidInputError, match=r"mkosi.conf: unknown section \[Contents\]") as caught:
        validate(toolchain, workspace)
    assert "Content" in (caught.value.hint or "")


def test_a_section_of_a_subimage_is_looked_at_too(toolchain: Toolchain, workspace: Workspace) -> None:
    (workspace.tree / "mkosi.images/initrd").mkdir(parents=True)
    (workspace.tree / "mkosi.images/initrd/mkosi.conf").write_text("[Outptu]\nFormat=cpio\n")
    with pytest.raises(InvalidInputError, match=r"initrd/mkosi.conf: unknown section \[Outptu\]"):
        validate(toolchain, workspace)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[Content]\nBootabel=yes\n", "Bootabel"),
        ("[Output]\nFormat=floppy\n", "floppy"),
        ("[Output]\nBootable=yes\n", "Bootable"),
        ("[Content]\nBootable=perhaps\n", "perhaps"),
    ],
    ids=["unknown", "bad value", "wrong section", "bad boolean"],
)
def test_a_setting_that_mkosi_does_not_take_is_refused_in_its_words(
    toolchain: Toolchain, workspace: Workspace, line: str, words: str
) -> None:
    (workspace.tree / "mkosi.conf").write_text(CONFIG + "\n" + line)
    with pytest.raises(InvalidInputError, match="mkosi does not accept the rendered tree: ") as caught:
        validate(toolchain, workspace)
    assert words in str(caught.value)


def test_a_build_that_fails_is_told_with_its_last_lines_and_log(
    toolchain: Toolchain, workspace: Workspace, tmp_path: Path
) -> None:
    (workspace.tree / "mkosi.conf").write_text(CONFIG.replace("Release=trixie", "Release=nowhere"))
    sources = workspace.tree / "mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources"
    sources.parent.mkdir(parents=True)
    sources.write_text("Types: deb\nURIs: file:///nowhere\nSuites: nowhere\nComponents: main\nTrusted: yes\n")
    lines: list[str] = []
    log = tmp_path / "build.log"
    with pytest.raises(ToolFailedError, match="mkosi failed with exit status") as caught:
        build(toolchain, workspace, "node", log=log, timeout=300, on_line=lines.append)
    assert caught.value.hint == f"the full log is {log}"
    assert "nowhere" in log.read_text()
    assert any("nowhere" in line for line in lines)


def test_a_build_has_a_time_limit(toolchain: Toolchain, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"did not finish within 0\.2 seconds"):
        build(toolchain, workspace, "node", log=tmp_path / "build.log", timeout=0.2)
