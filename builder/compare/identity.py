"""What the image calls itself, what it was built from, and who signed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from builder.compare.difference import Change, Difference, node_id
from builder.compare.parts import changed_fields, not_compared, pair, topic

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic

IDENTITY: Final = "identity"
DEFINITION: Final = "definition"
KEYS: Final = "keys"


def compare_identity(old: Baseline, new: Baseline) -> Topic:
    """Name, version, architecture and profile."""
    both = pair(old.identity, new.identity)
    if not isinstance(both, tuple):
        return not_compared(IDENTITY, "Identity", both)
    left, right = (msgspec.to_builtins(side) for side in both)
    return topic(IDENTITY, "Identity", _differences(IDENTITY, "identity", left, right))


def compare_definition(old: Baseline, new: Baseline) -> Topic:
    """What the build records of its inputs: digests of definition and mkosi tree, seed, source date, toolchain."""
    both = pair(old.inputs, new.inputs)
    if not isinstance(both, tuple):
        return not_compared(DEFINITION, "Definition and build", both)
    return topic(DEFINITION, "Definition and build", _differences(DEFINITION, "input", *both))


def compare_signers(old: Baseline, new: Baseline) -> Topic:
    """The keys that signed the statements, as the signatures name them."""
    both = pair(old.signers, new.signers)
    if not isinstance(both, tuple):
        return not_compared(KEYS, "Keys of the statements", both)
    left, right = ({key: key for key in side} for side in both)
    return topic(KEYS, "Keys of the statements", _differences(KEYS, "key", left, right))


def _differences(name: str, kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for field in changed_fields(old, new):
        change = Change.ADDED if field.old is None else Change.REMOVED if field.new is None else Change.CONTENT
        yield Difference(
            id=node_id(name, field.name), kind=kind, subject=field.name, change=change, old=field.old, new=field.new
        )
