"""Files of web servers: pieces as they come, with an end to all patience.

Nothing that comes is believed here; who reads it compares digests.
"""

from __future__ import annotations

import contextlib
import http
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from builder import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK: Final = 1 << 20
# For each answer of the network; and for the head of an answer as a whole.
_TIMEOUT_SECONDS: Final = 60.0
# In so many seconds at least these must come: a modem gave ten times as much.
_LEAST_BYTES: Final = 32 << 10


class UnreadableError(Exception):
    """A source did not give a file. ``is_final`` tells that it never will."""

    def __init__(self, problem: str, *, is_final: bool) -> None:
        super().__init__(problem)
        self.is_final = is_final


class Downloads:
    """Downloads of several threads, which another one can stop: a server that is silent holds nobody up."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._running: set[_Line] = set()
        self._addresses = _Addresses()

    def pause(self, seconds: float) -> bool:
        """Wait, and tell whether all was stopped."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """Cut off what runs, and let nothing begin."""
        self._stopped.set()
        with self._lock:
            for line in self._running:
                line.cut()

    def read(self, url: str) -> Iterator[bytes]:
        """The file at an http or https URL in pieces. Raises UnreadableError."""
        line = _Line(self._addresses)
        with self._lock:
            self._running.add(line)
        try:
            yield from self._pieces(line, url)
        except urllib.error.HTTPError as error:
            is_final = error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR
            raise UnreadableError(f"{error.code} {error.reason}", is_final=is_final) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreadableError(str(getattr(error, "reason", None) or error), is_final=False) from error
        except ValueError as error:  # an address, perhaps of a redirection, that cannot be one
            raise UnreadableError(f"no address of a server: {error}", is_final=True) from error
        finally:
            with self._lock:
                self._running.discard(line)

    def _pieces(self, line: _Line, url: str) -> Iterator[bytes]:
        request = urllib.request.Request(url, headers={"User-Agent": f"bedplate/{__version__}"})  # noqa: S310 -- no file
        with self._answer(line, request) as response:
            since, count = time.monotonic(), 0
            # read1 gives what is there: read would wait for a whole chunk, however slowly it comes.
            while chunk := response.read1(_CHUNK):
                yield chunk
                count += len(chunk)
                if self._stopped.is_set():
                    raise UnreadableError("it was stopped", is_final=True)
                if time.monotonic() - since > _TIMEOUT_SECONDS:
                    if count < _LEAST_BYTES:
                        problem = f"only {count} bytes came in {_TIMEOUT_SECONDS:.0f} seconds"
                        raise UnreadableError(problem, is_final=True)
                    since, count = time.monotonic(), 0

    def _answer(self, line: _Line, request: urllib.request.Request) -> http.client.HTTPResponse:
        """What a server answers, once its head is there; a head that drips is cut off."""
        if self._stopped.is_set():
            raise UnreadableError("it was stopped", is_final=True)
        watch = threading.Timer(_TIMEOUT_SECONDS, line.cut)
        watch.daemon = True
        watch.start()
        try:
            response: http.client.HTTPResponse = _opener(line).open(request, timeout=_TIMEOUT_SECONDS)
        except (OSError, http.client.HTTPException) as error:
            if line.is_cut:
                raise _no_answer() from error
            raise
        finally:
            watch.cancel()
        if line.is_cut:  # http.client takes a head that was cut off for one that has ended
            response.close()
            raise _no_answer()
        return response


def _no_answer() -> UnreadableError:
    return UnreadableError(f"no answer came in {_TIMEOUT_SECONDS:.0f} seconds", is_final=True)


class _Addresses:
    """The addresses of servers. Hundreds of files come from one server, and to ask for its name may take seconds."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, host: str, port: int) -> tuple[str, ...]:
        """At least one, the best first. Raises OSError."""
        with self._lock:
            if (host, port) not in self._known:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                self._known[host, port] = tuple(dict.fromkeys(str(address[0]) for *_, address in found))
            return self._known[host, port]


class _Line:
    """The connections of one download, of which redirections make several."""

    def __init__(self, addresses: _Addresses) -> None:
        self.is_cut = False
        self._addresses = addresses
        self._sockets: list[socket.socket] = []

    def connect(self, host: str, port: int, connect: Callable[[str], None]) -> None:
        """Call ``connect`` with the addresses of a server until it connects. Raises OSError."""
        *others, last = self._addresses.of(host, port)
        for address in others:
            with contextlib.suppress(OSError):
                return connect(address)
        return connect(last)

    def add(self, connection: socket.socket) -> None:
        """Take in a connection that was just made."""
        self._sockets.append(connection)
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        """End all connections; who waits for one of them is told that it was lost."""
        self.is_cut = True
        for connection in tuple(self._sockets):
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)


def _opener(line: _Line) -> urllib.request.OpenerDirector:
    """What opens http and https over a line, and follows redirections to nothing else."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _plain(line),
        _encrypted(line),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _connection(line: _Line) -> type[http.client.HTTPConnection]:
    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            name = self.host
            try:
                line.connect(name, self.port, self._connect_to)
            finally:
                self.host = name
            line.add(self.sock)

        def _connect_to(self, address: str) -> None:
            self.host = address
            super().connect()

    return Connection


def _plain(line: _Line) -> urllib.request.HTTPHandler:
    connection = _connection(line)

    class Handler(urllib.request.HTTPHandler):
        def http_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(connection, request)

    return Handler()


def _encrypted(line: _Line) -> urllib.request.HTTPSHandler:
    base: Any = _connection(line)

    # HTTPSConnection connects as ``base`` does, then asks for the certificate of the server's name.
    class Connection(http.client.HTTPSConnection, base):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            line.add(self.sock)

    class Handler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> Any:
            return self.do_open(Connection, request)

    return Handler()
