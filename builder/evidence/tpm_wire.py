"""TPM 2.0 structures as they lie in files: big-endian fields behind bounds checks, and the algorithms by name.

Formats: TPM 2.0 Library, Part 2 "Structures" (TPM_ALG_ID, TPM2B_*, TPML_*). Everything here is read from an attester,
so no length is believed before it was compared with what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.evidence.algorithms import HashAlgorithm
from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from builder.errors import MalformedImageError

ALG_NULL: Final = 0x0010
# Hash algorithms that a quoted bank, a name or a signature may have here; fewer than an event log may show. The names
# are hashlib's, tpm2-tools' and systemd's.
SUPPORTED_HASHES: Final = (HashAlgorithm.SHA1, HashAlgorithm.SHA256, HashAlgorithm.SHA384, HashAlgorithm.SHA512)
HASHES: Final = {algorithm.value: algorithm.label for algorithm in SUPPORTED_HASHES}
HASH_SIZES: Final = {algorithm.label: algorithm.size for algorithm in SUPPORTED_HASHES}
# The largest structure that is read: a TPM's own buffers hold 4096 bytes.
MAX_STRUCTURE: Final = 4096


class WireReader:
    """Takes fields off a TPM structure from its first byte to its last.

    Every method raises MalformedImageError when the structure ends too early. ``name`` opens its messages.
    """

    def __init__(self, data: bytes, name: str, *, limit: int = MAX_STRUCTURE) -> None:
        """Read ``data``. Raises MalformedImageError when it is empty or longer than ``limit``."""
        self._view = BinaryView.of(data, name)
        self.position = 0
        if not data:
            raise self.error("it is empty")
        if len(data) > limit:
            raise self.error(f"it has {len(data)} bytes, more than {limit}")

    @property
    def remaining(self) -> int:
        """Bytes that were not read yet."""
        return len(self._view) - self.position

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        taken = self._view.read(self.position, size)
        self.position += size
        return taken

    def number(self, size: int) -> int:
        """The next unsigned number, of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def sized(self, limit: int) -> bytes:
        """The contents of the next TPM2B: a 16 bit length, at most ``limit``, and as many bytes."""
        size = self.number(2)
        if size > limit:
            raise self.error(f"a field of {size} bytes is longer than {limit}")
        return self.take(size)

    def count(self, limit: int) -> int:
        """The 32 bit number of entries of the next list, at most ``limit``."""
        count = self.number(4)
        if count > limit:
            raise self.error(f"a list of {count} entries is longer than {limit}")
        return count

    def hash_name(self) -> str:
        """The next TPMI_ALG_HASH as hashlib's name. Raises InvalidInputError if it is none of HASHES."""
        return hash_name(self.number(2), self._view.structure)

    def finish(self) -> None:
        """Require that nothing is left."""
        if self.remaining:
            raise self.error(f"{self.remaining} bytes follow its end")

    def error(self, problem: str) -> MalformedImageError:
        """The error to raise for a problem at the current place."""
        return self._view.error(self.position, problem)


def hash_name(algorithm: int, structure: str) -> str:
    """hashlib's name of a TPM_ALG_ID. Raises InvalidInputError, for ``structure``, if it is none of HASHES."""
    try:
        return HASHES[algorithm]
    except KeyError:
        raise InvalidInputError(
            f"{structure}: the hash algorithm {algorithm:#06x} is not supported ({', '.join(HASHES.values())} are)"
        ) from None
