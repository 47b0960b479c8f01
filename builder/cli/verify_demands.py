"""What ``bedplate verify`` asks of others than the makers of a release: rebuilders and reviewers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from builder.cli.numbers import COUNT
from builder.cli.options import EXISTING_DIRECTORY, EXISTING_FILE, together, trusted_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from builder.compare.difference import Scope
    from builder.release.rebuild_statement import Rebuilder
    from builder.release.verify import VerifiedRelease
    from builder.review.load import LoadedRules
    from builder.review.report import Judgement
    from signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class RebuildDemand:
    """How many trusted keys must have rebuilt a release, and what they said, by the name of the file."""

    count: int
    trusted: Sequence[PublicKey]
    said: Mapping[str, bytes]

    def require(self, release: VerifiedRelease) -> tuple[Rebuilder, ...]:
        """The rebuilders of ``release``. Raises NotVerifiedError."""
        from builder.release.rebuild_statement import require_rebuilders  # noqa: PLC0415 -- for a fast --help

        return require_rebuilders(release, self.said, self.trusted, self.count)


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """The options about rebuilders."""

    rebuilders: int | None
    rebuilder_keys: tuple[Path, ...]
    rebuilt: tuple[Path, ...]

    def demand(self) -> RebuildDemand | None:
        """What they ask for, None if nothing. Raises UsageError if they ask for a part only."""
        if self.rebuilders is None and not (self.rebuilder_keys or self.rebuilt):
            return None
        if self.rebuilders is None or not self.rebuilder_keys:
            raise click.UsageError("--rebuilders needs --trust-rebuilder, and --rebuilt goes with it")
        return RebuildDemand(self.rebuilders, trusted_keys(self.rebuilder_keys), _read(self.rebuilt))


@dataclass(frozen=True, slots=True)
class ReviewDemand:
    """How many trusted keys must have reviewed the change since ``previous`` by ``rules``, and what they said."""

    count: int
    trusted: Sequence[PublicKey]
    said: Mapping[str, bytes]
    previous: Path
    rules: LoadedRules

    def require(self, release: Path, signers: Sequence[PublicKey]) -> tuple[str, ...]:
        """The ids of the reviewers of ``release``, both releases being signed by ``signers``.

        Raises NotVerifiedError.
        """
        from builder.baseline.compared import compared  # noqa: PLC0415 -- for a fast --help
        from builder.review.judge import judge  # noqa: PLC0415
        from builder.review.statement import require_reviewers  # noqa: PLC0415

        def judged(scope: Scope) -> Judgement:
            return judge(compared(self.previous, release, signers, scope), self.rules)

        return require_reviewers(self.said, self.trusted, self.count, judged)


@dataclass(frozen=True, slots=True)
class ReviewOptions:
    """The options about reviewers."""

    reviewers: int | None
    reviewer_keys: tuple[Path, ...]
    reviewed: tuple[Path, ...]
    previous: Path | None
    rules: Path | None

    def demand(self) -> ReviewDemand | None:
        """What they ask for, None if nothing. Raises UsageError if they ask for a part only."""
        if self.reviewers is None and not (self.reviewer_keys or self.reviewed or self.previous or self.rules):
            return None
        if self.reviewers is None or not self.reviewer_keys or self.previous is None or self.rules is None:
            raise click.UsageError("--reviewers needs --trust-reviewer, --reviewed-from and --rules, and --reviewed")
        from builder.review.load import load_rules  # noqa: PLC0415 -- for a fast --help

        return ReviewDemand(
            self.reviewers,
            trusted_keys(self.reviewer_keys),
            _read(self.reviewed),
            self.previous,
            load_rules(self.rules),
        )


def _read(paths: Iterable[Path]) -> dict[str, bytes]:
    from builder.files import read_bytes  # noqa: PLC0415 -- for a fast --help
    from builder.release.attestation import MAX_ATTESTATION_BYTES  # noqa: PLC0415

    return {str(path): read_bytes(path, what="statement", limit=MAX_ATTESTATION_BYTES) for path in paths}


def _count(option: str, who_did_what: str) -> Callable[[Callable[..., None]], Any]:
    return click.option(option, type=COUNT, help=f"How many {who_did_what}.")


def _files(option: str, name: str, meaning: str) -> Callable[[Callable[..., None]], Any]:
    return click.option(option, name, multiple=True, type=EXISTING_FILE, help=f"{meaning}; may be given several times.")


# Gives the command a RebuildOptions.
rebuild_options = together(
    RebuildOptions,
    "rebuild_options",
    _count("--rebuilders", "rebuilders must say that they built the same image from the same inputs"),
    _files("--trust-rebuilder", "rebuilder_keys", "Public key (PEM) of a rebuilder that you trust"),
    _files("--rebuilt", "rebuilt", "What `bedplate rebuild --attest` wrote"),
)

# Gives the command a ReviewOptions.
review_options = together(
    ReviewOptions,
    "review_options",
    _count("--reviewers", "reviewers must say that the change since another release is what rules allow"),
    _files("--trust-reviewer", "reviewer_keys", "Public key (PEM) of a reviewer that you trust"),
    _files("--reviewed", "reviewed", "What `bedplate diff --attest` wrote"),
    click.option("--reviewed-from", "previous", type=EXISTING_DIRECTORY, help="The release that it was compared with."),
    click.option("--rules", type=EXISTING_FILE, help="The rules (YAML) that must allow the change."),
)
