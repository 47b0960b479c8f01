"""A log that a quote vouches for is another thing than a log."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.eventlog import RegisterKind, parse_event_log
from builder.evidence.replay import replay
from builder.evidence.systemd_log import parse_userspace_log
from builder.evidence.verified import VerifiedEventLog, verify_event_log
from builder.measurement.events import EventType
from tests.event_logs import OWN_LOGS, ROOT, agile_log, no_action, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHA256 = HashAlgorithm.SHA256


@dataclass(frozen=True)
class Quoted:
    """Stands for a verified quote or document, of which only the PCRs matter here."""

    pcrs: Mapping[str, Mapping[int, bytes]]


LOG = parse_event_log(
    agile_log(
        no_action(b"StartupLocality\0\x03"),
        record(0, EventType.EV_S_CRTM_VERSION, b"1\0\0\0"),
        record(4, EventType.EV_EFI_ACTION, b"Calling"),
        record(4, EventType.EV_EFI_BOOT_SERVICES_APPLICATION, b"label", digests={0x0B: b"i" * 32, 0x0C: b"i" * 48}),
    )
)
WORD = b"ready"
USERSPACE = parse_userspace_log(
    b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"%s"}],"content":{"string":"ready"}}\n'
    % SHA256.digest(WORD).hex().encode()
)


def quoted(*registers: int, bank: HashAlgorithm = SHA256, **changed: bytes) -> Quoted:
    found = replay(LOG, USERSPACE)
    values: dict[int, bytes] = {}
    for register in registers:
        value = found.value(bank, register)
        assert value is not None
        values[register] = value
    return Quoted({bank.label: values | {int(name[3:]): value for name, value in changed.items()}})


def test_a_log_that_replays_to_the_quoted_registers_is_verified() -> None:
    verified = verify_event_log(LOG, quoted(0, 4, 7, 23, 17))
    assert [event.register for event in verified.events] == [0, 4, 4]
    assert [event.proven for event in verified.events] == [b"1\0\0\0", b"Calling", b""]
    assert verified.events[1].digests == {SHA256: SHA256.digest(b"Calling")}
    assert verified.values[SHA256].keys() == {0, 4, 7, 17, 23}


def test_events_of_registers_that_are_not_quoted_are_left_out() -> None:
    assert [event.register for event in verify_event_log(LOG, quoted(4)).events] == [4, 4]


def test_every_register_that_differs_is_named() -> None:
    with pytest.raises(NotVerifiedError, match="does not explain the quoted PCRs") as refused:
        verify_event_log(LOG, quoted(0, pcr4=bytes(32), pcr7=b"\1" * 32))
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["PCR 4 (sha256)", "PCR 7 (sha256)"]


def test_every_quoted_bank_counts() -> None:
    both = Quoted({**quoted(4).pcrs, "sha384": {4: bytes(48)}})
    with pytest.raises(NotVerifiedError) as refused:
        verify_event_log(LOG, both)
    assert len(refused.value.problems) == 1
    assert refused.value.problems[0].startswith("PCR 4 (sha384): quoted is 0000")


def test_a_bank_that_the_log_does_not_have_is_not_verified() -> None:
    with pytest.raises(NotVerifiedError) as refused:
        verify_event_log(LOG, Quoted({"sha512": {4: bytes(64)}}))
    assert refused.value.problems == ("the log has no digests of the bank sha512",)


def test_an_event_without_a_digest_of_the_bank_is_not_verified() -> None:
    log = parse_event_log(agile_log(record(4, 5, b"x", [SHA256])))
    with pytest.raises(NotVerifiedError) as refused:
        verify_event_log(log, Quoted({"sha384": {4: bytes(48)}}))
    assert refused.value.problems == ("PCR 4 (sha384): an event has no digest of this bank",)


def test_user_space_has_its_own_log() -> None:
    with pytest.raises(NotVerifiedError) as refused:
        verify_event_log(LOG, quoted(4, 11))
    assert refused.value.problems[0].startswith("PCR 11 (sha256): quoted is")
    verified = verify_event_log(LOG, quoted(4, 11), userspace=USERSPACE)
    assert verified.events[-1].proven == WORD


def test_a_register_that_no_log_explains_must_be_named() -> None:
    evidence = quoted(4, pcr10=b"i" * 32)
    with pytest.raises(NotVerifiedError):
        verify_event_log(LOG, evidence)
    verified = verify_event_log(LOG, evidence, unlogged=[10])
    assert verified.unlogged == {10}
    assert {event.register for event in verified.events} == {4}


def test_digests_of_banks_that_are_not_quoted_have_no_say() -> None:
    digests = {0x0B: SHA256.digest(b"true"), 0x0C: HashAlgorithm.SHA384.digest(b"false")}
    log = parse_event_log(agile_log(record(4, EventType.EV_EFI_ACTION, b"false", digests=digests)))
    value = replay(log).value(SHA256, 4)
    assert value is not None
    (event,) = verify_event_log(log, Quoted({"sha256": {4: value}})).events
    assert event.proven == b""


@pytest.mark.parametrize("pcrs", [{}, {"sha256": {}}])
def test_a_quote_of_nothing_verifies_nothing(pcrs: dict[str, dict[int, bytes]]) -> None:
    with pytest.raises(InvalidInputError, match="the quote covers no PCR"):
        verify_event_log(LOG, Quoted(pcrs))


def test_a_quote_of_which_nothing_is_left_verifies_nothing() -> None:
    with pytest.raises(InvalidInputError, match="the quote covers no PCR that the log is to explain"):
        verify_event_log(LOG, quoted(4), unlogged=[4])


def test_an_unknown_bank_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="the unknown bank 'md5'"):
        verify_event_log(LOG, Quoted({"md5": {4: bytes(16)}}))


def test_a_quote_of_pcrs_says_nothing_of_a_confidential_vm() -> None:
    log = parse_event_log(agile_log(record(1, 5, b"x")), RegisterKind.CC)
    with pytest.raises(InvalidInputError, match="registers of a confidential VM"):
        verify_event_log(log, quoted(4))


@pytest.mark.parametrize("nobody", [{"sha256": {4: bytes(32)}}, None, b""])
def test_bare_values_are_no_quote(nobody: Any) -> None:
    with pytest.raises(TypeError, match="a verified quote"):
        verify_event_log(LOG, nobody)


def test_a_verified_log_is_not_taken_for_an_untrusted_one() -> None:
    verified: Any = verify_event_log(LOG, quoted(4))
    with pytest.raises(TypeError, match="a parsed log"):
        verify_event_log(verified, quoted(4))


def test_a_verified_log_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError, match="is made by verify_event_log"):
        VerifiedEventLog((), {}, frozenset(), object())
    verified: Any = verify_event_log(LOG, quoted(4))
    with pytest.raises((TypeError, ValueError), match="proof"):
        dataclasses.replace(verified, events=())


def test_a_verified_log_cannot_be_changed() -> None:
    verified: Any = verify_event_log(LOG, quoted(4))
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.events = ()
    with pytest.raises(TypeError):
        verified.values[SHA256][4] = b""
    with pytest.raises(TypeError):
        verified.events[0].claim.digests[SHA256] = b""


def test_the_type_checker_tells_the_two_apart(tmp_path: Path) -> None:
    program = tmp_path / "mixed.py"
    program.write_text(
        "from builder.evidence.eventlog import UntrustedEventLog\n"
        "from builder.evidence.verified import VerifiedEventLog, verify_event_log\n"
        "def appraise(log: VerifiedEventLog) -> None: ...\n"
        "def first(log: UntrustedEventLog) -> None:\n"
        "    appraise(log)\n"
        "def second(log: VerifiedEventLog) -> None:\n"
        "    verify_event_log(log, log)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--strict", str(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'has incompatible type "UntrustedEventLog"; expected "VerifiedEventLog"' in done.stdout
    assert 'has incompatible type "VerifiedEventLog"; expected "UntrustedEventLog"' in done.stdout
    assert 'has incompatible type "VerifiedEventLog"; expected "QuotedPcrs"' in done.stdout


@pytest.mark.parametrize("path", OWN_LOGS[:3], ids=lambda path: path.parent.name)
def test_one_changed_digest_of_a_real_log_is_noticed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    log = parse_event_log(bytes(data))
    found = replay(log)
    evidence = Quoted({"sha256": dict(found.values[SHA256])})
    assert verify_event_log(log, evidence).events
    event = next(item for item in log.events if item.register == 4)
    data[data.index(event.digests[SHA256], event.offset)] ^= 1
    with pytest.raises(NotVerifiedError) as refused:
        verify_event_log(parse_event_log(bytes(data)), evidence)
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["PCR 4 (sha256)"]
