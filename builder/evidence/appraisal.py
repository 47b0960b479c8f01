"""Appraisal: is this node running what was signed? Yes, naming the release, or no, with every reason.

Pure: no clock, no network, no files. Everything that comes in was verified before (evidence, releases, event log,
revocations), and its type says so. The answer of :func:`appraise` is a value without a truth value; whoever wants to
go on only with a yes calls :meth:`AppraisalResult.accepted`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NoReturn

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.evidence import VerifiedEvidence
from builder.evidence.explanation import Explanation, explain, missing_phase
from builder.evidence.matching import (
    BANKS,
    Candidate,
    Carried,
    PcrDifference,
    carried_pcrs,
    compare,
    differences,
    uncompared,
)
from builder.evidence.policy import (
    PCR_IMAGES,
    PCR_KERNEL,
    PCR_PARAMETERS,
    PCR_SECURE_BOOT,
    PCR_UKI,
)
from builder.evidence.verified import VerifiedEventLog
from builder.measurement.configuration import SecureBootMode
from builder.release.trusted import TrustedReference
from builder.release.version import UNLIKE, are_alike, compare_versions, is_below

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from builder.evidence.event_trail import Divergence
    from builder.evidence.policy import AppraisalPolicy
    from builder.evidence.trust import Trust
    from builder.measurement.phases import Phase
    from builder.release.trusted import StatedBoot

_PRODUCTION: Final = "production"
# What must be known of a boot, and the PCRs of which one shows it.
_COVERAGE: Final = (
    ("which image was booted", (PCR_IMAGES, PCR_UKI)),
    ("the command line and what else parameterises the boot", (PCR_PARAMETERS, PCR_KERNEL)),
)
_SECURE_BOOT: Final = ("whether Secure Boot was on", (PCR_SECURE_BOOT,))


class RefusalReason(enum.StrEnum):
    """Why the answer is no."""

    TRUST = "trust"
    FRESHNESS = "freshness"
    COVERAGE = "coverage"
    PCR = "pcr"
    SECURE_BOOT = "secure-boot"
    PHASE = "phase"
    DEVELOPMENT = "development"
    VERSION = "version"
    REVOKED = "revoked"
    EXPIRED = "expired"
    EVENT_LOG = "event-log"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason for no, in words."""

    reason: RefusalReason
    text: str


@dataclass(frozen=True, slots=True)
class ReleaseMatch:
    """A yes: the release that the node runs.

    ``compared`` are the PCRs that are as the release states them, ``uncompared`` those that the policy lets go because
    the release has no value, with its reason. ``mode`` is None if PCR 7 was not compared, ``phase`` if PCR 11 was not;
    ``trust`` is why the
    evidence's key is trusted, ``key_ids`` are the keys that signed the release.
    """

    release: TrustedReference
    mode: SecureBootMode | None
    phase: Phase | None
    compared: tuple[int, ...]
    uncompared: Mapping[int, str]
    trust: Trust

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The keys that signed the release."""
        return self.release.key_ids


@dataclass(frozen=True, slots=True)
class NearestRelease:
    """The release, and the way to boot it, that the node is nearest to; ``differences`` has every PCR that differs.

    Without differences the PCRs are those of the release, and what the policy asks beyond that is the reason for no.
    """

    release: TrustedReference
    mode: SecureBootMode
    phase: Phase | None
    differences: tuple[PcrDifference, ...]
    divergences: tuple[Divergence, ...] = ()
    explanations: tuple[Explanation, ...] = ()


@dataclass(frozen=True, slots=True)
class AppraisalResult:
    """Either ``match`` is set, or ``refusals`` is not empty. ``nearest`` goes with a no for which one was compared."""

    evidence: VerifiedEvidence
    match: ReleaseMatch | None
    refusals: tuple[Refusal, ...]
    nearest: NearestRelease | None = field(default=None)

    def __bool__(self) -> NoReturn:
        """Refuses: a result that is no must not pass for a yes in an ``if``."""
        raise TypeError("an AppraisalResult has no truth value; call accepted()")

    def accepted(self) -> ReleaseMatch:
        """The match. Raises NotVerifiedError with every reason if there is none."""
        if self.match is None or self.refusals:
            raise NotVerifiedError("the node is not accepted", tuple(refusal.text for refusal in self.refusals))
        return self.match


def appraise(
    evidence: VerifiedEvidence,
    releases: Iterable[TrustedReference],
    policy: AppraisalPolicy,
    *,
    event_log: VerifiedEventLog | None = None,
) -> AppraisalResult:
    """Compare evidence with every release and judge it by the policy.

    ``event_log`` must have been verified against this evidence; it adds explanations and decides nothing. Raises
    InvalidInputError without releases or with a log of other evidence, and TypeError for values that nobody verified.
    """
    trusted = tuple(releases)
    _check_arguments(evidence, trusted, event_log)
    carried = carried_pcrs(evidence, policy)
    refusals = [*_check_evidence(evidence, policy), *_check_coverage(evidence, carried, policy)]
    candidates = compare(trusted, carried, policy) if carried else []
    full = [candidate for candidate in candidates if not candidate.mismatches]
    refusals += _check_revoked(full, policy)
    judged = [(candidate, tuple(_check_candidate(candidate, carried, policy))) for candidate in full]
    good = next((candidate for candidate, problems in judged if not problems), None)
    if good is not None and not refusals:
        return AppraisalResult(evidence, _match(good, carried, evidence), ())
    if good is None and carried:
        return _refused(evidence, trusted, policy, candidates, judged, refusals, carried, event_log)
    nearest = None if good is None else NearestRelease(good.release, good.boot.mode, good.phase, ())
    return AppraisalResult(evidence, None, tuple(refusals), nearest)


def refuse(result: AppraisalResult, reason: RefusalReason, problems: Sequence[str]) -> AppraisalResult:
    """The same result with more reasons for no, such as an event log that the evidence does not prove."""
    more = tuple(Refusal(reason, problem) for problem in problems)
    if not more:
        raise InvalidInputError("a refusal needs a reason")
    return replace(result, match=None, refusals=(*result.refusals, *more))


def _check_arguments(
    evidence: VerifiedEvidence, releases: Sequence[TrustedReference], event_log: VerifiedEventLog | None
) -> None:
    if not isinstance(evidence, VerifiedEvidence):
        raise TypeError("verified evidence is expected")
    if not releases:
        raise InvalidInputError("there is no release to compare with")
    if not all(isinstance(release, TrustedReference) for release in releases):
        raise TypeError("trusted references are expected, see load_trusted_reference")
    if event_log is None:
        return
    if not isinstance(event_log, VerifiedEventLog):
        raise TypeError("a verified event log is expected")
    quoted = {algorithm.label: dict(values) for algorithm, values in event_log.values.items()}
    if quoted != {bank: dict(values) for bank, values in evidence.pcrs.items() if values}:
        raise InvalidInputError("the event log was verified against other evidence")


def _check_evidence(evidence: VerifiedEvidence, policy: AppraisalPolicy) -> Iterator[Refusal]:
    for kind in dict.fromkeys((evidence.trust.kind, evidence.trust.root_kind)):
        if kind not in policy.trust:
            text = f"the attestation key is trusted by {kind.value} only ({evidence.trust.detail})"
            yield Refusal(RefusalReason.TRUST, text)
    if policy.require_nonce and evidence.nonce is None:
        yield Refusal(RefusalReason.FRESHNESS, "the evidence was not checked against a nonce, so it may be an old one")


def _check_coverage(evidence: VerifiedEvidence, carried: Carried, policy: AppraisalPolicy) -> Iterator[Refusal]:
    if not carried:
        banks = ", ".join(bank for bank, values in evidence.pcrs.items() if values) or "none"
        wanted = ", ".join(map(str, sorted(policy.pcrs)))
        text = f"the evidence has none of the PCRs {wanted} in a bank of {' or '.join(BANKS)}; its banks: {banks}"
        yield Refusal(RefusalReason.COVERAGE, text)
    for what, pcrs in _coverage(policy) if carried else ():
        asked = [pcr for pcr in pcrs if pcr in policy.pcrs]
        if asked and not any(pcr in carried for pcr in asked):
            missing = " and ".join(map(str, asked))
            yield Refusal(RefusalReason.COVERAGE, f"the evidence does not show {what}: it lacks PCR {missing}")
    yield from (Refusal(RefusalReason.COVERAGE, text) for text in _without_required(evidence, policy.required))
    for bank in sorted(policy.banks):
        if lacking := [pcr for pcr, values in carried.items() if bank not in values]:
            named = ", ".join(map(str, lacking))
            text = f"PCR {named} must be quoted in the bank {bank}, and the evidence has it in another one only"
            yield Refusal(RefusalReason.COVERAGE, text)


def _without_required(evidence: VerifiedEvidence, required: frozenset[int]) -> Iterator[str]:
    """What lacks in the bank that has most of them: a node that could show a PCR and does not may be hiding it."""
    missing = {bank: sorted(required - evidence.pcrs.get(bank, {}).keys()) for bank in BANKS}
    bank = min(missing, key=lambda name: len(missing[name]))
    if missing[bank]:
        named = ", ".join(map(str, missing[bank]))
        yield f"all required PCRs must be in one bank of {' or '.join(BANKS)}: {bank} lacks PCR {named}"


def _coverage(policy: AppraisalPolicy) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return _COVERAGE if policy.any_secure_boot else (*_COVERAGE, _SECURE_BOOT)


def _check_revoked(full: Sequence[Candidate], policy: AppraisalPolicy) -> Iterator[Refusal]:
    """A node that shows the values of a revoked release is refused, whatever else has the same values."""
    if policy.revocations is None:
        return
    for release in {id(candidate.release): candidate.release for candidate in full}.values():
        for reason in policy.revocations.reasons(release):
            yield Refusal(RefusalReason.REVOKED, f"{release.label} is revoked: {reason}")


def _check_candidate(candidate: Candidate, carried: Carried, policy: AppraisalPolicy) -> Iterator[Refusal]:
    """What speaks against a release whose PCRs the node shows."""
    boot = candidate.boot
    if boot.mode not in policy.secure_boot:
        wanted = " or ".join(sorted(policy.secure_boot))
        yield Refusal(RefusalReason.SECURE_BOOT, f"Secure Boot is {boot.mode.value}, the policy asks for {wanted}")
    phased = PCR_UKI in carried and PCR_UKI in boot.pcrs and bool(boot.pcrs[PCR_UKI].phases)
    if phased and candidate.phase not in policy.phases:
        yield Refusal(RefusalReason.PHASE, missing_phase(candidate.phase, policy.phases))
    # A PCR that no value was stated for shows nothing, so what it should have shown must be seen elsewhere.
    for what, pcrs in _coverage(policy):
        asked = [pcr for pcr in pcrs if pcr in policy.pcrs and pcr in carried]
        if asked and not any(pcr in boot.pcrs for pcr in asked):
            text = f"the release states no value that shows {what} in the PCRs that the evidence carries"
            yield Refusal(RefusalReason.COVERAGE, text)
    if not _image_is_shown(candidate.boot, carried):
        text = "without Secure Boot any system can write what PCR 11 shows, so PCR 4 must be shown, and it is not"
        yield Refusal(RefusalReason.COVERAGE, text)
    yield from _check_release(candidate.release, policy)


def _image_is_shown(boot: StatedBoot, carried: Carried) -> bool:
    """Whether nobody but the release's image can have written what was compared.

    PCR 4 is the firmware's. PCR 9, 11 and 12 are the running system's to extend: another system whose loader left them
    alone can extend them with a release's events. Only Secure Boot with the release's keys, seen in PCR 7, keeps others
    from running.
    """
    compared = carried.keys() & boot.pcrs.keys()
    return PCR_IMAGES in compared or (boot.mode is SecureBootMode.ENABLED and PCR_SECURE_BOOT in compared)


def _check_release(release: TrustedReference, policy: AppraisalPolicy) -> Iterator[Refusal]:
    image = release.reference.image
    if image.profile != _PRODUCTION and not (policy.allow_development and image.profile == "development"):
        text = f"{release.label} is a {image.profile} image, which may have a way in"
        yield Refusal(RefusalReason.DEVELOPMENT, text)
    lowest = policy.minimum_version
    if lowest is not None and is_below(image.version, lowest):
        text = f"{release.label} is below the lowest accepted version {lowest}"
        if not are_alike(image.version, lowest):
            text = f"whether {release.label} is below the lowest accepted version {lowest} cannot be told: {UNLIKE}"
        yield Refusal(RefusalReason.VERSION, text)
    if policy.maximum_age is None or policy.at is None:
        return
    if release.finished is None:
        yield Refusal(RefusalReason.EXPIRED, f"{release.label} does not say when it was built, so its age is not known")
    elif release.finished > policy.at:
        text = f"{release.label} says that it was built at {release.finished.isoformat()}, which is still to come"
        yield Refusal(RefusalReason.EXPIRED, text)
    elif policy.at - release.finished > policy.maximum_age:
        text = (
            f"{release.label} was built at {release.finished.isoformat()}, longer ago than {_age(policy.maximum_age)}"
        )
        yield Refusal(RefusalReason.EXPIRED, text)


def _age(age: timedelta) -> str:
    """An age in days, if it is one of whole days, else in seconds."""
    number, unit = (age.days, "day") if age == timedelta(days=age.days) else (age.total_seconds(), "second")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _match(candidate: Candidate, carried: Carried, evidence: VerifiedEvidence) -> ReleaseMatch:
    compared = tuple(pcr for pcr in carried if pcr in candidate.boot.pcrs)
    mode = candidate.boot.mode if PCR_SECURE_BOOT in compared else None
    skipped = uncompared(candidate.boot, carried)
    return ReleaseMatch(candidate.release, mode, candidate.phase, compared, skipped, evidence.trust)


def _refused(
    evidence: VerifiedEvidence,
    releases: Sequence[TrustedReference],
    policy: AppraisalPolicy,
    candidates: Sequence[Candidate],
    judged: Sequence[tuple[Candidate, tuple[Refusal, ...]]],
    refusals: Sequence[Refusal],
    carried: Carried,
    event_log: VerifiedEventLog | None,
) -> AppraisalResult:
    """No release is good: the reasons that speak against the nearest one."""
    if judged:
        # The values are known; among several of the same values that with the fewest objections.
        known, problems = min(judged, key=lambda item: len(item[1]))
        refusals = [*refusals, *problems]
        pool = [item for item in candidates if item.release is known.release]
    else:
        pool = list(candidates)
    nearest = _nearest(pool, policy)
    found = differences(nearest.boot, carried, policy)
    explained = explain(nearest.release, nearest.boot, found, event_log)
    if not judged:
        refusals = [*refusals, *_describe(nearest, found, explained.divergences, explained.explanations, len(releases))]
        refusals += _check_release(nearest.release, policy)
    shown = NearestRelease(
        nearest.release, nearest.boot.mode, nearest.phase, found, explained.divergences, explained.explanations
    )
    return AppraisalResult(evidence, None, tuple(dict.fromkeys(refusals)), shown)


def _nearest(pool: Sequence[Candidate], policy: AppraisalPolicy) -> Candidate:
    """The fewest PCRs that differ; of equally near ones a mode that the policy accepts, then the newest version."""
    accepted = [item for item in pool if item.boot.mode in policy.secure_boot] or list(pool)
    best = accepted[0]
    for item in accepted[1:]:
        nearer = item.mismatches - best.mismatches
        if nearer < 0 or (nearer == 0 and _newer(item.release, best.release)):
            best = item
    return best


def _newer(release: TrustedReference, other: TrustedReference) -> bool:
    one, two = release.reference.image.version, other.reference.image.version
    return compare_versions(one, two) > 0


def _describe(
    nearest: Candidate,
    found: Sequence[PcrDifference],
    divergences: Sequence[Divergence],
    explanations: Sequence[Explanation],
    count: int,
) -> Iterator[Refusal]:
    among = "" if count == 1 else f", the nearest of {count} releases,"
    for item in found:
        bank = item.bank
        stated = item.expected.get(bank)
        wanted = f"has {stated.hex()}" if stated else f"has no value: {item.reason or 'none of this bank'}"
        text = f"PCR {item.pcr} ({bank}) is {item.found[bank].hex()}, {nearest.release.label}{among} {wanted}"
        yield Refusal(RefusalReason.PCR, text)
    for place in divergences:
        found_event, expected = place.found or "the log ends", place.expected or "the end"
        text = f"PCR {place.pcr}: event {place.position + 1} is the first that differs: {found_event}, not {expected}"
        yield Refusal(RefusalReason.PCR, text)
    for explanation in explanations:
        yield Refusal(RefusalReason.PCR, explanation.text)
