"""The history of releases as JSON-able values; ``docs/reference/log.schema.json`` is generated from them."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from builder.compare.difference import Verdict  # noqa: TC001 -- msgspec resolves annotations at run time
from builder.release.statements import ImageIdentity  # noqa: TC001

SCHEMA: Final = "bedplate.log/v1"


class Size(Struct, frozen=True, kw_only=True):
    """A file system: what is in it, by the inventory, and how many packages that came from."""

    files: Annotated[int, Meta(description="Paths of all types.")]
    bytes: Annotated[int, Meta(description="Of the contents of regular files.")]
    packages: Annotated[int | None, Meta(description="As the provenance lists them; null if it does not.")]


class PolicyOutcome(Struct, frozen=True, kw_only=True):
    """The verdict of the policy packs."""

    passed: Annotated[bool, Meta(description="Whether the image satisfies its policy.")]
    outcomes: Annotated[dict[str, int], Meta(description="How many controls came out how.")]
    waivers: Annotated[tuple[str, ...], Meta(description="Controls that are waived.")]


class Cause(Struct, frozen=True, kw_only=True):
    """Why PCRs moved: first causes with the same consequences."""

    subjects: Annotated[tuple[str, ...], Meta(description="The causes.")]
    moved: Annotated[tuple[int, ...], Meta(description="PCRs that they moved, with any Secure Boot mode.")]
    explained: Annotated[bool, Meta(description="False if nothing was found that explains the change.")]


class Step(Struct, frozen=True, kw_only=True):
    """From the release before to this one."""

    previous: Annotated[str, Meta(description="Version of the release before.")]
    verdict: Annotated[Verdict, Meta(description="What the comparison of statements and inventories came to.")]
    moved: Annotated[tuple[int, ...], Meta(description="PCRs that moved, with any Secure Boot mode.")]
    unmoved: Annotated[tuple[int, ...], Meta(description="PCRs that did not, with any.")]
    not_compared: Annotated[tuple[int, ...], Meta(description="PCRs of which one release says nothing.")]
    causes: Annotated[tuple[Cause, ...], Meta(description="Why they moved.")]
    differences: Annotated[dict[str, int], Meta(description="How many differences there are, by topic.")]
    policy: Annotated[tuple[str, ...], Meta(description="What changed in the verdict, its controls and waivers.")]


class Release(Struct, frozen=True, kw_only=True):
    """One release. One that does not verify is there by its place and the reasons only: nothing it says counts."""

    place: Annotated[str, Meta(description="Directory.")]
    verified_by: Annotated[
        tuple[str, ...], Meta(description="Trusted keys that signed it; none: nobody vouches for it.")
    ]
    problems: Annotated[tuple[str, ...], Meta(description="Why it did not verify; then all below is null.")] = ()
    image: Annotated[ImageIdentity | None, Meta(description="What it is.")] = None
    built: Annotated[str | None, Meta(description="End of the build, as the provenance says.")] = None
    kernel: Annotated[str | None, Meta(description="Release of the kernel.")] = None
    stub: Annotated[str | None, Meta(description="Version of systemd-stub.")] = None
    root_hash: Annotated[str | None, Meta(description="dm-verity root hash.")] = None
    disk_bytes: Annotated[int | None, Meta(description="Size of the disk image, if it is there; not verified.")] = None
    sizes: Annotated[dict[str, Size], Meta(description="By file system.")] = {}
    policy: Annotated[PolicyOutcome | None, Meta(description="The verdict; null if it has none.")] = None
    since: Annotated[Step | None, Meta(description="What changed; null for the first release of an image.")] = None


class Log(Struct, frozen=True, kw_only=True):
    """Releases by image and version."""

    schema: Annotated[str, Meta(description="Version of this document.")] = SCHEMA
    verified: Annotated[bool, Meta(description="Whether trusted keys signed all releases.")]
    releases: Annotated[tuple[Release, ...], Meta(description="By name, architecture and version; then what failed.")]
