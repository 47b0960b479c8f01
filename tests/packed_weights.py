"""A small model, packed, for tests of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.progress import Silent
from builder.weights.pack import PackedWeights, pack

if TYPE_CHECKING:
    from pathlib import Path

# Sizes around a block, names that sort apart from how directories would, a name of the greatest length.
FILES = {
    "config.json": b"{}\n",
    "empty": b"",
    "tensors/a.bin": b"a" * 4096,
    "tensors/b.bin": b"b" * 4097,
    "tensors.txt": b"names\n",
    "deep/er/still/model.gguf": bytes(range(256)) * 100,
    "n" * 255: b"long",
}


def write_model(directory: Path, files: dict[str, bytes] | None = None) -> Path:
    """The files below ``directory``."""
    for path, content in (files or FILES).items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return directory


def packed(model: Path, output: Path, name: str = "small") -> PackedWeights:
    """``model`` packed into ``output``, which is made."""
    output.mkdir()
    return pack(model, name, "Apache-2.0", output, Silent())
