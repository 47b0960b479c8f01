"""Whatever else is true of evidence, releases and policy: what a yes rests on."""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import NotVerifiedError
from builder.evidence.appraisal import AppraisalResult, RefusalReason, appraise
from builder.evidence.evidence import EvidenceKind, VerifiedEvidence, evidence_of_quotes
from builder.evidence.policy import DEFAULT_PCRS, AppraisalPolicy
from builder.evidence.public_area import parse_public
from builder.evidence.quote import verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.trust import trust_pinned_key
from tests.attester import NONCE, public_area, quote_attest, rsa_key, tpmt_signature
from tests.nodes import FINISHED, Node, release

GOOD = Node.of()
PCRS = GOOD.evidence().pcrs
BOUND = sorted(pcr for pcr in DEFAULT_PCRS if pcr in PCRS["sha256"])
RELEASES = (
    release(),
    release(version="1.0.1"),
    release("t257", version="0.9"),
    release("t262", version="2.0"),
    release(version="1.1", profile="development"),
    release(finished=None, version="0.1"),
)
AK = trust_pinned_key(parse_public(public_area(rsa_key())))
POLICIES = st.builds(
    AppraisalPolicy,
    at=st.just(FINISHED),
    allow_development=st.booleans(),
    minimum_version=st.sampled_from([None, "0.5", "1.0.0", "3"]),
    require_nonce=st.booleans(),
)
SOME_RELEASES = st.lists(st.sampled_from(RELEASES), min_size=1, unique_by=id)


def with_values(changes: dict[tuple[str, int], bytes]) -> VerifiedEvidence:
    """The good node's evidence with other values."""
    pcrs: dict[str, Any] = {bank: dict(values) for bank, values in PCRS.items()}
    for (bank, pcr), value in changes.items():
        pcrs[bank][pcr] = value
    good = GOOD.evidence()
    return VerifiedEvidence(
        EvidenceKind.TPM_QUOTE, MappingProxyType(pcrs), good.trust, good.nonce, None, None, None, good.claims
    )


def accepted(result: AppraisalResult) -> bool:
    try:
        result.accepted()
    except NotVerifiedError:
        return False
    return True


@settings(deadline=None)
@given(
    bank=st.sampled_from(["sha256", "sha384"]),
    pcr=st.sampled_from(BOUND),
    flips=st.sets(st.integers(0, 255), min_size=1),
    releases=SOME_RELEASES,
    policy=POLICIES,
)
def test_no_policy_and_no_release_turns_another_value_of_a_bound_pcr_into_a_yes(
    bank: str, pcr: int, flips: set[int], releases: list[Any], policy: AppraisalPolicy
) -> None:
    value = int.from_bytes(PCRS[bank][pcr], "big")
    for flip in flips:
        value ^= 1 << flip
    changed = with_values({(bank, pcr): value.to_bytes(len(PCRS[bank][pcr]), "big")})
    result = appraise(changed, releases, policy)
    assert not accepted(result)
    assert result.nearest is not None
    assert pcr in {item.pcr for item in result.nearest.differences}
    assert RefusalReason.PCR in {item.reason for item in result.refusals}


@settings(deadline=None)
@given(releases=SOME_RELEASES, more=st.sampled_from(RELEASES), place=st.integers(0, 9), policy=POLICIES)
def test_another_trusted_release_never_takes_back_a_yes(
    releases: list[Any], more: Any, place: int, policy: AppraisalPolicy
) -> None:
    evidence = GOOD.evidence()
    if not accepted(appraise(evidence, releases, policy)):
        return
    assert accepted(appraise(evidence, [*releases[:place], more, *releases[place:]], policy))


@settings(deadline=None)
@given(releases=SOME_RELEASES.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))), policy=POLICIES)
def test_the_order_of_releases_decides_nothing(releases: tuple[list[Any], list[Any]], policy: AppraisalPolicy) -> None:
    evidence = GOOD.evidence()
    one, two = (appraise(evidence, some, policy) for some in releases)
    assert accepted(one) == accepted(two)


@settings(deadline=None)
@given(carried=st.sets(st.sampled_from(sorted(PCRS["sha256"]))), releases=SOME_RELEASES, policy=POLICIES)
def test_leaving_out_pcrs_never_makes_a_yes_of_a_no(
    carried: set[int], releases: list[Any], policy: AppraisalPolicy
) -> None:
    node = Node.of("t262")
    assert not accepted(appraise(node.evidence(), [RELEASES[0]], policy))
    assert not accepted(appraise(node.evidence(carried), [RELEASES[0]], policy))
    if accepted(appraise(GOOD.evidence(carried), releases, policy)):
        assert accepted(appraise(GOOD.evidence(), releases, policy))


@settings(deadline=None, max_examples=30)
@given(
    parts=st.permutations([(bank, pcr) for bank in ("sha256", "sha384") for pcr in BOUND]),
    cuts=st.sets(st.integers(1, 2 * len(BOUND) - 1)),
)
def test_how_the_pcrs_are_spread_over_quotes_and_in_which_order_they_come_is_irrelevant(
    parts: list[tuple[str, int]], cuts: set[int]
) -> None:
    edges = [0, *sorted(cuts), len(parts)]
    quotes = []
    for start, end in itertools.pairwise(edges):
        pcrs: dict[str, dict[int, bytes]] = {}
        for bank, pcr in parts[start:end]:
            pcrs.setdefault(bank, {})[pcr] = PCRS[bank][pcr]
        attest = quote_attest(pcrs)
        signature = parse_signature(tpmt_signature(rsa_key(), attest))
        quotes.append(verify_quote(attest, signature, AK, NONCE, pcrs))
    evidence = evidence_of_quotes(quotes)
    assert {bank: dict(values) for bank, values in evidence.pcrs.items()} == {
        bank: {pcr: PCRS[bank][pcr] for pcr in BOUND} for bank in ("sha256", "sha384")
    }
    assert appraise(evidence, RELEASES, AppraisalPolicy()).accepted().compared == tuple(BOUND)
