"""What is asked of a TPM for a quote, and which of its answers are refused."""

from __future__ import annotations

import struct

import pytest

from builder.evidence.public_area import parse_public, require_attestation_key
from builder.evidence.quote import verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.trust import trust_pinned_key
from builder.vm.quote import MAX_NONCE, RawQuote, attestation_key, quote
from builder.vm.tpm_message import MalformedTpmMessageError
from tests.attester import NONCE, PCRS, ec_key, public_area, quote_attest, sized, tpmt_signature
from tests.tpm_messages import AUTHORIZATION, message

ST_NO_SESSIONS, ST_SESSIONS = 0x8001, 0x8002
CREATE_PRIMARY, QUOTE, FLUSH_CONTEXT = 0x131, 0x158, 0x165
RETRY, BAD_NONCE = 0x922, 0x1D5
HANDLE = 0x80000001
AREA = public_area(ec_key())
ATTEST = quote_attest()
SIGNATURE = tpmt_signature(ec_key(), ATTEST, "ecdsa")


def answer(parameters: bytes, handle: bytes = b"", code: int = 0, tag: int = ST_SESSIONS) -> bytes:
    """A response with an empty authorization."""
    return message(tag, code, handle + struct.pack(">I", len(parameters)) + parameters + AUTHORIZATION[-5:])


CREATED = answer(sized(AREA) + b"more", struct.pack(">I", HANDLE))
QUOTED = answer(sized(ATTEST) + SIGNATURE)


class Tpm:
    """Answers in order, and remembers what it was asked."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []

    def __call__(self, command: bytes) -> bytes:
        self.asked.append(command)
        return self.answers.pop(0)


def test_the_answers_are_a_quote_that_verifies() -> None:
    tpm = Tpm(CREATED, QUOTED)
    raw = quote(tpm, NONCE, [7, 0, 4, 7])
    assert raw == RawQuote(AREA, ATTEST, SIGNATURE)
    ak = trust_pinned_key(require_attestation_key(parse_public(raw.public)))
    assert verify_quote(raw.attest, parse_signature(raw.signature), ak, NONCE, PCRS).pcrs == PCRS
    create, ask = tpm.asked
    assert struct.unpack(">HIII", create[:14]) == (ST_SESSIONS, len(create), CREATE_PRIMARY, 0x4000000B)
    assert struct.unpack(">HIII", ask[:14]) == (ST_SESSIONS, len(ask), QUOTE, HANDLE)
    # PCR 0, 4 and 7 in SHA-256 and in SHA-384, after the nonce and the null scheme.
    assert ask.endswith(sized(NONCE) + bytes.fromhex("0010 00000002 000b03910000 000c03910000"))


def test_a_tpm_that_says_retry_is_asked_again() -> None:
    again = message(ST_NO_SESSIONS, RETRY, b"")
    tpm = Tpm(again, CREATED, again, again, QUOTED)
    assert quote(tpm, NONCE, [4]).attest == ATTEST
    assert len(tpm.asked) == 5


def test_a_tpm_that_only_says_retry_is_not_asked_for_ever() -> None:
    tpm = Tpm(*[message(ST_NO_SESSIONS, RETRY, b"")] * 100)
    with pytest.raises(MalformedTpmMessageError, match="response code 0x922"):
        quote(tpm, NONCE, [4])
    assert len(tpm.asked) == 16


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([message(ST_NO_SESSIONS, BAD_NONCE, b"")], "TPM2_CreatePrimary response.*response code 0x1d5"),
        ([CREATED, message(ST_NO_SESSIONS, BAD_NONCE, b"")], "TPM2_Quote response.*response code 0x1d5"),
        ([answer(sized(AREA), tag=ST_NO_SESSIONS)], "tag 0x8001"),
        ([CREATED[:20]], "TPM2_CreatePrimary response"),
        ([answer(b"\xff\xff", struct.pack(">I", HANDLE))], "needed"),
        ([CREATED, answer(b"\xff\xff" + ATTEST)], "TPM2_Quote response.*needed"),
        ([CREATED, QUOTED[:30]], "TPM2_Quote response"),
        ([CREATED, b""], "TPM2_Quote response"),
    ],
)
def test_an_answer_that_is_none_is_refused(answers: list[bytes], problem: str) -> None:
    with pytest.raises(MalformedTpmMessageError, match=problem):
        quote(Tpm(*answers), NONCE, [4])


@pytest.mark.parametrize(
    ("nonce", "pcrs", "problem"),
    [
        (b"", [4], "a nonce has 1 to 32 bytes, not 0"),
        (bytes(MAX_NONCE + 1), [4], "not 33"),
        (NONCE, [], "one or more of the PCRs 0 to 23"),
        (NONCE, [24], "one or more of the PCRs 0 to 23"),
        (NONCE, [-1], "one or more of the PCRs 0 to 23"),
    ],
)
def test_nothing_is_asked_that_a_tpm_cannot_answer(nonce: bytes, pcrs: list[int], problem: str) -> None:
    tpm = Tpm()
    with pytest.raises(ValueError, match=problem):
        quote(tpm, nonce, pcrs)
    assert tpm.asked == []


def test_the_key_of_a_running_machine_is_told_and_taken_out_of_its_tpm() -> None:
    tpm = Tpm(CREATED, message(ST_NO_SESSIONS, 0, b""))
    assert attestation_key(tpm) == AREA
    assert struct.unpack(">HIII", tpm.asked[1]) == (ST_NO_SESSIONS, 14, FLUSH_CONTEXT, HANDLE)


@pytest.mark.parametrize("answered", [message(ST_NO_SESSIONS, 0x1C4, b""), message(ST_SESSIONS, 0, b"")])
def test_a_key_that_stays_in_the_tpm_is_an_error(answered: bytes) -> None:
    with pytest.raises(MalformedTpmMessageError, match="TPM2_FlushContext response"):
        attestation_key(Tpm(CREATED, answered))
