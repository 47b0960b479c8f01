"""The boot phases that systemd-pcrphase extends into PCR 11 on the way up (systemd ``units/systemd-pcrphase*``).

Each service extends its word, without NUL, in every bank. A quote taken early lacks the later words: a verifier needs
the value of every prefix.
"""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """How far a boot has come, in order; the value is the word that PCR 11 gets on reaching it."""

    FIRMWARE = None
    ENTER_INITRD = "enter-initrd"
    LEAVE_INITRD = "leave-initrd"
    SYSINIT = "sysinit"
    READY = "ready"

    @property
    def label(self) -> str:
        """The name in reports: the word, or "firmware" before the first."""
        return self.value or "firmware"
