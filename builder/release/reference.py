"""The reference measurements of an image: both ways to boot it, predicted from the image and the keys to enrol."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from builder.definition.model import Profile
from builder.errors import InvalidInputError, MalformedImageError
from builder.files import read_bytes
from builder.measurement.configuration import SecureBoot, SecureBootMode
from builder.measurement.events import Event, EventType
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.measurement.prediction import PredictedPcr, Unpredictable
from builder.measurement.report import reference_values
from builder.release.layout import MAX_SIGNATURE_LIST_BYTES, VARIABLES, signature_list
from builder.release.predict import predict_boot
from builder.release.statements import ImageIdentity, MeasuredPcr, ReferenceMeasurements, ReferenceValues, UkiIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builder.image.uki import Uki
    from builder.measurement.prediction import Prediction
    from builder.release.contents import ImageContents

# The PCRs whose values a release vouches for; 13 and 14 must stay zero.
BOUND_PCRS: Final = (4, 7, 9, 11, 12, 13, 14)
# Without these a release says nothing of what boots. PCR 9 may be missing: newer stubs put random bytes into it.
REQUIRED_PCRS: Final = (4, 7, 11, 12)
# With this argument a development image says on the command line too what it is.
_DEVELOPMENT_ARGUMENT: Final = "bedplate.profile=development"


def measure(contents: ImageContents, variables: Mapping[str, bytes], architecture: str) -> ReferenceMeasurements:
    """Everything a release states about an image. ``variables`` are the signature lists of PK, KEK, db and dbx.

    Raises MalformedImageError, InvalidInputError (an image that firmware would refuse) or UnpredictableError.
    """
    uki = contents.uki
    return ReferenceMeasurements(
        image=measured_identity(uki, architecture),
        uki=UkiIdentity(
            stub=uki.stub.version,
            kernel=uki.kernel_release() or "",
            command_line=uki.kernel_command_line() or "",
            root_hash=contents.root_hash.hex(),
        ),
        reference_values={
            mode.value: msgspec.convert(reference_values(prediction), ReferenceValues)
            for mode, prediction in predictions(contents, variables).items()
        },
    )


def predictions(contents: ImageContents, variables: Mapping[str, bytes]) -> dict[SecureBootMode, Prediction]:
    """The predicted boots: Secure Boot with the given variables, and firmware that has no keys enrolled.

    Raises UnpredictableError if one of REQUIRED_PCRS has no value, and what ``predict`` raises.
    """
    states = (
        SecureBoot(
            SecureBootMode.ENABLED,
            pk=variables["PK"],
            kek=variables["KEK"],
            db=variables["db"],
            dbx=variables.get("dbx", b""),
        ),
        SecureBoot(SecureBootMode.DISABLED),
    )
    found = {state.mode: predict_boot(contents.uki_file, contents.initrd, state) for state in states}
    for prediction in found.values():
        for pcr in REQUIRED_PCRS:
            prediction.predicted(pcr)
    return found


def measured_identity(uki: Uki, architecture: str) -> ImageIdentity:
    """Name, version and profile as the UKI itself states them, in its os-release, so that they are measured.

    Raises MalformedImageError if one is not stated exactly once, or if the command line tells another profile.
    """
    name, version, profile = (_os_release_value(uki, key) for key in ("IMAGE_ID", "IMAGE_VERSION", "VARIANT_ID"))
    development = _DEVELOPMENT_ARGUMENT in (uki.kernel_command_line() or "").split()
    if development != (profile == Profile.DEVELOPMENT.value):
        problem = f"os-release says {profile}, the command line {'development' if development else 'production'}"
        raise MalformedImageError("UKI", None, problem)
    return ImageIdentity(name=name, version=version, architecture=architecture, profile=profile)


def _os_release_value(uki: Uki, key: str) -> str:
    # os-release(5): readers skip blanks before a key and let the last of several assignments win.
    found = re.findall(rf"^[ \t]*{key}=(.*)$", uki.os_release() or "", re.MULTILINE)
    value = re.fullmatch(r"""(["']?)([a-z0-9][a-z0-9.~^-]*)\1""", found[0]) if len(found) == 1 else None
    if value is None:
        raise MalformedImageError("UKI section .osrel", None, f"it does not name the image's {key} as one plain word")
    return value[2]


def stated_pcrs(values: ReferenceValues) -> dict[int, PredictedPcr | Unpredictable]:
    """The values that a release states, in the form in which a boot is compared with them.

    ``values`` are as ``builder.release.measurements`` reads them. Raises InvalidInputError for a type of event that is
    not known.
    """
    pcrs = {int(pcr): stated for pcr, stated in values.pcrs.items()}
    return {pcr: _stated_pcr(pcr, pcrs[pcr]) for pcr in sorted(pcrs)}


def _stated_pcr(pcr: int, stated: MeasuredPcr) -> PredictedPcr | Unpredictable:
    if not stated.predictable:
        return Unpredictable(pcr, stated.reason or "no reason is stated")
    events = tuple(
        Event(
            pcr,
            _event_type(pcr, event.type),
            _digests(event.digests),
            event.description,
            event.source,
        )
        for event in stated.events
    )
    labels = {phase.label: phase for phase in Phase}
    phases = {labels[label]: _digests(digests) for label, digests in stated.phases.items()}
    return PredictedPcr(pcr, _digests(stated.values), events, phases)


def _event_type(pcr: int, name: str | None) -> EventType | None:
    if name is not None and name not in EventType.__members__:
        raise InvalidInputError(f"reference values: PCR {pcr} has an event of the type {name!r}, which is not known")
    return None if name is None else EventType[name]


def _digests(stated: Mapping[str, str]) -> dict[Bank, bytes]:
    return {Bank(name): bytes.fromhex(digest) for name, digest in stated.items()}


def load_variables(directory: Path) -> dict[str, bytes]:
    """The signature lists of a release; an absent dbx is empty. Raises InvalidInputError if another is missing."""
    found: dict[str, bytes] = {}
    for variable in VARIABLES:
        path = directory / signature_list(variable)
        if variable == "dbx" and not path.exists():
            found[variable] = b""
        else:
            found[variable] = read_bytes(path, what="signature list", limit=MAX_SIGNATURE_LIST_BYTES)
    return found
