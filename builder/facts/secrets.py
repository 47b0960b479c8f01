"""Places that look like secrets, found by their form. The text itself never leaves this module."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.facts.texts import Texts
from policies.facts import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    _Form = tuple[str, tuple[bytes, ...], re.Pattern[bytes]]

# Kind, texts without one of which there is no match (they are looked for first, all at once), and the form.
_PATTERNS: Final[tuple[tuple[str, tuple[bytes, ...], bytes], ...]] = (
    # A key needs more than the armour: programs and documents name the armour alone.
    (
        "openssh-private-key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN OPENSSH PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}",
    ),
    (
        "pem-private-key",
        (b"PRIVATE KEY",),
        rb"-----BEGIN (?:(?:RSA|EC|DSA|ENCRYPTED|ANY) )?PRIVATE KEY-----(?:\s|\\[nr])+[A-Za-z0-9+/=:, -]{20}",
    ),
    ("pgp-private-key", (b"PRIVATE KEY",), rb"-----BEGIN PGP PRIVATE KEY BLOCK-----\s+[A-Za-z0-9+/=:, -]{20}"),
    ("wireguard-private-key", (b"PrivateKey",), rb"PrivateKey\s*=\s*[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="),
    # RFC 7517 and 7518: "d" is the private part of EC, OKP and RSA keys.
    ("jwk-private-key", (b'"kty"',), rb'"d"\s*:\s*"[A-Za-z0-9_-]{40}'),
    ("putty-private-key", (b"PuTTY-User-Key-File-",), rb"PuTTY-User-Key-File-[0-9]:"),
    ("age-private-key", (b"AGE-SECRET-KEY-1",), rb"AGE-SECRET-KEY-1[0-9A-Z]{58}"),
    ("aws-access-key", (b"AKIA", b"ASIA"), rb"A[KS]IA[A-Z2-7]{16}(?![A-Z0-9])"),
    ("aws-secret-key", (b"aws_secret_access_key",), rb"aws_secret_access_key\s*=\s*\S{8}"),
    ("google-api-key", (b"AIza",), rb"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("github-token", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"), rb"gh[pousr]_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    ("gitlab-token", (b"glpat-",), rb"glpat-[A-Za-z0-9_-]{20}"),
    ("hugging-face-token", (b"hf_",), rb"hf_[A-Za-z0-9]{34}(?![A-Za-z0-9])"),
    # By its second part, which one point begins and another ends: its first could begin at any letter of a long run.
    ("bearer-token", (b".eyJ",), rb"\.eyJ(?<=[A-Za-z0-9_-]{19}\.eyJ)[A-Za-z0-9_-]{16,}+\.[A-Za-z0-9_-]{20}"),
    ("slack-token", (b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-"), rb"xox[abprs]-[A-Za-z0-9-]{20}"),
    # A host of the domains that are reserved for examples (RFC 2606) has no passwords.
    (
        "url-password",
        (b"://",),
        (
            rb"://[^\s/:@\"'<>$%()\[\]]{1,64}:[^\s/:@\"'<>$%(){\[\]]{3,64}@"
            rb"(?!(?:[\w-]+\.)*(?:example(?:\.(?:com|net|org))?|invalid|test)(?![\w.-]))"
        ),
    ),
    ("netrc-password", (b"password",), rb"machine\s+\S+\s+login\s+\S+\s+password\s+\S"),
)
# What no program and no large table has by chance, and what is searched for in one step for each byte.
_CERTAIN: Final = frozenset(
    {
        "openssh-private-key", "pem-private-key", "pgp-private-key", "putty-private-key", "age-private-key",
        "aws-access-key", "google-api-key", "github-token", "gitlab-token", "hugging-face-token", "slack-token",
    }
)  # fmt: skip
_COMPILED: Final = tuple((kind, texts, re.compile(form)) for kind, texts, form in _PATTERNS)
_TEXTS: Final = Texts(text for _, texts, _ in _COMPILED for text in texts)
_CERTAIN_TEXTS: Final = Texts(text for kind, texts, _ in _COMPILED if kind in _CERTAIN for text in texts)


def find_secrets(path: str, content: bytes) -> Iterator[Secret]:
    """What in a small file looks like a secret, by place."""
    held = _TEXTS.held_by(content)
    if held:
        yield from _found(path, content, [item for item in _COMPILED if not held.isdisjoint(item[1])])


def find_certain_secrets(path: str, content: memoryview | bytes) -> Iterator[Secret]:
    """What in a program, a large file or what was unpacked is a key or a token by a form that nothing else has."""
    held = _CERTAIN_TEXTS.held_by(content)
    forms = [item for item in _COMPILED if item[0] in _CERTAIN and not held.isdisjoint(item[1])]
    if forms:
        yield from _found(path, bytes(content), forms)


def _found(path: str, content: bytes, forms: Sequence[_Form]) -> Iterator[Secret]:
    is_text = b"\0" not in content[:4096]
    found = sorted((match.start(), kind) for kind, _, form in forms for match in form.finditer(content))
    line, counted = 1, 0
    for start, kind in found:
        line, counted = line + content.count(b"\n", counted, start), start
        yield Secret(path=path, kind=kind, line=line if is_text else None)
