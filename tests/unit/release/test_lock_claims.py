"""Which packages a release says that it has, against its lock."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from builder.definition.lock import ENGINE_PART, ImageLock, Part, encode_lock
from builder.definition.render import RenderedFile, RenderedTree
from builder.definition.tree_archive import pack_tree, tree_digest
from builder.mkosi.manifest import InstalledPackage
from builder.release.layout import LOCK, TREE
from builder.release.lock_claims import check_lock
from builder.release.provenance import provenance
from builder.release.record import BuildRecord, ToolPackage
from builder.release.signed import read_signed
from builder.release.statements import PAYLOAD_TYPE, PROVENANCE, REFERENCE_MEASUREMENTS, VERDICT
from signing import dsse, envelope_json
from tests.debs import lock, row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from builder.definition.lock import LockedPackage
    from signing.signer import FileSigner

    Check = Callable[..., list[str]]
    Edit = Callable[[dict[str, Any]], object]

URL = "pkg:deb/debian/"
ZEROS = "0" * 64
MKOSI_URL = f"{URL}mkosi@25.3?arch=amd64"
LIBC = row(b"libc", "libc6", "2.41", parts=[Part.INITRD, Part.ROOT, Part.TOOLCHAIN])
TOOLS = row(b"tools", "initrd-tools", "1", parts=[Part.INITRD])
KERNEL = row(b"kernel", "linux", "6.12", parts=[Part.ROOT])
MKOSI = row(b"mkosi", "mkosi", "25.3", parts=[Part.TOOLCHAIN])
LLAMA = row(b"llama", "llama.cpp", "1", parts=[ENGINE_PART])
PLAIN = lock(LIBC, TOOLS, KERNEL, MKOSI)
RENDERED = RenderedTree({PurePosixPath("mkosi.conf"): RenderedFile(b"[Distribution]\n", executable=False)})
WITH_ENGINE = replace(
    lock(LIBC, TOOLS, KERNEL, MKOSI, LLAMA), requested={**PLAIN.requested, ENGINE_PART: ("llama.cpp",)}
)


def inputs(of: ImageLock) -> dict[str, bytes]:
    """The files with which a release can be built again."""
    return {LOCK: encode_lock(of), TREE: pack_tree(RENDERED)}


def installed(*packages: LockedPackage) -> tuple[InstalledPackage, ...]:
    return tuple(InstalledPackage(item.name, item.version, item.architecture, item.sha256) for item in packages)


def record(of: ImageLock | None, engine: Sequence[LockedPackage] = ()) -> BuildRecord:
    """What a build says of itself. What is only in the initrd's part is in the root, too, which stands on it."""
    return BuildRecord(
        name="node",
        version="1.0.0",
        architecture="x86-64",
        profile="production",
        stem="node_1.0.0_x86-64",
        inputs="1" * 64,
        definition="2" * 64,
        tree=tree_digest(RENDERED),
        source_date_epoch=1767225600,
        seed=PLAIN.seed,
        bedplate="0.1.0",
        lock=None if of is None else hashlib.sha256(encode_lock(of)).hexdigest(),
        toolchain="4" * 16,
        toolchain_packages=tuple(ToolPackage(item.name, item.version, item.architecture) for item in (LIBC, MKOSI)),
        root_packages=installed(LIBC, TOOLS, KERNEL),
        initrd_packages=installed(LIBC, TOOLS),
        engine_packages=installed(*engine),
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:01:00Z",
        disk="5" * 64,
        policy="6" * 64,
    )


@pytest.fixture
def check(tmp_path: Path, signers: Sequence[FileSigner], make_statement: Callable[..., dict[str, Any]]) -> Check:
    """The problems of a release with these files, whose provenance is that of a record after ``edit``."""

    def run(built: BuildRecord, files: dict[str, bytes], edit: Edit = lambda _: None) -> list[str]:
        stated = copy.deepcopy(provenance(built))
        edit(stated["buildDefinition"])
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        subject = [
            {"name": name, "digest": {"sha256": hashlib.sha256(data).hexdigest()}} for name, data in files.items()
        ]
        subject.append({"name": "node.efi", "digest": {"sha256": ZEROS}})
        statements = [
            make_statement(kind, subject=subject, **({"predicate": stated} if kind == PROVENANCE else {}))
            for kind in (REFERENCE_MEASUREMENTS, PROVENANCE, VERDICT)
        ]
        lines = (dsse.sign(PAYLOAD_TYPE, json.dumps(item).encode(), [signers[0]]) for item in statements)
        signed = read_signed(envelope_json.encode_lines(lines), [signers[0].public_key], 1)
        return list(check_lock(tmp_path, signed))

    return run


def dependency(stated: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in stated["resolvedDependencies"] if f"/{name}@" in item["uri"])
    return found


def without(name: str) -> Edit:
    return lambda stated: stated["resolvedDependencies"].remove(dependency(stated, name))


def changed(name: str, **members: object) -> Edit:
    return lambda stated: dependency(stated, name).update(members)


def outside(**members: object) -> Edit:
    return lambda stated: stated["externalParameters"].update(members)


def another(uri: str, area: str, **members: object) -> Edit:
    entry = {"uri": uri, "annotations": {"usedIn": [area]}, **members}
    return lambda stated: stated["resolvedDependencies"].append(entry)


def test_a_release_of_just_what_its_lock_has_is_accepted(check: Check) -> None:
    assert check(record(PLAIN), inputs(PLAIN)) == []
    assert check(record(WITH_ENGINE, [LLAMA]), inputs(WITH_ENGINE)) == []


def test_a_tool_of_the_lock_need_not_have_been_there(check: Check) -> None:
    fewer = replace(record(PLAIN), toolchain_packages=(ToolPackage("mkosi", "25.3", "amd64"),))
    assert check(fewer, inputs(PLAIN)) == []


def test_a_build_without_a_lock_says_so_and_has_none(check: Check) -> None:
    assert check(record(None), {}) == []
    assert check(record(None), inputs(PLAIN)) == [
        "image.lock: the provenance says that there was no lock",
        "mkosi-tree.tar: the provenance says that there was no lock",
    ]


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (
            another(f"{URL}door@1?arch=amd64", "root", digest={"sha256": ZEROS}),
            f"provenance: {URL}door@1?arch=amd64 (root) is not in image.lock",
        ),
        (
            another(f"{URL}linux@6.12?arch=amd64", "initrd", digest={"sha256": KERNEL.sha256}),
            f"provenance: {URL}linux@6.12?arch=amd64 (initrd) is not in image.lock",
        ),
        (
            another(f"{URL}linux@6.13?arch=amd64", "root", digest={"sha256": KERNEL.sha256}),
            f"provenance: {URL}linux@6.13?arch=amd64 (root) is not in image.lock",
        ),
        (
            another(f"{URL}linux@6.12?arch=arm64", "root", digest={"sha256": KERNEL.sha256}),
            f"provenance: {URL}linux@6.12?arch=arm64 (root) is not in image.lock",
        ),
        (
            another(f"{URL}gcc@14?arch=amd64", "toolchain"),
            f"provenance: {URL}gcc@14?arch=amd64 (toolchain) is not in image.lock",
        ),
        (
            another(MKOSI_URL, "toolchain", digest={"sha256": ZEROS}),
            f"provenance: {MKOSI_URL} (toolchain) has the SHA-256 {ZEROS}, image.lock says {MKOSI.sha256}",
        ),
        (
            another(f"{URL}llama.cpp@1?arch=amd64", "engine", digest={"sha256": LLAMA.sha256}),
            f"provenance: {URL}llama.cpp@1?arch=amd64 (engine) is not in image.lock",
        ),
        (
            another(f"{URL}linux@6.12?arch=amd64", "cellar", digest={"sha256": KERNEL.sha256}),
            f"provenance: {URL}linux@6.12?arch=amd64 is used in cellar, expected root, initrd, engine, toolchain",
        ),
        (
            changed("linux", digest={"sha256": ZEROS}),
            f"provenance: {URL}linux@6.12?arch=amd64 (root) has the SHA-256 {ZEROS}, image.lock says {KERNEL.sha256}",
        ),
        (changed("linux", digest=None), f"provenance: {URL}linux@6.12?arch=amd64 (root) has no SHA-256"),
        (
            without("linux"),
            f"provenance: it does not name {URL}linux@6.12?arch=amd64, which image.lock has for root",
        ),
        (
            changed("initrd-tools", annotations={"usedIn": ["initrd"]}),
            f"provenance: it does not name {URL}initrd-tools@1?arch=amd64, which image.lock has for root",
        ),
        (
            changed("initrd-tools", annotations={"usedIn": ["root"]}),
            f"provenance: it does not name {URL}initrd-tools@1?arch=amd64, which image.lock has for initrd",
        ),
        (outside(seed="0"), f"image.lock: seed is {PLAIN.seed}, the statements say 0"),
        (
            outside(sourceDateEpoch=0),
            "image.lock: source_date is 2026-01-01T00:00:00Z, the statements say 1970-01-01T00:00:00Z",
        ),
        (
            outside(sourceDateEpoch=1 << 62),
            f"image.lock: source_date is 2026-01-01T00:00:00Z, the statements say no date ({1 << 62})",
        ),
        (
            lambda stated: stated["internalParameters"]["lock"]["digest"].update(sha256=ZEROS),
            f"image.lock: its SHA-256 is {record(PLAIN).lock}, the provenance says {ZEROS}",
        ),
        (
            lambda stated: stated["internalParameters"]["mkosiTree"]["digest"].update(sha256=ZEROS),
            f"mkosi-tree.tar: its digest is {record(PLAIN).tree}, the provenance says {ZEROS}",
        ),
    ],
)
def test_what_the_lock_does_not_bear_out_is_told(check: Check, edit: Edit, problem: str) -> None:
    assert check(record(PLAIN), inputs(PLAIN), edit) == [problem]


def test_a_toolchain_of_nothing_is_told(check: Check) -> None:
    assert check(replace(record(PLAIN), toolchain_packages=()), inputs(PLAIN)) == [
        "provenance: it names no package of the toolchain"
    ]


def test_an_engine_that_the_provenance_hides_is_told(check: Check) -> None:
    assert check(record(WITH_ENGINE), inputs(WITH_ENGINE)) == [
        f"provenance: it does not name {URL}llama.cpp@1?arch=amd64, which image.lock has for engine"
    ]


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda stated: stated.pop("internalParameters"), "missing required field `internalParameters`"),
        (lambda stated: stated["internalParameters"].pop("mkosiTree"), "missing required field `mkosiTree`"),
        (lambda stated: stated["internalParameters"].pop("lock"), "missing required field `lock`"),
        (lambda stated: stated["internalParameters"].update(lock={}), "missing required field `digest`"),
        (lambda stated: stated["internalParameters"].update(lock={"digest": {}}), "missing required field `sha256`"),
        (lambda stated: stated.pop("externalParameters"), "missing required field `externalParameters`"),
        (lambda stated: stated.pop("resolvedDependencies"), "missing required field `resolvedDependencies`"),
        (changed("linux", annotations={"usedIn": []}), "Expected `array` of length >= 1"),
        (changed("linux", annotations={}), "missing required field `usedIn`"),
        (changed("linux", digest={"sha256": "A" * 64}), "Expected `str` matching regex"),
        (changed("linux", uri=None), "Expected `str`, got `null`"),
    ],
)
@pytest.mark.parametrize("with_lock", [True, False])
def test_a_provenance_that_does_not_tell_is_refused(check: Check, edit: Edit, problem: str, *, with_lock: bool) -> None:
    built = record(PLAIN if with_lock else None)
    (found,) = check(built, inputs(PLAIN) if with_lock else {}, edit)
    assert found.startswith("provenance: ")
    assert problem in found


@pytest.mark.parametrize("name", [LOCK, TREE])
def test_an_input_that_is_not_there_is_told(check: Check, name: str) -> None:
    files = inputs(PLAIN)
    del files[name]
    assert check(record(PLAIN), files) == [f"{name}: it is missing, and the provenance says that there was a lock"]


@pytest.mark.parametrize("content", [b"", b"no archive", pack_tree(RENDERED) + b"\0"])
def test_a_tree_that_is_none_is_told(check: Check, content: bytes) -> None:
    (found,) = check(record(PLAIN), inputs(PLAIN) | {TREE: content})
    assert found.startswith("mkosi-tree.tar is no archive of a mkosi tree")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{}", "image.lock is no lock"),
        (encode_lock(replace(PLAIN, image="other")), "image.lock: image is other, the statements say node"),
    ],
)
def test_a_lock_that_is_none_or_another_s_is_told(check: Check, content: bytes, problem: str) -> None:
    found = check(record(PLAIN), inputs(PLAIN) | {LOCK: content})
    assert any(line.startswith(problem) for line in found), found


def test_of_many_problems_the_first_are_told(check: Check) -> None:
    packages = tuple(row(b"x", f"package{number}", "1") for number in range(30))
    other = lock(LIBC, TOOLS, KERNEL, MKOSI, *packages)
    found = check(record(other), inputs(other))
    assert len(found) == 21
    assert found[-1] == "image.lock: 10 more problems"
