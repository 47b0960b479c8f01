"""With a good node OpenAI's client works unchanged; with any other, nobody hears a byte of the prompt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from builder.connect import channel
from builder.connect.clients import async_client, client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.connect.pinned import ssl_context
from builder.errors import BedplateError, InvalidInputError, NotVerifiedError
from builder.evidence.node_document import Challenge
from builder.evidence.policy import AppraisalPolicy
from builder.measurement.events import EventType, utf16
from tests.node_documents import (
    COMPLETION,
    NONCE,
    PROMPT,
    TlsNode,
    document,
    fields,
    grounds,
    honest,
    http_answer,
    identity,
    nonce_of,
    tls_key,
)
from tests.nodes import Node, event, release, without_secure_boot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from builder.evidence.node_appraisal import AcceptedNode
    from tests.attester import Issued

GOOD = Node.of()
RELEASES = [release(), release("t252", version="0.9")]
ASK = "GET /.well-known/attestation?nonce="


def accepted(url: str) -> AcceptedNode:
    return connect(parse_origin(url), RELEASES[:1], grounds(), AppraisalPolicy()).accepted()


def chat(url: str, node: AcceptedNode, *, base: str | None = None) -> str:
    """What a user of OpenAI's library writes, with a client that is bound to the node."""
    with (
        client(node, parse_origin(url)) as bound,
        openai.OpenAI(base_url=base or f"{url}/v1", api_key="none", http_client=bound, max_retries=1) as api,
    ):
        answer = api.chat.completions.create(model="m", messages=[{"role": "user", "content": PROMPT}])
        return answer.choices[0].message.content or ""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., TlsNode]]:
    """Starts servers, which end with the test."""
    with contextlib.ExitStack() as stack:

        def start(own: Issued, respond: Callable[[bytes], bytes], port: int = 0, **options: Any) -> TlsNode:
            return stack.enter_context(TlsNode(own, respond, tmp_path, **options).running(port))

        yield start


def test_openais_client_works_unchanged(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    server = serve(own, honest(GOOD, own))
    node = accepted(server.url)
    assert chat(server.url, node) == "pong"
    assert server.heard.startswith(ASK.encode())
    assert PROMPT.encode() in server.heard


def test_asynchronous_code_has_a_client_too(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    server = serve(own, honest(GOOD, own))
    node = accepted(server.url)

    async def talk() -> str:
        async with (
            async_client(node, parse_origin(server.url)) as bound,
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", http_client=bound) as api,
        ):
            answer = await api.chat.completions.create(model="m", messages=[{"role": "user", "content": PROMPT}])
            return answer.choices[0].message.content or ""

    assert asyncio.run(talk()) == "pong"


def test_events_come_through(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    pieces = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in ("po", "ng")]
    chunks = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"} | piece for piece in pieces]
    stream = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"

    def respond(request: bytes) -> bytes:
        if request.startswith(ASK.encode()):
            return honest(GOOD, own)(request)
        return http_answer(stream.encode(), content_type="text/event-stream")

    server = serve(own, respond)
    with client(accepted(server.url), parse_origin(server.url)) as bound:
        api = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", http_client=bound)
        answer = api.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in answer) == "pong"


@pytest.mark.parametrize(
    ("node", "problem"),
    [
        (Node.of("t252"), "PCR 4"),
        (Node.of("t257").edited(without_secure_boot), "Secure Boot"),
        (GOOD.with_events(event(12, EventType.EV_IPL, utf16("systemd.debug_shell"))), "debug_shell"),
    ],
    ids=["other release", "secure boot off", "injected command line"],
)
def test_a_node_that_runs_something_else_hears_no_prompt(
    serve: Callable[..., TlsNode], node: Node, problem: str
) -> None:
    own = identity("node")
    server = serve(own, honest(node, own))
    with pytest.raises(NotVerifiedError) as refused:
        chat(server.url, accepted(server.url))
    assert problem in " ".join(refused.value.problems)
    hears_no_prompt(server)


def test_a_development_image_hears_no_prompt(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    server = serve(own, honest(GOOD, own))
    built = [release(profile="development")]
    with pytest.raises(NotVerifiedError, match="not accepted"):
        chat(server.url, connect(parse_origin(server.url), built, grounds(), AppraisalPolicy()).accepted())
    hears_no_prompt(server)


def test_evidence_that_was_made_for_an_earlier_nonce_is_refused(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    old = Challenge(NONCE, tls_key(own))
    for replayed in (
        lambda _request: http_answer(document(GOOD, old)),
        lambda request: http_answer(document(GOOD, old, nonce=nonce_of(request).hex())),
    ):
        server = serve(own, replayed)
        with pytest.raises(NotVerifiedError, match=r"not that of this node|not an answer"):
            chat(server.url, accepted(server.url))
        hears_no_prompt(server)


def test_evidence_of_one_node_in_front_of_another_is_refused(serve: Callable[..., TlsNode]) -> None:
    """Node B shows what node A says; once as it came, once with B's own key written into it."""
    node_a, node_b = identity("node a"), identity("node b")

    def relayed(request: bytes) -> bytes:
        return honest(GOOD, node_a)(request)

    def rewritten(request: bytes) -> bytes:
        told = fields(GOOD, Challenge(nonce_of(request), tls_key(node_a)))
        own = fields(GOOD, Challenge(nonce_of(request), tls_key(node_b)))
        return http_answer(json.dumps(told | {"tls_key": own["tls_key"]}).encode())

    for respond in (relayed, rewritten):
        server = serve(node_b, respond)
        with pytest.raises(NotVerifiedError, match=r"not that of this node|not an answer"):
            chat(server.url, accepted(server.url))
        hears_no_prompt(server)


def test_a_valid_web_certificate_lets_nobody_in_between(
    serve: Callable[..., TlsNode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = identity("authority that everybody trusts", authority=True)
    bundle = tmp_path / "authorities.pem"
    bundle.write_text(ssl.DER_cert_to_PEM_cert(authority.der))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    own = identity("node")
    real = serve(own, honest(GOOD, own))

    def between(request: bytes) -> bytes:
        with httpx.Client(verify=False) as towards:  # noqa: S501 -- it is the attacker
            path = request.split(b" ")[1].decode()
            return http_answer(towards.get(f"{real.url}{path}").content)

    attacker = serve(identity("127.0.0.1", authority), between)
    with pytest.raises(NotVerifiedError) as refused:
        chat(attacker.url, accepted(attacker.url))
    assert "somebody is in between" in refused.value.problems[0]
    # He lets the evidence through, and steps in later.
    node = accepted(real.url)
    with pytest.raises(openai.APIConnectionError):
        chat(attacker.url, node)
    hears_no_prompt(attacker, real)


def test_a_key_that_changes_between_two_connections_is_refused(serve: Callable[..., TlsNode], tmp_path: Path) -> None:
    own, other = identity("node"), identity("node")
    server = TlsNode(own, honest(GOOD, own), tmp_path)
    with server.running():
        node, port = accepted(server.url), server.port
        assert chat(server.url, node) == "pong"
    impostor = serve(other, honest(GOOD, other), port)
    with pytest.raises(openai.APIConnectionError) as refused:
        chat(impostor.url, node)
    assert "CERTIFICATE_VERIFY_FAILED" in repr(refused.value.__cause__)
    with (
        client(node, parse_origin(impostor.url)) as bound,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        bound.post("/v1/completions", content=PROMPT)
    hears_no_prompt(impostor)


def test_a_certificate_that_the_node_seems_to_have_signed_is_refused(serve: Callable[..., TlsNode]) -> None:
    """Even the holder of the node's key, who could be anybody, makes no second certificate with it."""
    own = identity("node")
    server = serve(own, honest(GOOD, own))
    node = accepted(server.url)
    below = serve(identity("other", own), honest(GOOD, own))
    with pytest.raises(openai.APIConnectionError):
        chat(below.url, node)
    hears_no_prompt(below)


def test_nothing_below_tls_1_3_is_spoken(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    old = serve(own, honest(GOOD, own), maximum=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(NotVerifiedError) as refused:
        chat(old.url, accepted(old.url))
    assert "no TLS 1.3" in refused.value.problems[0]
    # The right key, but later with an older version.
    node = accepted(serve(own, honest(GOOD, own)).url)
    with pytest.raises(openai.APIConnectionError):
        chat(old.url, node)
    hears_no_prompt(old)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_leads_nowhere(serve: Callable[..., TlsNode], scheme: str) -> None:
    own, other = identity("node"), identity("elsewhere")
    elsewhere = serve(other, honest(GOOD, other), plain=scheme == "http")
    target = f"Location: {scheme}://127.0.0.1:{elsewhere.port}/v1/chat/completions"

    def respond(request: bytes) -> bytes:
        if request.startswith(ASK.encode()):
            return honest(GOOD, own)(request)
        return http_answer(b"", "307 Temporary Redirect", "text/plain", target)

    server = serve(own, respond)
    node = accepted(server.url)
    with pytest.raises(openai.APIStatusError):
        chat(server.url, node)
    with (
        client(node, parse_origin(server.url)) as bound,
        pytest.raises(NotVerifiedError, match="not for"),
    ):
        bound.post("/v1/chat/completions", content=PROMPT, follow_redirects=True)
    assert elsewhere.received == []


def test_a_client_sends_to_no_other_place(serve: Callable[..., TlsNode]) -> None:
    own, other = identity("node"), identity("elsewhere")
    server = serve(own, honest(GOOD, own))
    elsewhere = serve(other, honest(GOOD, other), plain=True)
    node = accepted(server.url)
    # Some versions of the library wrap what a client raises.
    with pytest.raises((NotVerifiedError, openai.APIConnectionError)) as refused:
        chat(server.url, node, base=f"http://127.0.0.1:{elsewhere.port}/v1")
    assert isinstance(refused.value.__cause__ or refused.value, NotVerifiedError)

    async def asynchronously() -> None:
        async with async_client(node, parse_origin(server.url)) as bound:
            await bound.post(f"http://127.0.0.1:{elsewhere.port}/v1", content=PROMPT)

    with pytest.raises(NotVerifiedError, match="not for"):
        asyncio.run(asynchronously())
    assert elsewhere.received == []


def test_proxies_of_the_environment_are_not_used(
    serve: Callable[..., TlsNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = identity("node")
    server = serve(own, honest(GOOD, own))
    proxy = serve(identity("proxy"), lambda _request: http_answer(b"", "502 Bad Gateway"), plain=True)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert chat(server.url, accepted(server.url)) == "pong"
    assert proxy.received == []


# "proxies" was one of httpx until 0.28; of "elsewhere" nobody knows yet what it will do.
@pytest.mark.parametrize(
    "option",
    ["verify", "transport", "mounts", "proxy", "proxies", "trust_env", "follow_redirects", "http2", "elsewhere"],
)
def test_whom_a_client_speaks_to_is_not_for_the_caller_to_choose(serve: Callable[..., TlsNode], option: str) -> None:
    own = identity("node")
    server = serve(own, honest(GOOD, own))
    node = accepted(server.url)
    for make in (client, async_client):
        with pytest.raises(TypeError, match=f"{option} is not for the caller"):
            make(node, parse_origin(server.url), **{option: False})
    with client(node, parse_origin(server.url), timeout=5.0, headers={"a": "b"}) as bound:
        assert (bound.timeout.read, bound.headers["a"]) == (5.0, "b")


def test_a_name_in_another_script_is_the_nodes_own(serve: Callable[..., TlsNode]) -> None:
    own = identity("node")
    node = accepted(serve(own, honest(GOOD, own)).url)
    # Nobody is there; but it is the place that was asked for, and no other.
    with client(node, parse_origin("https://xn--bcher-kva.invalid")) as bound, pytest.raises(httpx.ConnectError):
        bound.get("/v1/models")


def test_only_an_accepted_node_is_spoken_to() -> None:
    for wrong in (None, tls_key(identity("node")), RELEASES[0]):
        with pytest.raises(TypeError, match="accepted node"):
            ssl_context(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "kind", "problem"),
    [
        (http_answer(b"{}", "404 Not Found"), NotVerifiedError, "shows no evidence: status 404"),
        (http_answer(b"{}", "307 Temporary Redirect", "text/plain", "Location: /x"), NotVerifiedError, "status 307"),
        (http_answer(b"", "503 Service Unavailable"), BedplateError, "no evidence now"),
        (http_answer(b"", "429 Too Many Requests"), BedplateError, "no evidence now"),
        (http_answer(b"{}"), InvalidInputError, "schema"),
        (http_answer(b"x" * ((8 << 20) + 1)), NotVerifiedError, "longer than"),
        (b"SSH-2.0-x\r\n", BedplateError, "cannot be asked"),
        (b"", BedplateError, "cannot be asked"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", (BedplateError, InvalidInputError), "cannot|JSON"),
    ],
    ids=["not found", "redirect", "not now", "too many", "empty", "too long", "no HTTP", "nothing", "cut off"],
)
def test_an_answer_that_is_no_evidence_is_told_as_what_it_is(
    serve: Callable[..., TlsNode], answer: bytes, kind: Any, problem: str
) -> None:
    server = serve(identity("node"), lambda _request: answer)
    with pytest.raises(kind) as refused:
        accepted(server.url)
    told = f"{refused.value} {' '.join(getattr(refused.value, 'problems', ()))}"
    assert any(word in told for word in problem.split("|")), told


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    ],
    ids=["interim answers", "a header", "a chunk", "trailers", "a body"],
)
def test_an_answer_without_an_end_is_given_up(
    serve: Callable[..., TlsNode], monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    again = {b"": b"HTTP/1.1 100 Continue\r\n\r\n", b"0\r\n": b"a: b\r\n"}.get(beginning[-3:], b"0")
    server = serve(identity("node"), lambda _request: beginning, forever=again)
    monkeypatch.setattr(channel, "WHOLE_SECONDS", 0.5)
    with pytest.raises(BedplateError, match=r"no whole answer within 0\.5 seconds|timed out"):
        accepted(server.url)


def test_a_node_that_is_not_there_is_an_error_of_the_machine() -> None:
    with pytest.raises(BedplateError, match="Connection refused"):
        accepted("https://127.0.0.1:1")


def test_without_httpx_it_is_said_what_to_install() -> None:
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "from builder.errors import ToolMissingError\n"
        "try: import builder.connect.clients\n"
        "except ToolMissingError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install '.[client]' in a checkout of bedplate\n"


def hears_no_prompt(*servers: TlsNode) -> None:
    """Nothing but requests for evidence was understood by anybody."""
    for server in servers:
        assert PROMPT.encode() not in server.heard
        assert all(piece.startswith(ASK.encode()) for piece in server.received)
    assert json.dumps(COMPLETION)  # what they would have answered
