"""What a control found: a subject, a sentence about it, and the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from policies.facts import Area, Origin

Source = Literal["root", "initrd", "uki", "esp", "xbootldr", "disk"]


class Evidence(Struct, frozen=True, kw_only=True):
    """One thing that a reader can look up in the image."""

    source: Annotated[Source, Meta(description="Part of the image that it is in.")]
    path: Annotated[str, Meta(description="File, with the line where there is one, or name of a section or partition.")]
    value: Annotated[str, Meta(description="What stands there; never a secret.")]


class Finding(Struct, frozen=True, kw_only=True):
    """One way in which an image does not satisfy a control."""

    subject: Annotated[
        str, Meta(description='What it is about, "AREA:PATH" or "AREA:NAME". Waivers name it, so it must not change.')
    ]
    message: Annotated[str, Meta(description="Continues the subject to a sentence, without a final period.")]
    evidence: Annotated[tuple[Evidence, ...], Meta(description="Never empty, but for a control that crashed.")]


def about_path(area: Area, path: str, message: str, value: str = "") -> Finding:
    """A finding about a file of an area, which is its own evidence."""
    evidence = Evidence(source=area.name, path=path, value=value)
    return Finding(subject=f"{area.name}:{path}", message=message, evidence=(evidence,))


def about_name(area: Area, name: str, message: str, *evidence: tuple[Origin | str, str]) -> Finding:
    """A finding about something with a name (a unit, a user); evidence as pairs of origin or path, and value."""
    items = tuple(Evidence(source=area.name, path=str(origin), value=value) for origin, value in evidence)
    return Finding(subject=f"{area.name}:{name}", message=message, evidence=items)
