"""Event logs, replays and comparisons as JSON values. Digests and data are lower-case hexadecimal."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from builder.evidence.algorithms import algorithm_label
from builder.evidence.decode import decode
from builder.evidence.digest_check import check_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from builder.evidence.divergence import Extend, RegisterComparison
    from builder.evidence.eventlog import RegisterKind, UntrustedEvent, UntrustedEventLog
    from builder.evidence.replay import Replay
    from builder.evidence.systemd_log import UserspaceEvent, UserspaceLog

SCHEMA = "bedplate.event-log/v1"


def event_log(log: UntrustedEventLog, userspace: UserspaceLog | None = None) -> dict[str, Any]:
    """A whole log with every event decoded."""
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "trusted": False,
        "format": log.format.value,
        "registers": log.registers.value,
        "algorithms": [algorithm_label(identifier) for identifier in log.algorithms],
        "events": [_event(event, log.registers) for event in log.events],
    }
    if userspace is not None:
        report["userspace_events"] = [_userspace_event(event) for event in userspace.events]
    return report


def register_values(replayed: Replay) -> dict[str, Any]:
    """What a log replays to: algorithm, register, value."""
    return {
        "schema": SCHEMA,
        "trusted": False,
        "registers": replayed.registers.value,
        "startup_locality": replayed.locality,
        "values": {
            algorithm.label: {str(register): value.hex() for register, value in bank.items()}
            for algorithm, bank in replayed.values.items()
        },
        "incomplete": [
            {"algorithm": algorithm.label, "register": register} for algorithm, register in sorted(replayed.incomplete)
        ],
    }


def comparisons(found: Iterable[RegisterComparison]) -> dict[str, Any]:
    """What a comparison came to, register by register."""
    registers = [
        {
            "register": item.register,
            "outcome": "equal" if item.equal else "differs" if item.reason is None else "not compared",
            "reason": item.reason,
            "position": item.position,
            "left": _extend(item.left),
            "right": _extend(item.right),
            "left_events": item.left_count,
            "right_events": item.right_count,
        }
        for item in found
    ]
    return {
        "schema": SCHEMA,
        "trusted": False,
        "equal": not any(item["outcome"] == "differs" for item in registers),
        "registers": registers,
    }


def plain(value: Any) -> Any:
    """A decoded value as JSON: dataclasses become objects with their class's name as ``kind``."""
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def _event(event: UntrustedEvent, registers: RegisterKind) -> dict[str, Any]:
    check = check_digest(event)
    decoded = decode(event)
    return {
        "index": event.index,
        "offset": event.offset,
        "register": event.register,
        "register_name": registers.register_name(event.register),
        "type": event.type_name,
        "digests": _digests(event.digests),
        "text": decoded.text,
        "decoded": plain(decoded),
        "digest_of": None if check is None else check.basis.name.lower(),
        "data": event.data.hex(),
    }


def _userspace_event(event: UserspaceEvent) -> dict[str, Any]:
    return {
        "index": event.index,
        "pcr": event.pcr,
        "nv_index": event.nv_index,
        "type": event.event_type,
        "digests": _digests(event.digests),
        "text": event.text,
        "string_is_measured": event.string_is_measured,
        "content": dict(event.content),
    }


def _extend(extend: Extend | None) -> dict[str, Any] | None:
    if extend is None:
        return None
    return {
        "index": extend.index,
        "type": extend.type_name,
        "text": extend.text,
        "digests": _digests(extend.digests),
    }


def _digests(digests: Mapping[int, bytes]) -> dict[str, str]:
    return {algorithm_label(identifier): digest.hex() for identifier, digest in digests.items()}
