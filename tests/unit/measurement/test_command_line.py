"""The command line that the stub puts together, and the events of PCR 12 and 9 that follow from it."""

from __future__ import annotations

from typing import Any

import pytest

from builder.errors import UnpredictableError
from builder.image.uki import read_uki
from builder.measurement.command_line import CommandLine, mangle, require_final, settle
from builder.measurement.configuration import (
    BootConfiguration,
    BootEntry,
    BootLoader,
    SecureBoot,
    SecureBootMode,
)
from tests.uki_builder import build_uki

OFF = SecureBoot(SecureBootMode.DISABLED)
ON = SecureBoot(SecureBootMode.ENABLED, pk=b"x", db=b"x")


def settled(
    embedded: bytes | None = b"quiet", *, version: str = "257.13", addons: tuple[str, ...] = (), **options: Any
) -> CommandLine:
    sections = [(".linux", b"kernel"), (".cmdline", embedded or b"")]
    configuration = BootConfiguration(**({"secure_boot": OFF, "initrd_systemd": None} | options))
    return settle(read_uki(build_uki(sections, version=version)), configuration, addons)


def loader(release: str, entry: BootEntry = BootEntry.TYPE_2) -> BootLoader:
    return BootLoader(build_uki([], version=release, product="systemd-boot"), entry)


def test_the_embedded_command_line_alone_measures_nothing() -> None:
    assert settled() == CommandLine(None, None, (), None, "quiet")


@pytest.mark.parametrize(
    ("release", "text", "mangled"),
    [
        (252, "a\tb\n", "a b"),
        (252, " a ", " a"),
        (257, " a ", "a"),
        (257, "\ta\x7fb\n ", "a b"),
        (255, "a b \n", "a b"),
    ],
)
def test_control_characters_become_spaces_and_the_ends_are_trimmed(release: int, text: str, mangled: str) -> None:
    assert mangle(text, release) == mangled


@pytest.mark.parametrize("text", [" a", "a\x7f"])
def test_where_the_rule_changed_only_what_both_agree_on_is_mangled(text: str) -> None:
    with pytest.raises(UnpredictableError, match="systemd-stub 256"):
        mangle(text, 256)


def test_nothing_but_white_space_is_refused() -> None:
    with pytest.raises(UnpredictableError, match="nothing but white space"):
        settled(b" \n")


def test_a_nul_ends_the_command_line() -> None:
    assert settled(b"quiet\0junk").kernel == "quiet"


def test_a_command_line_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(UnpredictableError, match="not ASCII"):
        settled("sprache=französisch".encode())


def test_load_options_replace_the_embedded_command_line_without_secure_boot() -> None:
    assert settled(load_options="debug") == CommandLine(None, "debug", (), None, "debug")


def test_load_options_are_dropped_with_secure_boot() -> None:
    assert settled(load_options="debug", secure_boot=ON) == CommandLine(None, None, (), None, "quiet")


def test_load_options_are_used_with_secure_boot_if_nothing_is_embedded() -> None:
    assert settled(None, load_options="debug", secure_boot=ON).passed == "debug"


def test_load_options_are_dropped_in_a_confidential_vm_with_secure_boot() -> None:
    command_line = settled(None, load_options="debug", secure_boot=ON, confidential_vm=True)
    assert (command_line.passed, command_line.kernel) == (None, None)
    with pytest.raises(UnpredictableError, match="confidential VM is not known"):
        settled(None, version="254.1", load_options="debug", secure_boot=ON, confidential_vm=True)


@pytest.mark.parametrize("options", [" debug", "debug\n", "a\tb", "größe"])
def test_unusual_load_options_are_refused(options: str) -> None:
    with pytest.raises(UnpredictableError, match=r"the load options .* not plain text"):
        settled(load_options=options)


def test_addons_and_smbios_come_behind_in_this_order() -> None:
    command_line = settled(addons=("one=1", "two=2"), smbios_command_line="three=3")
    assert command_line == CommandLine(None, None, ("one=1 two=2",), "three=3", "quiet one=1 two=2 three=3")


def test_systemd_254_measures_every_addon_by_itself() -> None:
    assert settled(version="254.1", addons=("one=1", "two=2")).addons == ("one=1", "two=2")


def test_older_stubs_know_neither_addons_nor_smbios() -> None:
    command_line = settled(version="253.1", addons=("one=1",), smbios_command_line="three=3")
    assert command_line == CommandLine(None, None, (), None, "quiet")


def test_a_confidential_vm_does_not_believe_smbios() -> None:
    assert settled(smbios_command_line="three=3", confidential_vm=True).kernel == "quiet"


def test_additions_to_nothing_are_refused() -> None:
    with pytest.raises(UnpredictableError, match="additions to an empty command line"):
        settled(None, addons=("one=1",))


def test_a_boot_loader_measures_the_options_that_it_passes() -> None:
    command_line = settled(boot_loader=loader("257.13", BootEntry.TYPE_1), load_options="debug")
    assert (command_line.from_loader, command_line.passed) == ("debug", "debug")


def test_a_new_boot_loader_passes_nothing_of_a_uki() -> None:
    assert settled(boot_loader=loader("257.13")) == CommandLine(None, None, (), None, "quiet")


def test_systemd_boot_252_passes_the_embedded_command_line() -> None:
    assert settled(boot_loader=loader("252.39")) == CommandLine("quiet", "quiet", (), None, "quiet")
    assert settled(boot_loader=loader("252.39"), secure_boot=ON) == CommandLine("quiet", None, (), None, "quiet")
    assert settled(boot_loader=loader("252.39", BootEntry.TYPE_1)).from_loader is None


@pytest.mark.parametrize("release", ["253.1", "256.7"])
def test_a_boot_loader_of_which_that_is_not_known_is_refused(release: str) -> None:
    with pytest.raises(UnpredictableError, match="passes the embedded command line is not known"):
        settled(boot_loader=loader(release))


def test_a_boot_loader_selects_a_profile_by_its_number() -> None:
    assert settled(boot_loader=loader("257.13"), profile=0).from_loader is None
    sections = [(".linux", b"kernel"), (".cmdline", b"quiet"), (".profile", b"ID=a"), (".profile", b"ID=b")]
    configuration = BootConfiguration(OFF, initrd_systemd=None, profile=1, boot_loader=loader("257.13"))
    command_line = settle(read_uki(build_uki(sections)), configuration, ())
    assert command_line == CommandLine("@1", None, (), None, "quiet")


def test_a_profile_with_options_or_an_old_boot_loader_is_refused() -> None:
    sections = [(".linux", b"kernel"), (".profile", b"ID=a"), (".profile", b"ID=b")]
    uki = read_uki(build_uki(sections))
    for options in ({"boot_loader": loader("256.1")}, {"boot_loader": loader("257.1"), "load_options": "debug"}):
        configuration = BootConfiguration(**{"secure_boot": OFF, "initrd_systemd": None, "profile": 1} | options)
        with pytest.raises(UnpredictableError, match="passes a profile together with options"):
            settle(uki, configuration, ())


def test_the_final_command_line_needs_a_console_where_the_stub_may_add_one() -> None:
    assert require_final(settled(b"quiet"), 257) == "quiet"
    assert require_final(settled(b"quiet console=ttyS0"), 260) == "quiet console=ttyS0"
    with pytest.raises(UnpredictableError, match="may add a console="):
        require_final(settled(b"quiet noconsole=1"), 258)


def test_no_command_line_at_all_is_refused() -> None:
    with pytest.raises(UnpredictableError, match="no kernel command line"):
        require_final(settled(None), 257)
