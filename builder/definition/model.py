"""What an ``image.yaml`` says, as frozen values.

This is the only place where a key of the file is declared: name, type, default, limits and the sentence an editor
shows. The loader checks a document against these types and the JSON Schema is generated from them. The values here are
plain; what must hold between two keys is in ``rules``, and ``load.parse`` is the way to get checked values.
"""

from __future__ import annotations

import enum

# msgspec reads the annotations when the module is imported, so these three are no typing-only imports.
from datetime import datetime  # noqa: TC003
from typing import Annotated, Final
from uuid import UUID  # noqa: TC003

from msgspec import Meta, Struct


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


# The ``extra`` of a type holds what it expects in words that finish the sentence "expected ...", and whether a value of
# it that is refused may hold a password, which must not be repeated in a message.
ImageName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        max_length=32,
        extra={"expected": "a name of at most 32 lower-case letters, digits and inner dashes"},
    ),
]
# UAPI.10 "Version Format Specification" without upper case (os-release(5) wants IMAGE_VERSION in lower case), without
# the underscore that separates name and version in file names (UAPI.3), and without the plus that the specification
# advises against and that boot counting uses in UKI names.
ImageVersion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-z][0-9a-z.~^-]*$",
        max_length=64,
        extra={"expected": "a version of lower-case letters, digits and . ~ ^ - that begins with a letter or digit"},
    ),
]
DescriptionLine = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=200, extra={"expected": "one line of at most 200 characters"})
]
BaseDirectory = Annotated[
    str,
    Meta(
        pattern=r"^(\.\.|[A-Za-z0-9_][A-Za-z0-9._-]*)(/(\.\.|[A-Za-z0-9_][A-Za-z0-9._-]*))*$",
        max_length=255,
        extra={"expected": "a directory relative to the definition, such as ../base"},
    ),
]
FilesDirectory = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
        max_length=255,
        extra={"expected": "a directory beside the definition or below it, such as files"},
    ),
]
# Debian Policy 5.6.7: at least two characters.
PackageName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9+.-]+$",
        max_length=128,
        extra={"expected": "a Debian package name (lower-case letters, digits and + . -)"},
    ),
]
ArchiveWord = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]*$",
        max_length=64,
        extra={"expected": "a name of lower-case letters, digits and dashes"},
    ),
]
# No user information: what stands here ends up in the signed provenance.
_URL_PATH: Final = "/[A-Za-z0-9._~%+,=/-]*"
MIRROR_PATTERN: Final = (
    rf"^(https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?({_URL_PATH})?|file://{_URL_PATH})$"
)
MirrorUrl = Annotated[
    str,
    Meta(
        pattern=MIRROR_PATTERN,
        max_length=512,
        extra={"expected": "an http, https or file URL without user name, query and fragment", "may_hold_secret": True},
    ),
]
# Printable ASCII without space, both quotes and the backslash: each argument is one word to the kernel, to systemd and
# to the tools that assemble the command line, with nothing that any of them would unquote.
KernelArgument = Annotated[
    str,
    Meta(
        pattern=r"^[!#-&(-\[\]-~]+$",
        max_length=256,
        extra={"expected": "one argument of printable ASCII without space, quotes and backslash"},
    ),
]
ModulePattern = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_*?-]+$",
        max_length=64,
        extra={"expected": "a kernel module's name, in which * and ? may stand for other characters"},
    ),
]
PathPattern = Annotated[
    str,
    Meta(
        pattern=r"^/[!-~]+$",
        max_length=512,
        extra={"expected": "an absolute path of printable ASCII without space, in which * , ** and ? may stand"},
    ),
]
NeededName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9/_][!-~]*$",
        max_length=512,
        extra={"expected": "a program, library or unit as the message names it that says it is missing"},
    ),
]
UnitName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|timer|path|target|mount)$",
        max_length=255,
        extra={"expected": "a systemd unit's name that ends in .service, .socket, .timer, .path, .target or .mount"},
    ),
]

# A built-in pack by its name, or a file beside the definition or elsewhere, which a "/" or the ending tells apart.
PackName = Annotated[
    str,
    Meta(
        pattern=r"^([a-z][a-z0-9-]*|(\.\.?/)*[A-Za-z0-9_][A-Za-z0-9._/-]*\.yaml)$",
        max_length=255,
        extra={
            "expected": "a built-in pack's name, or the path of a pack relative to the definition, such as site.yaml"
        },
    ),
]
WaiverFile = Annotated[
    str,
    Meta(
        pattern=r"^(\.\.?/)*[A-Za-z0-9_][A-Za-z0-9._/-]*\.yaml$",
        max_length=255,
        extra={"expected": "the path of a waiver file relative to the definition, such as waivers.yaml"},
    ),
]

# What an image must satisfy at least, where its definition does not say more.
DEFAULT_PACKS: Final = {Profile.PRODUCTION: "zero-operator-access", Profile.DEVELOPMENT: "development"}

# A list in which an entry may stand only once.
_SET: Final = {"uniqueItems": True}


class Distribution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the packages come from."""

    suite: Annotated[ArchiveWord, Meta(description="Debian suite by its code name.")] = "trixie"
    components: Annotated[
        tuple[ArchiveWord, ...],
        Meta(min_length=1, description="Archive components to take packages from.", extra_json_schema=_SET),
    ] = ("main",)
    mirror: Annotated[
        MirrorUrl | None,
        Meta(
            description="Debian archive to use. --mirror and BEDPLATE_MIRROR go before it; leave it out to be portable."
        ),
    ] = None


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
            extra_json_schema=_SET,
        ),
    ] = ()
    initrd_modules: Annotated[
        tuple[ModulePattern, ...],
        Meta(
            description="Kernel modules to put into the initrd, with what they depend on. * and ? are wildcards; "
            "- and _ are the same. The default finds a root on virtio, NVMe, Xen, Hyper-V, SCSI and AHCI disks.",
            extra_json_schema=_SET,
        ),
    ] = DEFAULT_INITRD_MODULES


class Services(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What systemd starts."""

    enable: Annotated[
        tuple[UnitName, ...],
        Meta(description="Units to enable on top of those of the base.", extra_json_schema=_SET),
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
            extra_json_schema=_SET,
        ),
    ] = ()
    keep_modules: Annotated[
        tuple[ModulePattern, ...],
        Meta(
            description="Kernel modules to keep besides those of the base, with what they depend on. Each must be "
            "there, or be built in.",
            extra_json_schema=_SET,
        ),
    ] = ()
    allow_missing: Annotated[
        tuple[NeededName, ...],
        Meta(
            description="Programs, libraries and units that something asks for and that the image does without.",
            extra_json_schema=_SET,
        ),
    ] = ()


class Esp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The EFI system partition, which holds nothing but the UKI."""

    size_mib: Annotated[int, Meta(ge=64, le=1024, description="Size of the EFI system partition in MiB.")] = 128


class PolicyChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the finished image must satisfy."""

    packs: Annotated[
        Annotated[tuple[PackName, ...], Meta(min_length=1)] | None,
        Meta(
            description="Policy packs: names of built-in ones, or paths of pack files relative to the definition. "
            "Default: zero-operator-access for production, development for development.",
            extra_json_schema=_SET,
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
        Meta(description="Debian packages to add to those of the base.", extra_json_schema=_SET),
    ] = ()
    kernel: Annotated[Kernel, Meta(description="Kernel, command line and initrd modules.")] = Kernel()
    services: Annotated[Services, Meta(description="What systemd starts.")] = Services()
    prune: Annotated[Prune, Meta(description="What becomes of files that nothing in the image reaches.")] = Prune()
    files: Annotated[
        FilesDirectory | None,
        Meta(description="Directory with files to copy into the root. Default: files, if there is such a directory."),
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
