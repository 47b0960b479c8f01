"""Files beside the UKI: what the stub packs and loads of them, and what it would skip."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import InvalidInputError, MalformedImageError, UnpredictableError
from builder.image.uki import read_uki
from builder.measurement import companion_archives, pcr9, pcr12, stub_cpio
from builder.measurement.addons import read_addons
from builder.measurement.boot import Boot
from builder.measurement.configuration import (
    BootConfiguration,
    BootLoader,
    Companions,
    EspFile,
    KernelMeasurement,
    SecureBoot,
    SecureBootMode,
)
from builder.measurement.events import Measurer, utf16
from builder.measurement.pcr import Bank
from tests.uki_builder import Section, build_pe, build_uki, bzimage, tiny_kernel

if TYPE_CHECKING:
    from builder.measurement.addons import Addon

OFF = SecureBoot(SecureBootMode.DISABLED)
MEASURER = Measurer((Bank.SHA256,))


def boot(
    sections: list[tuple[str, bytes]] | None = None,
    *,
    version: str = "257.13",
    kernel: bytes | None = None,
    **options: Any,
) -> Boot:
    linux = (".linux", bzimage("6.12.1") if kernel is None else kernel)
    data = build_uki([linux, (".cmdline", b"quiet"), *(sections or [])], version=version)
    configuration = BootConfiguration(**({"secure_boot": OFF, "initrd_systemd": None} | options))
    return Boot(memoryview(data), read_uki(data), configuration)


def addon(name: str, *sections: tuple[str, bytes]) -> EspFile:
    return EspFile(f"{name}.addon.efi", build_pe([Section(section, content) for section, content in sections]))


def files(*names: str) -> tuple[EspFile, ...]:
    return tuple(EspFile(name, name.encode()) for name in names)


def test_an_archive_is_what_the_stub_writes() -> None:
    packed = stub_cpio.archive(stub_cpio.CREDENTIALS, [EspFile("b.cred", b"12345"), EspFile("a.cred", b"")])
    stream = io.BytesIO(packed)
    records = []
    while True:
        header = stream.read(110)
        fields = [int(header[start : start + 8], 16) for start in range(6, 110, 8)]
        name = stream.read(fields[11])
        stream.read(-(110 + fields[11]) % 4)
        content = stream.read(fields[6])
        stream.read(-fields[6] % 4)
        records.append((name, fields[0], oct(fields[1]), fields[4], content))
        assert header[:6] == b"070701"
        if name == b"TRAILER!!!\0":
            break
    assert stream.read() == b""
    assert len(packed) % 4 == 0
    assert records == [
        (b".extra\0", 1, "0o40555", 1, b""),
        (b".extra/credentials\0", 2, "0o40500", 1, b""),
        (b".extra/credentials/a.cred\0", 3, "0o100400", 1, b""),
        (b".extra/credentials/b.cred\0", 4, "0o100400", 1, b"12345"),
        (b"TRAILER!!!\0", 0, "0o0", 1, b""),
    ]


def test_no_files_make_no_archive() -> None:
    with pytest.raises(ValueError, match="no archive of no files"):
        stub_cpio.archive(stub_cpio.META, [])


EVERYTHING = Companions(
    extra=files("a.cred", "one.raw", "two.CONFEXT.RAW"),
    credentials=files("g.cred"),
    extensions=files("three.raw", "four.confext.raw"),
)


@pytest.mark.parametrize(
    ("release", "sysext", "confext", "all_of_them"),
    [
        (255, (b"one.raw", b"two.CONFEXT.RAW"), (), 3),
        (256, (b"one.raw",), (b"two",), 4),
        (258, (b"one.raw",), (b"two",), 6),
    ],
)
def test_what_is_packed_depends_on_the_release(
    release: int, sysext: tuple[bytes, ...], confext: tuple[bytes, ...], all_of_them: int
) -> None:
    archives = companion_archives.pack(EVERYTHING, release)
    assert len(archives.in_order()) == all_of_them
    assert archives.sysext is not None
    assert all(name in archives.sysext for name in sysext)
    assert (b"two" in archives.sysext) is (release < 256)
    assert all(name in (archives.confext or b"") for name in confext)


def test_extensions_go_into_pcr_13_and_the_rest_into_pcr_12() -> None:
    booted = boot(version="258.1", companions=EVERYTHING)
    assert [event.description for event in pcr12.events(booted, MEASURER)] == [
        "credentials initrd",
        "global credentials initrd",
        "configuration extension initrd",
        "global configuration extension initrd",
    ]
    assert [event.description for event in pcr12.extension_events(booted, MEASURER)] == [
        "system extension initrd",
        "global system extension initrd",
    ]


def test_the_initrd_has_its_parts_in_the_stubs_order() -> None:
    extra = (addon("b", (".initrd", b"B"), (".ucode", b"UB")), addon("a", (".initrd", b"A"), (".ucode", b"UA")))
    booted = boot(
        [
            (".initrd", b"initrd"),
            (".ucode", b"ucode"),
            (".osrel", b"ID=x"),
            (".pcrsig", b"{}"),
            (".pcrpkey", b"PEM"),
            (".profile", b"ID=p"),
        ],
        companions=Companions(extra=(*extra, *files("a.cred", "x.raw", "y.confext.raw")), credentials=files("g.cred")),
    )
    parts = pcr9.initrd_parts(booted, read_addons(booted.uki, booted.configuration))
    found = [
        next((name for name in NAMES if name in bytes(part)), None)
        if bytes(part).startswith(b"070701")
        else bytes(part)
        for part in parts
    ]
    assert found == [b"UB", b"UA", b"ucode", b"initrd", *NAMES, b"A", b"B"]


NAMES = [
    b".extra/credentials/a.cred",
    b".extra/global_credentials/g.cred",
    b".extra/sysext/x.raw",
    b".extra/confext/y.confext.raw",
    b".extra/tpm2-pcr-signature.json",
    b".extra/tpm2-pcr-public-key.pem",
    b".extra/os-release",
    b".extra/profile",
]


def test_several_parts_are_padded_and_one_is_not() -> None:
    sections = [(".initrd", b"odd"), (".pcrpkey", b"PEM")]
    one, both = boot([sections[0]], version="254.1"), boot(sections, version="254.1")
    literal = stub_cpio.archive(stub_cpio.META, [EspFile("tpm2-pcr-public-key.pem", b"PEM")])
    assert pcr9.events(one, MEASURER)[1].digests[Bank.SHA256] == Bank.SHA256.digest(b"odd")
    assert pcr9.events(both, MEASURER)[1].digests[Bank.SHA256] == Bank.SHA256.digest(b"odd\0", literal)


def test_without_an_initrd_the_kernel_measures_its_command_line_only() -> None:
    events = pcr9.events(boot(version="254.1"), MEASURER)
    assert [event.digests for event in events] == [{Bank.SHA256: Bank.SHA256.digest(utf16("quiet"))}]


@pytest.mark.parametrize(
    ("kernel", "problem"),
    [(tiny_kernel(), "does not say its release"), (bzimage("6.0.19"), "whether the kernel 6.0.19 measures")],
)
def test_a_kernel_of_which_it_is_not_known_what_it_measures_is_refused(kernel: bytes, problem: str) -> None:
    with pytest.raises(UnpredictableError, match=problem):
        pcr9.events(boot(kernel=kernel), MEASURER)


@pytest.mark.parametrize("stated", KernelMeasurement)
def test_what_a_kernel_measures_can_be_stated(stated: KernelMeasurement) -> None:
    data = build_uki([(".linux", tiny_kernel()), (".cmdline", b"quiet"), (".initrd", b"initrd")])
    configuration = BootConfiguration(OFF, initrd_systemd=None, kernel=stated)
    events = pcr9.events(Boot(memoryview(data), read_uki(data), configuration), MEASURER)
    assert len(events) == (2 if stated is KernelMeasurement.LOAD_OPTIONS_AND_INITRD else 0)


def test_nvpcrs_make_pcr_9_unpredictable() -> None:
    with pytest.raises(UnpredictableError, match="NvPCRs"):
        pcr9.events(boot(initrd_systemd=259), MEASURER)
    assert pcr9.events(boot(initrd_systemd=258), MEASURER)


def addons_of(*extra: EspFile, global_ones: tuple[EspFile, ...] = (), **options: Any) -> tuple[Addon, ...]:
    booted = boot([(".uname", b"6.12.1")], companions=Companions(extra=extra, addons=global_ones), **options)
    return read_addons(booted.uki, booted.configuration)


def test_global_addons_come_first_and_each_folder_is_sorted() -> None:
    z, b, y, a = (addon(name, (".cmdline", name.encode())) for name in "zbya")
    loaded = addons_of(b, a, global_ones=(z, y))
    assert [one.command_line for one in loaded] == ["y", "z", "a", "b"]


def test_an_older_stub_loads_no_addons() -> None:
    assert addons_of(addon("a", (".cmdline", b"x")), version="253.1") == ()


def test_initrds_and_microcode_of_addons_are_measured() -> None:
    extra = (addon("a", (".initrd", b"A"), (".ucode", b"UA")), addon("b", (".initrd", b"B"), (".ucode", b"UB")))
    events = pcr12.events(boot(companions=Companions(extra=extra)), MEASURER)
    assert [(event.source, event.digests[Bank.SHA256]) for event in events] == [
        (f"addon {name}.addon.efi", Bank.SHA256.digest(content))
        for name, content in [("b", b"UB"), ("a", b"UA"), ("a", b"A"), ("b", b"B")]
    ]


@pytest.mark.parametrize(
    ("sections", "options", "error", "problem"),
    [
        ([(".linux", b"x"), (".cmdline", b"x")], {}, InvalidInputError, "it is a UKI and no addon"),
        ([(".sbat", b"x")], {}, InvalidInputError, "adds nothing"),
        ([(".cmdline", b"")], {}, InvalidInputError, "adds nothing"),
        ([(".cmdline", b"x"), (".uname", b"6.1.0")], {}, InvalidInputError, r"for the kernel '6\.1\.0'"),
        ([(".dtb", b"x"), (".cmdline", b"x")], {}, UnpredictableError, "depends on the device"),
        ([(".dtbauto", b"x")], {}, UnpredictableError, "depends on the device"),
        ([(".cmdline", b"x"), (".cmdline", b"y")], {}, UnpredictableError, "several sections of one name"),
        ([(".initrd", b"x")], {"version": "256.1"}, UnpredictableError, "takes an initrd from a.addon.efi"),
    ],
)
def test_an_addon_that_is_not_surely_used_is_refused(
    sections: list[tuple[str, bytes]], options: dict[str, str], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        addons_of(addon("a", *sections), **options)


def test_an_addon_that_is_no_pe_file_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="MZ header"):
        addons_of(EspFile("a.addon.efi", b"text"))


def test_an_addons_own_kernel_release_may_be_the_ukis() -> None:
    assert addons_of(addon("a", (".cmdline", b"x\0y"), (".uname", b"6.12.1\0")))[0].command_line == "x"


@pytest.mark.parametrize(
    ("folder", "name", "problem"),
    [
        ("extra", ".hidden.cred", "does not pick up"),
        ("extra", "größe.cred", "does not pick up"),
        ("extra", "a" * 251 + ".cred", "does not pick up"),
        ("extra", "a/b.cred", "does not pick up"),
        ("extra", "readme.txt", r"picks up \.addon\.efi \.cred \.raw from extra"),
        ("addons", "a.efi", r"picks up \.addon\.efi from addons"),
        ("credentials", "a.raw", r"picks up \.cred from credentials"),
        ("extensions", "a.cred", r"picks up \.raw from extensions"),
    ],
)
def test_a_file_that_the_stub_would_skip_is_refused(folder: str, name: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        Companions(**{folder: files(name)})


def test_two_files_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="two files of credentials"):
        Companions(credentials=files("a.cred", "A.CRED"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"profile": -1}, "not negative"),
        ({"load_options": ""}, "None or text"),
        ({"load_options": "@1"}, "profile is stated by its number"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        BootConfiguration(OFF, initrd_systemd=None, **arguments)


def test_secure_boot_needs_keys_and_firmware_without_it_has_none() -> None:
    with pytest.raises(InvalidInputError, match="only with a PK"):
        SecureBoot(SecureBootMode.ENABLED, pk=b"x")
    with pytest.raises(InvalidInputError, match="has no PK"):
        SecureBoot(SecureBootMode.UNSUPPORTED, dbx=b"x")


def test_a_boot_loader_must_say_its_release() -> None:
    with pytest.raises(MalformedImageError, match=r"0 \.sdmagic sections"):
        pcr12.events(boot(boot_loader=BootLoader(tiny_kernel())), MEASURER)
