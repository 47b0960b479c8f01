r"""Coverage-guided fuzzing of the readers of signatures, public areas and certificates, with atheris.

A short run is a test (tests/unit/evidence/test_evidence_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_signature.py /tmp/corpus tests/fuzz/corpus/signature \
        -max_total_time=1800 -max_len=4200 -timeout=10 -rss_limit_mb=500

The first byte of an input chooses what is read: a signature, with which an ECC and an RSA key are asked, a public
area, or a certificate, whose path is looked for.
"""

from __future__ import annotations

from datetime import UTC, datetime

import atheris
from cryptography.hazmat.primitives.asymmetric import ec, rsa

with atheris.instrument_imports(include=["builder"]):
    from builder.errors import InvalidInputError, NotVerifiedError
    from builder.evidence.certificates import parse_certificate
    from builder.evidence.public_area import parse_public, require_attestation_key
    from builder.evidence.signature import check_signature
    from builder.evidence.tpm2_tools import read_signature
    from builder.evidence.trust import trust_certificate, trust_pinned_key

from choice import fuzz

KEYS = (
    ec.generate_private_key(ec.SECP256R1()).public_key(),
    rsa.generate_private_key(65537, 2048).public_key(),
)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def signature(data: bytes) -> None:
    """A signature of either form by each type of key."""
    for key in KEYS:
        try:
            check_signature(key, read_signature(data, key), b"message", allow_sha1=True)
        except (InvalidInputError, NotVerifiedError):
            continue


def public_area(data: bytes) -> None:
    """A public area, and what is asked of it."""
    area = parse_public(data)
    _ = area.name
    trust_pinned_key(require_attestation_key(area))


def certificate(data: bytes) -> None:
    """A certificate as its own root and as an intermediate, which reads its extensions."""
    found = parse_certificate(data, "certificate")
    trust_certificate(found, [found], [found], AT)


READERS = (signature, public_area, certificate)


if __name__ == "__main__":
    fuzz(READERS)
