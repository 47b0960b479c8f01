"""Reading the data of a model once: its SHA-256 and its part of the hash tree, holes skipped, memory bounded.

The digests of blocks and the digest of the file are computed in threads of their own while the next piece is read;
hashlib lets go of the interpreter's lock meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from builder.errors import InvalidInputError
from builder.weights.hash_tree import BLOCK, Hasher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from builder.weights.hash_tree import TreeBuilder

_PIECE: Final = 1 << 20
# So many pieces are in memory at most, for each thread that hashes blocks.
_DEPTH: Final = 4
_MAX_THREADS: Final = 8
_ZEROS: Final = memoryview(bytes(_PIECE))


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a file, by offset and length in bytes; a hole is read as zeros and takes no space."""

    offset: int
    length: int
    is_hole: bool


def segments(descriptor: int, start: int, size: int) -> Iterator[Segment]:
    """The parts of ``size`` bytes from ``start`` on; all but the last begin and end at multiples of 4096 from there."""
    position = 0
    while position < size:
        data = _seek(descriptor, start + position, os.SEEK_DATA, start + size) - start
        data = min(max(data // BLOCK * BLOCK, position), size) if data < size else size
        if data > position:
            yield Segment(position, data - position, is_hole=True)
        if data < size:
            hole = _seek(descriptor, start + data, os.SEEK_HOLE, start + size) - start
            # At least one block: whoever writes the file while it is read must not make this loop stand still.
            end = min(max(-(-hole // BLOCK) * BLOCK, data + BLOCK), size)
            yield Segment(data, end - data, is_hole=False)
            data = end
        position = data


def _seek(descriptor: int, position: int, whence: int, end: int) -> int:
    try:
        return os.lseek(descriptor, position, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:  # no data behind the position
            raise
        return end


class Streamer:
    """Streams files into a tree; a context manager, since it has threads."""

    def __init__(self, hasher: Hasher, tree: TreeBuilder) -> None:
        threads = min(os.cpu_count() or 1, _MAX_THREADS)
        self._hasher, self._tree = hasher, tree
        self._blocks = ThreadPoolExecutor(threads, thread_name_prefix="blocks")
        self._whole = ThreadPoolExecutor(1, thread_name_prefix="whole")
        self._depth = threads * _DEPTH
        self._waiting: deque[tuple[Future[bytes] | int, Future[None]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pool in (self._blocks, self._whole):
            pool.shutdown(cancel_futures=True)

    def file(
        self, descriptor: int, start: int, size: int, *, name: str, write: Callable[[int, bytes], None] | None = None
    ) -> str:
        """The SHA-256 (hex) of ``size`` bytes from ``start`` on, after their blocks went into the tree.

        The last block is filled up with zeros. ``write`` gets all data that is no hole, with its offset in the file.
        Raises InvalidInputError if the file called ``name`` ends early.
        """
        state = hashlib.sha256()
        for segment in segments(descriptor, start, size):
            if segment.is_hole:
                whole = self._whole.submit(_update_with_zeros, state, segment.length)
                self._wait_for_room()
                self._waiting.append((-(-segment.length // BLOCK), whole))
                continue
            for offset in range(segment.offset, segment.offset + segment.length, _PIECE):
                length = min(_PIECE, segment.offset + segment.length - offset)
                data = _read(descriptor, start + offset, length, name)
                if write is not None:
                    write(offset, data)
                padded = data.ljust(-(-length // BLOCK) * BLOCK, b"\0")
                self._wait_for_room()
                digests = self._blocks.submit(self._hasher.digests, memoryview(padded))
                self._waiting.append((digests, self._whole.submit(state.update, data)))
        while self._waiting:
            self._settle()
        return state.hexdigest()

    def _wait_for_room(self) -> None:
        while len(self._waiting) >= self._depth:
            self._settle()

    def _settle(self) -> None:
        blocks, whole = self._waiting.popleft()
        if isinstance(blocks, int):
            self._tree.add_zeros(blocks)
        else:
            self._tree.add(blocks.result())
        whole.result()


def _read(descriptor: int, offset: int, length: int, name: str) -> bytes:
    data = os.pread(descriptor, length, offset)
    while len(data) < length:  # a read may be cut short by a signal
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise InvalidInputError(
                f"{name} ends at byte {offset + len(data)}, before the {length} bytes to read there"
            )
        data += more
    return data


def _update_with_zeros(state: hashlib._Hash, length: int) -> None:
    while length:
        count = min(length, _PIECE)
        state.update(_ZEROS[:count])
        length -= count
