"""What systemd does not take for a file hides no file behind it."""

from __future__ import annotations

import stat

import pytest

from builder.facts.counting import may_stand_for
from policies.registry import by_id
from tests.fact_trees import Content, Entry, device, facts, file, folder, link, program

LIB = "usr/lib/systemd/system"
ETC = "etc/systemd/system"
BAD = "[Service]\nExecStart=/run/x\n"
OTHERS: dict[str, Content] = {
    f"{LIB}/y.socket": "[Socket]\n", f"{LIB}/y.service": "[Service]\nExecStart=/y\n",
    f"{LIB}/t@.service": "[Service]\n", f"{LIB}/t@a.service": "[Service]\n",
    f"{LIB}/n.socket": link("/dev/null"), f"{LIB}/none": "",
}  # fmt: skip
NO_FILES = {
    "folder": folder(), "dangling": link("/none"), "fifo": Entry(mode=stat.S_IFIFO | 0o644),
    "to a folder": link("/usr"), "socket": Entry(mode=stat.S_IFSOCK | 0o644),
    "device": device(stat.S_IFCHR, 1, 5), "zero": link("/dev/zero"),
}  # fmt: skip
NO_ALIASES = {
    "x.service": ("y.socket", "n.socket", f"/{LIB}/y.socket", "t@.service", "none", f"/{LIB}/none", "gone.service",
                  f"/{LIB}/gone.service", "x.service", "../system/x.service", f"/{LIB}/none.d/../y.socket"),
    "g@.service": (f"/{LIB}/y.service", f"/{LIB}/t@a.service"),
    "g@b.service": (f"/{LIB}/y.service", f"/{LIB}/t@a.service"),
    "x.mount": (f"/{LIB}/z.mount",),
}  # fmt: skip


def gaps(files: dict[str, Content]) -> list[str]:
    found = [finding.subject for finding in by_id()["ZOA-919"].check(facts(root=files), {})]
    assert [finding.subject for finding in by_id()["ZOA-919"].check(facts(initrd=files), {})] == [
        subject.replace("root:", "initrd:") for subject in found
    ]
    return found


@pytest.mark.parametrize("entry", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_hides_no_unit(entry: Content) -> None:
    files = {f"{LIB}/x.service": BAD, f"{ETC}/x.service": entry}
    assert [item.path for item in facts(root=files).root.units["x.service"].programs] == ["/run/x"]
    assert gaps(files) == [f"unread:root:/{ETC}/x.service"]


@pytest.mark.parametrize(("name", "target"), [(name, target) for name, all_ in NO_ALIASES.items() for target in all_])
def test_a_link_that_is_no_alias_hides_no_unit(name: str, target: str) -> None:
    files = {**OTHERS, f"{LIB}/z.mount": "[Mount]\nWhat=/z\n", f"{LIB}/{name}": BAD, f"{ETC}/{name}": link(target)}
    unit = facts(root=files).root.units[name]
    assert (unit.path, unit.masked_by) == (f"/{LIB}/{name}", None)
    assert gaps(files) == [f"unread:root:/{ETC}/{name}"]


@pytest.mark.parametrize(
    ("name", "target", "unit"),
    [
        ("x.service", "y.service", "y.service"),
        ("x.service", f"/{LIB}/y.service", "y.service"),
        ("x.service", f"/{ETC}/y.service", "y.service"),
        ("x.service", f"/{LIB}/t@a.service", "t@a.service"),
        ("g@.service", f"/{LIB}/t@.service", "t@.service"),
        ("g@a.service", f"/{LIB}/t@a.service", "t@a.service"),
        ("g@a.service", f"/{LIB}/t@.service", "t@.service"),
    ],
)
def test_an_alias_takes_the_place_of_a_unit(name: str, target: str, unit: str) -> None:
    files = {**OTHERS, f"{LIB}/{name}": BAD, f"{ETC}/{name}": link(target)}
    assert facts(root=files).root.units[name].name == unit
    assert gaps(files) == []


@pytest.mark.parametrize("kind", ["service", "socket", "target", "device", "timer", "path"])
def test_units_of_one_type_stand_for_each_other(kind: str) -> None:
    assert may_stand_for(f"a.{kind}", f"b.{kind}")


@pytest.mark.parametrize("kind", ["mount", "automount", "swap", "slice", "scope"])
def test_units_that_have_a_name_by_what_they_are_have_no_alias(kind: str) -> None:
    assert not may_stand_for(f"a.{kind}", f"b.{kind}")


@pytest.mark.parametrize("mask", [link("/dev/null"), link("../../../dev/null"), link("//dev/null"), file("")])
def test_a_mask_counts_however_it_is_spelled(mask: Content) -> None:
    files = {f"{LIB}/x.service": BAD, f"{ETC}/x.service": mask}
    assert facts(root=files).root.units["x.service"].masked_by == f"/{ETC}/x.service"
    assert gaps(files) == []


@pytest.mark.parametrize("entry", NO_FILES.values(), ids=NO_FILES)
@pytest.mark.parametrize(
    "path",
    ["sysctl.d/a.conf", "systemd/system.conf", "systemd/system.conf.d/a.conf", "udev/rules.d/a.rules",
     "systemd/system-preset/a.preset", "systemd/network/a.network", "systemd/network/a.netdev",
     "systemd/network/a.link", "systemd/dnssd/a.dnssd"],
)  # fmt: skip
def test_what_is_no_file_before_configuration_is_a_finding(path: str, entry: Content) -> None:
    for root, lower in (("etc", "usr/lib"), ("usr/local/lib", "usr/lib"), ("etc", "usr/local/lib")):
        assert gaps({f"{root}/{path}": entry, f"{lower}/{path}": "a"}) == [f"unread:root:/{root}/{path}"]
        assert gaps({f"{root}/{path}": "a", f"{lower}/{path}": entry}) == []
    assert gaps({f"etc/{path}": entry}) == []
    assert gaps({f"etc/{path}": link("/dev/null"), f"usr/lib/{path}": "a"}) == []


@pytest.mark.parametrize("entry", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_hides_no_configuration(entry: Content) -> None:
    files = {
        "usr/lib/sysctl.d/a.conf": "kernel.sysrq=1\n", "etc/sysctl.d/a.conf": entry,
        "usr/lib/systemd/system.conf": "[Manager]\nCrashShell=yes\n", "etc/systemd/system.conf": entry,
        "usr/lib/udev/rules.d/a.rules": 'RUN+="/run/x"\n', "etc/udev/rules.d/a.rules": entry,
        f"{LIB}/x.service": "[Service]\n", f"{LIB}/x.service.d/a.conf": BAD, f"{ETC}/x.service.d/a.conf": entry,
    }  # fmt: skip
    found = facts(root=files).root
    assert [item.value for item in found.configuration.sysctl] == ["1"]
    assert [item.key for daemon in found.systemd.configuration for item in daemon.settings] == ["CrashShell"]
    assert [item.command for item in found.configuration.udev_programs] == ["/run/x"]
    assert [item.path for item in found.units["x.service"].programs] == ["/run/x"]


@pytest.mark.parametrize(
    ("entry", "masked"),
    [*((entry, False) for entry in NO_FILES.values()), (file("x", 0o644), False), (file(""), True),
     (file("", 0o755), True), (link("/dev/null"), True)],
)  # fmt: skip
def test_only_a_mask_hides_a_generator(entry: Content, *, masked: bool) -> None:
    folders = ("etc/systemd/system-generators", "usr/lib/systemd/system-generators")
    (found,) = facts(root={f"{folders[0]}/a": entry, f"{folders[1]}/a": program()}).root.systemd.generators
    assert (found.path, found.masked) == (f"/{folders[not masked]}/a", masked)


def test_the_first_generator_that_can_run_does() -> None:
    folders = ("etc/systemd/system-generators", "usr/local/lib/systemd/system-generators")
    (found,) = facts(root={f"{folder}/a": program() for folder in folders}).root.systemd.generators
    assert found.path == f"/{folders[0]}/a"
    (found,) = facts(root={f"{folders[0]}/a": folder()}).root.systemd.generators
    assert (found.path, found.masked) == (f"/{folders[0]}/a", True)
