r"""Coverage-guided fuzzing of Nitro documents: CBOR, COSE_Sign1, payload and certificates, with atheris.

A short run is a test (tests/unit/evidence/test_evidence_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_nitro.py /tmp/corpus tests/fuzz/corpus/nitro \
        -max_total_time=1800 -max_len=32768 -timeout=10 -rss_limit_mb=500

The first byte of an input chooses the reader: a whole document, whose own first certificate is then the root so that
the path is walked, or its payload, which no signature protects from the fuzzer.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["builder"]):
    from builder.evidence.certificates import parse_certificate
    from builder.evidence.cose import parse_sign1
    from builder.evidence.freshness import NoNonce
    from builder.evidence.nitro import MAX_DOCUMENT, parse_payload, verify_document

from choice import fuzz


def document(data: bytes) -> None:
    """A document at its own time and with its own root."""
    payload = parse_payload(parse_sign1(data, limit=MAX_DOCUMENT).payload)
    root = parse_certificate(payload.cabundle[0], "root")
    verify_document(data, [root], NoNonce.FRESHNESS_NOT_CHECKED, payload.timestamp)


READERS = (document, parse_payload)


if __name__ == "__main__":
    fuzz(READERS)
