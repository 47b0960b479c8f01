"""The release of an x86 Linux kernel, from the setup header of its bzImage (kernel Documentation/arch/x86/boot.rst)."""

from __future__ import annotations

from builder.image.binary import BinaryView

_SETUP_HEADER_MAGIC = 0x202
_VERSION_POINTER = 0x20E
_VERSION_BASE = 0x200
_MAX_VERSION_LENGTH = 256


def kernel_release(kernel: bytes | memoryview) -> str | None:
    """What ``uname -r`` prints under this kernel; None if it is no bzImage or does not say.

    Raises MalformedImageError for a bzImage whose version string is broken.
    """
    view = BinaryView.of(kernel, "bzImage setup header")
    if len(view) < _VERSION_POINTER + 2 or view.read(_SETUP_HEADER_MAGIC, 4) != b"HdrS":
        return None
    pointer = view.u16(_VERSION_POINTER)
    if pointer == 0:
        return None
    text = view.c_string(_VERSION_BASE + pointer, _MAX_VERSION_LENGTH)
    release = text.split(b" ", 1)[0]
    if not release.isascii() or not release.decode("ascii").isprintable():
        raise view.error(_VERSION_BASE + pointer, f"the kernel version {text!r} is not text")
    return release.decode("ascii")
