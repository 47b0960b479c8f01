"""Unified kernel images, read as the systemd-stub inside them reads them.

Format: UAPI group "Unified Kernel Image"; which sections a stub knows, in which order it measures them and how it
finds them: systemd ``src/fundamental/uki.c`` (before 254 ``src/fundamental/tpm-pcr.c``) and ``src/boot/pe.c``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import MalformedImageError, UnpredictableError
from builder.image.pe import PeImage, PeSection, loaded_section, read_pe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OLDEST_STUB = 252
NEWEST_STUB = 262
MAX_SECTIONS = 256  # a UKI for every device of a vendor has a few dozen
_LOADER_INFO = re.compile(rb"#### LoaderInfo: (systemd-[a-z]{1,16}) ((\d{1,4})([^\s\0]{0,64})) ####")
_STUB = "systemd-stub"
# 254 and older compare strlen(wanted) bytes and let the last section win, 257 and newer compare the whole name and
# let the first win (pe.c, locate_sections and pe_locate_sections_internal). Between them the release of the change
# is not known: a UKI for which it matters is refused.
_LAST_PREFIX_MATCH = 254
_FIRST_EXACT_MATCH = 257

_INITRDS = (".ucode", ".initrd")

# What systemd's own linker script and ours leave in a stub beside the payload.
STUB_SECTIONS = frozenset(
    {".text", ".rodata", ".rdata", ".data", ".bss", ".reloc", ".sdmagic", ".dynamic", ".dynsym", ".dynstr", ".rela"}
)


@dataclass(frozen=True, slots=True)
class SectionRule:
    """A payload section: its name, the systemd release whose stub first knew it, whether it goes into PCR 11."""

    name: str
    since: int
    measured: bool = True


# DO NOT REORDER: this is ``unified_sections`` of systemd's src/fundamental/uki.c, the order in which PCR 11 is made.
# ``unified_section_measure`` of uki.h leaves out .pcrsig, because it signs the value that the others give.
SECTION_ORDER = (
    SectionRule(".linux", since=252),
    SectionRule(".osrel", since=252),
    SectionRule(".cmdline", since=252),
    SectionRule(".initrd", since=252),
    SectionRule(".ucode", since=256),
    SectionRule(".splash", since=252),
    SectionRule(".dtb", since=252),
    SectionRule(".uname", since=254),
    SectionRule(".sbat", since=254),
    SectionRule(".pcrsig", since=252, measured=False),
    SectionRule(".pcrpkey", since=252),
    SectionRule(".profile", since=257),
    SectionRule(".dtbauto", since=257),
    SectionRule(".hwids", since=257),
    SectionRule(".efifw", since=258),
)
PAYLOAD_SECTIONS = frozenset(rule.name for rule in SECTION_ORDER)
# Of these, those that the stub uses and does not measure.
UNMEASURED_SECTIONS = frozenset(rule.name for rule in SECTION_ORDER if not rule.measured)
# Of several sections of these names the stub takes the one that fits the device it runs on.
DEVICE_DEPENDENT = frozenset({".dtbauto", ".efifw"})


@dataclass(frozen=True, slots=True)
class LoaderInfo:
    """What ``.sdmagic`` of a program of systemd says: its name ("systemd-stub"), release number and full version."""

    product: str
    release: int
    version: str


@dataclass(frozen=True, slots=True)
class UkiSection:
    """A payload section as the stub sees it in memory: cut to its VirtualSize, or zero-extended to it."""

    name: str
    content: memoryview


@dataclass(frozen=True, slots=True)
class Uki:
    """A unified kernel image.

    ``profiles`` holds, per profile number, the sections that the stub uses when that profile is selected, in the
    order of SECTION_ORDER and without those that it does not know or that are empty. A UKI without profiles has one.
    """

    stub: LoaderInfo
    pe: PeImage
    profiles: tuple[tuple[UkiSection, ...], ...]

    def sections(self, profile: int = 0) -> tuple[UkiSection, ...]:
        """The sections in use with a profile. Raises UnpredictableError if the image has no such profile."""
        if not 0 <= profile < len(self.profiles):
            raise UnpredictableError(f"the UKI has no profile {profile}, its last is {len(self.profiles) - 1}")
        return self.profiles[profile]

    def content(self, name: str, profile: int = 0) -> memoryview | None:
        """The content of the section ``name``, or None where the stub finds none."""
        return next((section.content for section in self.sections(profile) if section.name == name), None)

    def initrd(self, profile: int = 0) -> memoryview | None:
        """What the stub hands to the kernel as its initrd, before anything from outside; None where it is nothing.

        The kernel unpacks all of it into its root, .ucode as well (systemd src/boot/stub.c, ``initrds_combine``: in
        this order, each padded to 4 bytes).
        """
        found = [section for name in _INITRDS if (section := self.content(name, profile)) is not None]
        if len(found) <= 1:
            return found[0] if found else None
        return memoryview(b"".join(bytes(section) + bytes(-len(section) % 4) for section in found))

    def text(self, name: str, profile: int = 0) -> str | None:
        """The content of a text section up to its first NUL. Raises MalformedImageError if it is not UTF-8."""
        content = self.content(name, profile)
        if content is None:
            return None
        try:
            return bytes(content).partition(b"\0")[0].decode()
        except UnicodeDecodeError as error:
            raise MalformedImageError(f"UKI section {name}", None, f"it is not UTF-8 text: {error}") from None

    def kernel_command_line(self, profile: int = 0) -> str | None:
        """The embedded kernel command line as it stands in ``.cmdline``, None if there is none."""
        return self.text(".cmdline", profile)

    def os_release(self, profile: int = 0) -> str | None:
        """The os-release file in ``.osrel``."""
        return self.text(".osrel", profile)

    def kernel_release(self, profile: int = 0) -> str | None:
        """The kernel's release (``uname -r``) in ``.uname``."""
        return self.text(".uname", profile)


def read_uki(data: bytes | memoryview) -> Uki:
    """Read a UKI.

    Raises MalformedImageError for what is no UKI, for sections that overlap in memory and for section names that no
    stub knows, UnpredictableError where the stub's release is unknown or its choice of sections is not certain.
    """
    pe = read_pe(data)
    if len(pe.sections) > MAX_SECTIONS:
        raise MalformedImageError("UKI", None, f"it has {len(pe.sections)} sections, more than {MAX_SECTIONS}")
    _refuse_unknown(pe.sections)
    _refuse_overlap(pe)
    view = memoryview(data)
    stub = _known_stub(read_loader_info(view, pe))
    chosen = _profiles(pe.sections, stub.release)
    loaded = {section: loaded_section(view, section) for headers in chosen for section in headers.values()}
    profiles = tuple(
        tuple(UkiSection(name, loaded[section]) for name, section in headers.items()) for headers in chosen
    )
    if not all(any(section.name == ".linux" for section in profile) for profile in profiles):
        raise MalformedImageError("UKI", None, "it has no .linux section, so there is no kernel to start")
    return Uki(stub, pe, profiles)


def read_loader_info(data: bytes | memoryview, pe: PeImage | None = None) -> LoaderInfo:
    """Which program of systemd (stub, boot loader, addon) a PE file is.

    Raises MalformedImageError if it has not exactly one ``.sdmagic`` section, or one that does not say so.
    """
    magic = [section for section in (pe or read_pe(data)).sections if section.name == ".sdmagic"]
    if len(magic) != 1:
        raise MalformedImageError(
            "PE file", None, f"it has {len(magic)} .sdmagic sections, a program of systemd has one"
        )
    content = bytes(loaded_section(memoryview(data), magic[0])).rstrip(b"\0")
    match = _LOADER_INFO.fullmatch(content)
    if match is None:
        raise MalformedImageError(
            "section .sdmagic", magic[0].raw_offset, f"{content[:80]!r} does not name a program of systemd"
        )
    return LoaderInfo(match[1].decode(), int(match[3]), match[2].decode("ascii", "replace"))


def rules_of(release: int) -> tuple[SectionRule, ...]:
    """The payload sections that the stub of a systemd release knows, in the order of measurement."""
    return tuple(rule for rule in SECTION_ORDER if rule.since <= release)


def _refuse_unknown(sections: Iterable[PeSection]) -> None:
    unknown = sorted({section.name for section in sections} - PAYLOAD_SECTIONS - STUB_SECTIONS)
    if unknown:
        raise MalformedImageError(
            "UKI",
            None,
            f"unknown sections: {', '.join(unknown)}",
            hint="bedplate must learn whether and how a stub measures a section before it predicts an image with it",
        )


def _refuse_overlap(pe: PeImage) -> None:
    """In overlapping sections the loader's order of copying decides what the stub measures; no linker makes them."""
    end, last = pe.size_of_headers, "the headers"
    for section in sorted(pe.sections, key=lambda section: section.virtual_address):
        if section.virtual_size == 0 and section.raw_size == 0:
            continue
        if section.virtual_address < end:
            raise MalformedImageError("UKI", None, f"section {section.name} overlaps {last} in memory")
        # With VirtualSize 0 firmware loads all raw data (PeCoffLoaderLoadImage).
        end, last = section.virtual_address + (section.virtual_size or section.raw_size), section.name


def _known_stub(info: LoaderInfo) -> LoaderInfo:
    if info.product != _STUB:
        raise MalformedImageError("UKI", None, f"it is {info.product}, not {_STUB}")
    if not OLDEST_STUB <= info.release <= NEWEST_STUB or re.search(r"[-~](rc|devel)", info.version):
        raise UnpredictableError(
            f"the UKI's stub is {_STUB} {info.version}; bedplate knows what the releases {OLDEST_STUB} to"
            f" {NEWEST_STUB} measure"
        )
    return info


def _profiles(sections: Sequence[PeSection], release: int) -> tuple[dict[str, PeSection], ...]:
    """Per profile the section headers in use, by payload name, in SECTION_ORDER."""
    if release <= _LAST_PREFIX_MATCH:
        return (_present(_last_prefix_match(sections, release), release),)
    if release < _FIRST_EXACT_MATCH:
        older, newer = _last_prefix_match(sections, release), _first_exact_match(sections, release)
        if older != newer:
            raise UnpredictableError(
                f"the UKI has sections of equal or similar names, and which of them systemd-stub {release} takes"
                " is not known for sure"
            )
        return (_present(newer, release),)
    starts = [index for index, section in enumerate(sections) if section.name == ".profile"]
    base = _first_exact_match(sections[: starts[0]] if starts else sections, release)
    if not starts:
        return (_present(base, release),)
    ends = [*starts[1:], len(sections)]
    return tuple(
        _present(base | _first_exact_match(sections[start:end], release), release)
        for start, end in zip(starts, ends, strict=True)
    )


def _last_prefix_match(sections: Sequence[PeSection], release: int) -> dict[str, PeSection]:
    return {
        rule.name: section for rule in rules_of(release) for section in sections if section.name.startswith(rule.name)
    }


def _first_exact_match(sections: Sequence[PeSection], release: int) -> dict[str, PeSection]:
    return {
        rule.name: section for rule in rules_of(release) for section in reversed(sections) if section.name == rule.name
    }


def _present(chosen: dict[str, PeSection], release: int) -> dict[str, PeSection]:
    """``chosen`` in the order of measurement, without the sections that are empty in memory."""
    return {
        rule.name: chosen[rule.name]
        for rule in rules_of(release)
        if rule.name in chosen and chosen[rule.name].virtual_size
    }
