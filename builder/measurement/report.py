"""Predictions as values that can be written as JSON: bedplate's own form, and that of AWS's nitro-tpm-pcr-compute."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from builder.errors import InvalidInputError
from builder.measurement.pcr import Bank
from builder.measurement.prediction import PredictedPcr, Prediction, Unpredictable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.measurement.events import Event

SCHEMA = "bedplate.reference-values/v1"
NITRO_PCRS = (4, 7, 12)
# aws_lc_rs prints an algorithm so, and that string is what tools of EC2 find in this field.
_NITRO_HASH = "SHA384 { ... }"


def reference_values(prediction: Prediction) -> dict[str, Any]:
    """All that was predicted, with the events of each value; digests are lower-case hexadecimal."""
    configuration = prediction.configuration
    return {
        "schema": SCHEMA,
        "stub": prediction.stub.version,
        "boot": {
            "secure_boot": configuration.secure_boot.mode.value,
            "platform": configuration.platform.name,
            "profile": configuration.profile,
            "initrd_systemd": configuration.initrd_systemd,
        },
        "banks": [bank.value for bank in prediction.banks],
        "pcrs": {str(pcr): _pcr(entry) for pcr, entry in sorted(prediction.pcrs.items())},
    }


def nitrotpm(prediction: Prediction) -> str:
    """The NitroTPM form of a prediction; see ``nitrotpm_measurements``.

    Raises InvalidInputError without the bank SHA-384, UnpredictableError if one of the PCRs has no value.
    """
    if Bank.SHA384 not in prediction.banks:
        raise InvalidInputError("the NitroTPM form has the SHA-384 bank only, and it was not predicted")
    return nitrotpm_measurements({pcr: prediction.value(pcr, Bank.SHA384) for pcr in NITRO_PCRS})


def nitrotpm_measurements(values: Mapping[int, bytes]) -> str:
    """SHA-384 values by PCR as ``nitro-tpm-pcr-compute`` prints them, byte for byte but for the newline at the end."""
    # The tool keeps its map sorted by name, so PCR12 stands before PCR4.
    named = {"HashAlgorithm": _NITRO_HASH} | {f"PCR{pcr}": value.hex() for pcr, value in values.items()}
    return json.dumps({"Measurements": dict(sorted(named.items()))}, indent=2)


def _pcr(entry: PredictedPcr | Unpredictable) -> dict[str, Any]:
    if isinstance(entry, Unpredictable):
        return {"predictable": False, "reason": entry.reason}
    report: dict[str, Any] = {
        "predictable": True,
        "values": _hex(entry.values),
        "events": [_event(event) for event in entry.events],
    }
    if entry.phases:
        report["phases"] = {phase.label: _hex(values) for phase, values in entry.phases.items()}
    return report


def _event(event: Event) -> dict[str, Any]:
    return {
        "type": None if event.type is None else event.type.name,
        "digests": _hex(event.digests),
        "description": event.description,
        "source": event.source,
    }


def _hex(values: Mapping[Bank, bytes]) -> dict[str, str]:
    return {bank.value: value.hex() for bank, value in values.items()}
