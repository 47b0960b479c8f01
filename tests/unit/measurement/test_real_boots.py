"""Predictions against what the TPM showed on real boots (OVMF, swtpm, stubs of systemd 252, 257 and 262)."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from builder.image.uki import read_uki
from builder.measurement import pcr4, pcr7, pcr9, pcr11, pcr12
from builder.measurement.boot import Boot
from builder.measurement.compare import Outcome, compare
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
from builder.measurement.events import Event, EventType, Measurer
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.measurement.platforms import NITROTPM, QEMU_OVMF
from builder.measurement.predict import ALL_BANKS, predict
from builder.measurement.prediction import Unpredictable
from tests.uki_builder import Section, build_pe, build_uki, bzimage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VECTORS = Path(__file__).parents[2] / "vectors"
TINY = VECTORS / "own-tiny-uki"
OVMF = VECTORS / "own-qemu-ovmf"
MEASURER = Measurer(ALL_BANKS)
NO_SECURE_BOOT = SecureBoot(SecureBootMode.UNSUPPORTED)
SETUP_MODE = SecureBoot(SecureBootMode.DISABLED)
ENROLLED = SecureBoot(
    SecureBootMode.ENABLED, *((TINY / f"{name}.esl").read_bytes() for name in ("PK", "KEK", "db", "dbx"))
)


def shown(folder: Path) -> dict[tuple[int, Bank], bytes]:
    """The PCRs that the TPM showed."""
    banks = json.loads((folder / "expected.json").read_text())["pcrs"]
    return {(int(pcr), bank): bytes.fromhex(value) for bank in Bank for pcr, value in banks[bank.value].items()}


def logged(folder: Path) -> list[tuple[int, dict[Bank, bytes]]]:
    """The extends of an event log (TCG PC Client Platform Firmware Profile, 10.2: crypto-agile records)."""
    sizes = {0x4: 20, 0xB: 32, 0xC: 48, 0xD: 64}
    known = {bank.algorithm_id: bank for bank in Bank}
    log = (folder / "binary_bios_measurements").read_bytes()
    offset = 32 + struct.unpack_from("<I", log, 28)[0]
    extends = []
    while offset < len(log):
        pcr, kind, count = struct.unpack_from("<III", log, offset)
        offset += 12
        digests = {}
        for _ in range(count):
            (algorithm,) = struct.unpack_from("<H", log, offset)
            digest = log[offset + 2 : offset + 2 + sizes[algorithm]]
            offset += 2 + sizes[algorithm]
            if algorithm in known:
                digests[known[algorithm]] = digest
        offset += 4 + struct.unpack_from("<I", log, offset)[0]
        if kind != 3:  # EV_NO_ACTION is never extended
            extends.append((pcr, digests))
    return extends


TINY_BOOTS = {
    "t252": NO_SECURE_BOOT,
    "t257": NO_SECURE_BOOT,
    "t262": NO_SECURE_BOOT,
    "tsb257": ENROLLED,
    "tsd257": NO_SECURE_BOOT,
    "ttrail": NO_SECURE_BOOT,
}


def tiny_boot(name: str) -> tuple[bytes, BootConfiguration]:
    first = (TINY / name / "esp/EFI/BOOT/BOOTX64.EFI").read_bytes()
    behind = TINY / name / "esp/EFI/Linux/test.efi"
    configuration = BootConfiguration(
        TINY_BOOTS[name],
        initrd_systemd=None,
        kernel=KernelMeasurement.NOTHING,
        platform=QEMU_OVMF,
        boot_loader=BootLoader(first) if behind.exists() else None,
    )
    return (behind.read_bytes() if behind.exists() else first), configuration


@pytest.mark.parametrize("name", TINY_BOOTS)
def test_every_pcr_of_a_tiny_uki_is_as_predicted(name: str) -> None:
    prediction = predict(*tiny_boot(name))
    results = compare(prediction.pcrs, shown(TINY / name), phase=Phase.FIRMWARE)
    assert [(result.pcr, result.outcome) for result in results] == [
        (pcr, Outcome.EQUAL) for pcr in (3, 4, 6, 7, 9, 11, 12, 13, 14)
    ]


@pytest.mark.parametrize("name", TINY_BOOTS)
def test_every_event_of_a_tiny_uki_is_as_the_firmware_logged_it(name: str) -> None:
    prediction = predict(*tiny_boot(name))
    extends = logged(TINY / name)
    for pcr in (4, 7, 9, 11, 12, 13):
        events = prediction.predicted(pcr).events_until(Phase.FIRMWARE)
        assert [dict(event.digests) for event in events] == [digests for index, digests in extends if index == pcr]


def test_the_nitrotpm_platform_fixes_what_documents_of_ec2_show() -> None:
    uki, configuration = tiny_boot("t257")
    prediction = predict(uki, replace(configuration, secure_boot=SETUP_MODE, platform=NITROTPM))
    # AWS's published value for an instance without enrolled keys.
    assert prediction.value(7, Bank.SHA384).hex() == (
        "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35"
    )
    separator_only = "518923b0f955d08da077c96aaba522b9decede61c599cea6c41889cfbea4ae4d50529d96fe4d1afdafb65e7f95bf23c4"
    assert {prediction.value(pcr, Bank.SHA384).hex() for pcr in (2, 3, 6)} == {separator_only}


@dataclass(frozen=True, slots=True)
class Scenario:
    """How a boot with a Debian kernel was configured; ``pcr12`` is PCR 12 in SHA-256, for those that have any."""

    name: str
    configuration: BootConfiguration
    loader: bool = False


def configured(**options: Any) -> BootConfiguration:
    return BootConfiguration(**({"secure_boot": NO_SECURE_BOOT, "initrd_systemd": None} | options))


def esp_file(scenario: str, path: str) -> EspFile:
    file = OVMF / scenario / "esp" / path
    return EspFile(file.name, file.read_bytes())


def addon(name: str, command_line: bytes) -> EspFile:
    magic = b"#### LoaderInfo: systemd-addon 257.13-1~deb13u1 ####"
    return EspFile(name, build_pe([Section(".sdmagic", magic), Section(".cmdline", command_line)]))


SYSTEMD_BOOT = BootLoader(build_uki([], product="systemd-boot"))
EXTRA = "EFI/BOOT/BOOTX64.EFI.extra.d"
SCENARIOS = [
    Scenario("a252", configured()),
    Scenario("a257", configured()),
    Scenario("sboff257", configured(secure_boot=SETUP_MODE)),
    Scenario("sig257", configured()),
    Scenario("smb257", configured(smbios_command_line="smbiosarg=1")),
    Scenario("sdb257", configured(boot_loader=SYSTEMD_BOOT)),
    Scenario("prof257", configured(boot_loader=SYSTEMD_BOOT, profile=1)),
    Scenario(
        "opt257",
        configured(
            boot_loader=replace(SYSTEMD_BOOT, entry=BootEntry.TYPE_1),
            load_options="console=ttyS0 rdinit=/init override=1",
        ),
    ),
    Scenario(
        "ext257",
        configured(
            companions=Companions(
                extra=(
                    addon("l.addon.efi", (OVMF / "ad2").read_bytes()),
                    *(esp_file("ext257", f"{EXTRA}/{name}") for name in ("b.cred", "foo.raw", "a.cred")),
                    esp_file("ext257", f"{EXTRA}/bar.confext.raw"),
                ),
                addons=(addon("z.addon.efi", (OVMF / "ad1").read_bytes()),),
                credentials=(esp_file("ext257", "loader/credentials/g.cred"),),
            ),
        ),
    ),
]
STUBS = {252: "252.39-1~deb12u2", 257: "257.13-1~deb13u1", 262: "262.1-1"}
# The kernel, the initrd and the stub's own section are not stored; their digests are.
NOT_STORED = {".linux": bzimage("6.12.107"), ".initrd": b"not stored", ".sbat": b"not stored"}
STUB_OWN = {".text", ".rodata", ".data", ".reloc", ".sdmagic", ".dynamic", ".rela", ".dynsym"}


def recorded_images(name: str) -> dict[str, dict[str, Any]]:
    files = json.loads((OVMF / name / "expected.json").read_text())["esp_files"]
    return {file["path"]: file for file in files if "authenticode" in file}


def recorded_uki(name: str) -> dict[str, Any]:
    return next(image for image in recorded_images(name).values() if image["stub_version"])


def stand_in(name: str) -> bytes:
    """A UKI of the same stub and sections as the one that booted, with other bytes where those are not stored."""
    stored = {
        hashlib.sha256(data).hexdigest(): data
        for path in OVMF.iterdir()
        if path.is_file()
        for data in [path.read_bytes()]
    }
    recorded = recorded_uki(name)
    sections = [
        (
            section["name"],
            stored[section["sha256_mem"]] if section["name"] not in NOT_STORED else NOT_STORED[section["name"]],
        )
        for section in recorded["sections"]
        if section["name"] not in STUB_OWN
    ]
    return build_uki(sections, version=STUBS[recorded["stub_version"]])


def boot_of(scenario: Scenario) -> Boot:
    data = stand_in(scenario.name)
    return Boot(memoryview(data), read_uki(data), scenario.configuration)


def value(events: Iterable[Event]) -> dict[Bank, bytes]:
    return MEASURER.replay(events)


def in_banks(digests: Mapping[str, str], suffix: str = "") -> dict[Bank, bytes]:
    return {bank: bytes.fromhex(digests[bank.value + suffix]) for bank in Bank}


def observed(name: str, pcr: int) -> dict[Bank, bytes]:
    return {bank: shown(OVMF / name)[pcr, bank] for bank in Bank}


every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@every_scenario
def test_pcr_4_of_a_real_boot(scenario: Scenario) -> None:
    images = recorded_images(scenario.name)
    authenticode = {f"addon {Path(path).name}": image["authenticode"] for path, image in images.items()}
    authenticode["UKI"] = recorded_uki(scenario.name)["authenticode"]
    authenticode["boot loader"] = images["EFI/BOOT/BOOTX64.EFI"]["authenticode"]
    authenticode["UKI section .linux"] = recorded_uki(scenario.name)["inner_kernel_authenticode"]
    events = [
        replace(event, digests=in_banks(authenticode[event.source])) if event.source in authenticode else event
        for event in pcr4.events(boot_of(scenario), MEASURER)
    ]
    assert value(events) == observed(scenario.name, 4)


@pytest.mark.parametrize("name", ["a262", "sb257", "sb262"])
def test_pcr_4_has_no_kernel_with_a_new_stub_or_secure_boot(name: str) -> None:
    secure_boot = ENROLLED if name.startswith("sb") else NO_SECURE_BOOT
    events = pcr4.events(boot_of(Scenario(name, configured(secure_boot=secure_boot))), MEASURER)
    assert [event.source for event in events] == ["firmware", "firmware", "UKI"]
    digest = in_banks(recorded_uki(name)["authenticode"])
    assert value([*events[:2], replace(events[2], digests=digest)]) == observed(name, 4)


@every_scenario
def test_pcr_7_of_a_real_boot(scenario: Scenario) -> None:
    assert value(pcr7.events(boot_of(scenario), MEASURER)) == observed(scenario.name, 7)


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS] + ["a262", "sb257", "sb262"])
def test_pcr_11_of_a_real_boot(name: str) -> None:
    profile = 1 if name == "prof257" else 0
    digests = {section["name"]: section for section in recorded_uki(name)["sections"] if section["name"] in NOT_STORED}
    events = [
        replace(event, digests=in_banks(digests[section], "_mem")) if section in digests else event
        for event in pcr11.section_events(boot_of(Scenario(name, configured(profile=profile))), MEASURER)
        for section in [event.description.removeprefix("section ")]
    ]
    assert value(events) == observed(name, 11)


@every_scenario
def test_pcr_12_and_13_of_a_real_boot(scenario: Scenario) -> None:
    boot = boot_of(scenario)
    assert value(pcr12.events(boot, MEASURER)) == observed(scenario.name, 12)
    assert value(pcr12.extension_events(boot, MEASURER)) == observed(scenario.name, 13)


@every_scenario
def test_the_kernel_gets_the_predicted_command_line(scenario: Scenario) -> None:
    options, initrd = pcr9.events(boot_of(scenario), MEASURER)
    (real_options, real_initrd) = [digests for pcr, digests in logged(OVMF / scenario.name) if pcr == 9]
    assert options.digests == real_options
    assert value([options, replace(initrd, digests=real_initrd)]) == observed(scenario.name, 9)


def test_an_initrd_of_one_part_is_measured_as_it_is() -> None:
    options, _ = pcr9.events(boot_of(SCENARIOS[0]), MEASURER)
    sections = {section["name"]: section for section in recorded_uki("a252")["sections"]}
    initrd = Event(9, EventType.EV_EVENT_TAG, in_banks(sections[".initrd"], "_mem"), "Linux initrd", "initrd")
    assert pcr9.initrd_parts(boot_of(SCENARIOS[0]), ()) == (b"not stored",)
    assert value([options, initrd]) == observed("a252", 9)


def test_pcr_9_of_a_stub_that_adds_a_secret_is_not_predicted() -> None:
    prediction = predict(stand_in("a262"), configured())
    entry = prediction.pcrs[9]
    assert isinstance(entry, Unpredictable)
    assert "random boot secret" in entry.reason
