"""The gateway of the inference node: built in a Debian tree with Go, and run on this host with a software TPM."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.evidence.certificates import parse_certificates
from builder.evidence.endorsement import EndorsementRoots
from builder.mkosi.cache import find_cache

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from builder.mkosi.toolchain import Toolchain

# What the image's build takes, and for tests the race detector's C compiler, the TPM, and mkosi for its sandbox.
GO_TREE: Final = (
    "gcc", "golang-github-google-go-tpm-dev", "golang-go", "libc6-dev", "mkosi", "swtpm", "swtpm-tools",
)  # fmt: skip
SOURCE: Final = Path(__file__).parents[1] / "images/inference-node/gateway"
RELEASE: Final = "IMAGE_ID=inference-node\nIMAGE_VERSION=1.0.0\n"
CERTIFICATES: Final = ("swtpm-localca-rootca-cert.pem", "issuercert.pem")
_START_SECONDS: Final = 30.0


def go(
    tree: Toolchain, *arguments: str, source: Path = SOURCE, race: bool = False, writable: Sequence[Path] = ()
) -> tuple[str, ...]:
    """The command that runs ``go`` on a program's source, offline; what it compiled is kept for the next run."""
    compiled = find_cache(os.environ).directory / "go"
    compiled.mkdir(parents=True, exist_ok=True)
    settings = {
        "CGO_ENABLED": str(int(race)),
        "GOCACHE": str(compiled),
        "GOFLAGS": "-mod=readonly",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "HOME": "/tmp",  # noqa: S108 -- the sandbox's own
    } | {name: os.environ[name] for name in ("CI",) if name in os.environ}
    words = [f"{name}={value}" for name, value in settings.items()]
    return tree.command(
        ("env", *words, "go", *arguments[:1], "-C", str(source), *arguments[1:]),
        readable=[source],
        writable=[compiled, *writable],
    )


def run(command: Sequence[str], seconds: float) -> str:
    """What a command prints. Fails the test with that if the command fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=seconds,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


def build(tree: Toolchain, folder: Path, *, source: Path = SOURCE) -> Path:
    """The program, as the image's build makes it."""
    program = folder / source.name
    options = ("-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags=-s -w -buildid=")
    run(go(tree, "build", *options, "-o", str(program), ".", source=source, writable=[folder]), 600)
    return program


@dataclass(frozen=True)
class Node:
    """A running gateway. ``log`` is what it prints, ``tpm`` the path of a further socket to its TPM's state."""

    port: int
    log: Path
    engine: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@contextlib.contextmanager
def software_tpm(tree: Toolchain, folder: Path, authority: Path | None = None) -> Iterator[socket.socket]:
    """A started TPM with the banks that releases know, and the one connection that it takes.

    With ``authority``, an existing directory, it has a certificate by swtpm's own authority, whose state is there: its
    certificates are CERTIFICATES, from the root down.
    """
    state, listening = folder / "tpm", folder / "tpm.sock"
    state.mkdir()
    config, options = "/dev/null", ()
    writable = [folder]
    if authority is not None:
        config, options = str(authority_config(folder, authority)), ("--create-ek-cert",)
        writable.append(authority)
    setup = ("swtpm_setup", "--tpm2", "--tpmstate", f"dir://{state}", "--pcr-banks", "sha256,sha384",
             "--config", config, *options)  # fmt: skip
    run(tree.command(setup, writable=writable), 120)
    serve = ("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--flags", "not-need-init,startup-clear",
             "--server", f"type=unixio,path={listening}")  # fmt: skip
    command = tree.command(serve, writable=[folder])
    with _running(command, folder / "swtpm.log") as process, socket.socket(socket.AF_UNIX) as device:
        # The socket is there before swtpm listens.
        _await(lambda: device.connect_ex(str(listening)) == 0, process)
        yield device


def endorsement_roots(authority: Path) -> EndorsementRoots:
    """Trust in all TPMs that have a certificate by the authority in a directory."""
    root, *more = (parse_certificates((authority / name).read_bytes(), name) for name in CERTIFICATES)
    return EndorsementRoots(root, [item for bundle in more for item in bundle])


def authority_config(folder: Path, authority: Path) -> Path:
    """swtpm_setup.conf(5) for an authority that makes itself when it is first needed."""
    files = {
        "localca.options": "",
        "localca.conf": f"statedir = {authority}\nsigningkey = {authority}/signkey.pem\n"
        f"issuercert = {authority}/{CERTIFICATES[-1]}\ncertserial = {authority}/certserial\n",
        "setup.conf": "create_certs_tool = /usr/bin/swtpm_localca\n"
        f"create_certs_tool_config = {folder}/localca.conf\ncreate_certs_tool_options = {folder}/localca.options\n",
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder / "setup.conf"


@contextlib.contextmanager
def node(
    program: Path,
    folder: Path,
    tpm: socket.socket,
    *,
    event_log: bytes = b"",
    userspace_log: bytes = b"",
    options: Sequence[str] = (),
    os_release: str = RELEASE,
) -> Iterator[Node]:
    """A gateway on this host that is given what its unit gives it. ``engine`` of the result may be listened on."""
    engine = folder / "engine.sock"
    names = {"event-log": event_log, "userspace-log": userspace_log, "os-release": os_release.encode()}
    for name, content in names.items():
        (folder / name).write_bytes(content)
    arguments = (program, "-engine", engine, "-os-release", folder / "os-release", "-model", folder / "model.json")
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        logs = [stack.enter_context((folder / name).open("rb")) for name in ("event-log", "userspace-log")]
        files = (listening.fileno(), tpm.fileno(), *(log.fileno() for log in logs))
        # The service manager's protocol wants the files from number 3 on, and the number of the process.
        moves = " ".join(f"{10 + number}<&{file}" for number, file in enumerate(files))
        takes = " ".join(f"{3 + number}<&{10 + number} {10 + number}<&-" for number in range(len(files)))
        script = f'exec {moves}; exec {takes}; LISTEN_PID=$$ exec "$@"'
        environment = {"LISTEN_FDS": "4", "LISTEN_FDNAMES": "https:tpm:event-log:userspace-log", "GOTRACEBACK": "none"}
        log = folder / "gateway.log"
        words = ("/bin/bash", "-c", script, "bash", *map(str, arguments), *options)
        with _running(words, log, environment, files) as process:
            yield Node(listening.getsockname()[1], log, engine, process)


@contextlib.contextmanager
def _running(
    command: Sequence[str], log: Path, environment: dict[str, str] | None = None, files: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, pass_fds=files
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def _await(condition: object, process: subprocess.Popen[bytes]) -> None:
    assert callable(condition)
    end = time.monotonic() + _START_SECONDS
    while not condition():
        assert process.poll() is None, "it ended"
        assert time.monotonic() < end, "it does not start"
        time.sleep(0.02)
