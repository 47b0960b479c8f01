from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError
from builder.facts.systemd import systemd
from policies.facts import Edge, Origin
from tests.fact_trees import UNITS, facts, file, link, tree

if TYPE_CHECKING:
    from policies.facts import Systemd, Unit
    from tests.fact_trees import Content

LIB = "usr/lib/systemd/system"
ETC = "etc/systemd/system"


def read(files: dict[str, Content], start: str = "default.target") -> Systemd:
    return systemd(tree({**UNITS, **files}), start)


def unit(name: str, files: dict[str, Content]) -> Unit:
    return next(found for found in read(files).units if found.name == name)


def test_a_file_in_etc_hides_that_of_the_vendor() -> None:
    found = unit("a.service", {f"{LIB}/a.service": "[Service]\nExecStart=/vendor\n", f"{ETC}/a.service": "[Unit]\n"})
    assert (found.path, found.shadowed, found.programs) == (f"/{ETC}/a.service", (f"/{LIB}/a.service",), ())


@pytest.mark.parametrize("mask", [link("/dev/null"), file("")])
def test_a_mask_leaves_nothing_to_start(mask: Content) -> None:
    files = {
        f"{LIB}/a.service": "[Service]\nExecStart=/a\n",
        f"{ETC}/a.service": mask,
        f"{LIB}/basic.target.wants/a.service": link("../a.service"),
    }
    found = unit("a.service", files)
    assert found.masked_by == f"/{ETC}/a.service"
    assert (found.path, found.programs, found.edges, found.pulled_in_by) == (None, (), (), None)


def test_drop_ins_apply_by_name_over_all_directories() -> None:
    found = unit(
        "a-b@.service",
        {
            f"{LIB}/a-b@.service": "[Service]\nExecStart=/first\n",
            f"{LIB}/a-b@.service.d/50.conf": "[Service]\nExecStart=\nExecStart=/second\n",
            f"{ETC}/a-.service.d/60.conf": "[Service]\nExecStart=/third\n",
            f"{LIB}/service.d/10.conf": "[Service]\nUser=nobody\n",
            f"{LIB}/service.d/20.conf": "[Service]\nUser=root\n",
            f"{ETC}/service.d/20.conf": link("/dev/null"),
        },
    )
    assert [path.rpartition("/")[2] for path in found.drop_ins] == ["10.conf", "50.conf", "60.conf"]
    assert [program.path for program in found.programs] == ["/second", "/third"]
    assert [setting.value for setting in found.values("Service", "User")] == ["nobody"]
    assert found.template


def test_drop_ins_of_an_instance_are_those_of_its_template_and_of_all_that_begins_so() -> None:
    names = ("a-b@q", "a-b@", "a-", "a-@q", "a-@")
    files: dict[str, Content] = {f"{ETC}/{name}.service.d/{name}.conf": "[Unit]\n" for name in (*names, "a-b-", "a@q")}
    files |= {f"{ETC}/{name}.service.d/x.conf": f"[Service]\nUser={name}\n" for name in names}
    found = unit("a-b@q.service", {f"{ETC}/a-b@.service": "[Service]\n", **files})
    assert {path.rpartition("/")[2] for path in found.drop_ins} == {"x.conf", *(f"{name}.conf" for name in names)}
    assert [setting.value for setting in found.values("Service", "User")] == ["a-b@q"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("sysroot.mount.d", "sysroot.mount"),
        ("systemd-veritysetup@root.service.d", "systemd-veritysetup@root.service"),
        ("dev-vda.device.d", "dev-vda.device"),
        ("mount.d", "-.mount"),
        ("-.slice.d", "-.slice"),
        ("init.scope.d", "init.scope"),
    ],
)
def test_a_unit_without_a_file_is_there_with_its_drop_ins(folder: str, name: str) -> None:
    files: dict[str, Content] = {
        f"{ETC}/{folder}/x.conf": "[Unit]\nWants=b@i.service\n",
        f"{ETC}/b@.service": "[Service]\n",
    }
    found = unit(name, files)
    assert (found.path, found.drop_ins) == (None, (f"/{ETC}/{folder}/x.conf",))
    assert unit("b@i.service", files).pulled_in_by == (name, "b@i.service")


def test_a_unit_without_a_file_brings_in_what_its_directory_of_dependencies_links() -> None:
    files: dict[str, Content] = {
        f"{ETC}/dev-vda.device.wants/b@i.service": link("/x"),
        f"{ETC}/b@.service": "[Service]\n",
    }
    assert unit("b@i.service", files).pulled_in_by == ("dev-vda.device", "b@i.service")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            r"a-b\x2dc@d-e.service",
            [r"a-b\x2dc@d-e.service", r"a-b\x2dc", "a/b-c", r"b\x2dc", "b-c", "d-e", "d/e", "/d/e"],
        ),
        ("a-b.service", ["a-b.service", "a-b", "a/b", "b", "b", "", "", "/a/b"]),
        ("a@.service", ["a@.service", "a", "a", "a", "a", "%i", "%I", "%f"]),
    ],
)
def test_specifiers_say_what_the_name_says(name: str, expected: list[str]) -> None:
    found = unit(name, {f"{ETC}/{name}": "[Service]\nExecStart=/x %n %p %P %j %J %i %I %f\nUser=%N %u%%u %m\n"})
    assert list(found.programs[0].arguments) == expected
    assert found.values("Service", "User")[0].value == f"{name.removesuffix('.service')} root%%u %m"


def test_variables_of_a_unit_stand_in_its_commands() -> None:
    text = (
        "Environment=x A=/run 'B=x y'\nEnvironmentFile=/etc/d\n"
        'ExecStart=/x ${A}/b $B ${C} $A/z $$A $${A} ${D} ""\nExecStop=:/x ${A}\n'
    )
    found = unit("a.service", {f"{LIB}/a.service": f"[Service]\n{text}", "etc/d": "D=1\n"})
    assert [item.arguments for item in found.programs] == [
        ("/run/b", "x", "y", "${C}", "$A/z", "$$A", "$${A}", "1", ""),
        ("${A}",),
    ]


def test_systemctl_starts_services_by_names_without_a_type() -> None:
    text = (
        "ExecStart=/usr/bin/systemctl --no-block start b c.target\nExecStop=systemctl stop d\nExecStop=systemctl\n"
        "ExecStop=systemctl start stop\nExecStop=/x start e\n"
    )
    found = unit("a.service", {f"{LIB}/a.service": f"[Unit]\nDefaultDependencies=no\n[Service]\n{text}"})
    assert [(edge.kind, edge.unit) for edge in found.edges] == [
        ("systemctl", name) for name in ("b.service", "c.target", "stop.service")
    ]


@pytest.mark.parametrize(
    "rule",
    [
        'ENV{SYSTEMD_WANTS}+="a.service"',
        "ENV{SYSTEMD_WANTS}=\"x.target 'a'\"",
        'RUN+="/usr/bin/systemctl --no-block start a"',
        "PROGRAM=\"systemctl start 'a.service'\"",
    ],
)
def test_a_rule_of_udev_starts_units_by_name_and_by_systemctl(rule: str) -> None:
    files = {f"{LIB}/a.service": "[Service]\n", "etc/udev/rules.d/x.rules": f"{rule}\n"}
    found = next(item for item in facts(files).root.systemd.units if item.name == "a.service")
    assert found.pulled_in_by == ("/etc/udev/rules.d/x.rules:1", "a.service")


def test_instances_that_an_event_or_systemctl_starts_are_there() -> None:
    files: dict[str, Content] = {
        f"{LIB}/basic.target.wants/a.service": link("../a.service"),
        f"{LIB}/a.service": "[Unit]\nOnFailure=b@x.service\n[Service]\nExecStart=systemctl start -q b@y.service\n"
        "ExecStop=/usr/bin/systemctl stop b@z.service\nExecStop=/x b@w.service\n",
        f"{LIB}/b@.service": "[Unit]\nOnSuccess=c@%i.service\n[Service]\n",
        f"{LIB}/c@.service": "[Service]\n",
    }
    units = {item.name: item for item in read(files).units}
    assert {name for name in units if "@" in name} == {
        *("b@.service", "b@x.service", "b@y.service", "c@.service", "c@x.service", "c@y.service")
    }
    assert units["b@x.service"].pulled_in_by is None
    assert units["b@y.service"].pulled_in_by is not None


def test_drop_ins_of_an_instance_that_nothing_starts_are_read() -> None:
    files = {f"{ETC}/b@.service": "[Service]\n", f"{ETC}/b@i.service.d/x.conf": "[Service]\nExecStart=/x\n"}
    assert [program.path for program in unit("b@i.service", files).programs] == ["/x"]


def test_an_empty_assignment_does_not_take_dependencies_away() -> None:
    found = unit("a.target", {f"{LIB}/a.target": "[Unit]\nWants=b.service\nWants=\n"})
    assert [(edge.kind, edge.unit) for edge in found.edges] == [("Wants", "b.service")]


def test_the_start_reaches_units_by_links_aliases_and_sockets() -> None:
    found = read(
        {
            f"{ETC}/default.target": link("/usr/lib/systemd/system/multi-user.target"),
            f"{LIB}/multi-user.target": "[Unit]\nRequires=basic.target\n",
            f"{LIB}/sockets.target.wants/s.socket": link("../s.socket"),
            f"{LIB}/s.socket": "[Socket]\nListenStream=22\nListenStream=vsock::22\nListenDatagram=/run/s\nAccept=yes\n",
            f"{LIB}/s@.service": "[Service]\nExecStart=-/usr/sbin/sshd -i\n",
            f"{LIB}/idle.service": "[Service]\nExecStart=/idle\n",
        }
    )
    chains = {item.name: item.pulled_in_by for item in found.units}
    assert chains["s@.service"] == (
        "default.target",
        "multi-user.target",
        "basic.target",
        "sockets.target",
        "s.socket",
        "s@.service",
    )
    assert chains["idle.service"] is None
    socket = next(item for item in found.units if item.name == "s.socket")
    assert [(item.address, item.family) for item in socket.listens] == [
        ("22", "inet"),
        ("vsock::22", "vsock"),
        ("/run/s", "unix"),
    ]
    assert socket.enabled_by == (f"/{LIB}/sockets.target.wants/s.socket",)


@pytest.mark.parametrize(
    ("name", "text", "started"),
    [
        ("t.timer", "[Timer]\nOnBootSec=1\n", "t.service"),
        ("t.timer", "[Timer]\nUnit=u.service\n", "u.service"),
        ("t.path", "[Path]\nPathExists=/x\n", "t.service"),
        ("t.automount", "[Automount]\nWhere=/t\n", "t.mount"),
        ("t.socket", "[Socket]\nListenFIFO=/x\n", "t.service"),
    ],
)
def test_a_unit_that_waits_starts_another(name: str, text: str, started: str) -> None:
    edges = unit(name, {f"{LIB}/{name}": text}).edges
    assert [edge.unit for edge in edges if edge.kind == "activates"] == [started]


def test_an_instance_is_read_from_its_template() -> None:
    files = {
        f"{LIB}/getty@.service": "[Service]\nExecStart=/sbin/agetty %I\n",
        f"{ETC}/basic.target.wants/getty@tty1.service": link("/usr/lib/systemd/system/getty@.service"),
    }
    found = unit("getty@tty1.service", files)
    assert (found.instance, found.path) == ("tty1", f"/{LIB}/getty@.service")
    assert found.pulled_in_by == ("default.target", "basic.target", "getty@tty1.service")


def test_a_link_to_nothing_takes_a_want_away() -> None:
    files = {
        f"{LIB}/a.service": "[Service]\nExecStart=/a\n",
        f"{LIB}/basic.target.wants/a.service": link("../a.service"),
        f"{ETC}/basic.target.wants/a.service": link("/dev/null"),
    }
    assert unit("a.service", files).pulled_in_by is None


def test_what_no_file_defines_is_dangling() -> None:
    found = read({f"{LIB}/basic.target": "[Unit]\nWants=late.service\n"})
    assert [edge.unit for edge in found.dangling] == ["late.service"]


def test_a_device_may_pull_in_a_unit() -> None:
    edge = Edge(kind="Wants", unit="a.service", origin=Origin(path="/rules", line=3))
    found = systemd(tree({**UNITS, f"{LIB}/a.service": "[Service]\nExecStart=/a\n"}), "default.target", [edge])
    assert next(item for item in found.units if item.name == "a.service").pulled_in_by == ("/rules:3", "a.service")


def test_a_loop_of_units_and_of_aliases_ends() -> None:
    files: dict[str, Content] = {
        f"{LIB}/basic.target": "[Unit]\nWants=default.target x.service\n",
        f"{LIB}/x.service": link("y.service"),
        f"{LIB}/y.service": link("x.service"),
    }
    assert read(files).start_unit == "default.target"


def test_commands_are_split_like_systemd_does() -> None:
    text = "[Service]\nExecStart=@-/bin/a 'two words' \\\n  three ; !/bin/b\nExecStop=/bin/\"open\n"
    found = unit("a.service", {f"{LIB}/a.service": text})
    assert [(item.setting, item.prefixes, item.path, item.arguments) for item in found.programs] == [
        ("ExecStart", "@-", "/bin/a", ("two words", "three")),
        ("ExecStart", "!", "/bin/b", ()),
        ("ExecStop", "", "/bin/open", ()),
    ]
    assert found.programs[0].origin == Origin(path=f"/{LIB}/a.service", line=2)


def test_credentials_say_where_they_come_from() -> None:
    text = "[Service]\nLoadCredential=a:/etc/a\nLoadCredential=b\nImportCredential=c.*\nSetCredential=d:secret\n"
    found = unit("a.service", {f"{LIB}/a.service": text})
    assert [(item.id, item.source) for item in found.credentials] == [
        ("a", "/etc/a"),
        ("b", "b"),
        ("c.*", None),
        ("d", None),
    ]


def test_generators_presets_and_configuration_are_read() -> None:
    found = read(
        {
            "usr/lib/systemd/system-generators/g": file(b"\x7fELF", 0o755),
            "usr/lib/systemd/system-generators/off": file(b"\x7fELF", 0o755),
            "etc/systemd/system-generators/off": link("/dev/null"),
            "usr/lib/systemd/system-preset/90.preset": "# all\ndisable *\n",
            "etc/systemd/journald.conf": "[Journal]\nStorage=persistent\n",
            "usr/lib/systemd/journald.conf.d/x.conf": "[Journal]\nForwardToConsole=yes\n",
            "usr/lib/systemd/network/20.network": "[Match]\nName=*\n",
        }
    )
    assert [(item.name, item.masked) for item in found.generators] == [("g", False), ("off", True)]
    assert [(item.action, item.pattern) for item in found.presets] == [("disable", "*")]
    journal, network = found.configuration
    assert [(item.key, item.value) for item in journal.settings] == [
        ("Storage", "persistent"),
        ("ForwardToConsole", "yes"),
    ]
    assert (network.name, network.directory) == ("20.network", "systemd/network")


def test_a_link_to_a_file_elsewhere_is_a_unit_and_no_alias() -> None:
    files: dict[str, Content] = {
        f"{ETC}/a.service": link("/opt/b.service"),
        f"{LIB}/b.service": "[Service]\nExecStart=/good\n",
        "opt/b.service": "[Service]\nExecStart=/bad\n",
        f"{ETC}/basic.target.wants/a.service": link("../a.service"),
    }
    found = unit("a.service", files)
    assert [program.path for program in found.programs] == ["/bad"]
    assert found.pulled_in_by == ("default.target", "basic.target", "a.service")
    assert unit("b.service", files).aliases == ()


@pytest.mark.parametrize(("word", "names"), [("x@%i%i.service", 8), ("x@%i1.service", 490)])
@pytest.mark.parametrize("key", ["Wants", "OnFailure"])
def test_instances_end_where_their_names_are_too_long(key: str, word: str, names: int) -> None:
    found = read(
        {
            f"{LIB}/x@.service": f"[Unit]\n{key}={word}\n",
            f"{LIB}/y.service": f"[Unit]\n{key}=x@a.service\n",
            f"{LIB}/basic.target.wants/y.service": link("../y.service"),
        }
    )
    instances = [item.name for item in found.units if item.instance]
    assert (len(instances), max(map(len, instances)) <= 255) == (names, True)
    assert [len(edge.unit) > 255 for edge in found.dangling if edge.unit.startswith("x@")] == [True] * (key == "Wants")


@pytest.mark.parametrize("key", ["Wants", "OnFailure"])
def test_templates_that_make_instances_without_end_are_refused(key: str) -> None:
    files: dict[str, Content] = {
        f"{LIB}/x@.service": f"[Unit]\n{key}=x@%i1.service x@%i2.service\n",
        f"{LIB}/y.service": f"[Unit]\n{key}=x@a.service\n",
        f"{LIB}/basic.target.wants/y.service": link("../y.service"),
    }
    with pytest.raises(InvalidInputError, match="there are more than 5000 units, such as x@a"):
        read(files)
