"""Those who stand in front of a real node, with a TLS key of their own, and would like to hear what is meant for it."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509

from builder.connect.channel import ask
from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import Origin, parse_origin
from builder.evidence.policy import AppraisalPolicy
from tests import front_door
from tests.node_documents import TlsNode, encoded, http_answer, identity, nonce_of, tls_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from builder.evidence.evidence_files import Grounds
    from builder.release.trusted import TrustedReference
    from tests.attester import Issued
    from tests.front_door import Attempt

ASKED = b"GET /.well-known/attestation?nonce="


@dataclass(frozen=True)
class Fooled:
    """What became of a prompt in front of an impostor, and what he understood of all that was said to him."""

    attempt: Attempt
    heard: bytes


@dataclass(frozen=True)
class Impostors:
    """All of them in front of one node, of which a client knows release and attestation key."""

    node: Origin
    release: TrustedReference
    grounds: Grounds
    folder: Path

    def replay(self) -> Fooled:
        """Shows what the node said to an earlier nonce, as it was."""
        old = ask(self.node, bytes(32)).document
        return self._meet(lambda _request: http_answer(old))

    def replay_with_the_new_nonce(self) -> Fooled:
        """Shows the same, and says that it answers the nonce that was sent."""
        old = json.loads(ask(self.node, bytes(32)).document)
        return self._meet(lambda request: _document(old | {"nonce": nonce_of(request).hex()}))

    def relay(self) -> Fooled:
        """Has the node answer the client's nonce, and shows that."""
        return self._meet(self._relayed)

    def relay_with_his_key(self) -> Fooled:
        """The same with his own key written into it."""
        own = identity("node b")

        def respond(request: bytes) -> bytes:
            told = json.loads(ask(self.node, nonce_of(request)).document)
            return _document(told | {"tls_key": encoded(tls_key(own).public_key)})

        return self._meet(respond, own)

    def certified(self) -> tuple[Fooled, int]:
        """Relays with a certificate that every web client takes; and the status that such a client gets from him."""
        with self._web_certificate() as own, TlsNode(own, self._relayed, self.folder).running() as server:
            web = httpx.get(f"{server.url}{ASKED.decode()[4:]}{'5a' * 32}", timeout=60)
            heard = len(server.heard)
            fooled = front_door.attempt(server.port, self.release, self.grounds)
            return Fooled(fooled, server.heard[heard:]), web.status_code

    def switched(self) -> tuple[Exception | None, Fooled]:
        """Lets the client reach the node first, and steps in with such a certificate when it connects again."""
        error = None
        with (
            self._web_certificate() as own,
            TlsNode(own, self._relayed, self.folder).running() as server,
            front_door.Tap(self.node.port).running() as tap,
        ):
            origin = parse_origin(tap.url)
            accepted = connect(origin, [self.release], self.grounds, AppraisalPolicy()).accepted()
            with client(accepted, origin) as bound:
                assert bound.get("/healthz").status_code in {200, 503}
                tap.target = server.port
                tap.cut()
                try:
                    bound.post("/v1/chat/completions", content=front_door.PROMPT)
                except httpx.ConnectError as refused:
                    error = refused
            return error, Fooled(front_door.Attempt((), tap.sent), server.heard)

    def _relayed(self, request: bytes) -> bytes:
        return http_answer(ask(self.node, nonce_of(request)).document)

    def _meet(self, respond: Callable[[bytes], bytes], own: Issued | None = None) -> Fooled:
        with TlsNode(own or identity("node b"), respond, self.folder).running() as server:
            fooled = front_door.attempt(server.port, self.release, self.grounds)
            return Fooled(fooled, server.heard)

    @contextlib.contextmanager
    def _web_certificate(self) -> Iterator[Issued]:
        authority = identity("authority that everybody trusts", authority=True)
        name = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        bundle = self.folder / "authorities.pem"
        bundle.write_text(ssl.DER_cert_to_PEM_cert(authority.der))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(bundle))
            yield identity("127.0.0.1", authority, extensions=[(name, False)])


def _document(fields: dict[str, object]) -> bytes:
    return http_answer(json.dumps(fields).encode())
