"""Reading event logs: what is taken, and what is refused."""

from __future__ import annotations

import struct

import pytest

from builder.errors import InvalidInputError, MalformedImageError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.eventlog import (
    MAX_EVENTS,
    MAX_LOG_BYTES,
    NO_REGISTER,
    LogFormat,
    RegisterKind,
    parse_event_log,
)
from builder.measurement.events import EventType
from tests.event_logs import BOTH, agile_log, no_action, public, record, sha1_record, spec_id, spec_id_data

SEPARATOR = record(4, EventType.EV_SEPARATOR, bytes(4))
CC_LOG = spec_id([HashAlgorithm.SHA384], register=1) + record(
    1, EventType.EV_SEPARATOR, bytes(4), [HashAlgorithm.SHA384]
)


def test_a_crypto_agile_log_has_the_digests_of_all_its_algorithms() -> None:
    log = parse_event_log(agile_log(record(4, EventType.EV_EFI_ACTION, b"hello")))
    assert log.format is LogFormat.CRYPTO_AGILE
    assert dict(log.algorithms) == {HashAlgorithm.SHA256: 32, HashAlgorithm.SHA384: 48}
    event = log.events[1]
    assert (event.index, event.register, event.type, event.data) == (1, 4, EventType.EV_EFI_ACTION, b"hello")
    assert event.digests == {algorithm: algorithm.digest(b"hello") for algorithm in BOTH}
    assert event.offset == len(spec_id())


@pytest.mark.parametrize("signature", [b"Spec ID Event00\0", b"Spec ID Event02\0"])
def test_a_log_of_tpm_1_2_has_sha1_records_throughout(signature: bytes) -> None:
    first = signature + struct.pack("<IBBBB", 0, 2, 1, 0, 1) + b"\x03abc"
    log = parse_event_log(sha1_record(0, 3, first) + sha1_record(7, 4, bytes(4)))
    assert log.format is LogFormat.SHA1
    assert log.spec_id is not None
    assert (log.spec_id.vendor_info, log.spec_id.uintn_bytes) == (b"abc", 4)
    assert [event.register for event in log.events] == [0, 7]


def test_a_log_without_a_spec_id_event_is_one_of_tpm_1_2() -> None:
    log = parse_event_log(sha1_record(0, EventType.EV_S_CRTM_VERSION, b"1\0"))
    assert (log.format, log.spec_id, dict(log.algorithms)) == (LogFormat.SHA1, None, {HashAlgorithm.SHA1: 20})


def test_an_event_type_that_nobody_knows_is_kept() -> None:
    event = parse_event_log(agile_log(record(3, 0x99999999, b"?"))).events[1]
    assert (event.type, event.type_name, event.extends) == (0x99999999, "0x99999999", True)


def test_an_algorithm_that_is_not_known_is_read_by_the_size_in_the_table() -> None:
    first = sha1_record(0, 3, spec_id_data([(0x0B, 32), (0x7777, 5)]), bytes(20))
    digests = {HashAlgorithm.SHA256: HashAlgorithm.SHA256.digest(b"x"), 0x7777: b"12345"}
    log = parse_event_log(first + record(1, 5, b"x", digests=digests))
    assert log.events[1].digests == digests


def test_digests_may_come_in_another_order_than_in_the_table() -> None:
    digests = {algorithm: algorithm.digest(b"x") for algorithm in reversed(BOTH)}
    assert parse_event_log(agile_log(record(1, 5, b"x", digests=digests))).events[1].digests == digests


def test_a_record_that_concerns_no_register_is_kept() -> None:
    log = parse_event_log(agile_log(SEPARATOR, no_action(b"WBCL", NO_REGISTER)))
    assert log.registers.register_name(log.events[2].register) == "no register"


@pytest.mark.parametrize("padding", [b"\xff" * 3, b"\xff" * 4096, bytes(8), bytes(4096)])
@pytest.mark.parametrize("log", [CC_LOG, agile_log(SEPARATOR)])
def test_padding_ends_a_log(log: bytes, padding: bytes) -> None:
    assert len(parse_event_log(log + padding).events) == 2


def test_padding_of_two_kinds_is_no_padding() -> None:
    with pytest.raises(MalformedImageError, match=r"event 2 \(TCG_PCR_EVENT2\)"):
        parse_event_log(CC_LOG + b"\xff" * 64 + bytes(64))


def test_a_confidential_computing_log_is_known_by_its_first_register() -> None:
    log = parse_event_log(CC_LOG)
    assert log.registers is RegisterKind.CC
    assert [log.registers.register_name(register) for register in range(5)] == ["MRTD", *(f"RTMR{i}" for i in range(4))]


def test_a_padded_log_without_high_registers_is_a_confidential_computing_log() -> None:
    log = agile_log(record(2, 5, b"payload"))
    assert parse_event_log(log).registers is RegisterKind.PCR
    assert parse_event_log(log + b"\xff" * 64).registers is RegisterKind.CC
    assert parse_event_log(log + b"\xff" * 64, RegisterKind.PCR).registers is RegisterKind.PCR
    assert parse_event_log(agile_log(record(7, 5, b"x")) + b"\xff" * 64).registers is RegisterKind.PCR


def test_a_confidential_computing_log_has_five_registers() -> None:
    with pytest.raises(MalformedImageError, match="event 1 is of register 7, the last one is 4"):
        parse_event_log(agile_log(record(7, 4, bytes(4))), RegisterKind.CC)


@pytest.mark.parametrize("register", [24, 0xFFFFFFFF])
def test_an_extend_of_a_pcr_that_does_not_exist_is_refused(register: int) -> None:
    with pytest.raises(MalformedImageError, match=f"event 1 is of register {register}, the last one is 23"):
        parse_event_log(agile_log(record(register, 4, bytes(4)), SEPARATOR))


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, bytes(100)])
def test_a_log_without_events_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedImageError, match="there are no events"):
        parse_event_log(data)


def test_a_log_that_is_too_large_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="are more than the"):
        parse_event_log(bytes(MAX_LOG_BYTES + 1))


def test_a_log_with_too_many_events_is_refused() -> None:
    with pytest.raises(MalformedImageError, match=f"there are more than {MAX_EVENTS} events"):
        parse_event_log(sha1_record(1, 5, b"") * (MAX_EVENTS + 1))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (record(1, 5, b"", digests={}), "the event has no digest"),
        (struct.pack("<III", 1, 5, 17), "17 digests are more than 16"),
        (struct.pack("<III", 1, 5, 0xFFFFFFFF), "4294967295 digests are more than 16"),
        (record(1, 5, b"", digests={0x0D: bytes(64)}), "algorithm 0x000d is not in the table"),
        (record(1, 5, b"", digests={0x1234: b"?"}), "algorithm 0x1234 is not in the table"),
        (
            struct.pack("<IIIH32sH32sI", 1, 5, 2, 0x0B, bytes(32), 0x0B, bytes(32), 0),
            "two digests of the algorithm 0x000b",
        ),
        (record(1, 5, b"12345678")[:-1], "needs 8 bytes, but the structure ends"),
        (struct.pack("<IIIH32sI", 1, 5, 1, 0x0B, bytes(32), 0xFFFFFFFF), "needs 4294967295 bytes"),
    ],
)
def test_a_broken_record_is_refused_and_named(bad: bytes, message: str) -> None:
    with pytest.raises(MalformedImageError, match=rf"event 1 \(TCG_PCR_EVENT2\) at offset .*{message}"):
        parse_event_log(agile_log(bad))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (spec_id_data([]), "0 algorithms are not 1 to 16"),
        (spec_id_data([(number, 20) for number in range(1000, 1017)]), "17 algorithms are not 1 to 16"),
        (spec_id_data([(0x0B, 32), (0x0B, 32)]), "the algorithm 0x000b stands there twice"),
        (spec_id_data([(0x0B, 20)]), "a digest of the algorithm 0x000b cannot have 20 bytes"),
        (spec_id_data([(0x7777, 0)]), "a digest of the algorithm 0x7777 cannot have 0 bytes"),
        (spec_id_data([(0x7777, 65)]), "a digest of the algorithm 0x7777 cannot have 65 bytes"),
        (spec_id_data([(0x0B, 32)]) + b"!", "1 bytes follow"),
        (spec_id_data([(0x0B, 32)], vendor=b"abc")[:-1], "needs 3 bytes"),
        (spec_id_data([(0x0B, 32)], b"Spec ID Event04\0"), r"the signature b'Spec ID Event04\\x00' is not known"),
        (spec_id_data([(0x0B, 32)], b"Spec ID Event03!"), "is not known"),
        (b"Spec ID Event", "needs 16 bytes"),
    ],
)
def test_a_broken_spec_id_event_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedImageError, match=f"Spec ID event at offset .*{message}"):
        parse_event_log(sha1_record(0, 3, data, bytes(20)))


def test_a_log_that_is_cut_between_records_is_shorter_and_elsewhere_is_refused() -> None:
    whole = agile_log(SEPARATOR, record(0, 5, b"abc"), no_action(b"StartupLocality\0\x03"))
    ends = [*(event.offset for event in parse_event_log(whole).events[1:]), len(whole)]
    for size in range(1, len(whole)):
        if size in ends:
            assert len(parse_event_log(whole[:size]).events) == ends.index(size) + 1
        else:
            with pytest.raises(MalformedImageError):
                parse_event_log(whole[:size])


def test_a_sha1_log_that_is_cut_is_refused() -> None:
    whole = sha1_record(0, 8, b"version") + sha1_record(7, 4, bytes(4))
    for size in set(range(1, len(whole))) - {39}:
        with pytest.raises(MalformedImageError):
            parse_event_log(whole[:size])


@pytest.mark.parametrize(
    "path",
    [
        "google+go-eventlog/testdata/eventlogs/ccel/CCEL.bin",
        "google+go-eventlog/testdata/eventlogs/ccel/cos-113-intel-tdx.table.bin",
    ],
)
def test_the_acpi_table_that_points_to_a_log_is_none(path: str) -> None:
    with pytest.raises(InvalidInputError, match="this is the ACPI table CCEL") as caught:
        parse_event_log(public(path))
    assert caught.value.hint == "the log itself is /sys/firmware/acpi/tables/data/CCEL"
