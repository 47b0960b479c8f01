"""``bedplate measure``: the PCR values of a UKI, with the reason for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.options import EXISTING
from builder.cli.output import Format, print_json, print_table, print_text
from builder.errors import InvalidInputError, MalformedImageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from builder.measurement.configuration import SecureBoot
    from builder.measurement.pcr import Bank
    from builder.measurement.prediction import Prediction

_NITROTPM = "nitrotpm"
_SHOWN_DESCRIPTION = 60
_MAX_SIGNATURE_LIST_BYTES = 1 << 20


@click.command(
    cls=Verb,
    short_help="Predict the PCR values of a UKI or a release.",
    examples=(
        "bedplate measure dist/inference-node/1.0.0",
        "bedplate measure node.efi --secure-boot keys/production/secure-boot --events",
        "bedplate measure node.efi --format nitrotpm",
    ),
)
@click.argument("subject", metavar="UKI|RELEASE", type=EXISTING)
@click.option(
    "--secure-boot",
    "lists",
    multiple=True,
    type=EXISTING,
    help="Keys that the firmware has enrolled: a directory with PK.esl, KEK.esl, db.esl and perhaps dbx.esl, or such"
    " files one by one.  [default: a release's own keys; for a UKI, none: Secure Boot is off]",
)
@click.option("--no-secure-boot", is_flag=True, help="Predict a boot with Secure Boot off, also for a release.")
@click.option(
    "--bank", "banks", multiple=True, type=click.Choice(["sha256", "sha384"]), help="PCR bank.  [default: both]"
)
@click.option("--events", is_flag=True, help="In text, list the events that make up each value.")
@click.option(
    "--format",
    "output_format",
    type=click.Choice([*(item.value for item in Format), _NITROTPM]),
    default=Format.TEXT.value,
    show_default=True,
    help="nitrotpm is the JSON of AWS's nitro-tpm-pcr-compute (SHA-384).",
)
def command(
    subject: Path,
    lists: tuple[Path, ...],
    banks: tuple[str, ...],
    output_format: str,
    *,
    no_secure_boot: bool,
    events: bool,
) -> None:
    """Predict the PCRs of a machine that boots a UKI, from its bytes.

    A value that cannot be predicted is shown with the reason. For a release the values are computed from its UKI, not
    read from its reference values.
    """
    from builder.files import mapped  # noqa: PLC0415 -- for a fast --help
    from builder.measurement.pcr import Bank  # noqa: PLC0415
    from builder.release.predict import predict_uki  # noqa: PLC0415

    if lists and no_secure_boot:
        raise click.UsageError("--secure-boot and --no-secure-boot exclude each other")
    uki = _uki_of(subject) if subject.is_dir() else subject
    if subject.is_dir() and not lists and not no_secure_boot:
        lists = (subject / "secure-boot",)
    chosen = tuple(Bank(name) for name in banks) or tuple(Bank)
    if output_format == _NITROTPM:
        chosen = (Bank.SHA384,)
    try:
        with mapped(uki, what="UKI") as view:
            prediction = predict_uki(view, _secure_boot(lists), chosen)
    except MalformedImageError as error:
        raise InvalidInputError(f"{uki} is not a UKI that can be measured: {error}", hint=error.hint) from error
    _print(prediction, output_format, events=events)


def _uki_of(release: Path) -> Path:
    found = sorted(release.glob("*.efi"))
    if len(found) != 1:
        raise InvalidInputError(f"{release} is no release: it has {len(found)} files *.efi, expected 1")
    return found[0]


def _secure_boot(lists: tuple[Path, ...]) -> SecureBoot:
    from builder.files import read_bytes  # noqa: PLC0415 -- for a fast --help
    from builder.measurement.configuration import SecureBoot, SecureBootMode  # noqa: PLC0415

    if not lists:
        return SecureBoot(SecureBootMode.DISABLED)
    files: dict[str, Path] = {}
    for path in lists:
        for file in sorted(path.glob("*.esl")) if path.is_dir() else [path]:
            if file.stem not in {"PK", "KEK", "db", "dbx"} or file.stem in files:
                raise InvalidInputError(f"{file}: expected one file each of PK.esl, KEK.esl, db.esl and dbx.esl")
            files[file.stem] = file
    if missing := [name for name in ("PK", "KEK", "db") if name not in files]:
        raise InvalidInputError(f"Secure Boot needs {' and '.join(f'{name}.esl' for name in missing)} too")
    content = {
        name: read_bytes(path, what="signature list", limit=_MAX_SIGNATURE_LIST_BYTES) for name, path in files.items()
    }
    return SecureBoot(
        SecureBootMode.ENABLED,
        pk=content["PK"],
        kek=content["KEK"],
        db=content["db"],
        dbx=content.get("dbx", b""),
    )


def _print(prediction: Prediction, output_format: str, *, events: bool) -> None:
    from builder.measurement import report  # noqa: PLC0415 -- for a fast --help

    if output_format == _NITROTPM:
        print_text(report.nitrotpm(prediction))
    elif output_format == Format.JSON:
        print_json(report.reference_values(prediction))
    else:
        _print_tables(prediction, events=events)


def _print_tables(prediction: Prediction, *, events: bool) -> None:
    from builder.measurement.prediction import Unpredictable  # noqa: PLC0415 -- for a fast --help

    print_text(f"stub {prediction.stub.version}, Secure Boot {prediction.configuration.secure_boot.mode.value}\n")
    rows = []
    for pcr, entry in prediction.pcrs.items():
        if isinstance(entry, Unpredictable):
            rows.append((str(pcr), "", f"not predictable: {entry.reason}"))
            continue
        values: Mapping[str, Mapping[Bank, bytes]] = (
            {phase.label: value for phase, value in entry.phases.items()} if entry.phases else {"": entry.values}
        )
        for label, value in values.items():
            rows += [(f"{pcr} {label}".strip(), bank.value, digest.hex()) for bank, digest in value.items()]
    print_table(("PCR", "bank", "value"), rows)
    if events:
        details = [
            (str(event.pcr), _short(event.description), event.source, bank.value, digest.hex())
            for entry in prediction.pcrs.values()
            if not isinstance(entry, Unpredictable)
            for event in entry.events
            for bank, digest in event.digests.items()
        ]
        print_text("")
        print_table(("PCR", "event", "from", "bank", "digest"), details)


def _short(text: str) -> str:
    """A description that fits into a table; the JSON form has all of it."""
    return text if len(text) <= _SHOWN_DESCRIPTION else f"{text[:_SHOWN_DESCRIPTION]} ..."
