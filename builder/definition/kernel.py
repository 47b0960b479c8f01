"""Kernel arguments that a definition may not give, and what a module pattern matches.

The list is short on purpose: it catches a mistake where it is made. What the finished image may have on its command
line is for the policies to judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from builder.definition.model import Profile


@dataclass(frozen=True, slots=True)
class RefusedArgument:
    """``name`` stands before ``=`` (with a final ``*``: begins it); ``reason`` completes "because it ..."."""

    name: str
    reason: str


_OWN_ROOT: Final = "is bedplate's: the root is found by the root hash that is measured with the UKI"
_OWN_INIT: Final = "would start something else than the image's own systemd"
_SHELL: Final = "opens a root shell to whoever sits at the console"
_TARGET: Final = "boots into something else than what the image was checked for"
_CONSOLE: Final = "gives an operator a console"
_CREDENTIALS: Final = "lets the host configure the image from outside of what is measured"

# Never: bedplate writes these itself, or the prediction would not be about what boots.
OWNED: Final = (
    RefusedArgument("--", "hands all that follows to init"),
    RefusedArgument("bedplate.*", "is bedplate's: it says which profile the image has"),
    RefusedArgument("init", _OWN_INIT),
    RefusedArgument("rdinit", _OWN_INIT),
    RefusedArgument("ro", _OWN_ROOT),
    RefusedArgument("root", _OWN_ROOT),
    RefusedArgument("rootflags", _OWN_ROOT),
    RefusedArgument("rootfstype", _OWN_ROOT),
    RefusedArgument("roothash", _OWN_ROOT),
    RefusedArgument("rw", _OWN_ROOT),
    RefusedArgument("systemd.verity*", _OWN_ROOT),
    RefusedArgument("systemd.volatile", _OWN_ROOT),
    RefusedArgument("usrhash", _OWN_ROOT),
)
# Not in production: each is a way in.
DOORS: Final = (
    RefusedArgument("1", _TARGET),
    RefusedArgument("S", _TARGET),
    RefusedArgument("_b", _TARGET),
    RefusedArgument("console", _CONSOLE),
    RefusedArgument("emergency", _TARGET),
    RefusedArgument("kgdboc", "opens a kernel debugger on a serial line"),
    RefusedArgument("lockdown", "is the base's: the kernel takes the last one, which could be none"),
    RefusedArgument("rd.break", _SHELL),
    RefusedArgument("rd.shell", _SHELL),
    RefusedArgument("rd.systemd.break", _SHELL),
    RefusedArgument("rd.systemd.debug_shell", _SHELL),
    RefusedArgument("rd.systemd.unit", _TARGET),
    RefusedArgument("rd.systemd.wants", _TARGET),
    RefusedArgument("rescue", _TARGET),
    RefusedArgument("s", _TARGET),
    RefusedArgument("single", _TARGET),
    RefusedArgument("systemd.break", _SHELL),
    RefusedArgument("systemd.debug_shell", _SHELL),
    RefusedArgument("systemd.default_debug_tty", _CONSOLE),
    RefusedArgument("systemd.import_credentials", _CREDENTIALS),
    RefusedArgument("systemd.run*", "runs a command that is in no file of the image"),
    RefusedArgument("systemd.set_credential*", _CREDENTIALS),
    RefusedArgument("systemd.unit", _TARGET),
    RefusedArgument("systemd.wants", _TARGET),
)


def refusal(argument: str, profile: Profile) -> RefusedArgument | None:
    """Why an image of ``profile`` may not have ``argument`` on its command line, or None if it may."""
    rules = OWNED if profile is Profile.DEVELOPMENT else OWNED + DOORS
    # The kernel (parameq) and systemd (proc_cmdline_key_streq) take - and _ in a name for the same character.
    name = argument if argument == "--" else argument.partition("=")[0].replace("-", "_")
    for rule in rules:
        if name == rule.name or (rule.name.endswith("*") and name.startswith(rule.name[:-1])):
            return rule
    return None


def module_regex(pattern: str) -> str:
    """A regular expression that finds the modules of ``pattern`` in paths such as ``drivers/block/virtio_blk.ko.xz``.

    It is meant for mkosi's ``KernelModulesInitrdInclude=``, which searches each module's path below ``kernel/``.
    """
    words = {"*": "[^/]*", "?": "[^/]", "-": "[_-]", "_": "[_-]"}
    return "(^|/)" + "".join(words.get(character, re.escape(character)) for character in pattern) + r"\.ko"
