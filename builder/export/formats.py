"""The formats that need nothing but releases, by name; a format's module is imported when it is used.

``kms-policy`` and ``corim`` need more (who may, who signs), so they are not in this table.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builder.export.subject import Subject


@dataclass(frozen=True, slots=True)
class Format:
    """One format: what it is, the function of ``builder.export`` that makes it, and whether it takes many releases."""

    summary: str
    module: str
    function: str
    several: bool

    def render(self, subjects: Sequence[Subject]) -> str | bytes:
        """Text without a newline at its end, or bytes. Raises InvalidInputError or UnpredictableError."""
        function = getattr(importlib.import_module(f"builder.export.{self.module}"), self.function)
        if self.several:
            return cast("Callable[[Sequence[Subject]], str | bytes]", function)(subjects)
        if len(subjects) != 1:
            raise InvalidInputError(f"this format takes one release, {len(subjects)} are given")
        return cast("Callable[[Subject], str | bytes]", function)(subjects[0])


FORMATS: Final = {
    "nitrotpm": Format("JSON of AWS's nitro-tpm-pcr-compute.", "nitrotpm", "export", several=False),
    "keylime": Format("TPM policy for Keylime.", "keylime", "export_tpm_policy", several=True),
    "keylime-mb": Format(
        "Measured-boot reference state for Keylime, in part.", "keylime", "export_measured_boot", several=True
    ),
    "pcrlock": Format("Component file for systemd-pcrlock.", "pcrlock", "export", several=False),
    "trustee": Format("Reference values message for Trustee's RVPS.", "trustee", "export_sample", several=True),
    "trustee-corim": Format("The same with an unsigned CoRIM.", "trustee", "export_corim", several=True),
    "tcg": Format("Predicted event log, binary TCG form.", "tcg", "export", several=False),
}
