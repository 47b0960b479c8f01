"""Replaying logs: initial values, what is extended and what is not."""

from __future__ import annotations

import pytest

from builder.errors import MalformedImageError
from builder.evidence.algorithms import HashAlgorithm, algorithm_label
from builder.evidence.eventlog import RegisterKind, parse_event_log
from builder.evidence.replay import Replay, replay
from builder.evidence.systemd_log import parse_userspace_log
from builder.measurement.events import EventType
from builder.measurement.pcr import Bank
from tests.event_logs import BOTH, agile_log, no_action, record, sha1_record, spec_id_data

SHA256 = HashAlgorithm.SHA256
LOCALITY = b"StartupLocality\0"


def replayed(*records: bytes) -> Replay:
    return replay(parse_event_log(agile_log(*records)))


@pytest.mark.parametrize("algorithm", HashAlgorithm)
def test_every_algorithm_replays(algorithm: HashAlgorithm) -> None:
    log = agile_log(record(4, 5, b"a", [algorithm]), record(4, 5, b"b", [algorithm]), algorithms=[algorithm])
    expected = bytes(algorithm.size)
    for data in (b"a", b"b"):
        expected = algorithm.digest(expected + algorithm.digest(data))
    assert replay(parse_event_log(log)).values == {algorithm: {4: expected}}


def test_sm3_is_the_one_of_the_standard() -> None:
    # GB/T 32905-2016, A.1
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert HashAlgorithm.SM3_256.digest(b"abc").hex() == expected


@pytest.mark.parametrize("bank", Bank)
def test_a_bank_has_its_algorithm(bank: Bank) -> None:
    assert HashAlgorithm.of_bank(bank).label == bank.value
    assert HashAlgorithm.of_bank(bank).size == bank.size


def test_an_extend_needs_the_sizes_of_the_algorithm() -> None:
    with pytest.raises(ValueError, match="sha256: a register and a digest have 32 bytes"):
        SHA256.extend(bytes(32), bytes(20))


def test_an_unknown_algorithm_has_a_number_for_a_name() -> None:
    assert (algorithm_label(0x0B), algorithm_label(0x7777)) == ("sha256", "0x7777")


def test_an_event_that_is_no_action_extends_nothing() -> None:
    assert replayed(no_action(b"SP800-155 Event"), record(4, 5, b"x")).values[SHA256].keys() == {4}


@pytest.mark.parametrize("locality", [0, 3, 4])
def test_the_startup_locality_is_the_last_byte_of_pcr_0(locality: int) -> None:
    found = replayed(no_action(LOCALITY + bytes([locality])), record(0, 8, b"v"), record(1, 8, b"v"))
    digest = SHA256.digest(b"v")
    assert found.locality == locality
    assert found.value(SHA256, 0) == SHA256.extend(bytes(31) + bytes([locality]), digest)
    assert found.value(SHA256, 1) == SHA256.extend(bytes(32), digest)


def test_pcr_0_has_the_locality_even_if_nothing_is_extended() -> None:
    assert replayed(no_action(LOCALITY + b"\x03"), record(1, 8, b"v")).value(SHA256, 0) == bytes(31) + b"\x03"


def test_two_startup_localities_are_refused() -> None:
    with pytest.raises(MalformedImageError, match=r"it names the startup localities \[0, 3\]"):
        replayed(no_action(LOCALITY + b"\x03"), no_action(LOCALITY + b"\0"))


@pytest.mark.parametrize("data", [LOCALITY + b"\x02", LOCALITY, LOCALITY + b"\x03\x03"])
def test_an_impossible_startup_locality_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedImageError, match="StartupLocality event"):
        replayed(no_action(data))


def test_an_h_crtm_that_comes_first_started_pcr_0_from_locality_4() -> None:
    found = replayed(record(0, EventType.EV_EFI_HCRTM_EVENT, b"HCRTM"))
    assert found.value(SHA256, 0) == SHA256.extend(bytes(31) + b"\x04", SHA256.digest(b"HCRTM"))


@pytest.mark.parametrize(("pcr", "start"), [(16, b"\0"), (17, b"\xff"), (22, b"\xff"), (23, b"\0")])
def test_pcrs_of_a_dynamic_launch_start_with_all_bits_set(pcr: int, start: bytes) -> None:
    found = replayed(record(pcr, 5, b"x"))
    assert found.value(SHA256, pcr) == SHA256.extend(start * 32, SHA256.digest(b"x"))
    assert replayed(record(1, 5, b"x")).value(SHA256, pcr) == start * 32


def test_registers_of_a_confidential_vm_start_at_zero_whatever_the_locality() -> None:
    data = agile_log(no_action(LOCALITY + b"\x03"), record(1, 5, b"x"))
    found = replay(parse_event_log(data, RegisterKind.CC))
    assert found.value(SHA256, 0) == bytes(32)
    assert found.value(SHA256, 1) == SHA256.extend(bytes(32), SHA256.digest(b"x"))


def test_a_register_with_an_event_that_lacks_a_digest_has_no_value_in_that_bank() -> None:
    found = replayed(record(4, 5, b"x", [SHA256]), record(5, 5, b"x"), record(4, 5, b"y"))
    assert found.incomplete == {(HashAlgorithm.SHA384, 4)}
    assert found.value(HashAlgorithm.SHA384, 4) is None
    assert found.values[SHA256].keys() == {4, 5}
    assert found.values[HashAlgorithm.SHA384].keys() == {5}


def test_a_bank_of_an_unknown_algorithm_is_not_replayed() -> None:
    first = sha1_record(0, 3, spec_id_data([(0x0B, 32), (0x7777, 5)]), bytes(20))
    digests = {SHA256: SHA256.digest(b"x"), 0x7777: b"12345"}
    assert replay(parse_event_log(first + record(1, 5, b"x", digests=digests))).values.keys() == {SHA256}


def test_extends_of_user_space_come_after_those_of_the_log() -> None:
    digest = SHA256.digest(b"ready")
    entry = b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"%s"}]}\n' % digest.hex().encode()
    log = parse_event_log(agile_log(record(11, 13, b"x", BOTH)))
    found = replay(log, parse_userspace_log(entry))
    assert found.value(SHA256, 11) == SHA256.extend(SHA256.extend(bytes(32), SHA256.digest(b"x")), digest)
    assert found.value(HashAlgorithm.SHA384, 11) is None
