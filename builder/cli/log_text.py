"""A history as a table of lines, and below each release why PCRs moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.cli.errors import one_line, printable
from builder.cli.output import plain_table
from builder.presenters.timeline import cause_words, size_words, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.history.log import Log, Release

_COLUMNS: Final = ("release", "built", "packages", "files", "content", "policy", "moved", "signed by")
_KEY: Final = 16


def table(log: Log) -> str:
    """The releases, one on a line, then what moved the PCRs of each."""
    rows = [_row(release) for release in log.releases]
    causes = "".join(f"{line}\n" for release in log.releases for line in _causes(release))
    return f"{plain_table(_COLUMNS, rows)}{causes and chr(10)}{causes}"


def _row(release: Release) -> tuple[str, ...]:
    if release.image is None:
        return (printable(release.place), *("-" for _ in _COLUMNS[2:]), "NOT VERIFIED")
    packages = [size.packages for size in release.sizes.values()]
    return (
        f"{release.image.name} {release.image.version} {release.image.architecture}{_profile(release)}",
        printable(release.built or "-"),
        "+".join("?" if count is None else str(count) for count in packages) or "-",
        "+".join(str(size.files) for size in release.sizes.values()) or "-",
        size_words(total(release)) if release.sizes else "-",
        _policy(release),
        _moved(release),
        ", ".join(key[:_KEY] for key in release.verified_by) or "NOT VERIFIED",
    )


def _profile(release: Release) -> str:
    profile = "" if release.image is None else release.image.profile
    return "" if profile == "production" else f" ({profile})"


def _policy(release: Release) -> str:
    if release.policy is None:
        return "none"
    waived = f", {len(release.policy.waivers)} waived" if release.policy.waivers else ""
    return f"{'passed' if release.policy.passed else 'FAILED'}{waived}"


def _moved(release: Release) -> str:
    step = release.since
    if step is None:
        return "first"
    moved = ", ".join(str(pcr) for pcr in step.moved) or "none"
    return f"{moved}; not compared {', '.join(map(str, step.not_compared))}" if step.not_compared else moved


def _causes(release: Release) -> Iterator[str]:
    step = release.since
    if step is None or release.image is None or not (step.causes or step.policy):
        return
    yield f"{release.image.name} {step.previous} -> {release.image.version}"
    for cause in step.causes:
        unsure = "" if cause.explained else ", and nothing was found that explains it"
        yield f"  {one_line(cause_words(cause))}{unsure}: PCR {', '.join(map(str, cause.moved))}"
    for words in step.policy:
        yield f"  policy: {one_line(words)}"
