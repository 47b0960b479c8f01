"""A release is built again from what it carries, and comes out bit by bit; what rebuilders say of it is checked."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import mapped, sha256_file
from builder.image.pe import certificates
from builder.mkosi.cache import find_cache
from builder.mkosi.toolchain import Origin
from builder.progress import Silent
from builder.release.keyring import load_trusted
from builder.release.layout import LOCK, Names
from builder.release.rebuild import RebuildRequest, Rebuilt, graft, rebuild
from builder.release.rebuild_statement import require_rebuilders, sign_rebuild
from builder.release.statements import Subject
from builder.release.verify import VerifiedRelease, verify_release
from signing.keys import Algorithm, generate, load_private
from signing.signer import FileSigner
from tests.supplies import shipped_supply

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.integration
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def verified(release: Path, keyring: Path) -> VerifiedRelease:
    return verify_release(release, [load_trusted(keyring / "release.pub")])


@pytest.fixture(scope="module")
def names(verified: VerifiedRelease) -> Names:
    image = verified.reference.image
    return Names.of(image)


@pytest.fixture
def rebuilt(verified: VerifiedRelease, names: Names) -> Rebuilt:
    digest = sha256_file(verified.directory / names.disk)
    return Rebuilt(verified.directory / names.disk, digest, digest, Origin.CACHED)


def signer() -> FileSigner:
    return FileSigner(load_private(generate(Algorithm.ED25519).private_pem))


def test_the_signatures_of_a_release_make_its_disk_of_the_unsigned_one(
    built: Path, release: Path, names: Names, tmp_path: Path
) -> None:
    disk = tmp_path / names.disk
    shutil.copyfile(built / names.disk, disk)
    with mapped(release / names.uki, what="UKI") as view:
        signatures = certificates(view)
    assert sha256_file(disk) != sha256_file(release / names.disk)
    graft(disk, signatures)
    assert sha256_file(disk) == sha256_file(release / names.disk)


def test_a_release_without_a_lock_cannot_be_rebuilt(verified: VerifiedRelease, tmp_path: Path) -> None:
    provenance = {
        "buildDefinition": {
            "externalParameters": {"sourceDateEpoch": 0},
            "internalParameters": {"lock": None, "mkosiTree": {"digest": {"sha256": "0" * 64}}},
        }
    }
    release = dataclasses.replace(verified, provenance=provenance)
    request = RebuildRequest(release, shipped_supply().vault, (), find_cache(os.environ), 60.0)
    with pytest.raises(InvalidInputError, match="was built without a lock"):
        rebuild(request, tmp_path, Silent())


def test_enough_different_rebuilders_are_accepted(verified: VerifiedRelease, rebuilt: Rebuilt) -> None:
    first, second = signer(), signer()
    said = {name: sign_rebuild(verified, rebuilt, "0.1.0", NOW, key) for name, key in (("a", first), ("b", second))}
    keys = [first.public_key, second.public_key]
    found = require_rebuilders(verified, said, keys, 2)
    assert [rebuilder.key_id for rebuilder in found] == sorted(key.key_id for key in keys)


def test_one_rebuilder_counts_once(verified: VerifiedRelease, rebuilt: Rebuilt) -> None:
    key = signer()
    said = {name: sign_rebuild(verified, rebuilt, "0.1.0", NOW, key) for name in ("a", "b")}
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(verified, said, [key.public_key], 2)
    assert caught.value.problems == ("1 of the trusted rebuilders say that they rebuilt it, 2 are needed",)


def test_an_unknown_rebuilder_and_what_is_no_statement_are_refused_by_name(
    verified: VerifiedRelease, rebuilt: Rebuilt
) -> None:
    said = {"unknown": sign_rebuild(verified, rebuilt, "0.1.0", NOW, signer()), "broken": b"{}"}
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(verified, said, [signer().public_key], 1)
    assert [problem.partition(":")[0] for problem in caught.value.problems[:2]] == ["unknown", "broken"]


def test_a_statement_about_another_release_is_refused_even_beside_a_good_one(
    verified: VerifiedRelease, rebuilt: Rebuilt, names: Names
) -> None:
    key = signer()
    files = tuple(
        Subject(file.name, {"sha256": "0" * 64} if file.name == names.disk else file.digest) for file in verified.files
    )
    other = dataclasses.replace(verified, files=files)
    said = {
        "good": sign_rebuild(verified, rebuilt, "0.1.0", NOW, key),
        "other": sign_rebuild(other, dataclasses.replace(rebuilt, digest="0" * 64), "0.1.0", NOW, key),
    }
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(verified, said, [key.public_key], 1)
    assert caught.value.problems == ("other: it is about another disk image",)


def test_the_key_of_the_release_is_no_rebuilder(verified: VerifiedRelease, rebuilt: Rebuilt, keyring: Path) -> None:
    own = FileSigner(load_private((keyring / "release.key").read_bytes()))
    with pytest.raises(InvalidInputError, match=r"signed .* itself, expected the key of an independent rebuilder"):
        sign_rebuild(verified, rebuilt, "0.1.0", NOW, own)
    said = {"own": sign_rebuild(dataclasses.replace(verified, envelopes=()), rebuilt, "0.1.0", NOW, own)}
    with pytest.raises(NotVerifiedError) as caught:
        require_rebuilders(verified, said, [own.public_key], 1)
    assert "which signed the release itself" in caught.value.problems[0]


def test_nobody_signs_that_another_image_came_out(verified: VerifiedRelease, rebuilt: Rebuilt) -> None:
    with pytest.raises(NotVerifiedError, match="the rebuilt image differs"):
        sign_rebuild(verified, dataclasses.replace(rebuilt, digest="0" * 64), "0.1.0", NOW, signer())


def test_the_lock_of_a_release_is_among_its_files(verified: VerifiedRelease) -> None:
    assert LOCK in {file.name for file in verified.files}
