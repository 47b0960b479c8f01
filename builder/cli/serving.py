"""``bedplate boot --serve``: a machine that runs on as a node; its options, and what is said and done meanwhile."""

from __future__ import annotations

import contextlib
import functools
import secrets
import shlex
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from builder.cli.numbers import MEBIBYTES, PORT
from builder.cli.options import EXISTING_FILE, FILE
from builder.cli.output import to_stderr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from builder.release.prove import BootProof, Service
    from builder.vm.qemu import Hardware

    Transact = Callable[[bytes], bytes]

# As builder.vm.ports has it, of which --help imports nothing.
_HOST: Final = "127.0.0.1"
_PROOF_MEMORY: Final = 1024
_SERVICE_MEMORY: Final = 2048
_RETRY_SECONDS: Final = 1.0


@dataclass(slots=True)
class Serving:
    """What was asked for: the port, None if the machine ends at ``ready``; the disk of weights, and memory in MiB.

    ``begun`` is whether it was proved and runs on, ``stop`` what ends it.
    """

    serve: int | None = None
    weights: Path | None = None
    save_ak: Path | None = None
    memory: int | None = None
    begun: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where the node serves."""
        return f"https://{_HOST}:{self.serve}"

    def hardware(self, release: Path) -> Hardware:
        """The machine, after all that can be refused before it starts.

        Raises UsageError for options that say nothing without ``--serve``, and InvalidInputError for a port that
        cannot be had and for a disk that is not the one of the release.
        """
        from builder.files import remove_earlier  # noqa: PLC0415 -- for a fast --help
        from builder.release.served import check_weights, served_model  # noqa: PLC0415
        from builder.vm.ports import require_port  # noqa: PLC0415
        from builder.vm.qemu import Hardware  # noqa: PLC0415

        if self.serve is None:
            for option, value in (("--weights", self.weights), ("--save-ak", self.save_ak)):
                if value is not None:
                    raise click.UsageError(f"{option} goes with --serve: without it the machine ends at ready")
            return Hardware(memory=self.memory or _PROOF_MEMORY)
        require_port(self.serve)
        model = served_model(release)
        disks: tuple[Path, ...] = ()
        if self.weights is not None:
            check_weights(release, model, self.weights)
            disks = (self.weights.resolve(),)
        elif model is None:
            to_stderr("warning: the image names no weights, so the node shows evidence and answers no prompt\n")
        else:
            to_stderr(f"warning: without the weights of {model.name} the node answers no prompt; --weights DISK\n")
        if self.save_ak is not None:
            # What an earlier call left must not seem to be of this one.
            remove_earlier(self.save_ak)
        return Hardware(memory=self.memory or _SERVICE_MEMORY, https_port=self.serve, extra_disks=disks)

    def service(self, begin: Callable[[BootProof, Transact], None]) -> Service | None:
        """What becomes of the machine once it is proved; None if that is its end."""
        from builder.release.prove import Service  # noqa: PLC0415

        def run(proof: BootProof, transact: Transact) -> None:
            self.begun = True
            begin(proof, transact)

        return None if self.serve is None else Service(run, self.stop)

    @contextlib.contextmanager
    def running(self, release: Path, trusted: Sequence[Path], proof: BootProof, transact: Transact) -> Iterator[None]:
        """Tell how to ask the node once it listens; within the block a signal that ends a process stops the machine."""
        from builder.files import write_atomically  # noqa: PLC0415
        from builder.vm.quote import attestation_key  # noqa: PLC0415

        if self.save_ak is not None:
            write_atomically(self.save_ak, attestation_key(transact))
        question = self._question(release, trusted, proof)
        # The machine is at ready a moment before its gateway listens.
        threading.Thread(target=announce, args=(self.url, question, self.stop), daemon=True).start()
        with stopped_by_signals(self.stop):
            yield

    def _question(self, release: Path, trusted: Sequence[Path], proof: BootProof) -> str:
        """The command that asks the node, for a shell."""
        from builder.measurement.configuration import SecureBootMode  # noqa: PLC0415
        from builder.release.prove import load_reference  # noqa: PLC0415

        words = ["bedplate", "connect", self.url]
        words += ["--trust-on-first-use"] if self.save_ak is None else ["--ak", str(self.save_ak)]
        words += ["--release", str(release)]
        for key in trusted or ("KEY",):
            words += ["--trust", str(key)]
        if proof.mode is SecureBootMode.DISABLED:
            words += ["--secure-boot", "disabled"]
        if load_reference(release).image.profile == "development":
            words.append("--allow-development")
        return shlex.join(words)


def serve_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a machine that runs on; the verb gets them as ``serving``."""
    options = (
        click.option(
            "--serve",
            type=PORT,
            metavar="PORT",
            help=f"Let the machine run on at ready, and pass this port of {_HOST} on to its port 443.",
        ),
        click.option("--weights", type=EXISTING_FILE, metavar="DISK", help="Disk of the weights, attached read-only."),
        click.option("--save-ak", type=FILE, help="Write the attestation key of the machine's TPM, for connect --ak."),
        click.option(
            "--memory",
            type=MEBIBYTES,
            metavar="MIB",
            help=f"Memory of the machine.  [default: {_PROOF_MEMORY}, with --serve {_SERVICE_MEMORY}]",
        ),
    )
    names = ("serve", "weights", "save_ak", "memory")

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        command(serving=Serving(**{name: given.pop(name) for name in names}), **given)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


@contextlib.contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Within the block, signals that end a process set ``stop`` instead, however often they come."""
    previous = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A parent that wants us to outlive its terminal (nohup) set SIGHUP to be ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            previous[number] = signal.signal(number, lambda *_: stop.set())
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def announce(url: str, question: str, stop: threading.Event) -> None:
    """Wait until the node at ``url`` shows evidence, and tell where it is and the command that asks it."""
    from builder.connect.channel import ask  # noqa: PLC0415
    from builder.connect.node import NONCE_BYTES  # noqa: PLC0415
    from builder.connect.origin import parse_origin  # noqa: PLC0415
    from builder.errors import BedplateError  # noqa: PLC0415

    while not stop.is_set():
        try:
            ask(parse_origin(url), secrets.token_bytes(NONCE_BYTES))
        except BedplateError:
            stop.wait(_RETRY_SECONDS)
        else:
            to_stderr(f"serves at {url} until Ctrl-C; ask it:\n  {question}\n")
            return
