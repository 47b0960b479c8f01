"""A real build of the shipped image, made once and kept in the cache, and a release of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from builder.definition.load import load
from builder.definition.model import Profile
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.release.build import BuildRequest, build_image
from builder.release.keyring import Keyring, generate_keyring, load_keyring
from builder.release.sign import sign_build
from signing.keys import Algorithm
from tests.releases import Copy, variant
from tests.supplies import IMAGE, shipped_supply

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

MKOSI_SECONDS = 1800.0


@pytest.fixture(scope="session")
def built(toolchain: Toolchain) -> Path:
    """The unsigned build of images/inference-node; one of the same inputs that an earlier run left is as good."""
    cache = find_cache(os.environ)
    loaded = load(IMAGE)
    request = BuildRequest(loaded, None, cache, cache.directory / "tests", MKOSI_SECONDS, supply=shipped_supply())
    return build_image(request, Silent()).directory


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of production keys."""
    directory = tmp_path_factory.mktemp("keys") / "trusted"
    generate_keyring(directory, Profile.PRODUCTION, Algorithm.ED25519)
    return directory


@pytest.fixture(scope="session")
def keys(keyring: Path) -> Keyring:
    """The same keys, loaded."""
    return load_keyring(keyring)


@pytest.fixture(scope="session")
def release(built: Path, keyring: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed release. Nobody may change it: ``copy`` makes one to tamper with."""
    target = tmp_path_factory.mktemp("release") / "1.0.0"
    return sign_build(built, load_keyring(keyring), Silent(), output=target).directory


@pytest.fixture(scope="session")
def other_release(built: Path, keyring: Path, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release by the same keys whose UKI has another command line."""
    folder = tmp_path_factory.mktemp("other-release")
    unsigned = variant(built, folder / "unsigned", toolchain, {".cmdline": lambda text: text.rstrip(b"\0") + b" more"})
    return sign_build(unsigned, load_keyring(keyring), Silent(), output=folder / "1.0.0").directory


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Copy:
    """A copy of the release to tamper with."""
    return Copy.of(release, tmp_path / "copy")


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Copy]:
    """Makes a copy of any release to tamper with."""
    return lambda original: Copy.of(original, tmp_path / "copy")
