"""Evidence documents as the gateway writes them, of nodes made of software, and servers that show them over TLS."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from builder.evidence.evidence_files import Grounds
from builder.evidence.node_document import SCHEMA, Challenge, TlsKey
from builder.evidence.public_area import parse_public
from builder.evidence.trust import trust_pinned_key
from tests.attester import AT, Issued, issue, public_area, quote_attest, rsa_key, tpmt_signature
from tests.export_subjects import IMAGE
from tests.nodes import Node, log_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from builder.evidence.pcr_selection import PcrBanks
    from builder.evidence.systemd_log import UserspaceLog

BOUND = (4, 7, 9, 11, 12, 13, 14)
NONCE = bytes(range(32))
PROMPT = "canary-2b91c4 is my secret"


def encoded(data: bytes) -> str:
    """A byte string in a document."""
    return base64.b64encode(data).decode()


def userspace_bytes(log: UserspaceLog) -> bytes:
    """systemd's log as a file."""
    names = {4: "sha1", 11: "sha256", 12: "sha384"}
    return b"".join(
        b"\x1e"
        + json.dumps(
            {
                "pcr": item.pcr,
                "digests": [{"hashAlg": names[bank], "digest": value.hex()} for bank, value in item.digests.items()],
                "content_type": "systemd",
                "content": dict(item.content),
            }
        ).encode()
        + b"\n"
        for item in log.events
    )


def fields(
    node: Node, challenge: Challenge, *, key: str = "ak", quoted: PcrBanks | None = None, **changes: Any
) -> dict[str, Any]:
    """The members of a document with which ``node`` answers ``challenge``. ``quoted`` is in place of its PCRs."""
    pcrs = node.evidence(BOUND).pcrs if quoted is None else quoted
    message = quote_attest(pcrs, nonce=challenge.binding)
    return {
        "schema": SCHEMA,
        "nonce": challenge.nonce.hex(),
        "tls_key": encoded(challenge.tls_key.public_key),
        "release": {"name": IMAGE.name, "version": IMAGE.version},
        "model": None,
        "tpm": {
            "key": encoded(public_area(rsa_key(key))),
            "endorsement_certificate": None,
            "message": encoded(message),
            "signature": encoded(tpmt_signature(rsa_key(key), message)),
            "pcrs": {bank: {str(pcr): value.hex() for pcr, value in values.items()} for bank, values in pcrs.items()},
        },
        "event_log": encoded(log_bytes(node.log)),
        "userspace_log": encoded(userspace_bytes(node.userspace)),
    } | changes


def document(node: Node, challenge: Challenge, **changes: Any) -> bytes:
    """The document as bytes."""
    return json.dumps(fields(node, challenge, **changes)).encode()


def grounds(key: str = "ak", *, first_use: bool = False) -> Grounds:
    """Trust in the attestation key of a node that is made of software."""
    return Grounds(None if first_use else trust_pinned_key(parse_public(public_area(rsa_key(key)))), first_use, (), AT)


def identity(name: str, issuer: Issued | None = None, **options: Any) -> Issued:
    """A TLS key on P-256, valid now."""
    now = datetime.now(UTC)
    validity = {"start": now - timedelta(hours=1), "end": now + timedelta(hours=1)}
    return issue(name, issuer, key=ec.generate_private_key(ec.SECP256R1()), **(validity | options))


def tls_key(issued: Issued) -> TlsKey:
    """What a client sees of it."""
    return TlsKey(issued.der)


@dataclass
class TlsNode:
    """A server that writes down every byte that it understands. ``respond`` makes a raw answer of a raw request.

    ``forever`` follows an answer again and again, until the client leaves.
    """

    identity: Issued
    respond: Callable[[bytes], bytes]
    folder: Path
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    received: list[bytes] = field(default_factory=list)
    port: int = 0
    plain: bool = False
    forever: bytes = b""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def heard(self) -> bytes:
        """Everything that was received."""
        return b"".join(self.received)

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[TlsNode]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = self.maximum
        chain = self.folder / f"{id(self)}.pem"
        private = self.identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain.write_bytes(private + self.identity.certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(chain)
        with socket.create_server(("127.0.0.1", port)) as listening:
            self.port = listening.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(listening, context), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listening.shutdown(socket.SHUT_RDWR)
                thread.join(timeout=30)

    def _accept(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            with raw, contextlib.suppress(OSError, ValueError):
                # A client that goes without a word, and one that is cut off, are as good.
                raw.settimeout(20)
                # A test that forgets a connection must not close it on us, so that it lingers no longer than this.
                with raw if self.plain else context.wrap_socket(raw, server_side=True) as connection:
                    self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        while piece := connection.recv(65536):
            self.received.append(piece)
            request += piece
            head, complete, body = request.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            if complete and len(body) >= length:
                connection.sendall(self.respond(request))
                while self.forever:
                    connection.sendall(self.forever)
                    time.sleep(0.02)
                # Every request has a connection of its own, so that each is checked anew.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
                return


def http_answer(body: bytes, status: str = "200 OK", content_type: str = "application/json", *more: str) -> bytes:
    """A raw answer after which the connection ends."""
    head = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *more,
    )
    return "\r\n".join((*head, "", "")).encode() + body


def nonce_of(request: bytes) -> bytes:
    """The nonce that a request for evidence carries."""
    return bytes.fromhex(request.split(b"nonce=")[1].split(b" ")[0].decode())


COMPLETION = {
    "id": "c-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "pong"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip


def honest(node: Node, own: Issued, **changes: Any) -> Callable[[bytes], bytes]:
    """The answers of a node that shows evidence of itself with its own TLS key, and serves completions."""

    def respond(request: bytes) -> bytes:
        if request.startswith(b"GET /.well-known/attestation?nonce="):
            return http_answer(document(node, Challenge(nonce_of(request), tls_key(own)), **changes))
        return http_answer(json.dumps(COMPLETION).encode())

    return respond
