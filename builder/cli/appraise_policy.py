"""Options that every appraising verb has: the releases that a node may run, and what is asked beyond their PCRs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from builder.cli.appraise_inputs import read_input, read_reference
from builder.cli.numbers import DAYS, PCR, SERIAL
from builder.cli.options import EXISTING, EXISTING_FILE, PHASE, threshold_option, together, trust_option, trusted_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from builder.evidence.appraisal import ReleaseMatch
    from builder.evidence.policy import AppraisalPolicy
    from builder.release.revocations import VerifiedRevocations
    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """The releases that a node may run, and the keys that sign them."""

    releases: tuple[Path, ...]
    trusted: tuple[Path, ...]
    threshold: int

    def keys(self) -> list[PublicKey]:
        """The keys."""
        return trusted_keys(self.trusted)

    def references(self, keys: Sequence[PublicKey]) -> list[TrustedReference]:
        """What the releases state. Raises as ``load_trusted_reference``."""
        return [read_reference(path, keys, self.threshold) for path in self.releases]


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """What an appraisal asks for."""

    revocations: Path | None
    revocations_serial: int | None
    minimum_version: str | None
    maximum_age: int | None
    secure_boot: str
    required: tuple[int, ...]
    banks: tuple[str, ...]
    phases: tuple[str, ...]
    allow_development: bool

    def policy(
        self, keys: Sequence[PublicKey], threshold: int, now: datetime, *, first_use: bool, require_nonce: bool
    ) -> AppraisalPolicy:
        """The policy that they mean. Raises UsageError, or as ``load_revocations``."""
        from builder.evidence.policy import DEFAULT_PHASES, DEFAULT_TRUST, AppraisalPolicy  # noqa: PLC0415
        from builder.evidence.trust import TrustKind  # noqa: PLC0415
        from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
        from builder.measurement.pcr import Bank  # noqa: PLC0415
        from builder.measurement.phases import Phase  # noqa: PLC0415

        labels = {phase.label: phase for phase in Phase}
        any_mode = [SecureBootMode.ENABLED, SecureBootMode.DISABLED]
        return AppraisalPolicy(
            at=now,
            required=frozenset(self.required),
            banks=frozenset(map(Bank, self.banks)),
            phases=frozenset(labels[phase] for phase in self.phases) or DEFAULT_PHASES,
            secure_boot=frozenset(any_mode if self.secure_boot == "any" else [SecureBootMode(self.secure_boot)]),
            trust=DEFAULT_TRUST | ({TrustKind.FIRST_USE} if first_use else frozenset()),
            allow_development=self.allow_development,
            minimum_version=self.minimum_version,
            maximum_age=None if self.maximum_age is None else timedelta(days=self.maximum_age),
            revocations=self._revocations(keys, threshold),
            require_nonce=require_nonce,
        )

    def _revocations(self, keys: Sequence[PublicKey], threshold: int) -> VerifiedRevocations | None:
        from builder.release.revocations import load_revocations  # noqa: PLC0415

        if self.revocations is None:
            if self.revocations_serial is not None:
                raise click.UsageError("--revocations-serial goes with --revocations")
            return None
        data = read_input(self.revocations, "revocations")
        return load_revocations(data, keys, threshold, last_serial=self.revocations_serial or 0)


# Gives the command a ReleaseOptions.
release_options = together(
    ReleaseOptions,
    "release_options",
    click.option(
        "--release",
        "--manifest",
        "releases",
        required=True,
        multiple=True,
        type=EXISTING,
        help="Release directory, its release.intoto.jsonl, or one signed statement; may be given several times.",
    ),
    trust_option("that must have signed the releases", required=True),
    threshold_option,
)

# Gives the command a PolicyOptions.
policy_options = together(
    PolicyOptions,
    "policy_options",
    click.option("--revocations", type=EXISTING_FILE, help="Signed list of revoked releases."),
    click.option(
        "--revocations-serial",
        metavar="NUMBER",
        type=SERIAL,
        help="Highest serial number of such lists seen so far: refuse an older list.",
    ),
    click.option("--minimum-version", metavar="VERSION", help="Refuse older releases."),
    click.option(
        "--maximum-age",
        metavar="DAYS",
        type=DAYS,
        help="Refuse releases that were built longer ago.",
    ),
    click.option(
        "--secure-boot",
        type=click.Choice(["enabled", "disabled", "any"]),
        default="enabled",
        show_default=True,
        help="State of Secure Boot to accept.",
    ),
    click.option(
        "--require-pcr",
        "required",
        metavar="PCR",
        multiple=True,
        type=PCR,
        help="PCR that the evidence must carry, whatever else shows the same; may be given several times.",
    ),
    click.option(
        "--bank",
        "banks",
        multiple=True,
        type=click.Choice(["sha256", "sha384"]),
        help="Bank in which PCRs must be quoted, one that the firmware extends; may be given several times.  "
        "[default: any]",
    ),
    click.option(
        "--phase",
        "phases",
        multiple=True,
        type=PHASE,
        help="Boot phase to accept; may be given several times.  [default: sysinit and ready]",
    ),
    click.option("--allow-development", is_flag=True, help="Accept a development image, which may have a way in."),
)


def describe_match(match: ReleaseMatch) -> list[str]:
    """A yes in lines for a person."""
    image = match.release.reference.image
    return [
        f"accepted: {image.name} {image.version} {image.architecture}, profile {image.profile}",
        f"  Secure Boot  {match.mode or 'not shown'}",
        f"  boot phase   {match.phase.label if match.phase else 'not shown'}",
        f"  PCRs         {', '.join(map(str, match.compared))} as in the release",
        *(f"  PCR {pcr:<8} not compared: {reason}" for pcr, reason in match.uncompared.items()),
        f"  signed by    {', '.join(match.key_ids)}",
        f"  evidence by  {match.trust.kind.value}, {match.trust.detail}",
    ]
