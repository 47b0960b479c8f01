"""Rules, and the signed review, of ``bedplate diff --allow``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import key_passphrase, shown_path
from builder.cli.output import to_stderr
from builder.cli.tree import Branch

if TYPE_CHECKING:
    from pathlib import Path

    from builder.compare.difference import Report, Scope
    from builder.review.load import LoadedRules
    from builder.review.report import Judgement, Refusal
    from signing.signer import Signer


@dataclass(frozen=True, slots=True)
class Gate:
    """What ``--allow`` and ``--attest`` name, read before anything that takes time."""

    rules: LoadedRules
    signer: Signer | None
    output: Path | None
    force: bool

    @classmethod
    def read(cls, rules: Path | None, key: Path | None, output: Path | None, *, force: bool) -> Gate | None:
        """The gate, None without rules.

        Raises UsageError for a part of it alone, InvalidInputError for bad rules and for an ``output`` that is there
        already, unless ``force`` is given.
        """
        if (key is None) is not (output is None):
            raise click.UsageError("--attest KEY and --output FILE go together")
        if rules is None:
            if key is not None:
                raise click.UsageError("--attest signs what --allow allows: name the rules")
            return None
        from builder.files import require_absent  # noqa: PLC0415 -- for a fast --help
        from builder.release.keyring import load_signer  # noqa: PLC0415
        from builder.review.load import load_rules  # noqa: PLC0415

        if output is not None and not force:
            require_absent(output)
        signer = None if key is None else load_signer(key, key_passphrase())
        return cls(load_rules(rules), signer, output, force)

    def judge(self, report: Report) -> Judgement:
        """What the rules say."""
        from builder.review.judge import judge  # noqa: PLC0415

        return judge(report, self.rules)

    def attest(self, judgement: Judgement, scope: Scope) -> None:
        """Sign what was allowed, if that was asked for, and say so. Raises NotVerifiedError for unverified releases."""
        if self.signer is None or self.output is None or not judgement.allowed:
            return
        import datetime as dt  # noqa: PLC0415

        from builder import __version__  # noqa: PLC0415
        from builder.files import require_absent, write_atomically  # noqa: PLC0415
        from builder.review.statement import sign_review  # noqa: PLC0415

        signed = sign_review(judgement, scope, __version__, dt.datetime.now(dt.UTC), self.signer)
        # Somebody else may have written it meanwhile.
        if not self.force:
            require_absent(self.output)
        write_atomically(self.output, signed)
        to_stderr(f"reviewed in {shown_path(self.output)} by {self.signer.public_key.key_id}\n")


def judgement_outline(judgement: Judgement) -> Branch:
    """The judgement as a tree: yes, or what was refused and the rules that it would take."""
    rules = f"{judgement.rules.name} (sha256:{judgement.rules.sha256})"
    if judgement.allowed:
        count = f"all {judgement.judged} differences" if judgement.judged else "there is no difference"
        return Branch(f"allowed by {rules}: {count}", style="green")
    title = f"refused by {rules}: {len(judgement.refused)} of what differs or is not known"
    return Branch(title, tuple(map(_refusal, judgement.refused)), "bold red")


def _refusal(refusal: Refusal) -> Branch:
    needs = tuple(Branch(f"needs {rule}", style="dim") for rule in refusal.needs)
    return Branch(refusal.subject, needs or (Branch("no rule can allow it"),))
