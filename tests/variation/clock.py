"""Another time for the programs of a toolchain tree, by libfaketime in the sandbox that they run in.

The machine's clock is not touched: other work runs on it, and no namespace has a clock of its own for the time of day
(time_namespaces(7) has monotonic clocks only). mkosi starts every tool through its ``sandbox.py``; in a copy of the
tree that program puts the library before each tool. What runs in a chroot of the image itself, such as maintainer
scripts, does not see the library and has the real time.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = "usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
_SANDBOX = "usr/lib/python3/dist-packages/mkosi/sandbox.py"
# The place where the program becomes the tool (mkosi 25.3, mkosi/sandbox.py, main).
_EXEC = "        os.execvp(argv[0], argv)\n"
# Times that files have are part of the inputs and stay what they are; waiting is done by the real clock.
_SHIFT = f"""\
        os.environ.update(
            LD_PRELOAD="/{LIBRARY}", FAKETIME="+400d", NO_FAKE_STAT="1", FAKE_UTIME="0", DONT_FAKE_MONOTONIC="1",
        )
"""


def shift(tree: Path, libfaketime: Path) -> None:
    """Give the tools in ``tree``, a copy that nobody else uses, a clock that is 400 days ahead."""
    target = tree / LIBRARY
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(libfaketime, target)
    sandbox = tree / _SANDBOX
    text = sandbox.read_text(encoding="utf-8")
    if text.count(_EXEC) != 1:
        raise ValueError(f"{sandbox} starts its program in another way than in mkosi 25.3")
    # The copy may share its files with the original by hard links.
    sandbox.unlink()
    sandbox.write_text(text.replace(_EXEC, _SHIFT + _EXEC), encoding="utf-8")
