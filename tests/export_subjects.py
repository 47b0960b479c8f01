"""What the tests of exports export: UKIs whose PCRs a real TPM showed, and one that has a Linux kernel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec

from builder.export.subject import Subject, subject_of
from builder.measurement.configuration import BootConfiguration, KernelMeasurement, SecureBoot, SecureBootMode
from builder.measurement.predict import predict
from builder.measurement.report import reference_values
from builder.release.statements import ImageIdentity, ReferenceMeasurements, ReferenceValues, UkiIdentity
from tests.uki_builder import build_uki, bzimage

TINY = Path(__file__).parent / "vectors" / "own-tiny-uki"
VARIABLES = {name: (TINY / f"{name}.esl").read_bytes() for name in ("PK", "KEK", "db", "dbx")}
ENROLLED = SecureBoot(SecureBootMode.ENABLED, VARIABLES["PK"], VARIABLES["KEK"], VARIABLES["db"], VARIABLES["dbx"])
SETUP_MODE = SecureBoot(SecureBootMode.DISABLED)
IMAGE = ImageIdentity(name="node", version="1.0.0", architecture="x86-64", profile="production")


def reference(uki: bytes, configuration: BootConfiguration, image: ImageIdentity = IMAGE) -> ReferenceMeasurements:
    values = msgspec.convert(reference_values(predict(uki, configuration)), ReferenceValues)
    return ReferenceMeasurements(
        image=image,
        uki=UkiIdentity(stub="257", kernel="", command_line="", root_hash="00"),
        reference_values={configuration.secure_boot.mode.value: values},
    )


def tiny_uki(name: str) -> bytes:
    return (TINY / name / "esp/EFI/BOOT/BOOTX64.EFI").read_bytes()


def tiny_reference(name: str, secure_boot: SecureBoot) -> ReferenceMeasurements:
    """A UKI whose kernel is a small EFI program that measures nothing."""
    return reference(tiny_uki(name), BootConfiguration(secure_boot, None, kernel=KernelMeasurement.NOTHING))


def secured() -> Subject:
    """The boot of tsb257: Secure Boot with enrolled keys."""
    return subject_of(tiny_reference("tsb257", ENROLLED), SecureBootMode.ENABLED, VARIABLES)


def unsecured(version: str = "1.0.0") -> Subject:
    """The boot of t257 on firmware that has no keys."""
    return with_version(subject_of(tiny_reference("t257", SETUP_MODE), SecureBootMode.DISABLED, {}), version)


def with_kernel() -> Subject:
    """A boot without Secure Boot of a UKI with a Linux kernel, which the firmware loads and which measures too."""
    sections = [
        (".linux", bzimage("6.12.1")),
        (".osrel", b"ID=node\n"),
        (".cmdline", b"quiet"),
        (".initrd", b"070701"),
        (".uname", b"6.12.1"),
    ]
    return subject_of(reference(build_uki(sections), BootConfiguration(SETUP_MODE, 257)), SETUP_MODE.mode, {})


def with_version(subject: Subject, version: str) -> Subject:
    return replace(subject, image=msgspec.structs.replace(subject.image, version=version))


def shown(name: str, bank: str) -> dict[int, str]:
    """The PCRs that the TPM showed on a real boot, in hexadecimal."""
    banks = json.loads((TINY / name / "expected.json").read_text())["pcrs"]
    return {int(pcr): value for pcr, value in banks[bank].items()}
