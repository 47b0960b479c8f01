"""PCR banks and the extend operation (TPM 2.0 Library, Part 1, 17.2 "PCR Extend Operations").

A PCR value is the bank's digest length in bytes. PCR 0 to 16 and 23 start at all zeros, 17 to 22 at all ones
(TCG PC Client Platform TPM Profile, "PCR Initial and Reset Values").
"""

from __future__ import annotations

import enum
import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PCR_COUNT = 24
# What a PCR holds on a machine that boots a UKI, in a few words; docs/reference/pcrs.md has sources.
HOLDS: Final[Mapping[int, str]] = MappingProxyType({
    0: "firmware code",
    1: "firmware configuration",
    2: "option ROMs",
    3: "option ROM configuration",
    4: "images that firmware loads",
    5: "partition table",
    6: "separator",
    7: "Secure Boot variables, signer",
    9: "command line, initrd",
    11: "UKI sections, boot phases",
    12: "what parameterises the UKI",
    13: "system extensions",
    14: "shim's state",
    15: "machine identity",
})  # fmt: skip


class Bank(enum.StrEnum):
    """A PCR bank that bedplate predicts and reads; the value is the name that systemd and tpm2-tools use."""

    SHA256 = "sha256"
    SHA384 = "sha384"

    @property
    def algorithm_id(self) -> int:
        """The TPM_ALG_ID (TPM 2.0 Library, Part 2, table "TPM_ALG_ID")."""
        return {Bank.SHA256: 0x000B, Bank.SHA384: 0x000C}[self]

    @property
    def size(self) -> int:
        """Bytes of a digest and of a PCR in this bank."""
        return {Bank.SHA256: 32, Bank.SHA384: 48}[self]

    def digest(self, *parts: bytes | memoryview) -> bytes:
        """The bank's hash over the concatenation of ``parts``."""
        state = hashlib.new(self.value)
        for part in parts:
            state.update(part)
        return state.digest()

    def extend(self, value: bytes, digest: bytes) -> bytes:
        """``H(value || digest)``. Raises ValueError if a length is not this bank's."""
        if len(value) != self.size or len(digest) != self.size:
            raise ValueError(f"{self.value}: a PCR and a digest have {self.size} bytes")
        return self.digest(value, digest)

    def replay(self, digests: Iterable[bytes]) -> bytes:
        """The value of a PCR that starts at zero after extending ``digests`` in order."""
        value = bytes(self.size)
        for digest in digests:
            value = self.extend(value, digest)
        return value
