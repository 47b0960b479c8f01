"""How long `bedplate measure` takes on a large UKI, as a whole process: python -m tests.bench.measure [RUNS]."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import zstandard

from builder.definition.model import Profile
from builder.release.keyring import generate_keyring, load_keyring
from builder.release.sign import sign_uki
from signing.keys import Algorithm
from tests.bench.timing import BEDPLATE, machine, median, table, timed
from tests.uki_builder import build_uki, bzimage

LIMIT_SECONDS = 0.5
KERNEL_BYTES = 11 << 20
PACKED_INITRD_BYTES = 51 << 20
FILE_BYTES = 80_000


def main(runs: int) -> int:
    """Print the table; 0 if the median keeps the limit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate_keyring(folder / "keys", Profile.PRODUCTION, Algorithm.ED25519)
        uki = folder / "node.efi"
        uki.write_bytes(sign_uki(large_uki(), load_keyring(folder / "keys")))
        keys = str(folder / "keys/secure-boot")
        command = [BEDPLATE, "measure", str(uki), "--secure-boot", keys]
        timed(command)
        rows = {
            "`bedplate measure`": [timed(command) for _ in range(runs)],
            "`--format json`": [timed([*command, "--format", "json"]) for _ in range(runs)],
        }
        print(f"{machine()}; UKI of {uki.stat().st_size / 1e6:.1f} MB\n\n{table(rows)}")
    kept = median(rows["`bedplate measure`"]) <= LIMIT_SECONDS
    print(f"\nthe limit of {LIMIT_SECONDS} s is {'kept' if kept else 'NOT kept'}")
    return 0 if kept else 1


def large_uki() -> bytes:
    """A UKI with a kernel of 11 MB and an initrd that packs to about 51 MB."""
    kernel = bzimage("6.12.1")
    return build_uki(
        [
            (".linux", kernel + os.urandom(KERNEL_BYTES - len(kernel))),
            (".osrel", b'IMAGE_ID="node"\n'),
            (".cmdline", b"quiet"),
            (".initrd", packed(large_archive())),
            (".uname", b"6.12.1"),
        ]
    )


def packed(archive: bytes) -> bytes:
    """As ``zstd`` packs what comes through a pipe: without the size in its header."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(archive) + compressor.flush()


def large_archive() -> bytes:
    """A cpio archive of files that compress to half, as modules and libraries do, with systemd's library among them."""
    archive = bytearray()
    for index, directory in enumerate((".", "usr", "usr/lib", "usr/lib/systemd"), 1):
        archive += cpio_entry(directory, b"", index, mode=0o40755)
    files = PACKED_INITRD_BYTES // (FILE_BYTES // 2)
    for index in range(files):
        name = "libsystemd-shared-257.so" if index == 0 else f"file-{index:05}"
        content = os.urandom(FILE_BYTES // 2) + b"bedplate" * (FILE_BYTES // 16)
        archive += cpio_entry(f"usr/lib/systemd/{name}", content, 100 + index, mode=0o100644)
    return bytes(archive + cpio_entry("TRAILER!!!", b"", 0, mode=0))


def cpio_entry(name: str, content: bytes, inode: int, *, mode: int) -> bytes:
    """One entry of the newc form."""
    raw = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    return header + bytes(-len(header) % 4) + content + bytes(-len(content) % 4)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
