from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from policies.engine import run
from policies.errors import InvalidPolicyError
from policies.pack import BUILTIN, load
from policies.policy import decode, departures, encode, selection, settle
from tests.fact_trees import facts

if TYPE_CHECKING:
    from pathlib import Path

WAIVER = "waivers:\n  - {control: ZOA-120, subject: 'root:/a', owner: o, reason: r, expires: 2027-01-31}\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with a pack of its own and waivers."""
    (tmp_path / "site.yaml").write_text(
        'description: Ours.\ninclude: [zero-operator-access]\ncontrols:\n  ZOA-120:\n    allowed: ["8443"]\n'
    )
    (tmp_path / "waivers.yaml").write_text(WAIVER)
    return tmp_path


def test_a_policy_is_what_packs_and_waivers_come_to(site: Path) -> None:
    policy = settle(["site.yaml"], site, site / "waivers.yaml")
    assert [(pack.name, pack.builtin, pack.included) for pack in policy.packs] == [
        ("site", False, False),
        ("data-at-rest", True, True),
        ("zero-operator-access", True, True),
    ]
    assert policy.packs[0].sha256 == hashlib.sha256((site / "site.yaml").read_bytes()).hexdigest()
    assert [summary.name for summary in policy.summaries] == ["site"]
    assert [item.parameters for item in policy.controls if item.id == "ZOA-120"] == [{"allowed": ("8443",)}]
    assert [waiver.expires for waiver in policy.waivers] == [date(2027, 1, 31)]


def test_a_policy_needs_nothing_but_itself_to_be_run(site: Path) -> None:
    data = encode(settle(["site.yaml"], site))
    (site / "site.yaml").unlink()
    selected, problems = selection(decode(data))
    assert problems == ()
    assert {item.control.id for item in selected} == {item.control.id for item in load(["zero-operator-access"])}
    assert {item.pack for item in selected if item.control.id == "ZOA-120"} == {"site"}


def test_a_policy_tells_how_it_departs_from_what_is_asked(site: Path) -> None:
    asked = load(["zero-operator-access"])
    policy = settle(["site.yaml"], site, site / "waivers.yaml")
    assert list(departures(policy, asked)) == [
        "ZOA-120 has allowed 8443, not nothing",
        "ZOA-120 is waived for root:/a until 2027-01-31",
    ]
    kept = tuple(item for item in policy.controls if item.id != "ZOA-101")
    assert "ZOA-101 is not asked for" in list(departures(msgspec.structs.replace(policy, controls=kept), asked))
    stricter = settle(["zero-operator-access", "hardened-kernel"], site)
    assert list(departures(stricter, asked)) == []


def test_equal_policies_have_equal_bytes(site: Path) -> None:
    names = ["data-at-rest", "zero-operator-access"]
    assert encode(settle(names, site)) == encode(settle(names[::-1], site))


def test_a_pack_of_the_same_name_as_a_built_in_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zero-operator-access.yaml").write_text("description: A.\ncontrols:\n  ZOA-101:\n")
    (tmp_path / "other.yaml").write_text("description: A.\ninclude: [./zero-operator-access.yaml]\n")
    for name in ("./zero-operator-access.yaml", "zero-operator-access.yaml", "other.yaml"):
        with pytest.raises(InvalidPolicyError, match="is built in is called zero-operator-access"):
            settle([name], tmp_path)
    assert settle([str(BUILTIN / "development.yaml")], tmp_path).builtin_packs == {"development"}


def _changed(**members: Any) -> bytes:
    value = json.loads(encode(settle(["development"], BUILTIN))) | members
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


CONTROL = {"id": "ZOA-101", "pack": "p", "parameters": {}}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no policy"),
        (b"\xff", "no policy"),
        (b"[" * 100_000, "no policy"),
        (_changed(more=1), "unknown field"),
        (_changed(schema="bedplate.policy.v2"), "Invalid enum value"),
        (_changed(controls=[]), "length >= 1"),
        (_changed(packs=[]), "length >= 1"),
        (_changed(controls=[CONTROL | {"id": "ZOA-1"}]), "matching regex"),
        (_changed(controls=[CONTROL, CONTROL]), "names a control twice"),
        (_changed().replace(b'"waivers":', b'"waivers":[],"waivers":'), "keys are unsorted, twice"),
        (_changed().replace(b'"waivers":', b'"waivers": '), "keys are unsorted, twice"),
    ],
)
def test_what_is_no_policy_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidPolicyError, match=problem):
        decode(data)


def test_a_control_that_this_bedplate_does_not_know_is_named() -> None:
    policy = decode(_changed(controls=[CONTROL | {"id": "ZOA-999"}, CONTROL]))
    selected, problems = selection(policy)
    assert [item.control.id for item in selected] == ["ZOA-101"]
    assert problems == ("this bedplate does not know the control ZOA-999, which p asks for",)


def test_a_parameter_that_this_bedplate_does_not_know_is_named() -> None:
    policy = decode(_changed(controls=[CONTROL | {"parameters": {"depth": ["1"]}}]))
    assert selection(policy) == (
        (),
        ("this bedplate cannot run ZOA-101 as p asks: ZOA-101 has no parameter 'depth'; it has none",),
    )


RULE = """\
description: Ours.
rules:
  ACM-001:
    title: There is no motd
    severity: low
    door: leaks
    rationale: r
    fix: f
    each: [root.files]
    fails: item.path == "/etc/motd"
    subject: "'root:' + item.path"
    message: "'is there'"
"""


def test_a_rule_of_a_pack_travels_with_the_policy(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(RULE)
    data = encode(settle(["site.yaml"], tmp_path))
    (tmp_path / "site.yaml").unlink()
    selected, problems = selection(decode(data))
    assert problems == ()
    report = run(facts({"etc/motd": "hello"}), selected, today=date(2026, 1, 1))
    assert [finding.subject for finding in report.results[0].findings] == ["root:/etc/motd"]


def test_a_rule_cannot_take_the_place_of_a_control_of_bedplate(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(RULE)
    data = encode(settle(["site.yaml"], tmp_path)).replace(b'"ACM-001"', b'"ZOA-101"')
    selected, problems = selection(decode(data))
    assert selected == ()
    assert problems[0].startswith("this bedplate cannot run ZOA-101 as site asks: 'ZOA-101' is no id for a rule")


def test_every_member_of_a_policy_is_checked(site: Path) -> None:
    policy = settle(["site.yaml"], site, site / "waivers.yaml")
    assert decode(encode(policy)) == policy
    assert policy != msgspec.structs.replace(policy, waivers=())
