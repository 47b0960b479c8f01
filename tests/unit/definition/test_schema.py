from __future__ import annotations

from pathlib import Path

from builder.definition.schema import json_schema, schema_text

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_up_to_date() -> None:
    hint = "run: bedplate render --schema > images/image.schema.json"
    assert (ROOT / "images" / "image.schema.json").read_text() == schema_text(), hint


def test_the_schema_knows_keys_limits_and_what_is_required() -> None:
    schema = json_schema()
    image = schema["$defs"]["ImageDefinition"]
    assert schema["$ref"] == "#/$defs/ImageDefinition"
    assert image["additionalProperties"] is False
    assert set(image["required"]) == {"name", "version", "base", "source_date", "seed"}
    assert image["properties"]["packages"]["uniqueItems"] is True
    assert schema["$defs"]["Esp"]["properties"]["size_mib"]["maximum"] == 1024
