r"""Coverage-guided fuzzing of the readers of TPM quotes and of the files that carry them, with atheris.

A short run is a test (tests/unit/evidence/test_evidence_fuzz.py). For half an hour::

    pip install atheris
    mkdir -p /tmp/corpus
    python tests/fuzz/fuzz_quote.py /tmp/corpus tests/fuzz/corpus/quote \
        -max_total_time=1800 -max_len=8192 -timeout=10 -rss_limit_mb=500

The first byte of an input chooses the reader.
"""

from __future__ import annotations

import atheris

with atheris.instrument_imports():
    from builder.evidence.attest import parse_certify, parse_quote
    from builder.evidence.azure import parse_hcl_report
    from builder.evidence.go_tools import parse_go_attestation, parse_go_tpm_tools
    from builder.evidence.pcr_selection import composite_digest, select_values
    from builder.evidence.tpm2_tools import parse_marshaled_pcrs, parse_plain_pcrs, parse_serialized_pcrs
    from builder.evidence.tpm_wire import HASH_SIZES
    from builder.evidence.trustee import parse_azure_evidence, parse_tpm_evidence

from choice import fuzz


def quote_and_values(data: bytes) -> None:
    """A quote with PCR values of the right sizes: all that comes after the signature."""
    quote = parse_quote(data)
    size = sum(HASH_SIZES[bank] * len(indexes) for bank, indexes in quote.selection)
    values = select_values(quote.selection, parse_plain_pcrs(bytes(size), quote.selection))
    composite_digest(quote.selection, values, "sha256")


READERS = (
    quote_and_values,
    parse_certify,
    parse_serialized_pcrs,
    parse_marshaled_pcrs,
    parse_go_tpm_tools,
    parse_go_attestation,
    parse_azure_evidence,
    parse_hcl_report,
    parse_tpm_evidence,
)


if __name__ == "__main__":
    fuzz(READERS)
