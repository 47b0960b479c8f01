"""The JSON Schema of the facts, generated from their types."""

from __future__ import annotations

from typing import Any, Final

from msgspec import json

from policies.facts.document import Facts

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema as a JSON value."""
    return {"$schema": DIALECT, "title": "bedplate facts", **json.decode(json.encode(json.schema(Facts)))}
