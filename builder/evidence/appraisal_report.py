"""The result of an appraisal as JSON values; bytes are lower-case hexadecimal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.evidence.appraisal import AppraisalResult, NearestRelease
    from builder.evidence.evidence import VerifiedEvidence
    from builder.release.trusted import TrustedReference

SCHEMA: Final = "bedplate.appraisal/v1"


def appraisal_report(result: AppraisalResult) -> dict[str, Any]:
    """The whole result."""
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "accepted": result.match is not None,
        "evidence": _evidence(result.evidence),
        "refusals": [{"reason": item.reason.value, "text": item.text} for item in result.refusals],
    }
    if result.match is not None:
        match = result.match
        report["release"] = _release(match.release) | {
            "secure_boot": match.mode.value if match.mode else None,
            "phase": match.phase.label if match.phase else None,
            "compared": list(match.compared),
            "uncompared": {str(pcr): reason for pcr, reason in match.uncompared.items()},
        }
    if result.nearest is not None:
        report["nearest"] = _nearest(result.nearest)
    return report


def _evidence(evidence: VerifiedEvidence) -> dict[str, Any]:
    return {
        "kind": evidence.kind.value,
        "trust": {"kind": evidence.trust.kind.value, "detail": evidence.trust.detail},
        "nonce": evidence.nonce.hex() if evidence.nonce else None,
        "time": evidence.time.isoformat() if evidence.time else None,
        "clock": asdict(evidence.clock) if evidence.clock else None,
        # 64 bits, more than a number of JSON holds everywhere.
        "firmware_version": None if evidence.firmware_version is None else f"{evidence.firmware_version:016x}",
        "claims": {name: value.hex() if isinstance(value, bytes) else value for name, value in evidence.claims.items()},
        "pcrs": {
            bank: {str(pcr): value.hex() for pcr, value in sorted(values.items())}
            for bank, values in evidence.pcrs.items()
        },
    }


def _release(release: TrustedReference) -> dict[str, Any]:
    image = release.reference.image
    return {
        "name": image.name,
        "version": image.version,
        "architecture": image.architecture,
        "profile": image.profile,
        "digest": release.digest,
        "key_ids": list(release.key_ids),
        "finished": release.finished.isoformat() if release.finished else None,
    }


def _nearest(nearest: NearestRelease) -> dict[str, Any]:
    return _release(nearest.release) | {
        "secure_boot": nearest.mode.value,
        "phase": nearest.phase.label if nearest.phase else None,
        "differences": [
            {"pcr": item.pcr, "expected": _hex(item.expected), "found": _hex(item.found), "reason": item.reason}
            for item in nearest.differences
        ],
        "first_differing_events": [
            {
                "pcr": item.pcr,
                "position": item.position,
                "expected": item.expected,
                "found": item.found,
                "log_index": item.index,
            }
            for item in nearest.divergences
        ],
        "explanations": [
            {"cause": item.cause.value, "text": item.text, "pcrs": list(item.pcrs)} for item in nearest.explanations
        ],
    }


def _hex(values: Mapping[str, bytes]) -> dict[str, str]:
    return {bank: value.hex() for bank, value in values.items()}
