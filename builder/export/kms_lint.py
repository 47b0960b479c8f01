"""Judge whether an AWS KMS key policy gives the key only to machines that booted something in particular.

Fails closed. A statement that allows anything but managing the key must bind the boot with conditions on NitroTPM PCRs,
and every such condition must be one that AWS KMS compares as meant. Deny statements take rights away, so they are not
judged.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError, NotVerifiedError
from builder.export.kms import CONDITION_PCR, CONDITION_PREFIX, OPERATOR
from builder.release.reference import BOUND_PCRS
from builder.release.statements import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_POLICY_BYTES: Final = 1 << 20
# PCR 7 of every machine whose firmware has Secure Boot and no keys: measured on EC2 too, so anyone's boot has it.
SECURE_BOOT_OFF_PCR_7: Final = (
    "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35"
)
_HEX_DIGITS: Final = 96
_ZERO: Final = "0" * _HEX_DIGITS
# What systemd-stub takes from firmware and from beside the UKI: arguments, credentials, addons.
_PARAMETERS_PCR: Final = 12
_MAY_BE_ZERO: Final = frozenset((12, 13, 14))
_POLICY_ELEMENTS: Final = frozenset(("Version", "Id", "Statement"))
_ELEMENTS: Final = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
)
# Wildcards and policy variables.
_PATTERN: Final = frozenset("*?$")
# Condition keys that are about the caller, and operators that do not hold without them.
_CALLER: Final = frozenset(("kms:calleraccount", "aws:principalaccount", "aws:principalarn", "aws:principalorgid"))
_EQUALITY: Final = frozenset(("StringEquals", "StringEqualsIgnoreCase", "ArnEquals"))
# First words of the actions that manage a key, and whole actions that neither return a secret nor hand the key on.
# Not among them: CreateGrant (a grant has no such conditions), ReplicateKey (the replica has its own policy) and
# ReEncryptFrom (to a key that has no conditions).
_MANAGEMENT: Final = re.compile(
    r"kms:((cancel|delete|describe|disable|enable|get|list|put|retire|revoke|rotate|schedule|tag|untag|update)[a-z]*\*?"
    r"|createalias|encrypt|reencryptto|verify|verifymac|importkeymaterial"
    r"|generatedatakeywithoutplaintext|generatedatakeypairwithoutplaintext)"
)


def check_policy(data: bytes) -> None:
    """Accept a key policy in which every use of the key is bound to a boot.

    Raises NotVerifiedError with all findings, InvalidInputError if ``data`` is no policy at all.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise InvalidInputError(f"the key policy has {len(data)} bytes, at most {MAX_POLICY_BYTES} are read")
    policy = read_json(data, what="key policy")
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    if isinstance(statements, dict):  # a single statement may stand without a list
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise InvalidInputError("the key policy has no list of statements")
    findings = [f"the element {element!r} is not known" for element in sorted(set(policy) - _POLICY_ELEMENTS)]
    findings += [finding for number, item in enumerate(statements, 1) for finding in _judge(item, number)]
    if not any(_allows(item) and _attestation_conditions(item) for item in statements):
        findings.append("no statement lets a measured machine use the key")
    if findings:
        raise NotVerifiedError("the key policy is not safe", tuple(dict.fromkeys(findings)))


def _judge(item: Any, number: int) -> Iterator[str]:
    """All that is wrong with one statement, each with the statement's name before it."""
    name = f"statement {number}"
    if not isinstance(item, dict):
        yield f"{name}: it is not an object"
        return
    if isinstance(item.get("Sid"), str) and item["Sid"]:
        name += f" ({item['Sid']})"
    yield from (f"{name}: {finding}" for finding in _statement(item))


def _statement(item: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"the element {element!r} is not known" for element in sorted(set(item) - _ELEMENTS))
    if item.get("Effect") == "Deny":
        return
    if item.get("Effect") != "Allow":
        yield f"Effect is {item.get('Effect')!r}, expected Allow or Deny"
    for element in ("NotPrincipal", "NotAction", "NotResource"):
        if element in item:
            yield f"{element} allows everything but what it names"
    conditions = item.get("Condition", {})
    if not isinstance(conditions, dict) or not all(isinstance(tests, dict) for tests in conditions.values()):
        yield "Condition is not an object of objects"
        return
    yield from _principal(item, conditions)
    if not _attestation_conditions(item):
        yield from _without_attestation(item)
        return
    yield from _conditions(conditions)


def _without_attestation(item: Mapping[str, Any]) -> Iterator[str]:
    actions = item.get("Action", [])
    actions = [actions] if isinstance(actions, str) else actions
    if not isinstance(actions, list) or not actions or not all(isinstance(action, str) for action in actions):
        yield "it allows something without naming actions, and has no condition on attestation"
        return
    for action in actions:
        if not _MANAGEMENT.fullmatch(action.lower()):
            yield f"it allows {action} without any condition on attestation"


def _conditions(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    sound = set()
    for operator, tests in conditions.items():
        for key, values in tests.items():
            if not _is_attestation(key):
                continue
            findings = list(_condition(operator, key, values))
            yield from findings
            if not findings:
                sound.add(_pcr(key))
    if 7 not in sound:  # noqa: PLR2004 -- Secure Boot policy
        for pcr, meaning in ((4, "the image"), (12, "the kernel command line")):
            if pcr not in sound:
                yield f"without Secure Boot (PCR 7) there must be a sound condition on PCR {pcr}, {meaning}"


def _condition(operator: str, key: str, values: Any) -> Iterator[str]:
    if operator != OPERATOR:
        yield f"{key} is compared by {operator}, expected {OPERATOR}"
    pcr = _pcr(key)
    if pcr is None:
        yield f"{key} is not about a NitroTPM, expected {CONDITION_PCR}<n>"
        return
    if pcr not in BOUND_PCRS:
        yield f"PCR {pcr} is not of the image: firmware, its settings or running programs change it"
    listed = values if isinstance(values, list) else [values]
    if not listed:
        yield f"PCR {pcr} is compared with an empty list"
    for value in listed:
        yield from (f"PCR {pcr}: {problem}" for problem in _value(pcr, value))


def _value(pcr: int, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{json.dumps(value)} is not a string, expected one of {_HEX_DIGITS} hexadecimal digits"
    elif set(value) & _PATTERN:
        yield f"{value!r} has a wildcard or a variable"
    elif not re.fullmatch(r"[0-9A-Fa-f]*", value):
        yield f"{value!r} is not hexadecimal (base64 is not compared as bytes)"
    elif len(value) != _HEX_DIGITS:
        yield f"{value!r} has {len(value)} digits, SHA-384 has {_HEX_DIGITS}"
    elif value != value.lower():
        yield f"{value!r} has upper-case digits"
    elif value == _ZERO and pcr not in _MAY_BE_ZERO:
        yield "it is all zeros, the value of a machine that measured nothing"
    elif value != _ZERO and pcr == _PARAMETERS_PCR:
        yield "it is not zeros: a release measures nothing there, only what comes from outside of it does"
    elif value == SECURE_BOOT_OFF_PCR_7:
        yield "it is the value of Secure Boot being off, which every machine can have"


def _allows(item: Any) -> bool:
    return isinstance(item, dict) and item.get("Effect") == "Allow"


def _attestation_conditions(item: Mapping[str, Any]) -> list[str]:
    conditions = item.get("Condition")
    tests = conditions.values() if isinstance(conditions, dict) else ()
    return [key for test in tests if isinstance(test, dict) for key in test if _is_attestation(key)]


def _is_attestation(key: str) -> bool:
    return key.lower().startswith(CONDITION_PREFIX.lower())


def _pcr(key: str) -> int | None:
    """The PCR of a NitroTPM that a condition key names; IAM compares these keys without regard to case."""
    match = re.fullmatch(re.escape(CONDITION_PCR.lower()) + r"(0|[1-9]\d?)", key.lower())
    return int(match[1]) if match else None


def _principal(item: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Anyone may be named only where a condition says who; what was booted does not say who."""
    principal = item.get("Principal")
    named: list[Any] = list(principal.values()) if isinstance(principal, dict) else [principal]
    names = [name for names in named for name in (names if isinstance(names, list) else [names])]
    if not names or not all(isinstance(name, str) and name for name in names):
        yield "it names no principal"
    elif any("*" in name for name in names) and not any(
        _says_who(operator, key, value) for operator, tests in conditions.items() for key, value in tests.items()
    ):
        yield "the principal is anyone, in any account"


def _says_who(operator: str, key: str, values: Any) -> bool:
    """Whether a condition holds for callers that it names and for nobody else."""
    listed = values if isinstance(values, list) else [values]
    exact = bool(listed) and all(isinstance(value, str) and value and not set(value) & _PATTERN for value in listed)
    return exact and operator in _EQUALITY and key.lower() in _CALLER
