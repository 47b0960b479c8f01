"""SLSA provenance v1 of a release, made from its build record (https://slsa.dev/spec/v1.0/provenance)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from builder.release.statements import BUILD_TYPE, BUILDER_ID

if TYPE_CHECKING:
    from builder.release.record import BuildRecord


def provenance(record: BuildRecord) -> dict[str, Any]:
    """The predicate: the definition that was asked for, and every Debian package of image, initrd and toolchain."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "name": record.name,
                "version": record.version,
                "architecture": record.architecture,
                "profile": record.profile,
                "definition": {"digest": {"sha256": record.definition}},
                "policy": {"digest": {"sha256": record.policy}},
                "sourceDateEpoch": record.source_date_epoch,
                "seed": record.seed,
            },
            "internalParameters": {
                "mkosiTree": {"digest": {"sha256": record.tree}},
                "toolchain": record.toolchain,
                "lock": None if record.lock is None else {"digest": {"sha256": record.lock}},
                "layers": [
                    {
                        "name": layer.layer,
                        "inputs": {"digest": {"sha256": layer.inputs}},
                        "files": [
                            {"name": name, "digest": {"sha256": layer.files[name]}} for name in sorted(layer.files)
                        ],
                        "fromCache": not layer.because,
                    }
                    for layer in record.layers
                ],
            },
            "resolvedDependencies": _dependencies(record),
        },
        "runDetails": {
            "builder": {"id": BUILDER_ID, "version": {"bedplate": record.bedplate}},
            "metadata": {"startedOn": record.started, "finishedOn": record.finished},
            "byproducts": [{"name": "unsigned disk image", "digest": {"sha256": record.disk}}],
        },
    }


def package_url(name: str, version: str, architecture: str) -> str:
    """The package URL of a Debian package (https://github.com/package-url/purl-spec, type deb)."""
    return f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={quote(architecture, safe='')}"


def _dependencies(record: BuildRecord) -> list[dict[str, Any]]:
    areas: dict[tuple[str, str], list[str]] = {}
    for area, packages in (
        ("root", record.root_packages),
        ("initrd", record.initrd_packages),
        ("engine", record.engine_packages),
    ):
        for package in packages:
            url = package_url(package.name, package.version, package.architecture)
            areas.setdefault((url, package.sha256), []).append(area)
    image = [
        {"uri": url, "digest": {"sha256": digest}, "annotations": {"usedIn": used}}
        for (url, digest), used in sorted(areas.items())
    ]
    # The toolchain's .deb files are not kept, so these have a version and no digest.
    tools = [
        {"uri": package_url(tool.name, tool.version, tool.architecture), "annotations": {"usedIn": ["toolchain"]}}
        for tool in record.toolchain_packages
    ]
    return image + tools
