"""A quote is verified, or refused for the one thing that is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.evidence.attest import Clock, parse_certify, parse_quote
from builder.evidence.freshness import MAX_NONCE, NoNonce
from builder.evidence.public_area import parse_public
from builder.evidence.quote import VerifiedQuote, verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.trust import TrustedAk, trust_pinned_key
from tests.attester import NONCE, PCRS, PrivateKey, ec_key, public_area, quote_attest, rsa_key, tpmt_signature
from tests.tpm_messages import pcr_selection

KEYS = [
    ("rsassa", "sha256", rsa_key()),
    ("rsapss", "sha256", rsa_key()),
    ("rsassa", "sha512", rsa_key()),
    ("ecdsa", "sha256", ec_key()),
    ("ecdsa", "sha384", ec_key("ak", ec.SECP384R1)),
    ("ecdsa", "sha512", ec_key("ak", ec.SECP521R1)),
]


def pinned(key: PrivateKey = rsa_key(), **area: Any) -> TrustedAk:  # noqa: B008 -- a constant of the run
    return trust_pinned_key(parse_public(public_area(key, **area)))


def verify(attest: bytes | None = None, *, pcrs: Any = PCRS, nonce: Any = NONCE, **keywords: Any) -> VerifiedQuote:
    attest = quote_attest() if attest is None else attest
    signature = parse_signature(tpmt_signature(rsa_key(), attest))
    return verify_quote(attest, signature, pinned(), nonce, pcrs, **keywords)


def refusal(caught: pytest.ExceptionInfo[NotVerifiedError]) -> str:
    return "; ".join(caught.value.problems)


@pytest.mark.parametrize(("scheme", "algorithm", "key"), KEYS, ids=lambda value: str(value)[:7])
def test_a_quote_of_every_scheme_is_verified(scheme: str, algorithm: str, key: PrivateKey) -> None:
    attest = quote_attest(algorithm=algorithm)
    signature = parse_signature(tpmt_signature(key, attest, scheme, algorithm))
    quote = verify_quote(attest, signature, pinned(key, scheme=scheme, algorithm=algorithm), NONCE, PCRS)
    assert quote.pcrs == PCRS
    assert quote.nonce == NONCE
    assert quote.clock == Clock(1234, reset_count=5, restart_count=6, safe=True)
    assert quote.firmware_version == 0x20191023
    assert quote.signature_hash == algorithm


def test_a_verified_quote_cannot_be_changed() -> None:
    quote = verify()
    with pytest.raises(TypeError):
        quote.pcrs["sha256"] = {}
    with pytest.raises(TypeError):
        quote.pcrs["sha256"][0] = b""


def test_another_nonce_is_refused() -> None:
    with pytest.raises(NotVerifiedError, match="not an answer") as caught:
        verify(nonce=NONCE[:-1] + b"x")
    assert refusal(caught) == "it carries another nonce"


def test_a_nonce_that_only_starts_right_is_refused() -> None:
    with pytest.raises(NotVerifiedError, match="not an answer"):
        verify(nonce=NONCE[:-1])


def test_a_quote_without_nonce_is_refused() -> None:
    with pytest.raises(NotVerifiedError, match="not an answer") as caught:
        verify(quote_attest(nonce=b""))
    assert refusal(caught) == "it carries no nonce"


@pytest.mark.parametrize("nonce", [b"", bytes(MAX_NONCE + 1)], ids=["empty", "long"])
def test_a_nonce_that_is_none_cannot_be_asked_for(nonce: bytes) -> None:
    with pytest.raises(InvalidInputError, match=r"a nonce of \d+ bytes"):
        verify(nonce=nonce)


def test_freshness_is_left_unchecked_only_by_saying_so_and_the_result_says_so() -> None:
    assert verify(nonce=NoNonce.FRESHNESS_NOT_CHECKED).nonce is None


def test_another_magic_number_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="no TPM made this"):
        verify(quote_attest(magic=0xFF544348))


def test_another_type_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="attests a creation instead of a quote"):
        verify(quote_attest(kind=0x801A))


def test_a_quote_is_no_certification() -> None:
    with pytest.raises(MalformedImageError, match="attests a quote instead of a certified key"):
        parse_certify(quote_attest())


def test_a_quote_of_nothing_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify(quote_attest({}), pcrs={})
    assert refusal(caught) == "no PCR is quoted"


def test_a_bank_without_selected_pcrs_is_no_selection() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify(quote_attest({}, selection=pcr_selection((0x000B, ()))), pcrs={})
    assert refusal(caught) == "no PCR is quoted"


def test_a_bank_that_the_tpm_does_not_have_is_left_out() -> None:
    selection = pcr_selection((0x0004, ()), (0x000B, (0,)))
    pcrs = {"sha256": {0: b"\1" * 32}}
    assert verify(quote_attest(pcrs, selection=selection), pcrs=pcrs).pcrs == pcrs


def test_every_value_that_is_not_quoted_or_missing_is_named() -> None:
    given = {"sha256": {0: b"\1" * 32, 4: b"\2" * 31, 9: bytes(32)}, "sha384": {11: b"\4" * 48}}
    with pytest.raises(NotVerifiedError, match="not those of the quote") as caught:
        verify(pcrs=given)
    assert caught.value.problems == (
        "PCR 4 (sha256) has 31 bytes instead of 32",
        "PCR 7 (sha256) is quoted, but its value is missing",
        "PCR 9 (sha256) is not quoted, but a value was given",
    )


def test_a_value_of_another_bank_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify(pcrs={"sha256": PCRS["sha256"], "sha512": {11: bytes(64)}})
    assert len(caught.value.problems) == 2


def test_a_changed_pcr_value_is_refused() -> None:
    with pytest.raises(NotVerifiedError) as caught:
        verify(pcrs=PCRS | {"sha384": {11: b"\5" * 48}})
    assert refusal(caught) == "the digest over the given values is not the quoted one"


def test_the_digest_is_that_of_the_signatures_hash() -> None:
    with pytest.raises(NotVerifiedError, match="PCR values"):
        verify(quote_attest(algorithm="sha384"))


def test_another_key_is_refused() -> None:
    attest = quote_attest()
    signature = parse_signature(tpmt_signature(rsa_key("other"), attest))
    with pytest.raises(NotVerifiedError, match="signature is not valid"):
        verify_quote(attest, signature, pinned(), NONCE, PCRS)


def test_a_signature_over_sha1_is_refused_unless_it_is_allowed() -> None:
    attest = quote_attest(algorithm="sha1")
    signature = parse_signature(tpmt_signature(rsa_key(), attest, algorithm="sha1"))
    ak = pinned(algorithm="sha1")
    with pytest.raises(NotVerifiedError) as caught:
        verify_quote(attest, signature, ak, NONCE, PCRS)
    assert "SHA-1" in refusal(caught)
    assert verify_quote(attest, signature, ak, NONCE, PCRS, allow_sha1=True).signature_hash == "sha1"


def test_a_scheme_that_the_key_is_not_bound_to_is_refused() -> None:
    attest = quote_attest()
    signature = parse_signature(tpmt_signature(rsa_key(), attest, "rsapss"))
    with pytest.raises(NotVerifiedError) as caught:
        verify_quote(attest, signature, pinned(scheme="rsassa"), NONCE, PCRS)
    assert refusal(caught) == "it is rsapss over sha256, the attestation key signs rsassa over sha256 only"


def test_a_signature_of_the_other_type_of_key_is_refused() -> None:
    attest = quote_attest()
    signature = parse_signature(tpmt_signature(ec_key(), attest, "ecdsa"))
    with pytest.raises(NotVerifiedError) as caught:
        verify_quote(attest, signature, trust_pinned_key(rsa_key().public_key()), NONCE, PCRS)
    assert refusal(caught) == "the scheme is ecdsa, and the attestation key is an RSA key"


def test_a_short_rsa_key_is_refused() -> None:
    attest = quote_attest()
    key = rsa_key("short", 1024)
    with pytest.raises(NotVerifiedError) as caught:
        verify_quote(attest, parse_signature(tpmt_signature(key, attest)), pinned(key), NONCE, PCRS)
    assert refusal(caught) == "the attestation key has 1024 bits, fewer than 2048"


def test_a_flipped_bit_anywhere_in_a_quote_is_refused() -> None:
    attest = quote_attest()
    signature = parse_signature(tpmt_signature(ec_key(), attest, "ecdsa"))
    ak = pinned(ec_key())
    for position in range(len(attest)):
        changed = bytearray(attest)
        changed[position] ^= 1
        with pytest.raises(NotVerifiedError, match="signature is not valid"):
            verify_quote(bytes(changed), signature, ak, NONCE, PCRS)


@pytest.mark.parametrize(("scheme", "key"), [("rsassa", rsa_key()), ("rsapss", rsa_key()), ("ecdsa", ec_key())])
def test_a_flipped_bit_anywhere_in_a_signature_is_refused(scheme: str, key: PrivateKey) -> None:
    attest = quote_attest()
    whole = tpmt_signature(key, attest, scheme)
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        with pytest.raises((NotVerifiedError, InvalidInputError)):
            verify_quote(attest, parse_signature(bytes(changed)), pinned(key, scheme=scheme), NONCE, PCRS)


def test_a_quote_that_is_cut_anywhere_is_refused() -> None:
    attest = quote_attest()
    for size in range(len(attest)):
        with pytest.raises(MalformedImageError, match="TPM quote"):
            parse_quote(attest[:size])


def test_bytes_after_a_quote_are_refused() -> None:
    with pytest.raises(MalformedImageError, match="1 bytes follow its end"):
        parse_quote(quote_attest() + b"\0")


@pytest.mark.parametrize(
    ("selection", "problem"),
    [
        (pcr_selection(*((0x000B, (index,)) for index in range(17))), "a list of 17 entries is longer than 16"),
        (pcr_selection((0x000B, (0,)), (0x000B, (1,))), "the bank sha256 is selected twice"),
        (pcr_selection((0x0012, (0,))), "the hash algorithm 0x0012 is not supported"),
        (b"\0\0\0\1\0\x0b\5" + bytes(5), "a PCR selection of 5 bytes"),
        (b"\0\0\0\1\0\x0b\0", "a PCR selection of 0 bytes"),
        (b"\0\0\0\1\0\x0b\4" + b"\0\0\0\1", "a PCR above 23 is selected"),
    ],
    ids=["many", "twice", "sm3", "long", "short", "above"],
)
def test_a_selection_that_no_tpm_makes_is_refused(selection: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        parse_quote(quote_attest(selection=selection))


def test_a_clock_that_is_neither_safe_nor_unsafe_is_refused() -> None:
    with pytest.raises(MalformedImageError, match="a TPMI_YES_NO is 2"):
        parse_quote(quote_attest(clock_info=bytes(16) + b"\2"))
