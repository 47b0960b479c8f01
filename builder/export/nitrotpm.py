"""The JSON of AWS's ``nitro-tpm-pcr-compute``: PCR 4, 7 and 12 in SHA-384, which is the only bank of a NitroTPM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.measurement.pcr import Bank
from builder.measurement.report import NITRO_PCRS, nitrotpm_measurements

if TYPE_CHECKING:
    from builder.export.subject import Subject


def export(subject: Subject) -> str:
    """What the tool prints for the same boot. Raises UnpredictableError if one of the PCRs has no value."""
    return nitrotpm_measurements({pcr: subject.value(pcr, Bank.SHA384) for pcr in NITRO_PCRS})
