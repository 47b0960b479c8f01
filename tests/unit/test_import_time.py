"""The packages stay cheap to import: what a part does not need, it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("click", "rich", "cryptography", "jinja2", "yaml", "msgspec", "zstandard", "ctypes", "asyncio")


def loaded_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "module",
    ["builder", "builder.errors", "builder.progress", "builder.files", "builder.cli.main", "policies", "signing"],
)
def test_this_import_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(module) & set(HEAVY) == set()


def test_the_list_of_heavy_modules_can_be_seen() -> None:
    assert "click" in loaded_by("builder.cli.group")
    assert "rich" not in loaded_by("builder.cli.group")
