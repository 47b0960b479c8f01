"""What a key policy of AWS KMS must say of the new side, where the PCRs that it binds moved.

The keys, and which PCRs are bound, are those of ``builder.export.kms``, which writes whole policies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.baseline import Outside, Unknown
from builder.compare.difference import KeyCondition, KeyPolicy, Verdict
from builder.export.kms import CONDITION_PCR, IMAGE_PCR, OPERATOR, OTHER_PCRS
from builder.measurement.pcr import Bank

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Moved

_DEVELOPMENT: Final = "development"


def key_policies(new: Baseline, pcrs: Sequence[Moved]) -> tuple[KeyPolicy, ...]:
    """A policy for each Secure Boot mode with which a PCR that it binds moved.

    None where the new side is a node: what it shows may be anything, and a policy says what it must show.
    """
    if new.source.kind == "evidence":
        return ()
    policies = []
    for mode, others in OTHER_PCRS.items():
        bound = {item.pcr: item for item in pcrs if item.mode == mode.value and item.pcr in {IMAGE_PCR, *others}}
        if any(item.verdict is not Verdict.EQUAL for item in bound.values()):
            policies.append(_policy(mode.value, (IMAGE_PCR, *others), bound, reason=_refused(new)))
    return tuple(policies)


def _refused(new: Baseline) -> str | None:
    identity = new.identity
    if isinstance(identity, Unknown | Outside) or identity.profile != _DEVELOPMENT:
        return None
    return "the new side is a development image, and a policy with its values would give it the keys"


def _policy(mode: str, indexes: Sequence[int], bound: Mapping[int, Moved], *, reason: str | None) -> KeyPolicy:
    bank = Bank.SHA384.value
    for pcr in indexes:
        for side in ("old", "new"):
            if reason is None and bank not in (getattr(bound[pcr], side) if pcr in bound else {}):
                reason = f"the {side} side has no SHA-384 value of PCR {pcr}"
    conditions = () if reason else tuple(
        KeyCondition(key=f"{CONDITION_PCR}{pcr}", old=bound[pcr].old[bank], new=bound[pcr].new[bank])
        for pcr in indexes
    )  # fmt: skip
    return KeyPolicy(
        mode=mode,
        operator=OPERATOR,
        conditions=conditions,
        own_statement=any(item.old != item.new for item in conditions[1:]),
        incomplete=reason,
    )
