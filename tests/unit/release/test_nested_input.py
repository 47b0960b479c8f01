"""JSON that is nested without end is refused by every reader of a release's files, and is no crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.baseline.verdict import read_verdict
from builder.definition.lock import decode_lock
from builder.errors import InvalidInputError
from builder.evidence.strict_json import decode_json
from builder.release.statements import read_json
from builder.weights.identity import decode_identity

if TYPE_CHECKING:
    from collections.abc import Callable

NESTED = b'{"more":' + b"[" * 200_000
REPORT = b'{"passed": true, "results": []}'


@pytest.mark.parametrize(
    "reader",
    [
        lambda data: read_json(data, what="x"),
        lambda data: decode_json(data, dict[str, object], "x"),
        lambda data: decode_lock(data, "x"),
        lambda data: decode_identity(data, what="x"),
        lambda data: read_verdict(data, None, "x"),
        lambda data: read_verdict(REPORT, data, "x"),
    ],
)
def test_input_that_is_nested_too_deep_is_refused(reader: Callable[[bytes], object]) -> None:
    with pytest.raises(InvalidInputError, match=r"it is nested too deep$"):
        reader(NESTED)
