"""Whatever a file holds, reading facts ends: with facts, or with an error that says what is wrong."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BedplateError
from builder.facts.boot import command_line
from builder.facts.build import facts_of_files
from builder.facts.elf import read_elf
from builder.facts.files import capabilities
from policies.facts.paths import chase
from tests.fact_trees import UNITS, elf, file, link, note, tree

# A file of each kind that is parsed.
PATHS = (
    "etc/passwd",
    "etc/shadow",
    "etc/group",
    "etc/gshadow",
    "etc/fstab",
    "etc/pam.d/x",
    "etc/sudoers",
    "etc/doas.conf",
    "etc/dbus-1/system.d/x.conf",
    "etc/polkit-1/rules.d/x.rules",
    "etc/polkit-1/localauthority/x.pkla",
    "usr/share/polkit-1/actions/x.policy",
    "etc/sysctl.d/x.conf",
    "etc/modprobe.d/x.conf",
    "etc/modules-load.d/x.conf",
    "etc/tmpfiles.d/x.conf",
    "etc/sysusers.d/x.conf",
    "etc/udev/rules.d/x.rules",
    "etc/systemd/system/basic.target",
    "etc/systemd/system/basic.target.wants/x@y.service",
    "etc/systemd/system/x@.service",
    "etc/systemd/system/x.socket",
    "etc/systemd/journald.conf",
    "etc/os-release",
    "usr/share/dbus-1/system-services/x.service",
    "usr/lib/systemd/system-preset/x.preset",
    "usr/lib/modules/1/modules.builtin",
    "boot/config-1",
    "var/lib/dpkg/status",
)
ELF = elf(notes=note(b"FDO", 0x407C0C0A, b'[{"soname":["a"]}]') + note(b"GNU", 3, b"ab"))
WORDS = st.sampled_from(
    ("[Unit]", "[Socket]", "\n", "=", "Wants", "ListenStream", "x@.service", " ", "\\\n", '"', "%i", ":", "/", "-", "#")
)
TEXT = st.lists(WORDS | st.text(max_size=8), max_size=30).map("".join)


@given(path=st.sampled_from(PATHS), text=TEXT)
def test_any_configuration_text_ends_in_facts_or_an_error(path: str, text: str) -> None:
    with contextlib.suppress(BedplateError):
        facts_of_files(tree({**UNITS, path: text.encode("utf-8", "surrogatepass")}))


@given(targets=st.lists(st.sampled_from(("a", "../b", "/c/d", "c", "/", "..", "/a/b/c")), min_size=4, max_size=4))
def test_any_links_end(targets: list[str]) -> None:
    links = dict(zip(("/a", "/b", "/c", "/c/d"), targets, strict=True))
    found = chase("/a/b/../c/d", links.get)
    assert found is None or found.startswith("/")
    facts_of_files(tree({path[1:]: link(target) for path, target in links.items() if path != "/c/d"}))


@given(position=st.integers(0, len(ELF) - 1), value=st.integers(0, 255), length=st.integers(0, len(ELF)))
def test_a_damaged_elf_file_ends_in_facts(position: int, value: int, length: int) -> None:
    content = bytearray(ELF)
    content[position] = value
    found = read_elf("/x", memoryview(content))
    assert found is None or found.path == "/x"
    facts_of_files(tree({"x": file(bytes(content[:length]), 0o755)}))


@given(text=st.text())
def test_the_arguments_of_a_command_line_are_numbered(text: str) -> None:
    found = command_line(text)
    assert [argument.position for argument in found.arguments] == list(range(len(found.arguments)))


@given(value=st.binary(max_size=30))
def test_any_capability_attribute_has_names(value: bytes) -> None:
    assert all(name.startswith("cap_") for name in capabilities(value))
