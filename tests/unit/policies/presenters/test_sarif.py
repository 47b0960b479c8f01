from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import unquote

import jsonschema
import pytest
from msgspec.structs import replace

from policies.engine import run
from policies.finding import Source
from policies.pack import load
from policies.presenters.sarif import sarif
from tests.fact_trees import facts, program
from tests.sample_reports import HOSTILE, finding, good, mixed, report, result

if TYPE_CHECKING:
    from policies.report import Report

TESTS = Path(__file__).parents[3]
GOLDEN = TESTS / "golden" / "report" / "mixed.sarif"
SCHEMA = json.loads((TESTS / "vectors/reports/sarif-2.1.0-rtm.5.json").read_bytes())


def log(of: Report) -> Any:
    return json.loads(sarif(of))


def first_run(of: Report) -> Any:
    return log(of)["runs"][0]


def real_report() -> Report:
    """All controls of a pack on a bad image."""
    image = facts({"usr/sbin/sshd": program(), "usr/bin/bash": program(), "etc/shadow": "root::1::::::\n"}, {})
    return run(image, load(["zero-operator-access"]), today=mixed().checked_on or pytest.fail("no day"))


@pytest.mark.parametrize("of", [mixed(), good(), report(), real_report()], ids=["mixed", "good", "empty", "real"])
def test_the_log_is_valid(of: Report) -> None:
    validator = jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(log(of))] == []


def test_the_schema_refuses_what_is_not_sarif() -> None:
    broken = log(mixed())
    broken["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError, match="'fatal' is not one of"):
        jsonschema.validate(broken, SCHEMA, jsonschema.Draft4Validator)


def test_the_log_is_the_golden_one() -> None:
    assert sarif(mixed()).decode() == GOLDEN.read_text(encoding="utf-8")


def test_code_scanning_finds_what_it_demands() -> None:
    """Required properties and limits of GitHub's "SARIF support for code scanning"."""
    for of in (mixed(), real_report()):
        checked = first_run(of)
        for rule in checked["tool"]["driver"]["rules"]:
            assert rule["id"]
            assert 0 < len(rule["shortDescription"]["text"]) <= 1024
            assert 0 < len(rule["fullDescription"]["text"]) <= 1024
            assert rule["help"]["text"]
            assert 0.0 < float(rule["properties"]["security-severity"]) <= 10.0
            assert rule["properties"]["precision"] in {"very-high", "high", "medium", "low"}
            assert "security" in rule["properties"]["tags"]
        for item in checked["results"]:
            place = item["locations"][0]["physicalLocation"]
            assert place["artifactLocation"]["uri"]
            assert place["region"].keys() == {"startLine", "startColumn", "endLine", "endColumn"}
            assert item["partialFingerprints"]["primaryLocationLineHash"]
            assert checked["tool"]["driver"]["rules"][item["ruleIndex"]]["id"] == item["ruleId"]


def test_every_finding_is_a_result_and_nothing_else_is() -> None:
    results = first_run(mixed())["results"]
    assert [item["ruleId"] for item in results] == ["ZOA-101", "ZOA-101", "ZOA-205", "ZOA-205", "ZOA-501", "ZOA-601"]
    assert {item["kind"] for item in results} == {"fail"}
    assert first_run(good())["results"] == []
    assert first_run(good())["properties"]["outcomes"] == {"ZOA-101": "passed"}


def test_only_a_waived_finding_is_suppressed_with_who_why_and_until_when() -> None:
    results = first_run(mixed())["results"]
    assert [len(item["suppressions"]) for item in results] == [0, 0, 0, 0, 0, 1]
    assert results[-1]["suppressions"][0] == {
        "kind": "external",
        "status": "accepted",
        "justification": "the debugger is signed off until the pilot ends",
        "properties": {"owner": "Ada Example", "expires": "2027-01-31"},
    }


def test_level_and_score_follow_the_severity() -> None:
    rules = {rule["id"]: rule for rule in first_run(mixed())["tool"]["driver"]["rules"]}
    shown = {
        name: (rules[name]["defaultConfiguration"]["level"], rules[name]["properties"]["security-severity"])
        for name in ("ZOA-101", "ZOA-205", "ZOA-601", "ZOA-501")
    }
    assert shown == {
        "ZOA-101": ("error", "9.5"),
        "ZOA-205": ("error", "8.0"),
        "ZOA-601": ("warning", "5.5"),
        "ZOA-501": ("note", "2.0"),
    }


def test_fingerprints_are_told_apart_and_stay_when_all_but_control_and_subject_changes() -> None:
    prints = [item["partialFingerprints"]["primaryLocationLineHash"] for item in first_run(mixed())["results"]]
    assert len(set(prints)) == len(prints)
    later = finding("root:/usr/sbin/sshd", "is another SSH server", ("root", "/usr/sbin/sshd:7", "mode 0700"))
    changed = report(result("ZOA-101", "remote-shells", "low", "failed", later))
    assert first_run(changed)["results"][0]["partialFingerprints"]["primaryLocationLineHash"] == prints[0]


def test_a_line_of_a_file_is_a_region() -> None:
    place = first_run(mixed())["results"][2]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "usr/lib/sysctl.d/50-default.conf", "uriBaseId": "ROOT"}
    assert place["region"]["startLine"] == 12


def test_every_base_of_a_location_is_declared() -> None:
    checked = first_run(mixed())
    used = {item["locations"][0]["physicalLocation"]["artifactLocation"]["uriBaseId"] for item in checked["results"]}
    assert used == {"ROOT", "INITRD", "IMAGE"}
    assert used < checked["originalUriBaseIds"].keys()
    assert {source.upper() for source in get_args(Source)} <= checked["originalUriBaseIds"].keys()


def test_a_hostile_name_is_data_in_address_and_message() -> None:
    item = first_run(mixed())["results"][1]
    assert "/" + unquote(item["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) == HOSTILE
    message = item["message"]["text"]
    assert "\\]\\](x){{0}}" in message
    assert "\x1b" not in message
    assert item["properties"]["subject"] == f"initrd:{HOSTILE}"


def test_a_crash_and_a_problem_make_the_run_unsuccessful_and_are_told() -> None:
    invocation = first_run(mixed())["invocations"][0]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 1)
    assert [item["associatedRule"]["id"] for item in invocation["toolExecutionNotifications"]] == ["ZOA-501"]
    assert "names no finding" in invocation["toolConfigurationNotifications"][0]["message"]["text"]


def test_findings_alone_leave_the_run_successful_and_the_exit_code_no() -> None:
    of = report(result("ZOA-101", "consoles", "low", "failed", finding("root:/x", "is", ("root", "/x", ""))))
    assert first_run(of)["invocations"][0]["executionSuccessful"]
    assert first_run(of)["invocations"][0]["exitCode"] == 1


def test_what_a_report_does_not_know_is_left_out() -> None:
    checked = first_run(replace(good(), digest=None, bedplate=None, checked_on=None))
    assert "artifacts" not in checked
    assert "version" not in checked["tool"]["driver"]
    assert first_run(good())["artifacts"][0]["hashes"] == {"sha-256": good().digest}
