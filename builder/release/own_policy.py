"""What a release says of the policy that it was judged by, for somebody who judges it by another one.

Nobody vouches for it here: it lies beside the image, and whoever made the one made the other. So it never makes a no
into a yes; it is shown, with all in which it departs from the policy that was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.errors import InvalidInputError
from builder.files import read_bytes
from builder.release.layout import MAX_RECORD_BYTES, POLICY
from policies.engine import run
from policies.errors import InvalidPolicyError
from policies.policy import decode, departures, selection

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from policies.facts import Facts
    from policies.pack import Packs
    from policies.policy import Policy


def told_by_release(path: Path, facts: Facts, asked: Packs, today: date) -> tuple[str, ...]:
    """Lines on the policy in a build or release: its packs, what in it departs from ``asked``, and its answer.

    None for a path that is neither, and if nothing departs: then it cannot have another answer.
    """
    file = path / POLICY
    if not file.is_file():
        return ()
    try:
        policy = decode(read_bytes(file, what="policy", limit=MAX_RECORD_BYTES))
    except (InvalidInputError, InvalidPolicyError) as error:
        return (f"note: what the release was judged by cannot be read: {file}: {error}",)
    different = tuple(departures(policy, asked.selection))
    if not different:
        return ()
    packs = " and ".join(f"{pack.name} (sha256 {pack.sha256})" for pack in policy.packs if not pack.included)
    names = " and ".join(summary.name for summary in asked.summaries)
    return (
        f"note: the release says that it was judged by {packs}, which is not {names}:",
        *(f"  - {difference}" for difference in different),
        f"note: by that policy the answer is {_answer(policy, facts, today)}",
        "hint: name the pack with --pack if you accept this; `bedplate verify` judges by the policy that was signed",
    )


def _answer(policy: Policy, facts: Facts, today: date) -> str:
    if any(item.rule is not None for item in policy.controls):
        return "not known: it has rules of its own, which run only where somebody vouches for them"
    selected, unknown = selection(policy)
    if unknown:
        return f"not known: {'; '.join(unknown)}"
    return "yes" if run(facts, selected, policy.waivers, today=today).passed else "no"
