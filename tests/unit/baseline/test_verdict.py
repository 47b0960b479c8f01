"""What a comparison takes from a policy report and a policy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builder.baseline.verdict import read_verdict
from builder.errors import InvalidInputError


def report(**waiver: str) -> bytes:
    words = {"subject": "root:gateway.socket:443", "reason": "why", "owner": "ops", "expires": "2027-01-01"} | waiver
    result = {"control": "ZOA-120", "outcome": "waived", "waived": [{"waiver": words}]}
    return json.dumps({"passed": True, "results": [result]}).encode()


def policy(**control: Any) -> bytes:
    return json.dumps({"controls": [{"id": "ZOA-120", "parameters": {"allowed": ["443"]}} | control]}).encode()


@pytest.mark.parametrize("field", ["subject", "reason", "owner", "expires"])
def test_a_waiver_is_another_one_with_anything_else_in_it(field: str) -> None:
    assert read_verdict(report(), None, "x").waivers != read_verdict(report(**{field: "other"}), None, "x").waivers


def test_what_is_asked_of_a_control_is_its_parameters_and_its_own_rule() -> None:
    demands = [
        read_verdict(report(), policy(**control), "x").demands
        for control in ({}, {"parameters": {"allowed": ["22"]}}, {"rule": {"expression": "true"}})
    ]
    assert demands[0] == {"ZOA-120": '{"allowed": ["443"]}'}
    assert len({json.dumps(demand) for demand in demands}) == len(demands)


DEEP = b'{"x": ' + b"[" * 100_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"{}", policy()),
        (report(), b"{}"),
        (b"[]", policy()),
        (report(), b""),
        (DEEP, policy()),
        (report(), DEEP),
    ],
)
def test_what_is_no_report_or_no_policy_is_named(one: bytes, other: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"x/policy(-report)?\.json is no policy"):
        read_verdict(one, other, "x")
