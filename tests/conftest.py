"""What all tests share: one toolchain tree, one tree of independent tools to compare with."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from builder.definition.mirror import find_mirror
from builder.errors import ToolMissingError
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import find_cache
from builder.mkosi.packages import TOOLCHAIN
from builder.progress import Silent
from tests.gateway import GO_TREE
from tests.supplies import shipped_supply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from builder.mkosi.toolchain import Toolchain
    from builder.vault.supply import Supply

# No test measures time: on a machine that is busy with other work an example takes as long as it takes.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell without job control starts its background jobs with SIGINT ignored, and what they start inherits that. Here it
# ends programs, as it does for a user.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs of other people that judge what we make, and a library that gives them another clock. Not part of bedplate,
# hence not of its toolchain.
# mkosi is there for its sandbox, in which every program of a tree runs.
ORACLES = ("cosign", "libfaketime", "mkosi", "osslsigncode", "sbsigntool", "swtpm", "tpm2-tools")

# Apart from the others: it is large, and they change more often.
BROWSER = ("chromium-headless-shell", "mkosi")


def _tree(packages: Sequence[str], supply: Supply | None = None) -> Toolchain:
    try:
        mirror = find_mirror(None, os.environ, None)
        return ensure_toolchain(find_cache(os.environ), mirror, Silent(), packages, supply=supply)
    except ToolMissingError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error} ({error.hint})")


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The toolchain tree, made on first use; without the means to make it a laptop skips and CI fails."""
    return _tree(TOOLCHAIN, shipped_supply())


@pytest.fixture(scope="session")
def test_tools() -> Toolchain:
    """A tree with the programs that only tests run."""
    return _tree(ORACLES)


@pytest.fixture(scope="session")
def browser_tools() -> Toolchain:
    """A tree with a browser."""
    return _tree(BROWSER)


@pytest.fixture(scope="session")
def go_tools() -> Toolchain:
    """A tree with Go, in which the gateway is built and tested."""
    return _tree(GO_TREE)
