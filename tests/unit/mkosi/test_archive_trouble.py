"""What apt says about an archive becomes an error about this archive, with what can be done about it."""

from __future__ import annotations

import pytest

from builder.definition.archives import OWN_ORIGIN
from builder.definition.mirror import Mirror
from builder.errors import ToolFailedError
from builder.mkosi.archive import ArchiveWatch, blame_archive

MAIN = Mirror("https://deb.example.org/debian", "--mirror")
OWN = Mirror("https://vendor.example.org/apt", OWN_ORIGIN)


def blamed(line: str) -> ToolFailedError:
    watch = ArchiveWatch()
    watch.line(line)
    with pytest.raises(ToolFailedError) as caught, blame_archive(watch, MAIN, OWN):
        raise ToolFailedError("apt failed", hint="see the log")
    return caught.value


@pytest.mark.parametrize(
    ("line", "place", "hint"),
    [
        (
            "E: The repository 'https://deb.example.org/debian x InRelease' is not signed.",
            MAIN,
            "name a reachable Debian",
        ),
        (
            "E: The repository 'https://vendor.example.org/apt x InRelease' is not signed.",
            OWN,
            "distribution.archives in image.yaml names its mirror and keys",
        ),
        (
            "E: Release file for https://vendor.example.org/apt/x is expired",
            OWN,
            "name a mirror that is up to date; allow_expired",
        ),
    ],
)
def test_the_archive_is_named_with_what_can_be_done(line: str, place: Mirror, hint: str) -> None:
    error = blamed(line)
    assert str(error) == f"packages cannot be had from {place.url} (from {place.origin}): {line}"
    assert error.hint is not None
    assert error.hint.startswith(hint)
    assert error.hint.endswith("; see the log")


def test_a_failure_that_is_not_the_archives_stays_what_it_is() -> None:
    assert str(blamed("E: Could not connect to somewhere")).startswith(f"packages cannot be had from {MAIN.url}")
    with pytest.raises(ToolFailedError, match=r"^apt failed$"), blame_archive(ArchiveWatch(), MAIN):
        raise ToolFailedError("apt failed")
