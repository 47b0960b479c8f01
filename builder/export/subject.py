"""What is exported: one release, booted in one Secure Boot mode, with the PCR values that it states for that boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, NotVerifiedError, UnpredictableError
from builder.measurement.pcr import Bank
from builder.measurement.prediction import PredictedPcr, Unpredictable
from builder.release.reference import stated_pcrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.measurement.configuration import SecureBootMode
    from builder.release.statements import ImageIdentity, ReferenceMeasurements

_PRODUCTION: Final = "production"


@dataclass(frozen=True, slots=True)
class Subject:
    """One way to boot a release. ``variables`` are the signature lists of PK, KEK, db and dbx; empty when absent."""

    image: ImageIdentity
    mode: SecureBootMode
    banks: tuple[Bank, ...]
    pcrs: Mapping[int, PredictedPcr | Unpredictable]
    variables: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """Image, version, architecture and Secure Boot mode: what tells this subject from all others."""
        return f"{self.image.name} {self.image.version} {self.image.architecture} Secure Boot {self.mode.value}"

    @property
    def predicted(self) -> dict[int, PredictedPcr]:
        """The PCRs that have a value, by number."""
        return {number: pcr for number, pcr in sorted(self.pcrs.items()) if isinstance(pcr, PredictedPcr)}

    @property
    def left_out(self) -> tuple[Unpredictable, ...]:
        """The PCRs that have no value, which no export can carry."""
        return tuple(pcr for _, pcr in sorted(self.pcrs.items()) if isinstance(pcr, Unpredictable))

    def value(self, pcr: int, bank: Bank) -> bytes:
        """The final value of one PCR. Raises UnpredictableError with the reason if it has none."""
        entry = self.pcrs.get(pcr)
        if entry is None:
            raise UnpredictableError(f"{self.name}: PCR {pcr} is not among its reference values")
        if isinstance(entry, Unpredictable):
            raise UnpredictableError(f"{self.name}: PCR {pcr} cannot be predicted: {entry.reason}")
        return entry.values[bank]


def subject_of(
    reference: ReferenceMeasurements,
    mode: SecureBootMode,
    variables: Mapping[str, bytes],
    *,
    allow_development: bool = False,
) -> Subject:
    """The subject that a release's statement describes. ``variables`` as enrolled when Secure Boot is enabled.

    Raises NotVerifiedError for a development image, InvalidInputError without values for ``mode`` or for values that
    contradict themselves.
    """
    image = reference.image
    if image.profile != _PRODUCTION and not allow_development:
        raise NotVerifiedError(
            f"{image.name} {image.version} may not be exported",
            (f"it is a {image.profile} image, which may have a way in (--allow-development)",),
        )
    values = reference.reference_values.get(mode.value)
    if values is None:
        raise InvalidInputError(f"{image.name} {image.version} has no reference values for Secure Boot {mode.value}")
    if values.boot.secure_boot != mode.value:
        raise InvalidInputError(f"{image.name} {image.version}: the values for Secure Boot {mode.value} are of others")
    banks = tuple(Bank(name) for name in values.banks)
    pcrs = stated_pcrs(values)
    for number, pcr in pcrs.items():
        if isinstance(pcr, PredictedPcr):
            _check(number, pcr, banks)
    return Subject(image, mode, banks, pcrs, dict(variables) if mode.value == "enabled" else {})


def _check(number: int, pcr: PredictedPcr, banks: tuple[Bank, ...]) -> None:
    """The value follows from the events: then every format says the same, whether it carries values or events."""
    for bank in banks:
        try:
            replayed = bank.replay(event.digests[bank] for event in pcr.events)
            stated = pcr.values[bank]
        except (KeyError, ValueError) as error:
            raise InvalidInputError(f"reference values: PCR {number}, bank {bank.value}: {error}") from error
        if replayed != stated:
            raise InvalidInputError(f"reference values: PCR {number}, bank {bank.value}: the events give another value")
