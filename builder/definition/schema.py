"""The JSON Schema of ``image.yaml``, for editors; generated from the model's types."""

from __future__ import annotations

from typing import Any, Final

from msgspec import json

from builder.definition.model import ImageDefinition

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema as a JSON value. ``bedplate render --schema`` prints it and ``images/image.schema.json`` holds it."""
    # Through JSON, so that default values are lists and strings as a reader of the file sees them.
    schema = json.decode(json.encode(json.schema(ImageDefinition)))
    return {"$schema": DIALECT, "title": "bedplate image definition", **schema}


def schema_text() -> str:
    """The schema as the committed file holds it: indented, with a final line break."""
    return json.format(json.encode(json_schema()), indent=2).decode() + "\n"
