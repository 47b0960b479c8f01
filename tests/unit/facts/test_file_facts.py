from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.facts.accounts import accounts, password
from builder.facts.build import facts_of_tree
from builder.facts.elf import programs, read_elf
from builder.facts.files import capabilities, files, packages
from builder.facts.kernel import kernel
from builder.facts.secrets import secrets
from builder.facts.tree import directory_tree
from policies.facts import Origin
from policies.facts.paths import chase
from tests.fact_trees import capability, device, elf, file, link, note, program, tree

if TYPE_CHECKING:
    from pathlib import Path

HERE = Origin(path="/etc/shadow", line=1)
STATUS = """\
Package: openssh-server
Status: install ok installed
Version: 1:10.0
Architecture: amd64
Source: openssh

"""


@pytest.mark.parametrize(
    ("field", "state", "kind"),
    [
        ("", "empty", None),
        ("x", "elsewhere", None),
        ("*", "locked", None),
        ("!*", "locked", None),
        ("!$6$a$b", "locked", "sha512"),
        ("$y$j9T$a$b", "hash", "yescrypt"),
        ("$2b$05$a", "hash", "bcrypt"),
        ("abcdefghijklm", "hash", "descrypt"),
        ("nonsense", "invalid", None),
    ],
)
def test_a_password_field_is_classified_and_not_repeated(field: str, state: str, kind: str | None) -> None:
    found = password(field, HERE)
    assert (found.state, found.hash_kind) == (state, kind)


def test_accounts_are_read_and_broken_lines_are_told() -> None:
    found = accounts(
        tree(
            {
                "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nbad\nworse:x:a:0:::\n",
                "etc/group": "wheel:x:10:a,b\n",
                "etc/gshadow": "wheel:!::a\n",
                "etc/shells": "# shells\n/bin/sh\n",
                "root/.ssh/authorized_keys": "# none\nssh-ed25519 AAAA\n",
            }
        )
    )
    assert [(user.name, user.shell, user.uid) for user in found.users] == [("root", "/bin/bash", 0)]
    assert [line.origin.line for line in found.broken] == [2, 3]
    assert found.groups[0].members == ("a", "b")
    assert found.group_shadow[0].password.state == "locked"
    assert found.login_shells == ("/bin/sh",)
    assert [(item.path, item.keys) for item in found.authorized_keys] == [("/root/.ssh/authorized_keys", 1)]


def test_an_elf_file_says_what_it_loads() -> None:
    dlopen = json.dumps([{"soname": ["libtss2-esys.so.0"]}]).encode()
    notes = note(b"GNU", 3, b"\xab\xcd") + note(b"FDO", 0x407C0C0A, dlopen)
    content = elf(needed=("libc.so.6", "libpam.so.0"), runpath="/opt", rpath="/old", soname="x.so", notes=notes)
    found = read_elf("/x", memoryview(content))
    assert found is not None
    assert (found.problem, found.machine, found.type) == (None, "x86-64", "shared")
    assert found.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert found.needed == ("libc.so.6", "libpam.so.0")
    assert (found.soname, found.runpath, found.rpath, found.build_id) == ("x.so", "/opt", "/old", "abcd")
    assert found.dlopen == ("libtss2-esys.so.0",)


@pytest.mark.parametrize("length", [5, 20, 63, 100, 200, 300])
def test_a_cut_elf_file_has_a_problem(length: int) -> None:
    found = read_elf("/x", memoryview(elf())[:length])
    assert found is not None
    assert found.problem


@pytest.mark.parametrize("content", [b"[", b'[{"\x80":1}]', b'{"soname": []}'])
def test_a_broken_dlopen_note_is_a_problem(content: bytes) -> None:
    found = read_elf("/x", memoryview(elf(notes=note(b"FDO", 0x407C0C0A, content))))
    assert found is not None
    assert "dlopen note" in (found.problem or "")


def test_a_program_tells_what_it_is_and_a_library_is_not_asked() -> None:
    text = b"OpenSSH_10.0p2\0/etc/ssh/sshd_config\0"
    found = [
        read_elf("/x", memoryview(content + text))
        for content in (
            elf(soname="x"),
            elf(soname="x", interpreter=None),
            elf(interpreter=None),
            elf(notes=note(b"FDO", 0x407C0C0A, b"[")),
        )
    ]
    assert [item and item.identities for item in found] == [
        ("openssh-server",),
        (),
        ("openssh-server",),
        ("openssh-server",),
    ]
    client = read_elf("/x", memoryview(elf() + b"OpenSSH_10.0p2\0/etc/ssh/ssh_config\0"))
    assert client is not None
    assert client.identities == ()


@pytest.mark.parametrize(
    ("content", "name", "complaint"),
    [
        (b'{"type":"deb","name":"openssh-server"}', "openssh-server", ""),
        (b'{"name":1}', None, ""),
        (b"[]", None, "package note"),
    ],
)
def test_a_package_note_names_the_package(content: bytes, name: str | None, complaint: str) -> None:
    found = read_elf("/x", memoryview(elf(notes=note(b"FDO", 0xCAFE1A7E, content))))
    assert found is not None
    assert found.packaged_as == name
    assert complaint in (found.problem or "") if complaint else found.problem is None


def test_objects_are_no_programs_and_scripts_need_to_be_executable() -> None:
    found = programs(
        tree(
            {
                "o": file(elf(kind=1)),
                "bin/x": program(),
                "a": file("#!/usr/bin/env python3\n", 0o755),
                "b": file("#!/bin/sh\n"),
            }
        )
    )
    assert [item.path for item in found[0]] == ["/bin/x"]
    assert [(item.interpreter, item.argument) for item in found[1]] == [("/usr/bin/env", "python3")]


def test_capabilities_have_names() -> None:
    assert capabilities(capability(13)) == ("cap_net_raw",)
    assert capabilities(capability(39)) == ("cap_bpf",)
    assert capabilities(b"junk") == ("cap_invalid",)


def test_a_file_has_owner_digest_and_capabilities() -> None:
    content = {
        "usr/sbin/sshd": file("x", 0o4755, uid=1, capability=capability(7)),
        "bin": link("usr/sbin"),
        "dev/null": device(stat.S_IFCHR, 1, 3),
        "var/lib/dpkg/status": STATUS,
        "var/lib/dpkg/info/openssh-server.list": "/bin/sshd\n",
    }
    found = {item.path: item for item in files(tree(content))}
    sshd = found["/usr/sbin/sshd"]
    assert (sshd.mode, sshd.uid, sshd.capabilities) == (0o4755, 1, ("cap_setuid",))
    assert (sshd.package, sshd.version) == ("openssh-server", "1:10.0")
    assert sshd.sha256 == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert (found["/bin"].target, found["/dev/null"].device) == ("usr/sbin", (1, 3))
    assert [item.source for item in packages(tree(content))] == ["openssh"]


SECRETS = {
    "pem-private-key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n",
    "openssh-private-key": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNz" * 6 + "\n",
    "aws-access-key": "key = AKIAIOSFODNN7EXAMPLE\n".replace("EXAMPLE", "ABCDEFG"),
    "github-token": "ghp_" + "a1" * 18 + "\n",
    "hugging-face-token": "hf_" + "a" * 34 + "\n",
    "url-password": "deb https://user:s3cret@host/debian\n",
    "netrc-password": "machine host login me password s3cret\n",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_by_its_form(kind: str) -> None:
    found = secrets(tree({"etc/x": "first line\n" + SECRETS[kind]}))
    assert [(item.kind, item.line) for item in found] == [(kind, 2)]


def test_a_password_for_a_host_that_only_begins_like_an_example_is_a_secret() -> None:
    found = secrets(tree({"etc/x": "http://user:pass@example.com.host.de/\n"}))
    assert [item.kind for item in found] == ["url-password"]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\n",
        "https://host:443/a@b\n",
        "C<http://user:pass@proxy.example.com/>.",
        "AKIA",
        "a hash: AKIAabc",
        "machine learning\n",
    ],
)
def test_what_only_looks_a_little_like_a_secret_is_none(text: str) -> None:
    assert secrets(tree({"usr/share/doc/x": text})) == ()


def test_kernels_are_known_by_modules_and_configuration() -> None:
    found = kernel(
        tree(
            {
                "lib": link("usr/lib"),
                "usr/lib/modules/6.1/kernel/fs/nfs-x.ko.xz": b"x",
                "usr/lib/modules/6.1/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
                "boot/config-6.1": "# CONFIG_B is not set\nCONFIG_A=y\n",
            }
        )
    )
    assert found.releases == ("6.1",)
    assert [(item.name, item.path is None) for item in found.modules] == [("ext4", True), ("nfs_x", False)]
    assert (found.configuration, found.configuration_path) == ({"CONFIG_A": "y"}, "/boot/config-6.1")
    assert kernel(tree({})).configuration is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/bin/sh", "/usr/bin/dash"),
        ("/bin/../etc", "/usr/etc"),
        ("/up", "/etc"),
        ("/loop", None),
        ("relative", None),
        ("/none/x", "/none/x"),
    ],
)
def test_links_are_followed_inside_the_tree(path: str, found: str | None) -> None:
    links = {"/bin": "usr/bin", "/usr/bin/sh": "dash", "/up": "../../etc", "/loop": "/loop"}
    assert chase(path, links.get) == found


def test_a_configuration_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="more than the 1 that such a file may have"):
        tree({"a": "bb"}).content("/a", 1)


def test_a_directory_on_disk_is_a_tree(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "os-release").write_text("IMAGE_ID=x\nIMAGE_VERSION='2'\n")
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "etc" / "bad\udcff").write_text("")
    found = facts_of_tree(tmp_path)
    assert (found.kind, found.identity.name, found.identity.version) == ("tree", "x", "2")
    assert [item.path for item in found.root.files] == ["/", "/bin", "/etc", "/etc/bad\\xff", "/etc/os-release"]
    assert found.disk is None
    assert found.areas == (found.root,)


def test_names_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a\udcff").write_text("")
    (tmp_path / "a\\xff").write_text("")
    with pytest.raises(MalformedImageError, match="two files are called"):
        directory_tree(tmp_path)
