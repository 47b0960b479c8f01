"""The claims of a release about its policy: the verdict, the report and the policy against each other and the image.

The controls of the recorded policy run again on the image. Compared are outcomes and subjects of findings, not words,
which another version of bedplate may choose better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder import __version__
from builder.definition.model import Profile
from builder.errors import InvalidInputError
from builder.files import read_bytes, sha256_file
from builder.release.claims import unequal
from builder.release.layout import MAX_STATEMENTS_BYTES, POLICY, POLICY_REPORT, Names
from builder.release.statements import convert, read_json
from builder.release.summary import summarize
from builder.release.verdict import PRODUCTION_PACK, ImageFacts, judge, load_policy
from policies.engine import run
from policies.errors import InvalidPolicyError
from policies.pack import BUILTIN, closure, load
from policies.policy import departures
from policies.report import Report
from policies.waiver import expired

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from builder.release.signed import SignedStatements
    from policies.policy import Policy

_VERDICT: Final = "policy verdict"


@dataclass(frozen=True, slots=True)
class Demands:
    """What a verifier asks of a verdict: packs besides that of production, and the day on which waivers must hold."""

    packs: Sequence[str]
    today: date


def check_verdict(
    directory: Path, signed: SignedStatements, demands: Demands, image: ImageFacts | None = None
) -> Iterator[str]:
    """Every problem with the verdict. ``image`` spares reading facts, if they are of the disk that was signed.

    Raises InvalidPolicyError if a pack that is demanded does not exist.
    """
    identity = signed.reference.image
    digests = {subject.name: subject.digest.get("sha256", "") for subject in signed.subjects}
    disk = Names.of(identity).disk
    if signed.verdict.verification_result != "PASSED":
        yield f"{_VERDICT}: it is {signed.verdict.verification_result}, expected PASSED"
    try:
        policy = load_policy(directory, digests.get(POLICY, ""))
        report = _read_report(directory)
    except InvalidInputError as error:
        yield f"{_VERDICT}: {error}"
        return
    expected = summarize(report, policy, identity, digests, disk, signed.verdict.time_verified)
    for place, stated, given in unequal(_json(signed.verdict), _json(expected), ""):
        yield f"{_VERDICT}: {place} is {stated}, the release gives {given}"
    yield from (f"{_VERDICT}: {problem}" for problem in expired(policy.waivers, demands.today))
    required = _required(demands.packs, identity.profile)
    missing = _missing(policy, required)
    yield from (f"{_VERDICT}: the image was not checked by the pack {name}" for name in missing)
    try:
        if image is None or image.digest != digests.get(disk):
            image = ImageFacts.read(directory / disk, digests.get(disk, ""))
        judged = judge(image, policy, today=signed.verdict.time_verified.date(), stage="signed")
    except InvalidInputError as error:
        yield f"{disk}: {error}"
    except InvalidPolicyError as error:
        yield f"{_VERDICT}: {error}"
    else:
        if image.facts.unread:
            # All that the controls would say of the rest follows from this.
            yield f"{_VERDICT}: parts of the image cannot be read, so it does not satisfy its policy"
            return
        yield from _check_report(report, judged)
        yield from _check_newer_controls(image, policy, [name for name in required if name not in missing], demands)


def departures_of(directory: Path, signed: SignedStatements, packs: Sequence[str]) -> tuple[str, ...]:
    """A sentence for each thing in which a policy that holds is laxer, or other, than what was required of it.

    A pack may include that of production and yet allow more: a yes does not hide what that is.

    Raises InvalidInputError if the policy is not the one that was signed.
    """
    digests = {subject.name: subject.digest.get("sha256", "") for subject in signed.subjects}
    policy = load_policy(directory, digests.get(POLICY, ""))
    required = _required(packs, signed.reference.image.profile)
    return tuple(dict.fromkeys(sentence for name in required for sentence in departures(policy, load([name]))))


def _read_report(directory: Path) -> Report:
    data = read_bytes(directory / POLICY_REPORT, what="policy report", limit=MAX_STATEMENTS_BYTES)
    return convert(read_json(data, what=POLICY_REPORT), Report, what=POLICY_REPORT)


def _check_report(stated: Report, judged: Report) -> Iterator[str]:
    """The report that is recorded against the one that the image gives now."""
    if not judged.passed:
        yield f"{_VERDICT}: the image does not satisfy its policy, says bedplate {__version__}"
    for place, left, right in unequal(_json(_outcomes(stated)), _json(_outcomes(judged)), ""):
        yield f"{POLICY_REPORT}: {place} is {left}, the image gives {right}"


def _outcomes(report: Report) -> dict[str, Any]:
    """Everything in a report that follows from image and policy, without words."""
    return {
        "passed": report.passed,
        "kind": report.kind,
        "identity": report.identity,
        "digest": report.digest,
        "policy": report.policy,
        "checked_on": report.checked_on,
        "problems": report.problems,
        "results": {
            result.control: {
                "pack": result.pack,
                "parameters": result.parameters,
                "outcome": result.outcome,
                "findings": sorted(finding.subject for finding in result.findings),
                "waived": sorted(item.finding.subject for item in result.waived),
            }
            for result in report.results
        },
    }


def _json(value: Any) -> Any:
    """A value in the form in which a reader of the files sees it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _required(packs: Sequence[str], profile: str) -> list[str]:
    """The packs that must have been asked for: those of the verifier, and for production that of production."""
    return sorted({*packs, PRODUCTION_PACK} if profile == Profile.PRODUCTION.value else {*packs})


def _missing(policy: Policy, required: Sequence[str]) -> list[str]:
    """The packs that had no part in the policy; of one that is not bedplate's the content counts, not the name."""
    digests = {pack.sha256 for pack in policy.packs}
    paths = {name: next(iter(closure([name])))[0] for name in required}
    return [
        name
        for name, path in paths.items()
        if (path.stem not in policy.builtin_packs if path.parent == BUILTIN else sha256_file(path) not in digests)
    ]


def _check_newer_controls(image: ImageFacts, policy: Policy, packs: Sequence[str], demands: Demands) -> Iterator[str]:
    """What the packs have got since the image was checked must hold, too."""
    known = {item.id for item in policy.controls}
    newer = [selected for name in packs for selected in load([name]) if selected.control.id not in known]
    for result in run(image.facts, newer, policy.waivers, today=demands.today).results if newer else ():
        for finding in result.findings:
            place = f"{result.control} of {result.pack}, which the image was not checked by"
            yield f"{_VERDICT}: {place}: {finding.subject} {finding.message}"
