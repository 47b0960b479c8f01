"""Facts about systemd: units as they are after links, drop-ins and masks, and what the start of an area pulls in.

Unit files are looked for in /etc, /run, /usr/local/lib and /usr/lib, in this order (systemd.unit(5), "Unit File Load
Path"). What generators would write at boot is not known; which generators there are is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from policies.facts.base import Fact, Origin, Setting, about

ListenFamily = Literal["inet", "unix", "vsock", "netlink", "fifo", "special", "queue", "usb"]


class Program(Fact, frozen=True, kw_only=True):
    """A program that a unit starts: one Exec*= line."""

    setting: Annotated[str, about("ExecStart, ExecStartPre, ExecReload and so on.")]
    prefixes: Annotated[str, about('Characters before the path: "@", "-", ":", "+", "!", "|".')]
    path: Annotated[str, about("First word, known specifiers expanded: absolute, or a name of the search path.")]
    arguments: Annotated[tuple[str, ...], about("Words after the path, known specifiers and variables expanded.")]
    origin: Annotated[Origin, about("File and line.")]


class Listen(Fact, frozen=True, kw_only=True):
    """An address of a socket unit: one Listen*= line (systemd.socket(5))."""

    setting: Annotated[str, about("ListenStream, ListenDatagram, ListenFIFO and so on.")]
    address: Annotated[str, about("As it is spelled, known specifiers expanded.")]
    family: Annotated[ListenFamily, about("What kind of address it is; a bare port is inet.")]
    origin: Annotated[Origin, about("File and line.")]


class Credential(Fact, frozen=True, kw_only=True):
    """A credential that a unit takes in: one LoadCredential*=, ImportCredential= or SetCredential*= line."""

    setting: Annotated[str, about("The key.")]
    id: Annotated[str, about("Name, or glob of ImportCredential=.")]
    source: Annotated[str | None, about("Path, socket or name to load it from; null if inline.")]
    origin: Annotated[Origin, about("File and line.")]


class Edge(Fact, frozen=True, kw_only=True):
    """That one unit brings in another."""

    kind: Annotated[
        str,
        about('The key ("Wants", "Requires", "BindsTo", "Upholds", "OnFailure", ...), or "activates" for what a socket,'
              ' timer, path or automount starts, "systemctl" for what its command starts,'
              ' "alias" and "default" for implicit ones.'),
    ]  # fmt: skip
    unit: Annotated[str, about("Name of the other unit, aliases not followed.")]
    origin: Annotated[Origin, about("File and line, or the link in a .wants, .requires or .upholds directory.")]


class Unit(Fact, frozen=True, kw_only=True):
    """A unit: a file, a mask, an alias's target, or a template and what instances it."""

    name: Annotated[str, about('Its own name: "sshd.service", "getty@.service", "getty@tty1.service".')]
    type: Annotated[str, about('Suffix without the dot: "service", "socket", "target".')]
    path: Annotated[str | None, about("The unit file that is used; null if there is none or it is masked.")]
    shadowed: Annotated[tuple[str, ...], about("Unit files of the same name that the used one hides.")]
    drop_ins: Annotated[tuple[str, ...], about("Drop-in files in the order in which they apply.")]
    masked_by: Annotated[str | None, about("Link to /dev/null or empty file that masks it; null if it is not masked.")]
    aliases: Annotated[tuple[str, ...], about("Other names that are links to it.")]
    template: Annotated[bool, about("It is a template itself, which cannot be started.")]
    instance: Annotated[str | None, about("Instance name of an instanced unit, as it is spelled.")]
    enabled_by: Annotated[
        tuple[str, ...], about("Links in .wants, .requires and .upholds directories; aliases in /etc.")
    ]
    settings: Annotated[
        tuple[Setting, ...],
        about("Assignments that hold, in order; specifiers that are known from the image expanded."),
    ]
    resets: Annotated[
        tuple[Setting, ...], about("Empty assignments, which took back what was assigned to their key before.")
    ]
    file_variables: Annotated[
        tuple[Setting, ...],
        about("Variables in the files of the image that EnvironmentFile= names; their section is empty."),
    ]
    edges: Annotated[tuple[Edge, ...], about("What it brings in when it is started.")]
    programs: Annotated[tuple[Program, ...], about("What it executes.")]
    listens: Annotated[tuple[Listen, ...], about("Addresses of a socket unit.")]
    credentials: Annotated[tuple[Credential, ...], about("Credentials that it takes in.")]
    pulled_in_by: Annotated[
        tuple[str, ...] | None,
        about("Chain of unit names from the start target to this unit; null if the start does not bring it in."),
    ]

    def values(self, section: str, key: str) -> tuple[Setting, ...]:
        """The assignments of a key, in order."""
        return tuple(setting for setting in self.settings if (setting.section, setting.key) == (section, key))


class Generator(Fact, frozen=True, kw_only=True):
    """A program that writes units at boot (systemd.generator(7))."""

    name: Annotated[str, about("File name.")]
    path: Annotated[str, about("Where it lies; of several of one name the one that is used.")]
    manager: Annotated[Literal["system", "user", "environment"], about("Who runs it.")]
    masked: Annotated[bool, about("It is a link to /dev/null, empty, or not executable: it is not run.")]


class PresetRule(Fact, frozen=True, kw_only=True):
    """A line of a preset file (systemd.preset(5)); the first that matches decides."""

    action: Annotated[Literal["enable", "disable", "ignore"], about("What `systemctl preset` does.")]
    pattern: Annotated[str, about("Glob of unit names.")]
    origin: Annotated[Origin, about("File and line.")]


class DaemonConfiguration(Fact, frozen=True, kw_only=True):
    """A configuration file of systemd with its drop-ins: system.conf, journald.conf, coredump.conf, *.network ..."""

    name: Annotated[str, about('File name: "journald.conf", "20-dhcp.network".')]
    directory: Annotated[str, about('"systemd" for daemons, "systemd/network" for network files.')]
    settings: Annotated[tuple[Setting, ...], about("Assignments that hold, in order.")]
    files: Annotated[tuple[str, ...], about("Files that were read, in the order in which they apply.")]


class Systemd(Fact, frozen=True, kw_only=True):
    """systemd in an area."""

    start_unit: Annotated[str, about('What PID 1 starts: "default.target" in root, "initrd.target" in an initrd.')]
    units: Annotated[tuple[Unit, ...], about("By name.")]
    generators: Annotated[tuple[Generator, ...], about("By manager and name.")]
    presets: Annotated[tuple[PresetRule, ...], about("Of the system manager, in the order of decision.")]
    configuration: Annotated[tuple[DaemonConfiguration, ...], about("By directory and name.")]
    dangling: Annotated[
        tuple[Edge, ...], about("What the start asks for and no unit file defines; a generator may, at boot.")
    ]
