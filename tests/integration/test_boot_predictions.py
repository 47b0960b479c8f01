"""Predictions against real boots of UKIs made from the toolchain's own stub (seconds each).

Whatever a boot can add to a UKI is in one scenario at least: a boot loader, addons, credentials, extensions, a command
line from SMBIOS or a boot entry, a profile, Secure Boot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.image.pe import attach_signature, authenticode_digest, pad_for_signing
from builder.measurement import compare as comparison
from builder.measurement.configuration import (
    BootConfiguration,
    BootEntry,
    BootLoader,
    Companions,
    EspFile,
    KernelMeasurement,
    SecureBoot,
    SecureBootMode,
)
from builder.measurement.phases import Phase
from builder.measurement.platforms import QEMU_OVMF
from builder.measurement.predict import predict
from builder.vm.boot import boot
from builder.vm.observation import Outcome
from builder.vm.qemu import Hardware
from builder.vm.varstore import SecureBootVariables
from signing import authenticode, secureboot
from signing.signer import FileSigner
from tests.tiny_disk import write_tiny_disk
from tests.uki_builder import Section, append_sections

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.boot, pytest.mark.integration]

EFI = "usr/lib/systemd/boot/efi"
# Prints the TPM's PCRs and switches the machine off; it measures nothing.
KERNEL = (Path(__file__).parents[1] / "vectors/own-tiny-uki/dump.efi").read_bytes()
SECTIONS = (
    Section(".osrel", b"ID=test\nVERSION_ID=1\n"),
    Section(".cmdline", b"embedded=1"),
    Section(".uname", b"6.12.0"),
    Section(".initrd", b"an initrd"),
    Section(".linux", KERNEL),
)
PROFILES = (
    Section(".profile", b"ID=main\nTITLE=Main\n"),
    Section(".profile", b"ID=debug\nTITLE=Debug\n"),
    Section(".cmdline", b"embedded=debug"),
)
BOOT_LOADER_PATH = "EFI/BOOT/BOOTX64.EFI"
UKI_PATH = "EFI/Linux/test.efi"
# Where a Type 1 entry finds the UKI: not in EFI/Linux, where systemd-boot makes a Type 2 entry of it.
HIDDEN_PATH = "EFI/test/test.efi"
TYPE_1 = f"title test\nefi /{HIDDEN_PATH}\noptions from=entry two\n".encode()
TIMEOUT = 120.0


@dataclass(frozen=True)
class Scenario:
    """A boot to predict and to make. Addons are command lines; they become files by the toolchain's addon stub."""

    name: str
    secure_boot: bool = False
    loader: str = ""
    entry: BootEntry = BootEntry.TYPE_2
    files: dict[str, bytes] = field(default_factory=dict)
    sections: tuple[Section, ...] = SECTIONS
    profile: int = 0
    load_options: str | None = None
    smbios: str | None = None
    addons: dict[str, str] = field(default_factory=dict)
    global_addons: dict[str, str] = field(default_factory=dict)
    extra: dict[str, bytes] = field(default_factory=dict)
    credentials: dict[str, bytes] = field(default_factory=dict)


ADDONS = {"b.addon.efi": "beside=2", "a.addon.efi": "beside=1"}
COMPANIONS = {"b.cred": b"secret b", "a.cred": b"secret a", "x.raw": b"system extension", "y.confext.raw": b"config"}
LOADER_CONF = "timeout 0\ndefault {}\n"
SCENARIOS = [
    Scenario("plain"),
    Scenario("secure-boot", secure_boot=True),
    Scenario("boot-loader", loader="test.efi"),
    Scenario("boot-loader-secure-boot", loader="test.efi", secure_boot=True),
    Scenario("addons", addons=ADDONS, global_addons={"g.addon.efi": "global=1"}),
    Scenario("addons-secure-boot", addons=ADDONS, global_addons={"g.addon.efi": "global=1"}, secure_boot=True),
    Scenario("credentials", extra={n: d for n, d in COMPANIONS.items() if n.endswith(".cred")},
             credentials={"g.cred": b"global secret"}),
    Scenario("extensions", extra={n: d for n, d in COMPANIONS.items() if n.endswith(".raw")}),
    Scenario("all-companions-secure-boot", secure_boot=True, addons=ADDONS, extra=COMPANIONS,
             credentials={"g.cred": b"global secret"}, smbios="smbios=1"),
    Scenario("smbios", smbios="smbios=1 and more"),
    Scenario("first-profile", sections=(*SECTIONS, *PROFILES)),
    Scenario("second-profile", sections=(*SECTIONS, *PROFILES), loader="test.efi@debug", profile=1),
    Scenario("second-profile-secure-boot", sections=(*SECTIONS, *PROFILES), loader="test.efi@debug", profile=1,
             secure_boot=True),
    Scenario("type-1-options", loader="test.conf", entry=BootEntry.TYPE_1, load_options="from=entry two"),
    Scenario("type-1-options-secure-boot", loader="test.conf", entry=BootEntry.TYPE_1, load_options="from=entry two",
             secure_boot=True),
]  # fmt: skip


class Signer:
    """A Secure Boot identity of its own."""

    def __init__(self) -> None:
        owner = secureboot.owner_guid("tests")
        generated = secureboot.generate_identity("tests", owner, datetime(2026, 1, 1, tzinfo=UTC))
        self.identity = generated.identity
        self.key = FileSigner.from_pem(generated.files["db.key"].content)
        variables = self.identity.variables()
        self.variables = SecureBootVariables(variables["PK"], variables["KEK"], variables["db"], variables["dbx"])

    def sign(self, image: bytes) -> bytes:
        padded = pad_for_signing(image)
        digest = authenticode_digest(padded, "sha256")
        return attach_signature(padded, authenticode.build(digest, self.key, self.identity.db_certificate))


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@dataclass
class Assembled:
    """The files of the ESP, and what the prediction is told of them."""

    uki: bytes
    configuration: BootConfiguration
    files: dict[str, bytes]


def assemble(scenario: Scenario, toolchain: Toolchain, signer: Signer) -> Assembled:
    def program(name: str, sections: tuple[Section, ...] = ()) -> bytes:
        image = append_sections((toolchain.tree / EFI / name).read_bytes(), sections)
        return signer.sign(image) if scenario.secure_boot else image

    def addons(command_lines: dict[str, str]) -> dict[str, bytes]:
        return {
            name: program("addonx64.efi.stub", (Section(".cmdline", text.encode()),))
            for name, text in command_lines.items()
        }

    uki = program("linuxx64.efi.stub", scenario.sections)
    boot_loader = program("systemd-bootx64.efi") if scenario.loader else None
    path = BOOT_LOADER_PATH
    files: dict[str, bytes] = {}
    if boot_loader is not None:
        files[BOOT_LOADER_PATH] = boot_loader
        files["loader/loader.conf"] = LOADER_CONF.format(scenario.loader).encode()
        path = UKI_PATH
        if scenario.entry is BootEntry.TYPE_1:
            files["loader/entries/test.conf"] = TYPE_1
            path = HIDDEN_PATH
    extra = scenario.extra | addons(scenario.addons)
    global_addons = addons(scenario.global_addons)
    files[path] = uki
    files |= {f"{path}.extra.d/{name}": content for name, content in extra.items()}
    files |= {f"loader/addons/{name}": content for name, content in global_addons.items()}
    files |= {f"loader/credentials/{name}": content for name, content in scenario.credentials.items()}
    return Assembled(uki, _configuration(scenario, signer, boot_loader, extra, global_addons), files)


def _configuration(
    scenario: Scenario,
    signer: Signer,
    boot_loader: bytes | None,
    extra: dict[str, bytes],
    global_addons: dict[str, bytes],
) -> BootConfiguration:
    keys = signer.variables
    return BootConfiguration(
        secure_boot=SecureBoot(SecureBootMode.ENABLED, keys.pk, keys.kek, keys.db, keys.dbx)
        if scenario.secure_boot
        else SecureBoot(SecureBootMode.DISABLED),
        initrd_systemd=None,
        kernel=KernelMeasurement.NOTHING,
        platform=QEMU_OVMF,
        profile=scenario.profile,
        load_options=scenario.load_options,
        boot_loader=None if boot_loader is None else BootLoader(boot_loader, scenario.entry),
        companions=Companions(
            extra=tuple(EspFile(*file) for file in extra.items()),
            addons=tuple(EspFile(*file) for file in global_addons.items()),
            credentials=tuple(EspFile(*file) for file in scenario.credentials.items()),
        ),
        smbios_command_line=scenario.smbios,
    )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_predicted_pcr_is_what_the_tpm_shows(
    scenario: Scenario, toolchain: Toolchain, signer: Signer, tmp_path: Path
) -> None:
    assembled = assemble(scenario, toolchain, signer)
    prediction = predict(assembled.uki, assembled.configuration)
    write_tiny_disk(toolchain, tmp_path / "disk.raw", assembled.files)
    strings = () if scenario.smbios is None else (f"io.systemd.stub.kernel-cmdline-extra={scenario.smbios}",)
    observed = boot(
        toolchain,
        tmp_path / "disk.raw",
        secure_boot=signer.variables if scenario.secure_boot else None,
        until=None,
        timeout=TIMEOUT,
        workdir=tmp_path,
        hardware=Hardware(smbios_strings=strings),
    )
    assert observed.outcome is Outcome.POWERED_OFF
    assert observed.secure_boot_was_on is scenario.secure_boot
    results = comparison.compare(prediction.pcrs, observed.values, phase=Phase.FIRMWARE, extends=observed.extends)
    assert {result.pcr: result.difference for result in results if result.difference} == {}
    assert {result.pcr for result in results if result.outcome is comparison.Outcome.EQUAL} == set(prediction.pcrs)
