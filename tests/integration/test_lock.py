"""`bedplate lock` on this machine's archive, and the verbs that keep what a lock names."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.definition.load import load
from builder.definition.lock import ImageLock, LockedPackage, Part, load_lock, read_lock
from builder.definition.mirror import find_mirror
from builder.errors import InvalidInputError
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.release.lock import LockRequest, NewLock, make_lock, write_lock
from builder.vault.places import archive_sources
from builder.vault.store import Vault
from tests.debs import deb, row
from tests.debs import lock as lock_of
from tests.releases import bedplate
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration


def request(old: ImageLock | None = None, update: tuple[str, ...] | None = None) -> LockRequest:
    mirror = find_mirror(None, os.environ, None)
    assert mirror is not None, "there is no Debian archive to choose from: set BEDPLATE_MIRROR"
    # As the verb does: each package that stays is looked for in the archive that the old lock has it from.
    sources = [] if old is None else archive_sources(old, mirror, None)
    return LockRequest(load(IMAGE), mirror, find_cache(os.environ), shipped_supply().vault, sources, old, update)


def key(package: LockedPackage) -> tuple[str, tuple[Part, ...]]:
    return package.name, package.parts


@pytest.fixture(scope="module")
def made(toolchain: Toolchain) -> ImageLock:
    return make_lock(request(), Silent()).lock


def test_the_archive_gives_every_part_with_what_it_depends_on(made: ImageLock, tmp_path: Path) -> None:
    names = {part: {package.name for package in made.of(part)} for part in Part}
    # In all of them, by dependency only: what apt says of it has more words than of others.
    assert all("libc6" in names[part] for part in Part)
    assert "linux-image-cloud-amd64" in names[Part.ROOT] - names[Part.INITRD]
    assert "mkosi" in names[Part.TOOLCHAIN] - names[Part.ROOT]
    assert all(len(state.signed_by) >= 1 for state in made.archives)
    write_lock(made, tmp_path / "image.lock")
    assert read_lock(tmp_path / "image.lock") == made


def test_the_shipped_lock_is_of_the_same_packages(made: ImageLock) -> None:
    """Whatever their versions are by now: the definition has not moved away from its lock."""
    shipped = load_lock(IMAGE)
    assert shipped.requested == {part: tuple(sorted(names)) for part, names in made.requested.items()}


def test_an_update_of_one_package_keeps_all_others(made: ImageLock) -> None:
    again = make_lock(request(made, ("base-files",)), Silent())
    assert again == NewLock(made, ())


def test_an_update_keeps_versions_that_the_archive_has_no_more(made: ImageLock) -> None:
    content = deb("ncurses-base", "1", "all", "Essential: yes\n")
    (newest,) = (package for package in made.of(Part.ROOT) if package.name == "ncurses-base")
    old = msgspec.structs.replace(
        newest, version="1", size=len(content), sha256=row(content).sha256, path="pool/old/ncurses-base_1_all.deb"
    )
    shipped_supply().vault.add([content], old.sha256, old.size, "ncurses-base")
    packages = tuple(old if package is newest else package for package in made.packages)
    locked = msgspec.structs.replace(made, packages=tuple(sorted(packages)))
    try:
        assert make_lock(request(locked, ("base-files",)), Silent()) == NewLock(locked, ())
        updated = make_lock(request(locked, ("ncurses-base",)), Silent())
        assert updated.lock == made
        assert [(change.package, change.old, change.new) for change in updated.changes] == [
            ("ncurses-base", "1", newest.version)
        ]
        assert make_lock(request(locked), Silent()) == updated
    finally:
        shipped_supply().vault.place(old.sha256).unlink()


def test_an_update_of_what_is_not_locked_is_refused(made: ImageLock) -> None:
    with pytest.raises(InvalidInputError, match="there is no package no-such-package in the lock"):
        make_lock(request(made, ("no-such-package",)), Silent())


def test_an_archive_for_a_part_that_is_not_there_is_refused(tmp_path: Path) -> None:
    shutil.copytree(IMAGE.parent, tmp_path / "images")
    definition = tmp_path / "images/inference-node/image.yaml"
    line = "      suite: trixie-security\n"
    definition.write_text(definition.read_text().replace(line, f"{line}      parts: [root, motor]\n"))
    asked = dataclasses.replace(request(), loaded=load(definition))
    with pytest.raises(InvalidInputError, match="the archive security is for motor, which is no part of this image"):
        make_lock(asked, Silent())


def test_without_an_archive_nothing_is_locked() -> None:
    asked = LockRequest(load(IMAGE), None, find_cache(os.environ), shipped_supply().vault, [])
    with pytest.raises(InvalidInputError, match="no Debian archive is known to choose packages from"):
        make_lock(asked, Silent())


def test_a_check_tells_what_is_newer_and_writes_nothing(made: ImageLock, tmp_path: Path) -> None:
    shutil.copytree(IMAGE.parent, tmp_path / "images")
    (newest,) = (package for package in made.of(Part.ROOT) if package.name == "ncurses-base")
    older = msgspec.structs.replace(newest, version="1", sha256="0" * 64)
    packages = tuple(sorted(older if package is newest else package for package in made.packages))
    path = tmp_path / "images/inference-node/image.lock"
    write_lock(msgspec.structs.replace(made, packages=packages), path)
    before = path.read_bytes()
    shown = bedplate("lock", path.parent, "--check", "--format", "json")
    assert shown.status == 1, shown.stderr
    told = json.loads(shown.stdout)
    assert told["changed"] == [
        {
            "package": "ncurses-base",
            "architecture": "all",
            "parts": list(newest.parts),
            "old": "1",
            "new": newest.version,
            "archive": "debian",
            "security": False,
        }
    ]
    assert [state["name"] for state in told["archives"]] == ["debian", "security", "engine"]
    text = bedplate("lock", path.parent, "--check")
    assert text.status == 1
    assert "ncurses-base:all" in text.stdout
    assert "1 changes, 0 of them security updates" in text.stderr
    assert path.read_bytes() == before


def test_a_definition_without_a_lock_is_not_built(tmp_path: Path) -> None:
    shutil.copytree(IMAGE.parent, tmp_path / "images")
    (tmp_path / "images/inference-node/image.lock").unlink()
    shown = bedplate("build", tmp_path / "images/inference-node", "-o", tmp_path / "dist")
    assert shown.status == 2
    assert "has no image.lock, which says what to build from" in shown.stderr
    assert "--unlocked" in shown.stderr
    assert not (tmp_path / "dist").exists()


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Path]:
    """A vault of three packages, and a lock that names them."""
    contents = {part: deb(part.value) for part in Part}
    rows = [row(content, part.value, parts=[part]) for part, content in contents.items()]
    vault = Vault(tmp_path / "vault")
    for package, content in zip(rows, contents.values(), strict=True):
        vault.add([content], package.sha256, package.size, package.name)
    write_lock(lock_of(*rows), tmp_path / "image.lock")
    return vault.directory, tmp_path / "image.lock"


def test_a_vault_is_exported_verified_imported_and_collected(kept: tuple[Path, Path], tmp_path: Path) -> None:
    vault, lock = kept
    assert bedplate("vault", "export", lock, "-o", tmp_path / "out", "--vault", vault).status == 0
    shown = bedplate("vault", "verify", lock, "--vault", tmp_path / "out", "--format", "json")
    assert (shown.status, json.loads(shown.stdout)["verified"]["files"]) == (0, 3)
    again = bedplate("vault", "import", lock, "--from", tmp_path / "out", "--vault", tmp_path / "third")
    assert again.stdout.startswith("imported 3 files, ")
    assert bedplate("vault", "gc", lock, "--vault", vault).stdout == "deleted 0 files, 0.0 MB\n"


def test_a_changed_file_of_a_vault_is_a_no(kept: tuple[Path, Path]) -> None:
    vault, lock = kept
    next(path for path in (vault / "sha256").rglob("*") if path.is_file()).write_bytes(b"changed")
    assert bedplate("vault", "verify", lock, "--vault", vault).status == 1


def test_an_empty_vault_is_a_no(kept: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert bedplate("vault", "verify", kept[1], "--vault", tmp_path / "empty").status == 1
    assert bedplate("vault", "verify", "--vault", tmp_path / "empty").status == 1


def test_a_vault_that_is_not_there_is_no_vault(kept: tuple[Path, Path], tmp_path: Path) -> None:
    shown = bedplate("vault", "verify", kept[1], "--vault", tmp_path / "nothing")
    assert (shown.status, shown.stderr.splitlines()[0]) == (2, f"error: there is no vault {tmp_path / 'nothing'}")
    assert not (tmp_path / "nothing").exists()


def test_collecting_needs_a_lock(kept: tuple[Path, Path]) -> None:
    assert bedplate("vault", "gc", "--vault", kept[0]).status == 2


def test_demanding_rebuilders_needs_their_keys(release: Path, keyring: Path) -> None:
    trust = ("--trust", keyring / "release.pub")
    assert bedplate("verify", release, *trust, "--rebuilders", "1").status == 2
    assert bedplate("verify", release, *trust, "--trust-rebuilder", keyring / "release.pub").status == 2
    shown = bedplate("verify", release, *trust, "--rebuilders", "1", "--trust-rebuilder", keyring / "release.pub")
    assert shown.status == 1
    assert "0 of the trusted rebuilders say that they rebuilt it, 1 are needed" in shown.stderr


def test_a_rebuild_that_attests_needs_a_place_for_it(release: Path, keyring: Path) -> None:
    shown = bedplate("rebuild", release, "--trust", keyring / "release.pub", "--attest", keyring / "release.key")
    assert shown.status == 2
    assert "--attest KEY and --output FILE go together" in shown.stderr
