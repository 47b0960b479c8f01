"""Quotes against tpm2-tools: a software TPM makes them, and tpm2_checkquote and we agree on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.attest import parse_quote
from builder.evidence.public_area import parse_public
from builder.evidence.quote import verify_quote
from builder.evidence.signature import parse_signature
from builder.evidence.tpm2_tools import parse_plain_pcrs, parse_serialized_pcrs, read_signature
from builder.evidence.trust import load_public_key, trust_certified_key, trust_pinned_key
from builder.process import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from builder.evidence.quote import VerifiedQuote
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.oracle

NONCE = bytes.fromhex("00112233445566778899aabbccddeeff")
SELECTION = {"sha1": {0, 1}, "sha256": {0, 4, 7, 11, 12, 13, 14, 15, 23}, "sha384": {9}}
SCHEMES = ("rsassa", "rsapss", "ecdsa")

# One TPM in one sandbox: an endorsement key and attestation keys of every scheme, and a quote by each.
MAKE = f"""
set -eu
cd "$1"
mkdir state
swtpm socket --tpm2 --tpmstate dir=state --flags not-need-init,startup-clear \\
    --server type=unixio,path=tpm.sock --ctrl type=unixio,path=tpm.sock.ctrl >swtpm.log 2>&1 &
trap "kill $!" EXIT
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do [ -S tpm.sock.ctrl ] && break; sleep 0.25; done
export TPM2TOOLS_TCTI=swtpm:path=tpm.sock
tpm2_pcrextend 4:sha256={"11" * 32},sha384={"22" * 48}
for scheme in {" ".join(SCHEMES)}; do
    case $scheme in ecdsa) type=ecc ;; *) type=rsa ;; esac
    [ -f ek_$type.ctx ] || tpm2_createek -Q -c ek_$type.ctx -G $type
    tpm2_createak -Q -C ek_$type.ctx -c $scheme.ctx -G $type -g sha256 -s $scheme -u $scheme.pub -n $scheme.name
    tpm2_flushcontext -t
    tpm2_readpublic -Q -c $scheme.ctx -f pem -o $scheme.pem
    tpm2_flushcontext -t
    for form in tss plain; do for pcrs in serialized values; do
        tpm2_quote -Q -c $scheme.ctx -q {NONCE.hex()} -g sha256 --scheme $scheme -f $form -F $pcrs \\
            -l sha1:0,1+sha256:0,4,7,11,12,13,14,15,23+sha384:9 \\
            -m $scheme.$form.$pcrs.msg -s $scheme.$form.$pcrs.sig -o $scheme.$form.$pcrs.pcrs
        tpm2_flushcontext -t
    done; done
done
tpm2_certify -Q -C rsassa.ctx -c ecdsa.ctx -g sha256 -o certify.msg -s certify.sig
"""

# tpm2_checkquote's verdict on each directory of $1.
JUDGE = """
set -eu
cd "$1"
for case in */; do
    if tpm2_checkquote -u "$case/key" -m "$case/msg" -s "$case/sig" -f "$case/pcrs" -q "$(cat "$case/nonce")" \\
        -g sha256 >"$case/log" 2>&1; then echo yes; else echo no; fi >"$case/verdict"
done
"""


@dataclass(frozen=True)
class Quote:
    """What ``tpm2_quote`` wrote, or what somebody made of it."""

    key: bytes
    attest: bytes
    signature: bytes
    pcrs: bytes
    nonce: bytes = NONCE


@pytest.fixture(scope="module")
def made(test_tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tpm")
    run(test_tools.command(["sh", "-c", MAKE, "make", str(folder)], writable=[folder]), timeout=120)
    return folder


def quote(made: Path, scheme: str, form: str = "tss", pcrs: str = "serialized") -> Quote:
    stem = f"{scheme}.{form}.{pcrs}"
    parts = (made / f"{stem}.{part}" for part in ("msg", "sig", "pcrs"))
    return Quote((made / f"{scheme}.pem").read_bytes(), *(part.read_bytes() for part in parts))


def verify(given: Quote, scheme: str) -> VerifiedQuote:
    key = load_public_key(given.key)
    signature = read_signature(given.signature, key, scheme=scheme)
    return verify_quote(given.attest, signature, trust_pinned_key(key), given.nonce, parse_serialized_pcrs(given.pcrs))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", ["tss", "plain"])
@pytest.mark.parametrize("pcrs", ["serialized", "values"])
def test_a_quote_in_every_form_is_verified(made: Path, scheme: str, form: str, pcrs: str) -> None:
    area = parse_public((made / f"{scheme}.pub").read_bytes())
    assert area.name == (made / f"{scheme}.name").read_bytes()
    given = quote(made, scheme, form, pcrs)
    assert load_public_key(given.key) == area.key
    if pcrs == "serialized":
        values = parse_serialized_pcrs(given.pcrs)
    else:
        values = parse_plain_pcrs(given.pcrs, parse_quote(given.attest).selection)
    signature = read_signature(given.signature, area)
    verified = verify_quote(given.attest, signature, trust_pinned_key(area), NONCE, values)
    assert {bank: set(indexes) for bank, indexes in verified.pcrs.items()} == SELECTION
    assert verified.pcrs["sha256"][4] != bytes(32)
    assert verified.pcrs["sha256"][7] == bytes(32)
    assert (verified.clock.reset_count, verified.clock.restart_count, verified.clock.safe) == (1, 0, True)


def test_a_key_that_tpm2_certify_certified_is_trusted_through_its_certifier(made: Path) -> None:
    certifier = trust_pinned_key(parse_public((made / "rsassa.pub").read_bytes()))
    area = parse_public((made / "ecdsa.pub").read_bytes())
    statement, signature = (made / "certify.msg").read_bytes(), (made / "certify.sig").read_bytes()
    # tpm2_certify has no option for a nonce: its extra data is fixed.
    ak = trust_certified_key(area, statement, parse_signature(signature), certifier, b"\0\xff\x55\xaa")
    assert ak.trust.certifier == certifier.trust
    other = parse_public((made / "rsapss.pub").read_bytes())
    with pytest.raises(NotVerifiedError, match="not trusted"):
        trust_certified_key(other, statement, parse_signature(signature), certifier, b"\0\xff\x55\xaa")


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


CHANGES: dict[str, Callable[[Quote, Quote], Quote]] = {
    "as-it-is": lambda quote, _: quote,
    "nonce": lambda quote, _: Quote(quote.key, quote.attest, quote.signature, quote.pcrs, NONCE[:-1] + b"\0"),
    "short-nonce": lambda quote, _: Quote(quote.key, quote.attest, quote.signature, quote.pcrs, NONCE[:-1]),
    "key": lambda quote, other: Quote(other.key, quote.attest, quote.signature, quote.pcrs),
    "signature": lambda quote, other: Quote(quote.key, quote.attest, other.signature, quote.pcrs),
    "message": lambda quote, other: Quote(quote.key, other.attest, quote.signature, quote.pcrs),
    "magic": lambda quote, _: Quote(quote.key, flipped(quote.attest, 3), quote.signature, quote.pcrs),
    "clock": lambda quote, _: Quote(quote.key, flipped(quote.attest, 70), quote.signature, quote.pcrs),
    "digest": lambda quote, _: Quote(quote.key, flipped(quote.attest, -1), quote.signature, quote.pcrs),
    "signed": lambda quote, _: Quote(quote.key, quote.attest, flipped(quote.signature, -1), quote.pcrs),
    "pcr": lambda quote, _: Quote(quote.key, quote.attest, quote.signature, flipped(quote.pcrs, 145)),
    "selection": lambda quote, _: Quote(quote.key, quote.attest, quote.signature, flipped(quote.pcrs, 7)),
}


def test_we_accept_exactly_what_tpm2_checkquote_accepts(made: Path, test_tools: Toolchain, tmp_path: Path) -> None:
    cases = {}
    for scheme, other in zip(SCHEMES, (*SCHEMES[1:], SCHEMES[0]), strict=True):
        for name, change in CHANGES.items():
            cases[f"{scheme}-{name}"] = scheme, change(quote(made, scheme), quote(made, other))
    for name, (_, given) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        parts = {"key": given.key, "msg": given.attest, "sig": given.signature, "pcrs": given.pcrs}
        for part, content in (parts | {"nonce": given.nonce.hex().encode()}).items():
            (folder / part).write_bytes(content)
    run(test_tools.command(["sh", "-c", JUDGE, "judge", str(tmp_path)], writable=[tmp_path]), timeout=120)
    theirs = {name: (tmp_path / name / "verdict").read_text().strip() for name in cases}
    assert {name: verdict(given, scheme) for name, (scheme, given) in cases.items()} == theirs
    assert sorted(name for name, answer in theirs.items() if answer == "yes") == sorted(
        f"{scheme}-as-it-is" for scheme in SCHEMES
    )


def verdict(given: Quote, scheme: str) -> str:
    try:
        verify(given, scheme)
    except (NotVerifiedError, InvalidInputError):
        return "no"
    return "yes"
