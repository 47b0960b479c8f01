"""Door "leaks": what the node writes down, where it lies, and who gets it."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.effective import about_argument, about_started, daemon_settings, profiles, refused_arguments
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, DaemonConfiguration, Facts
    from policies.finding import Finding

_YES: Final = frozenset({"1", "yes", "y", "true", "t", "on"})
_NO: Final = frozenset({"0", "no", "n", "false", "f", "off"})
_FORWARDS: Final = ("ForwardToSyslog", "ForwardToKMsg", "ForwardToConsole", "ForwardToWall")
_JOURNAL: Final = "/var/log/journal"
_MAKES: Final = frozenset("dDqQve")
_SHIPPERS: Final = frozenset(
    {
        "systemd-journal-upload", "systemd-journal-remote", "systemd-journal-gatewayd", "rsyslogd", "syslog-ng",
        "syslogd", "klogd", "fluent-bit", "fluentd", "td-agent", "td-agent-bit", "vector", "promtail", "filebeat",
        "journalbeat", "auditbeat", "logstash", "splunkd", "nxlog", "audisp-remote", "audispd", "auditd", "alloy",
        "grafana-agent", "otelcol", "otelcol-contrib", "amazon-cloudwatch-agent",
    }
)  # fmt: skip
_NET_LOG: Final[dict[str, frozenset[str] | None]] = {"netconsole": None, "netconsole.netconsole": None}
_JOURNALD_ARGUMENTS: Final[dict[str, frozenset[str] | None]] = {
    **{
        f"systemd.journald.forward_to_{target}": frozenset({"", *_YES})
        for target in ("syslog", "kmsg", "console", "wall")
    },
    "systemd.journald.forward_to_socket": None,
    "systemd.log_target": frozenset({"console", "console-prefixed", "syslog", "syslog-or-kmsg"}),
}
_OUTPUTS: Final = ("StandardOutput", "StandardError")
# systemd.exec(5); console-prefixed is a LogTarget=.
_TERMINAL: Final = re.compile(
    r"tty|(?:journal|kmsg|syslog)\+console|console(?:-prefixed)?"
    r"|/dev/(?:tty|console|hvc|vport|virtio-ports/|pts/|xvc|char/|serial/).*"
)
_FILE_OUTPUT: Final = re.compile(r"(?:file|append|truncate):\s*")
_OUTPUT_ARGUMENTS: Final = dict.fromkeys(
    ("systemd.default_standard_output", "systemd.default_standard_error"),
    frozenset({"tty", "journal+console", "kmsg+console"}),
)
_LEFT: Final = re.compile(
    r"/(?:var/log|var/cache|var/crash|var/tmp|var/lib/systemd/(?:coredump|pstore)|tmp|root|home)/.*"
    r"|.*/\.cache/.*|.*/\.(?:bash_history|python_history|sqlite_history|lesshst|viminfo|wget-hsts)"
    r"|.*/(?:core\.[0-9]+|vmcore)|.*\.hprof"
)
_DIRECTORY_MODES: Final = (
    "StateDirectoryMode", "CacheDirectoryMode", "LogsDirectoryMode", "RuntimeDirectoryMode",
    "ConfigurationDirectoryMode", "DirectoryMode",
)  # fmt: skip


@control(
    "ZOA-807",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="The journal stays in memory",
    references=("NIST SP 800-53 AU-9", "NIST SP 800-53 SC-28"),
)
def journal_is_volatile(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no journald.conf, drop-in or namespace of root and initrd has Storage=persistent, and where
    Storage= is auto or not set nothing makes /var/log/journal: no directory in the image, no tmpfiles entry, no
    LogsDirectory=journal.

    Why it matters: the journal may hold prompts that a crashing engine printed; on a disk it outlives the node.

    Example: /var/log/journal is in the image and journald takes it as a wish.

    Fix: Storage=volatile in a drop-in of journald.conf.

    Known limits: other logs are not looked at; a /var on a tmpfs is taken for a disk.
    """
    for area in facts.areas:
        named = {configuration.name: configuration for configuration in area.systemd.configuration}
        journals = [named[name] for name in sorted(named) if fnmatch.fnmatch(name, "journald*.conf")]
        for configuration in journals:
            storage = _last(configuration, "Storage")
            if storage is not None and storage[1].lower() == "persistent":
                message = "keeps the journal on a disk"
                yield about_name(area, configuration.name, message, (storage[0], f"Storage={storage[1]}"))
        main = _last(named["journald.conf"], "Storage") if "journald.conf" in named else None
        if main is None or main[1].lower() not in {"volatile", "none", "persistent"}:
            yield from _makers_of_journal(area)


@control(
    "ZOA-808",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="The journal is not forwarded",
    references=("NIST SP 800-53 SC-7(10)",),
)
def journal_is_not_forwarded(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no journald.conf or drop-in has ForwardToSyslog, ForwardToKMsg, ForwardToConsole or ForwardToWall
    on, or ForwardToSocket=, and no argument of the command line says the same or sends systemd's log to a console.

    Why it matters: what is forwarded leaves the journal's permissions: to a console that the host records, to a socket
    that another program has, or to another machine by vsock.

    Example: Debian's syslog.conf drop-in has ForwardToSyslog=yes.

    Fix: remove the drop-in, or set them to no in one that comes last.

    Known limits: ForwardToWall is on unless set; it writes to terminals of users who are logged in, of whom there is
    none.
    """
    for area in facts.areas:
        for configuration in area.systemd.configuration:
            if not fnmatch.fnmatch(configuration.name, "journald*.conf"):
                continue
            for key in _FORWARDS:
                held = _last(configuration, key)
                if held is not None and held[1].lower() not in _NO:
                    subject = f"{configuration.name}:{key}"
                    yield about_name(area, subject, "forwards the journal", (held[0], f"{key}={held[1]}"))
            held = _last(configuration, "ForwardToSocket")
            if held is not None:
                subject = f"{configuration.name}:ForwardToSocket"
                yield about_name(area, subject, "sends the journal away", (held[0], f"ForwardToSocket={held[1]}"))
    yield from refused_arguments(facts, _JOURNALD_ARGUMENTS, "forwards logs", also_init=True)


@control(
    "ZOA-809",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="No program ships logs",
    references=("NIST SP 800-53 SC-7(10)",),
    parameters=(Parameter("allowed", (), 'Paths of programs that may be there, such as "/usr/bin/vector".'),),
)
def no_log_shipper(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd have no executable file with the name of a program that writes or ships logs
    (rsyslogd, systemd-journal-upload, fluent-bit, vector, filebeat and the like), and netconsole is neither loaded at
    boot nor on the command line.

    Why it matters: whoever gets the logs reads what users asked, and whoever configures the shipper chooses what goes.

    Example: /usr/sbin/rsyslogd, from the distribution's default packages.

    Fix: remove the package, or allow the program's path in the pack if its filter was reviewed.

    Known limits: looks at names; a service that sends what it wants is its own reviewer's subject.
    """
    for area in facts.areas:
        for file in area.files:
            if file.is_executable and file.name in _SHIPPERS and file.path not in parameters["allowed"]:
                yield about_path(area, file.path, "writes or ships logs", f"mode {file.mode:04o}")
        for load in area.configuration.modules_load:
            if load.name == "netconsole":
                yield about_name(area, load.name, "sends kernel messages away", (load.origin, load.name))
        for unit in area.systemd.units:
            if unit.pulled_in_by and unit.name.startswith(("systemd-journal-upload.", "systemd-journal-gatewayd.")):
                yield about_started(area, unit, "ships logs")
    yield from refused_arguments(facts, _NET_LOG, "sends kernel messages away")


@control(
    "ZOA-810",
    door=Door.LEAKS,
    severity=Severity.MEDIUM,
    title="What services keep is not open to every process",
    references=("NIST SP 800-53 AC-6",),
)
def state_is_not_open(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no tmpfiles entry and no *DirectoryMode= or UMask= of a unit makes something that everybody may
    write, but sticky directories, device nodes and sockets' directories that systemd owns.

    Why it matters: a service that was taken over reaches others through files that they share.

    Example: d /run/engine 0777 in tmpfiles.d.

    Fix: give the directory to one user, with mode 0750 or less.

    Known limits: what a program makes itself is not known; files that everybody may read are common and not found.
    """
    for area in facts.areas:
        for entry in area.configuration.tmpfiles:
            mode = _mode(entry.mode.lstrip("~:"))
            is_device = entry.path.startswith("/dev/") or entry.type[:1] in "cb"
            if mode is not None and mode & 0o002 and not mode & 0o1000 and not is_device:
                value = f"{entry.type} {entry.path} {entry.mode}"
                yield about_name(area, entry.path, "may be written by everybody", (entry.origin, value))
        for unit in area.systemd.units:
            for setting in unit.settings:
                mode = _mode(setting.value)
                if mode is None:
                    continue
                opens = setting.key in _DIRECTORY_MODES and mode & 0o002 and not mode & 0o1000
                if opens or (setting.key == "UMask" and not mode & 0o002):
                    value = f"{setting.key}={setting.value}"
                    message = "makes what everybody may write"
                    yield about_name(area, f"{unit.name}:{setting.key}", message, (setting.origin, value))


@control(
    "ZOA-811",
    door=Door.LEAKS,
    severity=Severity.MEDIUM,
    title="The image holds no logs, caches, histories or dumps",
    references=("NIST SP 800-53 SC-4",),
)
def nothing_is_left_behind(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no file in /var/log, /var/cache, /var/tmp, /tmp, /root, /home, a .cache directory or a place for
    core dumps, no shell history, and no ELF core file, in root and initrd.

    Why it matters: what was left while the image was made, or copied from a running node, may hold tokens, prompts and
    answers; it goes to everybody who has the image.

    Example: /root/.cache/huggingface with a user's downloads.

    Fix: remove it in the definition (RemoveFiles=).

    Known limits: looks at places and names; models in other places are files of the image like any other.
    """
    for area in facts.areas:
        dumps = {elf.path for elf in area.elf if elf.type == "core"}
        for file in area.files:
            if file.type == "file" and (file.path in dumps or _LEFT.fullmatch(file.path)):
                yield about_path(area, file.path, "was left behind", f"{file.size} bytes")


@control(
    "ZOA-812",
    door=Door.LEAKS,
    severity=Severity.LOW,
    title="The kernel does not print everything",
    references=("NIST SP 800-53 SI-11",),
    needs=("uki",),
)
def kernel_is_quiet(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile has debug, ignore_loglevel, earlyprintk, earlycon, initcall_debug, dyndbg=,
    printk.devkmsg=on, systemd.log_level=debug or loglevel= of 7 or more.

    Why it matters: debug messages hold addresses, commands and environment, and go to consoles that the host records.

    Example: systemd.log_level=debug, left from looking for a problem.

    Fix: remove the argument.

    Known limits: none known.
    """
    names: dict[str, frozenset[str] | None] = {
        **dict.fromkeys(("debug", "ignore_loglevel", "earlyprintk", "initcall_debug", "dyndbg", "earlycon")),
        "printk.devkmsg": frozenset({"on"}),
        "systemd.log_level": frozenset({"debug"}),
        "rd.systemd.log_level": frozenset({"debug"}),
        "udev.log_level": frozenset({"debug"}),
        "rd.udev.log_level": frozenset({"debug"}),
    }
    yield from refused_arguments(facts, names, "prints what is not for everybody", also_init=True)
    for profile in profiles(facts):
        for argument in profile.command_line.all("loglevel") if profile.command_line else ():
            if not (argument.value or "").isdigit() or int(argument.value or "") >= 7:  # noqa: PLR2004 -- KERN_DEBUG
                yield about_argument(profile, argument, "prints what is not for everybody")


def _last(configuration: DaemonConfiguration, key: str) -> tuple[str, str] | None:
    held = [setting for setting in configuration.settings if setting.key == key]
    return (str(held[-1].origin), held[-1].value) if held else None


@control(
    "ZOA-813",
    door=Door.LEAKS,
    severity=Severity.HIGH,
    title="No service writes to a terminal",
    references=("NIST SP 800-53 SC-7(10)",),
)
def no_output_to_terminals(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit of root or initrd that is not masked has StandardOutput= or StandardError= set to tty, to
    the console besides the journal or kmsg, or to a terminal in /dev, and neither DefaultStandardOutput= nor
    DefaultStandardError= of system.conf nor systemd.default_standard_output= or _error= of the command line says so;
    LogTarget= of system.conf is no console.

    Why it matters: whoever has the machine records its console. What a service says may quote what it was asked.

    Example: a drop-in of engine.service has StandardOutput=journal+console.

    Fix: StandardOutput=journal or null.

    Known limits: a program that opens a terminal itself is not seen; ZOA-808 looks at the journal.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            for key in _OUTPUTS if unit.masked_by is None else ():
                held = [setting for setting in unit.settings if setting.key == key]
                if held and _TERMINAL.fullmatch(_output(area, held[-1].value)):
                    value = f"{key}={held[-1].value}"
                    yield about_name(area, f"{unit.name}:{key}", "writes to a terminal", (held[-1].origin, value))
        for key in (*(f"Default{key}" for key in _OUTPUTS), "LogTarget"):
            held = list(daemon_settings(area, "system.conf", key))
            if held and _TERMINAL.fullmatch(_output(area, held[-1].value)):
                value = f"{key}={held[-1].value}"
                yield about_name(area, f"system.conf:{key}", "writes to a terminal", (held[-1].origin, value))
    yield from refused_arguments(facts, _OUTPUT_ARGUMENTS, "makes services write to a terminal", also_init=True)


def _output(area: Area, value: str) -> str:
    """Where an output goes: the path of a file, links followed, else the value itself."""
    path = _FILE_OUTPUT.sub("", value)
    return value if path == value else area.real(path) or path


def _makers_of_journal(area: Area) -> Iterator[Finding]:
    if area.find(_JOURNAL) is not None:
        yield about_path(area, _JOURNAL, "is there, so journald keeps the journal in it")
    for entry in area.configuration.tmpfiles:
        if entry.type[:1] in _MAKES and entry.path.rstrip("/").startswith(_JOURNAL):
            message = "is made at boot, so journald keeps the journal in it"
            yield about_name(area, entry.path, message, (entry.origin, f"{entry.type} {entry.path}"))
    for unit in area.systemd.units:
        for setting in unit.settings:
            if setting.key == "LogsDirectory" and "journal" in setting.value.split() and unit.pulled_in_by:
                value = f"LogsDirectory={setting.value}"
                yield about_name(area, unit.name, f"makes {_JOURNAL}", (setting.origin, value))


def _mode(text: str) -> int | None:
    return int(text, 8) if text and set(text) <= set("01234567") else None


CONTROLS = (
    journal_is_volatile, journal_is_not_forwarded, no_log_shipper, state_is_not_open, nothing_is_left_behind,
    kernel_is_quiet, no_output_to_terminals,
)  # fmt: skip
