"""A release directory, or its statements and inventory alone, as a baseline."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from builder.baseline.statements import UNSIGNED, UNVERIFIED, Stated, build_inputs, dependencies, read_stated
from builder.baseline.verdict import read_verdict
from builder.compare.baseline import OUTSIDE, Baseline, InstalledPackage, Outside, Source, Unknown
from builder.compare.entries import read_entries
from builder.definition.render import RenderedFile, RenderedLink
from builder.definition.tree_archive import MAX_ARCHIVE_BYTES, unpack_tree
from builder.errors import InvalidInputError, NotVerifiedError
from builder.files import mapped, read_bytes, sha256_file
from builder.image.inventory_file import unpack
from builder.release.layout import (
    INVENTORY,
    LOCK,
    MAX_RECORD_BYTES,
    MAX_SIGNATURE_LIST_BYTES,
    MAX_STATEMENTS_BYTES,
    POLICY,
    POLICY_REPORT,
    STATEMENTS,
    TREE,
    VARIABLES,
    Names,
    signature_list,
)
from builder.release.measurements import read_measurements
from builder.release.statements import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from builder.baseline.image import DiskParts, UkiParts
    from builder.compare.baseline import Part, PolicyVerdict, Role
    from builder.compare.entries import Entry
    from signing.keys import PublicKey

_VERDICT_FILES: Final = {POLICY_REPORT: "policy report", POLICY: "policy"}


@dataclass(frozen=True, slots=True)
class _Directory:
    """A release's files, which are those of the statements or not a release's at all."""

    path: Path
    stated: Stated
    trusted: bool

    def check(self, name: str, digest: str) -> None:
        """Refuse a file that has not the digest that the statements have of it."""
        expected = self.stated.subjects.get(name)
        if expected != digest:
            problem = f"{name}: SHA-256 is {digest}, the statements say {expected or 'nothing of it'}"
            if self.trusted:
                raise NotVerifiedError(f"{self.path} is not what was signed", (problem,))
            raise InvalidInputError(f"{self.path} is no whole release: {problem}")

    def read(self, name: str, what: str, limit: int) -> bytes | None:
        """The checked content of a file, None if it is not there."""
        if not (self.path / name).exists():
            return None
        data = read_bytes(self.path / name, what=what, limit=limit)
        self.check(name, hashlib.sha256(data).hexdigest())
        return data


def release_baseline(path: Path, trusted: Sequence[PublicKey], *, images: bool) -> Baseline:
    """A release from its directory; without ``images`` disk and UKI stay closed, whether they are there or not.

    Every file that is read must have the digest that the statements have of it. Raises NotVerifiedError if keys are
    given and did not sign, InvalidInputError for what is no release.
    """
    directory = path if path.is_dir() else path.parent
    data = read_bytes(directory / STATEMENTS, what="release statements", limit=MAX_STATEMENTS_BYTES)
    stated = read_stated(data, trusted, str(directory / STATEMENTS))
    release = _Directory(directory, stated, bool(trusted))
    image = stated.reference.image
    names = Names.of(image)
    uki, disk = _images(release, names) if images else (None, None)
    closed = Unknown("its image was not read" if images else "images were not to be read")
    return Baseline(
        source=Source(
            "release" if path.is_dir() else "statements",
            str(path),
            stated.key_ids,
            statements=hashlib.sha256(data).hexdigest(),
            finished=None if stated.provenance is None else stated.provenance.run_details.metadata.finished_on,
        ),
        identity=image,
        uki=stated.reference.uki,
        measured=stated.reference.reference_values,
        files=_files(release),
        inputs=build_inputs(stated.provenance),
        tree=_tree(release),
        packages=_packages(release),
        toolchain=dependencies(stated.provenance, toolchain=True),
        artifacts=_artifacts(stated, names),
        stub=closed if uki is None else uki.stub,
        uki_signature=closed if uki is None else uki.uki_signature,
        variables=_variables(release),
        packing=closed if uki is None else uki.packing,
        partitions=closed if disk is None else disk.partitions,
        esp_files=closed if disk is None else disk.esp_files,
        systemd=closed if disk is None else disk.systemd,
        kernels=closed if disk is None else disk.kernels,
        verdict=_verdict(release),
        signers=stated.named,
        remarks=() if stated.key_ids else (UNVERIFIED,),
    )


def values_baseline(path: Path) -> Baseline:
    """``reference-values.json`` with, beside it, the inventory of the same image. Raises InvalidInputError."""
    data = read_bytes(path, what="reference values", limit=MAX_RECORD_BYTES)
    reference = read_measurements(read_json(data, what=str(path)), what=str(path))
    inventory = path.with_name(INVENTORY)
    files: Part[tuple[Entry, ...]] = Unknown(f"there is no {INVENTORY} beside {path.name}")
    if inventory.exists():
        files = read_entries(unpack(read_bytes(inventory, what="inventory", limit=MAX_STATEMENTS_BYTES)))
    alone = Unknown("reference values do not tell")
    return Baseline(
        source=Source("reference values", str(path)),
        identity=reference.image,
        uki=reference.uki,
        measured=reference.reference_values,
        files=files,
        stub=alone,
        uki_signature=alone,
        variables=alone,
        packing=alone,
        partitions=alone,
        esp_files=alone,
        systemd=alone,
        kernels=alone,
        remarks=(UNSIGNED,),
    )


def _artifacts(stated: Stated, names: Names) -> dict[Role, str]:
    named: dict[Role, str] = {
        "disk": names.disk,
        "uki": names.uki,
        "root": names.root,
        "root-verity": names.root_verity,
        "inventory": INVENTORY,
        "tree": TREE,
    }
    return {role: stated.subjects[name] for role, name in named.items() if name in stated.subjects}


def _packages(release: _Directory) -> Part[tuple[InstalledPackage, ...]]:
    """The packages of the provenance, and what the lock, if there is one, says of their archive."""
    packages = dependencies(release.stated.provenance, toolchain=False)
    data = release.read(LOCK, "lock", MAX_RECORD_BYTES)
    if data is None or isinstance(packages, Unknown | Outside):
        return packages
    from builder.definition.lock import decode_lock  # noqa: PLC0415 -- most comparisons of made releases have none

    lock = decode_lock(data, str(release.path / LOCK))
    secure = {package.sha256 for package in lock.packages if lock.is_security(package)}
    return tuple(replace(package, is_security=package.sha256 in secure) for package in packages)


def _files(release: _Directory) -> Part[tuple[Entry, ...]]:
    data = release.read(INVENTORY, "inventory", MAX_STATEMENTS_BYTES)
    return Unknown(f"there is no {INVENTORY}") if data is None else read_entries(unpack(data))


def _variables(release: _Directory) -> Part[Mapping[str, bytes]]:
    stated = {name: signature_list(name) for name in VARIABLES if signature_list(name) in release.stated.subjects}
    found: dict[str, bytes] = {}
    for variable, name in stated.items():
        data = release.read(name, "signature list", MAX_SIGNATURE_LIST_BYTES)
        if data is None:
            return Unknown(f"{name} is missing")
        found[variable] = data
    return found or OUTSIDE


def _verdict(release: _Directory) -> PolicyVerdict | Unknown | None:
    files = {name: release.read(name, what, MAX_STATEMENTS_BYTES) for name, what in _VERDICT_FILES.items()}
    for name, data in files.items():
        if data is None and name in release.stated.subjects:
            return Unknown(f"{name} is missing")
    report = files[POLICY_REPORT]
    return None if report is None else read_verdict(report, files[POLICY], str(release.path))


def _tree(release: _Directory) -> Part[Mapping[str, str]]:
    """The files of the mkosi tree. Raises InvalidInputError if they are not as bedplate packs them."""
    if TREE not in release.stated.subjects:
        return OUTSIDE
    data = release.read(TREE, "mkosi tree", MAX_ARCHIVE_BYTES)
    if data is None:
        return Unknown(f"{TREE} is missing")
    tree = unpack_tree(data, str(release.path / TREE))
    return {str(path): _build_file(entry) for path, entry in tree.entries.items()}


def _build_file(entry: RenderedFile | RenderedLink) -> str:
    if isinstance(entry, RenderedLink):
        return f"link to {entry.target}"
    return f"{'executable' if entry.executable else 'file'} {hashlib.sha256(entry.content).hexdigest()}"


def _images(release: _Directory, names: Names) -> tuple[UkiParts | None, DiskParts | None]:
    """What the disk tells, or the UKI alone where the disk is not at hand."""
    from builder.baseline.image import open_image, read_disk_parts, read_uki_file, read_uki_parts  # noqa: PLC0415

    if (disk := release.path / names.disk).exists():
        release.check(names.disk, sha256_file(disk))
        with mapped(disk, what="disk image") as view:
            image = open_image(view)
            return read_uki_parts(image.uki_file, image.initrd), read_disk_parts(image)
    if (uki := release.path / names.uki).exists():
        release.check(names.uki, sha256_file(uki))
        with mapped(uki, what="UKI") as view:
            return read_uki_file(view), None
    return None, None
