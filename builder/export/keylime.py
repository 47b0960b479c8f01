"""Reference values for Keylime: a TPM policy, and what its measured-boot reference state can say of a UKI.

The TPM policy is complete: final values of PCRs. Measured boot is not: Keylime's built-in policy "example"
(``keylime/mba/elchecking/example.py``) knows one shape of boot, shim, GRUB and a kernel, which a UKI does not have. Its
Secure Boot part fits; for the rest a policy class of your own reads the list ``ukis``. ``kernels`` is empty, so the
built-in policy refuses every boot instead of accepting one that it did not check.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError
from builder.measurement.configuration import SecureBootMode
from builder.measurement.events import EventType
from builder.measurement.pcr import Bank
from signing.esl import parse_signature_lists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.export.subject import Subject
    from builder.measurement.events import Event

# Names of the variables in the reference state, which has no room for their order.
_VARIABLES: Final = {"PK": "pk", "KEK": "kek", "db": "db", "dbx": "dbx"}
_NOT_OURS: Final = ("scrtm_and_bios", "vendor_db", "mokdig", "mokxdig", "kernels")


def export_tpm_policy(subjects: Sequence[Subject]) -> str:
    """The JSON for ``keylime_tenant --tpm_policy``: per PCR the values of all releases and banks.

    Keylime adds the mask itself and refuses a policy that has one. Raises InvalidInputError without a release.
    """
    if not subjects:
        raise InvalidInputError("a policy needs at least one release")
    policy: dict[int, list[str]] = {}
    for subject in subjects:
        for number, pcr in subject.predicted.items():
            known = policy.setdefault(number, [])
            known += [value for bank in subject.banks if (value := pcr.values[bank].hex()) not in known]
    return json.dumps({str(number): policy[number] for number in sorted(policy)})


def export_measured_boot(subjects: Sequence[Subject]) -> str:
    """The measured-boot reference state: Secure Boot keys for the built-in policy, UKIs for one of your own.

    The releases must share their Secure Boot mode and keys, as the reference state has one set of them. Raises
    InvalidInputError if they do not.
    """
    if not subjects:
        raise InvalidInputError("a reference state needs at least one release")
    first = subjects[0]
    if any((subject.mode, subject.variables) != (first.mode, first.variables) for subject in subjects):
        raise InvalidInputError(
            "a measured-boot reference state has one set of Secure Boot keys, these releases differ"
        )
    state: dict[str, Any] = {"has_secureboot": first.mode is SecureBootMode.ENABLED}
    state |= {name: _keys(first.variables.get(variable, b"")) for variable, name in _VARIABLES.items()}
    state |= {name: [] for name in _NOT_OURS}
    state["ukis"] = [_uki(subject) for subject in subjects]
    return json.dumps(state, indent=2)


def _keys(variable: bytes) -> list[dict[str, str]]:
    entries = (entry for found in parse_signature_lists(variable) for entry in found.entries)
    return [{"SignatureOwner": str(entry.owner), "SignatureData": f"0x{entry.data.hex()}"} for entry in entries]


def _uki(subject: Subject) -> dict[str, Any]:
    """The digests that a policy class finds in the log: images of PCR 4, sections of PCR 11, events of PCR 9."""
    return {
        "image": f"{subject.image.name} {subject.image.version}",
        "authcode_sha256": _sha256(subject, EventType.EV_EFI_BOOT_SERVICES_APPLICATION),
        "sections_sha256": _sha256(subject, EventType.EV_IPL),
        "kernel_events_sha256": _sha256(subject, EventType.EV_EVENT_TAG),
    }


def _sha256(subject: Subject, kind: EventType) -> list[str]:
    events: list[Event] = [event for pcr in subject.predicted.values() for event in pcr.events]
    return [f"0x{event.digests[Bank.SHA256].hex()}" for event in events if event.type is kind]
