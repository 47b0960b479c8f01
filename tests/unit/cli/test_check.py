from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from builder.cli.group import bedplate

if TYPE_CHECKING:
    from pathlib import Path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(bedplate, ["check", *map(str, arguments)], prog_name="bedplate")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    (directory / "etc").mkdir(parents=True)
    (directory / "etc" / "shadow").write_text("root:*:20000::::::\n")
    return directory


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """One control that a tree can satisfy and one that needs a disk."""
    path = tmp_path / "small.yaml"
    path.write_text("description: Two controls.\ncontrols:\n  ZOA-501:\n  ZOA-701:\n")
    return path


def test_a_good_tree_is_a_yes_that_says_what_was_not_looked_at(root: Path, pack: Path) -> None:
    shown = invoke(root, "--pack", pack)
    assert shown.exit_code == 0
    assert shown.output.startswith("yes: this tree, ")
    assert "not-applicable" in shown.output


def test_a_bad_tree_is_a_no_with_the_evidence(root: Path) -> None:
    (root / "etc" / "shadow").write_text("root::20000::::::\n")
    shown = invoke(root)
    assert shown.exit_code == 1
    assert "Accounts\n  ZOA-501  critical" in shown.output
    assert "root:/etc/shadow:root has an empty password\n      root:/etc/shadow:1" in shown.output


def test_a_name_in_an_image_cannot_steer_the_terminal(root: Path) -> None:
    (root / "etc" / "shadow").write_text("\x1b[2Jroot::20000::::::\n")
    assert "\x1b" not in invoke(root).output


def test_the_report_is_json(root: Path, pack: Path) -> None:
    report = json.loads(invoke(root, "--pack", pack, "--format", "json").output)
    assert (report["schema"], report["passed"], report["kind"]) == ("bedplate.check.v1", True, "tree")


def test_a_waiver_turns_no_into_yes(root: Path, pack: Path) -> None:
    (root / "etc" / "shadow").write_text("root::20000::::::\n")
    waivers = root / "waivers.yaml"
    waivers.write_text(
        "waivers:\n- {control: ZOA-501, subject: 'root:/etc/shadow:root', owner: me, reason: ok, expires: 9999-12-31}\n"
    )
    shown = invoke(root, "--pack", pack, "--waivers", waivers)
    assert shown.exit_code == 0
    assert "waived by me until 9999-12-31: ok" in shown.output


def test_a_control_is_explained() -> None:
    shown = invoke("--explain", "ZOA-101")
    assert shown.exit_code == 0
    assert "Known limits: " in shown.output


def test_the_controls_are_listed() -> None:
    assert "ZOA-101" in invoke("--list").output
    assert any(item["id"] == "ZOA-101" for item in json.loads(invoke("--list", "--format", "json").output))


def test_a_directory_that_holds_no_image_is_refused(tmp_path: Path) -> None:
    shown = invoke(tmp_path)
    assert "neither a root directory nor a release" in str(shown.exception)


def test_an_image_is_needed() -> None:
    assert invoke().exit_code != 0
