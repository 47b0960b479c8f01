"""Where a machine of the rig could leave what was said to it: its disks, and its journal."""

from __future__ import annotations

import contextlib
import mmap
import re
from pathlib import Path

STARTED = b"MESSAGE=Started "


def written_to_disks(https_port: int) -> bytes:
    """What the running machine behind a port wrote to its disks: QEMU keeps it in files that have no name any more."""
    word = f"hostfwd=tcp:127.0.0.1:{https_port}-:443".encode()
    written = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command_line = (process / "cmdline").read_bytes()
            if b"qemu-system" not in command_line.split(b"\0")[0] or word not in command_line:
                continue
            overlays = [file for file in (process / "fd").iterdir() if "/vl." in str(file.readlink())]
            written += [file.read_bytes() for file in overlays]
    assert written, "there is no overlay of a disk"
    return b"".join(written)


def journalled(memory: Path, canary: bytes) -> list[bytes]:
    """Fields of journal entries with the canary, in a machine's memory, where its journal is."""
    found = []
    with memory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert view.find(STARTED + b"gateway.service") >= 0, "there is no journal"
        place = -1
        while (place := view.find(canary, place + 1)) >= 0:
            before = view[max(0, place - 4096) : place].rpartition(b"\0")[2]
            if re.search(rb"(MESSAGE|_CMDLINE|ERRNO|COREDUMP\w*)=", before):
                found.append(before + canary)
    return found


def in_memory(memory: Path, *words: bytes) -> dict[bytes, bool]:
    """Which words are in a machine's memory, such as what its kernel said last."""
    with memory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return {word: view.find(word) >= 0 for word in words}
