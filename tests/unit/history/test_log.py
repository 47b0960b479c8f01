"""The history of releases: which are found, in which order, what moved, and who vouches for them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec
import pytest

from builder.cli.main import main
from builder.errors import InvalidInputError
from builder.history.read import find_releases, read_log
from builder.presenters.timeline import size_words, timeline
from signing import keys
from tests.made_releases import SIGNER, File, Recipe
from tests.unit.compare.test_made_pairs import BASE, OPENSSL, VERDICT

if TYPE_CHECKING:
    from builder.history.log import Log

FIRST = BASE.but(policy=VERDICT)
SECOND = OPENSSL.but(
    version="1.2.0", policy=dataclasses.replace(VERDICT, outcomes=dict.fromkeys(VERDICT.outcomes, "passed"), waivers={})
)
# "10" is after "2", whatever the order of the directories is.
THIRD = SECOND.but(version="1.10.0", keys="two", enrolled=("two",))
FOURTH = THIRD.but(version="1.11.0", sections=((".splash", b"BM"),))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four releases of an image in one directory."""
    folder = tmp_path_factory.mktemp("dist") / "node"
    for recipe in (FIRST, SECOND, THIRD, FOURTH):
        recipe.write(folder / recipe.version)
    (folder / "1.0.0.unsigned").mkdir()
    (folder / "release.pub").write_bytes(SIGNER.public_key.pem)
    return folder


@pytest.fixture(scope="module")
def log(releases: Path) -> Log:
    return read_log([releases], [SIGNER.public_key])


def versions(log: Log) -> list[str | None]:
    return [None if release.image is None else release.image.version for release in log.releases]


def test_releases_are_found_below_a_directory_and_each_counts_once(releases: Path) -> None:
    assert len(find_releases([releases])) == 4
    assert find_releases([releases / "1.2.0", releases / "1.2.0"]) == (releases / "1.2.0",)


def test_a_directory_without_releases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is no release and holds none"):
        find_releases([tmp_path])


def test_versions_are_in_their_order(log: Log) -> None:
    assert versions(log) == ["1.0.0", "1.2.0", "1.10.0", "1.11.0"]
    assert [release.since and release.since.previous for release in log.releases] == [None, "1.0.0", "1.2.0", "1.10.0"]


def test_what_moved_is_told_with_its_causes(log: Log) -> None:
    steps = [release.since for release in log.releases if release.since is not None]
    assert [step.moved for step in steps] == [(4, 9, 11), (4, 7, 9, 11), (4, 9, 11)]
    assert any("openssl 3.5.1-1 -> 3.5.4-1" in cause.subjects for cause in steps[0].causes)
    assert {pcr for cause in steps[1].causes if "db" in cause.subjects[0] for pcr in cause.moved} == {7}
    assert [cause.subjects for cause in steps[2].causes if not cause.explained] == [("section .splash",)]
    assert steps[0].policy == (
        "control ZOA-102: waived -> passed",
        "waiver ZOA-102: x: a test (ops, until 2027-01-01) -> gone",
    )


def test_sizes_and_packages_are_counted(log: Log) -> None:
    first, second = log.releases[:2]
    assert first.sizes["root"].files == second.sizes["root"].files == len(BASE.root)
    assert first.sizes["root"].bytes == sum(len(file.content) for file in BASE.root.values())
    assert first.sizes["initrd"].packages == 1
    assert first.policy is not None
    assert first.policy.outcomes == {"passed": 1, "waived": 1}


def test_all_are_signed_by_the_trusted_key(log: Log) -> None:
    assert log.verified
    assert {release.verified_by for release in log.releases} == {(SIGNER.public_key.key_id,)}


def test_without_a_key_nothing_is_verified(releases: Path) -> None:
    found = read_log([releases], [])
    assert not found.verified
    assert {release.verified_by for release in found.releases} == {()}


def test_what_did_not_verify_counts_for_nothing(releases: Path) -> None:
    other = keys.public_key(keys.load_private(keys.generate(keys.Algorithm.ED25519).private_pem, None).public_key())
    found = read_log([releases / "1.0.0"], [other])
    assert not found.verified
    assert found.releases[0].problems
    assert msgspec.structs.asdict(found.releases[0])["image"] is None
    assert found.releases[0].sizes == {}


def test_a_changed_inventory_is_no_release_that_was_signed(releases: Path, tmp_path: Path) -> None:
    changed = FIRST.write(tmp_path / "changed")
    (changed / "inventory.jsonl.zst").write_bytes((releases / "1.2.0" / "inventory.jsonl.zst").read_bytes())
    found = read_log([changed, releases / "1.2.0"], [SIGNER.public_key])
    assert versions(found) == ["1.2.0", None]
    assert "SHA-256" in found.releases[1].problems[0]
    assert found.releases[0].since is None


def test_images_of_other_names_are_series_of_their_own(log: Log, releases: Path) -> None:
    page = timeline(log).decode()
    assert page.count("<svg") == 1
    others = tuple(
        msgspec.structs.replace(item, image=msgspec.structs.replace(item.image, name="other")) for item in log.releases
    )
    assert timeline(msgspec.structs.replace(log, releases=(*log.releases, *others))).decode().count("<svg") == 2


def test_the_json_has_its_schema(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["log", str(releases), "--trust", str(releases / "release.pub"), "--format", "json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(Path("docs/reference/log.schema.json").read_text()))
    assert (status, document["verified"], len(document["releases"])) == (0, True, 4)


def test_the_text_has_a_line_for_each_release_and_what_moved_it(
    releases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["log", str(releases), "--trust", str(releases / "release.pub")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    rows = captured.out.splitlines()
    assert re.match(r"node 1\.2\.0 x86-64 +- +\d+\+1 +\d+\+2 .* passed +4, 9, 11 +\w{16}$", rows[3]), rows[3]
    assert "node 1.0.0 -> 1.2.0" in rows
    assert any("openssl 3.5.1-1 -> 3.5.4-1" in row and row.endswith("PCR 4, 9, 11") for row in rows)
    assert "  section .splash, and nothing was found that explains it: PCR 4, 11" in rows


def test_unverified_releases_are_loud_and_no_error(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", str(releases)]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("NOT VERIFIED") == 4
    assert "warning: UNVERIFIED" in captured.err


def test_a_release_of_another_key_is_a_no(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = keys.public_key(keys.load_private(keys.generate(keys.Algorithm.ED25519).private_pem, None).public_key())
    (tmp_path / "other.pub").write_bytes(other.pem)
    page = tmp_path / "log.html"
    status = main(["log", str(releases), "--trust", str(tmp_path / "other.pub"), "--report", f"html={page}"])
    captured = capsys.readouterr()
    assert status == 1
    assert "1.0.0: line 1: 0 of 1 trusted keys signed this envelope" in captured.err
    assert "openssl" not in captured.out + page.read_text()


def test_the_page_says_what_is_not_verified(log: Log, releases: Path) -> None:
    assert "all 4 releases are signed by trusted keys" in timeline(log).decode()
    unsigned = timeline(read_log([releases], [])).decode()
    assert "4 of 4 releases are not verified" in unsigned
    assert unsigned.count('<span class="flag">not verified</span>') == 4


def test_the_page_shows_names_as_they_are(log: Log) -> None:
    first = log.releases[0]
    bad = msgspec.structs.replace(first, place="<script>alert(1)</script>\u202e")
    page = timeline(msgspec.structs.replace(log, releases=(bad,))).decode()
    assert "<script>alert" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (52_345_678, "52.3 MB"), (10**16, "10000.0 TB")],
)
def test_sizes_are_in_decimal_units(count: int, words: str) -> None:
    assert size_words(count) == words


def test_a_recipe_is_no_release_of_another_image(tmp_path: Path) -> None:
    """Two directories with the same version are both there, in the order of their paths."""
    for name in ("b", "a"):
        Recipe().write(tmp_path / name)
    found = read_log([tmp_path], [SIGNER.public_key])
    assert [Path(release.place).name for release in found.releases] == ["a", "b"]
    assert found.releases[1].since is not None
    assert found.releases[1].since.moved == ()


def scripted(*names: str) -> Recipe:
    """The first release with files that no package brought."""
    made = {name: File(name.encode()) for name in names}
    return FIRST.but(version="1.0.1", root=FIRST.root | made)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("/etc/motd",), "1 file in root that no package owns (/etc/motd)"),
        (("/etc/a", "/etc/b", "/etc/c"), "3 files in root that no package owns (/etc/a, /etc/b, /etc/c)"),
        (
            ("/etc/a", "/etc/b", "/etc/c", "/etc/d", "/etc/e"),
            "5 files in root that no package owns (/etc/a, /etc/b, /etc/c and 2 more)",
        ),
        (("/etc/a\nb",), "1 file in root that no package owns (/etc/a\\nb)"),
    ],
)
def test_files_of_no_package_are_named(
    names: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for recipe in (FIRST, scripted(*names)):
        recipe.write(tmp_path / recipe.version)
    assert main(["log", str(tmp_path)]) == 0
    assert f"  {words}: PCR 4, 9, 11\n" in capsys.readouterr().out
