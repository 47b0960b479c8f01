from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import msgspec
import pytest

from policies.report import Report
from tests.sample_reports import good, mixed

if TYPE_CHECKING:
    from typing import Any

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/check-report.schema.json").read_bytes())


def value(report: Report) -> Any:
    return json.loads(msgspec.json.encode(report))


@pytest.mark.parametrize("report", [mixed(), good()], ids=["mixed", "good"])
def test_a_report_is_what_its_schema_says_and_can_be_read_back(report: Report) -> None:
    jsonschema.validate(value(report), SCHEMA, jsonschema.Draft202012Validator)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


@pytest.mark.parametrize(
    ("name", "wrong"), [("passed", "yes"), ("kind", "disk"), ("results", [{}]), ("schema", "bedplate.check.v2")]
)
def test_the_schema_refuses_what_is_no_report(name: str, wrong: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value(mixed()) | {name: wrong}, SCHEMA, jsonschema.Draft202012Validator)


def test_every_field_is_described() -> None:
    bare = [
        f"{name}.{key}"
        for name, definition in SCHEMA["$defs"].items()
        for key, field in definition.get("properties", {}).items()
        if "description" not in field
    ]
    assert bare == []
