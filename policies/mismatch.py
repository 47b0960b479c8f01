"""What msgspec says of a document that does not have its form, in the words of a person who wrote the document."""

from __future__ import annotations

import re
from typing import Final

_PLACE: Final = re.compile(r" - at `(key` in `)?\$?\.?([^`]*)`$")
# What msgspec calls a type, and what it is in YAML.
_TYPES: Final = {
    "str": "a text", "array": "a list", "object": "a mapping", "int": "a number", "float": "a number",
    "bool": "true or false", "null": "nothing", "date": "a date such as 2026-01-31",
}  # fmt: skip
_FORMS: Final = (
    (re.compile(r"Object missing required field `(.+)`"), "found no {0!r}, expected one"),
    (re.compile(r"Object contains unknown field `(.+)`"), "found {0!r}, which is no key of it"),
    (re.compile(r"Expected `(.+)`, got `(.+)`"), "found {1}, expected {0}"),
    (re.compile(r"Expected `str` matching regex '\\\\S'"), "found nothing but blanks, expected a text"),
    (re.compile(r"Expected `(.+)` of length >= 1"), "found nothing in it, expected {0} that is not empty"),
    (re.compile(r"Expected `str` matching regex '(.*)'"), "found another text, expected one that matches {0}"),
    (re.compile(r"Expected `(.+)` of length >= (\d+)"), "found less, expected {0} of length {1} or more"),
    (re.compile(r"Expected `(.+)` of length <= (\d+)"), "found more, expected {0} of length {1} or less"),
    (re.compile(r"Invalid enum value (.+)"), "found {0}, which is none of the values that are known"),
    (re.compile(r"Invalid RFC3339 encoded date"), "found another text, expected a date such as 2026-01-31"),
)


def told(error: str) -> str:
    """Place, finding and expectation; what is in none of the known forms stays as it is."""
    place = _PLACE.search(error)
    said = error[: place.start()] if place else error
    where = f"{'a key of ' if place[1] else ''}{place[2] or 'the file'}: " if place else ""
    for pattern, form in _FORMS:
        match = pattern.fullmatch(said)
        if match:
            return where + form.format(*(_named(group) for group in match.groups()))
    return where + said


def _named(types: str) -> str:
    """Types in words; another text as it is."""
    names = types.split(" | ")
    return " or ".join(_TYPES.get(name, name) for name in names)
