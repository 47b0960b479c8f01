"""Evidence of strangers: any bytes are read or refused, and only what was signed is verified."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence import cbor
from builder.evidence.attest import parse_certify, parse_quote
from builder.evidence.azure import parse_hcl_report
from builder.evidence.freshness import NoNonce
from builder.evidence.go_tools import parse_go_attestation, parse_go_tpm_tools
from builder.evidence.nitro import parse_payload, verify_document
from builder.evidence.public_area import parse_public
from builder.evidence.quote import verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.tpm2_tools import parse_marshaled_pcrs, parse_serialized_pcrs, read_signature
from builder.evidence.trust import trust_pinned_key
from builder.evidence.trustee import parse_azure_evidence
from tests.attester import (
    ALGORITHMS,
    AT,
    NONCE,
    certify_attest,
    ec_key,
    indefinite_map,
    nitro_chain,
    nitro_document,
    nitro_payload,
    public_area,
    quote_attest,
    tpmt_signature,
)
from tests.attester import rsa_key as shared_rsa_key
from tests.evidence_files import go_tpm_tools_file, hcl_report, marshaled_pcrs, serialized_pcrs

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
AREA = public_area(ec_key())
SIGNATURE = tpmt_signature(ec_key(), quote_attest(), "ecdsa")
READERS: list[tuple[Callable[[bytes], Any], bytes]] = [
    (parse_quote, quote_attest()),
    (parse_certify, certify_attest(b"\0\x0b" + bytes(32))),
    (parse_signature, SIGNATURE),
    (lambda data: read_signature(data, ec_key().public_key()), SIGNATURE),
    (parse_public, AREA),
    (parse_public, public_area(shared_rsa_key())),
    (parse_serialized_pcrs, serialized_pcrs({"sha256": {0: bytes(32), 7: bytes(32)}})),
    (parse_marshaled_pcrs, marshaled_pcrs({"sha256": {0: bytes(32), 7: bytes(32)}})),
    (parse_go_tpm_tools, go_tpm_tools_file()),
    (parse_go_attestation, b'{"Static":{"TPMVersion":2},"AK":{"Public":""},"Quote":{"Quote":""}}'),
    (parse_azure_evidence, b'{"version":1,"tpm_quote":{"message":"","signature":"","pcrs":[]},"hcl_report":""}'),
    (parse_hcl_report, hcl_report()),
    (parse_payload, indefinite_map(nitro_payload())),
    (lambda data: cbor.loads(data, "test", limit=4096), cbor2.dumps({1: [True, None, "a", b"b"]})),
    (
        lambda data: verify_document(data, [nitro_chain()[0].certificate], NoNonce.FRESHNESS_NOT_CHECKED, AT),
        nitro_document(),
    ),
]


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some of them changed, taken out or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_any_bytes_are_read_or_refused_by_every_reader(data: st.DataObject) -> None:
    reader, whole = data.draw(st.sampled_from(READERS))
    given_bytes = data.draw(mutated(whole) | st.binary(max_size=300))
    with contextlib.suppress(InvalidInputError, NotVerifiedError):
        reader(given_bytes)


BANKS = st.dictionaries(
    st.sampled_from(list(ALGORITHMS)), st.dictionaries(st.integers(0, 23), st.just(b""), min_size=1), min_size=1
).flatmap(
    lambda banks: st.fixed_dictionaries(
        {
            bank: st.fixed_dictionaries({i: st.binary(min_size=SIZES[bank], max_size=SIZES[bank]) for i in indexes})
            for bank, indexes in banks.items()
        }
    )
)


@settings(deadline=None)
@given(BANKS, st.binary(min_size=1, max_size=64), st.sampled_from(["sha256", "sha384", "sha512"]))
def test_a_quote_over_any_pcrs_is_verified_with_exactly_those(
    pcrs: dict[str, dict[int, bytes]], nonce: bytes, algorithm: str
) -> None:
    attest = quote_attest(pcrs, nonce=nonce, algorithm=algorithm)
    signature = parse_signature(tpmt_signature(ec_key(), attest, "ecdsa", algorithm))
    ak = trust_pinned_key(ec_key().public_key())
    assert verify_quote(attest, signature, ak, nonce, pcrs).pcrs == pcrs
    assert parse_serialized_pcrs(serialized_pcrs(pcrs)) == pcrs
    assert parse_marshaled_pcrs(marshaled_pcrs(pcrs)) == pcrs


@settings(deadline=None)
@given(mutated(quote_attest()))
def test_a_changed_quote_is_never_verified(attest: bytes) -> None:
    if attest == quote_attest():
        return
    try:
        verify_quote(
            attest,
            parse_signature(SIGNATURE),
            trust_pinned_key(parse_public(AREA)),
            NONCE,
            {"sha256": {0: b"\1" * 32, 4: b"\2" * 32, 7: b"\3" * 32}, "sha384": {11: b"\4" * 48}},
        )
    except (NotVerifiedError, InvalidInputError):
        return
    raise AssertionError("a quote that nobody signed was verified")


SCALARS = st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary(max_size=40) | st.text()
KEYS = st.integers(-(1 << 64), (1 << 64) - 1) | st.binary(max_size=10) | st.text(max_size=10)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


@given(VALUES)
def test_what_the_encoder_writes_is_read_as_it_was(value: Any) -> None:
    encoded = cbor2.dumps(value)
    assert cbor.loads(encoded, "test", limit=len(encoded)) == value


@given(st.binary(max_size=40))
def test_what_is_read_means_the_same_to_another_decoder(data: bytes) -> None:
    try:
        value = cbor.loads(data, "test", limit=100)
    except InvalidInputError:
        return
    if "Tagged" not in repr(value):
        assert cbor2.loads(data) == value
