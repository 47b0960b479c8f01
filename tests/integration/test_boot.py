"""Real boots of tiny UKIs, whose kernel is a small EFI program that switches the machine off (seconds each)."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, ToolFailedError
from builder.evidence.public_area import parse_public
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.vm.boot import boot
from builder.vm.observation import ObservedBoot, Outcome
from builder.vm.qemu import Hardware
from builder.vm.quote import attestation_key
from builder.vm.varstore import SecureBootVariables
from tests.tiny_disk import read_esp_folder, write_tiny_disk
from tests.uki_builder import Section, append_sections

if TYPE_CHECKING:
    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.boot, pytest.mark.integration]

VECTORS = Path(__file__).parents[1] / "vectors/own-tiny-uki"
STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
UKI = "EFI/BOOT/BOOTX64.EFI"
TIMEOUT = 120.0
# PCR 7 with no keys enrolled and firmware that knows Secure Boot, SHA-384: the value that AWS publishes for NitroTPM.
PCR7_WITHOUT_KEYS = "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35"


def keys() -> SecureBootVariables:
    return SecureBootVariables(*((VECTORS / f"{name}.esl").read_bytes() for name in ("PK", "KEK", "db", "dbx")))


def boot_files(
    toolchain: Toolchain,
    folder: Path,
    files: dict[str, bytes],
    secure_boot: SecureBootVariables | None = None,
    **hardware: int | str | tuple[str, ...],
) -> ObservedBoot:
    disk = folder / "disk.raw"
    write_tiny_disk(toolchain, disk, files)
    before = disk.read_bytes()
    observed = boot(
        toolchain,
        disk,
        secure_boot=secure_boot,
        until=None,
        timeout=TIMEOUT,
        workdir=folder,
        hardware=dataclasses.replace(Hardware(), **hardware),
    )
    assert disk.read_bytes() == before, "a boot must not write to the image"
    return observed


def assert_pcrs(observed: ObservedBoot, scenario: str, pcrs: tuple[int, ...]) -> None:
    """Compare with what the TPM showed when the vector was made, on other firmware and another QEMU."""
    expected = json.loads((VECTORS / scenario / "expected.json").read_bytes())["pcrs"]
    wanted = {(pcr, bank): expected[bank.value][str(pcr)] for pcr in pcrs for bank in Bank}
    assert {key: observed.values[key].hex() for key in wanted} == wanted


@pytest.mark.parametrize("scenario", ["t257", "tsd257"])
def test_an_unsigned_image_boots_without_secure_boot(toolchain: Toolchain, tmp_path: Path, scenario: str) -> None:
    observed = boot_files(toolchain, tmp_path, read_esp_folder(VECTORS / scenario / "esp"))
    assert observed.outcome is Outcome.POWERED_OFF
    assert observed.secure_boot_was_on is False
    assert_pcrs(observed, scenario, (4, 11, 12))
    assert observed.values[7, Bank.SHA384].hex() == PCR7_WITHOUT_KEYS
    assert list(observed.milestones) == ["firmware", "image", "stub", "end"]


def test_a_signed_image_boots_with_secure_boot_on(toolchain: Toolchain, tmp_path: Path) -> None:
    observed = boot_files(toolchain, tmp_path, read_esp_folder(VECTORS / "tsb257/esp"), keys())
    assert observed.outcome is Outcome.POWERED_OFF
    assert observed.secure_boot_was_on is True
    assert_pcrs(observed, "tsb257", (4, 7, 11, 12))


def test_one_flipped_byte_makes_the_firmware_refuse_the_image(toolchain: Toolchain, tmp_path: Path) -> None:
    files = read_esp_folder(VECTORS / "tsb257/esp")
    tampered = bytearray(files[UKI])
    tampered[len(tampered) // 2] ^= 1
    observed = boot_files(toolchain, tmp_path, files | {UKI: bytes(tampered)}, keys())
    assert observed.outcome is Outcome.NOT_LOADED
    assert observed.secure_boot_was_on is True
    assert all(observed.values[11, bank] == bytes(bank.size) for bank in Bank)
    assert "image" not in observed.milestones


def test_an_unsigned_image_is_refused_under_secure_boot(toolchain: Toolchain, tmp_path: Path) -> None:
    observed = boot_files(toolchain, tmp_path, read_esp_folder(VECTORS / "t257/esp"), keys())
    assert observed.outcome is Outcome.NOT_LOADED


def test_a_disk_without_a_boot_loader_is_not_loaded(toolchain: Toolchain, tmp_path: Path) -> None:
    observed = boot_files(toolchain, tmp_path, {"README": b"nothing to boot"})
    assert observed.outcome is Outcome.NOT_LOADED


def test_a_program_that_gives_up_returns_to_the_firmware(toolchain: Toolchain, tmp_path: Path) -> None:
    """The addon stub is made to carry sections, not to run: started as a program it returns an error."""
    program = (toolchain.tree / "usr/lib/systemd/boot/efi/addonx64.efi.stub").read_bytes()
    observed = boot_files(toolchain, tmp_path, {UKI: program})
    assert observed.outcome is Outcome.RETURNED
    assert list(observed.milestones) == ["firmware", "image", "end"]


def test_a_machine_that_resets_itself_keeps_the_pcrs_of_the_boot_that_was_seen(
    toolchain: Toolchain, tmp_path: Path
) -> None:
    loader = read_esp_folder(VECTORS / "tsd257/esp")[UKI]
    config = b"auto-reboot yes\ntimeout 0\ndefault auto-reboot\n"
    observed = boot_files(toolchain, tmp_path, {UKI: loader, "loader/loader.conf": config})
    assert observed.outcome is Outcome.RESET
    assert list(observed.milestones) == ["firmware", "image", "end"]


def test_a_network_card_changes_none_of_the_bound_pcrs(toolchain: Toolchain, tmp_path: Path) -> None:
    observed = boot_files(toolchain, tmp_path, read_esp_folder(VECTORS / "t257/esp"), network=True)
    assert_pcrs(observed, "t257", (4, 11, 12))


def test_the_time_limit_ends_a_boot_that_goes_nowhere(toolchain: Toolchain, tmp_path: Path) -> None:
    """systemd-boot with an endless menu: an image is loaded, nothing more happens."""
    loader = read_esp_folder(VECTORS / "tsd257/esp")
    write_tiny_disk(toolchain, tmp_path / "disk.raw", loader | {"loader/loader.conf": b"timeout menu-force\n"})
    observed = boot(
        toolchain, tmp_path / "disk.raw", secure_boot=None, until=Phase.READY, timeout=8, workdir=tmp_path,
    )  # fmt: skip
    assert observed.outcome is Outcome.TIMED_OUT
    assert "stub" not in observed.milestones


def test_events_arrive_in_order_while_the_machine_runs(toolchain: Toolchain, tmp_path: Path) -> None:
    write_tiny_disk(toolchain, tmp_path / "disk.raw", read_esp_folder(VECTORS / "t257/esp"))
    seen = []
    observed = boot(
        toolchain, tmp_path / "disk.raw", secure_boot=None, until=None, timeout=TIMEOUT, workdir=tmp_path,
        on_change=seen.append,
    )  # fmt: skip
    assert tuple(seen) == observed.changes
    assert [recorded.seconds for recorded in seen] == sorted(recorded.seconds for recorded in seen)


def test_the_observation_ends_at_the_phase_asked_for(toolchain: Toolchain, tmp_path: Path) -> None:
    """The stub measures section contents as user space measures phases; here the "initrd" is the word itself."""
    stub = (toolchain.tree / STUB).read_bytes()
    sections = [Section(".initrd", b"ready"), Section(".linux", (VECTORS / "dump.efi").read_bytes())]
    write_tiny_disk(toolchain, tmp_path / "disk.raw", {UKI: append_sections(stub, sections)})
    observed = boot(
        toolchain, tmp_path / "disk.raw", secure_boot=None, until=Phase.READY, timeout=TIMEOUT, workdir=tmp_path,
    )  # fmt: skip
    assert observed.outcome is Outcome.REACHED
    assert observed.extends[-1] == (11, {bank: bank.digest(b"ready") for bank in Bank})
    assert observed.milestones["ready"] == observed.changes[-1].seconds


def test_a_visitor_comes_at_the_phase_and_what_he_raises_is_raised(toolchain: Toolchain, tmp_path: Path) -> None:
    stub = (toolchain.tree / STUB).read_bytes()
    sections = [Section(".initrd", b"ready"), Section(".linux", (VECTORS / "dump.efi").read_bytes())]
    write_tiny_disk(toolchain, tmp_path / "disk.raw", {UKI: append_sections(stub, sections)})
    visits = []

    def visit() -> None:
        visits.append("came")
        raise RuntimeError("saw something wrong")

    with pytest.raises(RuntimeError, match="saw something wrong"):
        boot(
            toolchain, tmp_path / "disk.raw", secure_boot=None, until=Phase.READY, timeout=TIMEOUT, workdir=tmp_path,
            visit=visit,
        )  # fmt: skip
    # The machine turns itself off meanwhile, which ends the observation, and the visit of who waits for that.
    gone, seen = threading.Event(), []
    observed = boot(
        toolchain, tmp_path / "disk.raw", secure_boot=None, until=Phase.READY, timeout=TIMEOUT, workdir=tmp_path,
        on_reached=lambda reached, transact: seen.append((reached, attestation_key(transact))),
        visit=gone.wait, gone=gone,
    )  # fmt: skip
    ((reached, key),) = seen
    assert (reached.outcome, reached.changes) == (Outcome.REACHED, observed.changes[: len(reached.changes)])
    assert parse_public(key).raw == key
    assert (observed.outcome, visits) == (Outcome.POWERED_OFF, ["came"])


def test_what_qemu_says_is_in_the_error_when_it_does_not_start(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match=r"QEMU ended before its guest did: .*no-such-cpu"):
        boot_files(toolchain, tmp_path, {"README": b""}, cpu_model="no-such-cpu")


def test_a_missing_image_is_an_input_error(toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no disk image"):
        boot(toolchain, tmp_path / "no.raw", secure_boot=None, until=None, timeout=1, workdir=tmp_path)


def test_nothing_is_left_in_the_working_directory(toolchain: Toolchain, tmp_path: Path) -> None:
    boot_files(toolchain, tmp_path, {"README": b"nothing to boot"})
    assert [path.name for path in tmp_path.iterdir()] == ["disk.raw"]
