"""AWS KMS key policies for machines with a NitroTPM: who may use a key, and only from which measured boot.

Condition keys: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-attestation.html
``kms:RecipientAttestation:NitroTPMPCR<n>``, operator StringEqualsIgnoreCase, value SHA-384 in lower-case hexadecimal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from builder.errors import InvalidInputError
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import Bank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.export.subject import Subject

CONDITION_PREFIX: Final = "kms:RecipientAttestation:"
CONDITION_PCR: Final = f"{CONDITION_PREFIX}NitroTPMPCR"
OPERATOR: Final = "StringEqualsIgnoreCase"
# The operations that can encrypt what they return to the public key in an attestation document, and take a key.
ACTIONS: Final = ("kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:GenerateDataKeyPair")
_VERSION: Final = "2012-10-17"
IMAGE_PCR: Final = 4
# Without Secure Boot PCR 7 has one value on all machines of the world, so it binds nothing.
OTHER_PCRS: Final = {SecureBootMode.ENABLED: (7, 12), SecureBootMode.DISABLED: (12,)}
_PRINCIPAL: Final = re.compile(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:[A-Za-z0-9+=,.@_/:-]+")


def export(subjects: Sequence[Subject], principals: Sequence[str]) -> str:
    """A key policy that lets ``principals`` use the key from machines that boot one of these releases.

    Releases that differ in PCR 4 only share a statement that lists their values. Those that differ in PCR 7 or 12 too
    get statements of their own: one list per PCR would accept the image of one with the command line of another.

    Raises InvalidInputError for a principal that is not the ARN of one identity, UnpredictableError for a PCR without
    value.
    """
    if not subjects or not principals:
        raise InvalidInputError("a key policy needs at least one release and one principal")
    for principal in principals:
        if not _PRINCIPAL.fullmatch(principal):
            raise InvalidInputError(
                f"the principal {principal!r} is not the ARN of one user or role",
                hint="give it like arn:aws:iam::111122223333:role/node; wildcards are refused",
            )
    groups: dict[tuple[tuple[int, str], ...], list[str]] = {}
    for subject in subjects:
        others = tuple((pcr, _value(subject, pcr)) for pcr in OTHER_PCRS[subject.mode])
        groups.setdefault(others, []).append(_value(subject, IMAGE_PCR))
    statements = [
        _statement(
            number, {IMAGE_PCR: list(dict.fromkeys(images)), **{pcr: [value] for pcr, value in others}}, principals
        )
        for number, (others, images) in enumerate(groups.items(), 1)
    ]
    return json.dumps({"Version": _VERSION, "Statement": statements}, indent=2)


def _value(subject: Subject, pcr: int) -> str:
    return subject.value(pcr, Bank.SHA384).hex()


def _statement(number: int, pcrs: dict[int, list[str]], principals: Sequence[str]) -> dict[str, Any]:
    return {
        "Sid": f"MeasuredBoot{number}",
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_many(principals)},
        "Action": list(ACTIONS),
        "Resource": "*",
        "Condition": {OPERATOR: {f"{CONDITION_PCR}{pcr}": _one_or_many(pcrs[pcr]) for pcr in sorted(pcrs)}},
    }


def _one_or_many(values: Sequence[str]) -> str | list[str]:
    """A single value stands alone, as AWS writes it back."""
    return values[0] if len(values) == 1 else list(values)
