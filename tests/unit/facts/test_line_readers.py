"""Lines as the programs read them that an image starts: what ends one, and what makes it go on in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.facts.boot import command_line
from builder.facts.configuration import configuration
from builder.facts.syntax import assignments, kmod_lines, plain_lines, udev_lines
from builder.facts.systemd import systemd
from builder.facts.text import settings
from builder.facts.unit_values import commands, split
from tests.fact_trees import tree

if TYPE_CHECKING:
    from policies.facts import Configuration


def of(files: dict[str, str]) -> Configuration:
    image = tree(files)
    return configuration(image, systemd(image, "default.target"))


@pytest.mark.parametrize(
    "text",
    [
        "[Socket]\nA=x\\\\\nListenStream=22\n",
        "[Socket]\nA=x\\ \nListenStream=22\n",
        "\ufeff[Socket]\nListenStream=22\n",
        "[Socket]\rListenStream=22\r",
        "[Socket]\0ListenStream=22\0",
        "[Socket]\r\nA=x\r\n\r\nListenStream=22\r\n",
        "[Socket]\nListenStream=\\\n# between\n22\n",
        "[Socket]\nListenStream=\\\r\n22\r\n",
        "[Socket]\nA=x\\\n\nListenStream=22\n",
    ],
)
def test_units_are_split_as_the_manager_splits_them(text: str) -> None:
    assert ("Socket", "ListenStream", "22") in [
        (item.section, item.key, item.value) for item in assignments(tree({"a": text}), "/a")
    ]


def test_only_one_byte_order_mark_goes_away() -> None:
    found = list(assignments(tree({"a": "\ufeff[S]\n\ufeffA=1\nB=2\n"}), "/a"))
    assert [(item.section, item.key) for item in found] == [("S", "\ufeffA"), ("S", "B")]


def test_a_line_goes_on_only_where_the_format_says_so() -> None:
    found = of(
        {
            "usr/lib/tmpfiles.d/a.conf": "d /run/x 0755 root root - \\\nf /etc/passwd\rf /etc/shadow",
            "usr/lib/sysctl.d/a.conf": "a.b=1\\\nkernel.sysrq=1\n",
            "usr/lib/sysusers.d/a.conf": "u a - \\\nu op 0\n",
            "usr/lib/modules-load.d/a.conf": "a\\\nb\n",
            "etc/fstab": "a /a ext4 ro\\\nb /b ext4\n",
            "etc/crypttab": "a /a none x\\\nb /b\n",
        }
    )
    assert [item.path for item in found.tmpfiles] == ["/run/x", "/etc/passwd", "/etc/shadow"]
    assert [item.key for item in found.sysctl] == ["a.b", "kernel.sysrq"]
    assert [item.name for item in found.sysusers] == ["a", "op"]
    assert [item.name for item in found.modules_load] == ["a\\", "b"]
    assert [item.where for item in found.mounts] == ["/a", "/b"]
    assert [item.name for item in found.encrypted_volumes] == ["a", "b"]


def test_comments_end_with_their_line() -> None:
    assert list(plain_lines(tree({"a": "# a \\\nb\n"}), "/a")) == [(2, "b")]


def test_kmod_joins_without_a_space_and_drops_backslashes() -> None:
    text = "inst\\\nall a /x\na b\\ \ninstall c /y\nin\\stall d /z\n# e \\\nf\n#g\nlast\\"
    assert list(kmod_lines(tree({"a": text}), "/a")) == [
        (1, "install a /x"), (3, "a b"), (4, "install c /y"), (5, "install d /z"), (9, "last")
    ]  # fmt: skip


def test_udev_joins_without_a_space() -> None:
    text = 'RUN+="a\\\n  b"\nX=="\\\\\n# between\nY"\nZ=="1\\ \nW=="1"\n'
    assert list(udev_lines(tree({"a": text}), "/a")) == [
        (1, 'RUN+="ab"'),
        (3, 'X=="\\Y"'),
        (6, 'Z=="1\\'),
        (7, 'W=="1"'),
    ]


@pytest.mark.parametrize(
    "key", ["kernel.sysrq", "/kernel/sysrq", "kernel//sysrq", "kernel/./sysrq", "/kernel/x/../sysrq", "-kernel/sysrq"]
)
def test_a_sysctl_key_is_the_path_that_it_leads_to(key: str) -> None:
    (found,) = of({"usr/lib/sysctl.d/a.conf": f"{key}=1\n"}).sysctl
    assert found.key == "kernel.sysrq"


def test_dots_in_a_path_of_sysctl_are_part_of_its_names() -> None:
    found = of({"usr/lib/sysctl.d/a.conf": "net/ipv4/conf/eth0.1/x=1\nnet.ipv4.conf.eth0/2.x=1\n"}).sysctl
    assert [item.key for item in found] == ["net.ipv4.conf.eth0/1.x", "net.ipv4.conf.eth0/2.x"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (r"/\162un/x", ["/run/x"]),
        (r"/\x72un/\u0078 '\"b\x20c'", ["/run/x", '"b c']),
        ("a'b c'd \"\" e", ["ab cd", "", "e"]),
        ("'open quote", ["open quote"]),
        (r"\q \U00110000 a\ ", ["q", "U00110000", "a "]),
        ("a\\", ["a"]),
        (" \t\n", []),
    ],
)
def test_words_are_unquoted_and_unescaped(value: str, words: list[str]) -> None:
    assert split(value) == words


def test_a_lone_semicolon_separates_commands() -> None:
    assert list(commands("a ; ; b ';' c")) == [["a"], ["b"], ["c"]]


def test_lists_of_words_stand_as_the_manager_takes_them() -> None:
    text = '[Service]\nEnvironment="LD_"PRELOAD=/x A\\x5fB=\'c d\'\nDescription="LD_"\n'
    found = [item.value for item in settings(tree({"a": text}), "/a")]
    assert found == ["LD_PRELOAD=/x A_B=c d", '"LD_"']


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("quiet 'systemd.debug_shell'", "systemd.debug_shell", None),
        ("root'hash'=ab", "roothash", "ab"),
        ("systemd.'verity'=0", "systemd.verity", "0"),
        ("systemd.unit\\=x", "systemd.unit", "x"),
        ("x\u00e0lockdown=none", "lockdown", "none"),
        ('"a=b c"', "a", "b c"),
    ],
)
def test_the_command_line_has_what_any_of_its_readers_sees(text: str, name: str, value: str | None) -> None:
    assert (name, value) in [(item.name, item.value) for item in command_line(text).arguments]


def test_arguments_that_all_readers_see_are_there_once() -> None:
    found = command_line("a=1 b 'c' -- d").arguments
    assert [(item.name, item.for_init) for item in found] == [
        ("a", False), ("b", False), ("'c'", False), ("--", False), ("d", True), ("c", False)
    ]  # fmt: skip


@pytest.mark.parametrize("blank", ["\f", "\v", "\x1c", "\x85", "\u00a0", "\u2028"])
def test_only_ascii_blanks_are_white_space(blank: str) -> None:
    text = f"[Socket]\n{blank}[Unit]\nListenStream=22\n{blank}ListenStream=\nListenStream={blank}\n"
    found = [(item.section, item.key, item.value) for item in assignments(tree({"a": text}), "/a")]
    assert found == [
        ("Socket", "ListenStream", "22"), ("Socket", f"{blank}ListenStream", ""), ("Socket", "ListenStream", blank),
    ]  # fmt: skip
    read = of(
        {
            "usr/lib/sysctl.d/a.conf": f"kernel.sysrq=1\n{blank}kernel.sysrq=0\na=1{blank}\n",
            "etc/fstab": f"tmpfs{blank}x /usr tmpfs rw\n",
        }
    )
    assert {(item.key, item.value) for item in read.sysctl} >= {("kernel.sysrq", "1"), ("a", f"1{blank}")}
    assert [(item.what, item.where) for item in read.mounts] == [(f"tmpfs{blank}x", "/usr")]


def test_only_a_line_feed_ends_a_line_of_fstab() -> None:
    found = of({"etc/fstab": "tmpfs\r /usr tmpfs rw\n# a\rtmpfs /opt tmpfs\ntmpfs /srv tmpfs ro\0,rw\n"})
    assert [(item.where, item.options) for item in found.mounts] == [("/usr", ("rw",)), ("/srv", ("ro",))]


def test_arguments_that_only_systemd_reads_are_numbered_behind_those_of_linux() -> None:
    found = command_line("a 'b' -- c").arguments
    assert [(item.name, item.position) for item in found] == [("a", 0), ("'b'", 1), ("--", 2), ("c", 3), ("b", 4)]
    assert [item.for_init for item in found] == [False, False, False, True, False]
