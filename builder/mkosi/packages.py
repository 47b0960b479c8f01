"""What is in the toolchain tree: Debian packages by what bedplate needs them for."""

from __future__ import annotations

from typing import Final

# The suite whose systemd (257), mkosi (25.3) and OVMF the predictions were checked against.
SUITE: Final = "trixie"

TOOLCHAIN: Final = (
    # Building: mkosi and the programs that it runs in its sandbox.
    "mkosi", "mmdebstrap", "apt", "bubblewrap", "ca-certificates", "cpio", "debian-archive-keyring", "kmod", "openssl",
    "procps", "python3-cryptography", "uidmap", "util-linux", "zstd",
    # Disk images: partitions, file systems, verity.
    "cryptsetup-bin", "dosfstools", "erofs-utils", "fdisk", "mtools", "squashfs-tools", "systemd-repart",
    # Unified kernel images.
    "systemd-boot-efi", "systemd-boot-tools", "systemd-ukify",
    # Programs of the image in Go: the compiler, and the libraries that it finds in Debian's packages.
    "golang-go", "golang-github-google-go-tpm-dev",
    # Booting: the machine, its firmware and its TPM.
    "ovmf", "qemu-system-x86", "swtpm", "swtpm-tools",
)  # fmt: skip
