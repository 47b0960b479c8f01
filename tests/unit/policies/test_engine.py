from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from policies.control import Control, Door, Parameters, Severity, control
from policies.engine import run
from policies.errors import InvalidPolicyError
from policies.facts import Fact, Facts
from policies.facts.schema import json_schema
from policies.finding import Finding, about_path
from policies.pack import Selected
from policies.pack import load as load_packs
from policies.registry import by_id
from policies.report import Report
from policies.waiver import Waiver
from policies.waiver import load as load_waivers
from tests.fact_trees import directory_facts, facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TODAY = date(2026, 6, 1)
DOCUMENTATION = "What it checks: a\n\nWhy it matters: b\n\nExample: c\n\nFix: d\n\nKnown limits: e"


def _made(check: object, **options: object) -> Control:
    check.__doc__ = DOCUMENTATION
    make = control("ZOA-999", door=Door.LEAKS, severity=Severity.LOW, title="t", **options)  # type: ignore[arg-type]
    return make(check)  # type: ignore[arg-type]


def _every_file(found: Facts, _parameters: Parameters) -> Iterator[Finding]:
    for file in found.root.files:
        if file.path in {"/a", "/b"}:
            yield about_path(found.root, file.path, "is there")


def _nothing(_facts: Facts, _parameters: Parameters) -> tuple[Finding, ...]:
    return ()


def _crash(_facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    raise KeyError("boom")


def check(*controls: Control, waivers: tuple[Waiver, ...] = (), image: Facts | None = None) -> Report:
    selection = [Selected(item, item.settle({}), "test") for item in controls]
    return run(image or facts({"a": "", "b": ""}), selection, waivers, today=TODAY)


def waiver(subject: str, expires: date = TODAY) -> Waiver:
    return Waiver(control="ZOA-999", subject=subject, owner="o", reason="r", expires=expires)


def test_a_finding_means_no() -> None:
    report = check(_made(_every_file))
    assert not report.passed
    assert [finding.subject for finding in report.results[0].findings] == ["root:/a", "root:/b"]


def test_nothing_found_means_yes_and_the_report_is_json() -> None:
    report = check(_made(_every_file), image=facts())
    assert report.passed
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


def test_a_control_that_crashes_has_failed() -> None:
    report = check(_made(_crash))
    assert not report.passed
    assert report.results[0].outcome == "crashed"
    assert "KeyError" in report.results[0].findings[0].message


def test_a_crash_cannot_be_waived() -> None:
    assert not check(_made(_crash), waivers=(waiver("ZOA-999"),)).passed


def test_a_waived_finding_does_not_count_and_stays_in_the_report() -> None:
    report = check(_made(_every_file), waivers=(waiver("root:/a"), waiver("root:/b")))
    assert report.passed
    assert report.results[0].outcome == "waived"
    assert [item.finding.subject for item in report.results[0].waived] == ["root:/a", "root:/b"]


def test_a_waiver_for_one_subject_leaves_the_others() -> None:
    report = check(_made(_every_file), waivers=(waiver("root:/a"),))
    assert not report.passed
    assert [finding.subject for finding in report.results[0].findings] == ["root:/b"]


@pytest.mark.parametrize(
    ("waivers", "problem"),
    [
        ((waiver("root:/gone"),), "names no finding"),
        ((waiver("root:/a", date(2026, 5, 31)),), "expired on 2026-05-31"),
        ((waiver("root:/a"), waiver("root:/a")), "is there twice"),
    ],
)
def test_a_waiver_that_is_not_in_order_means_no(waivers: tuple[Waiver, ...], problem: str) -> None:
    report = check(_made(_every_file), waivers=waivers)
    assert not report.passed
    assert any(problem in text for text in report.problems)


def test_a_waiver_of_a_control_that_is_not_asked_for_is_told_so() -> None:
    (problem,) = check(_made(_every_file), waivers=(replace(waiver("root:/a"), control="ZOA-998"),)).problems
    assert problem == "the waiver of ZOA-998 for root:/a names no control of the packs"


def test_nothing_to_run_means_no() -> None:
    assert not check().passed
    assert not check(_made(_every_file, needs=("uki",)), image=directory_facts({})).passed


def test_a_control_of_the_uki_is_not_applicable_to_a_directory() -> None:
    report = check(_made(_every_file), _made(_every_file, needs=("uki",)), image=directory_facts({}))
    assert [result.outcome for result in report.results] == ["passed", "not-applicable"]
    assert report.passed


def test_an_image_without_what_a_control_needs_fails_it_and_says_what_else_is_wrong() -> None:
    report = check(_made(_every_file, needs=("uki",)), image=facts({"a": ""}, uki=None))
    assert [result.outcome for result in report.results] == ["failed"]
    assert [finding.subject for finding in report.results[0].findings] == ["root:/a", "uki"]


def test_an_image_whose_root_nobody_could_read_fails_every_control() -> None:
    image = facts()
    unread = replace(image, root=replace(image.root, files=image.root.files[:1]))
    report = check(_made(_nothing), _made(_nothing, needs=("uki",)), image=unread)
    assert [result.outcome for result in report.results] == ["failed", "failed"]
    assert [finding.subject for finding in report.results[0].findings] == ["root"]


@pytest.mark.parametrize("text", [None, "What it checks: a", DOCUMENTATION.replace("Fix", "Cure"), "nothing"])
def test_a_control_without_its_paragraphs_is_refused(text: str | None) -> None:
    def undocumented(_facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
        yield from ()

    undocumented.__doc__ = text
    with pytest.raises(ValueError, match="docstring"):
        control("ZOA-999", door=Door.LEAKS, severity=Severity.LOW, title="t")(undocumented)


def test_two_controls_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="two controls"):
        by_id([_made(_every_file), _made(_crash)])


PACKS = {
    "description: x\n": "the pack has no control",
    "description: x\ncontrols: {ZOA-000: }\n": "there is no control 'ZOA-000'",
    "description: x\ncontrols: {ZOA-101: {size: [a]}}\n": "no parameter 'size'",
    "description: x\ncontrols: {ZOA-101: , ZOA-101: }\n": "there twice",
    "description: x\ncontrol: {ZOA-101: }\n": r"pack.yaml: found 'control', which is no key of it$",
    "description: x\ncontrols: [ZOA-101]\n": r"pack.yaml: controls: found a list, expected a mapping$",
    "description: x\ncontrols: {ZOA-101: {allowed: x}}\n": r"controls.ZOA-101\[...\]: found a text, expected a list$",
    "description: ''\n": "description: found nothing in it, expected a text that is not empty$",
    "controls: {ZOA-101: }\n": "found no 'description', expected one$",
    "description: &a x\ncontrols: {ZOA-101: }\n": "anchors",
    "description: !!str x\ncontrols: {ZOA-101: }\n": "tags",
    "description: x\ninclude: [nothing]\n": "there is no pack 'nothing'",
    "description: x\ninclude: [./pack.yaml]\n": "circle",
    "description: [\n": "expected the node content",
    "": "found nothing, expected a mapping$",
}


@pytest.mark.parametrize("text", PACKS)
def test_a_pack_that_is_not_in_order_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pack.yaml").write_text(text)
    with pytest.raises(InvalidPolicyError, match=PACKS[text]):
        load_packs([str(tmp_path / "pack.yaml")])


def test_a_pack_replaces_the_parameters_of_what_it_includes(tmp_path: Path) -> None:
    own = "description: x\ninclude: [zero-operator-access]\ncontrols: {ZOA-120: {allowed: ['8443']}}\n"
    (tmp_path / "pack.yaml").write_text(own)
    found = {item.control.id: item for item in load_packs([str(tmp_path / "pack.yaml")])}
    assert (found["ZOA-120"].parameters["allowed"], found["ZOA-120"].pack) == (("8443",), "pack")
    assert found["ZOA-101"].pack == "zero-operator-access"


def test_packs_side_by_side_may_not_disagree(tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text("description: x\ncontrols: {ZOA-120: {allowed: ['1']}}\n")
    with pytest.raises(InvalidPolicyError, match="other parameters"):
        load_packs([str(tmp_path / "pack.yaml"), "zero-operator-access"])


def test_two_packs_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pack.yaml").write_text("description: x\ncontrols: {ZOA-101: }\n")
    with pytest.raises(InvalidPolicyError, match=r"a/pack\.yaml is called pack, too, .*; rename one of them"):
        load_packs(["a/pack.yaml", "b/pack.yaml"], tmp_path)
    assert load_packs(["a/pack.yaml", "a/../a/pack.yaml"], tmp_path)


def test_no_pack_at_all_is_refused() -> None:
    with pytest.raises(InvalidPolicyError, match="nothing would be checked"):
        load_packs([])


WAIVER = "waivers:\n- {control: ZOA-101, subject: 'root:/a', owner: me, reason: because, expires: 2026-12-31}\n"


def test_a_waiver_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(WAIVER)
    (found,) = load_waivers(tmp_path / "w.yaml")
    assert (found.subject, found.expires) == ("root:/a", date(2026, 12, 31))
    (tmp_path / "w.yaml").write_text("waivers: []\n")
    assert load_waivers(tmp_path / "w.yaml") == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("reason: because, ", ""),
        ("owner: me", "owner: ' '"),
        ("owner: me", "owner: ''"),
        ("2026-12-31", "never"),
        ("ZOA-101", "all"),
        (WAIVER, "{}"),
    ],
)
def test_an_incomplete_waiver_is_refused(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "w.yaml").write_text(WAIVER.replace(old, new))
    with pytest.raises(InvalidPolicyError, match=r"w\.yaml"):
        load_waivers(tmp_path / "w.yaml")


def test_every_field_of_the_facts_is_described() -> None:
    definitions = json_schema()["$defs"]
    bare = [
        f"{name}.{key}"
        for name, definition in definitions.items()
        for key, value in definition.get("properties", {}).items()
        if "description" not in value
    ]
    assert len(definitions) > 40
    assert bare == []


def test_facts_are_frozen_closed_and_survive_json() -> None:
    for kind in Fact.__subclasses__():
        assert kind.__struct_config__.frozen
        assert kind.__struct_config__.forbid_unknown_fields
    document = facts({"etc/shadow": "root:*:1::::::\n"}, {})
    assert msgspec.json.decode(msgspec.json.encode(document), type=Facts) == document


def test_what_only_a_signed_image_can_satisfy_is_deferred_by_name_before_it_is_signed() -> None:
    early, late = _made(_nothing), _made(_every_file, stage="signed")
    selection = [Selected(item, item.settle({}), "test") for item in (early, late)]
    report = run(facts({"a": ""}), selection, [waiver("root:/a")], today=TODAY, stage="built")
    assert report.passed
    assert [result.outcome for result in report.results] == ["passed", "deferred"]
    assert not run(facts({"a": ""}), selection, today=TODAY).passed


def test_deferring_everything_means_no() -> None:
    late = _made(_every_file, stage="signed")
    report = run(facts(), [Selected(late, late.settle({}), "test")], today=TODAY, stage="built")
    assert not report.passed
    assert report.problems == ("no control could run, so nothing was checked",)


def test_only_the_signature_of_the_uki_waits_for_the_signature() -> None:
    assert [item.id for item in by_id().values() if item.stage == "signed"] == ["ZOA-902"]
