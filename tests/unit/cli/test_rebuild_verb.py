"""What ``bedplate rebuild`` tells, and when it signs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from builder.cli.group import bedplate
from builder.cli.rebuild import _print_difference
from builder.cli.verify import _text as verified_text
from builder.mkosi.toolchain import Origin
from builder.release.layout import LOCK, Names
from builder.release.rebuild import Rebuilt
from builder.release.rebuild_statement import Rebuilder, require_rebuilders
from builder.release.signed import read_signed
from builder.release.statements import Subject
from builder.release.verify import VerifiedRelease
from signing.keys import Algorithm, generate
from signing.signer import FileSigner
from tests.nodes import reference, signed
from tests.sample_differences import large

if TYPE_CHECKING:
    from click.testing import Result

DISK = "1" * 64
OUTPUT = ("-o", "rebuilt.json")


def test_what_moved_the_pcrs_is_told_and_no_advice_to_give_keys_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    report = large(1, 3)
    assert report.key_policies
    _print_difference(report, ())
    told = capsys.readouterr().out
    assert "Why PCRs moved" in told
    assert "AWS KMS" not in told


@dataclass
class Play:
    """`bedplate rebuild` of a release of which verification and build are played.

    Beside it are ``maker.key``, whose statements it has, and ``other.key``. ``meanwhile`` is a file that another
    process writes during the build; ``builds`` counts.
    """

    release: VerifiedRelease
    other: FileSigner
    origin: Origin = Origin.MADE
    meanwhile: Path | None = None
    builds: list[str] = field(default_factory=list)

    def rebuild(self, *_: object) -> Rebuilt:
        self.builds.append("one")
        if self.meanwhile is not None:
            self.meanwhile.write_text("of another process")
        return Rebuilt(Path("node.raw"), DISK, DISK, self.origin)

    def run(self, *words: str, key: str = "other") -> Result:
        argv = ["rebuild", ".", "--trust", "maker.pub", "--offline", "--attest", f"{key}.key", *words]
        return CliRunner().invoke(bedplate, argv)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    signers = []
    for name in ("maker", "other"):
        private = generate(Algorithm.ED25519).private_pem
        signers.append(FileSigner.from_pem(private))
        (tmp_path / f"{name}.key").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(signers[-1].public_key.pem)
    maker, other = signers
    read = read_signed(signed(reference(), signer=maker), [maker.public_key], 1)
    files = (Subject(Names.of(read.reference.image).disk, {"sha256": DISK}), Subject(LOCK, {"sha256": "2" * 64}))
    release = VerifiedRelease(
        Path("dist/node"), read.key_ids, read.reference, read.provenance, read.verdict, (), None, files, read.envelopes
    )
    made = Play(release, other)
    monkeypatch.setattr("builder.release.verify.verify_release", lambda *_, **__: release)
    monkeypatch.setattr("builder.release.rebuild.rebuild", made.rebuild)
    monkeypatch.setenv("BEDPLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("origin", Origin)
def test_it_says_and_signs_where_the_tools_were_from(play: Play, origin: Origin) -> None:
    play.origin = origin
    shown = play.run(*OUTPUT)
    assert shown.exit_code == 0, shown.output
    assert f"\n  toolchain: {origin.words}\n" in shown.stdout
    assert ("note: the toolchain was taken from the cache" in shown.stderr) is (origin is Origin.CACHED)
    said = {"rebuilt.json": Path("rebuilt.json").read_bytes()}
    key = play.other.public_key
    assert require_rebuilders(play.release, said, [key], 1) == (Rebuilder(key.key_id, origin),)
    told = json.loads(play.run("-o", "again.json", "--format", "json").stdout)
    assert told["toolchain"] == origin.value


def test_a_key_that_signed_the_release_attests_nothing_and_nothing_is_built(play: Play) -> None:
    shown = play.run(*OUTPUT, key="maker")
    assert "signed dist/node itself, expected the key of an independent rebuilder" in str(shown.exception)
    assert not play.builds
    assert not Path("rebuilt.json").exists()


def test_a_statement_that_is_there_stays_and_nothing_is_built(play: Play) -> None:
    Path("rebuilt.json").write_text("of last week")
    shown = play.run(*OUTPUT)
    assert str(shown.exception) == "rebuilt.json is there already, expected no file"
    assert not play.builds
    assert Path("rebuilt.json").read_text() == "of last week"
    assert play.run(*OUTPUT, "--force").exit_code == 0
    assert Path("rebuilt.json").read_bytes().startswith(b'{"payload')


def test_a_statement_that_comes_in_during_the_build_stays(play: Play) -> None:
    play.meanwhile = Path("rebuilt.json")
    assert str(play.run(*OUTPUT).exception) == "rebuilt.json is there already, expected no file"
    assert Path("rebuilt.json").read_text() == "of another process"


def test_a_verified_release_names_its_rebuilders_and_their_tools(play: Play) -> None:
    lines = verified_text(play.release, [Rebuilder("a1", Origin.MADE), Rebuilder("b2", Origin.CACHED)], ()).splitlines()
    assert lines[-2:] == [
        "  rebuilt by   a1, with tools made anew",
        "  rebuilt by   b2, with tools taken from the cache",
    ]
