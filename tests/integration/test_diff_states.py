"""Two real releases that differ by the state of Debian that they were built from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from builder.baseline.compared import compared
from builder.compare.difference import Scope, Verdict
from builder.progress import Silent
from builder.release.keyring import load_keyring, load_trusted
from builder.release.sign import sign_build
from builder.review.judge import judge
from builder.review.load import parse_rules
from tests.baselines import mirrored
from tests.older_release import VERSION, build_before_updates
from tests.supplies import IMAGE

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.difference import Report
    from builder.mkosi.toolchain import Toolchain
    from signing.keys import PublicKey

pytestmark = pytest.mark.integration
RULES = IMAGE / "security-update.yaml"


@pytest.fixture(scope="module")
def trusted(keyring: Path) -> list[PublicKey]:
    return [load_trusted(keyring / "release.pub")]


@pytest.fixture(scope="module")
def report(
    release: Path,
    keyring: Path,
    toolchain: Toolchain,
    trusted: list[PublicKey],
    tmp_path_factory: pytest.TempPathFactory,
) -> Report:
    """From the image without the security archive to the shipped one, both signed by the same keys."""
    folder = tmp_path_factory.mktemp("older")
    unsigned = build_before_updates(folder)
    older = sign_build(unsigned, load_keyring(keyring), Silent(), output=folder / VERSION).directory
    found = compared(older, release, trusted, Scope.IMAGES)
    if not any(item.id.startswith("packages/") for item in found.differences):
        pytest.skip("no package of the image is from the security archive, so the two states are one")
    return found


def test_nothing_stays_uncompared(report: Report) -> None:
    assert report.incomplete == ()
    assert report.verdict is Verdict.DIFFERS


def test_packages_moved_the_pcrs_that_the_predictions_say(report: Report) -> None:
    moved = {item.pcr for item in report.pcrs if item.verdict is Verdict.DIFFERS}
    assert moved == {4, 9, 11}
    assert all(chain.explained for chain in report.chains), [chain.sentence for chain in report.chains]
    causes = {cause for chain in report.chains for cause in chain.causes}
    assert {cause.split("/")[0] for cause in causes} >= {"packages", "identity"}


def test_every_step_to_a_pcr_has_a_cause(report: Report) -> None:
    assert [link.subject for link in report.links if not link.explained] == []


def test_the_shipped_rules_allow_what_is_a_security_update(report: Report) -> None:
    refused = judge(report, parse_rules(RULES.read_bytes(), str(RULES))).refused
    assert [(item.subject, item.needs) for item in refused] == []


def test_the_way_back_is_refused(report: Report) -> None:
    """A rollback has older versions of the same packages, of the kernel and of the image."""
    rules = parse_rules(RULES.read_bytes(), str(RULES))
    back = [
        msgspec.structs.replace(topic, differences=tuple(map(mirrored, topic.differences))) for topic in report.topics
    ]
    refused = judge(msgspec.structs.replace(report, topics=tuple(back)), rules).refused
    needed = {needs for refusal in refused for needs in refusal.needs}
    assert {"version: any", "kernel: {release: any}"} <= needed
    assert any("downgrade" in needs for needs in needed)


def test_without_the_key_for_it_the_kernel_is_refused(report: Report) -> None:
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    del rules["kernel"]
    refused = judge(report, parse_rules(yaml.safe_dump(rules).encode(), "rules.yaml")).refused
    assert "kernel: {release: newer}" in {needs for refusal in refused for needs in refusal.needs}
