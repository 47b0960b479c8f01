"""Reference values for the RVPS of Trustee (Confidential Containers), as the messages that it registers.

Source: Trustee ``rvps/src/lib.rs`` (Message), ``rvps/src/extractors/sample`` and ``rvps/src/extractors/corim``. RVPS
checks no signature of either type, so send these over a channel that you trust.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.export import corim
from builder.measurement.pcr import Bank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.export.subject import Subject

_VERSION: Final = "0.1.0"


def export_sample(subjects: Sequence[Subject]) -> str:
    """A message of type "sample": per PCR ``tpm_pcr<n>`` with the SHA-256 values of all releases.

    Trustee's policies for TPMs ask ``input.tpm.pcr11 in query_reference_value("tpm_pcr11")``.
    """
    if not subjects:
        raise InvalidInputError("reference values need at least one release")
    values: dict[str, list[str]] = {}
    for subject in subjects:
        for number, pcr in subject.predicted.items():
            known = values.setdefault(corim.measurement_name(number), [])
            value = pcr.values[Bank.SHA256].hex()
            if value not in known:
                known.append(value)
    return _message("sample", json.dumps(values, separators=(",", ":")).encode())


def export_corim(subjects: Sequence[Subject]) -> str:
    """A message of type "corim" with an unsigned CoRIM; RVPS names what it finds IMAGE/tpm_pcr<n>/digests."""
    return _message("corim", corim.unsigned(subjects))


def _message(kind: str, payload: bytes) -> str:
    message = {"version": _VERSION, "type": kind, "payload": base64.b64encode(payload).decode("ascii")}
    return json.dumps(message, indent=2)
