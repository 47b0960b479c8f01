"""Files of rules: what is accepted, and what is refused with its place."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.definition.problems import InvalidDefinitionError
from builder.errors import InvalidInputError
from builder.review.globs import literal, matches
from builder.review.load import load_rules, parse_rules
from builder.review.rules import Area, PackageChange, PackageRule, Rules, Step

EXAMPLE = Path("images/inference-node/security-update.yaml")


def test_rules_are_read_with_the_digest_of_their_file() -> None:
    text = b"name: small\nversion: newer\npcrs: [4]\n"
    text += b"packages:\n- names: [libssl*]\n  changes: [upgrade]\n  areas: [root]\n"
    loaded = parse_rules(text, "rules.yaml")
    assert loaded.digest == hashlib.sha256(text).hexdigest()
    assert loaded.rules == Rules(
        name="small",
        version=Step.NEWER,
        packages=(PackageRule(names=("libssl*",), changes=(PackageChange.UPGRADE,), areas=(Area.ROOT,)),),
        pcrs=(4,),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "r:1:1: the file is empty, expected rules for a diff"),
        ("[]", "r:1:1: the document is a list, expected a mapping with keys such as name"),
        ("{}", "r:1:1: name is missing"),
        ("name: x", "r:1:1: the rules allow nothing"),
        ("name: x\nkernel: {}", "r:1:1: the rules allow nothing"),
        ("name: X\npcrs: [4]", "r:1:7: name is 'X', expected a name of at most 64 lower-case letters"),
        ("name: x\npackage: []", "r:2:1: package is not a known key"),
        ("name: x\npackages: []", "r:2:11: packages has 0 entries, expected at least 1"),
        ("name: x\npackages:\n- names: []\n  changes: [upgrade]", r"r:3:10: packages\[0\].names has 0 entries"),
        ("name: x\npackages:\n- names: [a]", r"r:3:3: packages\[0\].changes is missing"),
        ("name: x\npackages:\n- names: [a]\n  changes: [upgrades]",
         r"r:4:13: packages\[0\].changes\[0\] is 'upgrades', expected added or removed or upgrade or"),
        ("name: x\npackages:\n- names: [a]\n  changes: [upgrade]\n  archive: security\n  area: [root]",
         r"r:6:3: packages\[0\].area is not a known key"),
        ("name: x\nfiles:\n- paths: [etc/x]\n  changes: [content]",
         r"r:3:11: files\[0\].paths\[0\] is 'etc/x', expected a pattern of absolute paths"),
        ("name: x\npcrs: [24]", r"r:2:8: pcrs\[0\] is 24, expected a whole number from 0 to 23"),
        ("name: x\npcrs: ['7']", r"r:2:8: pcrs\[0\] is '7', expected a whole number"),
        ("name: x\npcrs: 7", "r:2:7: pcrs is 7, expected a list"),
        ("name: x\nunverified: yes", "r:2:13: unverified is 'yes', expected true or false"),
        ("name: x\narguments: ['']", r"r:2:13: arguments\[0\] is '', expected a pattern"),
        ("name: x\nname: y", "r:2:1: key 'name' stands here again after line 1"),
        ("name: x\npcrs: &a [4]", "r:2:7: anchors and aliases are not accepted"),
        ("name: x\nkernel:\n  releases: any", "r:3:3: kernel.releases is not a known key"),
        ("name: x\npolicy: {controls: better}", "r:2:20: policy.controls is 'better', expected not-worse or any"),
    ],
)  # fmt: skip
def test_rules_that_are_not_meant_are_refused_with_their_place(text: str, problem: str) -> None:
    with pytest.raises(InvalidDefinitionError, match=f"^{problem}"):
        parse_rules(text.encode(), "r")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="rules for a diff"):
        load_rules(tmp_path / "none.yaml")


def test_the_shipped_rules_are_accepted() -> None:
    assert load_rules(EXAMPLE).rules.name == "security-update"


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("libssl*", "libssl3t64", True),
        ("libssl*", "xlibssl3", False),
        ("libssl", "libssl3", False),
        ("/etc/*", "/etc/hosts", True),
        ("/etc/*", "/etc/ssl/openssl.cnf", False),
        ("/etc/**", "/etc/ssl/openssl.cnf", True),
        ("/etc/?", "/etc/a", True),
        ("/etc/?", "/etc/a/", False),
        ("a?c", "a/c", False),
        ("a\\*c", "a*c", True),
        ("a\\*c", "abc", False),
        ("[ab]", "a", False),
        ("a.c", "abc", False),
        ("*", "two\nlines", True),
        ("trailing\\", "trailing\\", True),
    ],
)
def test_a_pattern_is_for_the_whole_name(pattern: str, name: str, *, fits: bool) -> None:
    assert matches([pattern], name) is fits


@given(st.text(min_size=1), st.text())
def test_a_literal_is_for_its_name_only(name: str, other: str) -> None:
    assert matches([literal(name)], name)
    assert matches([literal(name)], other) is (name == other)


def test_no_patterns_are_for_nothing() -> None:
    assert not matches([], "x")
