r"""Coverage-guided fuzzing of what a node's gateway answers to a client, with atheris.

A short run is a test (tests/unit/evidence/test_evidence_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_node_document.py /tmp/corpus tests/fuzz/corpus/node_document \
        -max_total_time=1800 -max_len=32768 -timeout=10 -rss_limit_mb=500

The first byte of an input chooses what is done: the document is read, or also verified as the answer to the nonce and
the key that it names itself.
"""

from __future__ import annotations

from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["builder"]):
    from builder.evidence.evidence_files import Grounds, verify_evidence
    from builder.evidence.node_document import binding_of, parse_node_document

from choice import fuzz

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def document(data: bytes) -> None:
    """A document as the answer to its own challenge, by a key that is trusted on first use."""
    untrusted = parse_node_document(data)
    binding = binding_of(untrusted.nonce, untrusted.tls_public_key)
    verify_evidence(untrusted.evidence, binding, Grounds(None, first_use=True, nitro_roots=(), at=AT))


READERS = (parse_node_document, document)


if __name__ == "__main__":
    fuzz(READERS)
