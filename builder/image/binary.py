"""A bounds-checked view over bytes that nobody vouches for; every reader of an image looks through one.

A reader never indexes raw bytes: a length or an offset that a file claims goes through :class:`BinaryView`, and what
lies outside is a MalformedImageError that names the structure and the absolute offset, never an IndexError, a
struct.error or a silently shortened slice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from builder.errors import MalformedImageError

if TYPE_CHECKING:
    from typing import Self

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, eq=False)
class BinaryView:
    """A named window on untrusted bytes.

    ``data`` is a flat memoryview of bytes, ``structure`` the format's own name for what lies there (it opens every
    error message) and ``base`` the offset of its first byte in the file, so that errors give absolute offsets. All
    offsets passed to methods are relative to the view, integers are little-endian unless the name ends in ``be``.
    """

    data: memoryview
    structure: str
    base: int = 0

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview, structure: str, base: int = 0) -> Self:
        """A view of a whole buffer. Raises MalformedImageError if a memoryview is not one flat run of bytes."""
        view = memoryview(data)
        if view.ndim != 1 or view.itemsize != 1 or not view.c_contiguous:
            raise MalformedImageError(structure, None, "the buffer is not a flat run of bytes")
        return cls(view.cast("B") if view.format != "B" else view, structure, base)

    def __len__(self) -> int:
        return len(self.data)

    def error(self, offset: int, problem: str, *, hint: str | None = None) -> MalformedImageError:
        """The error to raise for a problem at ``offset`` of this view; it carries the absolute offset."""
        return MalformedImageError(self.structure, self.base + offset, problem, hint=hint)

    def named(self, structure: str) -> BinaryView:
        """The same bytes under another name."""
        return BinaryView(self.data, structure, self.base)

    def view(self, offset: int, length: int, structure: str | None = None) -> BinaryView:
        """A window on ``length`` bytes at ``offset``, without a copy."""
        return BinaryView(self.slice(offset, length), structure or self.structure, self.base + offset)

    def slice(self, offset: int, length: int) -> memoryview:
        """``length`` bytes at ``offset``, without a copy."""
        self._require(offset, length)
        return self.data[offset : offset + length]

    def read(self, offset: int, length: int) -> bytes:
        """A copy of ``length`` bytes at ``offset``."""
        return bytes(self.slice(offset, length))

    def u8(self, offset: int) -> int:
        """The byte at ``offset``."""
        self._require(offset, 1)
        return self.data[offset]

    def u16(self, offset: int) -> int:
        """The little-endian 16 bit number at ``offset``."""
        return self._number(_U16, offset)

    def u32(self, offset: int) -> int:
        """The little-endian 32 bit number at ``offset``."""
        return self._number(_U32, offset)

    def u64(self, offset: int) -> int:
        """The little-endian 64 bit number at ``offset``."""
        return self._number(_U64, offset)

    def unpack(self, layout: struct.Struct, offset: int = 0) -> tuple[Any, ...]:
        """The fields of a fixed structure at ``offset``; the types are those that ``layout`` asks for."""
        self._require(offset, layout.size)
        return layout.unpack_from(self.data, offset)

    def c_string(self, offset: int, limit: int) -> bytes:
        """The bytes from ``offset`` to the first NUL. Raises MalformedImageError if none comes within ``limit``."""
        available = min(limit, len(self.data) - offset)
        text, found, _ = self.read(offset, max(available, 0)).partition(b"\0")
        if not found:
            raise self.error(offset, f"a string has no end within {max(available, 0)} bytes")
        return text

    def _number(self, layout: struct.Struct, offset: int) -> int:
        self._require(offset, layout.size)
        number: int = layout.unpack_from(self.data, offset)[0]
        return number

    def _require(self, offset: int, length: int) -> None:
        # A negative offset would count from the end in Python: refuse it as any other place outside the view.
        if offset < 0 or length < 0 or offset + length > len(self.data):
            raise self.error(offset, f"needs {length} bytes, but the structure ends at {self.base + len(self.data):#x}")
