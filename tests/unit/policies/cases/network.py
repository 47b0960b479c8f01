from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import link

_UNITS = "usr/lib/systemd/system"
_NETWORK = "usr/lib/systemd/network"
_RESOLVED = {
    f"{_UNITS}/systemd-resolved.service": "[Service]\nExecStart=/usr/lib/systemd/systemd-resolved\n",
    f"{_UNITS}/sysinit.target.wants/systemd-resolved.service": link("../systemd-resolved.service"),
}
_KINDS = (
    "wireguard l2tp gre gretap ip6gre ip6gretap erspan ip6erspan ipip ip6tnl sit isatap vti vti6 vxlan geneve fou",
    "bareudp batadv macsec xfrm tun tap ipoib wlan WireGuard",
)


def _resolved(text: str) -> dict[str, object]:
    return {**_RESOLVED, "etc/systemd/resolved.conf": f"[Resolve]\n{text}\n"}


CASES = (
    bad("ZOA-121", "root:resolved.conf:LLMNR", "root:resolved.conf:MulticastDNS", root=_RESOLVED),
    bad("ZOA-121", "initrd:resolved.conf:LLMNR", initrd=_resolved("LLMNR=no\nLLMNR=yes\nMulticastDNS=no")),
    bad("ZOA-121", "root:resolved.conf:MulticastDNS", root=_resolved("LLMNR=no\nMulticastDNS=true")),
    bad(
        "ZOA-121",
        "root:resolved.conf:DNSStubListenerExtra:10.0.0.1",
        root=_resolved("LLMNR=no\nMulticastDNS=no\nDNSStubListenerExtra=10.0.0.1"),
    ),
    *(
        good("ZOA-121", root=_resolved(f"LLMNR={value}\nMulticastDNS={value}"))
        for value in ("0", "no", "n", "false", "f", "off", "resolve", "No")
    ),
    good("ZOA-121", root={f"{_UNITS}/systemd-resolved.service": "[Service]\nExecStart=/x\n"}),
    *(
        bad("ZOA-122", "root:x.netdev", root={f"{_NETWORK}/x.netdev": f"[NetDev]\nName=x\nKind={kind}\n"})
        for kinds in _KINDS
        for kind in kinds.split()
    ),
    bad("ZOA-122", "initrd:x.netdev", initrd={"etc/systemd/network/x.netdev": "[NetDev]\nName=x\nKind=wireguard\n"}),
    good("ZOA-122", root={f"{_NETWORK}/x.netdev": "[NetDev]\nName=tun\nKind=vlan\n[Other]\nKind=tun\n"}),
    good("ZOA-122", root={f"{_NETWORK}/x.network": "[Match]\nKind=tun\n"}),
    good(
        "ZOA-122",
        root={f"{_NETWORK}/x.netdev": "[NetDev]\nName=x\nKind=tun\n"},
        parameters={"allowed": ("x.netdev",)},
    ),
    bad(
        "ZOA-431",
        "root:x.network:DHCPv4:UseDomains",
        "root:x.network:DHCPv4:UseTimezone",
        root={f"{_NETWORK}/x.network": "[Match]\nName=e*\n[DHCPv4]\nUseDomains=route\nUseTimezone=yes\n"},
    ),
    bad(
        "ZOA-431",
        "root:x.network:DHCP:UseTimezone",
        root={
            f"{_NETWORK}/x.network": "[Match]\nVirtualization=vm\nKind=container\n[DHCP]\nUseTimezone=yes\n",
        },
    ),
    bad(
        "ZOA-431",
        "initrd:networkd.conf:Network:UseDomains",
        initrd={"etc/systemd/networkd.conf": "[Network]\nUseDomains=yes\n"},
    ),
    *(
        good("ZOA-431", root={f"{_NETWORK}/x.network": f"[DHCPv4]\nUseDomains={value}\nUseDNS=yes\n"})
        for value in ("0", "no", "n", "false", "f", "off", "NO")
    ),
    good(
        "ZOA-431",
        root={
            f"{_NETWORK}/80-container-host0.network": "[Match]\nVirtualization=container\n[DHCP]\nUseTimezone=yes\n",
            f"{_NETWORK}/x.link": "[Link]\nUseDomains=yes\n",
        },
    ),
    bad(
        "ZOA-123",
        "root:x.network:DHCPServer",
        "root:y.network:IPv6SendRA",
        "initrd:z.network:DHCPServer",
        root={
            f"{_NETWORK}/x.network": "[Match]\nName=e*\n[Network]\nDHCPServer=yes\n",
            f"{_NETWORK}/y.network": "[Match]\nName=ve-* e*\n[Network]\nDHCPServer=No\nIPv6SendRA=1\n",
        },
        initrd={f"{_NETWORK}/z.network": "[Match]\nKind=veth\n[Network]\nName=ve-*\nDHCPServer=yes\n"},
    ),
    *(
        good("ZOA-123", root={f"{_NETWORK}/x.network": f"[Match]\nName={name}*\n[Network]\nDHCPServer=yes\n"})
        for name in ("ve-", "vb-", "vz-", "vt-", "ns-")
    ),
    good(
        "ZOA-123",
        root={
            f"{_NETWORK}/a.network": "[Match]\nVirtualization=container\n[Network]\nDHCPServer=yes\n",
            f"{_NETWORK}/b.network": "[Match]\nName=e*\n[Network]\nDHCP=yes\nIPv6SendRA=off\n",
            f"{_NETWORK}/c.netdev": "[Network]\nDHCPServer=yes\n",
        },
    ),
)
