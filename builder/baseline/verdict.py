"""The verdict in a release: the report of its policy packs, and the policy that they came to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from builder.compare.baseline import PolicyVerdict
from builder.errors import InvalidInputError, in_words
from builder.release.layout import POLICY, POLICY_REPORT

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Waiver(msgspec.Struct, frozen=True):
    subject: str
    reason: str
    owner: str
    expires: str


class _Waived(msgspec.Struct, frozen=True):
    waiver: _Waiver


class _Result(msgspec.Struct, frozen=True):
    control: str
    outcome: str
    waived: tuple[_Waived, ...] = ()


class _Asked(msgspec.Struct, frozen=True):
    id: str
    parameters: dict[str, tuple[str, ...]]
    rule: dict[str, Any] | None = None


class _Policy(msgspec.Struct, frozen=True):
    """What a comparison needs of the policy that a release was judged by; it has more."""

    controls: tuple[_Asked, ...]


class _PolicyReport(msgspec.Struct, frozen=True):
    """What a comparison needs of a policy report; it has more."""

    passed: bool
    results: tuple[_Result, ...]


def read_verdict(report: bytes, policy: bytes | None, place: str) -> PolicyVerdict:
    """The verdict of the two files of the release at ``place``. Raises InvalidInputError if one is none."""
    try:
        read = msgspec.json.decode(report, type=_PolicyReport)
    except _UNREADABLE as error:
        raise InvalidInputError(f"{place}/{POLICY_REPORT} is no policy report: {in_words(error)}") from error
    return PolicyVerdict(
        passed=read.passed,
        outcomes={result.control: result.outcome for result in read.results},
        waivers={
            result.control: "; ".join(
                f"{item.waiver.subject}: {item.waiver.reason} ({item.waiver.owner}, until {item.waiver.expires})"
                for item in result.waived
            )
            for result in read.results
            if result.waived
        },
        demands=None if policy is None else _demands(policy, place),
    )


def _demands(data: bytes, place: str) -> Mapping[str, str]:
    """What the policy asks of each control, as JSON with sorted keys."""
    try:
        policy = msgspec.json.decode(data, type=_Policy)
    except _UNREADABLE as error:
        raise InvalidInputError(f"{place}/{POLICY} is no policy: {in_words(error)}") from error
    return {
        item.id: json.dumps(item.parameters | ({} if item.rule is None else {"rule": item.rule}), sort_keys=True)
        for item in policy.controls
    }
