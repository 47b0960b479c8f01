"""Places that look like secrets, found by their form. The text itself never leaves this module."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from policies.facts import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

# Keys and tokens live in small files; a program's bytes are not searched.
_MAX_BYTES: Final = 256 << 10
# Kind, a text without which there is no match (it is looked for first, which is fast), and the form.
_PATTERNS: Final[tuple[tuple[str, bytes, bytes], ...]] = (
    # A key needs more than the armour: programs and documents name the armour alone.
    (
        "openssh-private-key",
        b"OPENSSH PRIVATE KEY",
        rb"-----BEGIN OPENSSH PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    ),
    (
        "pem-private-key",
        b"PRIVATE KEY-----",
        rb"-----BEGIN (?:(?:RSA|EC|DSA|ENCRYPTED|ANY) )?PRIVATE KEY-----\s+[A-Za-z0-9+/=:, -]{20}",
    ),
    ("pgp-private-key", b"PGP PRIVATE KEY", rb"-----BEGIN PGP PRIVATE KEY BLOCK-----\s+[A-Za-z0-9+/=:, -]{20}"),
    ("putty-private-key", b"PuTTY-User-Key-File-", rb"PuTTY-User-Key-File-[0-9]:"),
    ("age-private-key", b"AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("aws-access-key", b"AKIA", rb"AKIA[A-Z2-7]{16}(?![A-Z0-9])"),
    ("aws-access-key", b"ASIA", rb"ASIA[A-Z2-7]{16}(?![A-Z0-9])"),
    ("aws-secret-key", b"aws_secret_access_key", rb"aws_secret_access_key\s*=\s*\S{8}"),
    ("github-token", b"gh", rb"gh[pousr]_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    ("gitlab-token", b"glpat-", rb"glpat-[A-Za-z0-9_-]{20}"),
    ("slack-token", b"xox", rb"xox[abprs]-[A-Za-z0-9-]{20}"),
    ("hugging-face-token", b"hf_", rb"hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    ("google-api-key", b"AIza", rb"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("bearer-token", b"eyJ", rb"eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{20,}"),
    # A host of the domains that are reserved for examples (RFC 2606) has no passwords.
    (
        "url-password",
        b"://",
        (
            rb"://[^\s/:@\"'<>$%()\[\]]{1,64}:[^\s/:@\"'<>$%(){\[\]]{3,64}@"
            rb"(?!(?:[\w-]+\.)*(?:example(?:\.(?:com|net|org))?|invalid|test)(?![\w.-]))"
        ),
    ),
    ("netrc-password", b"machine ", rb"machine\s+\S+\s+login\s+\S+\s+password\s+\S"),
)
_COMPILED: Final = tuple((kind, marker, re.compile(form)) for kind, marker, form in _PATTERNS)


def secrets(tree: FileTree) -> tuple[Secret, ...]:
    """What looks like a secret, by path and place."""
    return tuple(found for path in sorted(tree.nodes) for found in _in_file(tree, path))


def _in_file(tree: FileTree, path: str) -> Iterator[Secret]:
    node = tree.nodes[path]
    if not node.is_file or not 0 < node.size <= _MAX_BYTES:
        return
    content = bytes(node.read())
    if content[:4] == b"\x7fELF":
        return
    is_text = b"\0" not in content[:4096]
    found: set[tuple[int, str]] = set()
    for kind, marker, form in _COMPILED:
        if marker in content:
            found |= {(match.start(), kind) for match in form.finditer(content)}
    for start, kind in sorted(found):
        yield Secret(path=path, kind=kind, line=content.count(b"\n", 0, start) + 1 if is_text else None)
