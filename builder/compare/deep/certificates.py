"""Certificates by field: PEM files, and single DER certificates."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from builder.compare.enrolled import certificate_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")
_SUFFIXES: Final = (".crt", ".cer", ".der", ".pem")


def properties(name: str, content: bytes) -> Mapping[str, str] | None:
    """The fields by certificate, None for what holds none. Raises MalformedSignatureError for a broken one."""
    found = _encoded(name, content)
    if not found:
        return None
    fields: dict[str, str] = {}
    for der in found:
        certificate = certificate_of(der, f"a certificate in {name}")
        # One certificate is compared with its successor; many are told apart by their names.
        prefix = f"{certificate.name}: " if len(found) > 1 else ""
        values = {"subject": certificate.name, **dict(certificate.details)}
        fields |= {f"{prefix}{key}": value for key, value in values.items()}
    return fields


def _encoded(name: str, content: bytes) -> list[bytes]:
    try:
        found = [base64.b64decode(match[1], validate=False) for match in _PEM.finditer(content)]
    except binascii.Error:
        return []
    if not found and name.endswith(_SUFFIXES) and content[:1] == b"\x30":
        return [content]
    return found
