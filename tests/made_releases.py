"""Small releases made without mkosi: real statements, inventory, UKI and predictions around made-up files.

The root file system is only its inventory, and the root hash a digest of that; everything from the command line on is
what a real build has: a UKI with an initrd that can be unpacked, signed for Secure Boot, and its predicted PCRs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from builder.baseline.release import release_baseline
from builder.compare.baseline import BesideUki, Partition, PolicyVerdict
from builder.definition.render import RenderedFile, RenderedTree
from builder.definition.tree_archive import pack_tree
from builder.image.binary import BinaryView
from builder.image.initrd import read_initrd
from builder.image.inventory import FileRecord
from builder.image.inventory_file import pack, to_jsonl
from builder.image.pe import attach_signature, authenticode_digest, pad_for_signing
from builder.measurement.configuration import BootConfiguration, Companions, EspFile, SecureBoot, SecureBootMode
from builder.measurement.predict import predict
from builder.measurement.report import reference_values
from builder.release.layout import (
    INVENTORY,
    POLICY,
    POLICY_REPORT,
    REFERENCE_VALUES,
    STATEMENTS,
    TREE,
    Names,
    signature_list,
)
from builder.release.predict import systemd_release
from builder.release.provenance import package_url
from builder.release.statements import (
    PAYLOAD_TYPE,
    PROVENANCE,
    REFERENCE_MEASUREMENTS,
    ImageIdentity,
    ReferenceMeasurements,
    ReferenceValues,
    Subject,
    UkiIdentity,
    encode_statement,
)
from signing import authenticode, dsse, envelope_json, keys, secureboot
from signing.signer import FileSigner
from tests.fact_trees import Content, facts
from tests.uki_builder import Section, build_pe, build_uki, bzimage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builder.compare.baseline import Baseline

SIGNER = FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)
MADE_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MTIME = 1_793_491_200
KERNEL = "6.12.1+deb13-cloud-amd64"


@dataclass(frozen=True)
class File:
    """A file of the root or the initrd."""

    content: bytes = b""
    package: str | None = None
    mode: int = 0o644
    uid: int = 0
    mtime: int = MTIME
    xattrs: tuple[tuple[str, str], ...] = ()


ROOT: Mapping[str, File] = MappingProxyType({
    "/usr/bin/openssl": File(b"openssl 1", "openssl", 0o755),
    "/usr/lib/libssl.so.3": File(b"libssl 1", "openssl"),
    "/usr/lib/os-release": File(b"ID=debian", "base-files"),
    f"/usr/lib/modules/{KERNEL}/kernel/a.ko": File(b"module a", f"linux-image-{KERNEL}"),
    "/usr/lib/systemd/system/inference.service": File(b"[Service]\n"),
    "/etc/hostname": File(b"node"),
})  # fmt: skip
INITRD: Mapping[str, File] = MappingProxyType({
    "/init": File(b"systemd 1", "systemd", 0o755),
    f"/usr/lib/modules/{KERNEL}/kernel/a.ko": File(b"module a"),
})  # fmt: skip
PACKAGES: Mapping[tuple[str, str], str] = MappingProxyType({
    ("root", "base-files"): "13",
    ("root", "openssl"): "3.5.1-1",
    ("root", f"linux-image-{KERNEL}"): "6.12.1-1",
    ("root", "systemd-boot-efi"): "257.13-1~deb13u1",
    ("initrd", "systemd"): "257.13-1~deb13u1",
    ("toolchain", "mkosi"): "25.3-5",
    ("toolchain", "systemd-boot-efi"): "257.13-1~deb13u1",
})  # fmt: skip


@cache
def identity(name: str) -> secureboot.GeneratedIdentity:
    """Secure Boot keys, made once: "one", or others that differ from it in the key of db."""
    if name == "one":
        return secureboot.generate_identity("node", secureboot.owner_guid("node"), MADE_AT)
    files = {file: made.content for file, made in identity("one").files.items()}
    return secureboot.rotate_identity(files, "node", ("db",), MADE_AT)


@cache
def db_signer(name: str) -> FileSigner:
    """What signs UKIs with the db key of an identity."""
    return FileSigner.from_pem(identity(name).files["db.key"].content)


@dataclass(frozen=True)
class Recipe:
    """What a release is made of. ``order`` is that of the initrd's files, by default by path."""

    version: str = "1.0.0"
    root: Mapping[str, File] = field(default_factory=lambda: ROOT)
    initrd: Mapping[str, File] = field(default_factory=lambda: INITRD)
    order: tuple[str, ...] = ()
    packages: Mapping[tuple[str, str], str] = field(default_factory=lambda: PACKAGES)
    arguments: tuple[str, ...] = ("quiet", "panic=30")
    kernel: str = KERNEL
    stub: str = "257.13-1~deb13u1"
    keys: str = "one"
    enrolled: tuple[str, ...] = ("one",)
    definition: str = "11" * 32
    policy: PolicyVerdict | None = None
    tree: Mapping[str, bytes] = field(default_factory=lambda: {"mkosi.conf": b"[Output]\nFormat=disk\n"})
    sections: tuple[tuple[str, bytes], ...] = ()
    addons: Mapping[str, bytes] = field(default_factory=dict)
    image_files: Mapping[str, Content] = field(default_factory=dict)
    partitions: tuple[Partition, ...] = (Partition(1, "esp", str(UUID(int=1)), "esp", 1 << 20, 1 << 20, ""),)

    def but(self, **changes: Any) -> Recipe:
        """The same with other parts."""
        return dataclasses.replace(self, **changes)

    def with_file(self, path: str, area: str = "root", **changes: Any) -> Recipe:
        """The same with one file that is not as it was, or new."""
        files = getattr(self, area)
        return self.but(**{area: {**files, path: dataclasses.replace(files.get(path, File()), **changes)}})

    def with_package(self, name: str, version: str, area: str = "root") -> Recipe:
        """The same with another version of a package."""
        return self.but(packages={**self.packages, (area, name): version})

    @property
    def root_hash(self) -> str:
        """Stands for that of dm-verity: it changes with anything in the root."""
        return hashlib.sha256(to_jsonl(self._records("root"))).hexdigest()

    @property
    def command_line(self) -> str:
        return " ".join((f"roothash={self.root_hash}", *self.arguments))

    def uki(self) -> bytes:
        """The signed UKI."""
        os_release = f"IMAGE_ID=node\nIMAGE_VERSION={self.version}\nVARIANT_ID=production\n".encode()
        sections = {
            ".linux": bzimage(self.kernel),
            ".osrel": os_release,
            ".cmdline": self.command_line.encode(),
            ".initrd": self._archive(),
            ".uname": self.kernel.encode(),
        }
        return self._signed(build_uki((sections | dict(self.sections)).items(), version=self.stub))

    def variables(self) -> dict[str, bytes]:
        """What firmware has enrolled: PK and KEK of the first identity, db of all."""
        first, *others = (identity(name).identity.variables() for name in self.enrolled)
        return {"PK": first["PK"], "KEK": first["KEK"], "db": b"".join(one["db"] for one in (first, *others))}

    def records(self) -> tuple[FileRecord, ...]:
        return (*self._records("initrd"), *self._records("root"))

    def measured(self, uki: bytes, mode: SecureBootMode) -> ReferenceValues:
        """The predicted values of a boot with the addons."""
        variables = self.variables()
        enrolled = {"pk": variables["PK"], "kek": variables["KEK"], "db": variables["db"]}
        state = SecureBoot(mode, **(enrolled if mode is SecureBootMode.ENABLED else {}))
        addons = tuple(
            EspFile(name, self._signed(build_pe([Section(".cmdline", text)]))) for name, text in self.addons.items()
        )
        configuration = BootConfiguration(
            state, systemd_release(self.initrd), os_separator=False, companions=Companions(addons=addons)
        )
        return msgspec.convert(reference_values(predict(uki, configuration)), ReferenceValues)

    def write(self, directory: Path) -> Path:
        """Write the release, without its disk."""
        directory.mkdir(parents=True)
        image = ImageIdentity(name="node", version=self.version, architecture="x86-64", profile="production")
        uki = self.uki()
        modes = (SecureBootMode.ENABLED, SecureBootMode.DISABLED)
        reference = ReferenceMeasurements(
            image=image,
            uki=UkiIdentity(
                stub=self.stub, kernel=self.kernel, command_line=self.command_line, root_hash=self.root_hash
            ),
            reference_values={mode.value: self.measured(uki, mode) for mode in modes},
        )
        names = Names(f"node_{self.version}_x86-64")
        files = {
            names.uki: uki,
            INVENTORY: pack(to_jsonl(self.records())),
            REFERENCE_VALUES: msgspec.json.encode(reference),
            TREE: pack_tree(
                RenderedTree(
                    {
                        PurePosixPath(path): RenderedFile(content, executable=False)
                        for path, content in sorted(self.tree.items())
                    }
                )
            ),
            **{signature_list(name): content for name, content in self.variables().items()},
        }
        if self.policy is not None:
            files[POLICY_REPORT] = policy_report(self.policy)
            if self.policy.demands is not None:
                files[POLICY] = policy_document(self.policy.demands)
        for name, content in files.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(content)
        subjects = tuple(
            Subject(name=name, digest={"sha256": hashlib.sha256(content).hexdigest()})
            for name, content in sorted(files.items())
        )
        statements = (
            encode_statement(REFERENCE_MEASUREMENTS, reference, subjects),
            encode_statement(PROVENANCE, self._provenance(), subjects),
        )
        envelopes = [dsse.sign(PAYLOAD_TYPE, payload, [SIGNER]) for payload in statements]
        (directory / STATEMENTS).write_bytes(envelope_json.encode_lines(envelopes))
        return directory

    def baseline(self, directory: Path) -> Baseline:
        """The release as a comparison takes it, with what only a disk would tell from facts that are made up too."""
        read = release_baseline(self.write(directory), (), images=True)
        made = facts(self.image_files)
        assert made.initrd is not None
        return dataclasses.replace(
            read,
            partitions=self.partitions,
            esp_files=tuple(
                BesideUki(f"/loader/addons/{name}", "addon", hashlib.sha256(text).hexdigest(), text.decode())
                for name, text in self.addons.items()
            ),
            systemd={"root": made.root.systemd.units, "initrd": made.initrd.systemd.units},
            kernels={"root": made.root.kernel, "initrd": made.initrd.kernel},
        )

    def _signed(self, image: bytes) -> bytes:
        unsigned = pad_for_signing(image)
        made = identity(self.keys)
        digest = authenticode_digest(unsigned, "sha256")
        return attach_signature(
            unsigned, authenticode.build(digest, db_signer(self.keys), made.identity.db_certificate)
        )

    def _records(self, area: str) -> tuple[FileRecord, ...]:
        files: Mapping[str, File] = getattr(self, area)
        return tuple(
            FileRecord(
                area=area,  # type: ignore[arg-type]
                path=path,
                type="file",
                mode=file.mode,
                uid=file.uid,
                gid=0,
                size=len(file.content),
                mtime=file.mtime,
                sha256=hashlib.sha256(file.content).hexdigest(),
                xattrs=file.xattrs,
                target=None,
                device=None,
                package=file.package,
                version=None if file.package is None else self.packages.get((area, file.package)),
            )
            for path, file in sorted(files.items())
        )

    def _archive(self) -> bytes:
        """The initrd as a cpio archive of its files and their directories."""
        paths = self.order or tuple(sorted(self.initrd))
        parents = {parent for path in paths for parent in _parents(path)}
        members = [_member(path, 0o040755) for path in sorted(parents)]
        members += [
            _member(path, 0o100000 | self.initrd[path].mode, self.initrd[path].content, self.initrd[path].mtime)
            for path in paths
        ]
        archive = b"".join((*members, _member("TRAILER!!!", 0)))
        read_initrd(BinaryView.of(archive, "initrd"))
        return archive

    def _provenance(self) -> dict[str, Any]:
        used = [
            {
                "uri": package_url(name, version, "amd64"),
                "digest": {"sha256": hashlib.sha256(f"{name} {version}".encode()).hexdigest()},
                "annotations": {"usedIn": [area]},
            }
            for (area, name), version in self.packages.items()
        ]
        return {
            "buildDefinition": {
                "externalParameters": {"definition": {"digest": {"sha256": self.definition}}},
                "resolvedDependencies": used,
            }
        }


def policy_report(verdict: PolicyVerdict) -> bytes:
    """A policy report with what a comparison reads of it."""
    results = [
        {
            "control": control,
            "outcome": outcome,
            "waived": [
                {
                    "waiver": {
                        "subject": "x",
                        "reason": verdict.waivers[control],
                        "owner": "ops",
                        "expires": "2027-01-01",
                    }
                }
            ]
            if control in verdict.waivers
            else [],
        }
        for control, outcome in verdict.outcomes.items()
    ]
    return json.dumps({"passed": verdict.passed, "results": results}).encode()


def policy_document(demands: Mapping[str, str]) -> bytes:
    """A policy with what a comparison reads of it."""
    controls = []
    for control, demand in demands.items():
        parameters = json.loads(demand)
        rule = parameters.pop("rule", None)
        controls.append({"id": control, "parameters": parameters} | ({} if rule is None else {"rule": rule}))
    return json.dumps({"controls": controls}).encode()


def _parents(path: str) -> list[str]:
    parts = path.strip("/").split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _member(path: str, mode: int, body: bytes = b"", mtime: int = MTIME) -> bytes:
    name = path.strip("/").encode() + b"\0"
    values = (0, mode, 0, 0, 1, mtime, len(body), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in values) + name
    return head + bytes(-len(head) % 4) + body + bytes(-len(body) % 4)
