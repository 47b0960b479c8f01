"""What a verifier asks of a node, beside that its PCRs are those of a trusted release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.evidence.trust import TrustKind
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import PCR_COUNT
from builder.measurement.phases import Phase
from builder.release.version import is_version

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from builder.measurement.pcr import Bank
    from builder.release.revocations import VerifiedRevocations

PCR_FIRMWARE_CONFIGURATION: Final = 1
PCR_IMAGES: Final = 4
PCR_SECURE_BOOT: Final = 7
PCR_KERNEL: Final = 9
PCR_UKI: Final = 11
PCR_PARAMETERS: Final = 12
PCR_EXTENSIONS: Final = 13
# 13 is zero unless a system extension, which is code, was added to the initrd.
DEFAULT_PCRS: Final = frozenset({PCR_IMAGES, PCR_SECURE_BOOT, PCR_KERNEL, PCR_UKI, PCR_PARAMETERS, PCR_EXTENSIONS})
# An application may ask for a quote before the boot is over, so that of ``sysinit`` is as good as that of ``ready``.
# In an initrd (the earlier phases) secrets are safe from the root file system; whoever releases some there says so.
DEFAULT_PHASES: Final = frozenset({Phase.SYSINIT, Phase.READY})
DEFAULT_TRUST: Final = frozenset(TrustKind) - {TrustKind.FIRST_USE}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppraisalPolicy:
    """What must hold. The defaults are for production.

    ``at`` is the time of the appraisal, needed for ``maximum_age`` only. ``pcrs`` are compared as far as the evidence
    carries them; what it must carry follows from them: an image (4, or 11 where 7 shows Secure Boot to be on), the
    command line (12 or 9) and Secure Boot (7, unless it may be on or off), if they are in ``pcrs``. ``required`` are
    those of ``pcrs`` that one bank of the evidence must carry all, whatever else shows the same. ``banks`` are those in
    which every PCR that is compared must be quoted, besides another or not. ``unpredictable`` are PCRs that may go
    uncompared if the release gives no value: PCR 9 with a stub that measures a random secret; PCR 11 and 12 show the
    rest of it. ``phases`` are how far a boot may have come; ``trust`` what may vouch for the key, FIRST_USE only if it
    is named. ``minimum_version`` is compared as the UAPI group's version format says. ``maximum_age`` counts from the
    build's end, as the signed provenance states it; a release that does not state it is then refused. Freshness by
    nonce is required unless ``require_nonce`` is off.

    Raises InvalidInputError for PCRs that do not exist or say nothing of an image, for required ones that are not
    compared, for a Secure Boot mode that is asked for without PCR 7, for neither PCR 4 nor Secure Boot, for a minimum
    version that no image can have, and for PCR 1, which nobody can predict: it has the machine's boot order and
    hardware.
    """

    at: datetime | None = None
    pcrs: frozenset[int] = DEFAULT_PCRS
    required: frozenset[int] = frozenset()
    banks: frozenset[Bank] = frozenset()
    unpredictable: frozenset[int] = frozenset({PCR_KERNEL})
    phases: frozenset[Phase] = DEFAULT_PHASES
    secure_boot: frozenset[SecureBootMode] = frozenset({SecureBootMode.ENABLED})
    trust: frozenset[TrustKind] = DEFAULT_TRUST
    allow_development: bool = False
    minimum_version: str | None = None
    maximum_age: timedelta | None = None
    revocations: VerifiedRevocations | None = None
    require_nonce: bool = True

    def __post_init__(self) -> None:
        self._check_pcrs()
        for name in ("phases", "secure_boot", "trust"):
            if not getattr(self, name):
                raise InvalidInputError(f"a policy that accepts no {name.replace('_', ' ')} accepts nothing")
        self._check_secure_boot()
        if self.minimum_version is not None and not is_version(self.minimum_version):
            raise InvalidInputError(f"the minimum version {self.minimum_version!r} is no version of an image")
        if self.at is not None and self.at.tzinfo is None:
            raise InvalidInputError("the time of the appraisal has no time zone")
        if self.maximum_age is not None and self.at is None:
            raise InvalidInputError("a maximum age needs the time of the appraisal")

    def _check_pcrs(self) -> None:
        if PCR_FIRMWARE_CONFIGURATION in self.pcrs:
            raise InvalidInputError("PCR 1 cannot be in a policy: it has the machine's hardware and boot order")
        if wrong := sorted(pcr for pcr in self.pcrs if not 0 <= pcr < PCR_COUNT):
            raise InvalidInputError(f"there is no PCR {wrong[0]}")
        if not self.pcrs & {PCR_IMAGES, PCR_UKI}:
            raise InvalidInputError("a policy without PCR 4 and PCR 11 says nothing of the image that was booted")
        if beside := sorted(self.required - self.pcrs):
            raise InvalidInputError(f"the policy requires PCR {beside[0]}, and does not compare it")

    def _check_secure_boot(self) -> None:
        if PCR_SECURE_BOOT not in self.pcrs and not self.any_secure_boot:
            raise InvalidInputError("only PCR 7 shows whether Secure Boot was on; the policy asks for it without PCR 7")
        shown_by_secure_boot = PCR_SECURE_BOOT in self.pcrs and SecureBootMode.ENABLED in self.secure_boot
        if PCR_IMAGES not in self.pcrs and not shown_by_secure_boot:
            raise InvalidInputError("without Secure Boot only PCR 4 shows the image; the policy does without both")

    @property
    def any_secure_boot(self) -> bool:
        """Whether Secure Boot may be on or off."""
        return {SecureBootMode.ENABLED, SecureBootMode.DISABLED} <= self.secure_boot
