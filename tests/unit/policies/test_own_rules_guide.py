"""The rules of docs/guides/own-rules.md find what the page says that they find."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from policies.engine import run
from policies.pack import load
from tests.fact_trees import UNITS, facts
from tests.markdown import ROOT, blocks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WANTS = "usr/lib/systemd/system/basic.target.wants/own.service"
UNIT = "[Service]\nExecStart=/usr/lib/engine/run\n"
STATUS = "Package: p\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\n"
OWNED = {
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/info/p.list": "/usr/bin/a\n/var/lib/dpkg/status\n/var/lib/dpkg/info/p.list\n"
    + "".join(f"/{path}\n" for path in UNITS)
    + "/etc/os-release\n/usr/lib/os-release\n",
}
BAD: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ACM-001": ("root:/usr/bin/stray", {"root": {**OWNED, "usr/bin/a": "", "usr/bin/stray": ""}}),
    "ACM-002": ("root:own.service", {"root": {WANTS: UNIT, "usr/lib/systemd/system/own.service": UNIT}}),
    "ACM-003": ("uki:mitigations", {"command_line": "mitigations=auto"}),
}
GOOD: Mapping[str, Mapping[str, Any]] = {
    "ACM-001": {"root": {**OWNED, "usr/bin/a": "", "usr/lib/engine/run": ""}},
    "ACM-002": {"root": {"usr/lib/systemd/system/own.service": UNIT, "usr/lib/systemd/system/two.service": UNIT}},
    "ACM-003": {"command_line": "quiet mitigations=auto,nosmt"},
}


@pytest.fixture
def packs(tmp_path: Path) -> list[str]:
    page = (ROOT / "docs/guides/own-rules.md").read_text()
    shown = [block.body for block in blocks(page) if block.kind == "yaml"]
    for number, body in enumerate(shown):
        (tmp_path / f"{number}.yaml").write_text(body)
    return [str(tmp_path / f"{number}.yaml") for number in range(len(shown))]


def findings(packs: list[str], rule: str, image: Mapping[str, Any]) -> list[str]:
    (selected,) = (item for item in load(packs) if item.control.id == rule)
    (result,) = run(facts(**image), [selected], today=date(2026, 1, 1)).results
    assert result.outcome in {"passed", "failed"}, result.findings
    return [finding.subject for finding in result.findings]


def test_every_rule_of_the_guide_is_tried(packs: list[str]) -> None:
    assert {item.control.id for item in load(packs)} == BAD.keys() == GOOD.keys()


@pytest.mark.parametrize("rule", BAD)
def test_a_rule_of_the_guide_finds_what_is_wrong_and_nothing_else(packs: list[str], rule: str) -> None:
    subject, image = BAD[rule]
    assert findings(packs, rule, image) == [subject]
    assert findings(packs, rule, GOOD[rule]) == []
