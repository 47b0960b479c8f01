"""Event logs of bytes that nobody made on purpose: the only way out is a MalformedImageError, and soon."""

from __future__ import annotations

import functools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import MalformedImageError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.decode import decode
from builder.evidence.digest_check import check_digest
from builder.evidence.eventlog import UntrustedEvent, parse_event_log
from builder.evidence.eventlog_report import event_log, register_values
from builder.evidence.replay import replay
from builder.evidence.systemd_log import parse_userspace_log
from builder.measurement.events import EventType
from tests.event_logs import OWN_LOGS, agile_log, record

EXAMPLES = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TYPES = st.sampled_from(sorted(EventType)) | st.integers(0, 0xFFFFFFFF)
USERSPACE = b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"%s"}],"content":{"string":"x"}}\n' % (b"0" * 64)
# Real data of every type that our own logs have, which mutation then breaks.
SAMPLES = [(event.type, event.data) for path in OWN_LOGS for event in parse_event_log(path.read_bytes()).events]


@functools.cache
def small_log() -> bytes:
    return min((path.read_bytes() for path in OWN_LOGS), key=len)


def read_everything(data: bytes) -> None:
    try:
        log = parse_event_log(data)
        event_log(log)
        register_values(replay(log))
    except MalformedImageError:
        return


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """``original`` with up to eight bytes changed, and perhaps cut, grown or with a run taken out."""
    data = bytearray(original)
    for _ in range(draw(st.integers(0, 8))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(
                st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
            )
    start = draw(st.integers(0, len(data)))
    del data[start : start + draw(st.sampled_from([0, 0, 1, 4, 100, len(data)]))]
    return bytes(data) + draw(st.sampled_from([b"", b"\xff", bytes(16), b"\xff" * 64]))


@EXAMPLES
@given(st.binary(max_size=400))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    read_everything(data)


@EXAMPLES
@given(st.binary(max_size=400))
def test_random_records_are_read_or_refused(data: bytes) -> None:
    read_everything(agile_log() + data)


@EXAMPLES
@given(st.data())
def test_a_mutated_log_is_read_or_refused(data: st.DataObject) -> None:
    read_everything(data.draw(mutated(small_log())))


@EXAMPLES
@given(TYPES, st.binary(max_size=300))
def test_random_data_of_any_type_can_be_shown(kind: int, data: bytes) -> None:
    event = UntrustedEvent(0, 0, kind, {HashAlgorithm.SHA256: bytes(32)}, data, 0)
    assert decode(event).text.isprintable()
    check_digest(event)


@EXAMPLES
@given(st.data(), st.sampled_from(SAMPLES))
def test_mutated_data_of_a_real_event_can_be_shown(data: st.DataObject, sample: tuple[int, bytes]) -> None:
    kind, original = sample
    event = UntrustedEvent(0, 0, kind, {HashAlgorithm.SHA256: bytes(32)}, data.draw(mutated(original)), 0)
    assert decode(event).text.isprintable()
    check_digest(event)


@EXAMPLES
@given(st.data())
def test_a_mutated_log_of_user_space_is_read_or_refused(data: st.DataObject) -> None:
    try:
        for event in parse_userspace_log(data.draw(mutated(USERSPACE * 2))).events:
            assert event.text.isprintable()
    except MalformedImageError:
        return


records = st.lists(
    st.tuples(st.integers(0, 23), TYPES.filter(lambda kind: kind != EventType.EV_NO_ACTION), st.binary(max_size=50)),
    min_size=1,
    max_size=20,
)


@EXAMPLES
@given(records)
def test_what_is_written_is_read_back(listed: list[tuple[int, int, bytes]]) -> None:
    log = parse_event_log(agile_log(*(record(*item) for item in listed)))
    assert [(event.register, event.type, event.data) for event in log.events[1:]] == listed


@EXAMPLES
@given(records)
def test_a_register_depends_on_its_own_events_only(listed: list[tuple[int, int, bytes]]) -> None:
    def value(chosen: list[tuple[int, int, bytes]]) -> bytes | None:
        return replay(parse_event_log(agile_log(*(record(*item) for item in chosen)))).value(
            HashAlgorithm.SHA256, first
        )

    first = listed[0][0]
    assert value(listed) == value([item for item in listed if item[0] == first])
