"""systemd's log of what user space extended."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builder.errors import MalformedImageError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.systemd_log import MAX_LOG_BYTES, MAX_RECORDS, parse_userspace_log

SHA256 = HashAlgorithm.SHA256


def entry(word: str = "ready", **changed: Any) -> dict[str, Any]:
    digests = [{"hashAlg": "sha256", "digest": SHA256.digest(word.encode()).hex()}]
    content = {"string": word, "bootId": "00", "timestamp": 1, "eventType": "phase"}
    made = {"pcr": 11, "digests": digests, "content_type": "systemd", "content": content} | changed
    return {name: value for name, value in made.items() if value is not None}


def sequence(*entries: Any) -> bytes:
    return b"".join(b"\x1e" + json.dumps(item).encode() + b"\n" for item in entries)


def test_records_have_pcr_digests_and_words() -> None:
    log = parse_userspace_log(sequence(entry("enter-initrd"), entry("ready")))
    assert [(event.index, event.pcr, event.string, event.event_type) for event in log.events] == [
        (0, 11, "enter-initrd", "phase"),
        (1, 11, "ready", "phase"),
    ]
    assert log.events[1].digests == {SHA256: SHA256.digest(b"ready")}
    assert log.events[1].text == "systemd phase: ready"
    assert all(event.string_is_measured for event in log.events)


def test_an_empty_log_has_no_records() -> None:
    assert parse_userspace_log(b"").events == ()


def test_a_word_that_was_not_measured_is_told_apart() -> None:
    assert not parse_userspace_log(sequence(entry(content={"string": "final"}))).events[0].string_is_measured
    assert not parse_userspace_log(sequence(entry(content={}))).events[0].string_is_measured


def test_an_nvpcr_is_no_pcr() -> None:
    (event,) = parse_userspace_log(sequence(entry(pcr=None, nv_index=0x01D10200))).events
    assert (event.pcr, event.nv_index) == (None, 0x01D10200)
    assert event.text == "systemd phase of NvPCR 0x1d10200: ready"


def test_a_word_cannot_steer_a_terminal() -> None:
    (event,) = parse_userspace_log(
        sequence(entry("\x1b[2J", content={"string": "\x1b[2J", "eventType": "\x07"}))
    ).events
    assert event.text.isprintable()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{}", "the first byte is not the record separator"),
        (sequence(entry())[:-1], "does not end with a line feed"),
        (b"\x1enonsense\n", "it is no JSON object:"),
        (b"\x1e" + b"[" * 100_000 + b"\n", "it is no JSON object:"),
        (b"\x1e[]\n", "it is no JSON object: Expected `object`, got `array`"),
        (sequence(entry()).replace(b'"pcr":', b'"pcr": 12, "pcr":'), "an object has a key twice"),
        (b"\x1e\n", "it is no JSON object:"),
        (sequence(entry(pcr=None)), 'exactly one of "pcr" and "nv_index"'),
        (sequence(entry(nv_index=1)), 'exactly one of "pcr" and "nv_index"'),
        (sequence(entry(pcr=24)), "there is no such PCR: '24'"),
        (sequence(entry(pcr=-1)), "there is no such PCR"),
        (sequence(entry(pcr=True)), "there is no such PCR: 'True'"),
        (sequence(entry(pcr="11")), "there is no such PCR"),
        (sequence(entry(pcr=None, nv_index=-1)), "there is no such NV index"),
        (sequence(entry(content=[1])), '"content" is no JSON object'),
        (sequence(entry(digests=None)), '"digests" is not a list of 1 to 16'),
        (sequence(entry(digests=[])), '"digests" is not a list of 1 to 16'),
        (sequence(entry(digests=[{}] * 17)), '"digests" is not a list of 1 to 16'),
        (sequence(entry(digests=["x"])), "a digest without a known hash algorithm"),
        (sequence(entry(digests=[{"hashAlg": "md5", "digest": "00"}])), "known hash algorithm: 'md5'"),
        (sequence(entry(digests=[{"hashAlg": "sha256"}])), "a digest without a known hash algorithm"),
        (sequence(entry(digests=[{"hashAlg": "sha256", "digest": "00"}])), "a digest of sha256 has 32 bytes"),
        (sequence(entry(digests=[{"hashAlg": "sha256", "digest": "g" * 64}])), "is not hexadecimal"),
        (sequence(entry(digests=[{"hashAlg": "sha256", "digest": "00 " * 21 + "0"}])), "is not hexadecimal"),
        (sequence(entry(digests=entry()["digests"] * 2)), "there are two digests of sha256"),
        (b"\x1e" * (MAX_RECORDS + 1), f"there are more than {MAX_RECORDS} records"),
        (b"\x1e" + bytes(MAX_LOG_BYTES), "are more than the"),
    ],
)
def test_a_broken_log_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedImageError, match=message):
        parse_userspace_log(data)


def test_a_cut_log_is_refused_but_between_records() -> None:
    whole = sequence(entry("enter-initrd"), entry("ready"))
    boundary = len(sequence(entry("enter-initrd")))
    for size in set(range(1, len(whole))) - {boundary}:
        with pytest.raises(MalformedImageError, match="systemd measurement log, record"):
            parse_userspace_log(whole[:size])
    assert len(parse_userspace_log(whole[:boundary]).events) == 1
