"""Boot a release in QEMU with OVMF and swtpm, and read the real PCRs."""
