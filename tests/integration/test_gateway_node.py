"""The real gateway with a real software TPM: an answer through OpenAI's client, and what strangers do to it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
import openai
import pytest

from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.errors import NotVerifiedError
from builder.evidence.evidence_files import Grounds, UntrustedQuotes
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.public_area import PublicArea
from builder.evidence.trust import TrustKind, trust_pinned_key
from builder.release.reference import BOUND_PCRS
from tests.export_subjects import IMAGE
from tests.gateway import build, node, software_tpm
from tests.node_documents import PROMPT, userspace_bytes
from tests.nodes import Node as Machine
from tests.nodes import log_bytes, release
from tests.tpm_messages import digest_values, extend_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.evidence.node_appraisal import AcceptedNode
    from builder.mkosi.toolchain import Toolchain
    from tests.gateway import Node

pytestmark = pytest.mark.integration

ANSWER = "canary-answer-5d11"
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
SLOW_CLIENTS = 200
FIRST_USE = AppraisalPolicy(trust=frozenset({TrustKind.FIRST_USE}))
MACHINE = Machine.of()


class _Engine(http.server.BaseHTTPRequestHandler):
    """What an engine answers; ``seen`` is what it was asked, ``surplus`` what it says beyond an answer."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[bytes]] = []
    surplus: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        self._answer(b'{"status":"ok"}', "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(body)
        if b'"stream":true' in body:
            pieces = [{"choices": [{"index": 0, "delta": {"content": ANSWER}}]}, {"choices": [], "usage": USAGE}]
            head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            events = "".join(f"data: {json.dumps(head | piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
            self._answer(events.encode(), "text/event-stream")
            return
        message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
        self._answer(json.dumps(answer | {"usage": USAGE}).encode(), "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body + self.surplus)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "gateway"


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(str(path), _Engine)

    def get_request(self) -> tuple[Any, Any]:
        connection, _ = super().get_request()
        self.connections.append(connection)
        return connection, ("gateway", 0)

    def handle_error(self, *_: Any) -> None:
        """A gateway that hangs up is no news."""


@contextlib.contextmanager
def engine(path: Path) -> Iterator[_UnixServer]:
    """An engine that listens; its socket goes with it, as if the process had ended."""
    path.unlink(missing_ok=True)
    with _UnixServer(path) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
            path.unlink(missing_ok=True)
            for connection in server.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def extend(device: socket.socket, pcr: int, digests: dict[int, bytes]) -> None:
    """TPM2_PCR_Extend, in the banks SHA-256 and SHA-384. The gateway must not be speaking to the TPM."""
    device.sendall(extend_command(pcr, digest_values(*((bank, digests[bank]) for bank in (0x000B, 0x000C)))))
    assert device.recv(4096)[6:10] == bytes(4)


@dataclass
class Bench:
    """A machine that booted as recorded, with the gateway that runs on it."""

    node: Node
    device: socket.socket

    @property
    def url(self) -> str:
        return self.node.url

    def enrolled(self) -> Grounds:
        """Trust in the attestation key that this node's TPM makes, seen once."""
        seen = connect(
            parse_origin(self.url),
            [release()],
            Grounds(None, first_use=True, nitro_roots=(), at=datetime.now(UTC)),
            FIRST_USE,
        )
        evidence = seen.verified.document.evidence
        assert isinstance(evidence, UntrustedQuotes)
        assert isinstance(evidence.key, PublicArea)
        return Grounds(trust_pinned_key(evidence.key), first_use=False, nitro_roots=(), at=datetime.now(UTC))

    def accepted(self, grounds: Grounds | None = None) -> AcceptedNode:
        return connect(parse_origin(self.url), [release()], grounds or self.enrolled(), AppraisalPolicy()).accepted()

    def unverified(self, **options: Any) -> httpx.Client:
        """A client that any stranger has."""
        return httpx.Client(base_url=self.url, verify=False, trust_env=False, **options)  # noqa: S501


@pytest.fixture(scope="module")
def program(go_tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(go_tools, tmp_path_factory.mktemp("gateway"))


@pytest.fixture
def bench(program: Path, go_tools: Toolchain, tmp_path: Path) -> Iterator[Bench]:
    with machine(program, go_tools, tmp_path) as running:
        yield running


@contextlib.contextmanager
def machine(program: Path, go_tools: Toolchain, tmp_path: Path, authority: Path | None = None) -> Iterator[Bench]:
    """A gateway with a TPM that went through the boot; with ``authority`` the TPM has a certificate."""
    with contextlib.ExitStack() as stack:
        device = stack.enter_context(software_tpm(go_tools, tmp_path, authority))
        for item in MACHINE.log.events:
            if item.extends and item.register in BOUND_PCRS:
                extend(device, item.register, dict(item.digests))
        for event in MACHINE.userspace.events:
            assert event.pcr is not None
            extend(device, event.pcr, dict(event.digests))
        running = stack.enter_context(
            node(
                program, tmp_path, device,
                event_log=log_bytes(MACHINE.log), userspace_log=userspace_bytes(MACHINE.userspace),
                os_release=f"IMAGE_ID={IMAGE.name}\nIMAGE_VERSION={IMAGE.version}\n",
            )
        )  # fmt: skip
        _Engine.seen.clear()
        yield Bench(running, device)


def chat(bench: Bench, accepted: AcceptedNode, prompt: str = PROMPT) -> tuple[str, str]:
    """The same question twice: at once, and as a stream."""
    with client(accepted, parse_origin(bench.url)) as bound:
        api = openai.OpenAI(base_url=f"{bench.url}/v1", api_key="none", http_client=bound, max_retries=0)
        whole = api.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}])
        pieces = api.chat.completions.create(
            model="m", messages=[{"role": "user", "content": prompt}], stream=True, extra_body={"a": 1}
        )
        streamed = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    return whole.choices[0].message.content or "", streamed


def test_a_node_is_enrolled_accepted_and_spoken_to(bench: Bench) -> None:
    with engine(bench.node.engine):
        assert chat(bench, bench.accepted()) == (ANSWER, ANSWER)
    assert len(_Engine.seen) == 2
    assert all(PROMPT.encode() in body for body in _Engine.seen)


def test_a_tpm_that_measured_more_is_refused(bench: Bench) -> None:
    grounds = bench.enrolled()
    extend(bench.device, 12, {0x000B: bytes(32), 0x000C: bytes(48)})
    with pytest.raises(NotVerifiedError, match="not accepted") as refused:
        bench.accepted(grounds)
    assert any("PCR 12" in problem for problem in refused.value.problems)


def test_an_engine_that_dies_and_comes_back(bench: Bench) -> None:
    accepted = bench.accepted()
    with bench.unverified() as stranger:
        assert stranger.get("/healthz").text == "not ready\n"
        with engine(bench.node.engine):
            time.sleep(1.1)
            assert stranger.get("/healthz").text == "ready\n"
            assert chat(bench, accepted)[0] == ANSWER
        with pytest.raises(openai.InternalServerError):
            chat(bench, accepted)
        time.sleep(1.1)
        assert stranger.get("/healthz").text == "not ready\n"
        with engine(bench.node.engine):
            assert chat(bench, accepted)[0] == ANSWER


def test_two_hundred_slow_clients_keep_nobody_else_waiting(bench: Bench) -> None:
    accepted = bench.accepted()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    starts = (b"", b"GET /v1/mod", b"POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 1000000\r\n\r\n{")
    with contextlib.ExitStack() as stack, engine(bench.node.engine):
        slow = []
        for number in range(SLOW_CLIENTS):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", bench.node.port)))
            raw.settimeout(60)
            if number % 4:  # every fourth does not even shake hands
                raw = stack.enter_context(context.wrap_socket(raw))
                raw.sendall(starts[number % 4 - 1])
            slow.append(raw)
        begin = time.monotonic()
        assert chat(bench, accepted) == (ANSWER, ANSWER)
        assert bench.accepted()
        assert time.monotonic() - begin < 20
        for connection in slow:
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    pass
        # 10 seconds for a header, 30 for a body.
        assert time.monotonic() - begin < 60


def test_a_flood_is_answered_in_bounded_time_and_leaves_the_node_as_it_was(bench: Bench) -> None:
    accepted = bench.accepted()

    def burst(_: int) -> set[int]:
        with bench.unverified(timeout=30) as stranger:
            found = set()
            for number in range(30):
                path = ("/v1/models", "/healthz", "/metrics", f"/.well-known/attestation?nonce={'5a' * 32}")[number % 4]
                with contextlib.suppress(httpx.TransportError):
                    found.add(stranger.get(path).status_code)
            return found

    with engine(bench.node.engine):
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            statuses = set().union(*pool.map(burst, range(32)))
        assert time.monotonic() - begin < 90
        assert statuses <= {200, 404, 429, 503}
        time.sleep(5)  # a burst of requests is allowed again
        assert chat(bench, accepted) == (ANSWER, ANSWER)
    assert bench.node.process.poll() is None


MALFORMED = (
    b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"POST /v1/x HTTP/1.1\r\nHost: n\r\nContent-Length: -1\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: n\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: n\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/y",
    b"POST /v1/x HTTP/1.1\r\nHost: n\r\nContent-Length: 99999999999\r\n\r\n" + PROMPT.encode(),
    PROMPT.encode() * 1000,
)  # fmt: skip


def test_nothing_that_was_said_is_in_what_the_gateway_prints_counts_or_answers(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = bench.accepted()
    told = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with engine(bench.node.engine):
        # An engine that says more than it announced.
        monkeypatch.setattr(_Engine, "surplus", ANSWER.encode())
        assert chat(bench, accepted) == (ANSWER, ANSWER)
        for request in MALFORMED:
            with (
                socket.create_connection(("127.0.0.1", bench.node.port), timeout=20) as raw,
                context.wrap_socket(raw) as connection,
                contextlib.suppress(OSError),
            ):
                connection.sendall(request)
                while piece := connection.recv(65536):
                    told.append(piece)
        # Raw bytes in place of a handshake.
        with socket.create_connection(("127.0.0.1", bench.node.port), timeout=20) as raw, contextlib.suppress(OSError):
            raw.sendall(PROMPT.encode() * 10)
            while piece := raw.recv(65536):
                told.append(piece)
    with pytest.raises(openai.APIStatusError) as failed:
        chat(bench, accepted)
    told.append(failed.value.response.content)
    assert len(told) > len(MALFORMED) - 2
    for canary in (b"canary", PROMPT.encode()[:12], ANSWER.encode()[:12]):
        assert canary not in b"".join(told)
        for file in tmp_path.rglob("*"):
            if file.is_file():
                assert canary not in file.read_bytes(), file
    assert bench.node.log.read_bytes() == b""
    assert bench.node.process.poll() is None


DEEP = {
    "chat_template_kwargs": {"chat_template_kwargs": "VALUE"},
    "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": "VALUE"}}]},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"schema": "VALUE"}}},
}


@pytest.mark.parametrize("place", DEEP)
@pytest.mark.parametrize(
    "value", ["[" * 60_000 + "]" * 60_000, '{"items":' * 5000 + "{}" + "}" * 5000], ids=["arrays", "schema"]
)
def test_a_body_that_would_overflow_the_engines_stack_does_not_reach_it(bench: Bench, place: str, value: str) -> None:
    body = json.dumps(DEEP[place] | {"messages": []}).replace('"VALUE"', value)
    with engine(bench.node.engine), bench.unverified() as stranger:
        refused = stranger.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)
        assert "more than 64 deep" in error["message"]
        assert _Engine.seen == []


def test_the_memory_that_a_flood_of_bodies_takes_is_bounded(bench: Bench) -> None:
    bench.enrolled()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", bench.node.port), timeout=60))
            connection = stack.enter_context(context.wrap_socket(raw))
            with contextlib.suppress(OSError):
                connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: n\r\nContent-Length: 16777216\r\n\r\n")
                connection.sendall(b"a" * (12 << 20))
        status = Path(f"/proc/{bench.node.process.pid}/status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    assert resident < 600 << 10


def test_a_gateway_without_a_tpm_does_not_start(program: Path, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, node(program, tmp_path, theirs) as running:
        ours.shutdown(socket.SHUT_WR)
        assert running.process.wait(timeout=30) == 1
        assert running.log.read_text().startswith("gateway: asking the TPM")


def test_a_tpm_that_answers_nonsense_gives_no_evidence(program: Path, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, node(program, tmp_path, theirs) as running:
        ours.recv(4096)
        ours.sendall(struct.pack(">HII", 0x8001, 10, 0x101))
        assert running.process.wait(timeout=30) == 1
