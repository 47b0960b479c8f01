"""Images one condition away from a bad or a good one, found by mutation: boot entries, profiles, switches."""

from __future__ import annotations

from msgspec.structs import replace

from builder.facts.boot import command_line as parse_command_line
from policies.facts import Boot, BootEntry, Origin, Uki
from tests.control_cases import bad, good
from tests.fact_trees import conf, link, program, uki

_UNITS = "usr/lib/systemd/system"
_RUN = "[Service]\nExecStart={}\n"
_MODULES = "usr/lib/modules/6.12.0"
_CORE = {"etc/systemd/system.conf": "[Manager]\nDefaultLimitCORE=0\n"}
_ENTRY = "/loader/entries/x.conf"


def _booted(arguments: str | None) -> Boot:
    """A boot loader's entry with these arguments."""
    line = None if arguments is None else parse_command_line(arguments)
    entry = BootEntry(
        kind="loader-entry",
        volume="esp",
        origin=Origin(path=_ENTRY, line=None),
        title="x",
        kernel="/vmlinuz",
        initrds=(),
        command_line=line,
    )
    return Boot(programs=(), entries=(entry,), menus=())


def _two_profiles(first: str, second: str) -> Uki:
    one, two = uki(first).profiles[0], uki(second).profiles[0]
    return replace(uki(first), profiles=(one, replace(two, number=1)))


def _without_command_line() -> Uki:
    profile = uki(None).profiles[0]
    first = profile.sections[0]
    sections = tuple(replace(first, name=name) for name in (".linux", ".osrel", ".initrd", ".uname", ".sbat"))
    return replace(uki(None), profiles=(replace(profile, sections=sections),))


_ENTRIES = (
    bad("ZOA-717", f"esp:{_ENTRY}:nospectre-v2", boot=_booted("quiet nospectre-v2 mitigations=auto -- nopti")),
    good("ZOA-717", boot=_booted("quiet mitigations=auto")),
    good("ZOA-717", boot=_booted(None)),
    bad("ZOA-715", f"esp:{_ENTRY}:resume=/dev/vda5", boot=_booted("quiet -- resume=/dev/vda5")),
    bad("ZOA-217", f"esp:{_ENTRY}:rescue", boot=_booted("rescue")),
    good("ZOA-217", boot=_booted(None)),
)
_PROFILES = (
    bad("ZOA-904", "uki:0:.cmdline", uki=_without_command_line()),
    good("ZOA-327", root={f"{_UNITS}/systemd-sysext.service": _RUN.format("/usr/bin/systemd-sysext merge")}),
    good("ZOA-810", root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}UMask=broken\n"}),
    good("ZOA-810", root={"usr/lib/tmpfiles.d/x.conf": "d /run/x ~ - -\n"}),
    bad(
        "ZOA-806",
        "root:/usr/lib/modules/6.12.0/kernel/fs/pstore/efi_pstore.ko",
        root={f"{_MODULES}/kernel/fs/pstore/efi_pstore.ko": "x"},
        uki=_two_profiles("quiet efi_pstore.pstore_disable=1", "quiet"),
    ),
    bad(
        "ZOA-216",
        "root:systemd-firstboot.service",
        root={f"{_UNITS}/systemd-firstboot.service": _RUN.format("systemd-firstboot")},
        uki=_two_profiles("quiet systemd.firstboot=no", "quiet"),
    ),
    bad(
        "ZOA-403",
        "root:x.service:sysctl.extra",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}ImportCredential=sysctl.extra\n"},
        uki=_two_profiles("systemd.import_credentials=no", "quiet"),
    ),
    bad(
        "ZOA-403",
        "root:x.service:sysctl.*",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}ImportCredential=sysctl.*\n"},
        uki=None,
    ),
    bad(
        "ZOA-403",
        "root:x.service:a",
        root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:tmpfiles.extra\nLoadCredential=b:engine\n"},
    ),
    good("ZOA-403", root={f"{_UNITS}/x.service": f"{_RUN.format('/x')}LoadCredential=a:/x/sysctl.extra\n"}),
    good(
        "ZOA-709",
        root={"usr/lib/systemd/system-generators/systemd-gpt-auto-generator": program()},
        command_line="rd.systemd.gpt_auto=No systemd.gpt_auto=0",
    ),
    bad("ZOA-214", "root:rescue.service", root={f"{_UNITS}/rescue.service": _RUN.format("/usr/sbin/sulogin")}),
    good(
        "ZOA-214",
        root={
            f"{_UNITS}/rescue.target": "[Unit]\nWants=y.socket\n",
            f"{_UNITS}/y.socket": "[Socket]\nExecStartPre=/x\n",
        },
    ),
    good(
        "ZOA-325",
        root={
            f"{_UNITS}/user@.socket": "[Socket]\nListenStream=/run/x\n",
            f"{_UNITS}/sockets.target.wants/user@1.socket": link("../user@.socket"),
        },
    ),
    bad(
        "ZOA-808",
        "root:journald.conf:ForwardToWall",
        root=conf("journald.conf", "Journal", "ForwardToWall=maybe"),
    ),
    good("ZOA-802", root={**_CORE, "etc/other/system.conf": "[Manager]\nDefaultLimitCORE=infinity\n"}),
)
_SWITCHES = tuple(
    good("ZOA-217", command_line=f"quiet systemd.debug_shell={value}")
    for value in ("0", "no", "n", "false", "f", "off", "OFF")
)
CASES = (*_ENTRIES, *_PROFILES, *_SWITCHES)
