"""Clients of httpx that speak to one accepted node: what libraries on top of it (OpenAI's, say) are given.

httpx is an extra (``pip install '.[client]'``). TLS refuses any other key; these also refuse a request to another
place, so that a redirect or a wrong base URL does not even open a connection, and one to ``http://`` sends nothing in
the clear. Proxies, certificates and passwords of the environment are not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from builder.connect.pinned import ssl_context
from builder.errors import NotVerifiedError, ToolMissingError

try:
    import httpx
except ImportError as error:
    raise ToolMissingError(
        "httpx, an extra of bedplate, is not installed", hint="pip install '.[client]' in a checkout of bedplate"
    ) from error

if TYPE_CHECKING:
    from builder.connect.origin import Origin
    from builder.evidence.node_appraisal import AcceptedNode

# A model may think for long; connecting takes no time.
TIMEOUT: Final = httpx.Timeout(600.0, connect=10.0)
# Options of httpx that change what is said. Of the others some change to whom, in some version of httpx or another.
_OPTIONS: Final = frozenset(
    {"auth", "base_url", "cookies", "default_encoding", "event_hooks", "headers", "params", "timeout"}
)


class _NodeTransport(httpx.HTTPTransport):
    """HTTP/1.1 over TLS to one origin."""

    def __init__(self, node: AcceptedNode, origin: Origin) -> None:
        super().__init__(verify=ssl_context(node), trust_env=False, http2=False)
        self._origin = origin

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx, for the node's own origin. Raises NotVerifiedError for another."""
        _require_origin(request, self._origin)
        return super().handle_request(request)


class _AsyncNodeTransport(httpx.AsyncHTTPTransport):
    """The same for asynchronous clients."""

    def __init__(self, node: AcceptedNode, origin: Origin) -> None:
        super().__init__(verify=ssl_context(node), trust_env=False, http2=False)
        self._origin = origin

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx, for the node's own origin. Raises NotVerifiedError for another."""
        _require_origin(request, self._origin)
        return await super().handle_async_request(request)


def client(node: AcceptedNode, origin: Origin, **options: Any) -> httpx.Client:
    """A client of ``node``; ``options`` are those of httpx that say nothing of where connections lead and how.

    Raises TypeError for others, and for anything but an accepted node.
    """
    return httpx.Client(transport=_NodeTransport(node, origin), **_options(origin, options))


def async_client(node: AcceptedNode, origin: Origin, **options: Any) -> httpx.AsyncClient:
    """The same for asynchronous code."""
    return httpx.AsyncClient(transport=_AsyncNodeTransport(node, origin), **_options(origin, options))


def _options(origin: Origin, given: dict[str, Any]) -> dict[str, Any]:
    if taken := sorted(given.keys() - _OPTIONS):
        raise TypeError(f"{taken[0]} is not for the caller to choose: it may change whom the client speaks to")
    ours = {"trust_env": False, "follow_redirects": False}
    return {"base_url": str(origin), "timeout": TIMEOUT} | given | ours


def _require_origin(request: httpx.Request, origin: Origin) -> None:
    url = request.url
    port = url.port if url.port is not None else 443
    if (url.scheme, url.raw_host.decode("ascii").lower(), port) != ("https", origin.host, origin.port):
        found = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
        raise NotVerifiedError(f"the request is not for {origin}", (f"it is for {found}, which nobody appraised",))
