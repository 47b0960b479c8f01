"""What a verifier makes of a policy verdict, its report and its policy: each lie is told, and only lies are."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from builder.errors import InvalidInputError
from builder.files import sha256_file
from builder.release import verdict as verdicts
from builder.release.layout import POLICY, POLICY_REPORT
from builder.release.signed import SignedStatements
from builder.release.statements import (
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    ImageIdentity,
    ReferenceMeasurements,
    Statement,
    Subject,
)
from builder.release.summary import POLICY_URI, VerificationSummary, levels, summarize
from builder.release.verdict import ImageFacts, RefusedImageError, check_build, judge, load_policy
from builder.release.verdict_claims import Demands, check_verdict, departures_of
from policies.errors import InvalidPolicyError
from policies.policy import Policy, decode, encode, settle
from tests.fact_trees import OS_RELEASE, facts
from tests.verdicts import REFERENCE_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DISK = "node_1.0.0_x86-64.raw"
TIME = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
TODAY = TIME.date()
PACK = "description: Ours.\ncontrols:\n  ZOA-501:\n  ZOA-101:\n"
SHELL = {"etc/shadow": "root::20000::::::\n", "etc/passwd": "root:x:0:0::/:/usr/sbin/nologin\n"}
WAIVER = (
    "waivers:\n  - {control: ZOA-501, subject: 'root:/etc/shadow:root', owner: Ada, reason: r, expires: 2026-06-30}\n"
)


@dataclass
class Release:
    """The part of a release that its policy verdict is about, of a development image with a pack of its own."""

    directory: Path
    image: ImageFacts
    verdict: VerificationSummary
    profile: str = "development"

    @property
    def subjects(self) -> tuple[Subject, ...]:
        digests = {name: sha256_file(self.directory / name) for name in (POLICY, POLICY_REPORT)} | {DISK: "ab" * 32}
        return tuple(Subject(name, {"sha256": digest}) for name, digest in sorted(digests.items()))

    @property
    def signed(self) -> SignedStatements:
        identity = {"name": "node", "version": "1.0.0", "architecture": "x86-64", "profile": self.profile}
        uki = {"stub": "257", "kernel": "6.12", "command_line": "quiet", "root_hash": "00" * 32}
        predicate = {"image": identity, "uki": uki, "reference_values": REFERENCE_VALUES}
        reference = msgspec.convert(predicate, ReferenceMeasurements)
        statements = {
            kind: Statement(type="t", subject=self.subjects, predicate_type=kind, predicate={})
            for kind in (REFERENCE_MEASUREMENTS, PROVENANCE)
        }
        return SignedStatements((), statements, reference, self.verdict, None, {}, ())

    def problems(self, *packs: str, today: dt.date = TODAY) -> list[str]:
        return list(check_verdict(self.directory, self.signed, Demands(packs, today), self.image))

    def edit_report(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Change the report, and let the verdict be about the changed one."""
        path = self.directory / POLICY_REPORT
        report = json.loads(path.read_bytes())
        edit(report)
        path.write_text(json.dumps(report))
        details = msgspec.structs.replace(self.verdict.details, report=self.subjects_by_name[POLICY_REPORT])
        self.verdict = msgspec.structs.replace(self.verdict, details=details)

    @property
    def subjects_by_name(self) -> dict[str, Subject]:
        return {subject.name: subject for subject in self.subjects}


def released(directory: Path, policy: Policy, tree: dict[str, Any] | None = None) -> Release:
    image = ImageFacts(facts({"etc/os-release": OS_RELEASE, **(tree or {})}), "ab" * 32)
    report = judge(image, policy, today=TIME.date(), stage="signed")
    (directory / POLICY).write_bytes(encode(policy))
    (directory / POLICY_REPORT).write_bytes(msgspec.json.encode(report))
    digests = {name: sha256_file(directory / name) for name in (POLICY, POLICY_REPORT)} | {DISK: "ab" * 32}
    identity = ImageIdentity(name="node", version="1.0.0", architecture="x86-64", profile="development")
    return Release(directory, image, summarize(report, policy, identity, digests, DISK, TIME))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(PACK)
    (tmp_path / "waivers.yaml").write_text(WAIVER)
    return tmp_path


@pytest.fixture
def release(site: Path) -> Release:
    return released(site, settle(["site.yaml"], site))


def test_a_true_verdict_has_no_problem(release: Release) -> None:
    assert release.problems() == []


def test_a_verdict_says_by_which_packs_and_which_are_bedplates_own(site: Path) -> None:
    policy = settle(["development", "site.yaml"], site)
    assert levels(policy.packs) == ("BEDPLATE_DEVELOPMENT", "OWN_SITE")


def test_a_verdict_of_no_is_refused(site: Path) -> None:
    release = released(site, settle(["site.yaml"], site), SHELL)
    assert release.verdict.verified_levels == ("FAILED",)
    found = release.problems()
    assert found[0] == "policy verdict: it is FAILED, expected PASSED"
    assert found[1].startswith("policy verdict: the image does not satisfy its policy, says bedplate")


def _stated(release: Release, **changes: Any) -> None:
    release.verdict = msgspec.convert(msgspec.to_builtins(release.verdict) | changes, VerificationSummary)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"verifier": {"id": "https://example.com", "version": {"bedplate": "0.1.0"}}}, "verifier.id is https://example"),
        ({"verifier": {"id": "https://bedplate.dev/verifier/v1", "version": {}}}, "verifier.version.bedplate is None"),
        ({"resourceUri": "pkg:generic/other@1.0.0?arch=x86-64"}, "resourceUri is pkg:generic/other"),
        ({"policy": {"uri": POLICY_URI, "name": POLICY, "digest": {"sha256": "00"}}}, "policy.digest"),
        ({"verifiedLevels": ["BEDPLATE_ZERO_OPERATOR_ACCESS"]}, "verifiedLevels"),
    ],
)  # fmt: skip
def test_a_verdict_that_says_something_else_than_the_release_is_told(
    release: Release, changes: dict[str, Any], problem: str
) -> None:
    _stated(release, **changes)
    (found,) = release.problems()
    assert found.startswith(f"policy verdict: {problem}")
    assert "the release gives" in found


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("image", Subject(DISK, {"sha256": "cd" * 32})),
        ("image", Subject("other.raw", {"sha256": "ab" * 32})),
        ("report", Subject(POLICY_REPORT, {"sha256": "cd" * 32})),
        ("packs", ()),
        ("outcomes", {"passed": 3}),
    ],
)
def test_a_verdict_with_other_details_is_told(release: Release, member: str, value: Any) -> None:
    details = msgspec.structs.replace(release.verdict.details, **{member: value})
    release.verdict = msgspec.structs.replace(release.verdict, details=details)
    (found,) = release.problems()
    assert "https://bedplate.dev/policy-verdict/v1" in found
    assert f".{member}" in found


def test_a_waiver_that_the_verdict_hides_is_told(site: Path) -> None:
    release = released(site, settle(["site.yaml"], site, site / "waivers.yaml"), SHELL)
    assert (release.problems(), release.verdict.details.outcomes) == ([], {"passed": 1, "waived": 1})
    details = msgspec.structs.replace(release.verdict.details, waivers=())
    release.verdict = msgspec.structs.replace(release.verdict, details=details)
    (found,) = release.problems()
    assert "waivers is []" in found


def test_a_waiver_that_has_expired_since_is_told_with_its_owner(site: Path) -> None:
    release = released(site, settle(["site.yaml"], site, site / "waivers.yaml"), SHELL)
    assert release.problems(today=dt.date(2026, 6, 30)) == []
    expected = "policy verdict: the waiver of ZOA-501 for root:/etc/shadow:root expired on 2026-06-30; its owner is Ada"
    assert release.problems(today=dt.date(2026, 7, 1)) == [expected]


def _result(report: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = report["results"][-1]
    return result


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda report: report.update(digest="cd" * 32), f"digest is {'cd' * 32}, the image gives {'ab' * 32}"),
        (lambda report: report.update(policy="cd" * 32), f"policy is {'cd' * 32}, the image gives "),
        (lambda report: report.update(checked_on="2026-05-01"), "checked_on is 2026-05-01, the image gives 2026-06-01"),
        (lambda report: report["identity"].update(name="other"), "identity.name is other, the image gives node"),
        (lambda report: report.update(problems=["p"]), "problems is ['p'], the image gives []"),
        (lambda report: _result(report).update(pack="p"), "results.ZOA-501.pack is p, the image gives site"),
        (lambda report: _result(report).update(parameters={"a": ["b"]}), "results.ZOA-501.parameters.a is ['b'], the"),
        (lambda report: _result(report).update(control="ZOA-502"), "results.ZOA-501 is None, the image gives "),
    ],
)
def test_a_report_that_the_image_does_not_give_is_told(
    release: Release, edit: Callable[[dict[str, Any]], None], problem: str
) -> None:
    release.edit_report(edit)
    found = release.problems()
    assert found[0].startswith(f"policy-report.json: {problem}")


def test_a_control_that_was_deferred_at_signing_is_told(release: Release) -> None:
    release.edit_report(lambda report: _result(report).update(outcome="deferred"))
    assert "policy-report.json: results.ZOA-501.outcome is deferred, the image gives passed" in release.problems()


def test_an_image_that_fails_now_is_told_whatever_its_report_says(site: Path) -> None:
    release = released(site, settle(["site.yaml"], site))
    release.image = ImageFacts(facts({"etc/os-release": OS_RELEASE, **SHELL}), "ab" * 32)
    found = release.problems()
    assert found[0].startswith("policy verdict: the image does not satisfy its policy, says bedplate")
    assert "policy-report.json: results.ZOA-501.outcome is passed, the image gives failed" in found


def test_facts_of_another_image_are_not_used(release: Release) -> None:
    """They are read anew; here there is no disk to read."""
    release.image = ImageFacts(release.image.facts, "cd" * 32)
    (found,) = release.problems()
    assert found.startswith(f"{DISK}: cannot read disk image")


def test_a_production_image_must_have_been_checked_by_the_pack_of_production(release: Release) -> None:
    release.profile = "production"
    assert release.problems() == ["policy verdict: the image was not checked by the pack zero-operator-access"]


def test_a_pack_that_the_verifier_wants_must_have_been_asked(release: Release, site: Path) -> None:
    assert release.problems("data-at-rest") == ["policy verdict: the image was not checked by the pack data-at-rest"]
    own = site / "site.yaml"
    assert release.problems(str(own)) == []
    own.write_text(PACK + "  ZOA-102:\n")
    assert release.problems(str(own)) == [f"policy verdict: the image was not checked by the pack {own}"]


def test_what_a_policy_allows_beyond_the_packs_that_it_includes_is_not_hidden(site: Path) -> None:
    lax = site / "lax.yaml"
    lax.write_text(
        "description: Lax.\ninclude: [site.yaml, zero-operator-access]\ncontrols:\n  ZOA-120: {allowed: ['443']}\n"
    )
    release = released(site, settle(["lax.yaml"], site, site / "waivers.yaml"))
    release.profile = "production"
    found = {"ZOA-120 has allowed 443, not nothing", "ZOA-501 is waived for root:/etc/shadow:root until 2026-06-30"}
    assert set(departures_of(site, release.signed, ())) == found
    assert set(departures_of(site, release.signed, (str(lax),))) == found


def test_a_policy_as_strict_as_what_is_required_has_no_departures(release: Release, site: Path) -> None:
    assert departures_of(site, release.signed, (str(site / "site.yaml"),)) == ()


def test_a_pack_that_does_not_exist_is_an_error(release: Release) -> None:
    with pytest.raises(InvalidPolicyError, match="there is no pack 'zero'"):
        release.problems("zero")


def test_what_a_pack_has_got_since_must_hold_too(site: Path) -> None:
    """Here by a policy of a bedplate whose pack had fewer controls."""
    policy = settle(["development"], site)
    image = ImageFacts(facts({"etc/os-release": OS_RELEASE}), "")
    results = judge(image, policy, today=TIME.date(), stage="signed").results
    passed = {result.control for result in results if result.outcome == "passed"}
    early = tuple(item for item in policy.controls if item.id in passed)
    assert 0 < len(early) < len(policy.controls)
    release = released(site, msgspec.structs.replace(policy, controls=early))
    assert release.problems() == []
    found = release.problems("development")
    assert found
    assert all("of development, which the image was not checked by: " in problem for problem in found)


def test_a_control_that_this_bedplate_does_not_know_is_named_and_nothing_passes(release: Release, site: Path) -> None:
    policy = decode(encode(settle(["site.yaml"], site)).replace(b'"ZOA-501"', b'"ZOA-999"'))
    (site / POLICY).write_bytes(encode(policy))
    found = release.problems()
    assert found[-1] == "policy verdict: this bedplate does not know the control ZOA-999, which site asks for"


@pytest.mark.parametrize("name", [POLICY, POLICY_REPORT])
def test_a_document_that_is_none_is_told(release: Release, name: str) -> None:
    (release.directory / name).write_bytes(b"{}")
    (found,) = release.problems()
    assert found.startswith("policy verdict: ")


def test_a_policy_of_another_digest_is_not_read(site: Path) -> None:
    (site / POLICY).write_bytes(encode(settle(["site.yaml"], site)))
    with pytest.raises(InvalidInputError, match=r"policy\.json is not the policy that was built for"):
        load_policy(site, "00" * 32)


def test_a_build_that_does_not_satisfy_its_policy_is_refused_and_kept_only_if_asked(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ImageFacts(facts({"etc/os-release": OS_RELEASE, **SHELL}), "ab" * 32)
    monkeypatch.setattr(verdicts.ImageFacts, "read", lambda _disk, _digest: image)
    policy = settle(["site.yaml"], site)
    disk = site / "build" / DISK
    disk.parent.mkdir()
    disk.write_bytes(b"disk")
    with pytest.raises(RefusedImageError, match="does not satisfy its policy") as caught:
        check_build(disk, "ab" * 32, policy, keep_failed=None)
    assert "--keep-failed DIR" in (caught.value.hint or "")
    assert [result.control for result in caught.value.report.results if result.findings] == ["ZOA-501"]
    with pytest.raises(RefusedImageError) as caught:
        check_build(disk, "ab" * 32, policy, keep_failed=site / "kept")
    assert f"the image is in {site / 'kept'}" in (caught.value.hint or "")
    assert (site / "kept" / DISK).read_bytes() == b"disk"
    assert decode((site / "kept" / POLICY).read_bytes()) == policy


def test_a_production_build_needs_the_pack_of_production(site: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"image\.yaml: the packs of a production image do not include"):
        verdicts.require_production_pack(settle(["site.yaml"], site), "production", "image.yaml")
    (site / "ours.yaml").write_text("description: Ours.\ninclude: [zero-operator-access]\n")
    verdicts.require_production_pack(settle(["ours.yaml"], site), "production", "image.yaml")
