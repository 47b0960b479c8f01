"""The kernel command line in a mkosi.conf, apart from the rest."""

from __future__ import annotations

import pytest

from builder.mkosi.command_line import split_command_line

BEFORE, AFTER = b"[Content]\nBootable=yes\n", b"\n[Validation]\nSecureBoot=no\n"


@pytest.mark.parametrize(
    "setting",
    [
        b"KernelCommandLine=quiet\n",
        b"KernelCommandLine=\n    quiet\n    panic=30\n",
        b"KernelCommandLine=\n    # why\n    quiet\n# and why\n    panic=30\n",
        b"KernelCommandLine=\n    quiet\n\n    panic=30\n",
        b"KernelCommandLine=\n",
    ],
)
def test_the_setting_is_taken_out_with_all_its_lines(setting: bytes) -> None:
    assert split_command_line(BEFORE + setting + AFTER) == (setting, BEFORE + AFTER)


@pytest.mark.parametrize(
    "other", [b"", b"KernelCommandLineExtra=quiet\n", b"    KernelCommandLine=quiet\n", b"#KernelCommandLine=quiet\n"]
)
def test_other_settings_stay(other: bytes) -> None:
    assert split_command_line(BEFORE + other + AFTER) == (b"", BEFORE + other + AFTER)


def test_several_settings_are_one_value() -> None:
    text = BEFORE + b"KernelCommandLine=a\n" + AFTER + b"KernelCommandLine=b\n"
    assert split_command_line(text) == (b"KernelCommandLine=a\nKernelCommandLine=b\n", BEFORE + AFTER)
