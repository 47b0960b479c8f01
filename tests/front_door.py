"""Speaking to a machine of the rig through its one port, and what became of a prompt that somebody wanted to send."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import openai

from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.errors import BedplateError, NotVerifiedError
from builder.evidence.evidence_files import Grounds, UntrustedQuotes
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.public_area import PublicArea
from builder.evidence.trust import TrustKind, trust_pinned_key
from builder.release.layout import STATEMENTS
from builder.release.reference import load_variables
from builder.release.trusted import load_trusted_reference
from builder.vm.varstore import SecureBootVariables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.evidence.node_appraisal import AppraisedNode
    from builder.release.trusted import TrustedReference
    from signing.keys import PublicKey

FIRST_USE = AppraisalPolicy(trust=frozenset({TrustKind.FIRST_USE}))
# An emulated machine on two busy cores.
LISTEN_SECONDS = 240.0
CANARY = b"canary-6e20f1"
# Longer than all that a client says to a node before it knows who that is, so that a count of bytes tells whether any
# of it was sent, whatever it is wrapped in.
PROMPT = f"{CANARY.decode()} is my secret. " * 2000
BEFORE_A_PROMPT = 8 << 10


def free_port() -> int:
    """A port of the loopback address that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def reference_of(release: Path, *trusted: PublicKey) -> TrustedReference:
    """What a release states, of which one of these keys must have signed it."""
    return load_trusted_reference((release / STATEMENTS).read_bytes(), list(trusted))


def secure_boot_of(release: Path) -> SecureBootVariables:
    """The keys of a release, to enrol."""
    variables = load_variables(release)
    return SecureBootVariables(variables["PK"], variables["KEK"], variables["db"], variables["dbx"])


def first_evidence(url: str, reference: TrustedReference) -> AppraisedNode:
    """What a node shows as soon as its gateway listens, whoever vouches for its key."""
    grounds = Grounds(None, first_use=True, nitro_roots=(), at=datetime.now(UTC))
    end = time.monotonic() + LISTEN_SECONDS
    while True:
        try:
            return connect(parse_origin(url), [reference], grounds, FIRST_USE)
        except BedplateError as error:
            # Until then QEMU takes connections and closes them: nobody to shake hands with, or nobody at all.
            if time.monotonic() > end:
                raise AssertionError("the gateway does not answer") from error
            time.sleep(1)


def shown_key(node: AppraisedNode) -> PublicArea:
    """The attestation key in a node's document."""
    evidence = node.verified.document.evidence
    assert isinstance(evidence, UntrustedQuotes)
    assert isinstance(evidence.key, PublicArea)
    return evidence.key


def enrolled(node: AppraisedNode) -> Grounds:
    """Trust in the key that a node showed once."""
    return Grounds(trust_pinned_key(shown_key(node)), first_use=False, nitro_roots=(), at=datetime.now(UTC))


@dataclass
class Tap:
    """A relay to a port of this host that counts what clients send; ``target`` may change between two connections."""

    target: int
    port: int = 0
    sent: int = 0
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Tap]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = listening.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join(timeout=30)
                self.cut()

    def cut(self) -> None:
        """End all connections, so that clients have to make new ones."""
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.connections.clear()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            self.connections += (near, far)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(source, sink, source is near), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, count: bool) -> None:  # noqa: FBT001
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                self.sent += len(piece) if count else 0
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class Attempt:
    """What became of a prompt: why it was not sent, and how many bytes the client said to anybody.

    ``answer`` is the node's, if it was sent: an answer or an error of its own.
    """

    problems: tuple[str, ...]
    sent: int
    answer: Any = None

    @property
    def prompt_left(self) -> bool:
        """Whether there is room for a prompt in what was sent."""
        assert self.sent < BEFORE_A_PROMPT or self.sent > len(PROMPT), self.sent
        return self.sent > len(PROMPT)


def attempt(port: int, release: TrustedReference, grounds: Grounds, policy: AppraisalPolicy | None = None) -> Attempt:
    """Have a prompt answered by whoever listens on a port, as a user does: connect, and OpenAI's client on that."""
    with Tap(port).running() as tap:
        origin = parse_origin(tap.url)
        try:
            node = connect(origin, [release], grounds, policy or AppraisalPolicy()).accepted()
        except NotVerifiedError as error:
            return Attempt(error.problems, tap.sent)
        with client(node, origin) as bound:
            return Attempt((), answer=ask(tap.url, bound), sent=tap.sent)


def ask(url: str, bound: Any, prompt: str = PROMPT) -> Any:
    """The answer to a prompt, or the error that the node gives in its place."""
    api = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=bound, max_retries=0)
    try:
        return api.chat.completions.create(model="model", messages=[{"role": "user", "content": prompt}])
    except openai.APIStatusError as error:
        return error
