"""The attestation key of a machine's TPM, and a quote by it once the machine was stopped, by raw commands.

TPM 2.0 Library, Part 3, 24.1 "TPM2_CreatePrimary", 18.4 "TPM2_Quote" and 28.4 "TPM2_FlushContext". The key is a primary
of the endorsement hierarchy: ECC P-256 with ECDSA and SHA-256, restricted, signing, and bound to this TPM. It is made
from the TPM's seed, so the same TPM always makes the same key; the gateway of a node makes it, too (``keyTemplate`` in
its ``internal/tpm/quote.go``).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.measurement.pcr import PCR_COUNT, Bank
from builder.vm.tpm_message import HEADER_SIZE, RC_SUCCESS, ST_NO_SESSIONS, ST_SESSIONS, TpmReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CC_CREATE_PRIMARY: Final = 0x00000131
_CC_QUOTE: Final = 0x00000158
_CC_FLUSH_CONTEXT: Final = 0x00000165
_RH_ENDORSEMENT: Final = 0x4000000B
_ALG_ECC, _ALG_SHA256, _ALG_ECDSA, _ALG_NULL = 0x0023, 0x000B, 0x0018, 0x0010
_CURVE_P256: Final = 0x0003
# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign (Part 2, 8.3 "TPMA_OBJECT").
_ATTESTATION_KEY: Final = 0x00050072
# One authorization: the password session (TPM_RS_PW) with an empty password.
_EMPTY_PASSWORD: Final = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
MAX_NONCE: Final = 32
_RC_RETRY: Final = struct.pack(">I", 0x00000922)
_TRIES: Final = 16


@dataclass(frozen=True, slots=True)
class RawQuote:
    """What a TPM answered: the key's TPMT_PUBLIC, a TPMS_ATTEST, and a TPMT_SIGNATURE over it.

    Nothing of it is verified: that is for ``builder.evidence``.
    """

    public: bytes
    attest: bytes
    signature: bytes


def attestation_key(transact: Callable[[bytes], bytes]) -> bytes:
    """The TPMT_PUBLIC of the attestation key. The TPM may be that of a running machine: nothing stays in it.

    ``transact`` and what is raised are as for ``quote``.
    """
    handle, public = _create_key(transact)
    flush = struct.pack(">HIII", ST_NO_SESSIONS, HEADER_SIZE + 4, _CC_FLUSH_CONTEXT, handle)
    reader = TpmReader("TPM2_FlushContext response", transact(flush))
    tag = reader.header()
    code = reader.number(4)
    if code != RC_SUCCESS or tag != ST_NO_SESSIONS:
        raise reader.error(f"response code {code:#x}, tag {tag:#x}")
    return public


def quote(transact: Callable[[bytes], bytes], nonce: bytes, pcrs: Iterable[int]) -> RawQuote:
    """Make an attestation key and quote ``pcrs`` in every bank that bedplate knows.

    ``transact`` sends one command to the TPM and returns the response. Raises MalformedTpmMessageError if the TPM
    refuses or its answer is not whole, ValueError for a nonce that does not fit or no PCR.
    """
    selected = sorted(set(pcrs))
    if not 1 <= len(nonce) <= MAX_NONCE:
        raise ValueError(f"a nonce has 1 to {MAX_NONCE} bytes, not {len(nonce)}")
    if not selected or not 0 <= selected[0] <= selected[-1] < PCR_COUNT:
        raise ValueError("a quote is over one or more of the PCRs 0 to 23")
    handle, public = _create_key(transact)
    bits = sum(1 << pcr for pcr in selected).to_bytes(PCR_COUNT // 8, "little")
    selection = struct.pack(">I", len(Bank)) + b"".join(
        struct.pack(">HB", bank.algorithm_id, len(bits)) + bits for bank in Bank
    )
    parameters = _sized(nonce) + struct.pack(">H", _ALG_NULL) + selection
    answer = _answer("TPM2_Quote response", _ask(transact, _command(_CC_QUOTE, handle, parameters)))
    size = answer.number(4)
    parameters_end = answer.position + size
    attest = answer.take(answer.number(2))
    return RawQuote(public, attest, answer.take(parameters_end - answer.position))


def _create_key(transact: Callable[[bytes], bytes]) -> tuple[int, bytes]:
    """The handle and the TPMT_PUBLIC of the key."""
    public = struct.pack(
        ">HHIHHHHHHHH", _ALG_ECC, _ALG_SHA256, _ATTESTATION_KEY, 0, _ALG_NULL, _ALG_ECDSA, _ALG_SHA256, _CURVE_P256,
        _ALG_NULL, 0, 0,
    )  # fmt: skip
    sensitive = _sized(_sized(b"") + _sized(b""))
    parameters = sensitive + _sized(public) + _sized(b"") + struct.pack(">I", 0)
    command = _command(_CC_CREATE_PRIMARY, _RH_ENDORSEMENT, parameters)
    answer = _answer("TPM2_CreatePrimary response", _ask(transact, command))
    handle = answer.number(4)
    answer.number(4)  # the size of the parameters
    return handle, answer.take(answer.number(2))


def _command(code: int, handle: int, parameters: bytes) -> bytes:
    body = struct.pack(">I", handle) + _EMPTY_PASSWORD + parameters
    return struct.pack(">HII", ST_SESSIONS, HEADER_SIZE + len(body), code) + body


def _ask(transact: Callable[[bytes], bytes], command: bytes) -> bytes:
    """Send a command, again while the TPM says TPM_RC_RETRY: it first tests an algorithm that nobody has used yet."""
    for _ in range(_TRIES):
        response = transact(command)
        if response[6:HEADER_SIZE] != _RC_RETRY:
            break
    return response


def _answer(name: str, response: bytes) -> TpmReader:
    reader = TpmReader(name, response)
    tag = reader.header()
    code = reader.number(4)
    if code != RC_SUCCESS or tag != ST_SESSIONS:
        raise reader.error(f"response code {code:#x}, tag {tag:#x}")
    return reader


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data
