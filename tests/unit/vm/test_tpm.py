from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from builder.errors import ToolFailedError
from builder.measurement.pcr import Bank
from builder.vm.tpm_change import Extend, Reset, decode_pcr_change
from builder.vm.tpm_message import MalformedTpmMessageError, message_size
from builder.vm.tpm_read import active_banks, parse_pcr_read, pcr_read_command, read_pcrs
from tests.tpm_messages import (
    AUTHORIZATION,
    PCR_EVENT,
    PCR_EXTEND,
    PCR_RESET,
    SEQUENCE_COMPLETE,
    digest_values,
    extend_command,
    message,
    pcr_selection,
    success,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHA256 = Bank.SHA256.digest(b"x")
SHA384 = Bank.SHA384.digest(b"x")
BOTH = digest_values((0x000B, SHA256), (0x000C, SHA384))
EXTENDED = Extend(7, {Bank.SHA256: SHA256, Bank.SHA384: SHA384})
DONE = success(sessions=True)
RH_NULL = 0x40000007


def test_an_extend_is_read_from_the_command() -> None:
    assert decode_pcr_change(extend_command(7, BOTH), DONE) == EXTENDED


def test_a_digest_of_a_bank_that_is_not_predicted_is_passed_over() -> None:
    values = digest_values((0x0004, bytes(20)), (0x000B, SHA256), (0x000D, bytes(64)))
    assert decode_pcr_change(extend_command(7, values), DONE) == Extend(7, {Bank.SHA256: SHA256})


def test_the_digests_of_an_event_are_read_from_the_response() -> None:
    command = message(0x8002, PCR_EVENT, struct.pack(">I", 7) + AUTHORIZATION + b"\0\1x")
    assert decode_pcr_change(command, success(BOTH, sessions=True)) == EXTENDED


def test_the_digests_of_a_completed_event_sequence_are_read_from_the_response() -> None:
    handles = struct.pack(">II", 7, 0x80000000)
    command = message(0x8002, SEQUENCE_COMPLETE, handles + AUTHORIZATION * 2 + b"\0\1x")
    assert decode_pcr_change(command, success(BOTH, sessions=True)) == EXTENDED


def test_a_pcr_reset_is_seen() -> None:
    assert decode_pcr_change(message(0x8002, PCR_RESET, struct.pack(">I", 16) + AUTHORIZATION), DONE) == Reset(16)


@pytest.mark.parametrize("code", [PCR_EVENT, PCR_EXTEND, PCR_RESET])
def test_the_null_handle_changes_nothing(code: int) -> None:
    command = message(0x8002, code, struct.pack(">I", RH_NULL) + AUTHORIZATION + BOTH)
    assert decode_pcr_change(command, success(BOTH, sessions=True)) is None


def test_a_command_that_failed_changes_nothing() -> None:
    assert decode_pcr_change(extend_command(7, BOTH), message(0x8001, 0x907, b"")) is None


def test_other_commands_are_passed_over() -> None:
    assert decode_pcr_change(message(0x8001, 0x144, b"\0\0"), message(0x8001, 0, b"")) is None


@pytest.mark.parametrize(
    ("command", "response", "problem"),
    [
        (extend_command(24, BOTH), DONE, "handle 0x18 is no PCR"),
        (message(0x8001, PCR_EXTEND, struct.pack(">I", 7) + BOTH), DONE, "without an authorization"),
        (extend_command(7, BOTH[:-1]), DONE, "48 bytes are needed, 47 are left"),
        (extend_command(7, digest_values((0x0099, SHA256))), DONE, "hash algorithm 0x0099 is unknown"),
        (extend_command(7, digest_values((0x000B, SHA256), (0x000B, SHA256))), DONE, "0x000b occurs twice"),
        (extend_command(7, struct.pack(">I", 17)), DONE, "a list of 17 entries is longer than 16"),
        (extend_command(7, BOTH, authorization=struct.pack(">I", 5000)), DONE, "5000 bytes are needed"),
        (extend_command(7, BOTH) + b"x", DONE, "TPM command at offset 0x6: the header says"),
        (extend_command(7, BOTH), DONE + b"x", "TPM response at offset 0x6: the header says"),
        (b"\x80\x01\0", DONE, "4 bytes are needed, 1 are left"),
        (
            message(0x8002, PCR_EVENT, struct.pack(">I", 7)),
            success(b"", sessions=True),
            "4 bytes are needed, 0 are left",
        ),
    ],
)
def test_a_pcr_change_that_cannot_be_read_is_an_error(command: bytes, response: bytes, problem: str) -> None:
    with pytest.raises(MalformedTpmMessageError, match=problem):
        decode_pcr_change(command, response)


@pytest.mark.parametrize("size", [0, 9, 4097, 0xFFFFFFFF])
def test_a_message_of_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedTpmMessageError, match=f"size {size} is not between 10 and 4096"):
        message_size(struct.pack(">HII", 0x8001, size, 0))


def test_a_read_asks_for_one_bank_with_the_pcrs_as_bits() -> None:
    assert pcr_read_command(Bank.SHA256, [0, 7, 11]).hex() == "8001000000140000017e00000001000b03810800"


@pytest.mark.parametrize("pcrs", [[], range(9), [24], [-1]])
def test_a_read_of_no_too_many_or_unknown_pcrs_is_a_bug(pcrs: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="PCR"):
        pcr_read_command(Bank.SHA256, pcrs)


def pcr_values(bank: int, pcrs: Sequence[int], digests: Sequence[bytes], counter: int = 5) -> bytes:
    listed = b"".join(struct.pack(">H", len(digest)) + digest for digest in digests)
    return success(struct.pack(">I", counter) + pcr_selection((bank, pcrs)) + struct.pack(">I", len(digests)) + listed)


def test_values_come_with_the_update_counter() -> None:
    assert parse_pcr_read(pcr_values(0x000B, [4], [SHA256]), Bank.SHA256, [4]) == (5, (SHA256,))


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (pcr_values(0x000B, [4], [SHA256]), "another selection"),
        (pcr_values(0x000C, [4, 7], [SHA384, SHA384]), "another selection"),
        (pcr_values(0x000B, [4, 7], [SHA256]), "the number of digests is not 2"),
        (pcr_values(0x000B, [4, 7], [SHA256, SHA384]), "does not have the 32 bytes of sha256"),
        (pcr_values(0x000B, [4, 7], [SHA256, SHA256])[:-1], "the header says"),
        (success(pcr_values(0x000B, [4, 7], [SHA256, SHA256])[10:] + b"x"), "1 bytes follow the end"),
        (message(0x8001, 0x100, b""), "response code 0x100"),
    ],
)
def test_an_answer_to_another_question_is_refused(response: bytes, problem: str) -> None:
    with pytest.raises(MalformedTpmMessageError, match=problem):
        parse_pcr_read(response, Bank.SHA256, [4, 7])


def answering(counters: Callable[[], int]) -> Callable[[bytes], bytes]:
    """A TPM that returns zeros for what was asked; ``counters`` gives the update counter of each answer."""

    def transact(command: bytes) -> bytes:
        algorithm, size, select = struct.unpack_from(">HB3s", command, 14)
        assert size == 3
        bits = int.from_bytes(select, "little")
        pcrs = [pcr for pcr in range(24) if bits >> pcr & 1]
        width = {0x000B: 32, 0x000C: 48}[algorithm]
        return pcr_values(algorithm, pcrs, [bytes(width)] * len(pcrs), counters())

    return transact


def test_all_pcrs_of_the_banks_asked_for_are_read() -> None:
    values = read_pcrs(answering(lambda: 1), Bank)
    assert values == {(pcr, bank): bytes(bank.size) for pcr in range(24) for bank in Bank}


def test_pcrs_that_change_during_the_read_are_refused() -> None:
    counter = iter(range(100))
    with pytest.raises(ToolFailedError, match="PCRs changed while they were being read"):
        read_pcrs(answering(lambda: next(counter)), Bank)


def test_a_bank_without_pcrs_is_not_active() -> None:
    banks = pcr_selection((0x0004, []), (0x000B, range(24)), (0x000C, range(24)))
    assert active_banks(lambda _: success(b"\0" + struct.pack(">I", 5) + banks)) == {0x000B, 0x000C}


@pytest.mark.parametrize("start", [b"\1" + struct.pack(">I", 5), b"\0" + struct.pack(">I", 6)])
def test_a_partial_or_another_capability_is_refused(start: bytes) -> None:
    with pytest.raises(MalformedTpmMessageError, match="where PCR banks were asked for"):
        active_banks(lambda _: success(start + pcr_selection()))
