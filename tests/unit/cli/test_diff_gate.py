"""``bedplate diff --allow``: exit codes, text and JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from builder.cli.main import main
from signing import dsse, envelope_json, keys
from signing.signer import FileSigner
from tests.made_releases import SIGNER, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

MANIFESTS = "incomplete: [policy, units, esp, partitions, kernel-configuration, uki, uki-signature]\n"
UPDATE = f"""name: update
packages:
- names: [openssl]
  changes: [upgrade]
package_files: true
arguments: [roothash]
uki:
  sections: [.cmdline]
pcrs: [4, 9, 11]
{MANIFESTS}"""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old release, an update of a package, and one with a set-uid file more."""
    folder = tmp_path_factory.mktemp("releases")
    old = Recipe()
    new = old.with_package("openssl", "3.5.4-1").with_file("/usr/bin/openssl", content=b"openssl 4")
    old.write(folder / "old")
    new.write(folder / "new")
    new.with_file("/usr/bin/openssl", mode=0o4755).write(folder / "bad")
    (folder / "release.pub").write_bytes(SIGNER.public_key.pem)
    return folder


@pytest.fixture
def gate(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the verb with rules."""

    def run(new: str, rules: str, *options: str, trust: bool = True) -> tuple[int, str, str]:
        (tmp_path / "rules.yaml").write_text(rules)
        words = ["diff", str(releases / "old"), str(releases / new), "--allow", str(tmp_path / "rules.yaml")]
        status = main([*words, *(("--trust", str(releases / "release.pub")) if trust else ()), *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_what_the_rules_allow_is_a_yes_though_it_differs(gate: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = gate("new", UPDATE)
    assert status == 0, out
    assert "they differ" in out
    assert "allowed by update (sha256:" in out.splitlines()[-1]


def test_what_no_rule_allows_is_a_no_and_is_named_with_the_rule(gate: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = gate("bad", UPDATE)
    assert status == 1
    *_, title, subject, mode, needed = out.splitlines()
    assert title.startswith("refused by update")
    assert subject == "  Files: root: /usr/bin/openssl content: " + subject.partition("content: ")[2]
    assert mode == "    needs files: [{areas: [root], changes: [metadata], paths: [/usr/bin/openssl]}]"
    assert needed == "    needs privileges: [{areas: [root], gains: [set-uid], paths: [/usr/bin/openssl]}]"


def test_a_release_that_nobody_signed_is_refused(gate: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = gate("new", UPDATE, trust=False)
    assert status == 1
    assert out.count("needs unverified: true") == 2
    assert gate("new", f"{UPDATE}unverified: true\n", trust=False)[0] == 0


def test_what_was_not_compared_is_refused(gate: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = gate("new", UPDATE.replace(MANIFESTS, ""), "--manifests")
    assert status == 1
    assert "needs incomplete: [esp]" in out


def test_rules_that_are_not_meant_are_invalid_input(gate: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = gate("new", "name: x\npcr: [4]\n")
    assert (status, out) == (2, "")
    assert "rules.yaml:2:1: pcr is not a known key" in err
    assert "did you mean pcrs?" in err


@pytest.mark.parametrize(("new", "status"), [("new", 0), ("bad", 1)])
def test_the_json_has_its_schema_and_the_diff_in_it(
    gate: Callable[..., tuple[int, str, str]], new: str, status: int
) -> None:
    found, out, _ = gate(new, UPDATE, "--format", "json")
    document: dict[str, Any] = json.loads(out)
    jsonschema.validate(document, json.loads(Path("docs/reference/gate.schema.json").read_text()))
    assert found == status
    assert document["allowed"] is (status == 0)
    assert document["diff"]["verdict"] == "differs"
    assert len(document["refused"]) == status


@pytest.fixture
def reviewer(tmp_path: Path) -> Path:
    (tmp_path / "reviewer.key").write_bytes(keys.generate(keys.Algorithm.ED25519).private_pem)
    return tmp_path / "reviewer.key"


def test_what_is_allowed_is_attested(gate: Callable[..., tuple[int, str, str]], reviewer: Path, tmp_path: Path) -> None:
    signed = tmp_path / "reviewed.json"
    status, out, err = gate("new", UPDATE, "--manifests", "--attest", str(reviewer), "-o", str(signed))
    assert status == 0, out
    key = FileSigner.from_pem(reviewer.read_bytes()).public_key
    verified = dsse.verify(envelope_json.decode(signed.read_bytes()), [key])
    assert json.loads(verified.payload)["predicate"]["scope"] == "manifests"
    assert err.endswith(f"reviewed.json by {key.key_id}\n")


def test_a_review_that_is_there_stays_unless_it_is_to_be_replaced(
    gate: Callable[..., tuple[int, str, str]], reviewer: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "reviewed.json"
    signed.write_text("of somebody else\n")
    words = ("new", UPDATE, "--manifests", "--attest", str(reviewer), "-o", str(signed))
    status, out, err = gate(*words)
    assert (status, out) == (2, "")
    assert "reviewed.json is there already" in err
    assert signed.read_text() == "of somebody else\n"
    assert gate(*words, "--force")[0] == 0
    assert json.loads(signed.read_text())["signatures"]


def test_what_is_refused_is_not_attested(
    gate: Callable[..., tuple[int, str, str]], reviewer: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "reviewed.json"
    assert gate("bad", UPDATE, "--manifests", "--attest", str(reviewer), "-o", str(signed))[0] == 1
    assert not signed.exists()


def test_an_unsigned_release_is_not_attested(
    gate: Callable[..., tuple[int, str, str]], reviewer: Path, tmp_path: Path
) -> None:
    signed = tmp_path / "reviewed.json"
    rules = f"{UPDATE}unverified: true\n"
    status, _, err = gate("new", rules, "--manifests", "--attest", str(reviewer), "-o", str(signed), trust=False)
    assert status == 1
    assert "is no release that a trusted key signed" in err
    assert not signed.exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--attest", "KEY"), "--attest KEY and --output FILE go together"),
        (("-o", "reviewed.json"), "--attest KEY and --output FILE go together"),
        (("--attest", "KEY", "-o", "reviewed.json"), "--attest signs what --allow allows: name the rules"),
    ],
)
def test_a_review_needs_all_its_parts(
    words: tuple[str, ...], problem: str, releases: Path, reviewer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [str(releases / name) for name in ("old", "new")]
    assert main(["diff", *sides, *(word.replace("KEY", str(reviewer)) for word in words)]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--reviewers", "1"), ("--rules", "FILE"), ("--reviewed", "FILE")])
def test_a_demand_for_reviews_needs_all_its_parts(
    words: tuple[str, ...], releases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(releases / "release.pub")
    given = [word.replace("FILE", key) for word in words]
    assert main(["verify", str(releases / "new"), "--trust", key, *given]) == 2
    assert "--reviewers needs --trust-reviewer, --reviewed-from and --rules" in capsys.readouterr().err
