"""What a run of mkosi must leave behind, with a stand-in for mkosi that leaves what each test says."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from builder.errors import ToolFailedError
from builder.mkosi.build import BuiltImage, Workspace, build, mkosi_command
from builder.mkosi.manifest import InstalledPackage
from builder.mkosi.toolchain import Toolchain

if TYPE_CHECKING:
    from pathlib import Path

ROW = {"type": "deb", "name": "libc6", "version": "1:2.41-12", "architecture": "amd64"}
LIBRARY, KERNEL = (
    f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: {architecture}\n\n"
    for name, version, architecture in (("libc6", "1:2.41-12", "amd64"), ("linux", "6.12", "all"))
)
DEB = "libc6_1%3a2.41-12_amd64.deb"


class Mkosi:
    """A package ``mkosi`` whose main program prints a line and leaves files in the output directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.toolchain = Toolchain(folder / "tree")
        self.workspace = Workspace(*(folder / name for name in ("config", "output", "scratch", "packages")))
        package = self.toolchain.python_path / "mkosi"
        for directory in (package, self.workspace.tree, self.workspace.output, self.workspace.scratch):
            directory.mkdir(parents=True)
        (package / "__init__.py").touch()
        self.program = package / "__main__.py"
        archives = self.workspace.packages / "cache/apt/archives"
        archives.mkdir(parents=True)
        (archives / DEB).write_bytes(b"deb")
        (archives / "linux_6.12_all.deb").write_bytes(b"kernel")
        (archives / "lock").touch()
        (archives / "odd.deb").touch()

    def run(self, *, line: str = "fine", status: str | None = LIBRARY + KERNEL, **files: str | None) -> BuiltImage:
        outputs = {
            "node.raw": "disk",
            "base.manifest": json.dumps({"packages": [ROW]}),
        }
        if status is not None:
            with tarfile.open(self.workspace.output / "packages.tar", "w") as archive:
                member = tarfile.TarInfo("./var/lib/dpkg/status")
                member.size = len(status)
                archive.addfile(member, io.BytesIO(status.encode()))
        outputs |= {name.replace("__", "."): text for name, text in files.items() if text is not None}
        for name, text in files.items():
            if text is None:
                del outputs[name.replace("__", ".")]
        self.program.write_text(
            f"import pathlib\nprint({line!r})\n"
            f"for name, text in {outputs!r}.items():\n"
            f"    (pathlib.Path({str(self.workspace.output)!r}) / name).write_text(text)\n"
        )
        return build(self.toolchain, self.workspace, "node", log=self.folder / "log", timeout=60)


@pytest.fixture
def mkosi(tmp_path: Path) -> Mkosi:
    return Mkosi(tmp_path)


def test_a_good_run_gives_disk_and_packages_with_the_digests_of_their_files(mkosi: Mkosi) -> None:
    built = mkosi.run()
    assert built.disk.read_text() == "disk"
    package = InstalledPackage("libc6", "1:2.41-12", "amd64", hashlib.sha256(b"deb").hexdigest())
    kernel = InstalledPackage("linux", "6.12", "all", hashlib.sha256(b"kernel").hexdigest())
    assert built.packages == {"root": (package, kernel), "initrd": (package,)}


@pytest.mark.parametrize("words", ["Unknown key 'Foo' in section", "Unknown section 'Foo'", "Unknown lvalue 'x'"])
def test_a_setting_that_a_tool_ignored_is_a_failure(mkosi: Mkosi, words: str) -> None:
    with pytest.raises(ToolFailedError, match=r"a tool ignored a setting: .*nknown") as caught:
        mkosi.run(line=f"repart.d/00-esp.conf:3: {words}, ignoring.")
    assert "log" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"node__raw": None}, "mkosi ended well but left no node.raw"),
        ({"base__manifest": None}, "no usable manifest base.manifest: .*No such file"),
        ({"status": None}, "no usable list of packages in packages.tar: .*No such file"),
        ({"status": "Package: a"}, "no usable list of packages in packages.tar: dpkg status"),
        ({"status": ""}, "packages.tar has no packages beside those below it"),
        ({"status": LIBRARY}, "packages.tar has no packages beside those below it"),
        (
            {"status": KERNEL.replace("6.12", "6.13")},
            r"the file that package linux 6\.13 \(all\) came from is not there",
        ),
        ({"base__manifest": "{"}, "no usable manifest base.manifest: Expecting property name"),
        ({"base__manifest": "[" * 100_000}, "no usable manifest base.manifest: .*recursion"),
        ({"base__manifest": "[]"}, "no usable manifest base.manifest"),
        ({"base__manifest": '{"packages": [{"name": "a"}]}'}, "no usable manifest base.manifest: 'version'"),
        ({"base__manifest": '{"packages": []}'}, "manifest base.manifest lists no packages"),
        (
            {"base__manifest": json.dumps({"packages": [ROW | {"version": "9"}]})},
            r"the file that package libc6 9 \(amd64\) came from is not there",
        ),
    ],
)
def test_what_is_missing_afterwards_is_told(mkosi: Mkosi, files: dict[str, str | None], problem: str) -> None:
    with pytest.raises(ToolFailedError, match=problem):
        mkosi.run(**files)


def test_mkosi_is_the_trees_own_and_gets_every_directory(mkosi: Mkosi) -> None:
    command = mkosi_command(mkosi.toolchain, mkosi.workspace, "summary")
    assert command[1:3] == ("-m", "mkosi")
    assert command[-1] == "summary"
    workspace = mkosi.workspace
    for directory in (workspace.tree, workspace.output, workspace.scratch, workspace.packages, mkosi.toolchain.tree):
        assert str(directory) in command
