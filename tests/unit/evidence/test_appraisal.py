"""Every reason for no, each on a node that is good but for it; and what the answer says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.appraisal import AppraisalResult, RefusalReason, appraise
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.trust import Trust, TrustKind
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.release.revocations import Revocation, load_revocations
from builder.release.version import UNLIKE
from tests.nodes import FINISHED, QUOTED, SIGNER, Node, real_pcrs, reference, release, revocations, without_secure_boot

if TYPE_CHECKING:
    from builder.release.trusted import TrustedReference

GOOD = Node.of()
RELEASE = release()
POLICY = AppraisalPolicy()


def reasons(result: AppraisalResult) -> set[RefusalReason]:
    return {refusal.reason for refusal in result.refusals}


def texts(result: AppraisalResult) -> str:
    return "\n".join(refusal.text for refusal in result.refusals)


def judged(policy: AppraisalPolicy, node: Node = GOOD, trusted: TrustedReference = RELEASE) -> AppraisalResult:
    return appraise(node.evidence(), [trusted], policy)


@pytest.mark.parametrize(
    ("quoted", "lacking"),
    [((4, 7, 9, 11, 12, 13), None), ((7, 11, 12), "PCR 4, 9"), ((4, 7, 12), "PCR 9, 11"), ((4, 7, 11, 12), "PCR 9")],
)
def test_a_required_pcr_must_be_shown_though_others_show_the_same(quoted: tuple[int, ...], lacking: str | None) -> None:
    evidence = GOOD.evidence(quoted)
    assert appraise(evidence, [RELEASE], POLICY).accepted()
    result = appraise(evidence, [RELEASE], AppraisalPolicy(required=frozenset({4, 9, 11})))
    assert [item.text for item in result.refusals] == (
        []
        if lacking is None
        else [f"all required PCRs must be in one bank of sha256 or sha384: sha256 lacks {lacking}"]
    )


def test_what_is_required_must_be_compared() -> None:
    with pytest.raises(InvalidInputError, match="requires PCR 14, and does not compare it"):
        AppraisalPolicy(required=frozenset({4, 14}))


def test_a_node_that_booted_a_release_is_accepted_with_the_release_named() -> None:
    match = appraise(GOOD.evidence(), [release("t252", version="0.9"), RELEASE], POLICY).accepted()
    assert match.release is RELEASE
    assert (match.mode, match.phase) == (SecureBootMode.ENABLED, Phase.READY)
    assert match.compared == (4, 7, 9, 11, 12, 13)
    assert match.uncompared == {}
    assert match.key_ids == (SIGNER.public_key.key_id,)
    assert match.trust.kind is TrustKind.PINNED_KEY


def test_the_pcrs_that_a_real_tpm_showed_are_those_of_the_release() -> None:
    evidence = replace(GOOD.evidence(), pcrs=real_pcrs("tsb257"))
    policy = AppraisalPolicy(phases=frozenset({Phase.FIRMWARE}))
    assert appraise(evidence, [RELEASE], policy).accepted().phase is Phase.FIRMWARE


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_one_bank_is_enough(bank: str) -> None:
    assert appraise(GOOD.evidence(banks=[bank]), [RELEASE], POLICY).accepted().release is RELEASE


def test_every_pcr_must_be_quoted_in_the_banks_of_the_policy() -> None:
    # Firmware that leaves a bank alone leaves all of its PCRs to whoever comes later.
    policy = AppraisalPolicy(banks=frozenset({Bank.SHA256}))
    for banks in (["sha256"], ["sha256", "sha384"]):
        assert appraise(GOOD.evidence(banks=banks), [RELEASE], policy).accepted()
    result = appraise(GOOD.evidence(banks=["sha384"]), [RELEASE], policy)
    assert reasons(result) == {RefusalReason.COVERAGE}
    assert "PCR 4, 7, 9, 11, 12, 13 must be quoted in the bank sha256" in texts(result)
    both = GOOD.evidence()
    pcrs = {"sha256": {pcr: both.pcrs["sha256"][pcr] for pcr in (7, 11, 12)}, "sha384": both.pcrs["sha384"]}
    mixed = appraise(replace(both, pcrs=pcrs), [RELEASE], policy)
    assert reasons(mixed) == {RefusalReason.COVERAGE}
    assert "PCR 4, 9, 13 must be quoted in the bank sha256" in texts(mixed)


def test_a_bank_that_disagrees_is_enough_for_a_no() -> None:
    evidence = GOOD.evidence()
    pcrs = {bank: dict(values) for bank, values in evidence.pcrs.items()}
    pcrs["sha384"][4] = bytes(48)
    result = appraise(replace(evidence, pcrs=pcrs), [RELEASE], POLICY)
    assert result.nearest is not None
    assert [item.pcr for item in result.nearest.differences] == [4]
    assert f"PCR 4 (sha384) is {bytes(48).hex()}, node 1.0.0 has " in texts(result)


def test_banks_at_two_phases_are_a_no_that_names_one_of_them() -> None:
    evidence, earlier = GOOD.evidence(), Node(GOOD.log, GOOD.words[:3]).evidence()
    pcrs = {bank: dict(values) for bank, values in evidence.pcrs.items()}
    pcrs["sha384"][11] = earlier.pcrs["sha384"][11]
    result = appraise(replace(evidence, pcrs=pcrs), [RELEASE], POLICY)
    assert reasons(result) == {RefusalReason.PCR}
    assert f"PCR 11 (sha384) is {earlier.pcrs['sha384'][11].hex()}, node 1.0.0 has " in texts(result)


def test_a_pcr_that_the_release_does_not_state_is_a_no_that_says_so() -> None:
    policy = AppraisalPolicy(pcrs=frozenset({0, 4, 7, 11, 12}))
    assert "node 1.0.0 has no value: the release does not state it" in texts(judged(policy))


def test_a_result_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(judged(POLICY))


def test_accepted_raises_every_reason() -> None:
    policy = AppraisalPolicy(minimum_version="2", maximum_age=timedelta(days=1), at=FINISHED + timedelta(days=2))
    with pytest.raises(NotVerifiedError, match="not accepted") as caught:
        judged(policy).accepted()
    assert len(caught.value.problems) == 2


def test_sha1_alone_vouches_for_nothing() -> None:
    result = appraise(GOOD.evidence(banks=["sha1"]), [RELEASE], POLICY)
    assert reasons(result) == {RefusalReason.COVERAGE}
    assert "its banks: sha1" in texts(result)


@pytest.mark.parametrize(
    ("missing", "what"),
    [({4, 11}, "which image"), ({12, 9}, "command line"), ({7}, "Secure Boot")],
)
def test_evidence_that_leaves_something_open_is_refused(missing: set[int], what: str) -> None:
    result = appraise(GOOD.evidence(pcrs=set(QUOTED) - missing), [RELEASE], POLICY)
    assert reasons(result) == {RefusalReason.COVERAGE}
    assert what in texts(result)


@pytest.mark.parametrize("missing", [4, 9, 11, 12, 13])
def test_any_other_pcr_may_be_missing(missing: int) -> None:
    assert appraise(GOOD.evidence(pcrs=set(QUOTED) - {missing}), [RELEASE], POLICY).accepted()


@pytest.mark.parametrize("shown", [{11, 12}, {9, 11}, {7, 11, 12}, {7, 9, 11, 12, 13}], ids=str)
def test_without_secure_boot_pcr_11_does_not_show_the_image(shown: set[int]) -> None:
    # Another system, whose loader leaves PCR 9, 11 and 12 alone, extends them itself with a release's events.
    node, trusted = Node.of("t257").edited(without_secure_boot), release("t257")
    policy = AppraisalPolicy(secure_boot=frozenset(SecureBootMode))
    result = appraise(node.evidence(pcrs=shown), [trusted], policy)
    assert reasons(result) == {RefusalReason.COVERAGE}
    assert "PCR 4 must be shown" in texts(result)
    assert appraise(node.evidence(pcrs=shown | {4}), [trusted], policy).accepted()


def test_with_secure_boot_pcr_11_shows_the_image_only_if_pcr_7_is_there() -> None:
    policy = AppraisalPolicy(secure_boot=frozenset(SecureBootMode))
    assert appraise(GOOD.evidence(pcrs={7, 11, 12}), [RELEASE], policy).accepted()
    assert reasons(appraise(GOOD.evidence(pcrs={11, 12}), [RELEASE], policy)) == {RefusalReason.COVERAGE}


def test_without_pcr_7_no_secure_boot_mode_is_claimed() -> None:
    policy = AppraisalPolicy(secure_boot=frozenset({SecureBootMode.ENABLED, SecureBootMode.DISABLED}))
    assert appraise(GOOD.evidence(pcrs={4, 11, 12}), [RELEASE], policy).accepted().mode is None


def test_a_key_trusted_on_first_use_is_refused_unless_the_policy_says_so() -> None:
    first = Trust(TrustKind.FIRST_USE, "first use")
    assert reasons(appraise(GOOD.evidence(trust=first), [RELEASE], POLICY)) == {RefusalReason.TRUST}
    policy = AppraisalPolicy(trust=frozenset({TrustKind.FIRST_USE}))
    assert appraise(GOOD.evidence(trust=first), [RELEASE], policy).accepted().trust.kind is TrustKind.FIRST_USE


def test_a_certifier_trusted_on_first_use_is_seen_through() -> None:
    chain = Trust(TrustKind.CERTIFIED_KEY, "certified", Trust(TrustKind.FIRST_USE, "first use"))
    assert reasons(appraise(GOOD.evidence(trust=chain), [RELEASE], POLICY)) == {RefusalReason.TRUST}


def test_evidence_without_nonce_is_refused_unless_the_policy_says_so() -> None:
    evidence = GOOD.evidence(nonce=None)
    assert reasons(appraise(evidence, [RELEASE], POLICY)) == {RefusalReason.FRESHNESS}
    assert appraise(evidence, [RELEASE], AppraisalPolicy(require_nonce=False)).accepted()


def test_a_development_release_is_refused_unless_the_policy_says_so() -> None:
    development = release(profile="development")
    assert reasons(judged(POLICY, trusted=development)) == {RefusalReason.DEVELOPMENT}
    assert judged(AppraisalPolicy(allow_development=True), trusted=development).accepted()


def test_an_unknown_profile_is_never_accepted() -> None:
    result = judged(AppraisalPolicy(allow_development=True), trusted=release(profile="special"))
    assert reasons(result) == {RefusalReason.DEVELOPMENT}


@pytest.mark.parametrize(
    ("floor", "accepted"), [("1.0.0", True), ("0.9", True), ("1.0.1", False), ("1.0.0~rc1", True), ("v0.9", False)]
)
def test_a_version_below_the_floor_is_refused(floor: str, *, accepted: bool) -> None:
    result = judged(AppraisalPolicy(minimum_version=floor))
    assert (result.match is not None) is accepted
    assert reasons(result) == (set() if accepted else {RefusalReason.VERSION})


def test_an_old_release_is_refused_once_a_maximum_age_is_set() -> None:
    old, fresh = (
        AppraisalPolicy(maximum_age=timedelta(days=30), at=FINISHED + timedelta(days=days)) for days in (31, 29)
    )
    assert reasons(judged(old)) == {RefusalReason.EXPIRED}
    assert judged(fresh).accepted()


def test_a_release_that_will_be_built_is_refused_once_a_maximum_age_is_set() -> None:
    result = judged(AppraisalPolicy(maximum_age=timedelta(days=30), at=FINISHED - timedelta(seconds=1)))
    assert reasons(result) == {RefusalReason.EXPIRED}
    assert "still to come" in texts(result)


@pytest.mark.parametrize("finished", [None, "yesterday", "2026-01-01T00:00:00"])
def test_a_release_of_unknown_age_is_refused_once_a_maximum_age_is_set(finished: str | None) -> None:
    policy = AppraisalPolicy(maximum_age=timedelta(days=30), at=FINISHED)
    result = judged(policy, trusted=release(finished=finished))
    assert reasons(result) == {RefusalReason.EXPIRED}
    assert "does not say when" in texts(result)


@pytest.mark.parametrize(
    "entry",
    [
        Revocation(digest=RELEASE.digest, reason="leaked"),
        Revocation(digest="ab" * 32, reason="leaked"),
        Revocation(name="node", version="1.0.0", reason="leaked"),
    ],
    ids=["statement", "file", "version"],
)
def test_a_revoked_release_is_refused_with_the_reason(entry: Revocation) -> None:
    listed = load_revocations(revocations(entry), [SIGNER.public_key])
    result = judged(AppraisalPolicy(revocations=listed))
    assert reasons(result) == {RefusalReason.REVOKED}
    assert "leaked" in texts(result)


def test_a_release_of_the_same_values_does_not_help_a_revoked_one() -> None:
    other = release(version="1.0.1", finished=None)
    entry = Revocation(digest=RELEASE.digest, reason="leaked")
    listed = load_revocations(revocations(entry), [SIGNER.public_key])
    assert reasons(appraise(GOOD.evidence(), [other, RELEASE], AppraisalPolicy(revocations=listed))) == {
        RefusalReason.REVOKED
    }


def test_a_list_may_name_the_lowest_version_that_may_run() -> None:
    listed = load_revocations(revocations(node="1.0.1"), [SIGNER.public_key])
    result = judged(AppraisalPolicy(revocations=listed))
    assert reasons(result) == {RefusalReason.REVOKED}
    assert "node 1.0.0 is revoked: the lowest version that may run is 1.0.1" in texts(result)
    other_scheme = load_revocations(revocations(node="v0.9"), [SIGNER.public_key])
    unlike = judged(AppraisalPolicy(revocations=other_scheme))
    assert reasons(unlike) == {RefusalReason.REVOKED}
    assert f"the lowest version that may run is v0.9, with which it cannot be compared: {UNLIKE}" in texts(unlike)
    for lowest in ({"node": "1.0.0"}, {"other": "2"}):
        same = load_revocations(revocations(**lowest), [SIGNER.public_key])
        assert judged(AppraisalPolicy(revocations=same)).accepted()


def test_revocations_of_other_releases_do_no_harm() -> None:
    entry = Revocation(name="node", version="0.9", reason="old")
    listed = load_revocations(revocations(entry), [SIGNER.public_key])
    assert judged(AppraisalPolicy(revocations=listed)).accepted()


def test_secure_boot_off_is_refused_unless_the_policy_says_so() -> None:
    node, trusted = Node.of("t257").edited(without_secure_boot), release("t257")
    result = judged(POLICY, node, trusted)
    assert reasons(result) == {RefusalReason.SECURE_BOOT}
    assert "Secure Boot is disabled, the policy asks for enabled" in texts(result)
    policy = AppraisalPolicy(secure_boot=frozenset({SecureBootMode.DISABLED}))
    assert judged(policy, node, trusted).accepted().mode is SecureBootMode.DISABLED


@pytest.mark.parametrize(("count", "accepted"), [(0, False), (2, False), (3, True), (4, True)])
def test_a_boot_phase_is_accepted_only_if_the_policy_has_it(count: int, *, accepted: bool) -> None:
    words = GOOD.words[:count]
    result = judged(POLICY, Node(GOOD.log, words))
    assert (result.match is not None) is accepted
    assert reasons(result) == (set() if accepted else {RefusalReason.PHASE})


def test_all_refusals_are_listed_not_the_first() -> None:
    policy = AppraisalPolicy(minimum_version="2", maximum_age=timedelta(days=1), at=FINISHED + timedelta(days=9))
    evidence = Node(GOOD.log, ()).evidence(nonce=None, trust=Trust(TrustKind.FIRST_USE, "first use"))
    result = appraise(evidence, [release(profile="development")], policy)
    assert reasons(result) == {
        RefusalReason.TRUST,
        RefusalReason.FRESHNESS,
        RefusalReason.PHASE,
        RefusalReason.DEVELOPMENT,
        RefusalReason.VERSION,
        RefusalReason.EXPIRED,
    }


def test_the_nearest_release_is_the_one_with_the_fewest_differences() -> None:
    node = Node(GOOD.log, (*GOOD.words, "shutdown"))
    result = appraise(node.evidence(), [release("t262"), RELEASE, release("t252")], POLICY)
    assert result.nearest is not None
    assert result.nearest.release is RELEASE
    assert [item.pcr for item in result.nearest.differences] == [11]


def test_appraisal_without_releases_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="no release"):
        appraise(GOOD.evidence(), [], POLICY)


def test_releases_may_come_one_by_one() -> None:
    assert appraise(GOOD.evidence(), iter([RELEASE]), POLICY).accepted()
    with pytest.raises(InvalidInputError, match="no release"):
        appraise(GOOD.evidence(), iter(()), POLICY)


def test_what_nobody_signed_cannot_be_passed_as_a_release() -> None:
    with pytest.raises(TypeError, match="trusted references"):
        appraise(GOOD.evidence(), [reference()], POLICY)  # type: ignore[list-item]


def test_what_nobody_verified_cannot_be_passed_as_evidence() -> None:
    with pytest.raises(TypeError, match="verified evidence"):
        appraise({"sha256": {4: bytes(32)}}, [RELEASE], POLICY)  # type: ignore[arg-type]


def test_a_log_of_other_evidence_is_an_error() -> None:
    other = Node(GOOD.log, ())
    with pytest.raises(InvalidInputError, match="other evidence"):
        appraise(GOOD.evidence(), [RELEASE], POLICY, event_log=other.verified_log(other.evidence()))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"pcrs": frozenset({1, 4, 7})}, "PCR 1 cannot"),
        ({"pcrs": frozenset({4, 7, 24})}, "no PCR 24"),
        ({"pcrs": frozenset({7, 12})}, "says nothing of the image"),
        ({"pcrs": frozenset({4, 11})}, "only PCR 7"),
        ({"pcrs": frozenset({7, 11}), "secure_boot": frozenset({SecureBootMode.DISABLED})}, "only PCR 4 shows"),
        ({"pcrs": frozenset({11, 12}), "secure_boot": frozenset(SecureBootMode)}, "only PCR 4 shows"),
        ({"phases": frozenset()}, "accepts no phases"),
        ({"secure_boot": frozenset()}, "accepts no secure boot"),
        ({"trust": frozenset()}, "accepts no trust"),
        ({"at": FINISHED.replace(tzinfo=None)}, "no time zone"),
        ({"maximum_age": timedelta(1)}, "needs the time"),
        ({"minimum_version": ""}, "minimum version '' is no version"),
        ({"minimum_version": "1.0\n"}, "is no version"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        AppraisalPolicy(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("floor", "text"),
    [
        ("1.0.1", "node 1.0.0 is below the lowest accepted version 1.0.1"),
        (
            "v0.9",
            f"whether node 1.0.0 is below the lowest accepted version v0.9 cannot be told: {UNLIKE}",
        ),
    ],
)
def test_a_version_that_cannot_be_compared_is_not_called_lower(floor: str, text: str) -> None:
    assert texts(judged(AppraisalPolicy(minimum_version=floor))) == text


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(days=10), "10 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=1, hours=1), "90000 seconds"),
        (timedelta(seconds=1), "1 second"),
    ],
)
def test_an_age_is_told_in_days(age: timedelta, words: str) -> None:
    policy = AppraisalPolicy(maximum_age=age, at=FINISHED + timedelta(days=31))
    assert texts(judged(policy)).endswith(f", longer ago than {words}")
