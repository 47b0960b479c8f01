"""The one module that opens connections to nodes: it asks for evidence and says whose key the connection has.

At this point nobody knows whose key that is, so nothing is sent but a nonce, and a question to the TPM if one is asked.
Proxies of the environment are not used.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from builder.errors import BedplateError, NotVerifiedError
from builder.evidence.node_document import MAX_DOCUMENT_BYTES, Challenge, TlsKey

if TYPE_CHECKING:
    from builder.connect.origin import Origin
    from builder.evidence.credential import Credential

ATTESTATION_PATH: Final = "/.well-known/attestation"
ACTIVATION_PATH: Final = f"{ATTESTATION_PATH}/activate"
# For one piece of the answer, and for all of it.
PIECE_SECONDS: Final = 30.0
WHOLE_SECONDS: Final = 60.0
_PIECE_BYTES: Final = 64 << 10
_MAX_SECRET: Final = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """A document as it came, and the challenge that it must answer."""

    document: bytes
    challenge: Challenge


def ask(origin: Origin, nonce: bytes) -> Answer:
    """Ask a node for evidence on a connection of its own.

    Raises NotVerifiedError if it speaks no TLS 1.3 or shows no evidence, BedplateError if it cannot be reached or takes
    too long.
    """
    said = _exchange(origin, "GET", f"{ATTESTATION_PATH}?nonce={nonce.hex()}", None, MAX_DOCUMENT_BYTES)
    if said.status != http.HTTPStatus.OK:
        raise NotVerifiedError(f"{origin} is not accepted", (f"it shows no evidence: status {said.status}",))
    return Answer(said.body, Challenge(nonce, TlsKey(said.certificate)))


def activate(origin: Origin, credential: Credential) -> bytes:
    """Have the node's TPM tell the secret in a credential, on a connection of its own: anybody may hear it.

    Raises NotVerifiedError if it does not, and as ``ask``.
    """
    said = _exchange(origin, "POST", ACTIVATION_PATH, credential.wire, _MAX_SECRET)
    if said.status != http.HTTPStatus.OK:
        raise NotVerifiedError(
            f"{origin} is not accepted",
            (f"its TPM does not show that it holds the attestation key: status {said.status}",),
        )
    return said.body


@dataclass(frozen=True, slots=True)
class _Said:
    """What a node answered, with a body if it served; and the certificate (DER) that its end of the connection had."""

    status: int
    body: bytes
    certificate: bytes


def _exchange(origin: Origin, method: str, target: str, question: bytes | None, limit: int) -> _Said:
    connection = http.client.HTTPSConnection(
        origin.host, origin.port, timeout=PIECE_SECONDS, context=_any_key(), blocksize=_PIECE_BYTES
    )
    deadline = time.monotonic() + WHOLE_SECONDS
    try:
        connection.connect()
        cast("_HurriedSocket", connection.sock).deadline = deadline
        certificate = connection.sock.getpeercert(binary_form=True)
        connection.request(method, target, question, headers={"Connection": "close"})
        with contextlib.closing(connection.getresponse()) as response:
            served = response.status == http.HTTPStatus.OK
            body = _read(response, origin, limit) if served else b""
            said = _Said(response.status, body, certificate or b"")
    except ssl.SSLError as error:
        raise NotVerifiedError(f"{origin} is not accepted", (f"no TLS 1.3: {error.reason or error}",)) from None
    except (OSError, http.client.HTTPException) as error:
        raise BedplateError(f"{origin} cannot be asked for evidence: {_reason(error)}") from error
    finally:
        connection.close()
    if said.status in {http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS}:
        raise BedplateError(f"{origin} has no evidence now", hint="try again in a moment")
    return said


class _HurriedSocket(ssl.SSLSocket):
    """Gives up at ``deadline`` (of the monotonic clock), however small the pieces in which something comes.

    http.client reads header lines, interim answers and trailers as long as there are any.
    """

    deadline: float

    def recv_into(self, *arguments: Any) -> int:
        """As SSLSocket. Raises TimeoutError."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {WHOLE_SECONDS:g} seconds")
        self.settimeout(min(left, PIECE_SECONDS))
        return super().recv_into(*arguments)


def _any_key() -> ssl.SSLContext:
    """TLS 1.3 with whoever answers: evidence, not a certificate, will say who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _HurriedSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _read(response: http.client.HTTPResponse, origin: Origin, limit: int) -> bytes:
    document = bytearray()
    while piece := response.read1(_PIECE_BYTES):
        document += piece
        if len(document) > limit:
            raise NotVerifiedError(f"{origin} is not accepted", (f"its answer is longer than {limit} bytes",))
    return bytes(document)


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
