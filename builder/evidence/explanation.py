"""What it means that PCRs differ from a release's: causes in words, with every PCR that each of them moved.

With a verified event log the causes are read off the first events that differ; what is quoted from the log is marked
as its label where no digest proves it. Without a log, values that are known (another Secure Boot mode, another boot
phase) are recognised, and for the rest it is said what the PCR has.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from builder.evidence.event_trail import Divergence, Step, Trail, trail
from builder.evidence.policy import (
    PCR_EXTENSIONS,
    PCR_IMAGES,
    PCR_KERNEL,
    PCR_PARAMETERS,
    PCR_SECURE_BOOT,
    PCR_UKI,
)
from builder.evidence.text import printable
from builder.measurement.events import EventType
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.evidence.matching import PcrDifference
    from builder.evidence.verified import VerifiedEventLog
    from builder.release.trusted import StatedBoot, TrustedReference

# What systemd extends into PCR 11 once a system goes down or offers its disks (units/systemd-pcrphase*).
LATER_PHASES: Final = ("shutdown", "final", "factory-reset", "storage-target-mode-start", "storage-target-mode-stop")
_OS_SEPARATOR: Final = b"os-separator"
_UNEXPLAINED: Final = {
    PCR_IMAGES: "another image was started, or one more",
    PCR_SECURE_BOOT: "Secure Boot is in another state, or its keys are others",
    PCR_KERNEL: "the kernel saw another command line or another initrd",
    PCR_UKI: "the UKI has other sections, or the boot is at a phase that no release expects",
    PCR_PARAMETERS: "something parameterised the boot: a command line, credentials, addons or configuration extensions",
    PCR_EXTENSIONS: "system extensions were added to the initrd",
}


class Cause(enum.StrEnum):
    """What moved a PCR."""

    SECURE_BOOT = "secure-boot"
    SECURE_BOOT_KEYS = "secure-boot-keys"
    AUTHORITY = "authority"
    OTHER_IMAGE = "other-image"
    ADDITIONAL_IMAGE = "additional-image"
    BOOT_ENTRY_RETURNED = "boot-entry-returned"
    COMMAND_LINE = "command-line"
    CREDENTIALS = "credentials"
    EXTENSION = "extension"
    PROFILE = "profile"
    INITRD = "initrd"
    UKI_SECTION = "uki-section"
    PHASE_NOT_REACHED = "phase-not-reached"
    LATER_PHASE = "later-phase"
    OS_SEPARATOR = "os-separator"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A cause, in words, and the PCRs that it moved."""

    cause: Cause
    detail: str
    pcrs: tuple[int, ...]

    @property
    def text(self) -> str:
        """The sentence."""
        *first, last = map(str, self.pcrs)
        return f"{self.detail}: PCR {', '.join(first)}{' and ' if first else ''}{last} moved"


@dataclass(frozen=True, slots=True)
class Explained:
    """Causes, and for every PCR that a log explains the first event that differs."""

    explanations: tuple[Explanation, ...]
    divergences: tuple[Divergence, ...]


def explain(
    release: TrustedReference, boot: StatedBoot, found: Sequence[PcrDifference], log: VerifiedEventLog | None
) -> Explained:
    """Explain the differences ``found`` between a node and one way to boot a release."""
    trails = {item.pcr: trail(release, boot, item.pcr, log) for item in found} if log else {}
    causes: list[Explanation] = []
    for item in found:
        known = list(_from_values(release, boot, item))
        steps = trails.get(item.pcr)
        if not known and steps is not None and steps.divergence is not None:
            known = list(_READERS.get(item.pcr, _other)(steps))
        fallback = Explanation(Cause.UNKNOWN, _UNEXPLAINED.get(item.pcr, "its contents are others"), (item.pcr,))
        causes += known or [fallback]
    divergences = tuple(steps.divergence for steps in trails.values() if steps and steps.divergence)
    return Explained(_merge(causes, found, trails, release, boot), divergences)


def _from_values(release: TrustedReference, boot: StatedBoot, item: PcrDifference) -> Iterator[Explanation]:
    """What the value alone says."""
    for other in release.boots:
        stated = other.pcrs.get(item.pcr)
        if item.pcr == PCR_SECURE_BOOT and other.mode is not boot.mode and stated and _same(stated.values, item.found):
            yield Explanation(Cause.SECURE_BOOT, f"Secure Boot is {other.mode.value}", (item.pcr,))
            return
    own = boot.pcrs.get(item.pcr)
    if own is None:
        return
    if _same(_extended(own.values, _OS_SEPARATOR), item.found):
        detail = "systemd 261 or newer in the initrd extended its os-separator, which the release does not expect"
        yield Explanation(Cause.OS_SEPARATOR, detail, (item.pcr,))
    for phase, values in own.phases.items():
        reached: list[str] = []
        state = values
        for word in _endings(item.found, values):
            reached.append(word)
            state = _extended(state, word.encode())
        if reached:
            detail = f"after boot phase {phase.label} the node went on to {' and '.join(reached)}"
            yield Explanation(Cause.LATER_PHASE, detail, (item.pcr,))
            return


def _endings(found: Mapping[str, bytes], start: Mapping[str, bytes]) -> tuple[str, ...]:
    """The one or two words of later phases that lead from ``start`` to ``found``; none if none do."""
    for word in LATER_PHASES:
        once = _extended(start, word.encode())
        if _same(once, found):
            return (word,)
        for second in LATER_PHASES:
            if _same(_extended(once, second.encode()), found):
                return (word, second)
    return ()


def _secure_boot(steps: Trail) -> Iterator[Explanation]:
    """Variables in their fixed order, then, after a separator, the entries of db that were used."""
    pcrs = (steps.pcr,)
    for expected, step in steps.unequal:
        variable = step.variable if step else None
        if variable is None:
            what = expected.text if expected else "nothing more"
            shown = step.text if step else "nothing"
            yield Explanation(Cause.AUTHORITY, f"for Secure Boot {shown} was measured instead of {what}", pcrs)
        elif step and step.type == EventType.EV_EFI_VARIABLE_AUTHORITY:
            yield Explanation(Cause.AUTHORITY, f"another entry let an image run: {variable.text}", pcrs)
        elif variable.name == "SecureBoot":
            state = {b"\1": "on", b"\0": "off"}.get(variable.content, "not supported by the firmware")
            yield Explanation(Cause.SECURE_BOOT, f"Secure Boot is {state}", pcrs)
        else:
            yield Explanation(Cause.SECURE_BOOT_KEYS, f"the Secure Boot variable {variable.text} is another", pcrs)


def _images(steps: Trail) -> Iterator[Explanation]:
    pcrs = (steps.pcr,)
    extra = steps.additional
    if extra is None:
        expected, step = steps.unequal[0]
        if step is None:
            what = expected.text if expected else "it"
            yield Explanation(Cause.OTHER_IMAGE, f"the boot ended before {what} was loaded", pcrs)
        else:
            place = expected.source if expected else "expected image"
            yield Explanation(
                Cause.OTHER_IMAGE, f"another image was started in place of the {place}: {step.text}", pcrs
            )
        return
    for step in extra:
        if step.type == EventType.EV_EFI_ACTION:
            yield Explanation(Cause.BOOT_ENTRY_RETURNED, f"the firmware tried several boot entries: {step.text}", pcrs)
        else:
            yield Explanation(Cause.ADDITIONAL_IMAGE, f"an additional image was loaded: {step.text}", pcrs)


def _parameters(steps: Trail) -> Iterator[Explanation]:
    pcrs = (steps.pcr,)
    texts: list[str] = []
    for _, step in steps.unequal:
        if step is None:
            yield Explanation(Cause.UNKNOWN, "what the release expects to parameterise the boot is missing", pcrs)
        elif step.proven_text is not None and step.type == EventType.EV_IPL:
            texts.append(step.proven_text)
        else:
            yield Explanation(_parameter(step), f"{step.text} was added to the boot", pcrs)
    if texts:
        shown = printable(" ".join(texts))
        detail = f"kernel command line was extended with {shown}"
        if not steps.secure_boot:
            replaced = steps.kernel_saw(" ".join(texts))
            if replaced is None:
                detail = f"kernel command line was extended with (or, Secure Boot being off, replaced by) {shown}"
            elif replaced:
                detail = f"kernel command line was replaced by {shown}"
        yield Explanation(Cause.COMMAND_LINE, detail, pcrs)


def _parameter(step: Step) -> Cause:
    lowered = step.text.lower()
    for word, cause in (("credential", Cause.CREDENTIALS), ("extension", Cause.EXTENSION), ("profile", Cause.PROFILE)):
        if word in lowered:
            return cause
    return Cause.INITRD if "initrd" in lowered or "microcode" in lowered else Cause.UNKNOWN


def _extensions(steps: Trail) -> Iterator[Explanation]:
    for _, step in steps.unequal:
        what = step.text if step else "less than expected"
        yield Explanation(Cause.EXTENSION, f"{what} was added to the boot", (steps.pcr,))


def _kernel(steps: Trail) -> Iterator[Explanation]:
    for expected, step in steps.unequal:
        named = f"{expected.text if expected else ''} {step.text if step else ''}".lower()
        if "command line" in named:
            yield Explanation(Cause.COMMAND_LINE, "the kernel saw another command line", (steps.pcr,))
        elif "initrd" in named:
            yield Explanation(Cause.INITRD, "the kernel saw another initrd", (steps.pcr,))
        else:
            what = step.text if step else "nothing"
            yield Explanation(Cause.UNKNOWN, f"{what} was measured where the kernel measures", (steps.pcr,))


def _uki(steps: Trail) -> Iterator[Explanation]:
    pcrs = (steps.pcr,)
    missing = [expected.text for expected, step in steps.unequal if step is None and expected]
    if len(missing) == len(steps.unequal) and all(text.startswith("boot phase") for text in missing):
        yield Explanation(Cause.PHASE_NOT_REACHED, f"the boot has not come to {missing[0]}", pcrs)
        return
    sections = dict.fromkeys(
        expected.source for expected, step in steps.unequal if step and expected and expected.source.startswith("UKI")
    )
    if sections:
        yield Explanation(Cause.UKI_SECTION, f"{', '.join(sections)} not as in the release", pcrs)
        return
    expected, step = steps.unequal[0]
    what = expected.text if expected else "the end"
    yield Explanation(Cause.UNKNOWN, f"{step.text if step else 'nothing'} was measured instead of {what}", pcrs)


def _other(steps: Trail) -> Iterator[Explanation]:
    expected, step = steps.unequal[0]
    what = expected.text if expected else "nothing more"
    shown = step.text if step else "nothing"
    yield Explanation(Cause.UNKNOWN, f"{shown} was measured instead of {what}", (steps.pcr,))


_READERS: Final = {
    PCR_IMAGES: _images,
    PCR_SECURE_BOOT: _secure_boot,
    PCR_KERNEL: _kernel,
    PCR_UKI: _uki,
    PCR_PARAMETERS: _parameters,
    PCR_EXTENSIONS: _extensions,
}
# A cause of PCR 9 that follows from one of these is no cause of its own.
_SEEN_BY_KERNEL: Final = {
    Cause.COMMAND_LINE: frozenset({Cause.COMMAND_LINE}),
    Cause.INITRD: frozenset({Cause.CREDENTIALS, Cause.EXTENSION, Cause.INITRD, Cause.UKI_SECTION, Cause.PROFILE}),
}


def _merge(
    causes: list[Explanation],
    found: Sequence[PcrDifference],
    trails: Mapping[int, Trail | None],
    release: TrustedReference,
    boot: StatedBoot,
) -> tuple[Explanation, ...]:
    """One explanation for what one cause moved in several PCRs, most telling first."""
    secure_boot = next((item for item in causes if item.cause is Cause.SECURE_BOOT), None)
    if secure_boot is not None:
        # With Secure Boot off, old stubs have the firmware load and measure the kernel: PCR 4 follows from it.
        moved = tuple(item.pcr for item in found if item.pcr == PCR_IMAGES and _of_other_mode(release, boot, item))
        causes = [item for item in causes if not set(item.pcrs) & set(moved)]
        causes[causes.index(secure_boot)] = replace(secure_boot, pcrs=(*secure_boot.pcrs, *moved))
    merged: list[Explanation] = []
    for item in causes:
        same = next((other for other in merged if (other.cause, other.detail) == (item.cause, item.detail)), None)
        if same is not None:
            pcrs = tuple(dict.fromkeys((*same.pcrs, *item.pcrs)))
            merged[merged.index(same)] = replace(same, pcrs=pcrs)
        else:
            merged.append(item)
    for item in [item for item in merged if item.pcrs == (PCR_KERNEL,)]:
        origins = _SEEN_BY_KERNEL.get(item.cause, frozenset(Cause) if PCR_KERNEL not in trails else frozenset())
        origin = next((other for other in merged if other is not item and other.cause in origins), None)
        if origin is not None and item.cause is not Cause.UNKNOWN:
            merged.remove(item)
            merged[merged.index(origin)] = replace(origin, pcrs=(*origin.pcrs, PCR_KERNEL))
    return tuple(merged)


def _of_other_mode(release: TrustedReference, boot: StatedBoot, item: PcrDifference) -> bool:
    others = (other.pcrs.get(item.pcr) for other in release.boots if other.mode is not boot.mode)
    return any(stated is not None and _same(stated.values, item.found) for stated in others)


def _same(stated: Mapping[str, bytes], found: Mapping[str, bytes]) -> bool:
    return bool(found) and all(stated.get(bank) == value for bank, value in found.items())


def _extended(values: Mapping[str, bytes], data: bytes) -> dict[str, bytes]:
    return {bank: Bank(bank).extend(value, Bank(bank).digest(data)) for bank, value in values.items()}


def missing_phase(phase: Phase | None, accepted: frozenset[Phase]) -> str:
    """Words for a boot that is at another phase than those that are accepted."""
    wanted = " or ".join(item.label for item in Phase if item in accepted)
    return f"the boot is at phase {phase.label if phase else 'unknown'}, accepted is {wanted}"
