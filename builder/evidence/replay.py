"""From a log to the register values that it stands for.

Initial values (TCG PC Client Platform TPM Profile 1.06, 4.6.2; PFP 1.06, 10.4.5.3):

- PCR 0 is zero, but for its last byte: the locality of TPM2_Startup, 3 or 4 if a StartupLocality event says so. An
  H-CRTM, measured before TPM2_Startup, implies 4 (TPM 2.0 Library, Part 1, 34.3 "H-CRTM before TPM2_Startup").
- PCR 17 to 22 have all bits set until a dynamic launch, which these logs do not record; every other PCR is zero.
- Measurement registers of a confidential VM (RTMRs) are zero. Register 0, the launch measurement, is made by the
  hypervisor and never extended.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError
from builder.evidence.algorithms import HashAlgorithm, known_algorithm
from builder.evidence.decode_tagged import is_startup_locality, startup_locality
from builder.evidence.eventlog import RegisterKind
from builder.image.binary import BinaryView
from builder.measurement.events import EventType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.evidence.eventlog import UntrustedEventLog
    from builder.evidence.systemd_log import UserspaceLog

_DYNAMIC_PCRS = range(17, 23)
_HCRTM_LOCALITY = 4


@dataclass(frozen=True, slots=True)
class Replay:
    """What a log replays to; as untrusted as the log.

    ``values`` has, by algorithm, every register that was extended and whose every extend has a digest of the
    algorithm. ``incomplete`` are those (algorithm, register) for which a digest is missing: they have no value.
    """

    registers: RegisterKind
    locality: int
    values: Mapping[HashAlgorithm, Mapping[int, bytes]]
    incomplete: frozenset[tuple[HashAlgorithm, int]]

    def value(self, algorithm: HashAlgorithm, register: int) -> bytes | None:
        """The value of a register, its initial one if it was never extended; None if a digest is missing."""
        if (algorithm, register) in self.incomplete:
            return None
        found = self.values.get(algorithm, {}).get(register)
        return initial_value(self.registers, algorithm, register, self.locality) if found is None else found


def replay(log: UntrustedEventLog, userspace: UserspaceLog | None = None) -> Replay:
    """Extend what the log lists, then what user space extended, in every bank of the log.

    Raises MalformedImageError if the log names two startup localities or an impossible one.
    """
    locality = _locality(log)
    extends = [(event.register, event.digests) for event in log.events if event.extends]
    if userspace is not None and log.registers is RegisterKind.PCR:
        extends += [(event.pcr, event.digests) for event in userspace.events if event.pcr is not None]
    values: dict[HashAlgorithm, dict[int, bytes]] = {}
    incomplete = set()
    for algorithm in replayable_algorithms(log):
        bank: dict[int, bytes] = {}
        for register, digests in extends:
            digest = digests.get(algorithm)
            if digest is None:
                incomplete.add((algorithm, register))
                continue
            before = bank.get(register)
            if before is None:
                before = initial_value(log.registers, algorithm, register, locality)
            bank[register] = algorithm.extend(before, digest)
        values[algorithm] = bank
    for algorithm, register in incomplete:
        values[algorithm].pop(register, None)
    frozen = {algorithm: MappingProxyType(dict(sorted(bank.items()))) for algorithm, bank in values.items()}
    return Replay(log.registers, locality, MappingProxyType(frozen), frozenset(incomplete))


def replayable_algorithms(log: UntrustedEventLog) -> tuple[HashAlgorithm, ...]:
    """The log's algorithms that bedplate knows, in the order of its table."""
    return tuple(known for identifier in log.algorithms if (known := known_algorithm(identifier)) is not None)


def initial_value(registers: RegisterKind, algorithm: HashAlgorithm, register: int, locality: int = 0) -> bytes:
    """The value of a register that was never extended."""
    if registers is RegisterKind.PCR and register in _DYNAMIC_PCRS:
        return b"\xff" * algorithm.size
    last = locality if registers is RegisterKind.PCR and register == 0 else 0
    return bytes(algorithm.size - 1) + bytes([last])


def _locality(log: UntrustedEventLog) -> int:
    stated = set(_stated_localities(log))
    if len(stated) > 1:
        raise MalformedImageError("event log", None, f"it names the startup localities {sorted(stated)}")
    if stated:
        return stated.pop()
    first = next((event for event in log.events if event.extends and event.register == 0), None)
    measured_early = first is not None and first.type == EventType.EV_EFI_HCRTM_EVENT
    return _HCRTM_LOCALITY if measured_early and log.registers is RegisterKind.PCR else 0


def _stated_localities(log: UntrustedEventLog) -> Iterator[int]:
    for event in log.events:
        if not event.extends and event.register == 0 and is_startup_locality(event.data):
            yield startup_locality(BinaryView.of(event.data, "StartupLocality event", event.offset)).locality
