"""Doors "remote shells" and "injected configuration": what systemd's network services offer, and take from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies.control import Door, Parameter, Severity, control
from policies.controls._products import words
from policies.effective import daemon_settings
from policies.finding import about_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.control import Parameters
    from policies.facts import DaemonConfiguration, Facts
    from policies.finding import Finding

_NO: Final = frozenset({"0", "no", "n", "false", "f", "off"})
_RESOLVED: Final = "systemd-resolved.service"
# resolved.conf(5): with "resolve" it asks and does not answer.
_SILENT: Final = _NO | {"resolve"}
# systemd.netdev(5): kinds that carry packets from another machine, or from a program.
_TUNNELS: Final = words(
    "wireguard l2tp gre gretap ip6gre ip6gretap erspan ip6erspan ipip ip6tnl sit isatap vti vti6 vxlan geneve fou "
    "bareudp batadv macsec xfrm tun tap ipoib wlan"
)
# systemd.network(5): what answers others on the link.
_SERVES: Final = ("DHCPServer", "IPv6SendRA")
# The host's side of links that nspawn, vmspawn and nsresourced make; systemd brings files for them.
_MADE_LINKS: Final = ("ve-", "vb-", "vz-", "vt-", "ns-")
# systemd.network(5): what a DHCP server or a router may set besides addresses, routes and name servers.
_TAKEN: Final = ("UseDomains", "UseTimezone")


@control(
    "ZOA-121",
    door=Door.REMOTE_SHELLS,
    severity=Severity.MEDIUM,
    title="The resolver answers nobody on the network",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 SC-7"),
)
def resolver_is_silent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: where the start brings systemd-resolved in, resolved.conf and its drop-ins have LLMNR= and
    MulticastDNS= set to no, or to resolve, and no DNSStubListenerExtra=.

    Why it matters: the service opens port 5355 or 5353 to the whole network without any socket unit, tells everybody
    the name of the node, and takes names from whoever answers first.

    Example: systemd-resolved is enabled and /etc/systemd/resolved.conf is as it came.

    Fix: LLMNR=no and MulticastDNS=no in /usr/lib/systemd/resolved.conf.d.

    Known limits: settings of a single network can turn them on only as far as resolved.conf does; other resolvers are
    not looked at.
    """
    for area in facts.areas:
        unit = area.units.get(_RESOLVED)
        if unit is None or unit.pulled_in_by is None:
            continue
        for key in ("LLMNR", "MulticastDNS"):
            held = daemon_settings(area, "resolved.conf", key)
            if not held:
                evidence = ("/etc/systemd/resolved.conf", "not set")
                yield about_name(area, f"resolved.conf:{key}", "is not set, so the resolver answers", evidence)
            elif held[-1].value.lower() not in _SILENT:
                evidence_held = (held[-1].origin, f"{key}={held[-1].value}")
                yield about_name(area, f"resolved.conf:{key}", "lets the resolver answer", evidence_held)
        for setting in daemon_settings(area, "resolved.conf", "DNSStubListenerExtra"):
            subject = f"resolved.conf:DNSStubListenerExtra:{setting.value}"
            yield about_name(area, subject, "makes the resolver a server", (setting.origin, setting.value))


@control(
    "ZOA-123",
    door=Door.REMOTE_SHELLS,
    severity=Severity.MEDIUM,
    title="networkd serves nobody on the network",
    references=("NIST SP 800-53 CM-7", "NIST SP 800-53 SC-7"),
)
def networkd_is_silent(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no .network file of root or initrd has DHCPServer= or IPv6SendRA= set to anything but no. Files
    that match only links that systemd makes for containers and virtual machines do not count.

    Why it matters: the service opens port 67 without any socket unit, and tells the network which way to send packets.

    Example: DHCPServer=yes in 20-dhcp.network.

    Fix: leave both out, no is their default.

    Known limits: a .link file may give a link of the machine a name that is one for containers.
    """
    for area in facts.areas:
        for file in area.systemd.configuration:
            if not file.name.endswith(".network") or _is_for_containers(file) or _is_for_made_links(file):
                continue
            for setting in file.settings:
                if setting.key in _SERVES and setting.value.lower() not in _NO:
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    yield about_name(area, f"{file.name}:{setting.key}", "makes the node a server", evidence)


@control(
    "ZOA-122",
    door=Door.REMOTE_SHELLS,
    severity=Severity.HIGH,
    title="There is no tunnel into the node",
    references=("NIST SP 800-53 AC-17", "NIST SP 800-53 SC-7"),
    parameters=(Parameter("allowed", (), 'Names of .netdev files that the image needs, such as "10-wg.netdev".'),),
)
def no_tunnel(facts: Facts, parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no .netdev file of root or initrd makes a device of a kind that carries packets from another
    machine or from a program: WireGuard, L2TP, GRE, VXLAN, Geneve, TUN and the like.

    Why it matters: whoever has the other end is inside of the node's network filters, and the traffic looks like one
    encrypted stream.

    Example: /etc/systemd/network/50-support.netdev has Kind=wireguard.

    Fix: remove the file, or name it in the pack if the service needs it.

    Known limits: programs that make devices themselves are other controls' subject; who the other end is is not looked
    at.
    """
    for area in facts.areas:
        for file in area.systemd.configuration:
            for setting in file.settings:
                is_kind = (setting.section, setting.key) == ("NetDev", "Kind")
                if is_kind and setting.value.lower() in _TUNNELS and file.name not in parameters["allowed"]:
                    evidence = (setting.origin, f"Kind={setting.value}")
                    yield about_name(area, file.name, f"makes a tunnel: {setting.value}", evidence)


@control(
    "ZOA-431",
    door=Door.INJECTED_CONFIGURATION,
    severity=Severity.MEDIUM,
    title="The network gives the node no search domains and no time zone",
    references=("NIST SP 800-53 CM-6", "NIST SP 800-53 SC-7"),
)
def network_sets_little(facts: Facts, _parameters: Parameters) -> Iterator[Finding]:
    """What it checks: no .network file of root or initrd, nor networkd.conf, has UseDomains= or UseTimezone= set to
    anything but no. Files that match only containers do not count.

    Why it matters: with a search domain, whoever answers DHCP first decides to which machine a short name leads; with
    a time zone he decides what the logs say.

    Example: UseDomains=yes in the section DHCPv4 of 20-dhcp.network.

    Fix: leave both out, no is their default.

    Known limits: addresses, routes and name servers come from the network anyway; what they lead to must prove who it
    is.
    """
    for area in facts.areas:
        for file in area.systemd.configuration:
            if not file.name.endswith((".network", "networkd.conf")) or _is_for_containers(file):
                continue
            for setting in file.settings:
                if setting.key in _TAKEN and setting.value.lower() not in _NO:
                    subject = f"{file.name}:{setting.section}:{setting.key}"
                    evidence = (setting.origin, f"{setting.key}={setting.value}")
                    yield about_name(area, subject, "takes a setting from the network", evidence)


def _is_for_containers(file: DaemonConfiguration) -> bool:
    wanted = [item.value for item in file.settings if (item.section, item.key) == ("Match", "Virtualization")]
    return wanted == ["container"]


def _is_for_made_links(file: DaemonConfiguration) -> bool:
    names = [item.value.split() for item in file.settings if (item.section, item.key) == ("Match", "Name")]
    return bool(names) and all(word.startswith(_MADE_LINKS) for words in names for word in words)


CONTROLS = (resolver_is_silent, networkd_is_silent, no_tunnel, network_sets_little)
