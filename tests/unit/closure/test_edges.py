"""What the closure of an image has. For each way in which one file needs another there is a small tree."""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

import pytest

from builder.closure.close import Closed, close
from builder.closure.rules import parse_rules
from tests.closure_trees import KERNEL, LIBRARIES, MODULES, RULES, UDEV, UNITS, A, dlopen, library, plain, started
from tests.fact_trees import file, link, tree

if TYPE_CHECKING:
    from tests.fact_trees import Content


def closed(files: dict[str, Content], rules: str = RULES, owners: dict[str, str] | None = None) -> Closed:
    return close(tree(files), parse_rules(rules, "test.rules"), owners or {})


# fmt: off
EDGES: dict[str, tuple[dict[str, Content], str]] = {
    "a program that a service starts": ({**A, "usr/bin/a": plain()}, "/usr/bin/a"),
    "a program by its bare name": ({**started("ExecStart=a"), "usr/bin/a": plain()}, "/usr/bin/a"),
    "a program before the start": (
        {**started("ExecStartPre=-/usr/bin/a"), "usr/bin/a": plain()}, "/usr/bin/a"),
    "a program on reload": ({**started("ExecReload=+/usr/bin/a"), "usr/bin/a": plain()}, "/usr/bin/a"),
    "a program at the end": ({**started("ExecStopPost=/usr/bin/a"), "usr/bin/a": plain()}, "/usr/bin/a"),
    "a program of a drop-in": (
        {**started(""), f"{UNITS}/a.service.d/x.conf": "[Service]\nExecStart=/usr/bin/a\n", "usr/bin/a": plain()},
        "/usr/bin/a"),
    "a file that is an argument": (
        {**started("ExecStart=/usr/bin/a --config=/etc/a.conf"), "usr/bin/a": plain(), "etc/a.conf": "x"},
        "/etc/a.conf"),
    "a file of environment variables": (
        {**started("EnvironmentFile=-/etc/a.env"), "etc/a.env": "x"}, "/etc/a.env"),
    "a credential": ({**started("LoadCredential=key:/etc/a.key"), "etc/a.key": "x"}, "/etc/a.key"),
    "all of a unit's root": (
        {**started("RootDirectory=/usr/lib/root\nExecStart=/usr/bin/a"), "usr/lib/root/usr/bin/a": plain(),
         "usr/lib/root/data": "x"}, "/usr/lib/root/data"),
    "a program that is bound into a unit's root": (
        {**started("RootDirectory=/usr/lib/root\nBindReadOnlyPaths=/usr/lib/helper:/bin/helper:rbind\n"
                   "ExecStart=/bin/helper /usr/bin/a"), "usr/lib/helper": plain(), "usr/lib/root/usr/bin/a": plain()},
        "/usr/lib/helper"),
    "a bare program of a unit's root": (
        {**started("RootDirectory=/usr/lib/root\nExecStart=a"), "usr/lib/root/usr/bin/a": plain()},
        "/usr/lib/root/usr/bin/a"),
    "a program after the root was taken back": (
        {**A, f"{UNITS}/a.service.d/1.conf": "[Service]\nRootDirectory=/none\n",
         f"{UNITS}/a.service.d/2.conf": "[Service]\nRootDirectory=\n", "usr/bin/a": plain()}, "/usr/bin/a"),
    "a link on the way to a program": (
        {**A, "usr/bin/a": link("../lib/a"), "usr/lib/a": plain()}, "/usr/bin/a"),
    "the end of a link": ({**A, "usr/bin/a": link("../lib/a"), "usr/lib/a": plain()}, "/usr/lib/a"),
    "a link above a program": (
        {**started("ExecStart=/bin/a"), "bin": link("usr/bin"), "usr/bin/a": plain()}, "/bin"),
    "the interpreter of an ELF file": (
        {**A, "usr/bin/a": plain(interpreter="/lib64/ld.so"), "lib64/ld.so": plain()}, "/lib64/ld.so"),
    "a library that an ELF file is linked to": (
        {**A, "usr/bin/a": plain(needed=("libb.so",)), f"{LIBRARIES}/libb.so": library("libb.so")},
        f"/{LIBRARIES}/libb.so"),
    "a library of a library": (
        {**A, "usr/bin/a": plain(needed=("libb.so",)), f"{LIBRARIES}/libb.so": library("libb.so", needed=("libc.so",)),
         f"{LIBRARIES}/libc.so": library("libc.so")}, f"/{LIBRARIES}/libc.so"),
    "a library by RUNPATH": (
        {**A, "usr/bin/a": plain(needed=("libb.so",), runpath="/opt"), "opt/libb.so": library("libb.so")},
        "/opt/libb.so"),
    "a library beside the program": (
        {**A, "usr/bin/a": plain(needed=("libb.so",), rpath="$ORIGIN/../b"), "usr/b/libb.so": library("libb.so")},
        "/usr/b/libb.so"),
    "a library by ld.so.conf.d": (
        {**A, "usr/bin/a": plain(needed=("libb.so",)), "etc/ld.so.conf.d/b.conf": "/opt/b\n",
         "opt/b/libb.so": library("libb.so")}, "/opt/b/libb.so"),
    "a library that a dlopen note names": (
        {**A, "usr/bin/a": plain(notes=dlopen("libb.so")), f"{LIBRARIES}/libb.so": library("libb.so")},
        f"/{LIBRARIES}/libb.so"),
    "a module of nsswitch.conf": (
        {**A, "usr/bin/a": plain(needed=("libc.so.6",)), f"{LIBRARIES}/libc.so.6": library("libc.so.6"),
         "etc/nsswitch.conf": "hosts: files [!UNAVAIL=return] extra\n",
         f"{LIBRARIES}/libnss_extra.so.2": library("libnss_extra.so.2")}, f"/{LIBRARIES}/libnss_extra.so.2"),
    "a library that glibc loads by itself": (
        {**A, "usr/bin/a": plain(needed=("libc.so.6",)), f"{LIBRARIES}/libc.so.6": library("libc.so.6"),
         f"{LIBRARIES}/libgcc_s.so.1": library("libgcc_s.so.1")}, f"/{LIBRARIES}/libgcc_s.so.1"),
    "a library that systemd loads with the one for the TPM": (
        {**A, "usr/bin/a": plain(notes=dlopen("libtss2-esys.so.0")),
         f"{LIBRARIES}/libtss2-esys.so.0": link("libtss2-esys.so.0.0.1"),
         f"{LIBRARIES}/libtss2-esys.so.0.0.1": library("libtss2-esys.so.0"),
         f"{LIBRARIES}/libtss2-tcti-device.so.0": library("libtss2-tcti-device.so.0")},
        f"/{LIBRARIES}/libtss2-tcti-device.so.0"),
    "a program that the bus starts": (
        {**started("ExecStart=/usr/bin/dbus-daemon"), "usr/bin/dbus-daemon": plain(), "usr/bin/x": plain(),
         "usr/share/dbus-1/system-services/x.service": "[D-BUS Service]\nName=x\nExec=/usr/bin/x --now\n"},
        "/usr/bin/x"),
    "the interpreter of a script": (
        {**A, "usr/bin/a": file("#!/usr/bin/python3 -S\n", 0o755), "usr/bin/python3": plain()}, "/usr/bin/python3"),
    "the interpreter of a script, which NUL ends": (
        {**A, "usr/bin/a": file("#!/usr/bin/python3\0-S\n", 0o755), "usr/bin/python3": plain()}, "/usr/bin/python3"),
    "what the manager starts by itself": (
        {**A, "usr/bin/a": plain(), "usr/lib/systemd/systemd-executor": plain(),
         "usr/lib/systemd/systemd-shutdown": plain(), "usr/lib/systemd/systemd": plain(),
         f"{UNITS}/a.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/lib/systemd/systemd\n"},
        "/usr/lib/systemd/systemd-shutdown"),
    "a snippet of a program that runs": (
        {**started("ExecStart=systemd-tmpfiles"), "usr/bin/systemd-tmpfiles": plain(),
         "usr/lib/tmpfiles.d/own.conf": "d /run/a\n"}, "/usr/lib/tmpfiles.d/own.conf"),
    "what a snippet copies": (
        {**started("ExecStart=systemd-tmpfiles"), "usr/bin/systemd-tmpfiles": plain(),
         "usr/lib/tmpfiles.d/own.conf": "C /run/a - - - - /usr/share/a\n", "usr/share/a": "x"}, "/usr/share/a"),
}
# What pulls in b.service, which is started by default.target's file or by a.service.
PULLS: dict[str, dict[str, Content]] = {
    "Wants=": {f"{UNITS}/default.target": "[Unit]\nWants=b.service\n"},
    "Requires=": {f"{UNITS}/default.target": "[Unit]\nRequires=b.service\n"},
    "OnFailure=": {f"{UNITS}/default.target": "[Unit]\nOnFailure=b.service\n"},
    "a link in .wants": {
        f"{UNITS}/default.target": "[Unit]\n", f"{UNITS}/default.target.wants/b.service": link("../b.service")},
    "a link in .requires of /etc": {
        f"{UNITS}/default.target": "[Unit]\n",
        "etc/systemd/system/default.target.requires/b.service": link(f"/{UNITS}/b.service")},
    "an alias": {
        f"{UNITS}/default.target": "[Unit]\nWants=other.service\n", f"{UNITS}/other.service": link("b.service")},
    "a socket": {
        f"{UNITS}/default.target": "[Unit]\nWants=b.socket\n",
        f"{UNITS}/b.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/b\n"},
    "a socket that names its service": {
        f"{UNITS}/default.target": "[Unit]\nWants=x.socket\n",
        f"{UNITS}/x.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/b\nService=b.service\n"},
    "a timer": {
        f"{UNITS}/default.target": "[Unit]\nWants=b.timer\n",
        f"{UNITS}/b.timer": "[Unit]\nDefaultDependencies=no\n[Timer]\nOnBootSec=1\n"},
    "a path": {
        f"{UNITS}/default.target": "[Unit]\nWants=b.path\n",
        f"{UNITS}/b.path": "[Unit]\nDefaultDependencies=no\n[Path]\nPathExists=/run/b\n"},
    "systemctl in a unit": {
        f"{UNITS}/default.target": "[Unit]\nWants=a.service\n",
        f"{UNITS}/a.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/b start b.service\n"},
    "default dependencies": {
        f"{UNITS}/default.target": "[Unit]\nWants=a.timer\n",
        f"{UNITS}/a.timer": "[Timer]\nUnit=default.target\n", f"{UNITS}/sysinit.target": "[Unit]\nWants=b.service\n"},
    "a device": {
        f"{UNITS}/default.target": "[Unit]\nWants=udev.service\n",
        f"{UNITS}/udev.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/udevadm\n",
        "usr/bin/udevadm": plain(),
        "usr/lib/udev/rules.d/a.rules": 'ACTION=="add", ENV{SYSTEMD_WANTS}+="b.service"\n'},
    "the bus": {
        f"{UNITS}/default.target": "[Unit]\nWants=bus.service\n",
        f"{UNITS}/bus.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/dbus-daemon\n",
        "usr/bin/dbus-daemon": plain(),
        "usr/share/dbus-1/system-services/b.service":
            "[D-BUS Service]\nName=b\nExec=/bin/false\nSystemdService=b.service\n"},
    "a generator": {
        f"{UNITS}/default.target": "[Unit]\nWants=a.service\n",
        f"{UNITS}/a.service":
            "[Unit]\nDefaultDependencies=no\n[Service]\n"
            "ExecStart=/usr/lib/systemd/system-generators/systemd-fstab-generator\n",
        "usr/lib/systemd/system-generators/systemd-fstab-generator": plain(),
        f"{UNITS}/local-fs.target": "[Unit]\nWants=b.service\n"},
}
# fmt: on


@pytest.mark.parametrize("name", EDGES)
def test_the_closure_has(name: str) -> None:
    files, path = EDGES[name]
    assert path in closed(files).paths


@pytest.mark.parametrize("name", PULLS)
def test_a_unit_is_pulled_in_by(name: str) -> None:
    service = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/b\n"
    found = closed({f"{UNITS}/b.service": service, "usr/bin/b": plain(), **PULLS[name]})
    assert "b.service" in found.units
    assert "/usr/bin/b" in found.paths


def test_an_instance_is_started_from_its_template() -> None:
    files: dict[str, Content] = {
        f"{UNITS}/default.target": "[Unit]\nWants=b@one.service\n",
        f"{UNITS}/b@.service": "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/usr/bin/%i\n",
        "usr/bin/one": plain(),
    }
    assert f"/{UNITS}/b@.service" in closed(files).paths
    assert "/usr/bin/one" in closed(files).paths


def test_an_instance_whose_name_is_too_long_for_systemd_is_passed_over() -> None:
    files: dict[str, Content] = {
        f"{UNITS}/default.target": "[Unit]\nWants=b@aa.service\n",
        f"{UNITS}/b@.service": "[Unit]\nDefaultDependencies=no\nWants=b@%i%i.service\n",
    }
    assert max(map(len, closed(files).units)) < 256


def test_a_socket_that_accepts_starts_instances() -> None:
    files: dict[str, Content] = {
        f"{UNITS}/default.target": "[Unit]\nWants=b.socket\n",
        f"{UNITS}/b.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/b\nAccept=yes\n",
        f"{UNITS}/b@.service": "[Unit]\nDefaultDependencies=no\n",
    }
    assert "b@.service" in closed(files).units


def test_a_mount_unit_needs_the_programs_that_mount() -> None:
    files: dict[str, Content] = {
        f"{UNITS}/default.target": "[Unit]\nWants=run-a.mount\n",
        f"{UNITS}/run-a.mount": "[Mount]\nWhat=tmpfs\nWhere=/run/a\n",
        "usr/bin/mount": plain(),
        "usr/bin/umount": plain(),
    }
    assert {"/usr/bin/mount", "/usr/bin/umount"} <= closed(files).paths.keys()


def test_an_automount_unit_leads_to_its_mount_unit_and_to_the_module() -> None:
    files: dict[str, Content] = {
        f"{KERNEL}/modules.dep": "kernel/autofs4.ko.xz:\n",
        f"{KERNEL}/kernel/autofs4.ko.xz": lzma.compress(b"license=GPL\0"),
        f"{UNITS}/default.target": "[Unit]\nWants=run-a.automount\n",
        f"{UNITS}/run-a.automount": "[Automount]\nWhere=/run/a\n",
        f"{UNITS}/run-a.mount": "[Mount]\nWhat=tmpfs\nWhere=/run/a\n",
        "usr/bin/mount": plain(),
        "usr/bin/umount": plain(),
    }
    found = closed(files)
    assert "run-a.mount" in found.units
    assert f"/{KERNEL}/kernel/autofs4.ko.xz" in found.paths


@pytest.mark.parametrize(
    ("line", "has_module"),
    [
        ("tmpfs /srv tmpfs nosuid,x-systemd.automount,nodev 0 0", True),
        ("tmpfs /srv tmpfs comment=systemd.automount", True),
        ("tmpfs /srv tmpfs nosuid 0 0", False),
        ("tmpfs /srv tmpfs x-systemd.automount-not 0 0", False),
        ("# tmpfs /srv tmpfs x-systemd.automount 0 0", False),
        ("tmpfs /srv tmpfs", False),
    ],
)
def test_an_automount_of_fstab_needs_the_module(line: str, has_module: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    generator = "usr/lib/systemd/system-generators/systemd-fstab-generator"
    module = f"{KERNEL}/kernel/autofs4.ko.xz"
    files: dict[str, Content] = {
        f"{KERNEL}/modules.dep": "kernel/autofs4.ko.xz:\n",
        module: lzma.compress(b"license=GPL\0"),
        f"{UNITS}/default.target": "[Unit]\n",
        generator: plain(),
        "etc/fstab": f"{line}\n",
    }
    assert (f"/{module}" in closed(files, f"{RULES}[keep]\n/{generator}\n").paths) is has_module


def test_a_masked_unit_keeps_its_mask_and_starts_nothing() -> None:
    files = {**A, "etc/systemd/system/a.service": link("/dev/null"), "usr/bin/a": plain()}
    found = closed(files).paths
    assert "/etc/systemd/system/a.service" in found
    assert "/usr/bin/a" not in found


def test_what_nothing_needs_is_not_in_the_closure() -> None:
    files = {**A, "usr/bin/a": plain(), "usr/bin/b": plain(), f"{UNITS}/b.service": "[Service]\nExecStart=/usr/bin/b\n"}
    found = closed(files).paths
    assert not {"/usr/bin/b", f"/{UNITS}/b.service"} & found.keys()


def test_a_rule_keeps_what_nothing_is_seen_to_need() -> None:
    files: dict[str, Content] = {f"{UNITS}/default.target": "[Unit]\n", "etc/x/y/z": "1", "etc/x/w": "1"}
    rules = f"{RULES}[keep]\n/etc/x/*\n"
    assert {"/etc/x/w", "/etc/x/y"} <= closed(files, rules).paths.keys()
    assert "/etc/x/y/z" not in closed(files, rules).paths
    assert "/etc/x/y/z" in closed(files, f"{RULES}[keep]\n/etc/**\n").paths


@pytest.mark.parametrize(
    "rule", ['RUN+="x_id $devnode"', 'PROGRAM=="x_id"', 'IMPORT{program}="/usr/lib/udev/x_id --export"']
)
def test_udev_needs_the_programs_of_its_rules(rule: str) -> None:
    files = {**UDEV, "usr/lib/udev/rules.d/a.rules": rule, "usr/lib/udev/x_id": plain()}
    found = closed(files).paths
    assert {"/usr/lib/udev/x_id", "/usr/lib/udev/rules.d/a.rules"} <= found.keys()


@pytest.mark.parametrize("pattern", ["a_one", "a-one", "a*"])
def test_a_module_comes_with_what_it_depends_on_and_its_firmware(pattern: str) -> None:
    found = closed(MODULES, f"{RULES}[modules]\n{pattern}\n").paths
    kept = {path.rpartition("/")[2] for path in found}
    assert {"a-one.ko.xz", "b.ko.xz", "c.ko.xz", "blob.bin.xz", "modules.order"} <= kept
    assert not {"d.ko.xz", "other.bin"} & kept


def test_a_module_that_is_built_in_is_there() -> None:
    assert f"/{KERNEL}/kernel/b.ko.xz" not in closed(MODULES, f"{RULES}[modules]\next4\n").paths


@pytest.mark.parametrize(
    "files",
    [
        {f"{UNITS}/default.target": "[Unit]\nWants=modprobe@a_one.service\n", f"{UNITS}/modprobe@.service": "[Unit]\n"},
        {**started("ExecStart=/usr/lib/systemd/systemd-modules-load"), "usr/lib/systemd/systemd-modules-load": plain(),
         "usr/lib/modules-load.d/a.conf": "# why\na-one\n"},
        {**UDEV, "usr/lib/udev/rules.d/a.rules": 'RUN{builtin}+="kmod load a_one"'},
    ],
    ids=["modprobe@", "modules-load.d", "udev"],
)  # fmt: skip
def test_a_module_is_loaded_by(files: dict[str, Content]) -> None:
    sysinit: dict[str, Content] = {f"{UNITS}/sysinit.target": "[Unit]\n"}
    assert f"/{KERNEL}/kernel/a-one.ko.xz" in closed({**MODULES, **sysinit, **files}).paths


def test_snippets_of_packages_of_which_nothing_runs_are_not_needed() -> None:
    files = {
        **started("ExecStart=systemd-tmpfiles"),
        "usr/bin/systemd-tmpfiles": plain(),
        "usr/lib/tmpfiles.d/gone.conf": "d /run/gone\n",
        "usr/lib/tmpfiles.d/there.conf": "d /run/there\n",
    }
    owners = {
        "usr/lib/tmpfiles.d/gone.conf": "gone",
        "usr/lib/tmpfiles.d/there.conf": "there",
        "usr/bin/systemd-tmpfiles": "there",
    }
    found = closed(files, owners=owners).paths
    assert "/usr/lib/tmpfiles.d/there.conf" in found
    assert "/usr/lib/tmpfiles.d/gone.conf" not in found


def test_a_library_that_a_program_has_loaded_is_found_for_others() -> None:
    files = {
        **A,
        "usr/bin/a": plain(needed=("liba.so", "libb.so"), runpath="/opt"),
        "opt/liba.so": library("liba.so", needed=("libb.so",)),
        "opt/libb.so": library("libb.so"),
    }
    assert "/opt/libb.so" in closed(files).paths


def test_a_program_in_the_root_of_a_unit_takes_its_libraries_from_there() -> None:
    root = "usr/lib/root"
    files = {
        **started("RootDirectory=/usr/lib/root\nExecStart=/usr/bin/a"),
        f"{root}/usr/bin/a": plain(needed=("libb.so",)),
        f"{LIBRARIES}/libb.so": library("libb.so"),
    }
    assert f"/{LIBRARIES}/libb.so" not in closed(files).paths
