from __future__ import annotations

from tests.control_cases import bad, good
from tests.fact_trees import esp_file, link

# In two parts, so that the file that holds it is not taken for one with a key.
_KEY = "-----BEGIN PRIVATE " + "KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n"
_TOKEN = "gh" + "p_" + "a" * 36 + "\n"
_CREDENTIAL_FILES = (
    "root/.netrc", "root/.docker/config.json", "home/a/.aws/credentials", "etc/apt/auth.conf.d/x.conf",
    "etc/kubernetes/admin.conf", "etc/credstore/token", "root/.config/gcloud/credentials.db", "root/.git-credentials",
)  # fmt: skip
_KEY_STORES = (
    "opt/a.p12", "root/.gnupg/private-keys-v1.d/A.key", "root/.ssh/id_rsa", "etc/ssl/private/x", "etc/a.jks",
    "etc/cryptsetup-keys.d/data.key",
)  # fmt: skip
_SEEDS = ("var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "boot/loader/random-seed")

CASES = (
    bad("ZOA-851", "root:/etc/x.key:1:pem-private-key", root={"etc/x.key": _KEY}),
    bad("ZOA-851", "initrd:/x:2:pem-private-key", initrd={"x": f"\n{_KEY}"}),
    good("ZOA-851", root={"etc/x": "-----BEGIN PUBLIC KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n", "etc/t": _TOKEN}),
    good("ZOA-851", root={"etc/x.key": _KEY}, parameters={"allowed": ("/etc/x.key",)}),
    bad("ZOA-852", "root:/etc/t:1:github-token", root={"etc/t": _TOKEN}),
    bad("ZOA-852", "initrd:/t:1:url-password", initrd={"t": "deb https://user:s3cret@host/debian\n"}),
    good("ZOA-852", root={"etc/x.key": _KEY, "etc/u": "http://user:pass@proxy.example.com/ https://host:8443/@x"}),
    good("ZOA-852", root={"etc/t": _TOKEN}, parameters={"allowed": ("/etc/t",)}),
    bad("ZOA-853", "root:/etc/ssh/ssh_host_ed25519_key", root={"etc/ssh/ssh_host_ed25519_key": "x"}),
    bad("ZOA-853", "initrd:/etc/dropbear_rsa_host_key", initrd={"etc/dropbear_rsa_host_key": link("/run/key")}),
    good("ZOA-853", root={"etc/ssh/ssh_host_ed25519_key.pub": "x", "etc/ssh/ssh_host_rsa_key/readme": "x"}),
    bad("ZOA-854", "root:/etc/machine-id", root={"etc/machine-id": "a" * 32 + "\n"}),
    bad("ZOA-854", "initrd:/var/lib/dbus/machine-id", initrd={"var/lib/dbus/machine-id": "a" * 32}),
    good("ZOA-854", root={"etc/machine-id": ""}, initrd={"etc/machine-id": "uninitialized\n"}),
    good("ZOA-854", root={"etc/machine-id": "", "var/lib/dbus/machine-id": link("/etc/machine-id")}),
    bad("ZOA-855", *(f"root:/{path}" for path in _SEEDS), root=dict.fromkeys(_SEEDS, "x")),
    bad("ZOA-855", "esp:/loader/RANDOM-SEED", esp_files=(esp_file("/loader/RANDOM-SEED", "loader"),)),
    good("ZOA-855", root={_SEEDS[0]: "", "usr/lib/systemd/random-seed": "x"}, esp_files=(esp_file("/random-seed"),)),
    bad("ZOA-856", *(f"root:/{path}" for path in _CREDENTIAL_FILES), root=dict.fromkeys(_CREDENTIAL_FILES, "x")),
    bad("ZOA-856", "initrd:/.netrc", initrd={".netrc": "x"}),
    good("ZOA-856", root={".netrc": "", "usr/share/doc/netrc": "x", "etc/docker/config.json": "{}"}),
    good("ZOA-856", root={"root/.npmrc": "x"}, parameters={"allowed": ("/root/.npmrc",)}),
    bad("ZOA-857", *(f"initrd:/{path}" for path in _KEY_STORES), initrd=dict.fromkeys(_KEY_STORES, "x")),
    good("ZOA-857", root={"etc/ssl/private/README/x": "", "etc/ssl/certs/a.pem": "x", "root/.ssh/id_rsa.pub": "x"}),
    good("ZOA-857", root={"etc/cacerts.jks": "x"}, parameters={"allowed": ("/etc/cacerts.jks",)}),
    bad(
        "ZOA-858",
        "root:/root/.bash_history",
        "root:/root/.viminfo",
        root={"root/.bash_history": "ls", "root/.viminfo": "x"},
    ),
    bad("ZOA-858", "initrd:/.psql_history", initrd={".psql_history": "x"}),
    good("ZOA-858", root={"root/.bash_history": "", "root/bash_history": "x", "root/.bashrc": "x"}),
    bad("ZOA-859", "uki:0:registry.password", "uki:0:token", command_line="registry.password=hunter2 token=abc"),
    bad("ZOA-859", "uki:0:x.api_key", command_line="x.api-key=1"),
    good("ZOA-859", command_line="systemd.tty_password_agent=no token tokens=3 password= passwordless=1"),
    bad(
        "ZOA-855",
        "root:/var/lib/systemd/random-seed",
        root={"var/lib/systemd": link("/usr/share/s"), "usr/share/s/random-seed": "x"},
    ),
    bad(
        "ZOA-856",
        "root:/etc/credstore/x",
        root={"etc/credstore": link("/usr/share/c"), "usr/share/c/x": "x"},
    ),
)
