from __future__ import annotations

import pytest

from policies.control import Severity
from policies.pack import BUILTIN, load
from policies.registry import by_id

NAMES = sorted(path.stem for path in BUILTIN.glob("*.yaml"))


def _ids(*names: str) -> set[str]:
    return {selected.control.id for selected in load(names)}


def test_zero_operator_access_has_every_control_by_which_somebody_gets_in() -> None:
    severe = {item.id for item in by_id().values() if item.severity in {Severity.CRITICAL, Severity.HIGH}}
    assert severe - _ids("zero-operator-access") == set()


def test_zero_operator_access_takes_over_what_protects_data_at_rest() -> None:
    assert _ids("data-at-rest") < _ids("zero-operator-access")


def test_all_built_in_packs_can_be_asked_for_together() -> None:
    assert _ids(*NAMES) == set(by_id())


def test_a_development_image_need_not_be_one_for_production() -> None:
    assert "ZOA-909" not in _ids("development")
    assert {"ZOA-701", "ZOA-908"} < _ids("development")


@pytest.mark.parametrize("name", NAMES)
def test_a_built_in_pack_says_what_it_is_for(name: str) -> None:
    assert load([name])
    assert (BUILTIN / f"{name}.yaml").read_text().startswith("description: ")
