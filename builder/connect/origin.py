"""Where a node is: scheme, host and port, and nothing that could lead elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from builder.errors import InvalidInputError

HTTPS_PORT: Final = 443
# A host name, an IPv4 address, or an IPv6 address (in brackets in a URL).
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")


@dataclass(frozen=True, slots=True)
class Origin:
    """An origin of HTTPS; ``host`` is in lower case and without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}" + ("" if self.port == HTTPS_PORT else f":{self.port}")


def parse_origin(url: str) -> Origin:
    """The origin that a URL names. Raises InvalidInputError for another scheme, or for a URL that names more."""
    if "@" in url:
        # What stands before it may be a password, and is not repeated.
        raise InvalidInputError("the URL of a node has no user and no @", hint="write it as https://HOST")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInputError(f"{url!a} is no URL: {error}") from None
    if parts.scheme != "https" or not host or not _HOST.fullmatch(host) or port == 0:
        raise InvalidInputError(f"{url!a} does not name a node", hint="write it as https://HOST or https://HOST:PORT")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise InvalidInputError(f"{url!a} names more than a node", hint=f"https://{parts.netloc}")
    return Origin(host, port or HTTPS_PORT)
