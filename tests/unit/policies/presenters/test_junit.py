from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import xmlschema

from policies.presenters.junit import junit
from tests.sample_reports import good, mixed, report

if TYPE_CHECKING:
    from policies.report import Report

SCHEMA = Path(__file__).parents[3] / "vectors/reports/junit-10.xsd"


def suites(of: Report) -> ET.Element:
    return ET.fromstring(junit(of))  # noqa: S314 -- what we made ourselves


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(SCHEMA)


@pytest.mark.parametrize(
    "of", [mixed(), good(), report(problems=("only a problem",))], ids=["mixed", "good", "problem"]
)
def test_the_document_is_valid(schema: xmlschema.XMLSchema, of: Report) -> None:
    schema.validate(junit(of).decode())


def test_the_schema_refuses_what_is_not_junit(schema: xmlschema.XMLSchema) -> None:
    with pytest.raises(xmlschema.XMLSchemaValidationError, match="attribute"):
        schema.validate(junit(good()).decode().replace("classname=", "class="))


def test_a_suite_per_door_a_test_per_control_and_the_worst_first() -> None:
    shown = [(suite.get("name"), [case.get("name") for case in suite]) for suite in suites(mixed())]
    assert shown[:3] == [
        ("The check itself", ["problem 1"]),
        ("Remote shells", ["ZOA-101 Title of ZOA-101", "ZOA-102 Title of ZOA-102"]),
        ("Consoles", ["ZOA-205 Title of ZOA-205", "ZOA-206 Title of ZOA-206"]),
    ]


def test_outcomes_are_failure_error_skipped_or_nothing() -> None:
    shown = {str(case.get("name"))[:7]: [ending.tag for ending in case] for case in suites(mixed()).iter("testcase")}
    assert shown == {
        "problem": ["failure"],
        "ZOA-101": ["failure"],
        "ZOA-102": [],
        "ZOA-205": ["failure"],
        "ZOA-206": [],
        "ZOA-501": ["error"],
        "ZOA-601": ["system-out"],
        "ZOA-701": ["skipped"],
        "ZOA-902": ["skipped"],
    }


@pytest.mark.parametrize("of", [mixed(), good(), report(problems=("a", "b"))], ids=["mixed", "good", "problems"])
def test_the_totals_are_those_of_the_tests(of: Report) -> None:
    root = suites(of)
    for suite in (root, *root.findall("testsuite")):
        assert int(suite.get("tests", "")) == len(list(suite.iter("testcase")))
        assert int(suite.get("failures", "")) == len(list(suite.iter("failure")))
        assert int(suite.get("errors", "")) == len(list(suite.iter("error")))
    assert (int(root.get("failures", "")) + int(root.get("errors", "")) == 0) == of.passed


def test_a_waiver_is_told() -> None:
    told = suites(mixed()).findtext(".//system-out")
    assert told == (
        "root:/usr/bin/gdb is a debugger: waived by Ada Example until 2027-01-31: "
        "the debugger is signed off until the pilot ends"
    )


def test_names_that_xml_cannot_hold_are_spelled_out() -> None:
    failure = suites(mixed()).find(".//failure[@type='critical']")
    assert failure is not None
    assert failure.text is not None
    assert "<script>alert(1)</script>" in failure.text
    assert "\\x1b[2J" in failure.text
    assert "\\x00\\ufffe" in failure.text
