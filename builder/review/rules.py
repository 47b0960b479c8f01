"""What may change between two releases, as frozen values: the keys of a file of rules.

Nothing may change but what a key names. This is the only place where a key is declared: name, type, limits and the
sentence that the reference shows. ``judge`` decides by them.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

from msgspec import Meta, Struct

MAX_RULES_BYTES: Final = 256 << 10


class Step(enum.StrEnum):
    """Which way a version may go."""

    NEWER = "newer"
    ANY = "any"


class PackageChange(enum.StrEnum):
    """What happens to a package; a rebuild has the same version and another content or architecture."""

    ADDED = "added"
    REMOVED = "removed"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    REBUILD = "rebuild"


class FileChange(enum.StrEnum):
    """What happens to a file; ``metadata`` is mode, owner, attributes and owning package."""

    ADDED = "added"
    REMOVED = "removed"
    CONTENT = "content"
    METADATA = "metadata"
    TIMESTAMP = "timestamp"


class Power(enum.StrEnum):
    """What a file may gain that gives rights to whoever uses it."""

    SET_UID = "set-uid"
    SET_GID = "set-gid"
    CAPABILITIES = "file capabilities"
    DEVICE = "a device node"


class UnitChange(enum.StrEnum):
    """What happens to a unit; ``settings`` is all that has no word of its own."""

    ADDED = "added"
    REMOVED = "removed"
    STARTED = "started"
    STOPPED = "stopped"
    LISTENING = "listening"
    SANDBOXING = "sandboxing"
    PROGRAMS = "programs"
    SETTINGS = "settings"


class Archive(enum.StrEnum):
    """Where a package must come from, as the lock in the release says."""

    SECURITY = "security"


class Outcomes(enum.StrEnum):
    """How the outcomes of controls may change."""

    NOT_WORSE = "not-worse"
    ANY = "any"


class Area(enum.StrEnum):
    """A file system of the image."""

    ROOT = "root"
    INITRD = "initrd"


class PackageArea(enum.StrEnum):
    """What packages are installed for: a file system of the image, or the engine's own tree in the root."""

    ROOT = "root"
    INITRD = "initrd"
    ENGINE = "engine"


_Glob = Annotated[str, Meta(pattern=r"^[\s\S]+$", max_length=512, extra={"expected": "a pattern such as libssl*"})]
_PathGlob = Annotated[
    str, Meta(pattern=r"^/[\s\S]*$", max_length=4096, extra={"expected": "a pattern of absolute paths such as /etc/**"})
]
_Globs = Annotated[tuple[_Glob, ...], Meta(min_length=1)]
_PathGlobs = Annotated[tuple[_PathGlob, ...], Meta(min_length=1)]
_Areas = Annotated[tuple[Area, ...], Meta(min_length=1)]
_PackageAreas = Annotated[tuple[PackageArea, ...], Meta(min_length=1)]
_BOTH: Final = (Area.ROOT, Area.INITRD)


class ToolRule(Struct, frozen=True, kw_only=True):
    """Packages of the toolchain that may change, and how."""

    names: Annotated[_Globs, Meta(description="Patterns of package names.")]
    changes: Annotated[tuple[PackageChange, ...], Meta(min_length=1, description="What may happen to them.")]


class PackageRule(ToolRule, frozen=True, kw_only=True):
    """Packages of the image that may change, and how."""

    areas: Annotated[_PackageAreas, Meta(description="Where.")] = (PackageArea.ROOT, PackageArea.INITRD)
    archive: Annotated[
        Archive | None,
        Meta(description="Only if the new release's lock says that the new package is from this archive."),
    ] = None


class FileRule(Struct, frozen=True, kw_only=True):
    """Files that may change, and how."""

    paths: Annotated[_PathGlobs, Meta(description="Patterns of paths; `**` also matches slashes.")]
    changes: Annotated[tuple[FileChange, ...], Meta(min_length=1, description="What may happen to them.")]
    areas: Annotated[_Areas, Meta(description="Where.")] = _BOTH


class PrivilegeRule(Struct, frozen=True, kw_only=True):
    """Files that may become dangerous; a rule for files or packages never implies that."""

    paths: Annotated[_PathGlobs, Meta(description="Patterns of paths.")]
    gains: Annotated[tuple[Power, ...], Meta(min_length=1, description="What they may gain.")]
    areas: Annotated[_Areas, Meta(description="Where.")] = _BOTH


class UnitRule(Struct, frozen=True, kw_only=True):
    """Units that may change, and how."""

    names: Annotated[_Globs, Meta(description="Patterns of unit names.")]
    changes: Annotated[
        tuple[UnitChange, ...],
        Meta(min_length=1, description="What may happen to them: all that does must be named."),
    ]
    areas: Annotated[_Areas, Meta(description="Where.")] = _BOTH


class KernelRule(Struct, frozen=True, kw_only=True):
    """How the kernel may change."""

    release: Annotated[Step | None, Meta(description="Its release.")] = None
    options: Annotated[_Globs, Meta(description="Patterns of configuration options.")] = ()
    modules: Annotated[_Globs, Meta(description="Patterns of module names, with _ for -; of root and initrd.")] = ()


class UkiRule(Struct, frozen=True, kw_only=True):
    """How the unified kernel image may change."""

    sections: Annotated[_Globs, Meta(description="Sections that the stub measures or uses.")] = ()
    stub: Annotated[Step | None, Meta(description="systemd-stub; other code of the same version is `any`.")] = None
    packing: Annotated[bool, Meta(description="Order and compression of the initrd's files.")] = False
    certificates: Annotated[
        _Globs, Meta(description="SHA-256 of certificates that may sign it, or no longer sign it.")
    ] = ()
    signature: Annotated[bool, Meta(description="Another signature by the same certificates.")] = False


class PolicyRule(Struct, frozen=True, kw_only=True):
    """How the verdict of the policy packs may change."""

    controls: Annotated[
        Outcomes | None, Meta(description="Outcomes; `not-worse` also lets controls be new and waivers go.")
    ] = None
    waivers: Annotated[_Globs, Meta(description="Patterns of controls whose waivers may be new or changed.")] = ()
    demands: Annotated[
        _Globs, Meta(description="Patterns of controls that may have other parameters, or another rule of their own.")
    ] = ()


class Rules(Struct, frozen=True, kw_only=True):
    """A file of rules."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9][a-z0-9-]*$",
            max_length=64,
            description="What the rules are called in reports and statements.",
            extra={"expected": "a name of at most 64 lower-case letters, digits and dashes"},
        ),
    ]
    version: Annotated[Step | None, Meta(description="The image's version.")] = None
    identity: Annotated[_Globs, Meta(description="Of `name`, `architecture`, `profile`.")] = ()
    inputs: Annotated[_Globs, Meta(description="What the provenance says of the build, such as `definition.*`.")] = ()
    tree: Annotated[
        _Globs,
        Meta(
            description="Files of the mkosi tree by path, such as `mkosi.extra/etc/hostname`: what the definition puts"
            " into the image, over files of packages, too, and the scripts that make it."
        ),
    ] = ()
    packages: Annotated[
        tuple[PackageRule, ...], Meta(min_length=1, description="Packages of root and initrd, and of an engine.")
    ] = ()
    package_files: Annotated[
        bool, Meta(description="Files of a package whose change is allowed, and copies of them in the initrd.")
    ] = False
    files: Annotated[tuple[FileRule, ...], Meta(min_length=1, description="Files of root and initrd.")] = ()
    privileges: Annotated[
        tuple[PrivilegeRule, ...],
        Meta(min_length=1, description="Files that gain set-id bits or capabilities, or are devices."),
    ] = ()
    units: Annotated[tuple[UnitRule, ...], Meta(min_length=1, description="systemd's units.")] = ()
    arguments: Annotated[_Globs, Meta(description="Kernel arguments by name, such as `roothash`.")] = ()
    argument_order: Annotated[bool, Meta(description="Order and spelling of the same kernel arguments.")] = False
    kernel: Annotated[KernelRule, Meta(description="The kernel.")] = KernelRule()
    uki: Annotated[UkiRule, Meta(description="The unified kernel image.")] = UkiRule()
    variables: Annotated[_Globs, Meta(description="Secure Boot variables: `PK`, `KEK`, `db`, `dbx`.")] = ()
    partitions: Annotated[
        _Globs,
        Meta(
            description="Fields of partitions (`size`, `uuid`, ...), `added` and `removed` for whole ones, `rest` for"
            " bytes that are in nothing that is compared."
        ),
    ] = ()
    esp: Annotated[_PathGlobs, Meta(description="Paths of files beside the UKI in the EFI system partition.")] = ()
    pcrs: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=23)], ...],
        Meta(min_length=1, description="PCRs that may move, with any Secure Boot mode."),
    ] = ()
    settings: Annotated[
        _Globs, Meta(description="What the PCR values hold for: `platform`, `profile`, `systemd`.")
    ] = ()
    policy: Annotated[PolicyRule, Meta(description="The verdict.")] = PolicyRule()
    keys: Annotated[_Globs, Meta(description="Ids of keys that may sign, or no longer sign.")] = ()
    toolchain: Annotated[tuple[ToolRule, ...], Meta(min_length=1, description="Packages that build the image.")] = ()
    incomplete: Annotated[_Globs, Meta(description="Topics that need not be compared, or not to the bottom.")] = ()
    unexplained: Annotated[
        _Globs, Meta(description="Ids of changes for which nothing was found that explains them.")
    ] = ()
    unverified: Annotated[bool, Meta(description="Compare sides that no trusted key has signed.")] = False
