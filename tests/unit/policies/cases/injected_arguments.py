from __future__ import annotations

from builder.facts.boot import command_line
from policies.facts import Boot, BootEntry, Origin
from tests.control_cases import bad, good
from tests.fact_trees import esp_file, link, program

_OFF = "systemd.import_credentials=no"
_BOTH = ("uki:0:systemd.import_credentials:root", "uki:0:systemd.import_credentials:initrd")
_GENERATOR = "usr/lib/systemd/system-generators/systemd-gpt-auto-generator"
_UNIT = "usr/lib/systemd/system/x.service"


def boot_of(arguments: str | None) -> Boot:
    """One boot entry with this kernel command line."""
    entry = BootEntry(
        kind="loader-entry",
        volume="esp",
        origin=Origin(path="/loader/entries/a.conf", line=None),
        title="a",
        kernel="/vmlinuz",
        initrds=(),
        command_line=None if arguments is None else command_line(arguments),
    )
    return Boot(programs=(), entries=(entry,), menus=())


CASES = (
    bad(
        "ZOA-403",
        "root:t.service:my*",
        root={
            "usr/lib/systemd/system/t.service": "[Service]\nExecStart=systemd-tmpfiles\nImportCredential=my*\n",
            "etc/tmpfiles.d/a.conf": "f+^ /root/.ssh/authorized_keys - - - - mykeys\n",
        },
    ),
    good(
        "ZOA-403",
        root={
            "usr/lib/systemd/system/t.service": "[Service]\nExecStart=systemd-tmpfiles\nImportCredential=my*\n",
            "etc/tmpfiles.d/a.conf": "f^ /etc/motd - - - - mymotd\nf /root/.ssh/authorized_keys - - - - mykeys\n"
            "f^ /root/.ssh/authorized_keys - - - - other\n",
        },
    ),
    bad("ZOA-401", *_BOTH, command_line="quiet"),
    bad("ZOA-401", *_BOTH, command_line=None),
    bad("ZOA-401", *_BOTH, command_line=f"{_OFF} systemd.import-credentials"),
    bad("ZOA-401", _BOTH[1], command_line=f"{_OFF} rd.systemd.import_credentials=1"),
    bad("ZOA-401", _BOTH[0], command_line="rd.systemd.import_credentials=no"),
    good("ZOA-401", command_line=f"systemd.import_credentials=yes {_OFF}"),
    good("ZOA-401", command_line="systemd.import-credentials=0"),
    bad("ZOA-439", "uki:0", command_line="quiet 'systemd.debug_shell'"),
    bad("ZOA-439", "uki:0", command_line="systemd.debug\\_shell"),
    bad("ZOA-439", "uki:0", command_line="x\u00e0lockdown=none"),
    bad("ZOA-439", "esp:/x.addon.efi", esp_files=(esp_file("/x.addon.efi", "addon", "a'b'"),)),
    *(
        bad("ZOA-439", "uki:0", command_line=text)
        for text in ('lock"down"=integrity', 'a="b"c', '"a"b', '"a=b', 'a="b""c"', 'a="b" c"d"', "a\tb")
    ),
    good("ZOA-439", command_line='quiet dm-mod.create="a b"'),
    bad("ZOA-439", "esp:/loader/entries/a.conf", boot=boot_of("quiet 'a'")),
    good("ZOA-439", command_line=None, esp_files=(esp_file("/x.addon.efi", "addon"),), boot=boot_of(None)),
    good("ZOA-439", command_line='"a=b c" d="e" "f"'),
    bad("ZOA-402", "uki:0:systemd.set_credential=a:b", command_line="systemd.set_credential=a:b"),
    bad("ZOA-402", "uki:0:rd.systemd.set-credential-binary=a:b", command_line="rd.systemd.set-credential-binary=a:b"),
    bad(
        "ZOA-402",
        "esp:/x.addon.efi:systemd.set_credential=a",
        esp_files=(esp_file("/x.addon.efi", "addon", "systemd.set_credential=a"),),
    ),
    good("ZOA-402", command_line=f"{_OFF} x.set_credential=a:b"),
    bad(
        "ZOA-403",
        "root:x.service:tmpfiles.*",
        "root:x.service:passwd.shell.root",
        root={_UNIT: "[Service]\nImportCredential=tmpfiles.*\nImportCredential=passwd.shell.root\n"},
    ),
    bad(
        "ZOA-403",
        "initrd:x.service:key",
        initrd={_UNIT: "[Service]\nLoadCredential=key:sysusers.extra\n"},
        command_line=f"{_OFF} rd.systemd.import_credentials=yes",
    ),
    good("ZOA-403", root={_UNIT: "[Service]\nImportCredential=tmpfiles.*\n"}, command_line=_OFF),
    good(
        "ZOA-403",
        root={
            _UNIT: "[Service]\nImportCredential=own.*\nLoadCredential=a:/etc/tmpfiles.extra\n"
            "SetCredential=tmpfiles:x\nLoadCredential=own.tmpfiles.extra:/etc/x\nImportCredential=own.*:mine.\n"
            "ExecStart=/usr/bin/work /usr/lib/nothing\n"
        },
    ),
    # What a unit brings along, whatever the command line says.
    *(
        bad(
            "ZOA-403",
            f"root:x.service:{name}",
            root={_UNIT: f"[Service]\nExecStart=/usr/bin/work\nSetCredential={name}:text\n"},
            command_line=_OFF,
        )
        for name in (
            "tmpfiles.extra",
            "sysctl.extra",
            "sysusers.extra",
            "passwd.hashed-password.root",
            "journal.forward_to_socket",
            "network.network.50-x",
            "udev.rules.x",
            "ssh.listen",
            "%B.extra",
            r"tmpfiles\.extra",
        )
    ),
    *(
        bad("ZOA-403", "initrd:x.service:sysctl.extra", initrd={_UNIT: f"[Service]\n{line}\n"}, command_line=_OFF)
        for line in (
            "SetCredentialEncrypted=sysctl.extra:text",
            "LoadCredential=sysctl.extra:/etc/x",
            "LoadCredentialEncrypted=sysctl.extra:/etc/x",
            "LoadCredential=sysctl.extra:other",
        )
    ),
    *(
        bad(
            "ZOA-403",
            "root:x.service:own",
            root={_UNIT: f"[Service]\nExecStart={command}\n{line}\n", "usr/bin/link": link("systemd-tmpfiles")},
            command_line=_OFF,
        )
        for command, line in (
            ("systemd-tmpfiles --create", "SetCredential=own:text"),
            ("/usr/lib/systemd/systemd-journald", "LoadCredential=own:/etc/x"),
            ("/usr/lib/systemd/systemd-journald", "ImportCredential=x:own"),
            ("/usr/bin/env -S '/usr/bin/systemd-tmpfiles --create'", "SetCredential=own:text"),
            ("/usr/bin/link --create", "SetCredential=own:text"),
            ("/usr/bin/systemd-cat systemd-tmpfiles --create", "SetCredential=own:text"),
        )
    ),
    bad(
        "ZOA-403",
        "root:t.service:mykeys",
        root={
            "usr/lib/systemd/system/t.service": "[Service]\nExecStart=/usr/bin/work\nSetCredential=mykeys:x\n",
            "etc/tmpfiles.d/a.conf": "f+^ /root/.ssh/authorized_keys - - - - mykeys\n",
        },
        command_line=_OFF,
    ),
    good(
        "ZOA-403",
        root={
            _UNIT: "[Service]\nExecStart=systemd-tmpfiles --create\nImportCredential=own.*\nLoadCredential=own\n"
            "SetCredential=\nLogNamespace=a:b\n",
            "usr/lib/systemd/system/y.service": "[Service]\nExecStart=agetty\nImportCredential=tty.a.*:agetty.\n"
            "SetCredential=own:text\nLoadCredential=key:/etc/x\n",
            "usr/lib/systemd/system/w.service": "[Service]\nExecStart=/usr/bin/systemd-cat /usr/bin/work\n"
            "ExecStop=systemd-creds cat own\nExecStop=systemd-notify --ready\nExecStop=systemd-inhibit /usr/bin/work\n"
            "SetCredential=own:text\n",
            "usr/lib/systemd/system/z.service": "[Service]\nSetCredential=tmpfiles.extra:x\n",
            "etc/systemd/system/z.service": link("/dev/null"),
            "etc/systemd/system/z.service.d/x.conf": "[Service]\nSetCredential=tmpfiles.extra:x\n",
        },
        command_line=_OFF,
    ),
    good(
        "ZOA-403",
        root={_UNIT: "[Service]\nImportCredential=tmpfiles.*\n", "etc/systemd/system/x.service": link("/dev/null")},
    ),
    bad(
        "ZOA-410",
        "uki:0:systemd.setenv=A=b",
        "uki:0:rd.systemd.mount-extra=/dev/a:/b",
        command_line="systemd.setenv=A=b rd.systemd.mount-extra=/dev/a:/b",
    ),
    bad("ZOA-410", "uki:0:LD_PRELOAD=/run/x", command_line="LD_PRELOAD=/run/x"),
    good("ZOA-410", command_line="PATH ld_preload=1 systemd.show_status=no MY_PATH=x"),
    bad(
        "ZOA-412",
        "uki:0:ip=dhcp",
        "uki:0:rd.neednet=1",
        "uki:0:ds=nocloud",
        command_line="ip=dhcp rd.neednet=1 ds=nocloud",
    ),
    bad("ZOA-412", "uki:0:cloud-config-url=http://x", command_line="cloud-config-url=http://x"),
    *(
        bad("ZOA-412", f"uki:0:{text}", command_line=text)
        for text in ("cloud-init=enabled", "systemd.imds=1", "systemd.imds.import=1")
    ),
    bad("ZOA-412", "uki:0:root=nfs:10.0.0.1:/x", command_line="root=nfs:10.0.0.1:/x"),
    good("ZOA-412", command_line="root=/dev/vda2 ipv6.disable=1 panic=30 mount=live roothash=ab dsx=1"),
    bad("ZOA-413", f"root:/{_GENERATOR}:0", root={_GENERATOR: program()}, command_line="rd.systemd.gpt_auto=no"),
    bad(
        "ZOA-413",
        f"initrd:/{_GENERATOR}:0",
        initrd={_GENERATOR: program()},
        command_line="systemd.gpt_auto=no rd.systemd.gpt_auto",
    ),
    good("ZOA-413", root={_GENERATOR: program()}, initrd={_GENERATOR: program()}, command_line="systemd.gpt_auto=no"),
    good("ZOA-413", root={_GENERATOR: link("/dev/null")}, command_line="quiet"),
    *(
        bad("ZOA-432", f"uki:0:{argument}", command_line=f"quiet {argument}")
        for argument in ("efivar_ssdt=OemTable", "acpi_rsdp=0x7ff0", "efivar-ssdt=x")
    ),
    bad("ZOA-432", "initrd:/kernel/firmware/acpi/dsdt.aml", initrd={"kernel/firmware/acpi/dsdt.aml": "x"}),
    good(
        "ZOA-432",
        command_line="quiet acpi=force",
        root={"kernel/firmware/acpi/dsdt.aml": "x"},
        initrd={"kernel/firmware/acpi/none/x": link("/y"), "usr/lib/firmware/x": "x"},
    ),
)
