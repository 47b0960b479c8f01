from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import elf, esp_file, file, folder, link, program

_TMPFILES = "etc/tmpfiles.d/a.conf"
_RULES = "usr/lib/udev/rules.d/x.rules"
_UNIT = "usr/lib/systemd/system/x.service"
_SOCKET = "usr/lib/systemd/system/x.socket"
_SHUTDOWN = "usr/lib/systemd/system-shutdown"
_BROUGHT_IN = (
    "initrd=a.img", "initrdmem=1,2", "bootconfig", "sysctl.kernel.sysrq=1", "sysctl.kernel/sysrq=1",
    "sysctl/kernel/sysrq=1",
    "firmware_class.path=/a", "modules_load=a", "modules-load=a", "rd.modules_load=a", "systemd.image_policy=a",
    "systemd.early_core_pattern=a", "systemd.machine_id=a", "systemd.random-seed=a",
)  # fmt: skip
_TRACING = (
    "ftrace=function", "ftrace_dump_on_oops", "trace_event=a", "trace_options=a", "trace_instance=a", "trace_trigger=a",
    "trace_clock=a", "trace_buf_size=1", "kprobe_event=a", "tp_printk", "tp_printk_stop_on_boot", "traceoff_on_warning",
    "alloc_snapshot", "stacktrace", "stacktrace_filter=a", "tpm.disable_pcr_integrity=1",
)  # fmt: skip
_VARIABLES = (
    "LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "PYTHONPATH", "PYTHONHOME",
    "PYTHONSTARTUP", "PERL5LIB", "PERL5OPT", "BASH_ENV", "ENV", "RUBYOPT", "NODE_OPTIONS", "OPENSSL_CONF",
    "OPENSSL_MODULES", "OPENSSL_ENGINES", "SYSTEMD_UNIT_PATH", "SYSTEMD_GENERATOR_PATH",
    "SYSTEMD_ENVIRONMENT_GENERATOR_PATH", "SYSTEMD_SYSEXT_HIERARCHIES", "SYSTEMD_CONFEXT_HIERARCHIES",
    "SYSTEMD_PROC_CMDLINE", "SYSTEMD_FSTAB", "SYSTEMD_SYSROOT_FSTAB", "SYSTEMD_CRYPTTAB",
    "SYSTEMD_VERITYTAB", "SYSTEMD_INTEGRITYTAB", "SYSTEMD_SYSVINIT_PATH", "SYSTEMD_LOG_TARGET", "SYSTEMD_WANTS",
    "CREDENTIALS_DIRECTORY", "ENCRYPTED_CREDENTIALS_DIRECTORY",
)  # fmt: skip

_OF_DEVICES = ("ALIAS", "MOUNT_DEVICE_BOUND", "READY", "RFKILL", "USER_WANTS", "WANTS")
_HARMLESS = (
    "SYSTEMD_COLORS", "SYSTEMD_LOG_COLOR", "SYSTEMD_LOG_LEVEL", "SYSTEMD_LOG_LOCATION", "SYSTEMD_LOG_TID",
    "SYSTEMD_LOG_TIME", "SYSTEMD_NSS_RESOLVE_VALIDATE", "SYSTEMD_SLEEP_FREEZE_USER_SESSIONS", "SYSTEMD_URLIFY",
    "SYSTEMD_UTF8",
)  # fmt: skip

CASES = (
    bad("ZOA-433", *(f"uki:0:{word}" for word in _BROUGHT_IN), command_line=" ".join(_BROUGHT_IN)),
    bad(
        "ZOA-433",
        "esp:/loader/addons/a.addon.efi:initrd=x",
        esp_files=(esp_file("/loader/addons/a.addon.efi", "addon", "initrd=x"),),
    ),
    good("ZOA-433", command_line="rd.initrd=1 initrds=a bootconfigs firmware_class.test=1 sysctl. module_load=x"),
    bad(
        "ZOA-434",
        *(f"root:x.service:{name}" for name in _VARIABLES),
        root={_UNIT: "[Service]\nExecStart=/x\n" + "".join(f"Environment={name}=/x\n" for name in _VARIABLES)},
    ),
    bad("ZOA-434", "root:x.service:LD_AUDIT", root={_UNIT: '[Service]\nEnvironment=A=b "LD_AUDIT=/x y"\n'}),
    *(
        bad("ZOA-434", "root:x.service:LD_AUDIT", root={_UNIT: f"[Service]\nEnvironment={word}=/x\n"})
        for word in ("\\x4cD_AUDIT", "L\\104_AUDIT")
    ),
    bad(
        "ZOA-434",
        "root:systemd-tmpfiles-setup.service:CREDENTIALS_DIRECTORY",
        root={
            "usr/lib/systemd/system/systemd-tmpfiles-setup.service.d/x.conf": (
                "[Service]\nEnvironment=CREDENTIALS_DIRECTORY=/dev/disk/by-partlabel\n"
            )
        },
    ),
    *(
        bad(
            "ZOA-434",
            "root:system.conf:SYSTEMD_VERITYTAB",
            "root:system.conf:CREDENTIALS_DIRECTORY",
            root={"usr/lib/systemd/system.conf.d/x.conf": f"[Manager]\n{key}={value}\n"},
        )
        for key in ("DefaultEnvironment", "ManagerEnvironment")
        for value in (
            "SYSTEMD_VERITYTAB=/run/v CREDENTIALS_DIRECTORY=/run",
            "'SYSTEMD_VERITYTAB=/run/v' \"CREDENTIALS_DIRECTORY=/run\"",
            r"\x53YSTEMD_VERITYTAB=/run/v \103REDENTIALS_DIRECTORY=/run",
        )
    ),
    bad(
        "ZOA-434",
        "root:x.service:CREDENTIALS_DIRECTORY",
        root={_UNIT: "[Service]\nEnvironmentFile=/etc/x\n", "etc/x": "CREDENTIALS_DIRECTORY=/run\nSYSTEMD_UTF8=1\n"},
    ),
    bad("ZOA-434", f"root:/{_RULES}:1:SYSTEMD_FSTAB", root={_RULES: 'ENV{SYSTEMD_FSTAB}="/run/x"\n'}),
    good(
        "ZOA-434",
        root={
            _UNIT: f"[Service]\nEnvironment={' '.join(f'{name}=1' for name in _HARMLESS)}\n",
            _RULES: "".join(f'ENV{{SYSTEMD_{name}}}="x"\n' for name in _OF_DEVICES),
        },
    ),
    bad("ZOA-434", "root:x.service:LD_AUDIT", root={_UNIT: "[Service]\nEnvironment='LD_AUDIT=/x'\n"}),
    *(
        bad(
            "ZOA-434",
            "root:x.service:LD_AUDIT",
            root={_UNIT: f"[Service]\nEnvironmentFile={named}\n", "etc/default/x": held},
        )
        for named, held in (
            ("/etc/default/x", "A=1\nLD_AUDIT=/usr/lib/x.so\n"),
            ("-/etc/default/%p", " LD_AUDIT =x"),
            ("/etc/def*/[!a]", "#\rLD_AUDIT=x"),
            ("/etc/[z-a]/x", "LD_AUDIT=x"),
            (r"/etc/def\ault/?", "LD_AUDIT=x"),
        )
    ),
    *(
        bad(
            "ZOA-434",
            "root:x.service:LD_AUDIT",
            root={_UNIT: f"[Service]\nExecStart=/usr/bin/env {words} /usr/bin/y\n"},
        )
        for words in (
            "LD_AUDIT=/usr/lib/x.so",
            "-SLD_AUDIT=x",
            "-S 'A=b LD_AUDIT=x'",
            "--split-string=LD_AUDIT=x",
            "--setenv=LD_AUDIT=x",
            "-ELD_AUDIT=x",
        )
    ),
    good(
        "ZOA-434",
        root={
            _UNIT: "[Service]\nExecStart=/x LD_AUDIT XLD_AUDIT=1\nEnvironmentFile=/etc/x\nEnvironmentFile=/etc/none\n"
            "EnvironmentFile=/etc\nEnvironmentFile=\nEnvironmentFile=/etc/a[x]/b\n",
            "etc/x": "A=LD_AUDIT\n#LD_AUDIT=x\nLD_AUDIT\nexport LD_AUDIT=x\n",
            "etc/ay/b": "LD_AUDIT=x\n",
        },
    ),
    *(
        bad("ZOA-434", f"root:x.service:{name}", root={_UNIT: f"[Service]\nEnvironment={name}=x\n"})
        for name in ("LD_DEBUG_OUTPUT", "DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS", "MODPROBE_OPTIONS")
    ),
    *(
        bad(
            "ZOA-434",
            f"root:/{path}:1:LD_PRELOAD",
            root={"usr/lib/udev/rules.d/x.rules": f"{rule}\n", "usr/share/x": "LD_PRELOAD=/usr/lib/x.so\n"},
        )
        for rule, path in (
            ('ENV{LD_PRELOAD}="/usr/lib/x.so", RUN+="/usr/bin/y"', "usr/lib/udev/rules.d/x.rules"),
            ("RUN+=\"/usr/bin/env 'LD_PRELOAD=/usr/lib/x.so' /usr/bin/y\"", "usr/lib/udev/rules.d/x.rules"),
            ('IMPORT{file}="/usr/share/x"', "usr/share/x"),
        )
    ),
    good(
        "ZOA-434",
        root={"usr/lib/udev/rules.d/x.rules": 'ENV{ID_LD_PRELOAD}="1", ENV{A}="LD_PRELOAD", RUN+="/x LD_PRELOAD"\n'},
    ),
    bad("ZOA-434", "initrd:x.service:LD_PRELOAD", initrd={_UNIT: "[Service]\nPassEnvironment=A LD_PRELOAD\n"}),
    bad(
        "ZOA-434",
        "root:system.conf:LD_PRELOAD",
        "root:system.conf:SYSTEMD_UNIT_PATH",
        root={
            "etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=LD_PRELOAD=x\n"
            "ManagerEnvironment=SYSTEMD_UNIT_PATH=x\n"
        },
    ),
    good(
        "ZOA-434",
        root={
            _UNIT: "[Service]\nEnvironment=PATH=/usr/bin XLD_PRELOAD=1 A=LD_PRELOAD=1\nUnsetEnvironment=LD_PRELOAD\n",
            "etc/systemd/system/y.service": "[Service]\nEnvironment=LD_PRELOAD=/x\n",
            "etc/systemd/system.control/y.service": link("/dev/null"),
            "etc/systemd/system.conf": "[Manager]\nDefaultEnvironment=LANG=C\n",
        },
    ),
    bad("ZOA-330", f"root:/{_SHUTDOWN}/a", root={f"{_SHUTDOWN}/a": program()}),
    bad("ZOA-330", f"root:/{_SHUTDOWN}/a", root={f"{_SHUTDOWN}/a": link("/opt/a"), "opt/a": program()}),
    *(
        bad("ZOA-330", f"initrd:/{place}/systemd/system-sleep/a", initrd={f"{place}/systemd/system-sleep/a": program()})
        for place in ("etc", "run", "usr/local/lib", "usr/lib", "lib")
    ),
    bad("ZOA-330", "root:/system-update", root={"system-update": link("/var/a")}),
    bad("ZOA-330", "initrd:/etc/system-update", initrd={"etc/system-update": folder()}),
    good(
        "ZOA-330",
        root={
            f"{_SHUTDOWN}/a": file("x"),
            f"{_SHUTDOWN}/b": link("/dev/null"),
            "usr/lib/systemd/system-shutdowns/a": program(),
            "opt/system-update": link("/var/a"),
        },
    ),
    bad("ZOA-739", *(f"uki:0:{word}" for word in _TRACING), command_line=" ".join(_TRACING)),
    good("ZOA-739", command_line="trace=1 ftraced=1 tpm.suspend_pcr=1 kprobe_events=a stack_guard=1"),
    bad("ZOA-614", "root:/opt/a", root={"opt/a": file(program().content + b"GNU bash\0BASH_VERSION")}),
    bad("ZOA-614", "initrd:/opt/a", initrd={"opt/a": file(program().content + b"access tty; job control turned off")}),
    # What mksh and mawk have in them, which are not the first of their kind in the table.
    *(
        bad("ZOA-614", "root:/opt/a", root={"opt/a": file(elf(interpreter=None, needed=()) + text)})
        for text in (b"KSH_VERSION=@(#)MIRBSD KSH R59 2020/10/31", b"\0WHINY_USERS\0")
    ),
    good(
        "ZOA-614",
        root={
            "usr/bin/a": file(program().content + b"GNU bash, not the thing itself"),
            "usr/bin/d": file(program().content + b"LUA_PATH ZSH_VERSION KSH_VERSION NODE_OPTIONS TCL_LIBRARY RUBYOPT"),
            "usr/bin/b": "BASH_VERSION GNU bash",
            "usr/bin/c": file(program().content + b"SUSHELL"),
        },
    ),
    good(
        "ZOA-614",
        root={"opt/a": file(program().content + b"PERL5LIB PERL5OPT")},
        parameters={"allowed": ("/opt/a",)},
    ),
    bad("ZOA-220", "root:/sbin/init", root={"sbin/init": link("/opt/a"), "opt/a": program()}),
    good(
        "ZOA-220",
        root={"sbin/init": link("/usr/lib/systemd/systemd"), "usr/lib/systemd/systemd": program(), "init": program()},
    ),
    *(
        bad("ZOA-215", "root:x.service", root={_UNIT: f"[Service]\nExecStart=/x\nOpenFile={path}:con\n"})
        for path in (
            "/dev/ttyS0",
            "/dev/console",
            "/dev/hvc0",
            "/dev/vport0p1",
            "/dev/virtio-ports/a",
            "/dev/pts/0",
            "/dev/ptmx",
            "/dev/xvc0",
            "/dev/input/event0",
            "/dev/%q",
        )
    ),
    *(
        bad(
            "ZOA-423",
            f"root:x.service:ExecStart:{found}",
            root={_UNIT: f"[Service]\n{text}\n", "etc/default/x": "D=/run/b\n"},
        )
        for text, found in (
            ("Environment=A=/run\nExecStart=/usr/bin/env ${A}/a", "/run/a"),
            ("Environment='B=x /run/a'\nExecStart=/usr/bin/env $B", "/run/a"),
            ("EnvironmentFile=/etc/default/x\nExecStart=/usr/bin/env $D", "/run/b"),
            ("ExecStart=/usr/bin/env ${C}/a", "${C}/a"),
        )
    ),
    good(
        "ZOA-423",
        root={_UNIT: "[Service]\nEnvironment=A=/run\nExecStart=:/usr/bin/env x$A /x/$${A} $$A\nExecStop=/x ${A}\n"},
    ),
    bad(
        "ZOA-423",
        "root:x.service:BindPaths:/opt/a",
        root={_UNIT: "[Service]\nBindPaths=/opt/a\n", "opt": link("run")},
    ),
    *(
        bad("ZOA-423", "root:x.service:BindPaths:/run/a", root={_UNIT: f"[Service]\nBindPaths=/run/a:{target}\n"})
        for target in ("/./usr/b", "//usr/b", "/x/../usr/b:rbind", "x\\:/usr/b", "/x:/usr/b")
    ),
    *(
        bad("ZOA-423", "root:x.service:ExecStart:/run/a", root={_UNIT: f"[X]\nExecStart=/sbin/modprobe {option} x\n"})
        for option in ("-C/run/a", "--config=/run/a", "-d/run/a", "--dirname=/run/a", "-C /run/a")
    ),
    good("ZOA-423", root={_UNIT: "[X]\nExecStart=/sbin/modprobe -C/opt/run --config=opt/run x=/run/a --x=/run/b\n"}),
    bad("ZOA-215", "root:x.service", root={_UNIT: "[Service]\nExecStart=/x\nStandardInput=null\nOpenFile=/dev/tty1\n"}),
    bad("ZOA-215", "initrd:x.socket", initrd={_SOCKET: "[Socket]\nListenSpecial=/dev/ttyS0\n"}),
    *(
        bad(
            "ZOA-215",
            f"root:{name}",
            root={f"usr/lib/systemd/system/{name}": f"[Service]\nStandardInput=file:{path}\n"},
        )
        for name, path in (
            ("dev-ttyS0.service", "%f"),
            ("a@dev-ttyS0.service", "%f"),
            ("a@dev-ttyS0.service", "/%I"),
            ("a@.service", "%f"),
            ("dev.service", "/%p/hvc0"),
        )
    ),
    *(
        good(
            "ZOA-215", root={_UNIT: f"[Service]\nExecStart=/x\nStandardInput=file:/dev/{name}\nOpenFile=/dev/{name}\n"}
        )
        for name in ("null", "zero", "random", "urandom", "tpm0", "tpmrm0")
    ),
    good("ZOA-215", root={_UNIT: "[Service]\nExecStart=/x\nStandardInput=file:/etc/%%p/%N\n"}),
    good("ZOA-215", root={_UNIT: "[Service]\nExecStart=/x\nStandardInput=fd:%m\n"}),
    *(
        bad("ZOA-215", "root:x.service", root={_UNIT: "[X]\nStandardInput=file:/run/a/dev/x\n", _TMPFILES: f"{line}\n"})
        for line in (
            "L /run/a/dev/x - - - - /dev/ttyS0",
            "L+ /run/a - - - - ../dev/b",
            "L /run/a - - - - /",
            "L /run/b - - - - /etc\nL /run/a/dev - - - - /dev/c",
        )
    ),
    *(
        good("ZOA-215", root={_UNIT: "[X]\nStandardInput=file:/run/a/in\n", _TMPFILES: f"{line}\n"})
        for line in (
            "L /run/a/in - - - - /etc/x",
            "L /run/a/i - - - - /dev/a",
            "f /run/a - - - - /dev/a",
            "L /run/a/in",
        )
    ),
    bad("ZOA-215", "root:x.service", root={_UNIT: "[Service]\nStandardInput=tty\nTTYPath=/dev/tty1\n"}),
    bad("ZOA-215", "root:x.socket", root={_SOCKET: "[Socket]\nListenStream=/run/x\nStandardInput=tty\n"}),
    good("ZOA-215", root={_SOCKET: "[Socket]\nListenSpecial=/dev/tpm0\nListenStream=/dev/ttyS0\n"}),
    good("ZOA-215", root={_UNIT: "[Service]\nExecStart=/x\nOpenFile=/dev/tpm0\nOpenFile=/opt/dev/tty\n"}),
    *(
        bad("ZOA-423", f"root:x.service:ExecStart:{path}", root={_UNIT: f"[Service]\nExecStart={runner} a {path}\n"})
        for runner, path in (
            ("/usr/bin/env", "/run/a"),
            ("/lib64/ld-linux-x86-64.so.2", "/var/a"),
            ("/lib/ld-musl-x86_64.so.1", "/run/a"),
            ("/lib/ld.so", "/run/a"),
            ("/bin/sh", "/run/a"),
            *(
                (f"/usr/bin/{name}", "/run/a")
                for name in (
                    "nice",
                    "ionice",
                    "chrt",
                    "taskset",
                    "setarch",
                    "setpriv",
                    "setsid",
                    "stdbuf",
                    "nohup",
                    "timeout",
                    "flock",
                    "chroot",
                    "unshare",
                    "nsenter",
                    "capsh",
                    "prlimit",
                    "choom",
                    "xargs",
                    "systemd-cat",
                    "systemd-inhibit",
                    "systemd-run",
                    "systemd-notify",
                    "bash",
                    "dash",
                )
            ),
        )
    ),
    bad("ZOA-423", "root:x.service:MountImages:/run/a.raw", root={_UNIT: "[Service]\nMountImages=/run/a.raw:/usr\n"}),
    *(
        bad(
            "ZOA-423", f"root:x.service:{key}:/run/a", root={_UNIT: f"[Service]\n{key}=/opt/a -/run/a:{target}:rbind\n"}
        )
        for key in ("BindPaths", "BindReadOnlyPaths")
        for target in ("/usr", "/usr/bin", "/etc/a", "/opt/a", "/bin", "/sbin/a", "/lib", "/lib64/a", "/")
    ),
    good(
        "ZOA-423",
        root={
            _UNIT: "[Service]\nExecStart=/usr/bin/env /usr/bin/a run/b\nExecStartPre=/usr/bin/nicer /run/a\n"
            "BindPaths=/run/a /run/a:/var/a /usr/a:/usr/b\nBindReadOnlyPaths=/run/a:/user\n",
        },
    ),
    *(
        bad("ZOA-522", f"root:/{_TMPFILES}:/opt/a", root={_TMPFILES: f"{kind} /opt/a {mode} - - -\n"})
        for kind, mode in (("z", "4755"), ("Z", "~06755"), ("m", ":4755"), ("f", "2755"))
    ),
    good(
        "ZOA-522", root={_TMPFILES: "z /var/log/a 2755\nZ /var/log/b ~2750\nd /opt/a 4755\nz /opt/b 0755\nz /opt/c -\n"}
    ),
    *(
        bad("ZOA-856", f"root:/{place}/a", root={f"{place}/a": "x"})
        for place in ("run/credstore", "usr/lib/credstore", "usr/local/lib/credstore", "usr/lib/credstore.encrypted")
    ),
    *(
        bad("ZOA-438", f"root:/{_RULES}:2:{key}", root={_RULES: f'#\nACTION=="add", {key}{operator}"x"\n'})
        for key, operator in (
            ("SYSCTL{kernel.core_pattern}", "="),
            ("SYSCTL{kernel/sysrq}", " += e"),
            ("ATTR{[module/sysrq]parameters/reset_seq}", ":="),
            ("ATTR{../../../kernel/uevent_helper}", "="),
            ("ATTR{..//..//..//..//proc/sys/kernel/modprobe}", "="),
            ("ATTR{.././../x}", "="),
            ("ATTR{subsystem/..}", "="),
            ("ATTR{../uevent}", "="),
            ("ATTR{parameters/kgdboc}", "="),
            ("ATTR{driver/module//parameters//path}", "+="),
            ("ATTR{driver/module/*/path}", "="),
        )
    ),
    bad("ZOA-438", f"root:/{_RULES}:1:ATTR{{../a}}", root={_RULES: 'ATTR{../a}="change"\n'}),
    bad("ZOA-438", f"initrd:/{_RULES}:1:SYSCTL{{a.b}}", initrd={_RULES: 'SYSCTL{a.b}="1"\n'}),
    good(
        "ZOA-438",
        root={
            _RULES: (
                'ATTR{power/control}="auto"\nATTR{parameters/events_dfl_poll_msecs}="2000"\n'
                'ATTR{a..b/..c/parameter}="x"\nATTR{block/*/uevent}="change"\n'
                'ATTR{../uevent}="change"\nSYSCTL{a.b}=="1", ATTR{[dmi/id]x}=="1"\n'
                'ATTR{../../x}!="1", ENV{a}="../..", ENV{../a/parameters/b}="x"\n'
            )
        },
    ),
    bad(
        "ZOA-330",
        "root:/usr/lib/systemd/system-shutdown/x",
        root={"usr/lib/systemd/system-shutdown": link("/usr/share/s"), "usr/share/s/x": program()},
    ),
)
