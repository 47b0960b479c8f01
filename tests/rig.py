"""Evidence of machines in our own rig: what they quote when they stop, and the log that their firmware kept."""

from __future__ import annotations

import mmap
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from builder.evidence.appraisal import AppraisalResult, appraise
from builder.evidence.assumed_phases import UNLOGGED, assume_phases
from builder.evidence.eventlog import UntrustedEventLog, parse_event_log
from builder.evidence.evidence import VerifiedEvidence, evidence_of_quotes
from builder.evidence.public_area import parse_public
from builder.evidence.quote import verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.trust import trust_pinned_key
from builder.evidence.verified import verify_event_log
from builder.vm.boot import boot
from builder.vm.qemu import Hardware
from builder.vm.quote import RawQuote, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from builder.evidence.policy import AppraisalPolicy
    from builder.release.trusted import TrustedReference
    from builder.vm.observation import ObservedBoot

# Without PCR 5: the firmware measures ExitBootServices there after Linux has copied the log.
QUOTED = (0, 1, 2, 3, 4, 6, 7, 9, 11, 12, 13, 14)
_SPEC_ID = b"Spec ID Event03\0"
_SPEC_ID_OFFSET = 32
# struct linux_efi_tpm_eventlog (Linux, include/linux/efi.h): size, final_events_preboot_size, version, then the log.
_TABLE = struct.Struct("<IIB")
_LOG_VERSION = 2
_MAX_LOG = 1 << 20


@dataclass(frozen=True)
class Machine:
    """What a machine hands over after its boot, and the nonce that it was asked with."""

    raw: RawQuote
    pcrs: Mapping[str, Mapping[int, bytes]]
    log: UntrustedEventLog
    nonce: bytes

    def evidence(self, nonce: bytes | None = None) -> VerifiedEvidence:
        ak = trust_pinned_key(parse_public(self.raw.public))
        signature = parse_signature(self.raw.signature)
        return evidence_of_quotes([verify_quote(self.raw.attest, signature, ak, nonce or self.nonce, self.pcrs)])

    def appraised(self, release: TrustedReference, policy: AppraisalPolicy) -> AppraisalResult:
        evidence = self.evidence()
        log = verify_event_log(self.log, evidence, userspace=assume_phases(self.log, evidence), unlogged=UNLOGGED)
        return appraise(evidence, [release], policy, event_log=log)


def quoted_values(observed: ObservedBoot, pcrs: Iterable[int]) -> dict[str, dict[int, bytes]]:
    """The PCRs that were read, as a quote's values."""
    wanted, values = set(pcrs), {}
    for (pcr, bank), value in observed.values.items():
        if pcr in wanted:
            values.setdefault(bank.value, {})[pcr] = value
    return values


def log_in_memory(file: Path) -> bytes:
    """The firmware's log in a machine's memory, as Linux's EFI stub left it for the kernel."""
    with file.open("rb") as memory, mmap.mmap(memory.fileno(), 0, access=mmap.ACCESS_READ) as view:
        found, place = [], -1
        while (place := view.find(_SPEC_ID, place + 1)) >= 0:
            start = place - _SPEC_ID_OFFSET
            size, _, version = _TABLE.unpack(view[start - _TABLE.size : start])
            if version == _LOG_VERSION and _SPEC_ID_OFFSET < size < _MAX_LOG:
                found.append(view[start : start + size])
    (log,) = set(found)
    return log


@dataclass
class Witness:
    """``builder.vm.boot.boot``, and a witness of what the machine then quotes and has logged."""

    folder: Path
    nonce: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    smbios_strings: tuple[str, ...] = ()
    machine: Machine | None = None

    def __call__(self, *arguments: Any, **options: Any) -> ObservedBoot:
        memory = self.folder / "memory"
        quotes: list[RawQuote] = []
        options["hardware"] = Hardware(memory_file=memory, smbios_strings=self.smbios_strings)
        options["on_stop"] = lambda transact: quotes.append(quote(transact, self.nonce, QUOTED))
        observed = boot(*arguments, **options)
        log = parse_event_log(log_in_memory(memory))
        memory.unlink()
        self.machine = Machine(quotes[0], quoted_values(observed, QUOTED), log, self.nonce)
        return observed
