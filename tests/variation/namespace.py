"""Run a command as root of a new user namespace with 65536 ids: ``namespace.py COMMAND...``, as real root.

Like a container without privileges. unshare(1) would need newuidmap, which is not everywhere.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

FIRST_ID = 100_000
IDS = 65_536
_NEW_USER, _NEW_MOUNT = 0x1000_0000, 0x0002_0000  # CLONE_NEWUSER, CLONE_NEWNS in sched.h


def main(command: list[str]) -> int:
    """The exit status of the command."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_NEW_USER | _NEW_MOUNT) != 0:
            os._exit(97)
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os.setgid(0)
        os.setgroups([])
        os.setuid(0)
        os.execvp(command[0], command)  # noqa: S606 -- a command line of the harness
    os.close(ready[1])
    if os.read(ready[0], 1):
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(f"0 {FIRST_ID} {IDS}\n", encoding="ascii")
        os.write(go[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
