"""Reference measurements as they are read: typed, and every digest in them one of its bank."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError
from builder.measurement.pcr import PCR_COUNT, Bank
from builder.measurement.phases import Phase
from builder.release.statements import ReferenceMeasurements, convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.release.statements import MeasuredPcr

_BANKS: Final = {bank.value: bank for bank in Bank}
_PCRS: Final = frozenset(map(str, range(PCR_COUNT)))
_PHASES: Final = frozenset(phase.label for phase in Phase)
# What says of a text that it is a digest, by bank.
_DIGESTS: Final = {bank.value: re.compile(f"[0-9a-f]{{{2 * bank.size}}}").fullmatch for bank in Bank}
_SHOWN: Final = 150


def read_measurements(value: Any, *, what: str) -> ReferenceMeasurements:
    """The predicate of a statement, or the file of the same content. Raises InvalidInputError."""
    return checked(convert(value, ReferenceMeasurements, what=what), what=what)


def checked(reference: ReferenceMeasurements, *, what: str) -> ReferenceMeasurements:
    """``reference``, in which all PCRs, banks, phases and digests are ones.

    Raises InvalidInputError with the place of what is none: people and key policies take over what is written there.
    """
    for mode, values in reference.reference_values.items():
        place = f"{what}: reference_values.{mode}"
        for bank in values.banks:
            _require_one_of(bank, _BANKS, f"{place}.banks")
        for number, pcr in values.pcrs.items():
            _require_one_of(number, _PCRS, f"{place}.pcrs", expected=f"the number of a PCR, 0 to {PCR_COUNT - 1}")
            for label in pcr.phases:
                _require_one_of(label, _PHASES, f"{place}.pcrs.{number}.phases")
        _require_digests(values.pcrs, f"{place}.pcrs")
    return reference


def _require_digests(pcrs: Mapping[str, MeasuredPcr], place: str) -> None:
    """All digests of some PCRs are ones of their bank.

    A verifier reads a thousand releases at a time, with some 150 digests in each: where one stands is only worked out
    if there is a wrong one.
    """
    for number, pcr in pcrs.items():
        for digests in (pcr.values, *[event.digests for event in pcr.events], *pcr.phases.values()):
            for bank, digest in digests.items():
                if bank not in _DIGESTS or _DIGESTS[bank](digest) is None:
                    raise _no_digest(bank, digest, f"{place}.{number}{_path(_where(pcr, digests))}")


def _where(pcr: MeasuredPcr, digests: Mapping[str, str]) -> tuple[str | int, ...]:
    """The place in a PCR of one of its mappings from banks to digests."""
    for number, event in enumerate(pcr.events):
        if event.digests is digests:
            return ("events", number, "digests")
    for label, of_phase in pcr.phases.items():
        if of_phase is digests:
            return ("phases", label)
    return ("values",)


def _path(where: Iterable[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)


def _no_digest(bank: str, digest: str, place: str) -> InvalidInputError:
    if bank not in _BANKS:
        return InvalidInputError(f"{place} has {bank[:_SHOWN]!r}, expected {' or '.join(sorted(_BANKS))}")
    digits = 2 * _BANKS[bank].size
    return InvalidInputError(f"{place}.{bank} is {digest[:_SHOWN]!r}, expected {digits} lower-case hexadecimal digits")


def _require_one_of(text: str, known: Mapping[str, Any] | frozenset[str], place: str, *, expected: str = "") -> None:
    if text not in known:
        raise InvalidInputError(f"{place} has {text[:_SHOWN]!r}, expected {expected or ' or '.join(sorted(known))}")
