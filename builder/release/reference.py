"""The reference measurements of an image: both ways to boot it, predicted from the image and the keys to enrol."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from builder.errors import InvalidInputError, MalformedImageError
from builder.files import read_bytes
from builder.image.uki import read_uki
from builder.measurement.configuration import BootConfiguration, SecureBoot, SecureBootMode
from builder.measurement.events import Event, EventType
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.measurement.predict import predict
from builder.measurement.prediction import PredictedPcr, Unpredictable
from builder.measurement.report import reference_values
from builder.release.contents import read_uki_initrd
from builder.release.layout import MAX_SIGNATURE_LIST_BYTES, VARIABLES, signature_list
from builder.release.statements import ImageIdentity, MeasuredPcr, ReferenceMeasurements, ReferenceValues, UkiIdentity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.image.initrd import Initrd
    from builder.measurement.prediction import Prediction
    from builder.release.contents import ImageContents

# The PCRs whose values a release vouches for; 13 and 14 must stay zero.
BOUND_PCRS: Final = (4, 7, 9, 11, 12, 13, 14)
# Debian and Fedora name systemd's own shared library by its release: libsystemd-shared-257.so, -257.9-1.fc42.so.
_SYSTEMD_LIBRARY: Final = re.compile(r"/libsystemd-shared-(\d+)[^/]*\.so$")
_OS_SEPARATOR_LINK: Final = re.compile(r"/systemd/system/[^/]+\.(wants|requires)/systemd-pcrosseparator\.service$")
_VARIANT: Final = re.compile(r"""^VARIANT_ID=["']?([a-z]+)["']?$""", re.MULTILINE)


def measure(contents: ImageContents, variables: Mapping[str, bytes], stem: str) -> ReferenceMeasurements:
    """Everything a release states about an image. ``variables`` are the signature lists of PK, KEK, db and dbx.

    Raises MalformedImageError, InvalidInputError (an image that firmware would refuse) or UnpredictableError.
    """
    name, version, architecture = stem.split("_")
    uki = contents.uki
    return ReferenceMeasurements(
        image=ImageIdentity(
            name=name, version=version, architecture=architecture, profile=measured_profile(uki.os_release())
        ),
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
    """The predicted boots: Secure Boot with the given variables, and firmware that has no keys enrolled."""
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
    banks = tuple(Bank)
    return {state.mode: _predict(contents.uki_file, contents.initrd, state, banks) for state in states}


def predict_uki(uki: memoryview, secure_boot: SecureBoot, banks: Sequence[Bank] = tuple(Bank)) -> Prediction:
    """Predict one boot of a UKI; what the initrd's systemd measures is taken from the initrd itself.

    Raises MalformedImageError, InvalidInputError or UnpredictableError.
    """
    return _predict(uki, read_uki_initrd(read_uki(uki)), secure_boot, banks)


def _predict(uki: memoryview, initrd: Initrd, secure_boot: SecureBoot, banks: Sequence[Bank]) -> Prediction:
    paths = [f"/{entry.path}" for entry in initrd.files]
    separator = any(_OS_SEPARATOR_LINK.search(path) for path in paths)
    return predict(uki, BootConfiguration(secure_boot, systemd_release(paths), os_separator=separator), banks)


def systemd_release(paths: Iterable[str]) -> int | None:
    """The release of systemd among these files, None if there is none. Raises MalformedImageError if there are two."""
    found = {int(match[1]) for path in paths if (match := _SYSTEMD_LIBRARY.search(path))}
    if len(found) > 1:
        raise MalformedImageError("initrd", None, f"it holds systemd {' and '.join(map(str, sorted(found)))}")
    return found.pop() if found else None


def measured_profile(os_release: str | None) -> str:
    """The profile that the UKI's os-release names as VARIANT_ID. Raises MalformedImageError if it names none."""
    found = _VARIANT.findall(os_release or "")
    if len(found) != 1:
        raise MalformedImageError("UKI section .osrel", None, "it does not name the image's profile as VARIANT_ID")
    return str(found[0])


def stated_pcrs(values: ReferenceValues) -> dict[int, PredictedPcr | Unpredictable]:
    """The values that a release states, in the form in which a boot is compared with them.

    Raises InvalidInputError for a digest, a bank, a phase or an event type that does not exist.
    """
    try:
        pcrs = {int(pcr): stated for pcr, stated in values.pcrs.items()}
        return {pcr: _stated_pcr(pcr, pcrs[pcr]) for pcr in sorted(pcrs)}
    except (ValueError, KeyError) as error:
        raise InvalidInputError(f"reference values: {error}") from error


def _stated_pcr(pcr: int, stated: MeasuredPcr) -> PredictedPcr | Unpredictable:
    if not stated.predictable:
        return Unpredictable(pcr, stated.reason or "no reason is stated")
    events = tuple(
        Event(
            pcr,
            None if event.type is None else EventType[event.type],
            _digests(event.digests),
            event.description,
            event.source,
        )
        for event in stated.events
    )
    labels = {phase.label: phase for phase in Phase}
    phases = {labels[label]: _digests(digests) for label, digests in stated.phases.items()}
    return PredictedPcr(pcr, _digests(stated.values), events, phases)


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
