"""One side of a comparison: everything that is known of a release, an image or a node, part by part.

A part is its value, :class:`Unknown` where the source could have told and did not (then nothing that depends on it is
equal), or :class:`Outside` where a source of this kind has no such thing: a disk image has no signer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.compare.entries import Entry
    from builder.release.statements import ImageIdentity, ReferenceValues, UkiIdentity
    from policies.facts import Kernel, Unit

SourceKind = Literal["release", "statements", "reference values", "disk image", "evidence"]
Role = Literal["disk", "uki", "root", "root-verity", "inventory", "tree"]
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not known, and why; the reason continues "not compared: "."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outside:
    """A source of this kind has no such part."""


OUTSIDE = Outside()
Part: TypeAlias = _Value | Unknown | Outside


@dataclass(frozen=True, slots=True)
class Source:
    """Where the side came from, for a person, and who vouches for it: no ``key_ids`` means nobody does.

    ``statements`` is the digest of a release's statements, which bind everything that it is; ``finished`` is when the
    build ended, as they say it.
    """

    kind: SourceKind
    place: str
    key_ids: tuple[str, ...] = ()
    statements: str | None = None
    finished: str | None = None


@dataclass(frozen=True, slots=True)
class InstalledPackage:
    """A Debian package of an area or of the toolchain; ``sha256`` is that of its .deb file, None if not recorded.

    ``is_security`` says that the release's lock took it from the archive of security updates.
    """

    area: str
    name: str
    version: str
    architecture: str
    sha256: str | None = None
    is_security: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the UKI's signature: subject, SHA-256, and fields by name."""

    name: str
    sha256: str
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Partition:
    """A used entry of the partition table; ``type`` and ``flags`` as text, offset and size in bytes.

    ``content`` is the digest of all bytes of a partition that nothing else of a baseline tells.
    """

    number: int
    type: str
    uuid: str
    label: str
    offset: int
    size: int
    flags: str
    content: str | None = None


@dataclass(frozen=True, slots=True)
class BesideUki:
    """A file of the EFI system partition; ``role`` says what a boot takes it for, ``command_line`` is an addon's."""

    path: str
    role: Literal["program", "addon", "companion", "other"]
    sha256: str
    command_line: str | None = None


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file of the initrd in the order in which it is packed, and in which run ("none", "zstd", ...) it is."""

    path: str
    run: int
    compression: str


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What policy packs said of an image: outcome by control, and waivers by control with subject, reason and end.

    ``demands`` is what was asked of each control: its parameters, and the rule if a pack wrote it. None if it is not
    known, as with a release that does not hold its policy.
    """

    passed: bool
    outcomes: Mapping[str, str]
    waivers: Mapping[str, str]
    demands: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Digests are SHA-256 in lower-case hexadecimal unless they are those of a PCR bank.

    ``inputs`` are the build's by name ("definition", "mkosi tree", "seed", ...). ``tree`` are the files of the mkosi
    tree by path, each as kind and digest or as target of a link. ``measured`` has the PCR values and their events by
    Secure Boot mode. ``artifacts`` are digests of the release's own files. ``stub`` are the sections of the UKI's PE
    file that no stub measures: its own code, and what it uses unmeasured. ``variables`` are the Secure Boot variables
    to enrol, as signature lists. ``systemd`` and ``kernels`` are by area. ``verdict`` is None for a release that was
    made without one.
    """

    source: Source
    identity: Part[ImageIdentity]
    uki: Part[UkiIdentity]
    measured: Part[Mapping[str, ReferenceValues]]
    files: Part[tuple[Entry, ...]]
    inputs: Part[Mapping[str, str]] = OUTSIDE
    tree: Part[Mapping[str, str]] = OUTSIDE
    packages: Part[tuple[InstalledPackage, ...]] = OUTSIDE
    toolchain: Part[tuple[InstalledPackage, ...]] = OUTSIDE
    artifacts: Part[Mapping[Role, str]] = OUTSIDE
    stub: Part[Mapping[str, str]] = OUTSIDE
    uki_signature: Part[tuple[Certificate, ...]] = OUTSIDE
    variables: Part[Mapping[str, bytes]] = OUTSIDE
    packing: Part[tuple[PackedFile, ...]] = OUTSIDE
    partitions: Part[tuple[Partition, ...]] = OUTSIDE
    esp_files: Part[tuple[BesideUki, ...]] = OUTSIDE
    systemd: Part[Mapping[str, tuple[Unit, ...]]] = OUTSIDE
    kernels: Part[Mapping[str, Kernel]] = OUTSIDE
    verdict: Part[PolicyVerdict | None] = OUTSIDE
    signers: Part[tuple[str, ...]] = OUTSIDE
    remarks: tuple[str, ...] = field(default=())
