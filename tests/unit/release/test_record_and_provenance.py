from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.errors import InvalidInputError
from builder.mkosi.layer_store import LayerUse
from builder.mkosi.manifest import InstalledPackage
from builder.release.provenance import provenance
from builder.release.record import BuildRecord, ToolPackage, encode_record, load_record

if TYPE_CHECKING:
    from pathlib import Path

RECORD = BuildRecord(
    name="node",
    version="1.0.0",
    architecture="x86-64",
    profile="production",
    stem="node_1.0.0_x86-64",
    inputs="1" * 64,
    definition="2" * 64,
    tree="3" * 64,
    source_date_epoch=1,
    seed="5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31",
    bedplate="0.1.0",
    lock=None,
    toolchain="4" * 16,
    toolchain_packages=(ToolPackage("mkosi", "25.3-6", "all"),),
    root_packages=(
        InstalledPackage("libc6", "2.41-12", "amd64", "a" * 64),
        InstalledPackage("tzdata", "2025b-4", "all", "b" * 64),
    ),
    initrd_packages=(InstalledPackage("libc6", "2.41-12", "amd64", "a" * 64),),
    started="2026-01-01T00:00:00Z",
    finished="2026-01-01T00:01:00Z",
    disk="5" * 64,
    policy="6" * 64,
)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_bytes(encode_record(RECORD))
    assert load_record(tmp_path) == RECORD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"x": ' + b"[" * 100_000,
        encode_record(RECORD)[:-10],
        encode_record(RECORD).replace(b'"stem"', b'"stern"'),
    ],
)
def test_what_is_no_record_is_refused_with_its_path(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "build.json").write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"build.json is no build record: ") as caught:
        load_record(tmp_path)
    assert caught.value.hint == "`bedplate build` writes one"


def test_a_directory_without_a_record_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"is no unsigned build: it has no build.json"):
        load_record(tmp_path)


def test_provenance_says_which_layers_were_taken_from_the_cache() -> None:
    layers = tuple(
        LayerUse(layer=name, inputs=digit * 64, files={f"{name}.tar": digit * 64}, because=because)
        for name, digit, because in (("base", "7", ""), ("packages", "8", "package engine is new"))
    )
    stated = provenance(msgspec.structs.replace(RECORD, layers=layers))["buildDefinition"]["internalParameters"]
    assert [(layer["name"], layer["fromCache"]) for layer in stated["layers"]] == [("base", True), ("packages", False)]
    assert stated["layers"][1]["files"] == [{"name": "packages.tar", "digest": {"sha256": "8" * 64}}]


def test_provenance_names_a_package_once_with_all_that_it_is_used_in() -> None:
    assert provenance(RECORD)["buildDefinition"]["resolvedDependencies"] == [
        {
            "uri": "pkg:deb/debian/libc6@2.41-12?arch=amd64",
            "digest": {"sha256": "a" * 64},
            "annotations": {"usedIn": ["root", "initrd"]},
        },
        {
            "uri": "pkg:deb/debian/tzdata@2025b-4?arch=all",
            "digest": {"sha256": "b" * 64},
            "annotations": {"usedIn": ["root"]},
        },
        {"uri": "pkg:deb/debian/mkosi@25.3-6?arch=all", "annotations": {"usedIn": ["toolchain"]}},
    ]


def test_provenance_says_what_was_asked_for_and_what_came_of_it() -> None:
    predicate = provenance(RECORD)
    asked = predicate["buildDefinition"]["externalParameters"]
    assert (asked["name"], asked["profile"], asked["definition"]) == (
        "node",
        "production",
        {"digest": {"sha256": "2" * 64}},
    )
    assert asked["policy"] == {"digest": {"sha256": "6" * 64}}
    assert predicate["runDetails"]["byproducts"] == [{"name": "unsigned disk image", "digest": {"sha256": "5" * 64}}]
    assert predicate["runDetails"]["metadata"]["finishedOn"] == "2026-01-01T00:01:00Z"


def test_one_package_from_two_files_is_told_as_two() -> None:
    other = InstalledPackage("libc6", "2.41-12", "amd64", "c" * 64)
    record = msgspec.structs.replace(RECORD, initrd_packages=(other,))
    urls = [entry["uri"] for entry in provenance(record)["buildDefinition"]["resolvedDependencies"]]
    assert urls.count("pkg:deb/debian/libc6@2.41-12?arch=amd64") == 2
