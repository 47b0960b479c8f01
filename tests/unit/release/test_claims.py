from __future__ import annotations

import msgspec
import pytest

from builder.release.claims import _differences
from builder.release.statements import ReferenceMeasurements

STATED = {
    "image": {"name": "node", "version": "1", "architecture": "x86-64", "profile": "production"},
    "uki": {"stub": "257", "kernel": "6.12", "command_line": "quiet", "root_hash": "00"},
    "reference_values": {
        "enabled": {
            "schema": "bedplate.reference-values/v1",
            "stub": "257",
            "boot": {"secure_boot": "enabled", "platform": "generic", "profile": 0, "initrd_systemd": 257},
            "banks": ["sha256"],
            "pcrs": {
                "4": {
                    "predictable": True,
                    "values": {"sha256": "aa"},
                    "events": [
                        {"type": "EV_IPL", "digests": {"sha256": "bb"}, "description": "section", "source": "UKI"}
                    ],
                }
            },
        }
    },
}


def stated(**event: object) -> ReferenceMeasurements:
    """The measurements above with a changed event."""
    value = msgspec.json.decode(msgspec.json.encode(STATED))
    value["reference_values"]["enabled"]["pcrs"]["4"]["events"][0] |= event
    return msgspec.convert(value, ReferenceMeasurements)


def test_other_words_for_an_event_are_no_difference() -> None:
    assert list(_differences("values", stated(description="UKI section", source="image"), stated())) == []


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"digests": {"sha256": "cc"}}, "values: reference_values.enabled.pcrs.4.events[0].digests.sha256 is cc"),
        ({"digests": {}}, "values: reference_values.enabled.pcrs.4.events[0].digests.sha256 is None"),
        ({"type": "EV_EVENT_TAG"}, "values: reference_values.enabled.pcrs.4.events[0].type is EV_EVENT_TAG"),
    ],
)
def test_another_digest_or_type_of_an_event_is_a_difference(event: dict[str, object], told: str) -> None:
    (difference,) = _differences("values", stated(**event), stated())
    assert difference.startswith(told)
