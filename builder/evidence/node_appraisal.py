"""From the evidence document of a node to yes or no, and to a key that may be spoken to.

An :class:`AcceptedNode` is the only thing that a client is bound to (``builder.connect``), and ``appraise_node`` with a
yes is the only way to one.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, replace
from typing import TYPE_CHECKING, Final, NoReturn

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.appraisal import RefusalReason, appraise, refuse
from builder.evidence.assumed_phases import UNLOGGED, assume_phases
from builder.evidence.eventlog import parse_event_log
from builder.evidence.node_document import VerifiedNodeDocument
from builder.evidence.systemd_log import parse_userspace_log
from builder.evidence.verified import verify_event_log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.evidence.appraisal import AppraisalResult, ReleaseMatch
    from builder.evidence.evidence import VerifiedEvidence
    from builder.evidence.node_document import TlsKey, UntrustedNodeDocument
    from builder.evidence.policy import AppraisalPolicy
    from builder.evidence.verified import VerifiedEventLog
    from builder.release.trusted import TrustedReference

_PROOF: Final = object()


@dataclass(frozen=True, slots=True)
class AcceptedNode:
    """A node that runs an accepted release, and the key that only this boot of it has."""

    match: ReleaseMatch
    tls_key: TlsKey
    # No default, so that dataclasses.replace() needs it, too.
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _PROOF:
            raise TypeError("an AcceptedNode is made by AppraisedNode.accepted")


@dataclass(frozen=True, slots=True)
class AppraisedNode:
    """The answer. It has no truth value, as an AppraisalResult has none."""

    result: AppraisalResult
    verified: VerifiedNodeDocument

    def __bool__(self) -> NoReturn:
        """Refuses: a result that is no must not pass for a yes in an ``if``."""
        raise TypeError("an AppraisedNode has no truth value; call accepted()")

    def accepted(self) -> AcceptedNode:
        """The node, to speak to. Raises NotVerifiedError with every reason if the answer is no."""
        return AcceptedNode(self.result.accepted(), self.verified.challenge.tls_key, _PROOF)


def appraise_node(
    verified: VerifiedNodeDocument, releases: Sequence[TrustedReference], policy: AppraisalPolicy
) -> AppraisedNode:
    """Compare what a node showed with the releases that it may run.

    Beyond ``appraise``, the answer is no if no bank has all PCRs of the policy, if a log that the node sent does not
    explain its PCRs, or if it names another release than the one that it runs. Raises as ``appraise``.
    """
    if not isinstance(verified, VerifiedNodeDocument):
        raise TypeError("a verified document is expected")
    log, problems = _event_log(verified.document, verified.evidence)
    # A gateway quotes all that a release vouches for, so whatever lacks is hidden.
    result = appraise(verified.evidence, releases, replace(policy, required=policy.pcrs), event_log=log)
    if problems:
        result = refuse(result, RefusalReason.EVENT_LOG, problems)
    if result.match is not None and (wrong := tuple(_wrong_claims(verified.document, result.match.release))):
        result = refuse(result, RefusalReason.CLAIM, wrong)
    return AppraisedNode(result, verified)


def _wrong_claims(document: UntrustedNodeDocument, release: TrustedReference) -> Iterator[str]:
    """What the node says of itself and the release that it runs denies."""
    image, claim = release.reference.image, document.release
    if (claim.name, claim.version) != (image.name, image.version):
        shown = f"{image.name} {image.version}"
        yield f"the node says that it runs {claim.name} {claim.version}, and shows the PCRs of {shown}"
    if release.model is not None and document.model != release.model:
        named = "no model" if document.model is None else f"the model {document.model.name}"
        yield f"the node names {named}, and {release.label} has {release.model.name}, {release.model.sha256}"


def _event_log(
    document: UntrustedNodeDocument, evidence: VerifiedEvidence
) -> tuple[VerifiedEventLog | None, tuple[str, ...]]:
    """The log if the evidence proves it, or the reasons why it does not."""
    if not document.event_log:
        return None, ()
    try:
        log = parse_event_log(document.event_log)
        # Without systemd's log, such as of a node whose systemd keeps none, the phases are known all the same.
        userspace = parse_userspace_log(document.userspace_log)
        if not userspace.events:
            userspace = assume_phases(log, evidence)
        return verify_event_log(log, evidence, userspace=userspace, unlogged=UNLOGGED), ()
    except InvalidInputError as error:
        return None, (str(error),)
    except NotVerifiedError as error:
        return None, tuple(f"{error}: {problem}" for problem in error.problems)
