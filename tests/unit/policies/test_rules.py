from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from policies.cel import ExpressionError, compile_expression
from policies.engine import run
from policies.errors import InvalidPolicyError, MissingExtraError
from policies.fact_types import entries_of, structures
from policies.facts import Facts, File
from policies.pack import load
from policies.waiver import Waiver
from tests.fact_trees import directory_facts, facts, file

if TYPE_CHECKING:
    from policies.report import Result

TODAY = date(2026, 6, 1)
RULE = {
    "title": "Nobody writes to files",
    "severity": "high",
    "door": "integrity",
    "rationale": "Anybody could change them.",
    "fix": "chmod o-w",
    "each": '["root.files", "initrd.files"]',
    "fails": "item.type == 'file' && math.bitAnd(item.mode, 2) != 0",
    "subject": "area + ':' + item.path",
    "message": "'has mode %o'.format([item.mode])",
}
WHOLE = {"each": "", "fails": "!('VENDOR' in facts.root.os_release)", "subject": "'root:os-release'"} | {
    "message": "'names no vendor'"
}


def pack(folder: Path, name: str = "own", **changes: str) -> str:
    """A pack with one rule; an empty value leaves its key out."""
    fields = "".join(
        f"    {key}: {value if value.startswith('[') else _quoted(value)}\n"
        for key, value in (RULE | changes).items()
        if value
    )
    path = folder / f"{name}.yaml"
    path.write_text(f"description: x\nrules:\n  ACM-001:\n{fields}")
    return str(path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def result_of(path: str, image: Facts, waivers: tuple[Waiver, ...] = ()) -> Result:
    (result,) = run(image, load([path]), waivers, today=TODAY).results
    return result


def test_a_rule_finds_what_its_expression_is_true_for(tmp_path: Path) -> None:
    image = facts({"a": file("", 0o666), "b": ""}, {"init": file("", 0o757)})
    result = result_of(pack(tmp_path), image)
    assert [(item.subject, item.message) for item in result.findings] == [
        ("root:/a", "has mode 666"),
        ("initrd:/init", "has mode 757"),
    ]
    assert [(item.evidence[0].source, item.evidence[0].path) for item in result.findings] == [
        ("root", "/a"),
        ("initrd", "/init"),
    ]
    assert '"path":"/a"' in result.findings[0].evidence[0].value
    assert (result.outcome, result.door, result.severity, result.pack) == ("failed", "integrity", "high", "own")


def test_a_rule_that_finds_nothing_has_passed(tmp_path: Path) -> None:
    assert result_of(pack(tmp_path), facts({"a": ""}, {"init": ""})).outcome == "passed"


def test_a_rule_about_the_image_as_a_whole_is_evaluated_once(tmp_path: Path) -> None:
    path = pack(tmp_path, **WHOLE)
    (finding,) = result_of(path, facts()).findings
    assert (finding.subject, finding.evidence[0].value) == ("root:os-release", WHOLE["fails"])
    assert result_of(path, facts({"etc/os-release": "VENDOR=acme\n"})).outcome == "passed"


def test_a_rule_says_what_its_evidence_is(tmp_path: Path) -> None:
    (finding,) = result_of(
        pack(tmp_path, value="string(item.size) + ' bytes'"), facts({"a": file("x", 0o666)}, {})
    ).findings
    assert finding.evidence[0].value == "1 bytes"


def test_a_waiver_can_name_a_rule(tmp_path: Path) -> None:
    waiver = Waiver(control="ACM-001", subject="root:/a", owner="o", reason="r", expires=TODAY)
    assert result_of(pack(tmp_path), facts({"a": file("", 0o666)}, {}), (waiver,)).outcome == "waived"


def test_a_directory_has_no_initrd_for_a_rule_to_look_at(tmp_path: Path) -> None:
    image = directory_facts({"a": file("", 0o666)})
    assert result_of(pack(tmp_path), image).outcome == "not-applicable"
    assert result_of(pack(tmp_path, each='["root.files"]'), image).outcome == "failed"
    assert result_of(pack(tmp_path, **WHOLE, needs='["uki"]'), image).outcome == "not-applicable"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fails": "item.target.startsWith('/')"}, "No matching overloads"),
        ({"fails": "dyn(item).nothing == 1"}, "nothing"),
        ({"fails": "dyn(item).path"}, "string instead of bool"),
        ({"fails": "dyn(item).target"}, "null instead of bool"),
        ({"fails": "1 / (item.size - item.size) > 0"}, "divide by zero"),
        ({"fails": "item.path.matches('(')"}, "invalid regular expression"),
        ({"fails": "facts.uki.profiles[9].number == 0"}, "Index error"),
        ({"fails": "true", "subject": "item.path"}, "not one of the form AREA:PATH"),
        ({"fails": "true", "subject": "'root:'"}, "not one of the form AREA:PATH"),
        ({"fails": "true", "message": "''"}, "gave no message"),
        ({"fails": "true", "value": "item.target"}, "null instead of string"),
        (
            {"fails": "facts.root.files.all(a, facts.root.files.all(b, facts.root.files.all(c, true)))"},
            "Iteration budget exceeded",
        ),
    ],
)
def test_a_rule_that_gives_no_answer_has_crashed_and_says_why(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    result = result_of(pack(tmp_path, **changes), facts({f"f{number}": "" for number in range(40)}, {}))
    assert result.outcome == "crashed"
    assert reason in result.findings[0].message


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fails": "item.mod > 1"}, "fails: 1:5: undefined field 'mod'"),
        ({"fails": "false && item.mod > 1"}, "undefined field 'mod'"),
        ({"fails": "items.size() > 1"}, "undeclared reference to 'items'"),
        ({"fails": "item.mode =="}, "fails: 1:13: Syntax error"),
        ({"fails": "item.mode == 'a'"}, "no matching overload"),
        ({"fails": "item.mode"}, "fails: gives int, not bool"),
        ({"fails": "item.package"}, "fails: gives "),
        ({"fails": "null"}, "fails: gives null, not bool"),
        ({"fails": "facts.nothing.size() > 0"}, "undefined field 'nothing'"),
        ({"fails": "(" * 100 + "true" + ")" * 100}, "recursion limit"),
        ({"fails": "true || " * 600 + "true"}, "4096"),
        ({"fails": " "}, "fails"),
        ({"subject": "item"}, "subject: gives facts.file, not string"),
        ({"message": "1"}, "message: gives int, not string"),
        ({"value": "item.mode"}, "value: gives int, not string"),
        ({"each": '["root.nothing"]'}, "no 'nothing'"),
        ({"each": '["root"]'}, "no list of the facts"),
        ({"each": '["root.os_release"]'}, "no list of the facts"),
        ({"each": '["root.files", "root.elf"]'}, "different kinds"),
        ({"each": '["root.files.path"]'}, "no 'path'"),
        ({"each": '["Root"]'}, "each"),
        ({"each": ""}, "undeclared reference to 'item.type'"),
        ({"severity": "grave"}, "severity"),
        ({"door": "window"}, "door"),
        ({"rationale": ""}, "rationale"),
        ({"fix": ""}, "fix"),
        ({"more": "x"}, "more"),
        ({"needs": '["luck"]'}, "needs"),
    ],
)
def test_a_rule_that_is_not_in_order_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    with pytest.raises(InvalidPolicyError, match=r"own\.yaml") as caught:
        load([pack(tmp_path, **changes)])
    assert reason in str(caught.value)
    assert "ACM-001" in str(caught.value) or "$.rules" in str(caught.value)


@pytest.mark.parametrize("rule_id", ["ZOA-999", "ZOA-101", "acm-001", "ACME-001", "ACM-1", "ACM-001x", ""])
def test_an_id_that_is_not_of_ones_own_is_refused(tmp_path: Path, rule_id: str) -> None:
    path = Path(pack(tmp_path))
    path.write_text(path.read_text().replace("ACM-001", f"'{rule_id}'"))
    with pytest.raises(InvalidPolicyError, match="is no id for a rule of one's own"):
        load([str(path)])


def test_a_rule_that_does_not_say_what_it_needs_fails_where_it_is_missing(tmp_path: Path) -> None:
    path = pack(tmp_path, **(WHOLE | {"fails": "facts.initrd.files.size() == 0"}))
    result = result_of(path, directory_facts({}))
    assert result.outcome == "crashed"
    assert "error instead of bool" in result.findings[0].message


def test_one_id_cannot_stand_for_two_rules(tmp_path: Path) -> None:
    one, same, other = pack(tmp_path), pack(tmp_path, "same"), pack(tmp_path, "other", fix="something else")
    assert len(load([one, same])) == 1
    with pytest.raises(InvalidPolicyError, match="ACM-001 is one rule in own and another in other"):
        load([one, other])
    path = tmp_path / "above.yaml"
    path.write_text((tmp_path / "other.yaml").read_text() + "include: [./own.yaml]\n")
    with pytest.raises(InvalidPolicyError, match="ACM-001 is there already, in own"):
        load([str(path)])


def test_a_control_keeps_the_rule_that_it_was_made_of(tmp_path: Path) -> None:
    (selected,) = load([pack(tmp_path)])
    assert selected.control.rule is not None
    assert selected.control.rule.fails == RULE["fails"]
    assert selected.control.rule.each == ("root.files", "initrd.files")


def test_a_rule_explains_itself_as_a_control_does(tmp_path: Path) -> None:
    control = load([pack(tmp_path)])[0].control
    assert control.looks_at == f"root.files and initrd.files, where {RULE['fails']}"
    assert (control.rationale, control.fix, control.title) == (RULE["rationale"], RULE["fix"], RULE["title"])
    assert control.example
    assert control.limits


def test_a_rule_without_the_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path)
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    with pytest.raises(MissingExtraError, match="cel_expr_python") as caught:
        load([path])
    assert caught.value.hint == "pip install '.[cel]' in a checkout of bedplate"


def test_packs_without_rules_need_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    assert load(["zero-operator-access"])


def test_every_field_of_the_facts_can_be_named_in_a_rule() -> None:
    """A field whose type CEL cannot be told would fail here and not at some user's."""
    for kind in structures([Facts]):
        for name in kind.__struct_fields__:  # type: ignore[attr-defined]
            compile_expression(f"item.{name} == item.{name}", (("item", kind),), bool)


def test_lists_of_the_facts_are_known_by_their_path() -> None:
    assert entries_of("root.files") is File
    assert entries_of("root.accounts.login_shells") is str


def test_many_evaluations_do_not_wear_out_none() -> None:
    """The library loses references to None in some calls, which ends the process before Python 3.12."""
    expression = compile_expression("item.target == null && !has(facts.uki)", (("facts", Facts), ("item", File)), bool)
    before = sys.getrefcount(None)
    document: dict[str, Any] = {"facts": {"uki": None}, "item": {"target": None}}
    for _ in range(2000):
        expression.evaluate(document)
    assert sys.getrefcount(None) > before - 100


def test_an_expression_gives_no_answer_of_another_type() -> None:
    expression = compile_expression("dyn(facts) == 1 ? 'a' : 'b'", (("facts", Facts),), str)
    assert expression.evaluate({"facts": 1}) == "a"
    with pytest.raises(ExpressionError, match="undeclared reference"):
        compile_expression("nothing", (("facts", Facts),), str)
