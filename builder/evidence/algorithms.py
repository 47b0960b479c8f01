"""The hash algorithms of event logs and quotes (TCG Algorithm Registry 1.34, table "TPM_ALG_ID").

More than the banks that bedplate predicts (``builder.measurement.pcr.Bank``): a log says what firmware measured with.
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes

if TYPE_CHECKING:
    from builder.measurement.pcr import Bank


class HashAlgorithm(enum.IntEnum):
    """A hash that a TPM may have; the value is its TPM_ALG_ID, ``label`` the name that tpm2-tools uses."""

    SHA1 = 0x0004
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    SM3_256 = 0x0012
    SHA3_256 = 0x0027
    SHA3_384 = 0x0028
    SHA3_512 = 0x0029

    @classmethod
    def of_bank(cls, bank: Bank) -> HashAlgorithm:
        """The algorithm of a bank that bedplate predicts."""
        return cls(bank.algorithm_id)

    @property
    def label(self) -> str:
        """``sha256``, ``sm3_256`` and so on."""
        return self.name.lower()

    @property
    def size(self) -> int:
        """Bytes of a digest."""
        return _SIZES[self]

    def digest(self, data: bytes) -> bytes:
        """The hash over ``data``."""
        if self is HashAlgorithm.SM3_256:  # hashlib has it only where its OpenSSL does
            state = hashes.Hash(hashes.SM3())
            state.update(data)
            return state.finalize()
        return hashlib.new(self.label, data).digest()

    def extend(self, value: bytes, digest: bytes) -> bytes:
        """``H(value || digest)``. Raises ValueError if a length is not the algorithm's."""
        if len(value) != self.size or len(digest) != self.size:
            raise ValueError(f"{self.label}: a register and a digest have {self.size} bytes")
        return self.digest(value + digest)


_SIZES = {
    HashAlgorithm.SHA1: 20,
    HashAlgorithm.SHA256: 32,
    HashAlgorithm.SHA384: 48,
    HashAlgorithm.SHA512: 64,
    HashAlgorithm.SM3_256: 32,
    HashAlgorithm.SHA3_256: 32,
    HashAlgorithm.SHA3_384: 48,
    HashAlgorithm.SHA3_512: 64,
}
_KNOWN = frozenset(HashAlgorithm)


def known_algorithm(identifier: int) -> HashAlgorithm | None:
    """The algorithm of a TPM_ALG_ID, None if bedplate does not know it."""
    return HashAlgorithm(identifier) if identifier in _KNOWN else None


def algorithm_label(identifier: int) -> str:
    """The name of a TPM_ALG_ID, or the number in hexadecimal."""
    known = known_algorithm(identifier)
    return known.label if known else f"{identifier:#06x}"
