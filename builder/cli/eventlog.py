"""``bedplate eventlog``: what a TCG event log says, what it replays to, and where it parts from another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.arguments import VerbWithActions
from builder.cli.options import EXISTING_DIRECTORY, EXISTING_FILE, trust_option, trusted_keys
from builder.cli.output import Format, format_option, print_json, print_table, to_stderr
from builder.errors import InvalidInputError, NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builder.evidence.divergence import Extend, RegisterComparison
    from builder.evidence.eventlog import RegisterKind, UntrustedEvent, UntrustedEventLog
    from builder.evidence.systemd_log import UserspaceLog
    from builder.measurement.prediction import PredictedPcr, Unpredictable

_SHOWN_TEXT = 200
_SHOWN_DIGEST = 16
_UNTRUSTED = "note: nothing vouches for a log by itself; `bedplate appraise` compares it with a quote\n"

_LOG_HINT = (
    "a TPM's log is /sys/kernel/security/tpm0/binary_bios_measurements, that of a confidential VM "
    "/sys/firmware/acpi/tables/data/CCEL"
)

_registers = click.option(
    "--registers",
    type=click.Choice(["pcr", "cc"]),
    help="What the register numbers mean: PCRs, or registers of a confidential VM (CCEL).  [default: from the log]",
)
_userspace = click.option(
    "--userspace-log",
    "userspace_file",
    type=EXISTING_FILE,
    help="Also systemd's log, /run/log/systemd/tpm2-measure.log.",
)


@click.group(
    cls=VerbWithActions,
    short_help="Read, replay and compare the event logs of machines.",
    examples=(
        "bedplate eventlog show /sys/kernel/security/tpm0/binary_bios_measurements",
        "bedplate eventlog replay log.bin --userspace-log tpm2-measure.log --format json",
        "bedplate eventlog compare yesterday.bin today.bin",
        "bedplate eventlog compare log.bin --release dist/inference-node/1.0.0",
    ),
)
def command() -> None:
    """Read TCG event logs: of TPM 1.2, crypto-agile, and of confidential VMs (CCEL).

    A log is what a machine says of itself: nothing here verifies it.
    """


@command.command("show", short_help="Show every event, decoded.")
@click.argument("file", type=EXISTING_FILE)
@_userspace
@_registers
@click.option("--digests", is_flag=True, help="In text, show the digests, too.")
@format_option
def _show(
    file: Path, userspace_file: Path | None, registers: str | None, output_format: Format, *, digests: bool
) -> None:
    """Show every event of the log FILE, and what its digest was made from.

    In text, the column "digest of" is empty where the digest was made from something that the log does not hold, such
    as a loaded image: then the text is a mere label.
    """
    from builder.evidence import eventlog_report  # noqa: PLC0415 -- for a fast --help

    log, userspace = _read(file, registers), _read_userspace(userspace_file)
    if output_format is Format.JSON:
        print_json(eventlog_report.event_log(log, userspace))
        return
    rows: list[tuple[str, ...]] = []
    for event in log.events:
        rows += [_row(event, log.registers), *(_digest_rows(event.digests) if digests else ())]
    for record in userspace.events if userspace else ():
        register = "NvPCR" if record.pcr is None else f"PCR {record.pcr}"
        basis = "the string" if record.string_is_measured else ""
        rows.append((str(record.index), register, "systemd", _cut(record.text), basis))
        rows += _digest_rows(record.digests) if digests else ()
    print_table(("event", "register", "type", "what it says", "digest of"), rows)
    to_stderr(_UNTRUSTED)


@command.command("replay", short_help="Show the register values that a log stands for.")
@click.argument("file", type=EXISTING_FILE)
@_userspace
@_registers
@format_option
def _replay(file: Path, userspace_file: Path | None, registers: str | None, output_format: Format) -> None:
    """Show what the registers are after all events of the log FILE, in every bank of the log."""
    from builder.evidence import eventlog_report  # noqa: PLC0415 -- for a fast --help
    from builder.evidence.replay import replay  # noqa: PLC0415

    replayed = replay(_read(file, registers), _read_userspace(userspace_file))
    if output_format is Format.JSON:
        print_json(eventlog_report.register_values(replayed))
        return
    rows = [
        (replayed.registers.register_name(register), algorithm.label, value.hex())
        for algorithm, bank in replayed.values.items()
        for register, value in bank.items()
    ]
    rows += [
        (replayed.registers.register_name(register), algorithm.label, "an event has no digest of this bank")
        for algorithm, register in sorted(replayed.incomplete)
    ]
    print_table(("register", "bank", "value"), rows)
    to_stderr(_UNTRUSTED)


@command.command("compare", short_help="Compare a log with another one, or with a release's reference values.")
@click.argument("file", type=EXISTING_FILE)
@click.argument("other", required=False, type=EXISTING_FILE)
@click.option("--release", type=EXISTING_DIRECTORY, help="Compare with a release.")
@trust_option("to verify the release with first", default="its values are taken as they stand")
@_userspace
@format_option
def _compare(
    file: Path,
    other: Path | None,
    release: Path | None,
    trusted: tuple[Path, ...],
    userspace_file: Path | None,
    output_format: Format,
) -> None:
    """Compare the log FILE with the log OTHER or a release: register by register, the first event that differs.

    Of a release's two sets of values the one is taken that fits the Secure Boot state in the log. Exit code 1 means
    that a register differs.
    """
    from builder.evidence import eventlog_report  # noqa: PLC0415 -- for a fast --help
    from builder.evidence.divergence import compare_logs, compare_with_prediction  # noqa: PLC0415

    if (other is None) == (release is None):
        raise click.UsageError("name either a second log or --release")
    log = _read(file, None)
    if release is not None:
        predicted = _predicted(release, trusted, log)
        found = compare_with_prediction(log, predicted, _read_userspace(userspace_file))
        names = ("predicted", "log")
    elif userspace_file is not None or trusted or other is None:
        raise click.UsageError("--userspace-log and --trust go with --release")
    else:
        found = compare_logs(log, _read(other, log.registers.value))
        names = (str(file), str(other))
    if output_format is Format.JSON:
        print_json(eventlog_report.comparisons(found))
    else:
        _print_comparison(found, names, log.registers)
    problems = tuple(
        f"{log.registers.register_name(item.register)} differs from event {item.position + 1} on"
        for item in found
        if item.position is not None
    )
    if problems:
        raise NotVerifiedError("the logs differ" if release is None else "the log is not as predicted", problems)


def _read(file: Path, registers: str | None) -> UntrustedEventLog:
    from builder.errors import InvalidInputError  # noqa: PLC0415 -- for a fast --help
    from builder.evidence.eventlog import MAX_LOG_BYTES, RegisterKind, parse_event_log  # noqa: PLC0415
    from builder.files import read_bytes  # noqa: PLC0415 -- for a fast --help

    data = read_bytes(file, what="event log", limit=MAX_LOG_BYTES)
    try:
        return parse_event_log(data, None if registers is None else RegisterKind(registers))
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}", hint=error.hint or _LOG_HINT) from error


def _read_userspace(file: Path | None) -> UserspaceLog | None:
    from builder.evidence.systemd_log import MAX_LOG_BYTES, parse_userspace_log  # noqa: PLC0415 -- for a fast --help
    from builder.files import named, read_bytes  # noqa: PLC0415

    if file is None:
        return None
    data = read_bytes(file, what="measurement log", limit=MAX_LOG_BYTES)
    with named(file):
        return parse_userspace_log(data)


def _predicted(
    release: Path, trusted: tuple[Path, ...], log: UntrustedEventLog
) -> Mapping[int, PredictedPcr | Unpredictable]:
    from builder.evidence.divergence import secure_boot_in  # noqa: PLC0415 -- for a fast --help
    from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
    from builder.release.prove import load_reference  # noqa: PLC0415
    from builder.release.reference import stated_pcrs  # noqa: PLC0415
    from builder.release.verify import verify_release  # noqa: PLC0415

    if trusted:
        reference = verify_release(release, trusted_keys(trusted)).reference
    else:
        to_stderr("warning: UNVERIFIED: the release was not verified; --trust KEY verifies it\n")
        reference = load_reference(release)
    mode = SecureBootMode.ENABLED if secure_boot_in(log) else SecureBootMode.DISABLED
    stated = reference.reference_values.get(mode.value)
    if stated is None:
        raise InvalidInputError(f"{release} has no reference values for Secure Boot {mode.value}")
    to_stderr(f"note: compared with the values for Secure Boot {mode.value}\n")
    return stated_pcrs(stated)


def _row(event: UntrustedEvent, registers: RegisterKind) -> tuple[str, ...]:
    from builder.evidence.decode import decode  # noqa: PLC0415 -- for a fast --help
    from builder.evidence.digest_check import Basis, check_digest  # noqa: PLC0415

    check = check_digest(event)
    basis = "" if check is None or check.basis is Basis.ELSEWHERE else check.basis.value
    return (
        str(event.index),
        registers.register_name(event.register) if event.extends else "-",
        event.type_name,
        _cut(decode(event).text),
        basis,
    )


def _digest_rows(digests: Mapping[int, bytes]) -> list[tuple[str, ...]]:
    """The digests below an event, one a row, so that no row gets longer than a pipe's."""
    from builder.evidence.algorithms import algorithm_label  # noqa: PLC0415 -- for a fast --help

    return [("", "", "", f"{algorithm_label(number)} {digest.hex()}", "") for number, digest in digests.items()]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."


def _print_comparison(found: tuple[RegisterComparison, ...], names: tuple[str, str], registers: RegisterKind) -> None:
    rows = []
    for item in found:
        name = registers.register_name(item.register)
        if item.reason is not None:
            rows.append((name, "not compared", _cut(item.reason)))
        elif item.position is None:
            rows.append((name, "equal", f"{item.left_count} event{'' if item.left_count == 1 else 's'}"))
        else:
            rows.append((name, "differs", f"from event {item.position + 1} on"))
            rows += [
                ("", f"  {side}", _said(extend)) for side, extend in zip(names, (item.left, item.right), strict=True)
            ]
    print_table(("register", "outcome", "events"), rows)


def _said(extend: Extend | None) -> str:
    if extend is None:
        return "no event: this side has ended"
    from builder.evidence.algorithms import HashAlgorithm, algorithm_label  # noqa: PLC0415 -- for a fast --help

    # Of the usual bank, because the texts may well be the same.
    shown = HashAlgorithm.SHA256 if HashAlgorithm.SHA256 in extend.digests else next(iter(extend.digests))
    digest = f"{algorithm_label(shown)} {extend.digests[shown].hex()[:_SHOWN_DIGEST]}..."
    return f"{_cut(f'{extend.type_name}: {extend.text}')} ({digest})"
