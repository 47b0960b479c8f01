"""The JSON of AWS's ``nitro-tpm-pcr-compute``: PCR 4, 7 and 12 in SHA-384, which is the only bank of a NitroTPM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from builder.measurement.pcr import Bank
from builder.measurement.report import NITRO_PCRS

if TYPE_CHECKING:
    from builder.export.subject import Subject

# aws_lc_rs prints an algorithm so, and that string is what tools of EC2 find in this field.
_HASH: Final = "SHA384 { ... }"


def export(subject: Subject) -> str:
    """Byte for byte as the tool prints it, without the newline at the end. Raises UnpredictableError."""
    values = {f"PCR{pcr}": subject.value(pcr, Bank.SHA384).hex() for pcr in NITRO_PCRS}
    # The tool keeps its map sorted by name, so PCR12 stands before PCR4.
    return json.dumps({"Measurements": dict(sorted({"HashAlgorithm": _HASH, **values}.items()))}, indent=2)
