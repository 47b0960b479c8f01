"""Web servers that send a build elsewhere, or give next to nothing for ever."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from builder.errors import ToolFailedError
from builder.vault import download
from builder.vault import fetch as fetching
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault
from tests.debs import deb, publish, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
HELLO = deb()
FETCH = """
import sys
from pathlib import Path
from builder.cli import main
from builder.vault.fetch import Source, fetch
from builder.vault.store import Vault
from tests.debs import deb, row
import signal
signal.signal(signal.SIGTERM, main._terminate)
try:
    fetch(Vault(Path(sys.argv[1])), [row(deb())], [Source(sys.argv[2])])
except main.Terminated:
    sys.exit(143)
"""

pytestmark = pytest.mark.timeout(60)


@contextmanager
def server(
    answer: Callable[[http.server.BaseHTTPRequestHandler], None], context: ssl.SSLContext | None = None
) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        block_on_close = False  # of answers that take long nobody waits for the end

    with Server(("127.0.0.1", 0), Handler) as running:
        if context is not None:
            running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def give(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(HELLO)))
    handler.end_headers()
    handler.wfile.write(HELLO)


def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(HELLO)))
    handler.end_headers()
    try:
        for number in range(600):
            handler.wfile.write(HELLO[number : number + 1])
            time.sleep(0.05)
    except OSError:  # the reader gave up
        return


def redirect(place: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", place)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("http://[::1/", "no address of a server"),
        (f"http://{'a' * 70}.com/", "no address of a server"),
        ("ftp://127.0.0.1/x", "unknown url type: ftp"),
        ("file:///etc/passwd", "not allowed"),
        ("/again", "infinite loop"),
    ],
)
def test_a_redirection_to_nowhere_is_told_and_the_next_source_is_asked(
    tmp_path: Path, place: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.0)
    with server(redirect(place)) as url:
        with pytest.raises(ToolFailedError, match=rf"1 of 1 locked packages cannot be had: .*{problem}"):
            fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url)])
        good = Source(publish(tmp_path / "archive", (row(HELLO), HELLO)))
        assert fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url), good]) == 1


def test_a_redirection_to_the_file_is_followed(tmp_path: Path) -> None:
    with server(give) as there, server(redirect(f"{there}/x")) as url:
        assert fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url)]) == 1


def test_a_name_that_no_server_can_have_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="no address of a server"):
        fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(f"http://{'a' * 70}.com")])


def test_a_server_that_gives_next_to_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 1.0)
    good = Source(publish(tmp_path / "archive", (row(HELLO), HELLO)))
    with server(drip) as url:
        with pytest.raises(ToolFailedError, match=r"only \d+ bytes came in 1 seconds"):
            fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url)])
        assert fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url), good]) == 1


def test_a_slow_server_that_gives_enough_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(HELLO)))
        handler.end_headers()
        half = len(HELLO) // 2
        for part in (HELLO[:half], HELLO[half:]):
            handler.wfile.write(part)
            time.sleep(0.6)

    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.8)
    monkeypatch.setattr(download, "_LEAST_BYTES", 10)
    with server(slow) as url:
        assert fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url)]) == 1


def drip_head(handler: http.server.BaseHTTPRequestHandler) -> None:
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(600):
            handler.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:  # the reader gave up
        return


def be_silent(_handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(30)


def test_a_head_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 1.0)
    good = Source(publish(tmp_path / "archive", (row(HELLO), HELLO)))
    with server(drip_head) as url:
        with pytest.raises(ToolFailedError, match="no answer came in 1 seconds"):
            fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url)])
        assert fetch(Vault(tmp_path / "vault"), [row(HELLO)], [Source(url), good]) == 1


def test_what_was_stopped_does_not_begin() -> None:
    downloads = download.Downloads()
    downloads.stop()
    with server(drip) as url, pytest.raises(download.UnreadableError, match="it was stopped"):
        list(downloads.read(url))
    assert downloads.pause(60)


@pytest.mark.parametrize("answer", [drip, drip_head, be_silent])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_download_that_drips_or_is_silent(
    tmp_path: Path, number: signal.Signals, answer: Callable[[http.server.BaseHTTPRequestHandler], None]
) -> None:
    asked = threading.Event()

    def noted(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.set()
        answer(handler)

    with server(noted) as url:
        process = subprocess.Popen(
            [sys.executable, "-c", FETCH, str(tmp_path / "vault"), url],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )
        assert asked.wait(20)
        time.sleep(0.2)
        process.send_signal(number)
        process.communicate(timeout=10)
    assert process.returncode in {143, -signal.SIGINT}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


ADDRESS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def certificate(directory: Path, name_of_server: x509.GeneralName = ADDRESS) -> Path:
    """A certificate of this machine with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name_of_server]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return directory / "server.pem"


@pytest.mark.parametrize(
    ("host", "certified", "trusted", "accepted"),
    [
        ("127.0.0.1", ADDRESS, True, True),
        ("127.0.0.1", ADDRESS, False, False),
        ("localhost", x509.DNSName("localhost"), True, True),
        # The connection is to an address that was looked up before, which certificates of others may name.
        ("localhost", ADDRESS, True, False),
    ],
)
def test_an_encrypted_server_is_read_if_it_has_a_trusted_certificate_of_its_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    certified: x509.GeneralName,
    *,
    trusted: bool,
    accepted: bool,
) -> None:
    monkeypatch.setattr(fetching, "_PAUSE_SECONDS", 0.0)
    pem = certificate(tmp_path, certified)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with server(give, context) as url:
        source = Source(url.replace("http://127.0.0.1", f"https://{host}"))
        if accepted:
            assert fetch(Vault(tmp_path / "vault"), [row(HELLO)], [source]) == 1
            return
        with pytest.raises(ToolFailedError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            fetch(Vault(tmp_path / "vault"), [row(HELLO)], [source])


def test_a_server_is_looked_up_once_and_each_of_its_addresses_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    hosts: list[str] = []
    look_up = socket.getaddrinfo

    def two_addresses(host: str, port: int, *args: int, **options: int) -> list[Any]:
        if host != "archive.test":
            return look_up(host, port, *args, **options)
        asked.append(host)
        return [*look_up("127.0.0.2", port, *args, **options), *look_up("127.0.0.1", port, *args, **options)]

    def noted(handler: http.server.BaseHTTPRequestHandler) -> None:
        hosts.append(handler.headers["Host"].partition(":")[0])
        give(handler)

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)
    with server(noted) as url:
        source = Source(url.replace("127.0.0.1", "archive.test"))
        assert fetch(Vault(tmp_path / "vault"), [row(HELLO), row(HELLO)], [source]) == 2
    assert asked == ["archive.test"]
    assert hosts == ["archive.test", "archive.test"]
