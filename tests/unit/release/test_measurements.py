"""Reference measurements that are read: what is no digest, bank, PCR or phase is refused with its place."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from builder.baseline.source import read_baseline
from builder.errors import InvalidInputError
from builder.release.layout import REFERENCE_VALUES
from builder.release.measurements import read_measurements
from builder.release.prove import load_reference
from tests.made_releases import Recipe
from tests.nodes import reference

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = msgspec.to_builtins(reference())
INJECTED = "0" * 63 + '\n"kms:RecipientAttestation:PCR4": "1'
PCR_4 = ("reference_values", "enabled", "pcrs", "4")


def changed(path: tuple[Any, ...], value: object) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(DOCUMENT)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def test_what_bedplate_writes_is_read() -> None:
    assert read_measurements(DOCUMENT, what="x") == reference()


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ((*PCR_4, "values", "sha256"), INJECTED, "values.sha256 is {!r}, expected 64 lower-case hexadecimal digits"),
        ((*PCR_4, "values", "sha384"), INJECTED, "values.sha384 is {!r}, expected 96 lower-case hexadecimal digits"),
        ((*PCR_4, "values", "sha256"), "A" * 64, "values.sha256 is {!r}, expected 64 lower-case hexadecimal digits"),
        ((*PCR_4, "values", "sha256"), "a" * 96, "values.sha256 is {!r}, expected 64 lower-case hexadecimal digits"),
        ((*PCR_4, "values", "sha256"), "a" * 64 + "\n", "values.sha256 is {!r}, expected 64 lower-case"),
        ((*PCR_4, "values", "sha256"), "\u0661" * 64, "values.sha256 is {!r}, expected 64 lower-case"),
        ((*PCR_4, "values", "sha256"), "", "values.sha256 is '', expected 64 lower-case hexadecimal digits"),
        ((*PCR_4, "values", "md5"), "0" * 32, "values has 'md5', expected sha256 or sha384"),
        ((*PCR_4, "events", 0, "digests", "sha256"), "xy", "events[0].digests.sha256 is 'xy', expected 64"),
        ((*PCR_4[:3], "11", "phases", "ready", "sha256"), "xy", "phases.ready.sha256 is 'xy', expected 64"),
        ((*PCR_4[:3], "11", "phases", "holiday"), {}, "phases has 'holiday', expected enter-initrd or "),
        ((*PCR_4[:3], "24"), {"predictable": False}, "pcrs has '24', expected the number of a PCR, 0 to 23"),
        ((*PCR_4[:3], "4\n"), {"predictable": False}, "pcrs has '4\\n', expected the number of a PCR, 0 to 23"),
        ((*PCR_4[:2], "banks"), ["sha1"], "banks has 'sha1', expected sha256 or sha384"),
    ],
)
def test_what_is_none_is_refused_with_its_place(path: tuple[Any, ...], value: object, problem: str) -> None:
    document = changed(path, value)
    with pytest.raises(InvalidInputError, match=re.escape(problem.format(value))) as refused:
        read_measurements(document, what="some/file")
    assert str(refused.value).startswith("some/file: reference_values.enabled.")


def test_no_side_of_a_comparison_takes_over_what_is_no_digest(tmp_path: Path) -> None:
    release = tmp_path / "release"
    Recipe().write(release)
    read_baseline(release / REFERENCE_VALUES)
    document = json.loads((release / REFERENCE_VALUES).read_bytes())
    document["reference_values"]["enabled"]["pcrs"]["4"]["values"]["sha384"] = INJECTED
    (release / REFERENCE_VALUES).write_text(json.dumps(document))
    place = r"reference-values.json: reference_values.enabled.pcrs.4.values.sha384 is '0000.*', expected 96"
    with pytest.raises(InvalidInputError, match=place):
        read_baseline(release / REFERENCE_VALUES)
    with pytest.raises(InvalidInputError, match=place):
        load_reference(release)
