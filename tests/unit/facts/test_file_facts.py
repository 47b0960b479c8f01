from __future__ import annotations

import gzip
import json
import stat
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.facts.accounts import accounts, password
from builder.facts.build import facts_of_tree
from builder.facts.contents import read_contents
from builder.facts.elf import read_elf, read_script
from builder.facts.files import capabilities, files, packages
from builder.facts.identities import identities
from builder.facts.kernel import kernel
from builder.facts.tree import FileTree, directory_tree
from policies.facts import Origin, Secret
from policies.facts.paths import chase
from tests.fact_trees import Content, capability, device, elf, facts, file, link, note, program, tree

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
    tags = {0x7FFFFFFF: "filter.so", 0x6FFFFEFC: "audit.so:b", 0x6FFFFEF9: "other"}
    content = elf(
        needed=("libc.so.6", "libpam.so.0"), runpath="/opt", rpath="/old", soname="x.so", notes=notes, tags=tags
    )
    found = read_elf("/x", memoryview(content))
    assert found is not None
    assert (found.problem, found.machine, found.type) == (None, "x86-64", "shared")
    assert found.interpreter == "/lib64/ld-linux-x86-64.so.2"
    assert found.needed == ("libc.so.6", "libpam.so.0")
    assert found.also_loaded == ("filter.so", "audit.so:b")
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


@pytest.mark.parametrize(("place", "byte"), [(4, 1), (4, 9), (5, 2), (5, 0), (6, 0), (7, 255)])
def test_a_program_is_read_as_its_machine_whatever_it_claims_besides(place: int, byte: int) -> None:
    content = bytearray(elf(needed=("libpython3.13.so.1.0",), entry=1))
    content[place] = byte
    found = read_elf("/x", memoryview(content))
    assert found is not None
    assert (found.machine, found.needed, found.starts) == ("x86-64", ("libpython3.13.so.1.0",), True)
    assert found.problem is None


@pytest.mark.parametrize(("place", "byte", "good"), [(5, 1, True), (5, 2, False), (4, 0, False), (4, 3, False)])
def test_a_machine_of_either_class_goes_by_its_header(place: int, byte: int, *, good: bool) -> None:
    content = bytearray(elf(machine=243))
    content[place] = byte
    found = read_elf("/x", memoryview(content))
    assert found is not None
    assert (found.problem is None) == good


def test_a_broken_segment_hides_no_other() -> None:
    found = read_elf("/x", memoryview(elf(needed=("libone.so",), notes=note(b"FDO", 0x407C0C0A, b"["))))
    assert found is not None
    assert (found.needed, found.interpreter) == (("libone.so",), "/lib64/ld-linux-x86-64.so.2")
    assert found.problem is not None


def test_the_first_interpreter_counts() -> None:
    content = bytearray(elf(notes=b"/lib/other\0"))
    content[64 + 56 * 2 : 64 + 56 * 2 + 4] = struct.pack("<I", 3)
    found = read_elf("/x", memoryview(content))
    assert found is not None
    assert (found.interpreter, found.problem) == ("/lib64/ld-linux-x86-64.so.2", None)


def test_a_dynamic_section_is_found_by_its_address_and_has_an_end() -> None:
    content = bytearray(elf(interpreter=None))
    offset, address = 64 + 56 + 8, 64 + 56 + 16
    moved = content.copy()
    moved[offset : offset + 8] = struct.pack("<Q", 0)
    found = read_elf("/x", memoryview(moved))
    assert found is not None
    assert (found.needed, found.problem) == (("libc.so.6",), None)
    moved[address : address + 8] = struct.pack("<Q", 1 << 40)
    found = read_elf("/x", memoryview(moved))
    assert found is not None
    assert "is in no segment" in (found.problem or "")
    content[-16:] = struct.pack("<qQ", 21, 0)
    found = read_elf("/x", memoryview(content))
    assert found is not None
    assert "its dynamic section has no end" in (found.problem or "")


def test_a_program_tells_what_it_is_and_a_library_is_not_asked() -> None:
    text = b"OpenSSH_10.0p2\0/etc/ssh/sshd_config\0"
    found = [
        read_elf("/x", memoryview(content + text))
        for content in (
            elf(soname="x"),
            elf(soname="x", interpreter=None),
            elf(interpreter=None),
            elf(notes=note(b"FDO", 0x407C0C0A, b"[")),
            elf(soname="x", interpreter=None, notes=note(b"FDO", 0x407C0C0A, b"[")),
        )
    ]
    assert [item and item.identities for item in found] == [
        ("openssh-server",),
        (),
        ("openssh-server",),
        ("openssh-server",),
        ("openssh-server",),
    ]
    client = read_elf("/x", memoryview(elf() + b"OpenSSH_10.0p2\0/etc/ssh/ssh_config\0"))
    assert client is not None
    assert client.identities == ("ssh",)


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
    found = read_contents(
        tree(
            {
                "o": file(elf(kind=1)),
                "bin/x": program(),
                "a": file("#!/usr/bin/env python3\n", 0o755),
                "b": file("#!/bin/sh\n"),
            }
        ),
        digests=False,
    )
    assert [item.path for item in found.elf] == ["/bin/x"]
    assert [(item.interpreter, item.argument) for item in found.scripts] == [("/usr/bin/env", "python3")]


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
    whole = tree(content)
    digests = read_contents(whole, digests=True).digests
    found = {item.path: item for item in files(whole, digests)}
    sshd = found["/usr/sbin/sshd"]
    assert (sshd.mode, sshd.uid, sshd.capabilities) == (0o4755, 1, ("cap_setuid",))
    assert (sshd.package, sshd.version) == ("openssh-server", "1:10.0")
    assert sshd.sha256 == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert (found["/bin"].target, found["/dev/null"].device) == ("usr/sbin", (1, 3))
    assert [item.source for item in packages(tree(content))] == ["openssh"]


SECRETS = {
    "pem-private-key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n",
    "openssh-private-key": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNz" * 6 + "\n",
    "pgp-private-key": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + "lQOYBF" * 6 + "\n",
    "putty-private-key": "PuTTY-User-Key-File-3: ssh-ed25519\n",
    "wireguard-private-key": "PrivateKey = " + "yAnz5TF" * 6 + "E=\n",
    "jwk-private-key": '{"kty":"EC","crv":"P-256","d":"' + "jpsQnnGQ" * 5 + 'aaa"}\n',
    "age-private-key": "AGE-SECRET-KEY-1" + "Q7" * 29 + "\n",
    "aws-access-key": "key = AKIAIOSFODNN7EXAMPLE\n".replace("EXAMPLE", "ABCDEFG"),
    "aws-secret-key": "aws_secret_access_key = wJalrXUt\n",
    "gitlab-token": "glpat-" + "a1" * 10 + "\n",
    "slack-token": "xoxb-" + "1" * 20 + "\n",
    "google-api-key": "AIza" + "a" * 35 + "\n",
    "bearer-token": "Bearer eyJ" + "a" * 16 + ".eyJ" + "b" * 16 + "." + "c" * 20 + "\n",
    "github-token": "ghp_" + "a1" * 18 + "\n",
    "hugging-face-token": "hf_" + "a" * 34 + "\n",
    "url-password": "deb https://user:s3cret@host/debian\n",
    "netrc-password": "machine host login me password s3cret\n",
}


def secrets(files: dict[str, Content]) -> list[Secret]:
    return read_contents(tree(files), digests=False).secrets


def test_a_key_in_a_text_of_json_is_one() -> None:
    account = '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEF\\n"}'
    assert [item.kind for item in secrets({"etc/account.json": account})] == ["pem-private-key"]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_by_its_form(kind: str) -> None:
    found = secrets({"etc/x": "first line\n" + SECRETS[kind]})
    assert [(item.kind, item.line) for item in found] == [(kind, 2)]


CERTAIN = (
    "openssh-private-key", "pem-private-key", "pgp-private-key", "putty-private-key", "age-private-key",
    "aws-access-key", "google-api-key", "github-token", "gitlab-token", "hugging-face-token", "slack-token",
)  # fmt: skip


@pytest.mark.parametrize("kind", SECRETS)
def test_programs_large_and_packed_files_are_searched_for_what_nothing_else_looks_like(kind: str) -> None:
    key = SECRETS[kind].encode()
    files = {"a.gz": gzip.compress(b"x") + gzip.compress(key), "b": file(elf() + key), "c": bytes(1 << 18) + key}
    assert [item.path for item in secrets(files)] == (["/a.gz", "/b", "/c"] if kind in CERTAIN else [])


def test_what_would_take_too_long_is_not_searched_for_secrets() -> None:
    key = SECRETS["pem-private-key"].encode()
    large, packed = bytes(4 << 20), gzip.compress(bytes(1 << 20) + key)
    assert secrets({"a": bytes(1 + (4 << 20)) + key, "b.gz": packed, "c": b"\xfd7zXZ\0" + key}) == []
    assert [item.path for item in secrets({"a": key + bytes(5 << 20)})] == ["/a"]
    many: dict[str, Content] = {str(number): large for number in range(10, 18)}
    assert [item.path for item in secrets({**many, "0": bytes(1 << 19) + key})] == ["/0"]
    assert secrets({**many, "9": bytes(1 << 19) + key}) == []
    full: dict[str, Content] = {str(number): gzip.compress(large[: 1 << 20]) for number in range(10, 26)}
    assert secrets({**full, "9": gzip.compress(key)}) == []
    assert [item.path for item in secrets({**full, "0": gzip.compress(key)})] == ["/0"]


def test_a_broken_gzip_file_is_searched_as_far_as_it_goes() -> None:
    key = SECRETS["pem-private-key"].encode()
    assert secrets({"a": b"\x1f\x8b" + key}) == []
    assert [
        item.path for item in secrets({"a": gzip.compress(key) + b"\x1f\x8bnone", "b": gzip.compress(key)[:-4]})
    ] == [
        "/a",
        "/b",
    ]


def test_a_library_has_keys_to_try_itself_out() -> None:
    key = SECRETS["pem-private-key"].encode()
    library = elf(interpreter=None, soname="a.so") + key
    assert secrets({"a.so": file(library)}) == []
    assert [item.path for item in secrets({"a.so": file(library, 0o755)})] == ["/a.so"]
    assert [item.path for item in secrets({"d": b"\0" * 4096 + key})] == ["/d"]


@pytest.mark.parametrize(
    "text", ["eyJ", ".eyJaaaaaaaaaaaaaaaaaaaa", "password machine a login a ", '"kty" "d" ', "://a:"]
)
def test_a_file_of_beginnings_of_secrets_is_read_fast(text: str) -> None:
    started = time.process_time()
    secrets({"x": (text * (1 << 18))[: 1 << 18]})
    assert time.process_time() - started < 2


def test_digests_are_made_where_they_are_asked_for() -> None:
    files = tree({"a": "x", "empty": "", "b": link("a")})
    assert read_contents(files, digests=False).digests == {}
    assert sorted(read_contents(files, digests=True).digests) == ["/a", "/empty"]


@pytest.mark.parametrize("flags", [4, 5, 6, 7])
def test_texts_are_found_in_segments_of_any_flags(flags: int) -> None:
    texts = b"GNU bash BASH_VERSION"
    headers = [(1, 4, 0, 176), (1, flags, 176, len(texts))]
    segments = b"".join(struct.pack("<IIQQQQQQ", *item, 0, 0, 0, 0) for item in headers)
    head = struct.pack("<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 3, 62, 1, 176, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    found = read_elf("/x", memoryview(head + segments + texts))
    assert found is not None
    assert (found.identities, found.problem) == (("bash",), None)


@pytest.mark.parametrize(("texts", "kinds"), [(b"GNU bash BASH_VERSION", ("bash",)), (b"GNU bash", ())])
def test_texts_behind_a_hole_of_any_size_are_found(texts: bytes, kinds: tuple[str, ...]) -> None:
    content = bytearray(300 << 20)
    content[-len(texts) :] = texts
    assert identities(memoryview(content)) == kinds


def test_a_password_for_a_host_that_only_begins_like_an_example_is_a_secret() -> None:
    found = secrets({"etc/x": "http://user:pass@example.com.host.de/\n"})
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
    assert secrets({"usr/share/doc/x": text}) == []


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


@pytest.mark.parametrize(
    ("options", "mode", "is_library"),
    [
        ({"soname": "libx.so", "interpreter": None}, 0o644, True),
        ({"soname": "libx.so", "interpreter": None, "entry": 0x1000}, 0o644, False),
        ({"soname": "libx.so", "interpreter": None}, 0o755, False),
        ({"soname": "libx.so"}, 0o644, False),
        ({"interpreter": None}, 0o644, False),
    ],
)
def test_what_could_be_run_is_asked_what_it_is_though_it_calls_itself_a_library(
    options: dict[str, Any],
    mode: int,
    is_library: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    content = elf(**options) + b"access tty; job control turned off"
    found = read_elf("/x", memoryview(content), executable=bool(mode & 0o111))
    assert found is not None
    assert found.starts == ("entry" in options)
    assert found.identities == (() if is_library else ("dash",))


def test_directories_on_disk_may_lie_deep_and_files_be_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path
    for _ in range(1200):
        deep /= "a"
        deep.mkdir()
    (tmp_path / "file").write_bytes(b"12345")
    monkeypatch.setattr("builder.facts.tree._PIECE", 2)
    found = directory_tree(tmp_path)
    while deep != tmp_path:  # pytest, which removes old directories, could not
        deep.rmdir()
        deep = deep.parent
    assert len(found.nodes) == 1202
    assert [bytes(piece) for piece in found.nodes["/file"].pieces()] == [b"12", b"34", b"5"]
    assert bytes(found.nodes["/file"].read()) == b"12345"


def test_of_what_is_larger_than_a_program_the_beginning_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"access tty; job control turned off"
    pieces = [memoryview(elf()), memoryview(text), memoryview(b"GNU bash BASH_VERSION")]
    node = replace(tree({"x": ""}).nodes["/x"], size=sum(map(len, pieces)), pieces=lambda: iter(pieces))
    monkeypatch.setattr("builder.facts.contents._MAX_PROGRAM", node.size - 1)
    monkeypatch.setattr("builder.facts.contents._MAX_BEGINNING", len(elf()) + len(text))
    (found,) = read_contents(FileTree({"/x": node}), digests=False).elf
    assert found.identities == ("dash",)


def test_links_to_directories_multiply_paths_to_a_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, Content] = {
        f"usr/d{number}/{name}": link(f"/usr/d{number + 1}") for number in range(9) for name in "ab"
    }
    area = facts({**files, "usr/d9/x": ""}).root
    paths = [file.path for file in area.reached]
    assert "/usr/d7/a/b/x" in paths
    assert len(paths) == len(set(paths))
    monkeypatch.setattr("policies.facts.document._MAX_REACHED", 100)
    with pytest.raises(ValueError, match="links to directories lead to more than 100 paths"):
        facts({**files, "usr/d9/x": ""}).root.reached  # noqa: B018 -- what it raises is the test


def test_links_that_multiply_files_without_end_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    area = facts({f"usr/d{level}/{name}": link(f"/usr/d{level + 1}") for level in range(9) for name in "abcd"}).root
    monkeypatch.setattr("policies.facts.document._MAX_REACHED", 100)
    assert (area.unreached or "").startswith("links to directories lead to more than 100 paths, one of them /usr/d0/a")
    monkeypatch.setattr("policies.facts.document.Area._follow", None)
    for _ in range(2):
        with pytest.raises(ValueError, match="more than 100 paths"):
            area.reached  # noqa: B018 -- what it raises is the test


@pytest.mark.parametrize(
    ("text", "interpreter", "argument"),
    [
        (b"#!/bin/a b c\n", "/bin/a", "b c"),
        (b"#!/bin/a\0b\n", "/bin/a", None),
        (b"#! \t/bin/a\tb\0c\n", "/bin/a", "b"),
        (b"#!/bin/a", "/bin/a", None),
    ],
)
def test_a_script_names_its_interpreter_as_the_kernel_reads_it(
    text: bytes, interpreter: str, argument: str | None
) -> None:
    found = read_script("/x", memoryview(text))
    assert found is not None
    assert (found.interpreter, found.argument) == (interpreter, argument)


def test_a_path_has_no_more_links_than_the_kernel_follows() -> None:
    area = facts({**{f"usr/d{level}/l": link(f"/usr/d{level + 1}") for level in range(60)}, "usr/d60/x": ""}).root
    assert max(file.path.count("/l") for file in area.reached if file.path.startswith("/usr/d0/")) == 41
    assert area.unreached is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/proc/self/root/dev/x", "/dev/x"),
        ("/proc/thread-self/root/", "/"),
        ("/proc/12/task/3/root/../etc", "/etc"),
        ("/proc/x/root/dev", "/proc/x/root/dev"),
        ("/x/proc/self/root", "/x/proc/self/root"),
        ("/./dev//x", "/dev/x"),
    ],
)
def test_the_root_has_names_in_proc(path: str, found: str) -> None:
    assert chase(path, lambda _path: None) == found
