from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policies import controls
from policies.control import Control
from policies.registry import by_id
from tests.control_cases import cases_by_topic
from tests.fact_trees import facts

if TYPE_CHECKING:
    from policies.facts import Facts
    from tests.control_cases import Case

REGISTERED = by_id()
CASES = [(topic, case) for topic, cases in cases_by_topic().items() for case in cases]
NAMES = [f"{topic}-{case.control}-{'bad' if case.subjects else 'good'}" for topic, case in CASES]


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=NAMES)
def test_a_control_finds_exactly_what_is_wrong(case: Case) -> None:
    control = REGISTERED[case.control]
    image: Facts = facts(**case.image)
    found = list(control.check(image, control.settle(case.parameters)))
    assert {finding.subject for finding in found} == case.subjects
    assert len(found) == len(case.subjects)
    assert all(finding.evidence and finding.message and not finding.message.endswith(".") for finding in found)


@pytest.mark.parametrize("control_id", REGISTERED)
def test_a_control_has_a_known_bad_and_a_known_good_image(control_id: str) -> None:
    kinds = {bool(case.subjects) for _, case in CASES if case.control == control_id}
    assert kinds == {True, False}


def test_every_control_of_a_topic_is_listed() -> None:
    modules = [getattr(controls, path.stem) for path in Path(controls.__file__).parent.glob("[a-z]*.py")]
    written = {id(value) for module in modules for value in vars(module).values() if isinstance(value, Control)}
    assert written == {id(control) for control in controls.ALL}


def test_every_control_is_in_a_pack() -> None:
    text = "".join(path.read_text() for path in (Path(controls.__file__).parents[1] / "packs").glob("*.yaml"))
    assert [control_id for control_id in REGISTERED if control_id not in text] == []
