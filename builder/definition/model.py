"""What an ``image.yaml`` says, as frozen values.

This is the only place where a key of the file is declared: name, type, default, limits and the sentence an editor
shows; the kinds of text are in ``text``. The loader checks a document against these types and the JSON Schema is
generated from them. The values here are plain; what must hold between two keys is in ``rules``, and ``load.parse`` is
the way to get checked values.
"""

from __future__ import annotations

import enum

# msgspec reads the annotations when the module is imported, so these three are no typing-only imports.
from datetime import datetime  # noqa: TC003
from typing import Annotated, Final
from uuid import UUID  # noqa: TC003

from msgspec import Meta, Struct

from builder.definition.distribution import Distribution
from builder.definition.text import (
    UNIQUE,
    BaseDirectory,
    CertificateFile,
    DescriptionLine,
    EngineDirectory,
    FileDigest,
    FilesDirectory,
    HostName,
    IdentityFile,
    ImageName,
    ImageVersion,
    KernelArgument,
    ModulePattern,
    NeededName,
    PackageName,
    PackName,
    PathPattern,
    ProgramName,
    UnitName,
    WaiverFile,
)


class Profile(enum.StrEnum):
    """Who may get into the image: nobody, or a developer at its console."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class Architecture(enum.StrEnum):
    """The machine that the image boots on, by systemd's name (``systemd-analyze architectures``)."""

    X86_64 = "x86-64"


# Disks of common hypervisors and clouds: virtio (QEMU, GCE), NVMe (EC2 Nitro, Azure, bare metal), Xen (older EC2),
# Hyper-V, SCSI and AHCI. ENA is EC2's network card: it is not needed to find the root, but a node whose first network
# driver sits in the measured initrd can be diagnosed from the outside when the root does not come up.
DEFAULT_INITRD_MODULES: Final = (
    "virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "nvme", "xen_blkfront", "hv_storvsc", "sd_mod", "ahci",
    "ena",
)  # fmt: skip


# What an image must satisfy at least, where its definition does not say more.
DEFAULT_PACKS: Final = {Profile.PRODUCTION: "zero-operator-access", Profile.DEVELOPMENT: "development"}


class Kernel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The kernel, what it is told, and the modules that its initrd needs to find the root file system."""

    package: Annotated[PackageName, Meta(description="Debian package that holds or pulls in the kernel.")] = (
        "linux-image-cloud-amd64"
    )
    command_line: Annotated[
        tuple[KernelArgument, ...],
        Meta(
            max_length=64,
            description="Arguments to add to the command line, one per entry. What belongs to bedplate (root=, "
            "roothash=) and, in production, what opens a way in (console=, systemd.debug_shell) is refused.",
            extra_json_schema=UNIQUE,
        ),
    ] = ()
    initrd_modules: Annotated[
        tuple[ModulePattern, ...],
        Meta(
            description="Kernel modules to put into the initrd, with what they depend on. * and ? are wildcards; "
            "- and _ are the same. The default finds a root on virtio, NVMe, Xen, Hyper-V, SCSI and AHCI disks.",
            extra_json_schema=UNIQUE,
        ),
    ] = DEFAULT_INITRD_MODULES


class Services(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What systemd starts."""

    enable: Annotated[
        tuple[UnitName, ...],
        Meta(description="Units to enable on top of those of the base.", extra_json_schema=UNIQUE),
    ] = ()


class Prune(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of files that nothing in the image reaches."""

    enabled: Annotated[
        bool,
        Meta(description="Drop what the units, programs and rules of the image do not reach. Without it shells stay."),
    ] = True
    keep: Annotated[
        tuple[PathPattern, ...],
        Meta(
            description="Paths in the root to keep although nothing is seen to need them; * stays in a directory, ** "
            "does not. Each must be there.",
            extra_json_schema=UNIQUE,
        ),
    ] = ()
    keep_modules: Annotated[
        tuple[ModulePattern, ...],
        Meta(
            description="Kernel modules to keep besides those of the base, with what they depend on. Each must be "
            "there, or be built in. Devices load theirs; others, such as `kvm_intel` or `tun`, a file in "
            "modules-load.d has to name, too.",
            extra_json_schema=UNIQUE,
        ),
    ] = ()
    allow_missing: Annotated[
        tuple[NeededName, ...],
        Meta(
            description="Programs, libraries and units that something asks for and that the image does without.",
            extra_json_schema=UNIQUE,
        ),
    ] = ()


class Esp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The EFI system partition, which holds nothing but the UKI."""

    size_mib: Annotated[int, Meta(ge=64, le=1024, description="Size of the EFI system partition in MiB.")] = 128


class Node(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What differs between nodes, and is measured with them: a node reads nothing of this kind from anywhere else."""

    hostname: Annotated[
        HostName | None, Meta(description="Name of the node, in /etc/hostname. Default: Debian's localhost.")
    ] = None
    metrics_clients: Annotated[
        CertificateFile | None,
        Meta(
            description="Certificates (PEM), relative to the definition, of the authorities whose clients may read "
            "metrics. They become /usr/lib/bedplate/metrics-clients.pem."
        ),
    ] = None


class Weights(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weights that the node serves: `bedplate weights pack` makes their disk and their identity."""

    identity: Annotated[
        IdentityFile, Meta(description="Identity of the weights, NAME.weights.json, relative to the definition.")
    ]
    sha256: Annotated[FileDigest, Meta(description="SHA-256 of that file, so that no other one is taken for it.")]


class PolicyChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the finished image must satisfy."""

    packs: Annotated[
        Annotated[tuple[PackName, ...], Meta(min_length=1)] | None,
        Meta(
            description="Policy packs: names of built-in ones, or paths of pack files relative to the definition. "
            "Default: zero-operator-access for production, development for development.",
            extra_json_schema=UNIQUE,
        ),
    ] = None
    waivers: Annotated[
        WaiverFile | None,
        Meta(description="File of waivers, relative to the definition: findings that somebody answers for."),
    ] = None


class ImageDefinition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One image: what it is made of and how it is to be recognised."""

    name: Annotated[ImageName, Meta(description="Name of the image; begins its file names and is IMAGE_ID.")]
    version: Annotated[
        ImageVersion,
        Meta(description="Version in the UAPI version format (1.0.0, 1.1~rc1); part of file names, IMAGE_VERSION."),
    ]
    description: Annotated[DescriptionLine, Meta(description="One line that says what the image is for.")] = ""
    base: Annotated[BaseDirectory, Meta(description="Directory of the base this image stands on, such as ../base.")]
    profile: Annotated[
        Profile,
        Meta(description="production, or development, which may open a console and which verifiers refuse by default."),
    ] = Profile.PRODUCTION
    architecture: Annotated[Architecture, Meta(description="Machine the image boots on.")] = Architecture.X86_64
    distribution: Annotated[Distribution, Meta(description="Where the packages come from.")] = Distribution()
    packages: Annotated[
        tuple[PackageName, ...],
        Meta(description="Debian packages to add to those of the base.", extra_json_schema=UNIQUE),
    ] = ()
    kernel: Annotated[Kernel, Meta(description="Kernel, command line and initrd modules.")] = Kernel()
    services: Annotated[Services, Meta(description="What systemd starts.")] = Services()
    prune: Annotated[Prune, Meta(description="What becomes of files that nothing in the image reaches.")] = Prune()
    files: Annotated[
        FilesDirectory | None,
        Meta(description="Directory with files to copy into the root. Default: files, if there is such a directory."),
    ] = None
    programs: Annotated[
        tuple[ProgramName, ...],
        Meta(
            description="Directories with a Go module, beside the definition. Each is built in the image's build, "
            "without network, to the static program /usr/lib/bedplate/NAME.",
            extra_json_schema=UNIQUE,
        ),
    ] = ()
    engine: Annotated[
        EngineDirectory | None,
        Meta(
            description="Definition of an engine: its root is built first and becomes /usr/lib/bedplate/engine, where "
            "a unit of this image starts it with RootDirectory=."
        ),
    ] = None
    node: Annotated[Node, Meta(description="What differs between nodes.")] = Node()
    weights: Annotated[
        Weights | None,
        Meta(description="Weights to mount at /run/weights, from the disk that the root hash names and from no other."),
    ] = None
    source_date: Annotated[
        datetime,
        Meta(
            tz=True,
            description="Time stamp of everything that is built, such as 2026-01-31T00:00:00Z (RFC 3339, in UTC).",
        ),
    ]
    seed: Annotated[
        UUID,
        Meta(description="UUID from which all partition and file system UUIDs are derived. Make one with uuidgen."),
    ]
    esp: Annotated[Esp, Meta(description="EFI system partition.")] = Esp()
    policy: Annotated[PolicyChoice, Meta(description="What the finished image must satisfy.")] = PolicyChoice()

    @property
    def packs(self) -> tuple[str, ...]:
        """The packs that the image must satisfy, never none."""
        return self.policy.packs or (DEFAULT_PACKS[self.profile],)

    @property
    def source_date_epoch(self) -> int:
        """``source_date`` as SOURCE_DATE_EPOCH: whole seconds since 1970-01-01T00:00:00Z."""
        return int(self.source_date.timestamp())
