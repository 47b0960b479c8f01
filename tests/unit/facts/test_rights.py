"""Rules of the message bus, polkit, sudo and doas as facts."""

from __future__ import annotations

import pytest

from builder.facts.markup import read_xml
from builder.facts.rights import rights
from policies.facts import Origin
from tests.fact_trees import link, tree


def test_rules_of_the_bus_have_their_policy_and_line() -> None:
    text = '<?xml version="1.0"?>\n<busconfig><policy user="a" group="b">\n<deny own="x"/></policy></busconfig>'
    (rule,) = rights(tree({"usr/share/dbus-1/system.d/a.conf": text})).bus
    assert (rule.allow, rule.scope, rule.attributes) == (False, "user=a group=b", {"own": "x"})
    assert rule.origin == Origin(path="/usr/share/dbus-1/system.d/a.conf", line=3)


def test_what_is_no_markup_is_told() -> None:
    found = rights(tree({"etc/dbus-1/system.d/a.conf": "<busconfig>\n<policy>", "etc/dbus-1/system.d/b.conf": ""}))
    assert [line.origin.path for line in found.broken] == ["/etc/dbus-1/system.d/a.conf", "/etc/dbus-1/system.d/b.conf"]
    assert found.broken[0].problem.startswith("it is no XML: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no element found"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "it declares an entity"),
        (b"<a>" * 40, "nests deeper than 32"),
        (b"<a></b>", "mismatched tag"),
    ],
)
def test_markup_is_bounded(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_xml(content)


def test_an_action_says_no_where_it_says_nothing() -> None:
    text = '<policyconfig><action id="a"><defaults><allow_any> yes </allow_any></defaults></action></policyconfig>'
    (action,) = rights(tree({"usr/share/polkit-1/actions/a.policy": text})).polkit_actions
    answers = (action.id, action.allow_any, action.allow_inactive, action.allow_active, action.program)
    assert answers == ("a", "yes", "no", "no", None)


def test_files_of_sudo_are_followed_once_each() -> None:
    files = {
        "etc/sudoers": "Defaults env_reset\n@include more\n#includedir /etc/sudoers.d\nCmnd_Alias A = /bin/a\n",
        "etc/more": "@include /etc/sudoers\n%wheel ALL = ALL\n",
        "etc/sudoers.d/a": link("../more"),
    }
    found = rights(tree(files)).sudo
    assert [(str(rule.origin), rule.kind, rule.text) for rule in found] == [
        ("/etc/sudoers:1", "defaults", "Defaults env_reset"),
        ("/etc/sudoers:2", "include", "/etc/more"),
        ("/etc/sudoers:3", "include", "/etc/sudoers.d"),
        ("/etc/sudoers:4", "alias", "Cmnd_Alias A = /bin/a"),
        ("/etc/sudoers.d/a:1", "include", "/etc/sudoers"),
        ("/etc/sudoers.d/a:2", "rule", "%wheel ALL = ALL"),
    ]


def test_a_comment_of_sudoers_does_not_swallow_the_next_line() -> None:
    (rule,) = rights(tree({"etc/sudoers": "# a comment \\\na ALL=(ALL) NOPASSWD: \\\n  ALL\n"})).sudo
    assert (rule.text, rule.without_password, rule.origin.line) == ("a ALL=(ALL) NOPASSWD:  ALL", True, 2)


def test_files_that_the_configuration_of_the_bus_includes_are_read_once_each() -> None:
    rule = '<policy context="default"><allow own="{}"/></policy>'
    files = {
        "usr/share/dbus-1/system.conf": "<b><includedir>/opt/d</includedir><include>x.conf</include></b>",
        "opt/d/a.conf": f"<b>{rule.format('a')}<include>/usr/share/dbus-1/x.conf</include></b>",
        "opt/d/README": "",
        "usr/share/dbus-1/x.conf": f"<b>{rule.format('x')}<include>../dbus-1/x.conf</include><include>/n</include></b>",
    }
    found = rights(tree(files))
    assert [(rule.origin.path, rule.attributes["own"]) for rule in found.bus] == [
        ("/opt/d/a.conf", "a"),
        ("/usr/share/dbus-1/x.conf", "x"),
    ]
    assert not found.broken
