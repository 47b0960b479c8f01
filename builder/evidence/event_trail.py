"""The events of one PCR on both sides: those that a release predicts, and those that a verified log has."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from builder.errors import MalformedImageError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.decode import decode
from builder.evidence.efi_variable import EfiVariable, parse_variable
from builder.evidence.eventlog import UntrustedEvent
from builder.evidence.text import printable
from builder.measurement.configuration import SecureBootMode
from builder.measurement.events import EventType, utf16
from builder.measurement.pcr import Bank
from builder.release.reference import stated_pcrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.evidence.verified import VerifiedEvent, VerifiedEventLog
    from builder.release.trusted import StatedBoot, TrustedReference

_PCR_KERNEL: Final = 9
_VARIABLES: Final = frozenset({EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, EventType.EV_EFI_VARIABLE_AUTHORITY})
_DIGEST_OF_IMAGE: Final = frozenset({EventType.EV_EFI_BOOT_SERVICES_APPLICATION, EventType.EV_EFI_BOOT_SERVICES_DRIVER})
_SHOWN_DIGEST: Final = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One extend with what is said of it.

    ``source`` is where a predicted one comes from. Of a logged one, ``proven`` are the bytes that the digest vouches
    for and ``index`` is the record's number in its log; ``text`` says so where it is a mere label.
    """

    digests: Mapping[str, bytes]
    type: int | None
    text: str
    source: str = ""
    proven: bytes = b""
    index: int | None = None

    @property
    def proven_text(self) -> str | None:
        """The string that was measured in UTF-16, if a digest proves that one was."""
        if len(self.proven) < 2 or len(self.proven) % 2 or self.proven[-2:] != b"\0\0":  # noqa: PLR2004 -- its NUL
            return None
        try:
            text = self.proven[:-2].decode("utf-16-le")
        except UnicodeDecodeError:
            return None
        return text if "\0" not in text else None

    @property
    def variable(self) -> EfiVariable | None:
        """The variable that was measured, if a digest proves it."""
        if self.type not in _VARIABLES or not self.proven or self.type is None:
            return None
        try:
            return parse_variable(self.proven, self.type)
        except MalformedImageError:
            return None


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first event of a PCR that differs. ``position`` counts its extends from 0; None is a side that has ended.

    ``index`` is the number of the record in the firmware's log or, for user space, in systemd's.
    """

    pcr: int
    position: int
    expected: str | None
    found: str | None
    index: int | None


@dataclass(frozen=True, slots=True)
class Trail:
    """Both sides of one PCR. ``kernel_lines`` are digests of command lines that the kernel logged in PCR 9."""

    pcr: int
    predicted: tuple[Step, ...]
    logged: tuple[Step, ...]
    secure_boot: bool
    embedded: str
    kernel_lines: tuple[Mapping[str, bytes], ...]

    @property
    def unequal(self) -> list[tuple[Step | None, Step | None]]:
        """Every place at which the sides differ, as (predicted, logged)."""
        pairs = zip_longest(self.predicted, self.logged)
        return [(one, other) for one, other in pairs if one is None or other is None or not _same(one, other)]

    @property
    def additional(self) -> tuple[Step, ...] | None:
        """The logged steps between and after the predicted ones; None if a predicted one is missing."""
        rest = list(self.predicted)
        extra = []
        for step in self.logged:
            if rest and _same(rest[0], step):
                rest.pop(0)
            else:
                extra.append(step)
        return None if rest else tuple(extra)

    @property
    def divergence(self) -> Divergence | None:
        """The first place at which the sides differ; None if they are the same."""
        for position, (one, other) in enumerate(zip_longest(self.predicted, self.logged)):
            if one is None or other is None or not _same(one, other):
                texts = (one.text if one else None, other.text if other else None)
                return Divergence(self.pcr, position, *texts, other.index if other else None)
        return None

    def kernel_saw(self, added: str) -> bool | None:
        """Whether ``added`` replaced the embedded command line; None if the kernel measured none of the two."""
        for line, replaced in ((f"{self.embedded} {added}", False), (added, True)):
            data = utf16(line)
            if any(all(Bank(bank).digest(data) == value for bank, value in seen.items()) for seen in self.kernel_lines):
                return replaced
        return None


def trail(release: TrustedReference, boot: StatedBoot, pcr: int, log: VerifiedEventLog) -> Trail | None:
    """Both sides of a PCR; None if the log does not prove anything of it, or the release predicts nothing."""
    quoted = {algorithm.label for algorithm, values in log.values.items() if pcr in values}
    banks = [bank.value for bank in Bank if bank.value in quoted]
    reference = release.reference
    if pcr in log.unlogged or not banks or pcr not in boot.pcrs:
        return None
    stated = stated_pcrs(reference.reference_values[boot.mode.value])[pcr]
    events = getattr(stated, "events", ())
    predicted = tuple(
        Step(
            {bank.value: digest for bank, digest in event.digests.items() if bank.value in banks},
            event.type,
            event.description,
            event.source,
        )
        for event in events
    )
    kernel = tuple(step.digests for step in _logged(log, _PCR_KERNEL) if "command line" in step.text.lower())
    secure_boot = boot.mode is SecureBootMode.ENABLED
    logged = tuple(_logged(log, pcr))
    return Trail(pcr, predicted, logged, secure_boot, reference.uki.command_line, kernel)


def _logged(log: VerifiedEventLog, pcr: int) -> Sequence[Step]:
    return [_step(event) for event in log.events if event.register == pcr]


def _step(event: VerifiedEvent) -> Step:
    digests = {
        algorithm.label: digest
        for algorithm, digest in event.digests.items()
        if algorithm in {HashAlgorithm.SHA256, HashAlgorithm.SHA384}
    }
    claim = event.claim
    if not isinstance(claim, UntrustedEvent):
        return Step(digests, None, claim.text, proven=event.proven, index=claim.index)
    text = printable(decode(claim).text)
    if claim.type in _DIGEST_OF_IMAGE and digests:
        bank, digest = next(iter(digests.items()))
        text = f"{text} (the log's words; Authenticode {bank} {digest.hex()[:_SHOWN_DIGEST]}...)"
    elif not event.proven:
        text = f'{claim.type_name} that the log calls "{text}"'
    return Step(digests, claim.type, text, proven=event.proven, index=claim.index)


def _same(one: Step, other: Step) -> bool:
    """Digests of the quoted banks; one that is missing is a difference."""
    return bool(one.digests) and one.digests == other.digests
