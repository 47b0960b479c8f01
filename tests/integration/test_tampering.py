"""Whatever is changed in a release, `verify` refuses it and names the place; and everything that is changed."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING

import pytest

from builder.definition.model import Profile
from builder.errors import InvalidInputError, NotVerifiedError
from builder.image.uki import read_uki
from builder.release.keyring import Keyring, generate_keyring, load_keyring
from builder.release.layout import INVENTORY, REFERENCE_VALUES, STATEMENTS
from builder.release.statements import PAYLOAD_TYPE, SHORT_NAMES
from builder.release.verify import verify_release
from signing import dsse, envelope_json
from signing.errors import InvalidRequestError
from signing.keys import Algorithm
from tests.refusals import assert_problems, problems_of
from tests.releases import NAMES, bedplate, place_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.releases import Copy

pytestmark = pytest.mark.integration

BUNDLES = ("provenance.sigstore.json", "reference-measurements.sigstore.json", "policy-verdict.sigstore.json")
NAMES_OF_STATEMENTS = tuple(SHORT_NAMES.values())
UNREAD = "policy verdict: parts of the image cannot be read, so it does not satisfy its policy"
DIGEST = r"SHA-256 is [0-9a-f]{64}, signed was [0-9a-f]{64}"


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("root", r"the data block at offset 0x[0-9a-f]+ does not have the hash in the tree"),
        ("root_verity", r"the hash block at offset 0x[0-9a-f]+ does not have the hash in its parent"),
    ],
)
def test_a_byte_of_the_disk_is_told_with_its_block(copy: Copy, keys: Keyring, part: str, problem: str) -> None:
    copy.flip(NAMES.disk, place_of(copy.directory / NAMES.disk, part))
    found = problems_of(copy.directory, keys)
    assert_problems(found[:2], f"{NAMES.disk}: {DIGEST}", f"{NAMES.disk}: {problem}")
    assert found[2].startswith("policy verdict: the image does not satisfy its policy, says bedplate")
    assert "policy-report.json: results.ZOA-701.outcome is passed, the image gives failed" in found


def test_a_byte_of_the_uki_in_the_disk_is_told_with_every_value_that_it_moves(copy: Copy, keys: Keyring) -> None:
    copy.flip(NAMES.disk, place_of(copy.directory / NAMES.disk, "uki"))
    disk, uki, rest = (found := problems_of(copy.directory, keys))[0], found[1], found[2:]
    assert_problems([disk, uki], f"{NAMES.disk}: {DIGEST}", f"{NAMES.uki}: it is not the one in {NAMES.disk}")
    assert rest
    assert all("firmware will not start the UKI" in problem for problem in rest), rest


def test_a_byte_of_the_initrd_is_told_by_its_own_checksum(copy: Copy, keys: Keyring) -> None:
    uki = (copy.directory / NAMES.uki).read_bytes()
    initrd = bytes(read_uki(uki).content(".initrd") or b"")
    place = (copy.directory / NAMES.disk).read_bytes().index(initrd[1 << 20 : (1 << 20) + 512])
    copy.flip(NAMES.disk, place)
    broken = f"{NAMES.disk}: initrd of the UKI at offset 0x[0-9a-f]+: the zstd frame is broken: .*"
    assert_problems(problems_of(copy.directory, keys), f"{NAMES.disk}: {DIGEST}", broken, UNREAD)


def middle(path: Path) -> int:
    return path.stat().st_size // 2


@pytest.mark.parametrize(
    ("name", "more"),
    [
        (NAMES.uki, [f"{NAMES.uki}: it is not the one in {NAMES.disk}"]),
        (NAMES.root, [f"{NAMES.root}: it is not the one in {NAMES.disk}"]),
        (NAMES.root_verity, [f"{NAMES.root_verity}: it is not the one in {NAMES.disk}"]),
        (INVENTORY, [rf"{INVENTORY}: .*"]),
        (REFERENCE_VALUES, [rf"{REFERENCE_VALUES}(:| is not JSON:) .*"]),
        ("secure-boot/db.esl", [r"reference measurements: .*"]),
        ("secure-boot/KEK.esl", [r"reference measurements: .*"]),
    ],
)
def test_a_byte_of_a_file_is_told_with_its_digest_and_with_what_it_contradicts(
    copy: Copy, keys: Keyring, name: str, more: list[str]
) -> None:
    copy.flip(name, middle(copy.directory / name))
    found = problems_of(copy.directory, keys)
    assert_problems(found[: 1 + len(more)], f"{name}: {DIGEST}", *more)
    assert all(problem.startswith((name, "reference measurements: ", REFERENCE_VALUES)) for problem in found)


def test_a_byte_behind_the_last_partition_is_told(copy: Copy, keys: Keyring) -> None:
    """Also where no structure of the disk would show it."""
    with copy.open_up(NAMES.disk).open("ab") as file:
        file.write(bytes(512))
    found = problems_of(copy.directory, keys)
    assert_problems(
        found,
        f"{NAMES.disk}: {DIGEST}",
        f"{NAMES.disk}: protective MBR at offset 0x1ca: the protective record does not cover the disk",
        UNREAD,
    )


def test_every_mismatch_is_told(copy: Copy, keys: Keyring) -> None:
    copy.flip(NAMES.root, 4096)
    copy.flip(NAMES.uki, 4096)
    copy.write("secure-boot/PK.esl", b"")
    (copy.directory / INVENTORY).unlink()
    copy.write("notes.txt", b"hello")
    told = {problem.split(":")[0] for problem in problems_of(copy.directory, keys)}
    assert told >= {NAMES.root, NAMES.uki, "secure-boot/PK.esl", INVENTORY, "notes.txt"}


@pytest.mark.parametrize("line", range(len(NAMES_OF_STATEMENTS)))
@pytest.mark.parametrize("member", ["payload", "sig"])
def test_a_byte_of_a_statement_makes_it_untrusted(copy: Copy, keys: Keyring, line: int, member: str) -> None:
    envelopes = list(envelope_json.decode_lines((copy.directory / STATEMENTS).read_bytes()))
    envelope = envelopes[line]
    if member == "payload":
        changed = bytearray(envelope.payload)
        changed[len(changed) // 2] ^= 1
        envelopes[line] = dataclasses.replace(envelope, payload=bytes(changed))
    else:
        (signature,) = envelope.signatures
        changed = bytearray(signature.signature)
        changed[-1] ^= 1
        other = dataclasses.replace(signature, signature=bytes(changed))
        envelopes[line] = dataclasses.replace(envelope, signatures=(other,))
    copy.write(STATEMENTS, envelope_json.encode_lines(envelopes))
    name = NAMES_OF_STATEMENTS[line]
    assert_problems(
        problems_of(copy.directory, keys),
        rf"{STATEMENTS} line {line + 1}: 0 of 1 trusted keys signed this envelope, 1 must have",
        rf"{STATEMENTS}: no trusted {name} statement",
    )


@pytest.mark.parametrize("bundle", BUNDLES)
def test_a_byte_of_a_bundle_is_told(copy: Copy, keys: Keyring, bundle: str) -> None:
    copy.flip(bundle, middle(copy.directory / bundle))
    assert_problems(
        problems_of(copy.directory, keys), f"{bundle}: it is not the bundle of the statement in {STATEMENTS}"
    )


def test_a_bundle_in_place_of_the_other_is_told(copy: Copy, keys: Keyring) -> None:
    copy.write(BUNDLES[0], (copy.directory / BUNDLES[1]).read_bytes())
    assert_problems(
        problems_of(copy.directory, keys), f"{BUNDLES[0]}: it is not the bundle of the statement in {STATEMENTS}"
    )


def test_bundles_may_be_missing_since_they_repeat_the_statements(copy: Copy, keys: Keyring) -> None:
    for bundle in BUNDLES:
        (copy.directory / bundle).unlink()
    assert verify_release(copy.directory, [keys.release.public_key]).key_ids == (keys.release.public_key.key_id,)


@pytest.mark.parametrize("name", [NAMES.root, NAMES.uki, INVENTORY, REFERENCE_VALUES, "secure-boot/PK.esl"])
def test_a_file_that_is_missing_is_told(copy: Copy, keys: Keyring, name: str) -> None:
    (copy.directory / name).unlink()
    found = problems_of(copy.directory, keys)
    assert f"{name}: missing" in found
    assert all("No such file or directory" in problem for problem in found if problem != f"{name}: missing"), found


def test_a_release_without_statements_is_none(copy: Copy, keys: Keyring) -> None:
    (copy.directory / STATEMENTS).unlink()
    with pytest.raises(InvalidInputError, match=f"is no release: it has no {STATEMENTS}"):
        verify_release(copy.directory, [keys.release.public_key])


@pytest.mark.parametrize(
    "name", ["extra", ".hidden", "secure-boot/dbx.esl", "secure-boot/DB.esl", "more.sigstore.json", "new/file"]
)
def test_a_file_that_nobody_signed_is_told(copy: Copy, keys: Keyring, name: str) -> None:
    (copy.directory / name).parent.mkdir(exist_ok=True)
    copy.write(name, b"")
    assert f"{name}: no statement knows this file" in problems_of(copy.directory, keys)


def test_an_empty_directory_is_told(copy: Copy, keys: Keyring) -> None:
    (copy.directory / "new").mkdir()
    assert_problems(problems_of(copy.directory, keys), "new: no statement knows this directory")


@pytest.mark.parametrize("name", [STATEMENTS, NAMES.disk, "secure-boot", "secure-boot/db.esl", BUNDLES[0]])
def test_a_symbolic_link_is_not_followed(copy: Copy, keys: Keyring, release: Path, name: str) -> None:
    path = copy.directory / name
    path.rename(copy.directory.parent / "away")
    path.symlink_to(release / name)
    assert_problems(problems_of(copy.directory, keys), f"{name}: not a regular file")


@pytest.mark.parametrize("name", [STATEMENTS, NAMES.disk, "secure-boot/db.esl", BUNDLES[0], "extra"])
def test_a_fifo_does_not_hold_the_verifier(copy: Copy, keys: Keyring, name: str) -> None:
    (copy.directory / name).unlink(missing_ok=True)
    os.mkfifo(copy.directory / name)
    assert_problems(problems_of(copy.directory, keys), f"{name}: not a regular file")


def test_a_directory_in_place_of_a_file_is_told(copy: Copy, keys: Keyring) -> None:
    (copy.directory / INVENTORY).unlink()
    (copy.directory / INVENTORY).mkdir()
    found = problems_of(copy.directory, keys)
    assert {f"{INVENTORY}: missing", f"{INVENTORY}: no statement knows this directory"} < set(found)


def test_two_files_that_changed_places_are_told(copy: Copy, keys: Keyring) -> None:
    first, second = (copy.directory / f"secure-boot/{name}.esl" for name in ("PK", "KEK"))
    first.rename(copy.directory.parent / "away")
    second.rename(first)
    (copy.directory.parent / "away").rename(second)
    found = problems_of(copy.directory, keys)
    assert_problems(found[:2], f"secure-boot/KEK.esl: {DIGEST}", f"secure-boot/PK.esl: {DIGEST}")


def test_statements_of_another_key_are_refused(copy: Copy, keys: Keyring, tmp_path: Path) -> None:
    generate_keyring(tmp_path / "other", Profile.PRODUCTION, Algorithm.ED25519)
    copy.edit_statements(load_keyring(tmp_path / "other").release, lambda _name, statement: statement)
    assert_problems(
        problems_of(copy.directory, keys),
        *(rf"{STATEMENTS} line {line}: 0 of 1 trusted keys signed this envelope, 1 must have" for line in (1, 2, 3)),
        *(f"{STATEMENTS}: no trusted {name} statement" for name in NAMES_OF_STATEMENTS),
    )


@pytest.mark.parametrize("foreign", range(len(NAMES_OF_STATEMENTS)), ids=NAMES_OF_STATEMENTS)
def test_statements_of_two_releases_do_not_make_one(
    copy: Copy, keys: Keyring, other_release: Path, foreign: int
) -> None:
    own, other = (
        (path / STATEMENTS).read_bytes().splitlines(keepends=True) for path in (copy.directory, other_release)
    )
    copy.write(STATEMENTS, b"".join(other[line] if line == foreign else own[line] for line in range(len(own))))
    found = problems_of(copy.directory, keys)
    assert found[0] == f"{STATEMENTS}: the statements are about different files"


def test_all_statements_of_another_release_are_refused_file_by_file(
    copy: Copy, keys: Keyring, other_release: Path
) -> None:
    for name in (STATEMENTS, *BUNDLES):
        copy.write(name, (other_release / name).read_bytes())
    found = problems_of(copy.directory, keys)
    assert {problem.split(":")[0] for problem in found} == {
        NAMES.disk, NAMES.uki, REFERENCE_VALUES, "reference measurements",
        "policy-report.json", "policy-report.sarif", "report.html",
    }  # fmt: skip


def test_a_threshold_of_two_needs_the_same_two_keys(copy: Copy, keys: Keyring, tmp_path: Path) -> None:
    generate_keyring(tmp_path / "second", Profile.PRODUCTION, Algorithm.ECDSA_P384_SHA384)
    second = load_keyring(tmp_path / "second").release
    trusted = [keys.release.public_key, second.public_key]
    with pytest.raises(NotVerifiedError) as caught:
        verify_release(copy.directory, trusted, threshold=2)
    assert f"{STATEMENTS} line 1: 1 of 2 trusted keys signed this envelope, 2 must have" in caught.value.problems
    envelopes = envelope_json.decode_lines((copy.directory / STATEMENTS).read_bytes())
    both = [dsse.sign(PAYLOAD_TYPE, envelope.payload, [keys.release, second]) for envelope in envelopes]
    copy.write(STATEMENTS, envelope_json.encode_lines(both))
    assert set(verify_release(copy.directory, trusted, threshold=2).key_ids) == {key.key_id for key in trusted}
    with pytest.raises(InvalidRequestError, match="the threshold is 2"):
        verify_release(copy.directory, trusted[:1], threshold=2)


def test_the_command_exits_with_1_and_lists_everything(copy: Copy, keyring: Path) -> None:
    copy.flip(NAMES.root, 0)
    copy.write("notes.txt", b"hello")
    text = bedplate("verify", copy.directory, "--trust", keyring / "release.pub")
    assert (text.status, text.stdout) == (1, "")
    assert text.stderr.startswith(f"error: {copy.directory} is not what was signed\n  - notes.txt: no statement")
    assert [problem.split(":")[0] for problem in text.problems] == ["notes.txt", NAMES.root, NAMES.root]
    shown = bedplate("verify", copy.directory, "--trust", keyring / "release.pub", "--format", "json")
    assert shown.status == 1
    assert json.loads(shown.stdout) == {"verified": False, "problems": text.problems}


def test_the_command_prints_names_of_files_without_letting_them_steer_the_terminal(copy: Copy, keyring: Path) -> None:
    os.close(os.open(os.fsencode(copy.directory) + b"/\x1b[2Jverified\xff", os.O_CREAT))
    shown = bedplate("verify", copy.directory, "--trust", keyring / "release.pub")
    assert shown.status == 1
    assert shown.problems == [r"\x1b[2Jverified\udcff: no statement knows this file"]
    told = bedplate("verify", copy.directory, "--trust", keyring / "release.pub", "--format", "json")
    assert told.status == 1
    assert json.loads(told.stdout)["verified"] is False


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["RELEASE"], 2, "missing option '--trust'"),
        (["RELEASE/nowhere", "--trust", "KEY"], 2, "does not exist"),
        (["RELEASE/secure-boot", "--trust", "KEY"], 2, "is no release"),
        (["RELEASE", "--trust", "RELEASE/reference-values.json"], 2, "public key"),
        (["RELEASE", "--trust", "KEY", "--trust", "KEY", "--threshold", "2"], 2, "the threshold is 2"),
        (["RELEASE", "--trust", "KEY", "--threshold", "0"], 2, "--threshold"),
    ],
)
def test_the_command_exits_with_2_for_a_question_that_makes_no_sense(
    release: Path, keyring: Path, arguments: list[str], status: int, words: str
) -> None:
    named = {"RELEASE": str(release), "KEY": str(keyring / "release.pub")}
    texts = [named["KEY"] if text == "KEY" else text.replace("RELEASE", named["RELEASE"]) for text in arguments]
    shown = bedplate("verify", *texts)
    assert (shown.status, shown.stdout) == (status, "")
    assert words in shown.stderr
