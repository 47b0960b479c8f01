"""What a key policy must now say, beside the policies that the export writes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from builder.compare.baseline import Source
from builder.compare.baselines import compare
from builder.export import kms
from builder.export.subject import subject_of
from builder.measurement.configuration import SecureBootMode
from builder.release.layout import REFERENCE_VALUES
from builder.release.statements import ImageIdentity, ReferenceMeasurements, ReferenceValues, convert, read_json
from tests.made_releases import Recipe
from tests.sample_differences import measured, side

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.baseline import Baseline
    from builder.compare.difference import KeyPolicy

PRINCIPAL = "arn:aws:iam::111122223333:role/node"
OLD = side("1.0.0", [], [])


def development() -> ImageIdentity:
    return ImageIdentity(name="node", version="1.1.0", architecture="x86-64", profile="development")


def measured_without(*, bank: str = "", pcr: str = "") -> dict[str, ReferenceValues]:
    """Reference values that lack a bank or a PCR."""
    return {
        mode: structs.replace(
            values,
            pcrs={
                index: structs.replace(
                    entry, values={name: value for name, value in entry.values.items() if name != bank}
                )
                for index, entry in values.pcrs.items()
                if index != pcr
            },
        )
        for mode, values in measured("quiet").items()
    }


def policies(new: Baseline, old: Baseline = OLD) -> dict[str, KeyPolicy]:
    return {policy.mode: policy for policy in compare(old, new).key_policies}


def exported(reference: bytes, mode: SecureBootMode) -> dict[str, str]:
    """The conditions that the export writes."""
    values = convert(read_json(reference, what="values"), ReferenceMeasurements, what="values")
    document = json.loads(kms.export([subject_of(values, mode, {})], [PRINCIPAL]))
    conditions: dict[str, str] = document["Statement"][0]["Condition"][kms.OPERATOR]
    return conditions


@pytest.mark.parametrize("mode", [SecureBootMode.ENABLED, SecureBootMode.DISABLED])
def test_the_new_values_are_those_of_the_exported_policy(tmp_path: Path, mode: SecureBootMode) -> None:
    base = Recipe()
    recipes = {"old": base, "new": base.but(arguments=("other",), enrolled=("one", "two"))}
    old, new = (recipe.baseline(tmp_path / name) for name, recipe in recipes.items())
    policy = policies(new, old)[mode.value]
    for name, field in (("old", "old"), ("new", "new")):
        stated = {condition.key: getattr(condition, field) for condition in policy.conditions}
        assert stated == exported((tmp_path / name / REFERENCE_VALUES).read_bytes(), mode)
    assert policy.own_statement == (mode is SecureBootMode.ENABLED)
    assert [item.key[-1] for item in policy.moved] == (["4", "7"] if mode is SecureBootMode.ENABLED else ["4"])


def test_nothing_is_said_where_no_bound_pcr_moved() -> None:
    assert policies(OLD) == {}


def test_the_value_of_pcr_4_may_stand_beside_the_old_one() -> None:
    found = policies(side("1.1.0", [], [], "quiet"))
    assert set(found) == {"enabled", "disabled"}
    assert not any(policy.own_statement for policy in found.values())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identity": development()}, "development image"),
        ({"measured": measured_without(bank="sha384")}, "the new side has no SHA-384 value of PCR 4"),
        ({"measured": measured_without(pcr="12")}, "the old side has no SHA-384 value of PCR 12"),
    ],
)
def test_no_line_is_given_for_what_must_not_have_a_key(changes: dict[str, Any], reason: str) -> None:
    for policy in policies(replace(side("1.1.0", [], [], "quiet"), **changes)).values():
        assert policy.conditions == ()
        assert reason in (policy.incomplete or "")


def test_a_node_says_nothing_about_policies() -> None:
    new = replace(side("1.1.0", [], [], "quiet"), source=Source("evidence", "node"))
    assert policies(new) == {}
    assert compare(OLD, new).pcrs
