"""Door "injected configuration": what makes kernel, PID 1 or linker take in or run more than the image says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.control import Door, Severity, control
from policies.controls._arguments import about_argument, arguments
from policies.controls._products import words
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policies.control import Parameters
    from policies.facts import Area, Facts, Origin, Setting, Unit
    from policies.finding import Finding

_CHANGE_CONTROL: Final = ("NIST SP 800-53 CM-5", "NIST SP 800-53 SI-7")
# Linux Documentation/admin-guide/kernel-parameters.txt and bootconfig.rst, fs/proc/proc_sysctl.c; modules-load.d(5);
# systemd.image-policy(7).
_BRINGS_IN: Final = re.compile(
    r"initrd|initrdmem|bootconfig|sysctl[./].+|firmware_class\.path|(?:rd\.)?modules_load|systemd\.image_policy"
    r"|systemd\.early_core_pattern|systemd\.machine_id|systemd\.random_seed"
)
_TRACES: Final = re.compile(
    r"ftrace(?:_.+)?|trace_(?:event|options|instance|trigger|clock|buf_size)|kprobe_event|tp_printk.*|traceoff_on_warning"
    r"|alloc_snapshot|stacktrace(?:_.+)?|tpm\.disable_pcr_integrity"
)
_HOOKS: Final = re.compile(r"/(?:etc|run|usr/local/lib|usr/lib|lib)/systemd/system-(?:shutdown|sleep)/.+")
_UPDATE_LINKS: Final = frozenset({"/system-update", "/etc/system-update"})
# systemd src/udev/udev-rules.c, ``attr_subst_subdir``: a star stands for any directory.
_MAY_BE_PARAMETERS: Final = frozenset({"parameters", "*"})
# What systemd's own rules write.
_ABOVE: Final = ("ATTR{../uevent}", "change")
_HARMLESS_ATTRIBUTES: Final = frozenset({"events_dfl_poll_msecs", "uevent"})
_LOADS_CODE: Final = re.compile(
    r"LD_\w+|DBUS_\w+_ADDRESS|MODPROBE_OPTIONS|GCONV_PATH|GLIBC_TUNABLES|LOCPATH|PYTHON(?:PATH|HOME|STARTUP)|PERL5(?:LIB|OPT)"
    r"|BASH_ENV|ENV|RUBYOPT|NODE_OPTIONS|OPENSSL_(?:CONF|MODULES|ENGINES)|(?:ENCRYPTED_)?CREDENTIALS_DIRECTORY|SYSTEMD_\w+"
)
# systemd docs/ENVIRONMENT.md knows too many that name files, programs or hosts: here are those that do not.
_HARMLESS_VARIABLES: Final = words(
    "SYSTEMD_COLORS SYSTEMD_LOG_COLOR SYSTEMD_LOG_LEVEL SYSTEMD_LOG_LOCATION SYSTEMD_LOG_TID SYSTEMD_LOG_TIME "
    "SYSTEMD_NSS_RESOLVE_VALIDATE SYSTEMD_SLEEP_FREEZE_USER_SESSIONS SYSTEMD_URLIFY SYSTEMD_UTF8"
)
# systemd.device(5), 99-systemd.rules: what udev tells PID 1 about a device.
_OF_DEVICES: Final = words(
    "SYSTEMD_ALIAS SYSTEMD_MOUNT_DEVICE_BOUND SYSTEMD_READY SYSTEMD_RFKILL SYSTEMD_USER_WANTS SYSTEMD_WANTS"
)
# env(1) and systemd-run(1): options that a variable may stand behind without a blank.
_SET_VARIABLE: Final = re.compile(r"^(?:--setenv=|--split-string=|-[SE])")
_ENVIRONMENTS: Final = frozenset({"Environment", "DefaultEnvironment", "ManagerEnvironment", "PassEnvironment"})


@control(
    "ZOA-433",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="The kernel command line brings in nothing else",
    references=_CHANGE_CONTROL,
)
def no_more_brought_in(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    r"""What it checks: no profile, addon or boot entry has initrd=, initrdmem=, bootconfig, sysctl.*=,
    firmware_class.path=, modules_load=, systemd.image_policy=, systemd.early_core_pattern=, systemd.machine_id= or
    systemd.random_seed=, which counts as entropy.

    Why it matters: initrd= makes the kernel's EFI stub load an archive from the system partition that nobody signed;
    bootconfig takes further arguments from behind the initrd, where nobody looks for them; the others set what
    belongs into files of the image.

    Example: initrd=\\EFI\\extra.img in an addon.

    Fix: remove the argument; put settings into sysctl.d, modules-load.d and the like of the image.

    Known limits: with a UKI that has an initrd, recent kernels take that one and not initrd=; this is not relied on.
    """
    for placed in arguments(facts):
        if _BRINGS_IN.fullmatch(placed.name):
            yield about_argument(placed, "takes in what is not among the files of the image")


@control(
    "ZOA-434",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="No environment of a service loads code or moves configuration",
    references=_CHANGE_CONTROL,
)
def no_loading_environment(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no unit and no rule of udev in root or initrd, and no configuration of a manager, sets or passes
    LD_PRELOAD and other LD_*, GCONV_PATH, PYTHONPATH, PERL5LIB, BASH_ENV, OPENSSL_CONF, MODPROBE_OPTIONS, addresses of
    a bus, CREDENTIALS_DIRECTORY, a SYSTEMD_* that is not known to be harmless, or the like; neither by Environment= and
    ENV{} nor in a file of the image that EnvironmentFile= or IMPORT{file} names, nor as an argument, as of env.

    Why it matters: they make a program that everybody knows run code that nobody expects in it, and PID 1 read units
    from elsewhere. A bus's address may be a program to start (unixexec:).

    Example: a drop-in of systemd-networkd.service has Environment=LD_PRELOAD=/usr/lib/helper.so.

    Fix: remove the setting; link the program with what it needs.

    Known limits: variables of other programs are not known.
    """
    for area in facts.areas:
        for unit in area.systemd.units:
            if unit.masked_by is None:
                for origin, value, name in _loading_of(unit):
                    message = "makes its programs load other code"
                    yield about_name(area, f"{unit.name}:{name}", message, (origin, value))
        for origin, value, name in _loading_of_udev(area):
            yield about_name(area, f"{origin}:{name}", "makes programs of udev load other code", (origin, value))
        for configuration in area.systemd.configuration:
            for setting, name in _loading(configuration.settings):
                evidence = (setting.origin, f"{setting.key}={setting.value}")
                yield about_name(area, f"{configuration.name}:{name}", "makes programs load other code", evidence)


@control(
    "ZOA-438",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.HIGH,
    title="udev writes nothing into the kernel but attributes of the device",
    references=_CHANGE_CONTROL,
)
def no_setting_of_udev(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no udev rule of root or initrd assigns SYSCTL{}, nor ATTR{} of another device by its name
    ("[subsystem/name]") or by a path that leads upwards (".."), but a change event of the parent, nor parameters of a
    module, but how often disks are asked for their medium (events_dfl_poll_msecs).

    Why it matters: what controls find in sysctl.d is not what holds once a device turns up; such a rule sets a program
    that the kernel starts, or turns Magic SysRq on.

    Example: ACTION=="add", SYSCTL{kernel.core_pattern}="|/usr/lib/helper".

    Fix: put the setting into sysctl.d, where it is judged, and remove the rule.

    Known limits: other attributes of the rule's own device may be written, whatever they are.
    """
    for area in facts.areas:
        for item in area.configuration.udev_settings:
            parts = item.key.removeprefix("ATTR{").removesuffix("}").split("/") if item.key.startswith("ATTR{") else []
            is_parameter = not _MAY_BE_PARAMETERS.isdisjoint(parts) and parts[-1] not in _HARMLESS_ATTRIBUTES
            is_above = ".." in parts and (item.key, item.value) != _ABOVE
            if item.key.startswith(("SYSCTL", "ATTR{[")) or is_above or is_parameter:
                evidence = (item.origin, f'{item.key}="{item.value}"')
                yield about_name(area, f"{item.origin}:{item.key}", "is written by udev", evidence)


@control(
    "ZOA-330",
    door=Door.AGENTS,
    severity=Severity.MEDIUM,
    title="No program runs at shutdown, at sleep or in place of the next boot",
    references=("NIST SP 800-53 CM-7",),
)
def no_late_program(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: root and initrd hold no executable in systemd/system-shutdown or systemd/system-sleep, and no
    /system-update or /etc/system-update.

    Why it matters: systemd runs these as root outside of every unit, when nothing watches any more; system-update makes
    the next boot start other units than the ones that were looked at.

    Example: /usr/lib/systemd/system-shutdown/support.

    Fix: remove the file.

    Known limits: none known.
    """
    for area in facts.areas:
        for file in area.reached:
            target = area.find(file.path) if _HOOKS.fullmatch(file.path) else None
            if target is not None and target.is_executable:
                yield about_path(area, file.path, "runs when the machine stops or sleeps", f"mode {target.mode:04o}")
            elif file.path in _UPDATE_LINKS:
                yield about_path(area, file.path, "starts an update in place of the system", f"leads to {file.target}")


@control(
    "ZOA-739",
    door=Door.INTEGRITY,
    severity=Severity.MEDIUM,
    title="The kernel command line traces nothing and leaves the TPM's checks on",
    references=("NIST SP 800-53 SI-7",),
)
def no_boot_trace(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no profile, addon or boot entry has ftrace=, ftrace_*, trace_event=, trace_options=,
    trace_instance=, trace_trigger=, kprobe_event=, tp_printk, stacktrace or tpm.disable_pcr_integrity=.

    Why it matters: probes that are set at boot copy what functions handle into buffers and to the console, before
    lockdown is in force; without the integrity of PCR extends, an interposer on the bus can change measurements.

    Example: kprobe_event=p,vfs_write,$arg2 tp_printk.

    Fix: remove the argument.

    Known limits: tracing that root turns on later needs tracefs, which is the subject of ZOA-716.
    """
    for placed in arguments(facts):
        if _TRACES.fullmatch(placed.name):
            yield about_argument(placed, "traces the kernel, or turns checks of the TPM off")


def _loads_code(name: str) -> bool:
    return _LOADS_CODE.fullmatch(name) is not None and name not in _HARMLESS_VARIABLES


def _loading(settings: tuple[Setting, ...]) -> Iterator[tuple[Setting, str]]:
    """The settings of variables that load code, each with the variable."""
    for setting in settings:
        if setting.key in _ENVIRONMENTS:
            for word in setting.value.split():
                name = word.partition("=")[0]
                if _loads_code(name):
                    yield setting, name


def _loading_of(unit: Unit) -> Iterator[tuple[Origin, str, str]]:
    """Where a unit sets variables that load code: origin, what stands there, and the variable."""
    for setting, name in _loading(unit.settings):
        yield setting.origin, f"{setting.key}={setting.value}", name
    for variable in unit.file_variables:
        if _loads_code(variable.key):
            yield variable.origin, f"{variable.key}={variable.value}", variable.key
    for program in unit.programs:
        for word, name in _loading_words(program.arguments):
            yield program.origin, f"{program.setting}={word}", name


def _loading_of_udev(area: Area) -> Iterator[tuple[Origin, str, str]]:
    """What becomes the environment of programs that udev runs (udev(7), RUN)."""
    for item in area.configuration.udev_settings:
        name = item.key.removeprefix("ENV{").removesuffix("}")
        if _loads_code(name) and name not in _OF_DEVICES:
            yield item.origin, f"{item.key}={item.value}", name
    for rule in area.configuration.udev_programs:
        for word, name in _loading_words(rule.command.replace("'", " ").split(" ")):
            yield rule.origin, f"{rule.key}={word}", name


def _loading_words(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The words of a command that set a variable which loads code, each with the variable."""
    for word in (word for argument in arguments for word in argument.split()):
        name, equals, _ = _SET_VARIABLE.sub("", word).partition("=")
        if equals and _loads_code(name):
            yield word, name


CONTROLS = (
    no_more_brought_in, no_loading_environment, no_setting_of_udev,
    no_late_program, no_boot_trace,
)  # fmt: skip
