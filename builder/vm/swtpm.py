"""A fresh software TPM 2.0 (swtpm) per boot, with exactly the PCR banks that bedplate predicts."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from builder import process
from builder.errors import InvalidInputError
from builder.measurement.pcr import Bank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

SETUP_SECONDS = 60.0


def setup_argv(state: Path) -> tuple[str, ...]:
    """The command that makes the state of a new TPM in the empty directory ``state``: no keys, no certificates."""
    # fmt: off
    return (
        "swtpm_setup", "--tpm2",
        "--tpmstate", f"dir://{state}",
        "--pcr-banks", ",".join(Bank),
        "--config", "/dev/null",
    )
    # fmt: on


def socket_argv(state: Path, control_fd: int, log: Path) -> tuple[str, ...]:
    """The command that runs a TPM whose control channel is the inherited socket ``control_fd``.

    There is no ``--terminate``: the TPM outlives the machine, so that its PCRs can be read afterwards.
    """
    # fmt: off
    return (
        "swtpm", "socket", "--tpm2",
        "--tpmstate", f"dir={state}",
        "--ctrl", f"type=unixio,clientfd={control_fd}",
        "--log", f"file={log}",
    )
    # fmt: on


@contextlib.contextmanager
def fresh_tpm(toolchain: Toolchain, workdir: Path) -> Iterator[socket.socket]:
    """Run a TPM that was never used before; yield the control socket. It dies with the block.

    ``workdir`` is an existing directory that gets the TPM's state and log. Raises ToolFailedError, or InvalidInputError
    for a path that swtpm's option parser would take apart.
    """
    if "," in str(workdir):
        raise InvalidInputError(f"the working directory {workdir} has a comma in its path, which swtpm cannot handle")
    state = workdir / "tpm"
    state.mkdir()
    process.run(toolchain.command(setup_argv(state), writable=[workdir]), timeout=SETUP_SECONDS)
    ours, theirs = socket.socketpair()
    with ours, contextlib.ExitStack() as running:
        argv = toolchain.command(socket_argv(state, theirs.fileno(), workdir / "swtpm.log"), writable=[workdir])
        with theirs, (workdir / "swtpm.out").open("ab") as output:
            running.enter_context(process.spawn(argv, stdout=output, stderr=output, pass_fds=[theirs.fileno()]))
        yield ours
