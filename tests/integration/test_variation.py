"""A release comes out again, bit by bit, in a world that differs along every axis that can be varied here."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from builder.mkosi.cache import find_cache
from tests.supplies import shipped_supply
from tests.variation import clock, world
from tests.variation.axes import AXES

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration
LEAST = 4


@pytest.mark.timeout(1800)
def test_a_release_comes_out_again_in_a_hostile_world(
    release: Path, keyring: Path, toolchain: Toolchain, test_tools: Toolchain
) -> None:
    """One rebuild with all axes at once; ``python -m tests.variation --each`` tells which one it was."""
    libfaketime = test_tools.tree / clock.LIBRARY
    # Another id for root needs a cache of its own, and is left to the long run.
    axes = [axis for axis in AXES if axis.lacks(libfaketime) is None and axis.name != "user-namespace"]
    assert len(axes) >= (len(AXES) - 1 if os.environ.get("CI") and os.geteuid() == 0 else LEAST)
    place = find_cache(os.environ).directory / "tests/hostile"
    shutil.rmtree(place, ignore_errors=True)
    setting = world.make(place, toolchain)
    result = world.rebuild(
        setting, axes, libfaketime, release, keyring / "release.pub", shipped_supply().vault.directory
    )
    assert result.status == 0, f"{result.stdout}\n{result.stderr}"
    assert result.stdout.startswith("identical: ")
    shutil.rmtree(place)


def test_a_shuffled_copy_has_the_same_content(tmp_path: Path) -> None:
    for name in ("a", "b/c", "b/d"):
        (tmp_path / "one" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "one" / name).write_text(name)
    (tmp_path / "one/link").symlink_to("b")
    world.shuffled_copy(tmp_path / "one", tmp_path / "two", link=False)
    assert sorted(str(path.relative_to(tmp_path / "two")) for path in (tmp_path / "two").rglob("*")) == [
        "a", "b", "b/c", "b/d", "link"
    ]  # fmt: skip
    assert (tmp_path / "two/link").readlink().name == "b"
    assert (tmp_path / "two/b/c").read_text() == "b/c"


def test_a_tree_whose_sandbox_is_another_is_not_given_another_clock(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"")
    sandbox = tmp_path / "tree/usr/lib/python3/dist-packages/mkosi/sandbox.py"
    sandbox.parent.mkdir(parents=True)
    sandbox.write_text("os.execvp(other, argv)\n")
    with pytest.raises(ValueError, match="starts its program in another way"):
        clock.shift(tmp_path / "tree", tmp_path / "lib.so")
