"""Build a release again from what it carries, and see whether the published image comes out, bit by bit.

A build has no keys, so the release's own signatures are put onto the rebuilt UKI. They cover nothing that they were not
made for: a UKI that differs anywhere else leaves a disk that differs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from builder.definition.lock import decode_lock
from builder.definition.tree_archive import MAX_ARCHIVE_BYTES, tree_digest, unpack_tree
from builder.errors import InvalidInputError
from builder.files import mapped, read_bytes, require_free, sha256_file
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, read_system_partition, replace_uki
from builder.image.pe import attach_signature, certificates, pad_for_signing
from builder.release.layout import LOCK, TREE, Names
from builder.release.make import Recipe, make_image
from builder.vault.supply import Supply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.mkosi.cache import Cache
    from builder.mkosi.toolchain import Origin
    from builder.progress import Reporter
    from builder.release.verify import VerifiedRelease
    from builder.vault.fetch import Source
    from builder.vault.store import Vault

_NEEDED_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class RebuildRequest:
    """What to rebuild, and from where; mkosi may take ``timeout`` seconds."""

    release: VerifiedRelease
    vault: Vault
    sources: Sequence[Source]
    cache: Cache
    timeout: float


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A rebuilt disk image with the release's signatures on it, and the digests (SHA-256, hex) of both images.

    ``published`` is the one that was signed; ``toolchain`` says where the tools were from.
    """

    disk: Path
    digest: str
    published: str
    toolchain: Origin

    @property
    def is_identical(self) -> bool:
        """Whether the rebuilt image is the published one, bit by bit."""
        return self.digest == self.published


def rebuild(request: RebuildRequest, directory: Path, reporter: Reporter) -> Rebuilt:
    """Rebuild a verified release in ``directory``, which is there and empty, and graft its signatures on.

    Raises InvalidInputError if the release was built without a lock or carries another lock or tree than the one it was
    built from, and what ``make_image`` raises.
    """
    release = request.release
    recipe = _recipe(request)
    require_free(directory, _NEEDED_BYTES, what="the rebuild")
    made = make_image(recipe, directory, request.cache, request.timeout, reporter)
    names = Names(recipe.stem)
    with reporter.stage("graft the signatures"):
        signed = read_bytes(release.directory / names.uki, what="UKI", limit=MAX_ARCHIVE_BYTES)
        graft(made.disk, certificates(signed))
    with reporter.stage("compare"):
        published = release.file(names.disk).digest["sha256"]
        return Rebuilt(made.disk, sha256_file(made.disk), published, made.toolchain.origin)


def graft(disk: Path, signatures: Sequence[bytes]) -> None:
    """Put Authenticode signatures (PKCS #7, DER) onto the UKI of an unsigned disk image, as `bedplate sign` does."""
    with mapped(disk, what="disk image") as view:
        uki = pad_for_signing(read_system_partition(read_disk(BinaryView.of(view, "disk image"))).uki_content())
    for signature in signatures:
        uki = attach_signature(uki, signature)
    with disk.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        with memoryview(mapping) as writable:
            replace_uki(writable, uki)
        mapping.flush()


def _recipe(request: RebuildRequest) -> Recipe:
    release = request.release
    stated = _stated(release.provenance)
    if stated.lock is None:
        raise InvalidInputError(
            f"{release.directory} was built without a lock, so nobody knows from which packages",
            hint="make releases from builds without --unlocked",
        )
    lock = read_bytes(release.directory / LOCK, what="lock", limit=MAX_ARCHIVE_BYTES)
    supply = Supply(decode_lock(lock, LOCK), request.vault, request.sources)
    tree = unpack_tree(read_bytes(release.directory / TREE, what="mkosi tree", limit=MAX_ARCHIVE_BYTES), TREE)
    for name, found, expected in (
        (LOCK, hashlib.sha256(lock).hexdigest(), stated.lock),
        (TREE, tree_digest(tree), stated.tree),
    ):
        if found != expected:
            raise InvalidInputError(
                f"{release.directory / name} is not what the provenance names: its digest is {found}, not {expected}"
            )
    return Recipe(Names.of(release.reference.image).stem, tree, supply, None, stated.source_date)


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a provenance says of the inputs."""

    lock: str | None
    tree: str
    source_date: dt.datetime


def _stated(provenance: dict[str, Any]) -> _Stated:
    try:
        definition = provenance["buildDefinition"]
        inside = definition["internalParameters"]
        lock = inside["lock"]
        return _Stated(
            lock=None if lock is None else lock["digest"]["sha256"],
            tree=inside["mkosiTree"]["digest"]["sha256"],
            source_date=dt.datetime.fromtimestamp(definition["externalParameters"]["sourceDateEpoch"], dt.UTC),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError(f"the provenance does not say what was built from: {error!r}") from error
