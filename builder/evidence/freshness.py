"""Nonces: evidence is an answer to a question that the verifier asked now, or it may be an old answer."""

from __future__ import annotations

import enum
import hmac
from typing import Final, TypeAlias

from builder.errors import InvalidInputError, NotVerifiedError

# The longest that a document can carry (a quote: 64 bytes). How short is too short to be guessed, the caller knows.
MAX_NONCE: Final = 1024


class NoNonce(enum.Enum):
    """Said in place of a nonce by a caller that ascertains freshness elsewhere, or looks at stored evidence.

    The result then says that freshness was not checked. There is no way to leave out the nonce by accident.
    """

    FRESHNESS_NOT_CHECKED = "freshness not checked"


class OtherNonceError(NotVerifiedError):
    """The evidence carries a nonce, and another than the expected one."""


ExpectedNonce: TypeAlias = bytes | NoNonce


def check_nonce(expected: ExpectedNonce, found: bytes | None) -> bytes | None:
    """The nonce that was verified, or ``None`` if the caller said that freshness is not checked.

    The comparison takes the same time whatever differs. Raises NotVerifiedError if the evidence has no nonce or
    another, InvalidInputError if the expected one is empty or longer than MAX_NONCE.
    """
    if isinstance(expected, NoNonce):
        return None
    if not 1 <= len(expected) <= MAX_NONCE:
        raise InvalidInputError(
            f"a nonce of {len(expected)} bytes is given, it must have 1 to {MAX_NONCE}",
            hint="use 32 random bytes",
        )
    if not found:
        raise NotVerifiedError("the evidence is not an answer to this request", ("it carries no nonce",))
    if not hmac.compare_digest(expected, found):
        raise OtherNonceError("the evidence is not an answer to this request", ("it carries another nonce",))
    return expected
