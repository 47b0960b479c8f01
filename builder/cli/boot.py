"""``bedplate boot``: the boot proof."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import Verb
from builder.cli.numbers import SECONDS
from builder.cli.options import EXISTING_DIRECTORY, trust_option, trusted_keys
from builder.cli.output import Format, format_option, print_json, print_table, print_text, to_stderr
from builder.cli.progress import progress_option
from builder.cli.serving import Serving, serve_options
from builder.errors import NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from builder.progress import Reporter, Stage
    from builder.release.prove import BootProof
    from builder.vm.recorder import RecordedChange


@click.command(
    cls=Verb,
    short_help="Boot a release and compare the real PCRs with its reference values.",
    examples=(
        "bedplate boot dist/inference-node/1.0.0 --trust keys/production/release.pub",
        "bedplate boot dist/inference-node/1.0.0 --no-secure-boot",
        "bedplate boot dist/chat-node/1.0.0 --trust keys/local/release.pub --serve 8443 \\",
        "    --weights weights/gemma-3-270m.weights.raw --save-ak node.tpmt",
    ),
)
@click.argument("release", type=EXISTING_DIRECTORY)
@trust_option("to verify RELEASE with first")
@click.option("--no-secure-boot", is_flag=True, help="Boot on firmware that has no keys enrolled.")
@click.option("--timeout", type=SECONDS, default=600, show_default=True, help="Seconds that the boot may take.")
@serve_options
@progress_option
@format_option
def command(
    release: Path,
    trusted: tuple[Path, ...],
    timeout: float,
    reporter: Reporter,
    output_format: Format,
    *,
    no_secure_boot: bool,
    serving: Serving,
) -> None:
    """Boot RELEASE in QEMU with OVMF and a new software TPM, and read the PCRs from the TPM itself.

    The release's own Secure Boot keys are enrolled, and the boot runs until systemd measures the phase "ready". Nothing
    in the image helps or is changed. Exit code 1 means that a PCR is not as predicted, or that the machine did not get
    that far. Without --trust this proves the release's values, not who stated them.

    With --serve the machine then runs on as a node that `bedplate connect` can ask, until Ctrl-C; exit code 1 means
    that it ended by itself. Each boot is of a new machine with a new TPM, and so with another attestation key.
    """
    from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415 -- for a fast --help
    from builder.mkosi.bootstrap import require_toolchain  # noqa: PLC0415
    from builder.mkosi.cache import find_cache  # noqa: PLC0415
    from builder.release.prove import prove  # noqa: PLC0415

    hardware = serving.hardware(release)
    toolchain = require_toolchain(find_cache(os.environ))
    if trusted:
        with reporter.stage("verify"):
            _verify(release, trusted)
    else:
        to_stderr("warning: UNVERIFIED: nobody vouches for the reference values; --trust KEY verifies them\n")
    mode = SecureBootMode.DISABLED if no_secure_boot else SecureBootMode.ENABLED
    with (
        tempfile.TemporaryDirectory(prefix="bedplate-") as workdir,
        contextlib.ExitStack() as service,
        contextlib.ExitStack() as booting,
    ):
        stage = booting.enter_context(reporter.stage(f"boot with Secure Boot {mode.value}"))

        def begin(proof: BootProof, transact: Callable[[bytes], bytes]) -> None:
            booting.close()
            _print(proof, output_format, serving)
            service.enter_context(serving.running(release, trusted, proof, transact))

        proof = prove(
            release,
            toolchain,
            Path(workdir),
            mode=mode,
            timeout=timeout,
            hardware=hardware,
            service=serving.service(begin),
            on_change=lambda recorded: _tell(stage, recorded),
        )
    if not serving.begun:
        _print(proof, output_format, serving)
    if proof.problems:
        problem = "ended by itself" if serving.begun else "did not boot as predicted"
        raise NotVerifiedError(f"{release} {problem}", proof.problems)


def _verify(release: Path, trusted: tuple[Path, ...]) -> None:
    from builder.release.verify import verify_release  # noqa: PLC0415

    # A development image boots here as well as any: this machine is thrown away.
    verify_release(release, trusted_keys(trusted), allow_development=True)


def _tell(stage: Stage, recorded: RecordedChange) -> None:
    stage.line(f"PCR {recorded.change.pcr} extended after {recorded.seconds:.0f} s")


def _print(proof: BootProof, output_format: Format, serving: Serving) -> None:
    values = [
        (comparison, bank, comparison.expected.get(bank), value)
        for comparison in proof.comparisons
        for bank, value in comparison.observed.items()
    ]
    if output_format is Format.JSON:
        print_json(
            {
                "proved": not proof.problems,
                "secure_boot": proof.mode.value,
                "outcome": proof.observed.outcome.value,
                "seconds": proof.observed.milestones,
                "pcrs": [
                    {
                        "pcr": comparison.pcr,
                        "bank": bank,
                        "predicted": None if expected is None else expected.hex(),
                        "real": real.hex(),
                        "outcome": comparison.outcome,
                    }
                    for comparison, bank, expected, real in values
                ],
                "problems": proof.problems,
                "serves": serving.url if serving.begun else None,
            }
        )
        return
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in proof.observed.milestones.items())
    print_text(
        f"Secure Boot {'on' if proof.observed.secure_boot_was_on else 'off'}, as the firmware measured it; {times}\n"
    )
    rows = []
    for comparison, bank, expected, real in values:
        # One value where both agree: two columns of the same 96 digits hide the line that differs.
        rows.append((str(comparison.pcr), bank.value, comparison.outcome.value, real.hex()))
        if expected is not None and expected != real:
            rows.append(("", "", "  predicted", expected.hex()))
    print_table(("PCR", "bank", "prediction", "real value"), rows)
