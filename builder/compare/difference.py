"""The tree of differences, and the way from a cause to the PCRs that it moved: what every presenter gets.

All values can be written as JSON; ``docs/reference/diff.schema.json`` is generated from these types. A node's ``id`` is
the same whenever the same thing differs, so that it can be linked to: the names of its topic and of what differs,
joined by slashes, with everything percent-encoded that a URL's fragment may not have.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, Literal
from urllib.parse import quote

from msgspec import Meta, Struct

from builder.release.statements import ImageIdentity  # noqa: TC001 -- msgspec resolves annotations at run time

SCHEMA: Final = "bedplate.diff/v1"


def about(description: str) -> Meta:
    """The sentence that the JSON Schema has for a field."""
    return Meta(description=description)


class Change(enum.StrEnum):
    """What kind of difference it is, the gravest of a node's own and its fields'."""

    ADDED = "added"
    REMOVED = "removed"
    CONTENT = "content"
    METADATA = "metadata only"
    ORDER = "order only"
    SIGNATURE = "signature only"
    TIMESTAMP = "timestamp only"


class Verdict(enum.StrEnum):
    """What the comparison of two baselines, or of one topic, came to."""

    EQUAL = "equal"
    DIFFERS = "differs"
    INCOMPLETE = "incomplete"
    OUTSIDE = "outside"


class Scope(enum.StrEnum):
    """How far a comparison looks: at statements and inventories, at images too, or also into files that differ."""

    MANIFESTS = "manifests"
    IMAGES = "images"
    DEEP = "deep"


class Field(Struct, frozen=True, kw_only=True):
    """A property of the thing that differs."""

    name: Annotated[str, about("Name of the property.")]
    old: Annotated[str | None, about("Before; null if it was not there.")]
    new: Annotated[str | None, about("After; null if it is gone.")]


class Difference(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that differs."""

    id: Annotated[str, about("Stable name of the node, for links.")]
    kind: Annotated[str, about('"package", "file", "argument", "unit", "section", "certificate" and so on.')]
    subject: Annotated[str, about("What differs, for a person.")]
    change: Annotated[Change, about("Classification.")]
    old: Annotated[str | None, about("Before; null if it was not there.")] = None
    new: Annotated[str | None, about("After; null if it is gone.")] = None
    area: Annotated[str | None, about('"root", "initrd" or "toolchain", where there are several.')] = None
    package: Annotated[str | None, about("Package that owns the file.")] = None
    notes: Annotated[tuple[str, ...], about('What to look at: "upgrade", "security-relevant", "gains set-uid".')] = ()
    fields: Annotated[tuple[Field, ...], about("Properties that differ, by name.")] = ()
    children: Annotated[tuple[Difference, ...], about("Differences inside it, made by a deep comparison.")] = ()
    incomplete: Annotated[str | None, about("Why what is inside could not be compared.")] = None


class Topic(Struct, frozen=True, kw_only=True):
    """A part of both baselines."""

    name: Annotated[str, about("Stable name, with which the ids of its nodes begin.")]
    title: Annotated[str, about("For a person.")]
    verdict: Annotated[Verdict, about('"outside" where sources of these kinds have no such part.')]
    differences: Annotated[tuple[Difference, ...], about("By subject.")]
    incomplete: Annotated[tuple[str, ...], about("What could not be compared, and why.")]


class Link(Struct, frozen=True, kw_only=True):
    """A step on the way from what changed to the PCRs: something that changed, because of others that did."""

    id: Annotated[str, about("That of the difference, where there is one.")]
    kind: Annotated[
        Literal[
            "package", "files", "definition", "root hash", "argument", "section", "stub", "UKI", "ESP file", "variable",
            "signature", "setting", "event", "PCR",
        ],
        about("What it is."),
    ]  # fmt: skip
    subject: Annotated[str, about("What changed, for a person.")]
    because: Annotated[tuple[str, ...], about("Ids of the links that caused it.")]
    explained: Annotated[bool, about("False where it changed and nothing was found that explains why.")] = True
    count: Annotated[int, about("How many differences it stands for.")] = 1


class Moved(Struct, frozen=True, kw_only=True):
    """One PCR with one Secure Boot mode."""

    mode: Annotated[str, about('Secure Boot mode: "enabled", "disabled".')]
    pcr: Annotated[int, about("Index.")]
    verdict: Annotated[Verdict, about("Whether its values differ.")]
    old: Annotated[dict[str, str], about("Values by bank, hexadecimal.")]
    new: Annotated[dict[str, str], about("Values by bank, hexadecimal.")]
    events: Annotated[tuple[str, ...], about("Ids of the links of the events whose digests differ.")] = ()
    reason: Annotated[str | None, about("Why it could not be compared.")] = None


class Chain(Struct, frozen=True, kw_only=True):
    """Causes that moved the same PCRs in the same way."""

    causes: Annotated[tuple[str, ...], about("Ids of links that have no cause themselves.")]
    through: Annotated[tuple[str, ...], about("Ids of the links between them and the events, in order.")]
    moved: Annotated[tuple[int, ...], about("PCRs that moved, with any Secure Boot mode.")]
    unmoved: Annotated[tuple[int, ...], about("PCRs that no Secure Boot mode saw moving.")]
    explained: Annotated[bool, about("False if the cause is a change that nothing was found for.")]
    sentence: Annotated[str, about("The same in words.")]


class KeyCondition(Struct, frozen=True, kw_only=True):
    """What a key policy of AWS KMS asks of one PCR."""

    key: Annotated[str, about("Condition key, such as kms:RecipientAttestation:NitroTPMPCR4.")]
    old: Annotated[str, about("SHA-384 before, hexadecimal.")]
    new: Annotated[str, about("SHA-384 after, hexadecimal.")]


class KeyPolicy(Struct, frozen=True, kw_only=True):
    """What a key policy must now say, for nodes that boot with one Secure Boot mode, because a PCR in it moved."""

    mode: Annotated[str, about('Secure Boot mode: "enabled", "disabled".')]
    operator: Annotated[str, about("The operator that the conditions stand under.")]
    conditions: Annotated[tuple[KeyCondition, ...], about("All of a statement; none if incomplete.")]
    own_statement: Annotated[
        bool, about("Whether old and new need a statement each: a list per PCR would let one pass with the other's.")
    ]
    incomplete: Annotated[str | None, about("Why there is no policy for the new side.")] = None

    @property
    def moved(self) -> tuple[KeyCondition, ...]:
        """The conditions whose value is another one now."""
        return tuple(condition for condition in self.conditions if condition.old != condition.new)


class Side(Struct, frozen=True, kw_only=True):
    """A baseline by name."""

    kind: Annotated[str, about('"release", "statements", "reference values", "disk image" or "evidence".')]
    place: Annotated[str, about("As the caller named it.")]
    label: Annotated[str, about("Name and version of the image.")]
    verified_by: Annotated[tuple[str, ...], about("Trusted keys that signed it; none: nobody vouches for it.")]
    remarks: Annotated[tuple[str, ...], about("What to know about this side.")]
    image: Annotated[ImageIdentity | None, about("What its statements call it; null without statements.")] = None
    statements: Annotated[
        str | None, about("SHA-256 of the release.intoto.jsonl that was read, hexadecimal; null where there is none.")
    ] = None
    signers: Annotated[tuple[str, ...], about("Ids of all keys that its signatures name, whether trusted or not.")] = ()


class Report(Struct, frozen=True, kw_only=True):
    """The difference of two baselines."""

    schema: Annotated[str, about("Version of this document.")]
    verdict: Annotated[Verdict, about("differs if anything does; equal only if everything was compared.")]
    old: Annotated[Side, about("Before.")]
    new: Annotated[Side, about("After.")]
    chains: Annotated[tuple[Chain, ...], about("From causes to PCRs.")]
    pcrs: Annotated[tuple[Moved, ...], about("By mode and index.")]
    links: Annotated[tuple[Link, ...], about("All steps of all chains, causes before what they caused.")]
    topics: Annotated[tuple[Topic, ...], about("The differences.")]
    sections: Annotated[dict[str, Verdict], about("The UKI's measured sections; none where they are not known.")]
    key_policies: Annotated[tuple[KeyPolicy, ...], about("What key policies must now say, by mode.")]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences of all topics."""
        return tuple(difference for topic in self.topics for difference in topic.differences)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Everything that could not be compared."""
        return tuple(f"{topic.title}: {reason}" for topic in self.topics for reason in topic.incomplete)


def node_id(*parts: str) -> str:
    """The id of a node from the names that lead to it."""
    return "/".join(quote(text(part.strip("/")), safe="/:@!$&'()*+,;=~._-") for part in parts)


def text(value: str) -> str:
    """A file's name as valid Unicode: what stands for bytes that are not UTF-8 as backslash escapes."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
