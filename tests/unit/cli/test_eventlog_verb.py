"""``bedplate eventlog``, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from builder.cli.group import bedplate
from builder.errors import InvalidInputError, NotVerifiedError
from tests.event_logs import VECTORS, agile_log, record

TINY = VECTORS / "own-tiny-uki"
GOLDEN = Path(__file__).parents[2] / "golden" / "eventlog"
SIGNED = str(TINY / "tsb257" / "binary_bios_measurements")
UNSIGNED = str(TINY / "t257" / "binary_bios_measurements")
USERSPACE = b'\x1e{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"%s"}],"content":{"string":"ready"}}\n' % (
    b"ab" * 32
)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(bedplate, ["eventlog", *arguments], prog_name="bedplate")


def told(*arguments: str) -> Any:
    done = invoke(*arguments, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def release(directory: Path, **changed: Any) -> Path:
    """A directory with the reference values of one boot, as far as a comparison reads them."""
    digests = {"sha256": "11" * 32, "sha384": "22" * 48}
    event = {"type": "EV_IPL", "digests": digests, "description": "an addon", "source": "ESP"}
    pcr = {"predictable": True, "values": digests, "events": [event]}
    values = {
        "schema": "bedplate.reference-values/v1",
        "stub": "257",
        "boot": {"secure_boot": "enabled", "platform": "qemu-ovmf", "profile": 0, "initrd_systemd": None},
        "banks": ["sha256", "sha384"],
        "pcrs": {"12": pcr, "9": {"predictable": False, "reason": "boot secret"}},
    }
    image = {"name": "node", "version": "1.0.0", "architecture": "x86-64", "profile": "production"}
    uki = {"stub": "257", "kernel": "6", "command_line": "", "root_hash": "00"}
    reference = {"image": image, "uki": uki, "reference_values": {"enabled": values}} | changed
    (directory / "reference-values.json").write_text(json.dumps(reference))
    return directory


def test_show_tells_every_event_in_a_line() -> None:
    done = invoke("show", SIGNED)
    assert done.exit_code == 0
    assert "nothing vouches for a log" in done.stderr
    assert done.stdout == (GOLDEN / "tsb257.txt").read_text()


def test_show_tells_the_digests_below_each_event_if_asked() -> None:
    lines = invoke("show", SIGNED, "--digests").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "SecureBoot: on" in line)
    expected = told("show", SIGNED)["events"][4]["digests"]
    assert [line.split() for line in lines[at + 1 : at + 4]] == [[*item] for item in expected.items()]


def test_show_has_everything_in_json() -> None:
    report = told("show", SIGNED)
    assert report["trusted"] is False
    assert (report["format"], report["registers"]) == ("crypto-agile", "pcr")
    event = report["events"][4]
    assert event["decoded"]["kind"] == "EfiVariable"
    assert event["decoded"]["meaning"] == {"kind": "Flag", "value": 1}
    assert event["digest_of"] == "data"
    assert event["text"] == "SecureBoot: on"
    assert bytes.fromhex(event["data"])[-1] == 1


def test_show_takes_the_log_of_user_space_along(tmp_path: Path) -> None:
    (tmp_path / "user.log").write_bytes(USERSPACE)
    option = ("--userspace-log", str(tmp_path / "user.log"))
    assert "systemd extend: ready" in invoke("show", SIGNED, *option).stdout
    assert told("show", SIGNED, *option)["userspace_events"][0]["string_is_measured"] is False


def test_replay_reaches_what_the_tpm_showed(tmp_path: Path) -> None:
    shown = json.loads((TINY / "tsb257" / "expected.json").read_text())["pcrs"]
    for bank, values in told("replay", SIGNED)["values"].items():
        assert {pcr: shown[bank][pcr] for pcr in values} == values
    line = next(line for line in invoke("replay", SIGNED).stdout.splitlines() if line.startswith("PCR 7  "))
    assert line.split() == ["PCR", "7", "sha1", shown["sha1"]["7"]]
    (tmp_path / "user.log").write_bytes(USERSPACE)
    more = told("replay", SIGNED, "--userspace-log", str(tmp_path / "user.log"))
    assert more["incomplete"] == [{"algorithm": "sha1", "register": 11}, {"algorithm": "sha384", "register": 11}]
    assert (
        "an event has no digest of this bank"
        in invoke("replay", SIGNED, "--userspace-log", str(tmp_path / "user.log")).stdout
    )


def test_replay_reads_the_registers_as_told(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(agile_log(record(1, 5, b"x")))
    assert "RTMR0" in invoke("replay", str(tmp_path / "log"), "--registers", "cc").stdout


def test_compare_says_that_a_log_is_equal_to_itself() -> None:
    done = invoke("compare", SIGNED, SIGNED)
    assert done.exit_code == 0
    assert "differs" not in done.stdout
    assert told("compare", SIGNED, SIGNED)["equal"] is True


def test_compare_names_the_first_event_that_differs() -> None:
    done = invoke("compare", SIGNED, UNSIGNED)
    assert isinstance(done.exception, NotVerifiedError)
    assert "PCR 7 differs from event 1 on" in done.exception.problems
    assert "SecureBoot: on" in done.stdout
    assert "SecureBoot: not set" in done.stdout
    assert "no event: this side has ended" in done.stdout
    report = json.loads(invoke("compare", SIGNED, UNSIGNED, "--format", "json").stdout)
    seven = next(item for item in report["registers"] if item["register"] == 7)
    assert (seven["outcome"], seven["position"], seven["left"]["text"]) == ("differs", 0, "SecureBoot: on")


def test_compare_with_a_release_names_the_event_that_is_missing(tmp_path: Path) -> None:
    done = invoke("compare", SIGNED, "--release", str(release(tmp_path)))
    assert isinstance(done.exception, NotVerifiedError)
    assert done.exception.problems == ("PCR 12 differs from event 1 on",)
    assert "EV_IPL: an addon (from ESP)" in done.stdout
    assert "not predictable: boot secret" in done.stdout
    assert "the release was not verified" in done.stderr
    assert "compared with the values for Secure Boot enabled" in done.stderr


def test_a_release_without_values_for_the_state_of_secure_boot_is_refused(tmp_path: Path) -> None:
    done = invoke("compare", UNSIGNED, "--release", str(release(tmp_path)))
    assert isinstance(done.exception, InvalidInputError)
    assert "has no reference values for Secure Boot disabled" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((SIGNED,), "name either a second log or --release"),
        ((SIGNED, SIGNED, "--release", "."), "name either a second log or --release"),
        ((SIGNED, SIGNED, "--trust", SIGNED), "go with --release"),
        ((SIGNED, SIGNED, "--userspace-log", SIGNED), "go with --release"),
    ],
)
def test_compare_takes_two_logs_or_a_log_and_a_release(arguments: tuple[str, ...], message: str) -> None:
    done = invoke("compare", *arguments)
    assert isinstance(done.exception, click.UsageError | SystemExit)
    assert message in done.output


@pytest.mark.parametrize("action", ["show", "replay"])
def test_a_file_that_is_no_log_is_refused(action: str) -> None:
    done = invoke(action, str(TINY / "dump.c"))
    assert isinstance(done.exception, InvalidInputError)
    assert str(done.exception).startswith(f"{TINY / 'dump.c'}: event 0 ")
    assert done.stdout == ""


@pytest.mark.parametrize("content", [b"# A text, which is no log of any kind.\n" * 9, b"", b"\x7fELF"])
def test_what_is_no_log_is_told_with_where_logs_are(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    error = invoke("show", str(tmp_path / "file")).exception
    assert isinstance(error, InvalidInputError)
    assert str(error).startswith(f"{tmp_path}/file: ")
    assert "/sys/kernel/security/tpm0/binary_bios_measurements" in (error.hint or "")
