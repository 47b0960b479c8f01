from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from builder.cli.group import bedplate
from builder.errors import InvalidInputError
from policies.policy import encode, settle

VECTORS = Path(__file__).parents[2] / "vectors" / "image"
RULE = """description: Ours.
rules:
  ACM-001:
    title: Nothing is called motd
    severity: low
    door: leaks
    rationale: It is read by nobody.
    fix: rm
    each: [root.files]
    fails: item.path == "/etc/motd"
    subject: area + ":" + item.path
    message: '"is there"'
"""


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


def test_a_tree_that_is_deeper_than_a_path_may_be_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for _ in range(21):
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    shown = invoke(root)
    assert (shown.exit_code, shown.exception.__class__) == (1, InvalidInputError)
    assert "is longer than the 4095 bytes that Linux takes of one" in str(shown.exception)


def test_the_root_of_an_image_takes_in_what_only_its_command_line_forbids(root: Path) -> None:
    unit = root / "usr/lib/systemd/system/systemd-tmpfiles-setup.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=systemd-tmpfiles --create\nImportCredential=tmpfiles.*\n")
    report = json.loads(invoke(root, "--format", "json").stdout)
    assert [result["outcome"] for result in report["results"] if result["control"] == "ZOA-403"] == ["not-applicable"]


def test_what_is_neither_a_file_nor_a_directory_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    shown = invoke(tmp_path / "fifo")
    assert (shown.exit_code, shown.exception.__class__) == (1, InvalidInputError)
    assert str(shown.exception) == f"{tmp_path / 'fifo'} is neither a file nor a directory"


def test_the_image_is_no_option_in_the_usage_and_a_report_in_a_file_needs_a_name(root: Path) -> None:
    assert "check [OPTIONS] IMAGE\n" in invoke("--help").output
    refused = invoke(root, "--report", "html=-")
    assert "'html=-' names no file; --format html makes the report on standard output" in refused.stderr
    assert refused.exit_code == 2


def test_a_good_tree_is_a_yes_that_says_what_was_not_looked_at(root: Path, pack: Path) -> None:
    shown = invoke(root, "--pack", pack)
    assert shown.exit_code == 0
    assert "Not applicable: ZOA-701\n" in shown.output
    assert shown.output.endswith("yes: this tree, 2 controls of small: 1 passed, 1 not-applicable\n")


def test_what_a_pack_allows_beyond_the_one_that_it_includes_is_told(root: Path, tmp_path: Path) -> None:
    pack = tmp_path / "site.yaml"
    pack.write_text("description: x\ninclude: [zero-operator-access]\ncontrols:\n  ZOA-120: {allowed: ['443']}\n")
    told = "Departures from the packs that are included\n  ZOA-120 has allowed 443, not nothing\n\n"
    assert told in invoke(root, "--pack", pack).stdout
    document = json.loads(invoke(root, "--pack", pack, "--format", "json").stdout)
    assert document["departures"] == ["ZOA-120 has allowed 443, not nothing"]
    assert "Departures" not in invoke(root, "--pack", "zero-operator-access").stdout


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


def test_every_form_of_the_report_comes_from_one_run(root: Path, pack: Path, tmp_path: Path) -> None:
    (root / "etc" / "shadow").write_text("root::20000::::::\n")
    files = {form: tmp_path / f"report.{form}" for form in ("text", "json", "sarif", "junit", "html")}
    shown = invoke(root, "--pack", pack, *(f"--report={form}={path}" for form, path in files.items()))
    assert shown.exit_code == 1
    assert files["text"].read_text() == shown.stdout
    assert json.loads(files["json"].read_bytes())["packs"] == [{"name": "small", "description": "Two controls."}]
    assert json.loads(files["sarif"].read_bytes())["runs"][0]["results"][0]["ruleId"] == "ZOA-501"
    assert b"<testsuites " in files["junit"].read_bytes()
    assert files["html"].read_bytes().startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("form", ["json", "sarif", "junit", "html"])
def test_standard_output_carries_the_report_and_nothing_else(root: Path, pack: Path, form: str, tmp_path: Path) -> None:
    path = tmp_path / "report"
    shown = invoke(root, "--pack", pack, "--format", form, "--report", f"{form}={path}")
    assert (shown.stdout_bytes, shown.stderr) == (path.read_bytes(), "")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("report.sarif", "not FORMAT=FILE"),
        ("sarif=", "not FORMAT=FILE"),
        ("pdf=report.pdf", "FORMAT one of text, json, sarif, junit, html"),
        ("html=/nowhere/report.html", "cannot write /nowhere/report.html: /nowhere is not there"),
        ("html=/", "/ is a directory, expected a file, a character device, a FIFO, or nothing"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_the_check(root: Path, value: str, problem: str) -> None:
    shown = invoke(root, "--report", value)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert problem in shown.stderr


def test_two_reports_cannot_have_one_file(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "report"
    assert "is named twice" in invoke(root, "--report", f"html={path}", "--report", f"sarif={path}").stderr


@pytest.mark.parametrize("options", [("--format", "sarif"), ("--report", "json=report.json")])
def test_an_explanation_is_no_report(options: tuple[str, str]) -> None:
    shown = invoke("--explain", "ZOA-101", *options)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "make no report" in shown.stderr


def test_a_report_names_the_image_by_its_digest(pack: Path, tmp_path: Path) -> None:
    image = tmp_path / "release" / "node_1.raw"
    image.parent.mkdir()
    image.write_bytes(zstandard.ZstdDecompressor().decompress((VECTORS / "root.erofs.zst").read_bytes()))
    for named in (image, image.parent):
        report = json.loads(invoke(named, "--pack", pack, "--format", "json").stdout)
        assert report["digest"] == hashlib.sha256(image.read_bytes()).hexdigest()


def _release(directory: Path, pack: str) -> Path:
    """A disk that nothing is right with, and the policy that its builder wrote beside it."""
    directory.mkdir()
    (directory / "lax.yaml").write_text(f"description: Ours.\n{pack}")
    policy = settle(["lax.yaml"], directory)
    (directory / "policy.json").write_bytes(encode(policy))
    (directory / "node_1.raw").write_bytes(
        zstandard.ZstdDecompressor().decompress((VECTORS / "root.erofs.zst").read_bytes())
    )
    return directory


def test_a_release_cannot_say_yes_for_itself_but_shows_what_it_was_judged_by(tmp_path: Path) -> None:
    release = _release(tmp_path / "1.0.0", "controls:\n  ZOA-120:\n    allowed: ['443']\n")
    shown = invoke(release)
    digest = hashlib.sha256((release / "lax.yaml").read_bytes()).hexdigest()
    assert shown.exit_code == 1
    assert f"judged by lax (sha256 {digest}), which is not zero-operator-access:\n" in shown.stderr
    assert "  - ZOA-120 has allowed 443, not nothing\n" in shown.stderr
    assert "  - ZOA-101 is not asked for\n" in shown.stderr
    assert "by that policy the answer is yes\n" in shown.stderr


def test_a_release_that_its_own_policy_refuses_is_told_so(tmp_path: Path) -> None:
    release = _release(tmp_path / "1.0.0", "include: [data-at-rest]\n")
    assert "by that policy the answer is no\n" in invoke(release).stderr


def test_nothing_is_told_of_a_policy_that_departs_in_nothing_or_was_not_asked_for(tmp_path: Path, pack: Path) -> None:
    release = _release(tmp_path / "1.0.0", "include: [zero-operator-access]\n")
    assert [shown.stderr for shown in (invoke(release), invoke(release, "--pack", "hardened-kernel"))] == ["", ""]


def test_a_policy_cannot_make_up_lines(tmp_path: Path) -> None:
    release = _release(tmp_path / "1.0.0", 'controls:\n  ZOA-120:\n    allowed: ["443\\nnote: yes"]\n')
    assert "ZOA-120 has allowed 443\\nnote: yes, not nothing\n" in invoke(release).stderr


def test_a_broken_policy_leaves_the_answer_as_it_is(tmp_path: Path) -> None:
    release = _release(tmp_path / "1.0.0", "include: [zero-operator-access]\n")
    (release / "policy.json").write_text("{}")
    shown = invoke(release)
    assert shown.exit_code == 1
    assert "policy.json: this is no policy" in shown.stderr


def test_rules_that_a_release_brings_are_not_run(tmp_path: Path) -> None:
    shown = invoke(_release(tmp_path / "1.0.0", RULE.partition("\n")[2]))
    assert "the answer is not known: it has rules of its own" in shown.stderr


def test_a_tree_has_no_digest(root: Path, pack: Path) -> None:
    assert json.loads(invoke(root, "--pack", pack, "--format", "json").stdout)["digest"] is None


def test_a_rule_of_ones_own_is_reported_listed_and_explained(root: Path, tmp_path: Path) -> None:
    pack = tmp_path / "acme.yaml"
    pack.write_text(RULE)
    assert invoke(root, "--pack", pack).exit_code == 0
    (root / "etc/motd").write_text("hello")
    shown = invoke(root, "--pack", pack)
    assert shown.exit_code == 1
    assert "ACM-001  low       Nothing is called motd: failed\n    root:/etc/motd is there" in shown.output
    assert "ACM-001" in invoke("--list", "--pack", pack).output
    assert 'where item.path == "/etc/motd"' in invoke("--explain", "acm-001", "--pack", pack).output
    assert "there is no control 'acm-001'" in str(invoke("--explain", "acm-001").output)
