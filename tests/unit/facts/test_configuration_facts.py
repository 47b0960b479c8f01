from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.facts.area import area, os_release
from builder.facts.boot_volumes import Gaps
from builder.facts.syntax import joined_lines
from builder.facts.text import merged, settings, statements
from tests.fact_trees import UNITS, Content, directory_facts, link, tree

if TYPE_CHECKING:
    from policies.facts import Configuration


def read(files: dict[str, Content]) -> Configuration:
    return area(tree({**UNITS, **files}), "root", Gaps()).configuration


def test_the_last_sysctl_file_by_name_holds() -> None:
    found = read(
        {
            "usr/lib/sysctl.d/50-a.conf": "kernel.sysrq = 1\n-kernel/x.y=2\nnet/ipv4/conf/eth0.1/forwarding = 0\n",
            "etc/sysctl.d/60-b.conf": "# comment\nkernel.sysrq=0\n-kernel.skipped\n",
            "usr/lib/sysctl.d/70-c.conf": "kernel.sysrq = 1\n",
            "etc/sysctl.d/70-c.conf": link("/dev/null"),
            "etc/sysctl.conf": "kernel.sysrq = 9\n",
        }
    ).sysctl
    values = {item.key: item for item in found}
    assert values["kernel.sysrq"].value == "0"
    assert str(values["kernel.sysrq"].origin) == "/etc/sysctl.d/60-b.conf:2"
    assert [str(origin) for origin in values["kernel.sysrq"].overridden] == ["/usr/lib/sysctl.d/50-a.conf:1"]
    assert values["kernel.x/y"].ignore_failure
    assert values["net.ipv4.conf.eth0/1.forwarding"].value == "0"
    assert values["kernel.skipped"].value is None


def test_modules_are_loaded_and_configured() -> None:
    found = read(
        {
            "etc/modules": "kgdboc\n",
            "etc/modules-load.d/modules.conf": link("../modules"),
            "usr/lib/modprobe.d/a.conf": "install usb-storage /bin/false  now\nblacklist x\n",
        }
    )
    assert [(item.name, item.origin.path) for item in found.modules_load] == [("kgdboc", "/etc/modules")]
    assert [(item.directive, item.module, item.rest) for item in found.modprobe] == [
        ("install", "usb-storage", "/bin/false  now"),
        ("blacklist", "x", ""),
    ]


def test_udev_rules_that_run_something_are_found() -> None:
    rules = (
        'ACTION=="add", RUN+="/bin/a b", \\\n  PROGRAM=="/bin/c"\n'
        'IMPORT{program}="d", RUN{builtin}+="kmod load"\n'
        'NAME="x", ENV{SYSTEMD_WANTS}+="e.service"\n'
    )
    found = area(
        tree({**UNITS, "usr/lib/udev/rules.d/1.rules": rules, "usr/lib/systemd/system/e.service": "[U]\n"}),
        "root",
        Gaps(),
    )
    assert [(item.key, item.command, item.origin.line) for item in found.configuration.udev_programs] == [
        ("RUN", "/bin/a b", 1),
        ("PROGRAM", "/bin/c", 1),
        ("IMPORT{program}", "d", 3),
        ("RUN{builtin}", "kmod load", 3),
        ("ENV{SYSTEMD_WANTS}", "e.service", 4),
    ]
    assert found.units["e.service"].pulled_in_by == ("/usr/lib/udev/rules.d/1.rules:4", "e.service")


def test_udev_rules_that_write_something_are_found() -> None:
    rules = (
        'KERNEL=="a", ATTR{b}!="1", SYSCTL{kernel.sysrq}="1", \\\n ATTR{../power/control} += e"\\x61 \\" b"\n'
        'ATTR{c}=="x", SYSCTL{d}=="y", ATTRS{e}="z"\nIMPORT{file}="/run/f"\n'
        'SYMLINK+="a b", NAME="c", SYMLINK=="d", SYMLINK-="e"\n'
    )
    found = area(tree({**UNITS, "usr/lib/udev/rules.d/1.rules": rules}), "root", Gaps()).configuration
    assert [(item.key, item.value, item.origin.line) for item in found.udev_settings] == [
        ("SYSCTL{kernel.sysrq}", "1", 1),
        ("ATTR{../power/control}", 'a " b', 1),
        ("SYMLINK", "a b", 5),
        ("NAME", "c", 5),
    ]
    assert [(item.key, item.command) for item in found.udev_programs] == [("IMPORT{file}", "/run/f")]


def test_tmpfiles_and_sysusers_have_their_fields() -> None:
    found = read(
        {
            "usr/lib/tmpfiles.d/a.conf": "f+^ /root/.ssh/authorized_keys 0600 root root - ssh.keys\nd /x\n",
            "usr/lib/sysusers.d/a.conf": 'u! a 5:6 "Some One" /home/a /bin/sh\ng b\n',
        }
    )
    first, second = found.tmpfiles
    assert (first.type, first.path, first.mode, first.argument) == (
        "f+^",
        "/root/.ssh/authorized_keys",
        "0600",
        "ssh.keys",
    )
    assert (second.mode, second.user, second.group, second.age, second.argument) == ("-", "-", "-", "-", "")
    user, group = found.sysusers
    assert (user.type, user.id, user.comment, user.home, user.shell) == ("u!", "5:6", "Some One", "/home/a", "/bin/sh")
    assert (group.name, group.id, group.shell) == ("b", "-", "")


def test_pam_stacks_of_etc_hide_those_of_the_vendor() -> None:
    found = read(
        {
            "etc/pam.d/login": "auth [success=1 default=ignore] pam_unix.so nullok\n@include common-auth\n",
            "usr/lib/pam.d/login": "auth sufficient pam_permit.so\n",
            "usr/lib/pam.d/other": "-session optional pam_x.so\n",
        }
    ).pam
    assert [(item.service, item.type, item.control, item.module, item.arguments) for item in found] == [
        ("login", "auth", "[success=1 default=ignore]", "pam_unix.so", ("nullok",)),
        ("login", "@include", "", "common-auth", ()),
        ("other", "-session", "optional", "pam_x.so", ()),
    ]


def test_services_of_the_bus_and_rules_of_polkit_are_listed() -> None:
    service = "[D-BUS Service]\nName=a.b\nExec=/bin/x\nUser=root\nSystemdService=x.service\n"
    found = read({"usr/share/dbus-1/system-services/a.service": service, "etc/polkit-1/rules.d/1.rules": "x"})
    (bus,) = found.dbus_services
    assert (bus.name, bus.bus, bus.exec, bus.user, bus.systemd_unit) == ("a.b", "system", "/bin/x", "root", "x.service")
    assert [(item.path, item.kind) for item in found.polkit] == [("/etc/polkit-1/rules.d/1.rules", "rules")]


def test_mounts_come_from_fstab_and_units() -> None:
    found = read(
        {
            "etc/fstab": "# none\nLABEL=x /x ext4 ro,nosuid 0 2\n/dev/y none swap\n",
            "etc/systemd/system/run-x.mount": "[Mount]\nWhat=tmpfs\nWhere=/run/x\nType=tmpfs\nOptions=nosuid,nodev\n",
            "usr/lib/systemd/system/s.swap": "[Swap]\nWhat=/dev/z\n",
        }
    ).mounts
    assert [(item.what, item.where, item.type, item.options, item.unit) for item in found] == [
        ("LABEL=x", "/x", "ext4", ("ro", "nosuid"), None),
        ("/dev/y", "none", "swap", (), None),
        ("tmpfs", "/run/x", "tmpfs", ("nosuid", "nodev"), "run-x.mount"),
        ("/dev/z", "none", "swap", (), "s.swap"),
    ]


def test_mount_points_are_where_their_links_lead() -> None:
    found = read(
        {
            "a": link("/etc"),
            "etc/fstab": "x /./a//b/../c/ tmpfs\nx a/b tmpfs\nx a swap\n",
            "etc/systemd/system/a-d.mount": "[Mount]\nWhat=tmpfs\nWhere=//a/d\nType=tmpfs\n",
        }
    ).mounts
    assert [item.where for item in found] == ["/etc/c", "/etc/b", "a", "/etc/d"]


def test_continued_lines_keep_the_number_of_the_first() -> None:
    found = list(statements(tree({"a": "one \\\n# in between\n two\n\nthree\\\n"}), "/a", joined_lines))
    assert [(origin.line, text) for origin, text in found] == [(1, "one  two"), (5, "three")]


def test_an_empty_assignment_resets_only_its_own_key() -> None:
    found = merged(list(settings(tree({"a": "[S]\nA=1\nB=2\nA=\nA=3\n[T]\nA=\nno assignment\n"}), "/a")))
    assert [(item.section, item.key, item.value) for item in found] == [("S", "B", "2"), ("S", "A", "3")]


def test_os_release_is_read_from_etc_first() -> None:
    files: dict[str, Content] = {"etc/os-release": "ID=\"a b\"\n# x\nV='1'\n", "usr/lib/os-release": "ID=vendor\n"}
    assert os_release(tree(files)) == {"ID": "a b", "V": "1"}
    assert os_release(tree({})) == {}


def test_name_services_are_read_without_their_actions() -> None:
    text = "# passwd: nis\npasswd: files [NOTFOUND=return SUCCESS=return] sss # ldap\nhosts:dns\n"
    services = directory_facts({"etc/nsswitch.conf": text}).root.accounts.name_services
    found = [(item.database, item.service, item.origin.line) for item in services]
    assert found == [("passwd", "files", 2), ("passwd", "sss", 2), ("hosts", "dns", 3)]


def test_stacks_that_lie_elsewhere_are_read_where_a_rule_names_them() -> None:
    found = read(
        {
            "etc/pam.d/login": "AUTH Include /opt/s\n-auth substack ../../opt/t\n@include /opt/s\n@include other\n",
            "etc/pam.d/other": "auth required pam_unix.so [nullok] x=[y] [a b]\n",
            "opt/s": "auth Sufficient pam_permit.so\nauth include /opt/s\n",
            "opt/t": "auth [Default=OK] pam_permit.so\n",
        }
    ).pam
    assert [(item.service, item.type, item.control, item.module, item.arguments) for item in found] == [
        ("login", "auth", "include", "/opt/s", ()),
        ("login", "-auth", "substack", "../../opt/t", ()),
        ("login", "@include", "", "/opt/s", ()),
        ("login", "@include", "", "other", ()),
        ("other", "auth", "required", "pam_unix.so", ("nullok", "x=[y]", "a b")),
        ("s", "auth", "sufficient", "pam_permit.so", ()),
        ("s", "auth", "include", "/opt/s", ()),
        ("t", "auth", "[default=ok]", "pam_permit.so", ()),
    ]


def test_only_escapes_of_marked_strings_of_udev_are_decoded() -> None:
    rules = r"""RUN+=e"\x2fa\057b", RUN+="\x2fc", RUN=ie"/\u0064\s\q" """
    found = read({"etc/udev/rules.d/a.rules": rules}).udev_programs
    assert [item.command for item in found] == ["/a/b", r"\x2fc", r"/d \q"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ('ENV{A}="RUN=", RUN+="/x"', [("RUN", "/x")]),
        (r'ENV{A}="\\", RUN+="/x"' + '", RUN+="/y"', []),
        (r'ENV{A}="\\", RUN+=", RUN+="/x"', [("RUN", "/x")]),
        (r'RUN+="/x \"y\" \\"', []),
        (r'RUN+="/x \"y\" z"', [("RUN", '/x "y" z')]),
        ('GOTO="end",,RUN+="/x"LABEL="end"', [("RUN", "/x")]),
        ('RUN {program}+="/x"', []),
        ('RUN{program} += i"/x" RUN ei"/y"', [("RUN{program}", "/x")]),
        ('RUN=ee"/x"', []),
        ('RUN-="/x", XRUN="/y", RUN{other}="/z", IMPORT{builtin}="A"', [("IMPORT{builtin}", "A")]),
        ('PROGRAM!="/x", IMPORT{program}:="/y"', [("PROGRAM", "/x"), ("IMPORT{program}", "/y")]),
    ],
)
def test_rules_of_udev_are_read_pair_by_pair(rules: str, expected: list[tuple[str, str]]) -> None:
    found = read({"etc/udev/rules.d/a.rules": rules}).udev_programs
    assert [(item.key, item.command) for item in found] == expected


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("f /opt/a/x", "/run/systemd/x"),
        ("f /run/b/c/x", "/run/systemd/x"),
        ("w /opt/a", "/run/systemd"),
        ("L /opt/a", "/opt/a"),
        ("r /opt/a", "/opt/a"),
        ("f /proc/self/cwd/run/x", "/run/x"),
        ("f /proc/1/task/1/root/run/x", "/run/x"),
        ("f %S/../../run/x", "/run/x"),
        ("f %t/%%t/%m", "/run/%t/%m"),
        ("f /opt/loop/x", "/opt/loop/x"),
    ],
)
def test_the_path_of_tmpfiles_is_where_it_leads(line: str, path: str) -> None:
    files: dict[str, Content] = {
        "opt/a": link("/run/systemd"),
        "opt/loop": link("loop"),
        "usr/lib/tmpfiles.d/a.conf": f"L /run/b - - - - /run/d\n{line} - - - - x\nL /run/d/c - - - - ../systemd\n",
    }
    found = read(files).tmpfiles
    assert found[1].path == path
