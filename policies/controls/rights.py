"""Door "accounts": rules of the message bus, polkit, sudo and doas that give more than an image needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._writable import is_writable
from policies.controls.agents_activation import BUSES, KNOWN_BUS_NAMES
from policies.finding import about_name, about_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import Area, BusOption, BusRule, Facts
    from policies.finding import Finding

_LEAST_PRIVILEGE: Final = ("NIST SP 800-53 AC-6",)
_ROOT: Final = frozenset({"user=root", "user=0"})
_NO_CALLS: Final = frozenset({"signal", "method_return", "error"})
# What a rule needs to be about messages that are sent, besides the name that they are sent to.
_SENDING: Final = ("send_type", "send_interface", "send_member", "send_path", "send_destination_prefix")
# dbus-daemon(1), "Listenable addresses": those that other machines do not reach and no program is run for.
_LOCAL_TRANSPORTS: Final = frozenset({"unix", "systemd"})
_HELPERS: Final = frozenset(
    {"/usr/lib/dbus-1.0/dbus-daemon-launch-helper", "/usr/libexec/dbus-daemon-launch-helper",
     "/usr/libexec/dbus-1/dbus-daemon-launch-helper", "/lib/dbus-1.0/dbus-daemon-launch-helper"}
)  # fmt: skip
# Stock actions of logind that only delay what happens.
_HARMLESS_ACTIONS: Final = (
    "org.freedesktop.login1.inhibit-delay-shutdown", "org.freedesktop.login1.inhibit-delay-sleep",
)  # fmt: skip


@control(
    "ZOA-527",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="The system bus lets only root and known services speak for, and to, others",
    references=_LEAST_PRIVILEGE,
    parameters=(Parameter("allowed", KNOWN_BUS_NAMES, "Bus names that others than root may own or call."),),
)
def no_open_bus(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd have a message bus, no rule of the system bus for others than root allows to
    own or to call a name that is not in the parameter "allowed", or any name, or to read along; the bus listens on
    local sockets only, lets nobody in who does not say who it is, reads nothing in a writable place and starts services
    by its own helper; and each file of such rules can be read.

    Why it matters: who may own a name can pose as that service, and a service that everybody may call does what
    anybody who got into one process asks of it, mostly as root.

    Example: /etc/dbus-1/system.d/support.conf has a policy context="default" that allows
    send_destination="com.example.Support".

    Fix: remove the file, or allow the one user that the service needs, with the name in the parameter.

    Known limits: a rule for a known name is let pass whatever it is for; what the service then asks of polkit or of the
    caller's user number is not known. Denials that come later in the same policy are not weighed.
    """
    for area in facts.areas:
        if not any(name in area.programs for name in BUSES):
            continue
        for rule in area.rights.bus:
            problem = _problem(rule, parameters["allowed"])
            if problem and rule.allow and rule.scope not in _ROOT:
                said = " ".join(f'{key}="{value}"' for key, value in rule.attributes.items())
                evidence = (rule.origin, f"policy {rule.scope}: allow {said}")
                yield about_name(area, str(rule.origin), f"lets {rule.scope} {problem}", evidence)
        for option in area.rights.bus_options:
            message = _opened(area, option)
            if message:
                evidence = (option.origin, f"<{option.name}>{option.value}")
                yield about_name(area, f"{option.origin}:{option.name}", message, evidence)
        yield from _broken(area, "/dbus-1/")


@control(
    "ZOA-528",
    door=Door.ACCOUNTS,
    severity=Severity.HIGH,
    title="polkit lets nobody do anything unasked",
    references=_LEAST_PRIVILEGE,
    parameters=(Parameter("allowed", _HARMLESS_ACTIONS, "Ids of actions that anybody may do."),),
)
def no_open_polkit(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where root or initrd have a polkitd, no rule and no .pkla file says yes or runs a program to
    decide, no action that is not in the parameter "allowed" is let do by default without proof, whoever asks, none is
    there for pkexec that could be done at all, and each file of actions can be read.

    Why it matters: a service of root asks polkit whether it shall obey, and a yes is a door that no list of services
    or accounts shows.

    Example: /etc/polkit-1/rules.d/49-wheel.rules returns polkit.Result.YES for members of a group.

    Fix: remove the rule, and the package polkitd with it.

    Known limits: rules are JavaScript and are not run; a yes that is put together in another way is not seen, but
    ZOA-508 lists each file of rules. What is allowed after proof (auth_admin, auth_self) is let pass but for pkexec.
    """
    for area in facts.areas:
        if "polkitd" not in area.programs:
            continue
        for grant in area.rights.polkit_grants:
            message = "says yes without asking" if grant.how == "yes" else "runs a program to decide"
            yield about_name(area, str(grant.origin), message, (grant.origin, grant.text))
        for action in area.rights.polkit_actions:
            answers = (action.allow_any, action.allow_inactive, action.allow_active)
            evidence = (action.origin, f"any={answers[0]} inactive={answers[1]} active={answers[2]}")
            if action.program is not None and set(answers) != {"no"}:
                yield about_name(area, f"action:{action.id}", f"runs {action.program} by pkexec", evidence)
            elif "yes" in answers and action.id not in parameters["allowed"]:
                yield about_name(area, f"action:{action.id}", "may be done without proof", evidence)
        yield from _broken(area, "/polkit-1/")


@control(
    "ZOA-529",
    door=Door.ACCOUNTS,
    severity=Severity.CRITICAL,
    title="sudo and doas ask everybody for a password",
    references=_LEAST_PRIVILEGE,
)
def no_passwordless_sudo(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no line of sudoers or doas.conf in root and initrd, nor of the files that they include, has
    NOPASSWD, !authenticate or nopass, and none includes what is not in the image.

    Why it matters: whoever gets into the account that is named is root with the next command.

    Example: /etc/sudoers.d/90-cloud-init-users has "debian ALL=(ALL) NOPASSWD:ALL".

    Fix: remove the line, and sudo with it; ZOA-507 lists each file of rules.

    Known limits: rules from LDAP or sssd are not seen; at most 128 files are followed.
    """
    for area in facts.areas:
        for rule in area.rights.sudo:
            if rule.without_password:
                yield about_name(area, str(rule.origin), "asks for no password", (rule.origin, rule.text))
            elif rule.kind == "include" and area.find(rule.text) is None:
                yield about_name(area, str(rule.origin), "includes what is not there", (rule.origin, rule.text))


def _problem(rule: BusRule, allowed: tuple[str, ...]) -> str:
    """What a rule lets do that it should not, to continue "lets user=x"; empty if there is nothing."""
    said = rule.attributes
    if said.get("eavesdrop") == "true":
        return "read messages that are for others"
    for key, action in (("own", "own"), ("own_prefix", "own names below"), ("send_destination", "call")):
        if key in said and said[key] not in allowed and not _is_harmless(rule):
            return f"{action} {said[key]}"
    if "send_destination" not in said and any(key in said for key in _SENDING) and not _is_harmless(rule):
        return "call any name"
    return ""


def _opened(area: Area, option: BusOption) -> str:
    """What an option of the bus opens, to continue the place where it stands; empty if there is nothing."""
    transports = {address.partition(":")[0] for address in option.value.split(";")}
    if option.name == "listen" and not transports <= _LOCAL_TRANSPORTS:
        return f"makes the bus listen on {option.value}"
    if option.name == "allow_anonymous" or (option.name, option.value.upper()) == ("auth", "ANONYMOUS"):
        return "lets in who does not say who it is"
    if option.name == "servicehelper" and option.value not in _HELPERS:
        return f"makes the bus start services by {option.value}"
    if is_writable(area, option.value):
        return f"makes the bus read {option.value}, which lies in a writable place"
    return ""


def _is_harmless(rule: BusRule) -> bool:
    """Whether a rule is about answers and signals only, or about the bus itself, which decides who may do what."""
    said = rule.attributes
    is_bus = said.get("send_destination") == "org.freedesktop.DBus"
    return is_bus or said.get("send_type") in _NO_CALLS or "send_requested_reply" in said


def _broken(area: Area, folder: str) -> Iterator[Finding]:
    for line in area.rights.broken:
        if folder in line.origin.path:
            yield about_path(area, line.origin.path, "cannot be read, so what it allows is not known", line.problem)


CONTROLS = (no_open_bus, no_open_polkit, no_passwordless_sudo)
