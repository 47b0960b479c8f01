"""The part of an ``image.yaml`` that says where packages come from: Debian's archive, and others beside it."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from builder.definition.text import UNIQUE, ArchiveWord, KeyringFile, MirrorUrl, PackageName

# What the archive of ``distribution.suite`` is called in locks and messages.
MAIN_ARCHIVE: Final = "debian"
# The same of an engine's suite; other archives of an engine have it and a dash before their name.
ENGINE_ARCHIVE: Final = "engine"


class AdditionalArchive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An archive besides that of the suite, such as Debian's security archive."""

    name: Annotated[
        ArchiveWord, Meta(description="Name of the archive in the lock, such as security; not debian, the main one's.")
    ]
    suite: Annotated[ArchiveWord, Meta(description="Suite by its code name, such as trixie-security.")]
    components: Annotated[
        tuple[ArchiveWord, ...],
        Meta(min_length=1, description="Components to take packages from.", extra_json_schema=UNIQUE),
    ] = ("main",)
    mirror: Annotated[
        MirrorUrl | None,
        Meta(
            description="Where the archive is. Default: beside the mirror of the main archive for a suite that ends in "
            "-security, and that mirror itself for all others."
        ),
    ] = None
    keyring: Annotated[
        KeyringFile | None,
        Meta(description="Key file, relative to the definition, that must have signed it. Default: Debian's keyring."),
    ] = None
    packages: Annotated[
        Annotated[tuple[PackageName, ...], Meta(min_length=1)] | None,
        Meta(
            description="The only packages to take from here, before all other archives. Default: every package that "
            "is newer here.",
            extra_json_schema=UNIQUE,
        ),
    ] = None
    parts: Annotated[
        Annotated[tuple[ArchiveWord, ...], Meta(min_length=1)] | None,
        Meta(
            description="Parts of the lock to take packages for: root, initrd, toolchain. Default: all.",
            extra_json_schema=UNIQUE,
        ),
    ] = None
    allow_expired: Annotated[
        bool,
        Meta(
            description="Accept the archive after its Valid-Until, from when on nobody says that nothing is newer. "
            "The lock notes it."
        ),
    ] = False


class Distribution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the packages come from."""

    suite: Annotated[ArchiveWord, Meta(description="Debian suite by its code name.")] = "trixie"
    components: Annotated[
        tuple[ArchiveWord, ...],
        Meta(min_length=1, description="Archive components to take packages from.", extra_json_schema=UNIQUE),
    ] = ("main",)
    mirror: Annotated[
        MirrorUrl | None,
        Meta(
            description="Debian archive to use. --mirror and BEDPLATE_MIRROR go before it; leave it out to be portable."
        ),
    ] = None
    allow_expired: Annotated[
        bool,
        Meta(description="Accept the archive of the suite after its Valid-Until. The lock notes it."),
    ] = False
    archives: Annotated[
        tuple[AdditionalArchive, ...],
        Meta(max_length=8, description="Archives besides that of the suite, such as Debian's security archive."),
    ] = ()
