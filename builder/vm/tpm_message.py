"""TPM 2.0 messages on the wire (TPM 2.0 Library, Part 1, chapter 18 "Command/Response Structure").

All integers are big-endian. A command is ``u16 tag, u32 size, u32 command code``, a response ``u16 tag, u32 size,
u32 response code``; with the tag TPM_ST_SESSIONS an authorization area follows the command's handles and a parameter
size precedes the response's parameters.
"""

from __future__ import annotations

from builder.errors import ToolFailedError

HEADER_SIZE = 10
# swtpm and QEMU use a 4096-byte buffer (CMD_SET_BUFFERSIZE); nothing longer can cross the channel.
MAX_MESSAGE_SIZE = 4096
ST_NO_SESSIONS = 0x8001
ST_SESSIONS = 0x8002
RC_SUCCESS = 0
# No list has more entries: a TPM has at most a handful of hash algorithms.
_MAX_COUNT = 16


class MalformedTpmMessageError(ToolFailedError):
    """A TPM command or response breaks the wire format, or a response says that the command failed.

    ``offset`` is the byte offset inside the message.
    """

    def __init__(self, message: str, offset: int, problem: str) -> None:
        super().__init__(f"{message} at offset {offset:#x}: {problem}")
        self.offset = offset
        self.problem = problem


class TpmReader:
    """Takes big-endian fields off a message; every access is checked against its end.

    All methods raise MalformedTpmMessageError; ``name`` opens its message.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        if size > len(self.data) - self.position:
            raise self.error(f"{size} bytes are needed, {len(self.data) - self.position} are left")
        self.position += size
        return self.data[self.position - size : self.position]

    def header(self) -> int:
        """Read tag and size, check the size, return the tag."""
        tag = self.number(2)
        size = self.number(4)
        if size != len(self.data):
            raise self.error(f"the header says {size} bytes, the message has {len(self.data)}")
        return tag

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes."""
        self.take(size)

    def number(self, size: int) -> int:
        """The next unsigned number, of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def count(self) -> int:
        """The number of entries of a list."""
        count = self.number(4)
        if count > _MAX_COUNT:
            raise self.error(f"a list of {count} entries is longer than {_MAX_COUNT}")
        return count

    def finish(self) -> None:
        """Require that nothing is left."""
        if self.position != len(self.data):
            raise self.error(f"{len(self.data) - self.position} bytes follow the end of the structure")

    def error(self, problem: str) -> MalformedTpmMessageError:
        """The error to raise for a problem at the current place."""
        return MalformedTpmMessageError(self.name, self.position, problem)


def message_size(header: bytes) -> int:
    """The size of a whole command or response from its first HEADER_SIZE bytes.

    Raises MalformedTpmMessageError if the size is impossible.
    """
    reader = TpmReader("TPM message header", header)
    reader.number(2)
    size = reader.number(4)
    if not HEADER_SIZE <= size <= MAX_MESSAGE_SIZE:
        raise reader.error(f"size {size} is not between {HEADER_SIZE} and {MAX_MESSAGE_SIZE}")
    return size
