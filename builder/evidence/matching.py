"""Evidence against the values that a release states: which PCRs differ, and at which boot phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.measurement.pcr import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.policy import AppraisalPolicy
    from builder.measurement.phases import Phase
    from builder.release.trusted import StatedBoot, StatedPcr, TrustedReference

# SHA-1 vouches for nothing, and no release states values of other banks.
BANKS: Final = tuple(bank.value for bank in Bank)


@dataclass(frozen=True, slots=True)
class PcrDifference:
    """A PCR that is not as the release states it.

    ``expected`` and ``found`` have the value by bank; ``expected`` is empty if the release has none, and ``reason``
    then says why.
    """

    pcr: int
    expected: Mapping[str, bytes]
    found: Mapping[str, bytes]
    reason: str | None = None

    @property
    def bank(self) -> str:
        """The first bank that differs; another one may be as stated."""
        differing = (bank for bank, value in self.found.items() if self.expected.get(bank) != value)
        return next(differing, next(iter(self.found)))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to boot a release, compared. ``phase`` is that of PCR 11, None if it was not compared or fits none."""

    release: TrustedReference
    boot: StatedBoot
    mismatches: int
    phase: Phase | None


Carried = dict[int, dict[str, bytes]]


def carried_pcrs(evidence: VerifiedEvidence, policy: AppraisalPolicy) -> Carried:
    """The PCRs of the policy that the evidence carries in a bank that counts, each with its values by bank."""
    carried: Carried = {}
    for bank in BANKS:
        for pcr, value in evidence.pcrs.get(bank, {}).items():
            if pcr in policy.pcrs:
                carried.setdefault(pcr, {})[bank] = value
    return dict(sorted(carried.items()))


def compare(releases: Sequence[TrustedReference], carried: Carried, policy: AppraisalPolicy) -> list[Candidate]:
    """Every way to boot every release, in the given order."""
    return [_candidate(release, boot, carried, policy) for release in releases for boot in release.boots]


def differences(boot: StatedBoot, carried: Carried, policy: AppraisalPolicy) -> tuple[PcrDifference, ...]:
    """Every carried PCR that is not as stated."""
    found = []
    for pcr, values in carried.items():
        stated = boot.pcrs.get(pcr)
        if stated is None:
            if pcr not in policy.unpredictable:
                reason = boot.unpredictable.get(pcr, "the release does not state it")
                found.append(PcrDifference(pcr, {}, values, reason))
        elif not _fits(stated, values)[0]:
            found.append(PcrDifference(pcr, stated.values, values))
    return tuple(found)


def uncompared(boot: StatedBoot, carried: Carried) -> Mapping[int, str]:
    """The carried PCRs that the release gives no value of, with its reason."""
    return {
        pcr: boot.unpredictable.get(pcr, "the release does not state it") for pcr in carried if pcr not in boot.pcrs
    }


def _candidate(release: TrustedReference, boot: StatedBoot, carried: Carried, policy: AppraisalPolicy) -> Candidate:
    mismatches, reached = 0, None
    for pcr, values in carried.items():
        stated = boot.pcrs.get(pcr)
        if stated is None:
            mismatches += pcr not in policy.unpredictable
            continue
        fits, phase = _fits(stated, values)
        mismatches += not fits
        reached = phase or reached
    return Candidate(release, boot, mismatches, reached)


def _fits(stated: StatedPcr, values: Mapping[str, bytes]) -> tuple[bool, Phase | None]:
    """Whether all banks agree, and with which phase if the PCR has any."""
    if not stated.phases:
        return _equal(stated.values, values), None
    for phase, at_phase in reversed(stated.phases.items()):
        if _equal(at_phase, values):
            return True, phase
    return False, None


def _equal(stated: Mapping[str, bytes], values: Mapping[str, bytes]) -> bool:
    """A bank that the release does not state is a difference: nothing quoted may go unlooked at."""
    for bank, value in values.items():
        if stated.get(bank) != value:
            return False
    return bool(values)
