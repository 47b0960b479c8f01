"""What events say: one test per kind, made of bytes; real logs are in test_eventlog_published."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

import pytest

from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.decode import decode
from builder.evidence.decoded import Raw, SeparatorEvent
from builder.evidence.digest_check import Basis, check_digest
from builder.evidence.efi_variable import EfiVariable, SignatureDatabase
from builder.evidence.eventlog import UntrustedEvent
from builder.measurement.events import EventType
from builder.measurement.pcr7 import GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, variable_data

ESL = Path(__file__).parents[2] / "vectors" / "own-tiny-uki"
SHA256 = HashAlgorithm.SHA256
SHIM = UUID("605dab50-e046-4300-abb6-3dd810dd8b23")
END = bytes.fromhex("7fff0400")


def event(kind: int, data: bytes, hashed: bytes | None = None) -> UntrustedEvent:
    digest = SHA256.digest(data if hashed is None else hashed)
    return UntrustedEvent(1, 7, kind, {SHA256: digest}, data, 0)


def text(kind: int, data: bytes) -> str:
    return decode(event(kind, data)).text


def wide(string: str) -> bytes:
    return string.encode("utf-16-le") + b"\0\0"


def tag(identifier: int, data: bytes) -> bytes:
    return struct.pack("<II", identifier, len(data)) + data


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        (EventType.EV_S_CRTM_VERSION, wide("2025.02-8"), "firmware version 2025.02-8"),
        (EventType.EV_S_CRTM_VERSION, bytes(range(16)), "firmware version 03020100-0504-0706-0809-0a0b0c0d0e0f"),
        (EventType.EV_S_CRTM_VERSION, b"\0\0", "firmware version (empty)"),
        (EventType.EV_S_CRTM_CONTENTS, b"Boot Guard Measured S-CRTM\0", "Boot Guard Measured S-CRTM"),
        (EventType.EV_POST_CODE, b"ACPI DATA", "ACPI DATA"),
        (EventType.EV_POST_CODE, struct.pack("<QQ", 0xFF000000, 4096), "firmware, 4096 bytes at 0xff000000"),
        (EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB, struct.pack("<QQ", 0x820000, 16), "firmware, 16 bytes at 0x820000"),
        (
            EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2,
            b"\x03BFV" + struct.pack("<QQ", 1, 2),
            "firmware BFV, 2 bytes at 0x1",
        ),
        (EventType.EV_CPU_MICROCODE, b"Load microcode\0", "Load microcode"),
        (EventType.EV_EFI_ACTION, b"Exit Boot Services Invocation", "Exit Boot Services Invocation"),
        (EventType.EV_EFI_HCRTM_EVENT, b"HCRTM", "HCRTM"),
        (EventType.EV_OMIT_BOOT_DEVICE_EVENTS, b"BOOT ATTEMPTS OMITTED", "BOOT ATTEMPTS OMITTED"),
        (EventType.EV_IPL, b"grub_cmd: set x=1\0", "grub_cmd: set x=1"),
        (EventType.EV_IPL, wide("quiet splash"), "quiet splash"),
        (EventType.EV_IPL, wide("größe"), "größe"),
        (EventType.EV_IPL, b"\xff\xfe\x00\x01\x02", "fffe000102"),
        (EventType.EV_COMPACT_HASH, b"\x10\0\0\0", "10000000"),
        (0x12345678, b"\x01\x02", "0102"),
        (0x12345678, b"", "no data"),
        (EventType.EV_IPL, b"", "(no data)"),
        (EventType.EV_SEPARATOR, bytes(4), "separator"),
        (EventType.EV_SEPARATOR, b"\xff" * 4, "separator (0xffffffff)"),
        (EventType.EV_SEPARATOR, b"\x01\0\0\0", "separator: the firmware met an error"),
        (EventType.EV_SEPARATOR, b"WBCL", "separator of Windows"),
        (EventType.EV_SEPARATOR, b"flash is worn", "flash is worn"),
        (
            EventType.EV_NONHOST_INFO,
            b"GCE NonHostInfo\0\x04" + bytes(15),
            "Google Compute Engine, memory encryption AMD SEV-SNP",
        ),
        (EventType.EV_NONHOST_INFO, b"something", "something"),
        (EventType.EV_EFI_HANDOFF_TABLES, struct.pack("<Q", 0), "tables "),
        (
            EventType.EV_EFI_HANDOFF_TABLES2,
            b"\x02T\0" + struct.pack("<Q", 1) + UUID("f2fd1544-9794-4a2c-992e-e5bbcf20e394").bytes_le + bytes(8),
            "tables T: SMBIOS 3",
        ),
        (EventType.EV_NO_ACTION, b"StartupLocality\0\x03", "the TPM was started from locality 3"),
        (
            EventType.EV_NO_ACTION,
            b"H-CRTM CompMeas\0\x04ucod\x00\x02\xab\xcd",
            "H-CRTM component ucod: abcd",
        ),
        (
            EventType.EV_NO_ACTION,
            b"SP800-155 Event\0" + struct.pack("<I", 11129) + bytes(16),
            "reference manifest 00000000-0000-0000-0000-000000000000, vendor 11129",
        ),
        (
            EventType.EV_EFI_SPDM_FIRMWARE_BLOB,
            b"SPDM Device Sec\0" + struct.pack("<HHII", 1, 28, 0, 1),
            "SPDM measurement of a PCI device, 28 bytes",
        ),
        (
            EventType.EV_EFI_SPDM_FIRMWARE_CONFIG,
            b"SPDM Device Sec2" + struct.pack("<HBBII", 2, 0, 0, 28, 2),
            "SPDM measurement of a USB device, 28 bytes",
        ),
    ],
)
def test_an_event_is_told_in_words(kind: int, data: bytes, expected: str) -> None:
    assert text(kind, data) == expected


@pytest.mark.parametrize(
    ("identifier", "data", "expected"),
    [
        (0x8F3B22EC, b"Linux initrd\0", "Linux: initrd: Linux initrd"),
        (0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\0", "Linux: command line: LOADED_IMAGE::LoadOptions"),
        (0xF5BC582A, wide("loader.conf"), "systemd-boot: loader.conf: loader.conf"),
        (0x6C46F751, wide("board"), "systemd-stub: device tree addon: board"),
        (0x49DFFE0F, wide("a.addon.efi"), "systemd-stub: initrd addon: a.addon.efi"),
        (0xDAC08E1A, wide("u.addon.efi"), "systemd-stub: microcode addon: u.addon.efi"),
        (0x13AED6DB, wide("1"), "systemd-stub: profile: 1"),
        (0xD5CB7CBC, wide("smbios:type1"), "systemd-stub: SMBIOS system information: smbios:type1"),
        (0xE0D47BC8, wide("smbios:type2"), "systemd-stub: SMBIOS baseboard information: smbios:type2"),
        (0xC0B3BD23, wide("smbios:type11"), "systemd-stub: SMBIOS OEM strings: smbios:type11"),
        (0x4141454C, b"coco.com op {}", "attestation agent: coco.com op {}"),
        (0x40010001, b"\x01\xff\x02", "Windows: trust boundary: 01ff02"),
        (0x00000001, b"something", "tag 0x00000001: something"),
    ],
)
def test_a_tagged_event_is_named(identifier: int, data: bytes, expected: str) -> None:
    assert text(EventType.EV_EVENT_TAG, tag(identifier, data)) == expected


def test_a_tagged_event_without_its_header_is_shown_as_the_string_it_is() -> None:
    assert text(EventType.EV_EVENT_TAG, b"LOADED_IMAGE::LoadOptions\0") == "LOADED_IMAGE::LoadOptions"


def test_a_reference_manifest_of_the_third_kind_has_its_maker_and_its_place() -> None:
    strings = b"".join(bytes([len(part)]) + part for part in (b"Maker\0", b"Model\0", b"1\0", b"Firm\0"))
    uri = b"https://example.org/rim"
    data = (
        b"SP800-155 Event3" + struct.pack("<I", 7) + bytes(16) + strings + struct.pack("<I", 9) + b"\x042.7\0"
        + struct.pack("<II", 1, len(uri)) + uri + struct.pack("<II", 0, 0)
    )  # fmt: skip
    assert text(EventType.EV_NO_ACTION, data).endswith(
        "platform manufacturer Maker, platform model Model, platform version 1, firmware manufacturer Firm, "
        "firmware manufacturer id 9, firmware version 2.7, manifest as URI https://example.org/rim"
    )


@pytest.mark.parametrize(
    ("kind", "data", "problem"),
    [
        (EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB, bytes(15), "15 bytes are not 16"),
        (EventType.EV_EFI_PLATFORM_FIRMWARE_BLOB2, b"\x09" + bytes(16), "do not fit a description of 9"),
        (EventType.EV_EFI_HANDOFF_TABLES, struct.pack("<Q", 1 << 60), "do not fit"),
        (EventType.EV_EFI_GPT_EVENT, bytes(200), "there is no signature 'EFI PART'"),
        (EventType.EV_EFI_GPT_EVENT, b"EFI PART" + bytes(76) + struct.pack("<IIQ", 128, 0, 1 << 50), "do not fit"),
        (
            EventType.EV_EFI_BOOT_SERVICES_APPLICATION,
            bytes(24) + struct.pack("<Q", 1 << 63),
            "needs 9223372036854775808",
        ),
        (EventType.EV_EFI_VARIABLE_BOOT, bytes(16) + struct.pack("<QQ", 1 << 62, 0), "a name of 4611686018427387904"),
        (EventType.EV_EFI_VARIABLE_BOOT, bytes(16) + struct.pack("<QQ", 0, 1 << 62), "needs 4611686018427387904 bytes"),
        (EventType.EV_EFI_VARIABLE_BOOT, bytes(16) + bytes(16) + bytes(9), "9 bytes follow the variable"),
        (EventType.EV_NO_ACTION, b"StartupLocality\0\x09", "cannot be started from locality 9"),
        (EventType.EV_NO_ACTION, b"SP800-155 Event3\x01", "needs 4 bytes"),
        (EventType.EV_EFI_SPDM_FIRMWARE_BLOB, bytes(64), "is not known"),
        (
            EventType.EV_EFI_SPDM_FIRMWARE_BLOB,
            b"SPDM Device Sec\0" + struct.pack("<HHII", 1, 99, 0, 1),
            "it has 99 bytes",
        ),
    ],
)
def test_data_that_break_their_type_are_shown_raw_with_the_reason(kind: int, data: bytes, problem: str) -> None:
    decoded = decode(event(kind, data))
    assert isinstance(decoded, Raw)
    assert decoded.data == data
    assert problem in decoded.text


def variable(
    vendor: UUID, name: str, content: bytes, kind: int = EventType.EV_EFI_VARIABLE_DRIVER_CONFIG
) -> EfiVariable:
    decoded = decode(event(kind, variable_data(vendor, name, content)))
    assert isinstance(decoded, EfiVariable)
    return decoded


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("SecureBoot", b"\x01", "SecureBoot: on"),
        ("SecureBoot", b"\x00", "SecureBoot: off"),
        ("SecureBoot", b"", "SecureBoot: not set"),
        ("SecureBoot", b"\x01\x02", "SecureBoot: 0102"),
        ("BootOrder", b"\x01\x00\x0a\x00", "BootOrder: 0001, 000A"),
        ("BootOrder", b"\x01", "BootOrder: 01"),
        ("Boot0001", b"\x01\x00", "Boot0001: 0100"),
        ("Other", bytes(30), f"Other: {'00' * 24}... (30 bytes)"),
        ("dbx", b"\x01", "dbx: 01"),
    ],
)
def test_a_variable_is_told_by_its_name(name: str, content: bytes, expected: str) -> None:
    assert variable(GLOBAL_VARIABLE, name, content).text == expected


def test_a_signature_database_is_told_by_its_certificates() -> None:
    db = variable(IMAGE_SECURITY_DATABASE, "db", (ESL / "db.esl").read_bytes())
    assert isinstance(db.meaning, SignatureDatabase)
    assert db.text == "db: CN=test db"
    assert variable(IMAGE_SECURITY_DATABASE, "dbx", (ESL / "dbx.esl").read_bytes()).text == "dbx: 1 of type SHA256"


def test_an_authority_is_told_by_its_subject_with_an_owner_and_as_shim_logs_it() -> None:
    entry = (ESL / "db.esl").read_bytes()[28:]
    kind = EventType.EV_EFI_VARIABLE_AUTHORITY
    assert variable(IMAGE_SECURITY_DATABASE, "db", entry, kind).text == "db: CN=test db"
    assert variable(SHIM, "Shim", entry[16:], kind).text == "Shim: CN=test db"
    assert variable(IMAGE_SECURITY_DATABASE, "db", bytes(16) + b"\xab" * 32, kind).text == f"db: digest {'ab' * 32}"
    assert variable(SHIM, "SbatLevel", b"sbat,1,2021030218\n", kind).text == "SbatLevel: sbat,1,2021030218"
    assert variable(SHIM, "MokListTrusted", b"\x01", kind).text == "MokListTrusted: on"


def test_a_load_option_is_told_by_its_description_path_and_data() -> None:
    path = bytes.fromhex("0101060000050404") + b"\x0a\x00" + "a.e".encode("utf-16-le") + END
    content = struct.pack("<IH", 1, len(path)) + wide("Linux") + path + wide("quiet")
    assert variable(GLOBAL_VARIABLE, "Boot0003", content).text == r"Boot0003: Linux: Pci(0x5,0x0)/a.e, data quiet"
    inactive = struct.pack("<IH", 0, len(path)) + wide("Linux") + path
    assert variable(GLOBAL_VARIABLE, "Boot000A", inactive).text.startswith("Boot000A: Linux (inactive): ")


def test_a_partition_table_is_told_by_its_partitions() -> None:
    esp = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
    entry = struct.pack("<16s16sQQQ72s", esp.bytes_le, b"u" * 16, 2048, 4095, 0, "EFI".encode("utf-16-le"))
    data = b"EFI PART" + bytes(48) + b"d" * 16 + bytes(12) + struct.pack("<II", 128, 0) + struct.pack("<Q", 1) + entry
    shown = text(EventType.EV_EFI_GPT_EVENT, data)
    assert shown == "GPT of disk 64646464-6464-6464-6464-646464646464: EFI (esp)"
    assert text(EventType.EV_EFI_GPT_EVENT2, data) == shown


@pytest.mark.parametrize("hidden", ["\x1b[2J", "\r", "\u202e", "\u200b", "\x07"])
def test_a_log_cannot_steer_a_terminal(hidden: str) -> None:
    shown = text(EventType.EV_EFI_ACTION, f"a{hidden}b".encode())
    assert shown.isprintable()
    assert hidden not in shown
    assert variable(GLOBAL_VARIABLE, f"x{hidden}", b"1").text.isprintable()


def test_an_error_separator_says_so() -> None:
    decoded = decode(event(EventType.EV_SEPARATOR, b"\x01\0\0\0"))
    assert isinstance(decoded, SeparatorEvent)
    assert decoded.is_error


AUTHORITY = variable_data(IMAGE_SECURITY_DATABASE, "db", b"entry")


@pytest.mark.parametrize(
    ("kind", "data", "hashed", "basis"),
    [
        (EventType.EV_EFI_ACTION, b"x", b"x", Basis.DATA),
        (EventType.EV_EFI_ACTION, b"x", b"y", Basis.CONTRADICTS),
        (EventType.EV_EFI_VARIABLE_AUTHORITY, AUTHORITY, AUTHORITY, Basis.DATA),
        (EventType.EV_EFI_VARIABLE_AUTHORITY, AUTHORITY + b"\0", AUTHORITY, Basis.DATA_BUT_LAST_BYTE),
        (EventType.EV_EFI_VARIABLE_AUTHORITY, AUTHORITY + b"\0\0", AUTHORITY, Basis.CONTRADICTS),
        (EventType.EV_EFI_VARIABLE_BOOT, AUTHORITY, AUTHORITY, Basis.DATA),
        (EventType.EV_EFI_VARIABLE_BOOT, AUTHORITY, b"entry", Basis.VARIABLE_CONTENT),
        (EventType.EV_EFI_VARIABLE_BOOT, AUTHORITY, b"other", Basis.CONTRADICTS),
        (EventType.EV_EFI_VARIABLE_BOOT, b"broken", b"other", Basis.CONTRADICTS),
        (EventType.EV_EFI_VARIABLE_DRIVER_CONFIG, AUTHORITY, b"entry", Basis.CONTRADICTS),
        (EventType.EV_EVENT_TAG, tag(1, b"abc"), b"abc", Basis.TAG_CONTENT),
        (EventType.EV_EVENT_TAG, tag(1, b"abc"), b"initrd", Basis.ELSEWHERE),
        (EventType.EV_IPL, b"grub_cmd: set x\0", b"set x", Basis.TEXT_AFTER_PREFIX),
        (EventType.EV_IPL, wide(".linux"), b".linux\0", Basis.SECTION_NAME),
        (EventType.EV_IPL, wide(".linux"), b"kernel", Basis.ELSEWHERE),
        (EventType.EV_IPL, wide("quiet"), wide("quiet"), Basis.DATA),
        (EventType.EV_SEPARATOR, bytes(4), bytes(4), Basis.DATA),
        (EventType.EV_SEPARATOR, b"flash is worn", b"\x01\0\0\0", Basis.ERROR_VALUE),
        (EventType.EV_SEPARATOR, bytes(4), b"\xff" * 4, Basis.CONTRADICTS),
        (EventType.EV_EFI_BOOT_SERVICES_APPLICATION, b"label", b"image", Basis.ELSEWHERE),
        (0x12345678, b"x", b"x", Basis.DATA),
        (0x12345678, b"x", b"y", Basis.ELSEWHERE),
    ],
)
def test_it_is_said_what_a_digest_was_made_from(kind: int, data: bytes, hashed: bytes, basis: Basis) -> None:
    check = check_digest(event(kind, data, hashed))
    assert check is not None
    assert check.basis is basis
    assert check.contradicts == (basis is Basis.CONTRADICTS)
    assert check.covered == (b"" if basis in {Basis.CONTRADICTS, Basis.ELSEWHERE} else hashed)


def test_digests_that_disagree_cover_nothing() -> None:
    digests = {SHA256: SHA256.digest(b"x"), HashAlgorithm.SHA384: HashAlgorithm.SHA384.digest(b"y")}
    check = check_digest(UntrustedEvent(0, 4, EventType.EV_EFI_ACTION, digests, b"x", 0))
    assert check is not None
    assert check.contradicts


def test_an_event_that_extends_nothing_has_no_digest_to_check() -> None:
    assert check_digest(event(EventType.EV_NO_ACTION, b"x")) is None
    assert check_digest(UntrustedEvent(0, 4, EventType.EV_IPL, {0x7777: b"?"}, b"x", 0)) is None
