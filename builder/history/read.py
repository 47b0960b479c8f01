"""Reading releases into a history. Images stay closed: statements and inventories tell all that a history has."""

from __future__ import annotations

import functools
from collections import Counter
from typing import TYPE_CHECKING

from builder.baseline.source import read_baseline
from builder.compare.baseline import Outside, Unknown
from builder.compare.baselines import compare
from builder.compare.difference import Verdict
from builder.compare.policy import NAME as POLICY
from builder.errors import InvalidInputError, NotVerifiedError
from builder.history.log import Cause, Log, PolicyOutcome, Release, Size, Step
from builder.release.layout import STATEMENTS, Names
from builder.release.version import compare_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Difference, Report
    from builder.release.statements import ImageIdentity
    from signing.keys import PublicKey


def find_releases(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The releases that the paths name: each is one itself, or a directory that holds some.

    Raises InvalidInputError for a path with none.
    """
    found: list[Path] = []
    for path in paths:
        if (path / STATEMENTS).exists():
            found.append(path)
            continue
        inside = [item for item in sorted(path.iterdir()) if (item / STATEMENTS).exists()] if path.is_dir() else []
        if not inside:
            raise InvalidInputError(f"{path} is no release and holds none", hint=f"a release has a {STATEMENTS}")
        found += inside
    return tuple(dict.fromkeys(found))


def read_log(paths: Sequence[Path], trusted: Sequence[PublicKey]) -> Log:
    """The history of releases. With ``trusted`` keys one of them must have signed each; what did not verify says why.

    Two releases are compared if they are neighbours among those of one image and architecture. Raises InvalidInputError
    for what is no release.
    """
    failed: list[Release] = []
    known: list[tuple[Path, Baseline]] = []
    for path in find_releases(paths):
        try:
            known.append((path, read_baseline(path, trusted, images=False)))
        except NotVerifiedError as error:
            failed.append(Release(place=str(path), verified_by=(), problems=error.problems))
    releases: list[Release] = []
    before: Baseline | None = None
    for path, side in sorted(known, key=functools.cmp_to_key(_order)):
        same = before is not None and _image(before)[:2] == _image(side)[:2]
        releases.append(_release(path, side, before if same else None))
        before = side
    return Log(verified=not failed and all(release.verified_by for release in releases), releases=(*releases, *failed))


def _order(one: tuple[Path, Baseline], other: tuple[Path, Baseline]) -> int:
    (*left, version), (*right, newer) = _image(one[1]), _image(other[1])
    if left != right:
        return -1 if left < right else 1
    return compare_versions(version, newer) or (one[0] > other[0]) - (one[0] < other[0])


def _image(side: Baseline) -> tuple[str, str, str]:
    """Name and architecture, which make a series, and version."""
    image = _identity(side)
    return image.name, image.architecture, image.version


def _identity(side: Baseline) -> ImageIdentity:
    if isinstance(side.identity, Unknown | Outside):
        raise InvalidInputError(f"{side.source.place} does not say what it is")
    return side.identity


def _release(path: Path, side: Baseline, before: Baseline | None) -> Release:
    image = _identity(side)
    uki = None if isinstance(side.uki, Unknown | Outside) else side.uki
    disk = path / Names.of(image).disk
    return Release(
        place=str(path),
        verified_by=side.source.key_ids,
        image=image,
        built=side.source.finished,
        kernel=None if uki is None else uki.kernel,
        stub=None if uki is None else uki.stub,
        root_hash=None if uki is None else uki.root_hash,
        disk_bytes=disk.stat().st_size if disk.exists() else None,
        sizes=_sizes(side),
        policy=_policy(side),
        since=None if before is None else _step(_identity(before).version, compare(before, side)),
    )


def _sizes(side: Baseline) -> dict[str, Size]:
    if isinstance(side.files, Unknown | Outside):
        return {}
    files: Counter[str] = Counter()
    contents: Counter[str] = Counter()
    for entry in side.files:
        files[entry.area] += 1
        contents[entry.area] += entry.size if entry.type == "file" else 0
    packages = _packages(side)
    return {
        area: Size(files=files[area], bytes=contents[area], packages=None if packages is None else packages[area])
        for area in sorted(files, reverse=True)
    }


def _packages(side: Baseline) -> Mapping[str, int] | None:
    if isinstance(side.packages, Unknown | Outside):
        return None
    return Counter(package.area for package in side.packages)


def _policy(side: Baseline) -> PolicyOutcome | None:
    verdict = side.verdict
    if verdict is None or isinstance(verdict, Unknown | Outside):
        return None
    return PolicyOutcome(
        passed=verdict.passed,
        outcomes=dict(sorted(Counter(verdict.outcomes.values()).items())),
        waivers=tuple(sorted(verdict.waivers)),
    )


def _step(previous: str, report: Report) -> Step:
    verdicts: dict[int, set[Verdict]] = {}
    for item in report.pcrs:
        verdicts.setdefault(item.pcr, set()).add(item.verdict)
    by_id = {link.id: link for link in report.links}
    policy = next(topic.differences for topic in report.topics if topic.name == POLICY)
    moved = {pcr for pcr, found in verdicts.items() if Verdict.DIFFERS in found}
    return Step(
        previous=previous,
        verdict=report.verdict,
        moved=tuple(sorted(moved)),
        unmoved=tuple(sorted(pcr for pcr, found in verdicts.items() if found == {Verdict.EQUAL})),
        not_compared=tuple(sorted(pcr for pcr in verdicts.keys() - moved if verdicts[pcr] != {Verdict.EQUAL})),
        causes=tuple(
            Cause(
                subjects=tuple(by_id[cause].subject for cause in chain.causes),
                moved=chain.moved,
                explained=chain.explained,
            )
            for chain in report.chains
            if chain.moved
        ),
        differences={topic.title: len(topic.differences) for topic in report.topics if topic.differences},
        policy=tuple(_policy_words(policy)),
    )


def _policy_words(differences: Sequence[Difference]) -> Iterator[str]:
    for item in differences:
        name = item.subject if item.kind == "verdict" else f"{item.kind} {item.subject}"
        yield f"{name}: {item.old or 'not there'} -> {item.new or 'gone'}"
