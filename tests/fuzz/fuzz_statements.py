r"""Coverage-guided fuzzing of what a verifier reads of releases: envelopes, statements, revocations, with atheris.

A short run is a test (tests/unit/evidence/test_evidence_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_statements.py /tmp/corpus tests/fuzz/corpus/statements \
        -max_total_time=1800 -max_len=16384 -timeout=10 -rss_limit_mb=500

The first byte of an input chooses the reader. Payloads are signed here, with a key that is then trusted: what a signer
who is careless, or bad, can write must not break a verifier either.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports(include=["builder", "signing"]):
    from builder.export.kms_lint import check_policy
    from builder.release.revocations import load_revocations
    from builder.release.statements import PAYLOAD_TYPE
    from builder.release.trusted import load_trusted_reference
    from signing import dsse, envelope_json, keys
    from signing.signer import FileSigner

from choice import fuzz

SIGNER = FileSigner.from_pem(keys.generate(keys.Algorithm.ED25519).private_pem)
TRUSTED = [SIGNER.public_key]


def signed(payload: bytes) -> bytes:
    """An envelope of it."""
    return envelope_json.encode(dsse.sign(PAYLOAD_TYPE, payload, [SIGNER]))


def envelopes(data: bytes) -> None:
    """Envelopes as they come, by nobody who is trusted."""
    load_trusted_reference(data, TRUSTED)


def reference(data: bytes) -> None:
    """The statements of a release, one a line."""
    load_trusted_reference(b"\n".join(signed(line) for line in data.split(b"\n", 4)), TRUSTED)


def revocations(data: bytes) -> None:
    """A list of revocations."""
    load_revocations(signed(data), TRUSTED)


READERS = (envelopes, reference, revocations, check_policy)


if __name__ == "__main__":
    fuzz(READERS)
