r"""Coverage-guided fuzzing of files of evidence from recognition to appraisal's door, with atheris.

A short run is a test (tests/unit/evidence/test_evidence_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_files.py /tmp/corpus tests/fuzz/corpus/files \
        -max_total_time=1800 -max_len=16384 -timeout=10 -rss_limit_mb=500

The first byte of an input chooses what is done: files of evidence, which a mark separates, are recognised and verified
as on first use; or the first one is read as an attestation key.
"""

from __future__ import annotations

from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["builder"]):
    from builder.evidence.evidence_files import Grounds, read_attestation_key, recognise, verify_evidence
    from builder.evidence.freshness import NoNonce
    from builder.evidence.trust import trust_on_first_use

from choice import fuzz

SEPARATOR = b"\n=====\n"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def evidence(data: bytes) -> None:
    """One set of files, without a key and with the one that came along."""
    untrusted = recognise(data.split(SEPARATOR))
    verify_evidence(untrusted, NoNonce.FRESHNESS_NOT_CHECKED, Grounds(None, first_use=True, nitro_roots=(), at=AT))


def evidence_and_key(data: bytes) -> None:
    """A key, and files of a quote that are verified with it."""
    key, *files = data.split(SEPARATOR)
    grounds = Grounds(trust_on_first_use(read_attestation_key(key)), first_use=False, nitro_roots=(), at=AT)
    verify_evidence(recognise(files), NoNonce.FRESHNESS_NOT_CHECKED, grounds)


READERS = (evidence, evidence_and_key)


if __name__ == "__main__":
    fuzz(READERS)
