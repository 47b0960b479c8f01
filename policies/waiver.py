"""Waivers: findings that somebody answers for, until a date."""

from __future__ import annotations

from datetime import date  # noqa: TC003 -- msgspec resolves annotations at run time
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from policies.document import read

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Text = Annotated[str, Meta(min_length=1, pattern=r"\S")]


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finding that does not count."""

    control: Annotated[str, Meta(pattern=r"^[A-Z]{3}-[0-9]{3}$", description="Id of the control.")]
    subject: Annotated[Text, Meta(description="Subject of the finding, as the report has it; no patterns.")]
    owner: Annotated[Text, Meta(description="Who answers for it.")]
    reason: Annotated[Text, Meta(description="Why it is acceptable.")]
    expires: Annotated[date, Meta(description="Last day on which it holds, in UTC.")]

    def holds(self, today: date) -> bool:
        """Whether it still counts on a day in UTC."""
        return today <= self.expires

    def __str__(self) -> str:
        return f"the waiver of {self.control} for {self.subject}"


class WaiverDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of waivers."""

    waivers: list[Waiver]


def expired(waivers: Iterable[Waiver], today: date) -> tuple[str, ...]:
    """A sentence for each waiver that holds no longer on a day in UTC, with whom to ask."""
    return tuple(
        f"{waiver} expired on {waiver.expires}; its owner is {waiver.owner}"
        for waiver in waivers
        if not waiver.holds(today)
    )


def load(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a file. Raises InvalidPolicyError for anything that is not a complete waiver."""
    return tuple(read(path, WaiverDocument).waivers)
