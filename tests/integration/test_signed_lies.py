"""A good signature does not make a lie true: the image itself tells what a signer signed by mistake or under duress."""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from builder.image.inventory_file import pack, unpack
from builder.release.layout import INVENTORY, LOCK, REFERENCE_VALUES, STATEMENTS, TREE
from policies.policy import encode, settle
from signing import envelope_json
from tests.refusals import assert_problems, problems_of
from tests.releases import NAMES, bedplate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.release.keyring import Keyring
    from tests.releases import Copy

pytestmark = pytest.mark.integration


def hide_behind_the_uki(copy: Copy, keys: Keyring) -> str:
    copy.edit_uki(lambda uki: uki + bytes(8))
    return f"{NAMES.uki}: it is not the one in {NAMES.disk}"


def lie_about_a_value(copy: Copy, keys: Keyring) -> str:
    document = json.loads((copy.directory / REFERENCE_VALUES).read_bytes())
    document["reference_values"]["enabled"]["pcrs"]["4"]["values"]["sha256"] = "00" * 32
    copy.write(REFERENCE_VALUES, json.dumps(document).encode())
    return rf"{REFERENCE_VALUES}: reference_values.enabled.pcrs.4.values.sha256 is 0{{64}}, the image gives [0-9a-f]+"


def lie_in_words_that_cannot_be_printed(copy: Copy, keys: Keyring) -> str:
    document = json.loads((copy.directory / REFERENCE_VALUES).read_bytes())
    document["uki"]["kernel"] = "\u202e\x1b[2J"
    copy.write(REFERENCE_VALUES, json.dumps(document).encode())
    return rf"{REFERENCE_VALUES}: uki.kernel is \u202e\x1b\[2J, the image gives 6\..*"


def lie_in_words_that_are_no_text(copy: Copy, keys: Keyring) -> str:
    document = json.loads((copy.directory / REFERENCE_VALUES).read_bytes())
    document["uki"]["kernel"] = "\ud800"
    copy.write(REFERENCE_VALUES, json.dumps(document).encode())
    return rf"{REFERENCE_VALUES}: a string has half a surrogate pair, which stands for nothing"


def add_to_reference_values(copy: Copy, keys: Keyring) -> str:
    document = json.loads((copy.directory / REFERENCE_VALUES).read_bytes())
    copy.write(REFERENCE_VALUES, json.dumps(document | {"comment": "all is well"}).encode())
    return rf"{REFERENCE_VALUES}: Object contains unknown field `comment`"


def repeat_a_key_of_reference_values(copy: Copy, keys: Keyring) -> str:
    text = (copy.directory / REFERENCE_VALUES).read_bytes()
    copy.write(REFERENCE_VALUES, text.replace(b'"image":', b'"image": null, "image":', 1))
    return rf"{REFERENCE_VALUES}: an object has a key twice"


def write_reference_values_in_utf16(copy: Copy, keys: Keyring) -> str:
    copy.write(REFERENCE_VALUES, (copy.directory / REFERENCE_VALUES).read_bytes().decode().encode("utf-16"))
    return rf"{REFERENCE_VALUES} is not JSON: .*"


def leave_a_file_out_of_the_inventory(copy: Copy, keys: Keyring) -> str:
    lines = unpack((copy.directory / INVENTORY).read_bytes()).splitlines(keepends=True)
    copy.write(INVENTORY, pack(b"".join(lines[:10] + lines[11:])))
    return f"{INVENTORY}: it is not the inventory of the image"


def put_a_firmware_application_beside_the_uki(copy: Copy, keys: Keyring) -> str:
    """By way of a name: the entry of BOOTX64.EFI's directory gets a sibling of no length."""
    path = copy.open_up(NAMES.disk)
    disk = bytearray(path.read_bytes())
    place = disk.index(b"BOOTX64 EFI")
    sibling = bytearray(disk[place : place + 32])
    sibling[0:11] = b"ADDON   EFI"
    sibling[20:22] = sibling[26:32] = b"\0" * 2
    sibling = sibling[:20] + bytes(2) + sibling[22:26] + bytes(6)
    free = place + 32
    assert not any(disk[free : free + 32])
    disk[free : free + 32] = sibling
    path.write_bytes(disk)
    return rf"{NAMES.disk}: ESP: it holds EFI/BOOT/ADDON.EFI besides what belongs to EFI/BOOT/BOOTX64.EFI"


def add_a_partition(copy: Copy, keys: Keyring) -> str:
    """In both copies of the table, with good checksums; it lies in the last usable sector."""
    path = copy.open_up(NAMES.disk)
    disk = bytearray(path.read_bytes())
    (last_usable,) = struct.unpack_from("<Q", disk, 512 + 48)
    generic = bytes.fromhex("af3dc60f838472478e793d69d8477de4")
    entry = generic + os.urandom(16) + struct.pack("<QQ", last_usable, last_usable)
    for header in (512, len(disk) - 512):
        (entries,) = struct.unpack_from("<Q", disk, header + 72)
        count, size = struct.unpack_from("<II", disk, header + 80)
        free = entries * 512 + 3 * size
        disk[free : free + len(entry)] = entry
        struct.pack_into("<I", disk, header + 88, zlib.crc32(disk[entries * 512 : entries * 512 + count * size]))
        disk[header + 16 : header + 20] = bytes(4)
        struct.pack_into("<I", disk, header + 16, zlib.crc32(disk[header : header + 92]))
    path.write_bytes(disk)
    return f"{NAMES.disk}: partition table: it holds partition 4 besides what belongs to EFI/BOOT/BOOTX64.EFI"


@pytest.mark.parametrize(
    "mistake",
    [
        hide_behind_the_uki,
        lie_about_a_value,
        lie_in_words_that_cannot_be_printed,
        lie_in_words_that_are_no_text,
        add_to_reference_values,
        repeat_a_key_of_reference_values,
        write_reference_values_in_utf16,
        leave_a_file_out_of_the_inventory,
        put_a_firmware_application_beside_the_uki,
        add_a_partition,
    ],
    ids=lambda function: function.__name__,
)
def test_a_good_signature_does_not_make_a_lie_true(
    copy: Copy, keys: Keyring, mistake: Callable[[Copy, Keyring], str]
) -> None:
    expected = mistake(copy, keys)
    copy.sign_digests(keys.release)
    found = problems_of(copy.directory, keys)
    assert_problems(found[:1], expected)


def test_a_release_without_a_verdict_is_refused(copy: Copy, keys: Keyring) -> None:
    lines = (copy.directory / STATEMENTS).read_bytes().splitlines(keepends=True)
    copy.write(STATEMENTS, b"".join(lines[:2]))
    assert_problems(problems_of(copy.directory, keys), f"{STATEMENTS}: no trusted policy-verdict statement")


def _edit_verdict(copy: Copy, keys: Keyring, **changes: Any) -> None:
    def edit(name: str, statement: dict[str, Any]) -> dict[str, Any]:
        return statement | {"predicate": statement["predicate"] | changes} if name == "policy-verdict" else statement

    copy.edit_statements(keys.release, edit)


def test_a_verdict_of_no_is_refused_though_it_is_signed(copy: Copy, keys: Keyring) -> None:
    _edit_verdict(copy, keys, verificationResult="FAILED", verifiedLevels=["FAILED"])
    found = problems_of(copy.directory, keys)
    assert found[0] == "policy verdict: it is FAILED, expected PASSED"
    assert "policy verdict: verificationResult is FAILED, the release gives PASSED" in found


def test_a_verdict_on_another_image_is_refused(copy: Copy, keys: Keyring, other_release: Path) -> None:
    """The whole verdict of another release by the same keys, put on the files of this one."""
    predicate = json.loads(envelope_json.decode_lines((other_release / STATEMENTS).read_bytes())[2].payload)[
        "predicate"
    ]
    _edit_verdict(copy, keys, **predicate)
    found = problems_of(copy.directory, keys)
    for place in ("image", "report"):
        expected = f"policy verdict: https://bedplate.dev/policy-verdict/v1.{place}.digest.sha256 is "
        assert any(problem.startswith(expected) for problem in found), found


def test_a_verdict_by_another_policy_is_refused(copy: Copy, keys: Keyring) -> None:
    """A signer may be talked into asking for less; a verifier is not."""
    copy.write("policy.json", encode(settle(["development"], copy.directory)))
    copy.sign_digests(keys.release)
    found = problems_of(copy.directory, keys)
    assert "policy verdict: the image was not checked by the pack zero-operator-access" in found
    assert any(problem.startswith("policy verdict: policy.digest.sha256 is ") for problem in found)


def test_a_verifier_may_ask_for_more_packs(release: Path, keyring: Path) -> None:
    trust = ("--trust", keyring / "release.pub")
    assert bedplate("verify", release, *trust, "--require-pack", "data-at-rest").status == 0
    shown = bedplate("verify", release, *trust, "--require-pack", "hardened-kernel")
    assert shown.status == 1
    assert shown.problems == ["policy verdict: the image was not checked by the pack hardened-kernel"]
    assert bedplate("verify", release, *trust, "--require-pack", "no-such-pack").status == 2


def test_a_signed_name_that_the_image_does_not_bear_is_told(copy: Copy, keys: Keyring) -> None:
    def older(_name: str, statement: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(statement).replace('"version": "1.0.0"', '"version": "9.9.9"')
        changed: dict[str, Any] = json.loads(text.replace("inference-node_1.0.0", "inference-node_9.9.9"))
        return changed

    for path in sorted(copy.directory.glob("inference-node_*")):
        path.rename(path.with_name(path.name.replace("1.0.0", "9.9.9")))
    copy.edit_statements(keys.release, older)
    found = problems_of(copy.directory, keys)
    assert "reference measurements: image.version is 9.9.9, the image gives 1.0.0" in found


def test_provenance_of_another_image_is_told(copy: Copy, keys: Keyring) -> None:
    def other(name: str, statement: dict[str, Any]) -> dict[str, Any]:
        if name == "provenance":
            statement["predicate"]["buildDefinition"]["externalParameters"]["profile"] = "development"
        return statement

    copy.edit_statements(keys.release, other)
    expected = "provenance: profile is development, the reference measurements say production"
    assert_problems(problems_of(copy.directory, keys), expected)


def test_a_package_that_the_lock_lacks_is_told(copy: Copy, keys: Keyring) -> None:
    def another(name: str, statement: dict[str, Any]) -> dict[str, Any]:
        if name == "provenance":
            stated = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
            stated.append({"uri": "pkg:deb/debian/door@1?arch=amd64", "annotations": {"usedIn": ["toolchain"]}})
        return statement

    copy.edit_statements(keys.release, another)
    expected = "provenance: pkg:deb/debian/door@1?arch=amd64 (toolchain) is not in image.lock"
    assert problems_of(copy.directory, keys) == [expected]


@pytest.mark.parametrize("says_so", [True, False])
def test_a_build_without_a_lock_has_to_say_so(copy: Copy, keys: Keyring, keyring: Path, *, says_so: bool) -> None:
    def unlocked(name: str, statement: dict[str, Any]) -> dict[str, Any]:
        statement["subject"] = [item for item in statement["subject"] if item["name"] not in {LOCK, TREE}]
        if name == "provenance" and says_so:
            statement["predicate"]["buildDefinition"]["internalParameters"]["lock"] = None
        return statement

    for name in (LOCK, TREE):
        (copy.directory / name).unlink()
    copy.edit_statements(keys.release, unlocked)
    shown = bedplate("verify", copy.directory, "--trust", keyring / "release.pub")
    if says_so:
        assert shown.status == 0, shown.stderr
        assert "  packages     built without a lock (--unlocked): which they may be nobody can tell\n" in shown.stdout
    else:
        assert shown.problems == [
            "image.lock: it is missing, and the provenance says that there was a lock",
            "mkosi-tree.tar: it is missing, and the provenance says that there was a lock",
        ]
