"""The policy verdict of a release that is made up, and reference values, as the predicates have them in JSON."""

from __future__ import annotations

from typing import Any, Final

from builder.release.statements import VERIFIER_ID
from builder.release.summary import DETAILS, POLICY_URI

SHA256: Final = {"sha256": "00" * 32}
# As few as a release may state.
REFERENCE_VALUES: Final[dict[str, Any]] = {
    "enabled": {
        "schema": "bedplate.reference-values/v1",
        "stub": "257",
        "boot": {"secure_boot": "enabled", "platform": "any", "profile": 0, "initrd_systemd": None},
        "banks": ["sha256"],
        "pcrs": {"12": {"predictable": False, "reason": "made up"}},
    }
}


def verdict(**members: Any) -> dict[str, Any]:
    """A verdict of yes; ``members`` replace its own."""
    return {
        "verifier": {"id": VERIFIER_ID, "version": {"bedplate": "0.1.0"}},
        "timeVerified": "2026-01-01T00:00:00Z",
        "resourceUri": "pkg:generic/node@1.0.0?arch=x86-64",
        "policy": {"uri": POLICY_URI, "name": "policy.json", "digest": SHA256},
        "verificationResult": "PASSED",
        "verifiedLevels": ["BEDPLATE_ZERO_OPERATOR_ACCESS"],
        DETAILS: {
            "image": {"name": "node.raw", "digest": SHA256},
            "report": {"name": "policy-report.json", "digest": SHA256},
            "packs": [],
            "outcomes": {"passed": 1},
            "waivers": [],
        },
    } | members
