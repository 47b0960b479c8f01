"""What is needed and missing, or not understood, stops a build: a broken image is never made silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.closure.close import BrokenClosureError, close
from builder.closure.rules import parse_rules
from builder.errors import InvalidInputError
from tests.closure_trees import KERNEL, LIBRARIES, MODULES, RULES, UDEV, UNITS, A, dlopen, plain, started
from tests.fact_trees import file, link, program, tree

if TYPE_CHECKING:
    from tests.fact_trees import Content


def refuse(files: dict[str, Content], rules: str = RULES) -> None:
    close(tree(files), parse_rules(rules, "test.rules"), {})


# fmt: off
LOADED_AT_BOOT: dict[str, Content] = {
    **started("ExecStart=/usr/lib/systemd/systemd-modules-load"), "usr/lib/systemd/systemd-modules-load": plain(),
    "usr/lib/modules-load.d/a.conf": "none_such\n",
}
MISSING: dict[str, tuple[dict[str, Content], str, str]] = {
    "program": (A, "", "/usr/bin/a is not there: a.service starts it"),
    "program that is no program": ({**A, "usr/bin/a": "text"}, "", "/usr/bin/a is not there"),
    "bare program": (started("ExecStart=a"), "", "a is not there"),
    "interpreter": ({**A, "usr/bin/a": plain(interpreter="/lib64/ld.so")}, "", "/lib64/ld.so is not there"),
    "library": ({**A, "usr/bin/a": plain(needed=("libb.so",))}, "", "libb.so is not there: /usr/bin/a is linked"),
    "library that must be loaded": (
        {**A, "usr/bin/a": plain(notes=dlopen("libb.so", "required"))}, "", "libb.so is not there"),
    "library for the TPM": (
        {**A, "usr/bin/a": plain(notes=dlopen("libtss2-esys.so.0")),
         f"{LIBRARIES}/libtss2-esys.so.0": plain(soname="libtss2-esys.so.0")},
        "", "libtss2-tcti-device.so.0 is not there"),
    "script's interpreter": ({**A, "usr/bin/a": file("#!/bin/sh\n", 0o755)}, "", "/bin/sh is not there"),
    "module of nsswitch.conf": (
        {**A, "usr/bin/a": plain(needed=("libc.so.6",)), f"{LIBRARIES}/libc.so.6": plain(soname="libc.so.6"),
         "etc/nsswitch.conf": "hosts: extra\n"}, "", r"libnss_extra.so.2 is not there: /etc/nsswitch.conf:1"),
    "root of a unit": (started("RootDirectory=/usr/lib/root"), "", "/usr/lib/root is not there: it is the root"),
    "program in the root of a unit": (
        {**started("RootDirectory=/usr/lib/root\nExecStart=/usr/bin/a"), "usr/bin/a": plain(), "usr/lib/root/x": ""},
        "", "/usr/lib/root/usr/bin/a is not there: a.service starts it"),
    "program that is bound into the root of a unit": (
        {**started("RootDirectory=/usr/lib/root\nBindReadOnlyPaths=/usr/lib/helper:/helper\nExecStart=/helper/a"),
         "usr/lib/root/helper/a": plain()},
        "", "/usr/lib/helper/a is not there: a.service starts it"),
    "required unit": ({f"{UNITS}/default.target": "[Unit]\nRequires=b.service\n"}, "", "b.service is not there"),
    "unit of a socket": (
        {f"{UNITS}/default.target": "[Unit]\nWants=b.socket\n",
         f"{UNITS}/b.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/b\n"},
        "", "b.service is not there: b.socket activates it"),
    "first unit": ({"etc/x": ""}, "", "default.target is not there: test.rules:2"),
    "program of a mount unit": (
        {f"{UNITS}/default.target": "[Unit]\nWants=run-a.mount\n", f"{UNITS}/run-a.mount": "[Mount]\nWhere=/run/a\n"},
        "", "/usr/bin/mount is not there: the manager mounts run-a.mount by it"),
    "program of a udev rule": (
        {**UDEV, "usr/lib/udev/rules.d/a.rules": 'RUN+="x_id"'}, "", r"x_id is not there: udev runs it .*a.rules:1"),
    "program of the manager": (
        {**started("ExecStart=/usr/lib/systemd/systemd"), "usr/lib/systemd/systemd": plain()}, "", "systemd-executor"),
    "kept file": (
        {f"{UNITS}/default.target": "[Unit]\n"}, "[keep]\n/etc/x\n", "/etc/x is not there: test.rules:4 keeps it"),
    "kept pattern": ({f"{UNITS}/default.target": "[Unit]\n"}, "[keep]\n/etc/x/**\n", r"/etc/x/\*\* is not there"),
    "end of a link": (
        {f"{UNITS}/default.target": "[Unit]\n", "etc/x": link("gone")}, "[keep]\n/etc/x\n", "/etc/x is not there"),
    "module": (MODULES, "[modules]\nnone_such\n", "the kernel module none_such is not there"),
    "module of modules-load.d": (LOADED_AT_BOOT, "", "the kernel module none_such is not there"),
    "module of an automount unit": (
        {f"{UNITS}/default.target": "[Unit]\nWants=run-a.automount\n", f"{UNITS}/run-a.automount": "[Automount]\n",
         f"{UNITS}/run-a.mount": "[Mount]\nWhere=/run/a\n", "usr/bin/mount": plain(), "usr/bin/umount": plain()},
        "", "the kernel module autofs4 is not there: run-a.automount is mounted through it"),
    "module of an automount in fstab": (
        {f"{UNITS}/default.target": "[Unit]\n", "etc/fstab": "\ntmpfs /a tmpfs x-systemd.automount\n",
         "usr/lib/systemd/system-generators/systemd-fstab-generator": plain()},
        "[keep]\n/usr/lib/systemd/system-generators/systemd-fstab-generator\n",
        "the kernel module autofs4 is not there: /etc/fstab:2 is mounted through it"),
}
UNKNOWN: dict[str, tuple[dict[str, Content], str]] = {
    "a setting that may start programs": (started("ExecSometimes=/usr/bin/a"), "a.service:4: .*ExecSometimes"),
    "a program that is known at run time only": (started("ExecStart=$PROGRAM"), "not known before it runs"),
    "a program by a specifier": (started("ExecStart=/usr/bin/%v"), "not known before it runs"),
    "an image as root": (started("RootImage=/var/lib/a.raw"), "takes files from an image"),
    "a broken ELF file": (
        {**A, "usr/bin/a": file(b"\x7fELF\x02\x01", 0o755)}, "/usr/bin/a is a broken ELF file, so what it loads"),
    "a module that depmod does not know": (
        {**MODULES, f"{KERNEL}/kernel/e.ko.xz": b""}, "modules.dep does not list /usr/lib/modules/6.12/kernel/e.ko.xz"),
}
RULE_FILES = {
    "before the first section": ("default.target\n", "test.rules:1: 'default.target' stands before"),
    "an unknown section": ("[units]\ndefault.target\n[drop]\n", r"test.rules:3: \[drop\] is no section"),
    "a relative path": ("[units]\na.target\n[keep]\netc\n", "test.rules:4: 'etc' is no absolute path"),
    "nothing to start from": ("[missing]\n/etc\n", "names nothing to start from"),
}
# fmt: on


@pytest.mark.parametrize("what", MISSING)
def test_refused_without_its(what: str) -> None:
    files, rules, message = MISSING[what]
    with pytest.raises(BrokenClosureError, match=message):
        refuse(files, RULES + rules)


@pytest.mark.parametrize("what", UNKNOWN)
def test_refused_for(what: str) -> None:
    files, message = UNKNOWN[what]
    with pytest.raises(InvalidInputError, match=message):
        refuse(files)


@pytest.mark.parametrize("what", RULE_FILES)
def test_rules_are_refused_with(what: str) -> None:
    text, message = RULE_FILES[what]
    with pytest.raises(InvalidInputError, match=message):
        parse_rules(text, "test.rules")


def test_everything_that_is_missing_is_told_at_once() -> None:
    files = {**started("ExecStart=/usr/bin/a\nExecStop=/usr/bin/b"), "usr/bin/a": plain(needed=("libb.so",))}
    with pytest.raises(BrokenClosureError) as refused:
        refuse(files)
    assert len(refused.value.problems) == 2


@pytest.mark.parametrize(
    ("files", "allowed"),
    [
        (A, "/usr/bin/a"),
        ({**A, "usr/bin/a": program(interpreter=None, needed=("libb.so",))}, "libb.so"),
        ({f"{UNITS}/default.target": "[Unit]\nRequires=b.service\n"}, "b.service"),
        (LOADED_AT_BOOT, "none_such"),
    ],
    ids=["program", "library", "unit", "module"],
)
def test_what_is_listed_may_be_missing(files: dict[str, Content], allowed: str) -> None:
    refuse(files, f"{RULES}[missing]\n{allowed}\n")


@pytest.mark.parametrize(
    "files",
    [
        started("ExecStart=-/usr/bin/a"),
        {f"{UNITS}/default.target": "[Unit]\nWants=b.service\n"},
        {f"{UNITS}/default.target": "[Unit]\nRequires=dev-sda.device\n"},
        {f"{UNITS}/default.target": "[Unit]\n", f"{UNITS}/default.target.wants/b.service": link("../b.service")},
        {**A, "usr/bin/a": plain(notes=dlopen("libb.so"))},
    ],
    ids=["failure ignored", "wanted only", "made by the kernel", "a link to nothing", "loaded if there"],
)
def test_what_its_user_can_do_without_may_be_missing(files: dict[str, Content]) -> None:
    refuse(files)


def test_a_rule_with_a_dash_may_lead_nowhere() -> None:
    files: dict[str, Content] = {f"{UNITS}/default.target": "[Unit]\n"}
    refuse(files, "[units]\ndefault.target\n-b.target\n[keep]\n-/etc/x\n[modules]\n-none_such # why\n")
