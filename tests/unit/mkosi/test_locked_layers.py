"""A layer has exactly the packages that the lock has for it."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from builder.errors import ToolFailedError
from builder.mkosi.layered import require_locked
from builder.mkosi.manifest import InstalledPackage

HELLO = InstalledPackage("hello", "1", "amd64", "a" * 64)
WORLD = InstalledPackage("world", "2", "amd64", "b" * 64)


@pytest.mark.parametrize("packages", [(), (HELLO,), (HELLO, WORLD)])
def test_what_the_lock_has_is_taken(packages: tuple[InstalledPackage, ...]) -> None:
    require_locked("base", packages, frozenset(reversed(packages)))


@pytest.mark.parametrize(
    ("installed", "locked", "problem"),
    [
        ((HELLO, WORLD), (HELLO,), f"world 2 (amd64) with SHA-256 {'b' * 64} is installed and not in the lock"),
        ((HELLO,), (HELLO, WORLD), f"world 2 (amd64) with SHA-256 {'b' * 64} is in the lock and not installed"),
        ((), (HELLO,), "hello 1 (amd64) with SHA-256"),
        ((replace(HELLO, sha256="c" * 64),), (HELLO,), "hello 1 (amd64) with SHA-256"),
        ((replace(HELLO, version="2"),), (HELLO,), "hello 1 (amd64) with SHA-256"),
        ((replace(HELLO, architecture="all"),), (HELLO,), "hello 1 (all) with SHA-256"),
    ],
)
def test_another_package_than_the_lock_has_is_refused(
    installed: tuple[InstalledPackage, ...], locked: tuple[InstalledPackage, ...], problem: str
) -> None:
    with pytest.raises(ToolFailedError, match=f"layer base: {re.escape(problem)}"):
        require_locked("base", installed, locked)
