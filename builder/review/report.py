"""The judgement of a diff by rules, as JSON-able values; ``docs/reference/gate.schema.json`` is generated from them."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from builder.compare.difference import Report  # noqa: TC001 -- msgspec resolves annotations at run time

SCHEMA: Final = "bedplate.gate/v1"


class Refusal(Struct, frozen=True, kw_only=True):
    """Something that no rule allows."""

    id: Annotated[str, Meta(description="Id of the difference or link; of a topic or side that was not compared.")]
    subject: Annotated[str, Meta(description="What it is, for a person.")]
    needs: Annotated[
        tuple[str, ...], Meta(description="The rules that would have to be there, each in YAML; all are missing.")
    ]


class RulesUsed(Struct, frozen=True, kw_only=True):
    """The file of rules."""

    name: Annotated[str, Meta(description="What the rules call themselves.")]
    sha256: Annotated[str, Meta(description="Digest of the file in lower-case hexadecimal.")]


class Judgement(Struct, frozen=True, kw_only=True):
    """What the rules say of a diff."""

    schema: Annotated[str, Meta(description="Version of this document.")] = SCHEMA
    allowed: Annotated[bool, Meta(description="Whether there is nothing that no rule allows.")]
    rules: Annotated[RulesUsed, Meta(description="What was judged by.")]
    judged: Annotated[int, Meta(description="How many differences there are.")]
    refused: Annotated[tuple[Refusal, ...], Meta(description="What no rule allows.")]
    diff: Annotated[Report, Meta(description="What was judged.")]
