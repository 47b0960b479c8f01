from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import folder, link, program

_USER = "{}:x:{}:{}:::{}\n"
_BASH = {"usr/bin/bash": program(), "bin": link("usr/bin")}
_NOLOGIN = {"usr/sbin/nologin": program()}
_SYSUSERS = "usr/lib/sysusers.d/x.conf"
_TMPFILES = "usr/lib/tmpfiles.d/x.conf"


def _user(name: str = "a", uid: int = 1, gid: int = 1, login: str = "/usr/sbin/nologin") -> str:
    return _USER.format(name, uid, gid, login)


_SETUP = "usr/lib/systemd/system/t.service"

CASES = (
    *(
        bad(
            "ZOA-505",
            f"root:/etc/sysusers.d/a.conf:x:{group}",
            root={"etc/sysusers.d/a.conf": f"{line}\n", "etc/group": "docker:x:55:\n"},
        )
        for line, group in (("u x -:sudo", "sudo"), ("u! x 5:55", "docker"))
    ),
    good(
        "ZOA-505",
        root={
            "etc/sysusers.d/a.conf": "u x 55\nu docker -:docker\nu y 5:56\ng z -:sudo\n",
            "etc/group": "docker:x:55:\n",
        },
    ),
    *(
        bad(
            "ZOA-522",
            "root:/etc/tmpfiles.d/a.conf:/root/.ssh/authorized_keys",
            root={
                "etc/tmpfiles.d/a.conf": "f^ /root/.ssh/authorized_keys - - - - keys\n",
                _SETUP: f"[Service]\nExecStartPre=/x\nExecStart=/usr/bin/systemd-tmpfiles --create\n{credential}\n",
            },
        )
        for credential in ("SetCredential=keys:x", "LoadCredential=keys:/usr/share/keys")
    ),
    *(
        good(
            "ZOA-522",
            root={
                "etc/tmpfiles.d/a.conf": "f^ /root/.ssh/authorized_keys - - - - keys\n",
                _SETUP: f"[Service]\nExecStart={program}\n{credential}\n",
            },
        )
        for program, credential in (
            ("/usr/bin/systemd-tmpfiles", "ImportCredential=keys"),
            ("/usr/bin/systemd-tmpfiles", "LoadCredential=keys"),
            ("/usr/bin/systemd-tmpfiles", "SetCredential=other:x"),
            ("/usr/bin/other", "SetCredential=keys:x"),
        )
    ),
    bad(
        "ZOA-522",
        "root:/etc/tmpfiles.d/a.conf:/root",
        root={"etc/tmpfiles.d/a.conf": "C /root - - - - /usr/share/r\n", "usr/share/r/.ssh/authorized_keys": "x"},
    ),
    *(
        bad("ZOA-522", "root:/etc/tmpfiles.d/a.conf:/etc/shadow", root={"etc/tmpfiles.d/a.conf": f"{line}\n"})
        for line in ("z /etc/shadow 0646", "z /etc/shadow - a", "a /etc/shadow - - - - u:a:rw")
    ),
    good("ZOA-522", root={"etc/tmpfiles.d/a.conf": "z /etc/shadow 0640 root shadow\nz /etc/hosts 0666\n"}),
    bad("ZOA-502", "root:/etc/passwd:a", root={"etc/passwd": _user(login="/bin/bash"), **_BASH}),
    bad("ZOA-502", "initrd:/etc/passwd:a", initrd={"etc/passwd": _user(login=""), "bin/sh": program()}),
    bad(
        "ZOA-502",
        "root:/etc/passwd:a",
        root={"etc/passwd": _user(login="/bin/nologin"), "bin/nologin": link("x"), "bin/x": program()},
    ),
    good(
        "ZOA-502",
        root={
            "etc/passwd": _user() + _user("b", login="/bin/zsh") + _user("c", login="/bin/false"),
            "usr/bin/false": program(),
            **_NOLOGIN,
            **_BASH,
        },
    ),
    good("ZOA-502", root={"etc/passwd": _user(login="/bin/sh"), "bin/sh": "text"}, initrd={"bin/sh": program()}),
    bad("ZOA-503", "root:/etc/passwd:toor", root={"etc/passwd": _user("root", 0, 0) + _user("toor", 0)}),
    bad("ZOA-503", "initrd:/etc/passwd:a", initrd={"etc/passwd": _user("a", 0)}),
    good("ZOA-503", root={"etc/passwd": _user("root", 0, 0) + _user("a", 1, 0)}),
    bad("ZOA-504", "root:/etc/passwd:uid 1", root={"etc/passwd": _user("a", 1) + _user("b", 1)}),
    bad("ZOA-504", "root:/etc/passwd:a", root={"etc/passwd": _user("a", 1) + _user("a", 2)}),
    bad("ZOA-504", "initrd:/etc/group:gid 5", initrd={"etc/group": "a:x:5:\nb:x:5:\n"}),
    bad("ZOA-504", "root:/etc/group:a", root={"etc/group": "a:x:5:\na:x:6:\n"}),
    bad("ZOA-504", "root:/etc/shadow:a", root={"etc/shadow": "a:*:1::::::\n" * 2}),
    good(
        "ZOA-504",
        root={
            "etc/passwd": _user("a", 1) + _user("b", 2),
            "etc/group": "a:x:1:\nb:x:2:\n",
            "etc/shadow": "a:*:1::::::\n",
        },
    ),
    bad("ZOA-505", "root:/etc/group:a:docker", root={"etc/group": "docker:x:9:root,a\n"}),
    bad("ZOA-505", "initrd:/etc/gshadow:a:disk", initrd={"etc/gshadow": "disk:*::a\n"}),
    bad("ZOA-505", "root:/etc/passwd:a:kmem", root={"etc/passwd": _user(gid=9), "etc/group": "kmem:x:9:\n"}),
    bad("ZOA-505", f"root:/{_SYSUSERS}:a:wheel", root={_SYSUSERS: "m a wheel\n"}),
    good(
        "ZOA-505",
        root={
            "etc/group": "root:x:0:root\nusers:x:9:a\n",
            "etc/passwd": _user("root", 0, 0),
            _SYSUSERS: "m a b\ng a wheel\n",
        },
    ),
    good("ZOA-505", root={"etc/group": "tss:x:9:\n", "etc/passwd": _user("tss", 9, 9)}),
    good("ZOA-505", root={"etc/group": "tss:x:9:a\n"}, parameters={"allowed": ("a:tss",)}),
    bad("ZOA-511", "root:/root/.ssh/authorized_keys", root={"root/.ssh/authorized_keys": "# one\nssh-ed25519 AAAA\n"}),
    bad("ZOA-511", "initrd:/x/authorized_keys2", initrd={"x/authorized_keys2": link("/run/keys")}),
    good("ZOA-511", root={"root/.ssh/authorized_keys": "# none\n", "usr/share/authorized_keys_of": "ssh-ed25519 A"}),
    bad("ZOA-512", "root:/etc/hosts.equiv", "root:/root/.rhosts", root={"etc/hosts.equiv": "+", "root/.rhosts": "+"}),
    bad("ZOA-512", "initrd:/home/.shosts", initrd={"home/.shosts": link("/run/x")}),
    good("ZOA-512", root={"root/.rhosts": "", "usr/share/hosts.equiv": "+", "home/.shosts": folder()}),
    bad("ZOA-518", "root:/etc/userdb/o.user", root={"etc/userdb/o.user": "{}"}),
    bad("ZOA-518", "initrd:/usr/lib/userdb/0.user", initrd={"usr/lib/userdb/0.user": link("o.user")}),
    bad(
        "ZOA-518",
        "root:/var/lib/systemd/home/a.identity",
        "root:/home/a.home",
        root={"var/lib/systemd/home/a.identity": "{}", "home/a.home": "x"},
    ),
    good("ZOA-518", root={"etc/userdb": folder(), "etc/userdb/readme": "x", "usr/share/userdb/a.user": "{}"}),
    bad("ZOA-520", "root:sysusers:o", root={_SYSUSERS: 'u o - "O" /root /bin/bash\n', **_BASH}),
    bad("ZOA-520", "initrd:sysusers:o", initrd={_SYSUSERS: "u! o 0:0\n"}),
    bad("ZOA-520", "root:sysusers:root", root={_SYSUSERS: "u root 0\n", "bin/sh": program()}),
    good("ZOA-520", root={_SYSUSERS: "u root 0 - /root /bin/bash\nu a 10 - - -\nu c\ng b 0\nm a b\n", **_NOLOGIN}),
    good("ZOA-520", root={_SYSUSERS: "u o - - - /bin/bash\n", "etc/sysusers.d/x.conf": link("/dev/null"), **_BASH}),
    bad(
        "ZOA-522",
        f"root:/{_TMPFILES}:/root/.ssh/authorized_keys",
        root={_TMPFILES: "f /root/.ssh/authorized_keys 600 - - - ssh-x A\n"},
    ),
    bad("ZOA-522", f"initrd:/{_TMPFILES}:/etc/shadow", initrd={_TMPFILES: "C+ /etc/shadow - - - - /usr/x\n"}),
    bad("ZOA-522", f"root:/{_TMPFILES}:/run/sh", root={_TMPFILES: "C /run/sh :4755 - - - /bin/x\n"}),
    good(
        "ZOA-522",
        root={
            _TMPFILES: "f^ /root/.ssh/authorized_keys 600 - - - x\nd /root/.ssh 700\nz /etc/shadow 0640\nd /x 2755\n"
            "f /run/x 0755\n"
        },
    ),
    bad(
        "ZOA-518",
        "root:/etc/userdb/op.user",
        root={"etc/userdb": link("../usr/share/u"), "usr/share/u/op.user": "{}", "usr/share/ua/x.user": "{}"},
    ),
    bad(
        "ZOA-518",
        "root:/etc/userdb/op.user",
        root={
            "etc/userdb": link("/usr/share/a/b"),
            "usr/share/a/b": link("../c"),
            "usr/share/c/op.user": "{}",
            "usr/share/c/again": link("/usr/share/c"),
        },
    ),
    bad(
        "ZOA-518",
        "root:/etc/userdb/op.user",
        root={"etc": link("usr/e"), "usr/e/userdb": link("/usr/share/u"), "usr/share/u/op.user": "{}"},
    ),
    good("ZOA-518", root={"etc/userdb": link("/usr/share/none"), "usr/share/x/op.user": "{}"}),
    good("ZOA-518", root={"lib": link("usr/lib"), "usr/lib/x/op.user": "{}"}),
    bad(
        "ZOA-512",
        "root:/etc/ssh/shosts.equiv",
        root={"etc/ssh": link("/usr/share/s"), "usr/share/s/shosts.equiv": "+"},
    ),
    bad(
        "ZOA-511",
        "root:/root/.ssh/authorized_principals",
        root={"root/.ssh/authorized_principals": link("/usr/share/p"), "usr/share/p": "x"},
    ),
)
