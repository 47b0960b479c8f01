"""Which URLs name a node."""

from __future__ import annotations

import pytest

from builder.connect.origin import Origin, parse_origin
from builder.errors import InvalidInputError


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("https://node.example", "node.example", 443, "https://node.example"),
        ("HTTPS://Node.Example:8443/", "node.example", 8443, "https://node.example:8443"),
        ("https://192.0.2.1:443", "192.0.2.1", 443, "https://192.0.2.1"),
        ("https://[2001:db8::1]:8443", "2001:db8::1", 8443, "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_of_https_is_a_node(url: str, host: str, port: int, shown: str) -> None:
    assert parse_origin(url) == Origin(host, port)
    assert str(parse_origin(url)) == shown


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://node.example", "does not name a node"),
        ("node.example", "does not name a node"),
        ("", "does not name a node"),
        ("https://", "does not name a node"),
        ("https://node.example:0", "does not name a node"),
        ("https://a b", "does not name a node"),
        ("https://n\u00f6de.example", "does not name a node"),
        ("https://-node", "does not name a node"),
        ("https://node.example:99999", "no URL"),
        ("https://[::1", "no URL"),
        ("https://user:secret@node.example", "has no user"),
        ("https://node.example/@", "has no user"),
        ("https://node.example/v1", "names more"),
        ("https://node.example?a=b", "names more"),
        ("https://node.example#a", "names more"),
    ],
)
def test_anything_else_is_refused(url: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_origin(url)


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_origin("https://user:hunter2@node.example")
    assert "hunter2" not in f"{refused.value} {refused.value.hint}"
