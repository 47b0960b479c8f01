from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parents[2] / "vectors/image"


@pytest.fixture(scope="session")
def sample() -> Callable[[str], bytes]:
    """Loads an image of tests/vectors/image by its name without ``.zst``."""

    def load(name: str) -> bytes:
        return zstandard.ZstdDecompressor().decompress((VECTORS / f"{name}.zst").read_bytes())

    return load
