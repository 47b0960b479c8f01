from __future__ import annotations

import errno
import socket

import pytest

from builder.errors import InvalidInputError
from builder.vm.ports import LOOPBACK, require_port
from tests.front_door import free_port


def test_a_port_that_nobody_has_can_be_had_and_is_left_free() -> None:
    port = free_port()
    require_port(port)
    require_port(port)


def test_a_port_that_somebody_has_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInputError, match=rf"port {port} of 127\.0\.0\.1 is in use") as refused:
            require_port(port)
    assert refused.value.hint == "choose another port"


@pytest.mark.parametrize(
    ("error", "problem", "hint"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "is not for this user: Permission denied", "1024 on"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), "cannot be listened at: Cannot assign", "another port"),
    ],
)
def test_what_the_system_says_is_told(error: OSError, problem: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_address: object) -> None:
        raise error

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(InvalidInputError, match=problem) as refused:
        require_port(443)
    assert hint in (refused.value.hint or "")
