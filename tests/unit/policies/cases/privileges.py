from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import capability, file, folder, link, program

_NSS = "etc/nsswitch.conf"

CASES = (
    *(
        bad(
            "ZOA-510",
            "root:/etc/tmpfiles.d/a.conf:/run/a",
            root={"etc/tmpfiles.d/a.conf": f"{kind} /run/a - - - - security.capability=0sAQAAAg==\n"},
        )
        for kind in ("t", "T+")
    ),
    good(
        "ZOA-510",
        root={"etc/tmpfiles.d/a.conf": "t /run/a - - - - user.x=y\nf /run/b - - - - security.capability=x\n"},
    ),
    bad(
        "ZOA-506",
        "root:/usr/bin/sudo",
        "root:/bin/su",
        root={"usr/bin/sudo": program(), "bin/su": link("../x"), "x": program()},
    ),
    bad("ZOA-506", "initrd:/login", initrd={"login": program(0o700)}),
    good("ZOA-506", root={"usr/bin/su": link("/missing"), "usr/share/sudo": "text", "usr/bin/sum": program()}),
    good("ZOA-506", root={"usr/bin/passwd": program()}, parameters={"allowed": ("/usr/bin/passwd",)}),
    bad("ZOA-507", "root:/etc/sudoers", "root:/etc/sudoers.d/a", root={"etc/sudoers": "x", "etc/sudoers.d/a": "x"}),
    bad("ZOA-507", "initrd:/etc/doas.conf", initrd={"etc/doas.conf": link("/run/x")}),
    good("ZOA-507", root={"etc/sudoers": "", "etc/sudoers.d": folder(), "usr/share/sudoers": "x"}),
    bad(
        "ZOA-508",
        "root:/usr/lib/polkit-1/polkitd",
        "root:/etc/polkit-1/rules.d/a.rules",
        root={
            "usr/lib/polkit-1/polkitd": program(),
            "etc/polkit-1/rules.d/a.rules": "x",
            "usr/share/polkit-1/actions/a.policy": "x",
        },
    ),
    bad("ZOA-508", "initrd:/polkit-agent-helper-1", initrd={"polkit-agent-helper-1": program()}),
    good("ZOA-508", root={"etc/polkit-1/rules.d/a.rules": "x", "usr/share/polkitd": "text"}),
    bad("ZOA-509", "root:/a", "root:/b", root={"a": file("", 0o4755), "b": file("", 0o2644)}),
    bad("ZOA-509", "initrd:/a", initrd={"a": program(0o4700)}),
    good("ZOA-509", root={"a": folder(0o2775), "b": file("", 0o1755)}),
    good("ZOA-509", root={"a": file("", 0o4755)}, parameters={"allowed": ("/a",)}),
    bad("ZOA-510", "root:/ping", root={"ping": file("", 0o755, capability=capability(13))}),
    bad("ZOA-510", "initrd:/a", initrd={"a": file("", capability=b"broken")}),
    good(
        "ZOA-510",
        root={"a": file("", 0o755, selinux=b"x"), "b": file("", capability=capability(13))},
        parameters={"allowed": ("/b",)},
    ),
    bad("ZOA-514", "root:/etc/pam.d/a:1", root={"etc/pam.d/a": "auth [success=1 default=ignore] pam_unix.so nullok\n"}),
    bad(
        "ZOA-514",
        "initrd:/etc/pam.d/a:2",
        initrd={"etc/pam.d/a": "#\n-password required pam_unix.so x nullok_secure\n"},
    ),
    good("ZOA-514", root={"etc/pam.d/a": "auth required pam_unix.so\nsession required pam_x.so nullok\n"}),
    bad("ZOA-515", "root:/etc/pam.d/a:1", root={"etc/pam.d/a": "session optional pam_exec.so /bin/x\n"}),
    bad("ZOA-515", "initrd:/usr/lib/pam.d/a:1", initrd={"usr/lib/pam.d/a": "auth required /opt/pam_unix.so\n"}),
    bad("ZOA-515", "root:/etc/pam.d/a:1", root={"etc/pam.d/a": "auth sufficient /usr/lib/security/pam_sss.so\n"}),
    good(
        "ZOA-515",
        root={"etc/pam.d/a": "auth required /usr/lib/security/pam_unix.so\n@include /etc/pam.d/pam_exec.so.x\n"},
    ),
    bad("ZOA-516", "root:/etc/pam.d/sshd:1", root={"etc/pam.d/sshd": "auth required pam_permit.so\n"}),
    bad(
        "ZOA-516",
        "root:/etc/pam.d/sshd:2",
        root={"etc/pam.d/sshd": "auth required pam_env.so\n-auth [success=done] pam_permit.so\n"},
    ),
    bad(
        "ZOA-516",
        "initrd:/etc/pam.d/login:2",
        initrd={"etc/pam.d/login": "@include x\nauth sufficient pam_rootok.so\n"},
    ),
    bad("ZOA-516", "root:/etc/pam.d/login:1", root={"etc/pam.d/login": "auth required pam_rootok.so\n"}),
    good(
        "ZOA-516",
        root={
            "etc/pam.d/c": "auth [success=1] pam_unix.so\nauth required pam_deny.so\nauth required pam_permit.so",
            "etc/pam.d/su": "auth sufficient pam_rootok.so\n",
            "etc/pam.d/runuser": "auth sufficient pam_rootok.so\n",
            "etc/pam.d/x": "session sufficient pam_permit.so\naccount required pam_permit.so\n",
        },
    ),
    good(
        "ZOA-516",
        root={"etc/pam.d/x": "@include common-auth\nauth required pam_permit.so\nauth required pam_rootok.so\n"},
    ),
    bad("ZOA-517", f"root:/{_NSS}:passwd:sss", root={_NSS: "passwd: files sss\nhosts: files dns\n"}),
    bad("ZOA-517", f"initrd:/{_NSS}:group:compat", initrd={_NSS: "group: compat systemd\n"}),
    good("ZOA-517", root={_NSS: "passwd: files [SUCCESS=merge] systemd\nhosts: mymachines dns\n"}),
    good("ZOA-517", root={_NSS: "passwd: files sss\n"}, parameters={"allowed": ("files", "sss")}),
    bad(
        "ZOA-524",
        "root:/usr/a",
        "root:/etc/b",
        "root:/opt/c",
        root={"usr/a": file("", 0o666), "etc/b": folder(uid=5), "opt/c": file("", 0o664, gid=5)},
    ),
    bad("ZOA-524", "initrd:/init", initrd={"init": program(0o777)}),
    good(
        "ZOA-524",
        root={"var/a": file("", 0o666), "usr/b": file("", 0o664), "usr/c": link("/x"), "etc/d": file("", 0o640, gid=5)},
    ),
    good("ZOA-524", root={"usr/a": file("", 0o666)}, parameters={"allowed": ("/usr/a",)}),
    bad("ZOA-526", "root:/etc/shadow", root={"etc/shadow": file("", 0o644)}),
    bad("ZOA-526", "initrd:/etc/gshadow-", initrd={"etc/gshadow-": file("", 0o602)}),
    good(
        "ZOA-526", root={"etc/shadow": file("", 0o640, gid=42), "etc/passwd": file("", 0o644), "etc/gshadow": link("x")}
    ),
    bad(
        "ZOA-507",
        "root:/etc/sudoers.d/x",
        root={"etc/sudoers.d": link("/usr/share/s"), "usr/share/s/x": "x ALL=(ALL) ALL"},
    ),
)
