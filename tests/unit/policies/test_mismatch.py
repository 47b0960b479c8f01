from __future__ import annotations

import pytest

from policies.mismatch import told


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("Object missing required field `fix` - at `$.rules.ACM-001`", "rules.ACM-001: found no 'fix', expected one"),
        ("Expected `str | null`, got `array`", "found a list, expected a text or nothing"),
        (r"Expected `str` matching regex '\\S' - at `$.a`", "a: found nothing but blanks, expected a text"),
        (r"Expected `str` matching regex '^b$' - at `$.a`", "a: found another text, expected one that matches ^b$"),
        ("Expected `str` of length >= 1 - at `$.a`", "a: found nothing in it, expected a text that is not empty"),
        ("Expected `array` of length >= 2 - at `$.a`", "a: found less, expected a list of length 2 or more"),
        ("Expected `array` of length <= 2 - at `$.a`", "a: found more, expected a list of length 2 or less"),
        ("Invalid enum value 'x' - at `$.a`", "a: found 'x', which is none of the values that are known"),
        ("Invalid RFC3339 encoded date - at `$.a`", "a: found another text, expected a date such as 2026-01-31"),
        ("Expected `str`, got `int` - at `key` in `$.a`", "a key of a: found a number, expected a text"),
        ("Something else - at `$`", "the file: Something else"),
    ],
)
def test_what_is_wrong_with_a_document_is_told_in_words(error: str, sentence: str) -> None:
    assert told(error) == sentence
