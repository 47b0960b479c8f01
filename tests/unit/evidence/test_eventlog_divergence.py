"""Where logs part from each other, and from a prediction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.errors import InvalidInputError
from builder.evidence.algorithms import HashAlgorithm
from builder.evidence.divergence import RegisterComparison, compare_logs, compare_with_prediction, secure_boot_in
from builder.evidence.eventlog import RegisterKind, UntrustedEventLog, parse_event_log
from builder.evidence.systemd_log import parse_userspace_log
from builder.measurement.configuration import BootConfiguration, SecureBoot, SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.predict import predict
from builder.measurement.prediction import PredictedPcr, Prediction, Unpredictable
from tests.event_logs import VECTORS, agile_log, record

TINY = VECTORS / "own-tiny-uki"


def own(name: str) -> UntrustedEventLog:
    return parse_event_log((TINY / name / "binary_bios_measurements").read_bytes())


def predicted(name: str) -> Prediction:
    uki = memoryview((TINY / name / "esp/EFI/BOOT/BOOTX64.EFI").read_bytes())
    keys = (TINY / f"{item}.esl" for item in ("PK", "KEK", "db", "dbx"))
    secure_boot = (
        SecureBoot(SecureBootMode.ENABLED, *(key.read_bytes() for key in keys))
        if name == "tsb257"
        else SecureBoot(SecureBootMode.UNSUPPORTED)
    )
    return predict(uki, BootConfiguration(secure_boot, initrd_systemd=None))


def of(register: int, found: tuple[RegisterComparison, ...]) -> RegisterComparison:
    return next(item for item in found if item.register == register)


def log(*records: bytes) -> UntrustedEventLog:
    return parse_event_log(agile_log(*records))


def test_a_log_is_equal_to_itself() -> None:
    assert all(item.equal for item in compare_logs(own("t257"), own("t257")))


def test_the_first_event_that_differs_is_named() -> None:
    found = compare_logs(log(record(4, 5, b"a"), record(4, 5, b"b")), log(record(4, 5, b"a"), record(4, 5, b"c")))
    (item,) = found
    assert (item.position, item.left_count, item.right_count) == (1, 2, 2)
    assert item.left is not None
    assert item.right is not None
    assert (item.left.text, item.right.text) == ("b", "c")


def test_an_event_too_many_is_on_one_side_only() -> None:
    item = of(4, compare_logs(log(record(4, 5, b"a")), log(record(4, 5, b"a"), record(4, 5, b"b"))))
    assert (item.position, item.left) == (1, None)
    item = of(5, compare_logs(log(record(5, 5, b"a")), log(record(4, 5, b"b"))))
    assert (item.position, item.right) == (0, None)


def test_a_digest_that_one_side_lacks_is_a_difference() -> None:
    item = of(4, compare_logs(log(record(4, 5, b"a")), log(record(4, 5, b"a", [HashAlgorithm.SHA256]))))
    assert item.position == 0


def test_logs_without_a_common_algorithm_cannot_be_compared() -> None:
    sha1 = parse_event_log(agile_log(record(4, 5, b"a", [HashAlgorithm.SHA1]), algorithms=[HashAlgorithm.SHA1]))
    with pytest.raises(InvalidInputError, match="no hash algorithm in common"):
        compare_logs(sha1, log(record(4, 5, b"a")))


def test_logs_of_different_registers_cannot_be_compared() -> None:
    confidential = parse_event_log(agile_log(record(1, 5, b"a")), RegisterKind.CC)
    with pytest.raises(InvalidInputError, match="one log is of PCRs"):
        compare_logs(confidential, log(record(1, 5, b"a")))


@pytest.mark.parametrize("name", ["t252", "t257", "tsb257"])
def test_a_real_boot_is_as_predicted(name: str) -> None:
    found = compare_with_prediction(own(name), predicted(name).pcrs)
    compared = {item.register for item in found if item.reason is None}
    assert {4, 7, 11, 12} <= compared
    assert [item for item in found if item.reason is None and not item.equal] == []


def test_another_image_shows_in_pcr_4_and_11() -> None:
    found = compare_with_prediction(own("t257"), predicted("t252").pcrs)
    differing = {item.register: item for item in found if item.position is not None}
    assert differing.keys() == {4, 11}
    four = differing[4]
    assert four.position == 2
    assert four.left is not None
    assert four.right is not None
    assert "UKI" in four.left.text
    assert "BOOTX64.EFI" in four.right.text


def test_an_injected_command_line_shows_in_pcr_12() -> None:
    data = (TINY / "t257" / "binary_bios_measurements").read_bytes()
    digests = {int(a): a.digest(b"evil") for a in (HashAlgorithm.SHA1, HashAlgorithm.SHA256, HashAlgorithm.SHA384)}
    changed = parse_event_log(data + record(12, 13, "systemd.debug_shell\0".encode("utf-16-le"), digests=digests))
    item = of(12, compare_with_prediction(changed, predicted("t257").pcrs))
    assert (item.position, item.left) == (0, None)
    assert item.right is not None
    assert item.right.text == "systemd.debug_shell"


def test_events_of_user_space_count_only_with_its_log() -> None:
    pcrs = {11: predicted("t257").pcrs[11]}
    entry = pcrs[11]
    assert isinstance(entry, PredictedPcr)
    phases = [event for event in entry.events if event.type is None]
    assert phases
    records = b"".join(
        b'\x1e{"pcr":11,"digests":[%s]}\n'
        % b",".join(
            b'{"hashAlg":"%s","digest":"%s"}' % (bank.value.encode(), digest.hex().encode())
            for bank, digest in event.digests.items()
        )
        for event in phases
    )
    boot = own("t257")
    assert compare_with_prediction(boot, pcrs)[0].equal
    assert compare_with_prediction(boot, pcrs, parse_userspace_log(records))[0].equal
    early = compare_with_prediction(boot, pcrs, parse_userspace_log(b""))[0]
    assert early.right is None
    assert early.position is not None


def test_what_cannot_be_predicted_is_not_compared() -> None:
    (item,) = compare_with_prediction(own("t257"), {9: Unpredictable(9, "boot secret")})
    assert item.reason == "not predictable: boot secret"
    assert not item.equal
    assert item.position is None


def test_nothing_predicted_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="nothing is predicted"):
        compare_with_prediction(own("t257"), {})


def test_a_log_without_the_predicted_banks_is_refused() -> None:
    entry = predicted("t257").pcrs[4]
    assert isinstance(entry, PredictedPcr)
    entry = replace(entry, values={Bank.SHA256: entry.values[Bank.SHA256]})
    sha1 = parse_event_log(agile_log(record(4, 5, b"a", [HashAlgorithm.SHA1]), algorithms=[HashAlgorithm.SHA1]))
    with pytest.raises(InvalidInputError, match="none of the banks"):
        compare_with_prediction(sha1, {4: entry})


def test_secure_boot_is_what_the_first_variable_says() -> None:
    assert secure_boot_in(own("tsb257"))
    assert not secure_boot_in(own("t257"))
    assert not secure_boot_in(log(record(4, 5, b"a")))
