"""The kernel command line that systemd-stub puts together, and the strings that it measures on the way.

Source: systemd ``src/boot/stub.c`` (process_arguments, settle_command_line, cmdline_append_and_measure_addons,
cmdline_append_and_measure_smbios; before 256 use_load_options) and ``src/boot/util.c`` (mangle_stub_cmdline).
What these do with unusual text changed from release to release: such text is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.errors import UnpredictableError
from builder.image.uki import read_loader_info
from builder.measurement.configuration import BootEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.image.uki import Uki
    from builder.measurement.configuration import BootConfiguration

_ADDONS_SINCE = 254
_ADDONS_IN_ONE_EVENT_SINCE = 255
_SMBIOS_SINCE = 254
_TRIMS_ONLY_THE_END = 254
_TRIMS_BOTH_ENDS = 257
# systemd-boot 252 passes a type 2 entry's embedded command line on; 257 and newer pass nothing.
_LOADER_PASSES_EMBEDDED = 252
_LOADER_PASSES_NOTHING_SINCE = 257
# The stub may add console= to a command line without one (cmdline_append_console): seen in 262, not there in 257.
_NEVER_ADDS_CONSOLE = 257
_CONFIDENTIAL_RULE_SINCE = 257


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The strings that are measured into PCR 12, in order, and what the kernel gets.

    ``from_loader`` is what systemd-boot measures before it starts the stub; ``passed`` the load options if the stub
    uses them; ``addons`` the texts of addons that it measures (one, or one per addon); ``smbios`` the SMBIOS string.
    ``kernel`` is the whole command line that the kernel gets, None where the UKI and its surroundings give none.
    """

    from_loader: str | None
    passed: str | None
    addons: tuple[str, ...]
    smbios: str | None
    kernel: str | None


def settle(uki: Uki, configuration: BootConfiguration, addon_texts: Sequence[str]) -> CommandLine:
    """Put the command line together. Raises UnpredictableError for what is not known for sure."""
    release = uki.stub.release
    has_embedded = uki.content(".cmdline", configuration.profile) is not None
    embedded = _embedded(uki, configuration.profile)
    from_loader, load_options = _passed_on(uki, configuration)
    passed = load_options if _uses_load_options(uki, configuration, has_embedded=has_embedded) else None
    addons = tuple(_plain(text, "an addon's command line") for text in addon_texts if release >= _ADDONS_SINCE)
    smbios = None
    if configuration.smbios_command_line is not None and release >= _SMBIOS_SINCE and not configuration.confidential_vm:
        smbios = _plain(configuration.smbios_command_line, "the SMBIOS command line")
    base = passed or embedded
    additions = (*addons, *([smbios] if smbios else ()))
    if additions and not base:
        raise UnpredictableError("what the stub makes of additions to an empty command line is not known for sure")
    kernel = " ".join((base, *additions)) if base else None
    if addons and release >= _ADDONS_IN_ONE_EVENT_SINCE:
        addons = (" ".join(addons),)
    return CommandLine(from_loader, passed, addons, smbios, kernel)


def require_final(command_line: CommandLine, release: int) -> str:
    """The command line as the kernel gets it. Raises UnpredictableError if there is none, or the stub may add to it."""
    if command_line.kernel is None:
        raise UnpredictableError("the UKI has no kernel command line, so the kernel's load options are not known")
    if release > _NEVER_ADDS_CONSOLE and not re.search(r"(^| )console=", command_line.kernel):
        raise UnpredictableError(
            f"systemd-stub {release} may add a console= to a command line without one, depending on the machine"
        )
    return command_line.kernel


def mangle(text: str, release: int) -> str:
    """Control characters become spaces, and white space at the ends goes. Raises UnpredictableError where unsure."""
    end_only = re.sub(r"[\x01-\x1f]", " ", text).rstrip(" ")
    both_ends = re.sub(r"[\x01-\x20\x7f]", " ", text).strip(" ")
    if release <= _TRIMS_ONLY_THE_END:
        mangled = end_only
    elif release >= _TRIMS_BOTH_ENDS or end_only == both_ends:
        mangled = both_ends
    else:
        raise UnpredictableError(
            f"what systemd-stub {release} makes of the command line {text!r} is not known for sure"
        )
    if text and not mangled:
        raise UnpredictableError("the command line is nothing but white space")
    return mangled


def _embedded(uki: Uki, profile: int) -> str | None:
    content = uki.content(".cmdline", profile)
    if content is None:
        return None
    text = bytes(content).partition(b"\0")[0]
    if not text.isascii():
        raise UnpredictableError(
            "the embedded command line is not ASCII; how the stub converts it is not known for sure"
        )
    return mangle(text.decode("ascii"), uki.stub.release)


def _passed_on(uki: Uki, configuration: BootConfiguration) -> tuple[str | None, str | None]:
    """What a boot loader measures, and the load options that the stub finds."""
    options = None if configuration.load_options is None else _plain(configuration.load_options, "the load options")
    loader = configuration.boot_loader
    if loader is None:
        return None, options
    release = read_loader_info(loader.image).release
    if configuration.profile:
        if release < _LOADER_PASSES_NOTHING_SINCE or options is not None:
            raise UnpredictableError(
                "how this boot loader passes a profile together with options is not known for sure"
            )
        return f"@{configuration.profile}", None
    if options is None and loader.entry is BootEntry.TYPE_2 and uki.content(".cmdline") is not None:
        if release == _LOADER_PASSES_EMBEDDED:
            options = _plain(_embedded(uki, 0) or "", "the embedded command line")
        elif release < _LOADER_PASSES_NOTHING_SINCE:
            raise UnpredictableError(f"whether systemd-boot {release} passes the embedded command line is not known")
    return options, options


def _uses_load_options(uki: Uki, configuration: BootConfiguration, *, has_embedded: bool) -> bool:
    if not configuration.secure_boot.enabled:
        return True
    if has_embedded:
        return False
    if configuration.confidential_vm and uki.stub.release < _CONFIDENTIAL_RULE_SINCE:
        raise UnpredictableError(
            f"whether systemd-stub {uki.stub.release} takes load options in a confidential VM is not known for sure"
        )
    return not configuration.confidential_vm


def _plain(text: str, what: str) -> str:
    """Text that every release leaves as it is."""
    if not text or text != text.strip() or not text.isascii() or not text.isprintable():
        raise UnpredictableError(f"{what} {text!r} is not plain text; what the stub makes of it is not known for sure")
    return text
