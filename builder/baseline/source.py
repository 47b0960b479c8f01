"""A path to a baseline: what it is, is seen from what is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError, inside
from builder.files import mapped
from builder.release.layout import BUILD_RECORD, REFERENCE_VALUES, STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from builder.compare.baseline import Baseline
    from signing.keys import PublicKey

_HINT: Final = "name a release, its release.intoto.jsonl or reference-values.json, or a disk image"
_UNSIGNED: Final = "UNVERIFIED: a disk image has no signature that --trust could be asked of"
_JSON: Final = b"{"


def read_baseline(path: Path, trusted: Sequence[PublicKey] = (), *, images: bool = True) -> Baseline:
    """Read one side of a comparison: a release directory, statements or reference values, or a disk image.

    ``trusted`` keys must have signed a release's statements; a disk image is what it is, whoever made it. Without
    ``images`` the disk and the UKI in a release stay closed. Raises NotVerifiedError, InvalidInputError.
    """
    if path.is_dir():
        if (path / STATEMENTS).exists():
            return _release(path, trusted, images=images)
        if (path / REFERENCE_VALUES).exists():
            return _values(path / REFERENCE_VALUES, trusted)
        if (path / BUILD_RECORD).exists():
            raise InvalidInputError(f"{path} is an unsigned build", hint="`bedplate sign` makes a release of it")
        raise InvalidInputError(f"{path} is no release: it has no {STATEMENTS}", hint=_HINT)
    with mapped(path, what="baseline") as view:
        first = bytes(view[:1])
    if path.name == STATEMENTS:
        return _release(path, trusted, images=False)
    if first == _JSON:
        return _values(path, trusted)
    if not images:
        raise InvalidInputError(f"{path} is a disk image, and images are not to be read")
    from builder.baseline.any_image import any_baseline  # noqa: PLC0415 -- the readers of images take a while to import

    with mapped(path, what="disk image") as view, inside(str(path)):
        side = any_baseline(view, str(path))
    return replace(side, remarks=(_UNSIGNED,)) if trusted else side


def _release(path: Path, trusted: Sequence[PublicKey], *, images: bool) -> Baseline:
    from builder.baseline.release import release_baseline  # noqa: PLC0415

    return release_baseline(path, trusted, images=images)


def _values(path: Path, trusted: Sequence[PublicKey]) -> Baseline:
    from builder.baseline.release import values_baseline  # noqa: PLC0415

    if trusted:
        raise InvalidInputError(f"{path} has no signature", hint=f"name {STATEMENTS}, or leave --trust away")
    return values_baseline(path)
