"""What is known of PCRs that only the platform decides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Platform:
    """``separator_only`` are the firmware PCRs that hold nothing but the EV_SEPARATOR on every machine of this kind."""

    name: str
    separator_only: frozenset[int] = frozenset()


# Any machine: PCR 0 to 3 and 6 depend on its firmware, its devices and their option ROMs.
GENERIC = Platform("generic")
# EC2 instances with NitroTPM: seen equal in attestation documents of different instance families and dates.
NITROTPM = Platform("nitrotpm", frozenset({2, 3, 6}))
# OVMF in QEMU. PCR 2 is not among them: a network card's option ROM is measured there.
QEMU_OVMF = Platform("qemu-ovmf", frozenset({3, 6}))
