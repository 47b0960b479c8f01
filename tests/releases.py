"""Releases for tests: copies to tamper with, statements signed anew, builds with another UKI, and the real command."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import mmap
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from builder.definition.load import load
from builder.definition.model import DEFAULT_PACKS, Profile
from builder.files import mapped, sha256_file
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, read_system_partition, replace_uki
from builder.image.uki import read_uki
from builder.release.layout import BUILD_RECORD, LOCK, POLICY, STATEMENTS, TREE, Names
from builder.release.record import encode_record, load_record
from builder.release.statements import PAYLOAD_TYPE, SHORT_NAMES
from policies.policy import encode as encode_policy
from policies.policy import settle
from signing import dsse, envelope_json
from tests.supplies import IMAGE
from tests.uki_builder import Section, append_sections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from builder.mkosi.toolchain import Toolchain
    from builder.release.record import BuildRecord
    from policies.policy import Policy
    from signing.signer import Signer

STEM = "inference-node_1.0.0_x86-64"
NAMES = Names(STEM)
STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
# The sections that mkosi puts into a UKI, in its order.
SECTIONS = (".osrel", ".cmdline", ".uname", ".initrd", ".linux")


@dataclass(frozen=True)
class Copy:
    """A copy of a release that shares its files until they are changed, so that the original never is."""

    directory: Path

    @classmethod
    def of(cls, release: Path, directory: Path) -> Copy:
        shutil.copytree(release, directory, copy_function=os.link)
        return cls(directory)

    def write(self, name: str, content: bytes) -> None:
        path = self.directory / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    def flip(self, name: str, offset: int) -> None:
        """Flip the lowest bit of one byte."""
        self.open_up(name)
        with (self.directory / name).open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
            view[offset] ^= 1

    def open_up(self, name: str) -> Path:
        """Make the file one of our own."""
        path = self.directory / name
        own = path.with_name(".own")
        shutil.copyfile(path, own)
        own.rename(path)
        return path

    def edit_uki(self, edit: Callable[[bytes], bytes]) -> None:
        """Replace the UKI in the disk's system partition."""
        with self.open_up(NAMES.disk).open("r+b") as file, mmap.mmap(file.fileno(), 0) as view, memoryview(view) as raw:
            replace_uki(raw, edit(uki_of(raw)))

    def edit_statements(self, signer: Signer, edit: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        """Sign every statement anew after ``edit`` (given its short name) has changed it. The bundles go."""
        signed = []
        for envelope in envelope_json.decode_lines((self.directory / STATEMENTS).read_bytes()):
            statement = json.loads(envelope.payload)
            name = SHORT_NAMES[statement["predicateType"]]
            signed.append(dsse.sign(PAYLOAD_TYPE, json.dumps(edit(name, statement)).encode(), [signer]))
            (self.directory / f"{name}.sigstore.json").unlink()
        self.write(STATEMENTS, envelope_json.encode_lines(signed))

    def sign_digests(self, signer: Signer, **changes: Any) -> None:
        """Sign the digests that the files have now; ``changes`` are statements' other members."""
        digests = {
            str(path.relative_to(self.directory)): sha256_file(path)
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and path.name != STATEMENTS and not path.name.endswith(".sigstore.json")
        }
        subject = [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()]
        self.edit_statements(signer, lambda _name, statement: statement | {"subject": subject} | changes)


def uki_of(disk: memoryview) -> bytes:
    """The UKI in a disk image."""
    return bytes(read_system_partition(read_disk(BinaryView.of(disk, "disk"))).uki_content())


def place_of(disk: Path, part: str) -> int:
    """The offset of a byte in the middle of a part of the disk: "root", "root_verity" or "uki" (its kernel)."""
    with mapped(disk, what="disk") as view:
        if part != "uki":
            partition = getattr(read_disk(BinaryView.of(view, "disk")), part)
            return int(partition.offset + partition.size // 2)
        kernel = read_uki(uki_of(view)).content(".linux")
        assert kernel is not None
        needle = bytes(kernel[1 << 20 : (1 << 20) + 512])
        return bytes(view).index(needle) + 100


def variant(built: Path, target: Path, toolchain: Toolchain, edits: Mapping[str, Callable[[bytes], bytes]]) -> Path:
    """A copy of an unsigned build with other UKI sections; its record says what the image says."""
    target.mkdir(parents=True)
    disk = target / NAMES.disk
    shutil.copyfile(built / NAMES.disk, disk)
    for name in (LOCK, TREE):
        shutil.copyfile(built / name, target / name)
    stub = (toolchain.tree / STUB).read_bytes()
    with disk.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view, memoryview(view) as raw:
        uki = read_uki(uki_of(raw))
        sections = {name: bytes(uki.content(name) or b"") for name in SECTIONS}
        sections |= {name: edit(sections[name]) for name, edit in edits.items()}
        replace_uki(raw, append_sections(stub, [Section(name, content) for name, content in sections.items()]))
    profile = "development" if b"VARIANT_ID=development" in sections[".osrel"] else "production"
    record = msgspec.structs.replace(load_record(built), disk=sha256_file(disk), profile=profile)
    shipped = load(IMAGE)
    packs = shipped.definition.packs if profile == "production" else (DEFAULT_PACKS[Profile.DEVELOPMENT],)
    policy = settle(packs, shipped.directory)
    if profile == "development":
        # Only the UKI was changed: the root still says that it is what it was.
        controls = tuple(item for item in policy.controls if item.id != "ZOA-906")
        policy = msgspec.structs.replace(policy, controls=controls)
    return with_policy(target, record, policy)


def with_policy(build: Path, record: BuildRecord, policy: Policy) -> Path:
    """The build in a directory, with this policy."""
    (build / POLICY).write_bytes(encode_policy(policy))
    record = msgspec.structs.replace(record, policy=sha256_file(build / POLICY))
    (build / BUILD_RECORD).write_bytes(encode_record(record))
    return build


def digest(content: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(content).hexdigest()}


@dataclass(frozen=True)
class Run:
    """How a process of bedplate ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def problems(self) -> list[str]:
        """The problems that the error lists."""
        return [line.removeprefix("  - ") for line in self.stderr.splitlines() if line.startswith("  - ")]


def bedplate(*arguments: str | Path, timeout: float = 600) -> Run:
    """Run the installed command."""
    command = [str(Path(sys.executable).parent / "bedplate"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    return Run(done.returncode, done.stdout, done.stderr)


def lines(envelopes: Iterable[dsse.Envelope]) -> bytes:
    return envelope_json.encode_lines(envelopes)


def with_signature(envelope: dsse.Envelope, signature: bytes) -> dsse.Envelope:
    """The envelope with another first signature under the same key's name."""
    first, *rest = envelope.signatures
    return dataclasses.replace(envelope, signatures=(dataclasses.replace(first, signature=signature), *rest))
