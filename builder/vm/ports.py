"""Ports of this host's loopback address, which a machine's port can be reached through."""

from __future__ import annotations

import errno
import socket

from builder.errors import InvalidInputError

LOOPBACK = "127.0.0.1"


def require_port(port: int) -> None:
    """Raise InvalidInputError unless ``port`` of the loopback address can be listened at now."""
    try:
        # With SO_REUSEADDR, as QEMU does: connections that ended a moment ago are in nobody's way.
        socket.create_server((LOOPBACK, port)).close()
    except PermissionError as error:
        raise InvalidInputError(
            f"port {port} of {LOOPBACK} is not for this user: {error.strerror}", hint="ports from 1024 on are for all"
        ) from error
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        problem = "is in use" if used else f"cannot be listened at: {error.strerror}"
        raise InvalidInputError(f"port {port} of {LOOPBACK} {problem}", hint="choose another port") from error
