"""The readers of TPM messages and variable stores take any bytes and raise nothing but their own errors."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from builder.errors import InvalidInputError, MalformedImageError
from builder.measurement.pcr import PCR_COUNT, Bank
from builder.vm.tpm_change import Extend, decode_pcr_change, replay
from builder.vm.tpm_message import MalformedTpmMessageError, message_size
from builder.vm.tpm_read import active_banks, parse_pcr_read
from builder.vm.varstore import SecureBootVariables, enrol, read_variables
from tests.tpm_messages import (
    PCR_EVENT,
    PCR_EXTEND,
    PCR_RESET,
    SEQUENCE_COMPLETE,
    digest_values,
    extend_command,
    message,
    success,
)
from tests.variable_stores import HEADER_BYTES, empty_store

CODES = st.sampled_from([PCR_EVENT, PCR_EXTEND, PCR_RESET, SEQUENCE_COMPLETE, 0x144])
TAGS = st.sampled_from([0x8001, 0x8002])
COMMANDS = st.binary() | st.builds(message, TAGS, CODES, st.binary())
RESPONSES = st.binary() | st.builds(message, TAGS, st.just(0), st.binary()) | st.builds(success, st.binary())
KEY = st.binary(min_size=1, max_size=200)
KEYS = st.builds(SecureBootVariables, pk=KEY, kek=KEY, db=KEY, dbx=st.just(b"") | KEY)


@given(COMMANDS, RESPONSES)
def test_any_command_and_response_are_decoded_or_refused(command: bytes, response: bytes) -> None:
    with contextlib.suppress(MalformedTpmMessageError):
        decode_pcr_change(command, response)


@given(RESPONSES)
def test_any_answer_to_our_own_questions_is_read_or_refused(response: bytes) -> None:
    with contextlib.suppress(MalformedTpmMessageError):
        parse_pcr_read(response, Bank.SHA256, [0])
    with contextlib.suppress(MalformedTpmMessageError):
        active_banks(lambda _: response)
    with contextlib.suppress(MalformedTpmMessageError):
        message_size(response)


@given(st.integers(0, PCR_COUNT - 1), st.binary(min_size=32, max_size=32), st.binary(min_size=48, max_size=48))
def test_an_extend_is_decoded_to_what_was_encoded(pcr: int, sha256: bytes, sha384: bytes) -> None:
    command = extend_command(pcr, digest_values((0x000B, sha256), (0x000C, sha384)))
    expected = Extend(pcr, {Bank.SHA256: sha256, Bank.SHA384: sha384})
    assert decode_pcr_change(command, success(sessions=True)) == expected


@given(st.integers(0, PCR_COUNT - 1), st.data())
def test_a_truncated_extend_is_refused(pcr: int, data: st.DataObject) -> None:
    whole = extend_command(pcr, digest_values((0x000B, bytes(32)), (0x000C, bytes(48))))
    body = whole[10 : data.draw(st.integers(10, len(whole) - 1))]
    try:
        decode_pcr_change(message(0x8002, PCR_EXTEND, body), success(sessions=True))
    except MalformedTpmMessageError:
        return
    raise AssertionError("a truncated command was decoded")


@given(st.lists(st.tuples(st.integers(0, 15), st.binary(min_size=32, max_size=32))))
def test_a_replay_is_the_banks_own_replay_per_pcr(extends: list[tuple[int, bytes]]) -> None:
    values = replay(Extend(pcr, {Bank.SHA256: digest}) for pcr, digest in extends)
    for pcr in range(16):
        assert values[pcr, Bank.SHA256] == Bank.SHA256.replay(digest for index, digest in extends if index == pcr)
        assert values[pcr, Bank.SHA384] == bytes(48)


@given(KEYS)
def test_enrolled_keys_are_read_back_whatever_they_are(keys: SecureBootVariables) -> None:
    store = enrol(empty_store(), keys)
    read = {variable.name: variable.data for variable in read_variables(store)}
    assert (read["PK"], read["KEK"], read["db"], read.get("dbx", b"")) == (keys.pk, keys.kek, keys.db, keys.dbx)
    assert len(store) == len(empty_store())


@given(st.binary(max_size=4096))
def test_any_bytes_are_read_as_a_variable_store_or_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedImageError):
        read_variables(data)


@given(KEYS, st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1))
def test_a_store_with_changed_bytes_is_read_or_refused(
    keys: SecureBootVariables, changes: list[tuple[int, int]]
) -> None:
    store = bytearray(enrol(empty_store(), keys))
    for offset, value in changes:
        store[offset] = value
    with contextlib.suppress(MalformedImageError):
        read_variables(bytes(store))
    with contextlib.suppress(InvalidInputError):
        enrol(bytes(store), keys)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_any_variable_sizes_are_bounded_by_the_store(name_size: int, data_size: int) -> None:
    store = bytearray(enrol(empty_store(), SecureBootVariables(b"1", b"2", b"3")))
    struct.pack_into("<II", store, HEADER_BYTES + 36, name_size, data_size)
    with contextlib.suppress(MalformedImageError):
        read_variables(bytes(store))
