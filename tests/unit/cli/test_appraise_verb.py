"""``bedplate appraise`` on files: yes, every kind of no, and what cannot be appraised at all."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from builder.cli.appraise import command
from builder.errors import InvalidInputError, NotVerifiedError
from builder.evidence.public_area import parse_public
from builder.measurement.events import EventType, utf16
from builder.release.revocations import Revocation
from signing.keys import Algorithm, generate
from signing.signer import FileSigner
from tests.attester import (
    NONCE,
    certify_attest,
    ec_key,
    issue,
    nitro_chain,
    nitro_document,
    public_area,
    rsa_key,
    tpmt_signature,
)
from tests.nodes import SIGNER, Node, ak_pem, event, log_bytes, quote_files, reference, revocations, signed

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Node.of()
DEBUG = event(12, EventType.EV_IPL, utf16("systemd.debug_shell"))


@dataclass
class Bench:
    """A directory with a release, keys and evidence, and the command on them."""

    folder: Path

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def node(self, node: Node, nonce: bytes = NONCE) -> list[str]:
        files = quote_files(node.evidence(), nonce)
        return [word for name, data in files.items() for word in ("--evidence", self.write(name, data))]

    def __call__(self, *arguments: str, nonce: bytes = NONCE, ak: bool = True) -> Any:
        own = ["--release", str(self.folder / "release.intoto.jsonl"), "--trust", str(self.folder / "release.pub")]
        own += ["--nonce", nonce.hex()] if nonce else []
        own += ["--ak", str(self.folder / "ak.pem")] if ak else []
        return CliRunner().invoke(command, [*own, *arguments])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    bench.write("release.intoto.jsonl", signed(reference()))
    bench.write("release.pub", SIGNER.public_key.pem)
    bench.write("ak.pem", ak_pem())
    return bench


def problems(result: Any) -> list[str]:
    assert isinstance(result.exception, NotVerifiedError), result.output
    return list(result.exception.problems)


def test_a_good_node_is_accepted_in_words(bench: Bench) -> None:
    result = bench(*bench.node(GOOD))
    assert result.exit_code == 0, result.exception
    assert result.stdout.startswith("accepted: node 1.0.0 x86-64, profile production\n")
    assert "Secure Boot  enabled" in result.stdout


def test_a_good_node_is_accepted_in_json(bench: Bench) -> None:
    result = bench(*bench.node(GOOD), "--format", "json")
    report = json.loads(result.stdout)
    assert report["accepted"] is True
    assert report["release"]["version"] == "1.0.0"
    shown = report["evidence"]
    assert shown["nonce"] == NONCE.hex()
    assert shown["clock"] == {"milliseconds": 1234, "reset_count": 5, "restart_count": 6, "safe": True}
    assert (shown["firmware_version"], shown["claims"]) == ("0000000020191023", {})
    assert shown["pcrs"]["sha384"]["12"] == bytes(48).hex()


def test_the_order_of_the_files_does_not_matter(bench: Bench) -> None:
    words = bench.node(GOOD)
    assert bench(*words[4:], *words[:4]).exit_code == 0


def test_a_release_directory_is_taken_too(bench: Bench) -> None:
    assert bench(*bench.node(GOOD), "--release", str(bench.folder)).exit_code == 0


def test_a_log_explains_what_differs(bench: Bench) -> None:
    node = GOOD.with_events(DEBUG)
    log = bench.write("log", log_bytes(node.log))
    result = bench(*bench.node(node), "--eventlog", log, "--format", "json")
    report = json.loads(result.stdout)
    assert report["accepted"] is False
    (explanation,) = report["nearest"]["explanations"]
    assert explanation["text"] == "kernel command line was extended with systemd.debug_shell: PCR 12 moved"
    assert report["nearest"]["first_differing_events"][0]["pcr"] == 12
    assert any(text.startswith("PCR 12 (sha256) is ") for text in problems(result))


def test_an_altered_log_is_a_no_that_names_the_pcr(bench: Bench) -> None:
    altered = GOOD.edited(lambda item: event(4, item.type, item.data) if item.register == 4 and item.index else item)
    result = bench(*bench.node(GOOD), "--eventlog", bench.write("log", log_bytes(altered.log)))
    (first, second) = problems(result)
    assert first.startswith("the event log does not explain the quoted PCRs: PCR 4 (sha256)")
    assert "PCR 4 (sha384)" in second


@pytest.mark.parametrize("count", range(5))
def test_phases_are_found_without_user_spaces_log(bench: Bench, count: int) -> None:
    node = replace(GOOD, words=GOOD.words[:count])
    log = bench.write("log", log_bytes(node.log))
    phases = [word for phase in ("firmware", *GOOD.words) for word in ("--phase", phase)]
    assert bench(*bench.node(node), "--eventlog", log, *phases).exit_code == 0


def test_a_replayed_nonce_is_a_no(bench: Bench) -> None:
    assert problems(bench(*bench.node(GOOD, nonce=b"x" * 32))) == ["it carries another nonce"]


def test_stored_evidence_has_to_be_called_so(bench: Bench) -> None:
    words = bench.node(GOOD)
    assert bench(*words, nonce=b"").exit_code == 2
    assert bench(*words, "--stored").exit_code == 2
    stored = bench(*words, "--stored", nonce=b"")
    assert stored.exit_code == 0
    assert "freshness    not checked" in stored.stdout
    assert "freshness" not in bench(*words).stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--minimum-version", "1.0.1"], "below the lowest"),
        (["--maximum-age", "1", "--at", "2026-06-01"], "longer ago"),
        (["--secure-boot", "disabled"], "Secure Boot is enabled"),
        (["--phase", "sysinit"], "the boot is at phase ready"),
    ],
)
def test_what_a_policy_refuses_is_named(bench: Bench, options: list[str], words: str) -> None:
    (problem,) = problems(bench(*bench.node(GOOD), *options))
    assert words in problem


def test_a_bank_that_is_asked_for_must_be_quoted(bench: Bench) -> None:
    files = quote_files(GOOD.evidence(banks=["sha384"]))
    words = [word for name, data in files.items() for word in ("--evidence", bench.write(name, data))]
    assert bench(*words, "--bank", "sha384").exit_code == 0
    (problem,) = problems(bench(*words, "--bank", "sha256"))
    assert "must be quoted in the bank sha256" in problem
    assert bench(*words, "--bank", "sha1").exit_code == 2


def test_a_revoked_release_is_a_no(bench: Bench) -> None:
    entry = Revocation(name="node", version="1.0.0", reason="leaked")
    listed = bench.write("revoked", revocations(entry))
    assert problems(bench(*bench.node(GOOD), "--revocations", listed)) == ["node 1.0.0 is revoked: leaked"]


def test_a_development_release_needs_a_word(bench: Bench) -> None:
    bench.write("release.intoto.jsonl", signed(reference(profile="development")))
    (problem,) = problems(bench(*bench.node(GOOD)))
    assert "development image" in problem
    assert bench(*bench.node(GOOD), "--allow-development").exit_code == 0


def test_a_nitro_document_is_verified_with_aws_root(bench: Bench) -> None:
    document = bench.write("document", nitro_document())
    root = bench.write("root.der", nitro_chain()[0].der)
    result = bench("--evidence", document, "--nitro-root", root, "--at", "2026-03-01T12:00:00Z", ak=False)
    assert len(problems(result)) >= 5
    options = ["--nitro-root", root, "--at", "2026-03-01T12:00:00Z", "--format", "json"]
    shown = json.loads(bench("--evidence", document, *options, ak=False).stdout)["evidence"]
    assert shown["claims"] == {
        "module_id": "i-0123456789abcdef0-tpm0000000000000000",
        "user_data": b"user data".hex(),
    }
    assert (shown["clock"], shown["firmware_version"], shown["time"]) == (None, None, "2026-03-01T12:00:00+00:00")
    without = bench("--evidence", document, ak=False)
    assert isinstance(without.exception, InvalidInputError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ak-cert", "ak.pem"], "--ak-cert and --ak-root go together"),
        (["--userspace-log", "ak.pem"], "goes with --eventlog"),
        (["--phase", "later"], "'later' is not one of"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(bench: Bench, options: list[str], words: str) -> None:
    paths = [str(bench.folder / word) if word == "ak.pem" else word for word in options]
    result = bench(*bench.node(GOOD), *paths)
    assert result.exit_code == 2
    assert words in result.output


def test_a_quote_needs_a_key(bench: Bench) -> None:
    result = bench(*bench.node(GOOD), ak=False)
    assert isinstance(result.exception, InvalidInputError)
    assert "none is given" in str(result.exception)


def test_files_that_are_no_evidence_are_refused(bench: Bench) -> None:
    words = bench.node(GOOD)
    for some in (words[:4], words[2:], [*words, "--evidence", bench.write("more", b"more")]):
        assert isinstance(bench(*some).exception, InvalidInputError)


# Several quotes, certified keys, attestation results


def quote_by_bank(bench: Bench, *banks: str, node: Node = GOOD) -> list[list[str]]:
    """The options for one quote of each bank."""
    found = []
    for bank in banks:
        files = quote_files(node.evidence(banks=[bank]))
        paths = [bench.write(f"{bank}-{name}", data) for name, data in files.items()]
        found.append([word for path in paths for word in ("--evidence", path)])
    return found


def test_quotes_of_several_banks_are_one_piece_of_evidence_in_any_order(bench: Bench) -> None:
    one, two = quote_by_bank(bench, "sha256", "sha384")
    assert bench(*one, *two).exit_code == 0
    assert bench(*two, *one[4:], *one[:4]).exit_code == 0


def test_quotes_of_several_states_are_a_no(bench: Bench) -> None:
    (one,) = quote_by_bank(bench, "sha256")
    (two,) = quote_by_bank(bench, "sha256", node=GOOD.with_events(DEBUG))
    files = quote_files(GOOD.evidence(banks=["sha256"]))
    kept = [bench.write(f"kept-{name}", data) for name, data in files.items()]
    words = [word for path in kept for word in ("--evidence", path)]
    assert problems(bench(*words, *two)) == ["PCR 12 (sha256) changed between them"]
    assert one == two


def test_quotes_with_a_file_too_few_or_mixed_up_are_refused(bench: Bench) -> None:
    one, two = quote_by_bank(bench, "sha256", "sha384")
    for words in ([*one, *two[:4]], [*one[:2], *two, *one[2:]]):
        assert isinstance(bench(*words).exception, InvalidInputError)


def certified(bench: Bench, nonce: bytes = NONCE) -> list[str]:
    """A key with a statement of TPM2_Certify by another."""
    area = public_area(rsa_key())
    statement = certify_attest(parse_public(area).name, nonce=nonce)
    signature = tpmt_signature(ec_key("certifier"), statement, "ecdsa")
    return [
        "--ak", bench.write("ak.bin", area),
        "--certify", bench.write("certify", statement),
        "--certify-signature", bench.write("certify.sig", signature),
    ]  # fmt: skip


def test_a_key_beside_a_certificate_must_be_its_own(bench: Bench) -> None:
    root = issue("authority", authority=True)
    leaf = issue("ak", root, key=rsa_key())
    chain = ["--ak-cert", bench.write("leaf", leaf.der), "--ak-root", bench.write("root", root.der)]
    words = [*bench.node(GOOD), *chain, "--at", "2026-03-01T12:00:00Z"]
    assert bench(*words).exit_code == 0
    enrolled = rsa_key("enrolled").public_key()
    bench.write("ak.pem", enrolled.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert problems(bench(*words)) == ["the key that is expected is not that of the certificate CN=ak"]


def test_a_key_that_a_trusted_one_certified_is_trusted(bench: Bench) -> None:
    words = [*bench.node(GOOD), *certified(bench)]
    pinned = ["--certifier", bench.write("certifier.pub", public_area(ec_key("certifier")))]
    result = bench(*words, *pinned, "--certify-nonce", NONCE.hex(), ak=False)
    assert result.exit_code == 0, result.exception
    assert "evidence by  certified-key, certified by the key" in result.stdout
    assert re.search(r"\(pinned-key, key [0-9a-f]{64} pinned by you\)", result.stdout)
    root = issue("authority", authority=True)
    leaf = issue("certifier", root, key=ec_key("certifier"))
    chain = ["--ak-cert", bench.write("leaf", leaf.der), "--ak-root", bench.write("root", root.der)]
    assert bench(*words, *chain, "--at", "2026-03-01T12:00:00Z", ak=False).exit_code == 0
    other = ["--certifier", bench.write("other.pub", public_area(ec_key("other")))]
    assert bench(*words, *other, ak=False).exit_code == 1
    with_nonce = bench(*words, *pinned, "--certify-nonce", "00", ak=False)
    assert problems(with_nonce) == ["it carries another nonce"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--certify", "FILE"], "--certify and --certify-signature go together"),
        (["--certifier", "FILE"], "go with --certify"),
        (["--certify-nonce", "00"], "go with --certify"),
        (["--certify", "FILE", "--certify-signature", "FILE"], "name it with --ak, not as PEM"),
        (["--certify", "FILE", "--certify-signature", "FILE", "--ak", "AREA"], "--certify needs its key"),
        (
            [
                "--certify", "FILE", "--certify-signature", "FILE", "--certifier", "FILE", "--ak-cert", "FILE",
                "--ak-root", "FILE",
            ],
            "is either --certifier, or that of --ak-cert",
        ),
        (["--ear", "FILE"], "--ear, --ear-key and --policy-id go together"),
        (["--policy-id", "x"], "--ear, --ear-key and --policy-id go together"),
        (["--revocations-serial", "3"], "goes with --revocations"),
    ],
)  # fmt: skip
def test_options_that_lack_a_companion_are_refused(bench: Bench, options: list[str], words: str) -> None:
    files = {"FILE": str(bench.folder / "ak.pem"), "AREA": bench.write("ak.bin", public_area(rsa_key()))}
    result = bench(*bench.node(GOOD), *(files.get(word, word) for word in options))
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("more", "code", "status"), [([], 0, "affirming"), (["--phase", "sysinit"], 1, "contraindicated")]
)
def test_a_result_is_signed_for_others_whether_yes_or_no(bench: Bench, more: list[str], code: int, status: str) -> None:
    key = generate(Algorithm.ED25519)
    token = bench.folder / "ear.jwt"
    options = ["--ear", str(token), "--ear-key", bench.write("key.pem", key.private_pem), "--policy-id", "urn:x"]
    result = bench(*bench.node(GOOD), *options, *more)
    assert (result.exit_code, type(result.exception) if code else None) == (code, NotVerifiedError if code else None)
    public = load_pem_public_key(FileSigner.from_pem(key.private_pem).public_key.pem)
    assert isinstance(public, Ed25519PublicKey)
    message, _, signature = token.read_text().rpartition(".")
    public.verify(base64.urlsafe_b64decode(signature + "=="), message.encode())
    claims = json.loads(base64.urlsafe_b64decode(message.split(".")[1] + "=="))
    node = claims["submods"]["node"]
    assert (node["ear.status"], node["ear.appraisal-policy-id"]) == (status, "urn:x")


def test_evidence_that_is_not_verified_has_no_result(bench: Bench) -> None:
    token = bench.folder / "ear.jwt"
    key = bench.write("key.pem", generate(Algorithm.ED25519).private_pem)
    options = ["--ear", str(token), "--ear-key", key, "--policy-id", "urn:x"]
    assert bench(*bench.node(GOOD), *options).exit_code == 0
    assert token.exists()
    # That was another appraisal's.
    assert bench(*bench.node(GOOD, nonce=b"x" * 32), *options).exit_code == 1
    assert not token.exists()


def test_what_was_behind_a_link_has_no_result_either_and_a_fifo_stays(bench: Bench) -> None:
    key = bench.write("key.pem", generate(Algorithm.ED25519).private_pem)
    token, link, fifo = bench.folder / "ear.jwt", bench.folder / "link", bench.folder / "fifo"
    token.write_text("another appraisal's")
    link.symlink_to("ear.jwt")
    os.mkfifo(fifo)
    for path in (link, fifo):
        options = ["--ear", str(path), "--ear-key", key, "--policy-id", "urn:x"]
        assert bench(*bench.node(GOOD, nonce=b"x" * 32), *options).exit_code == 1
    assert link.is_symlink()
    assert fifo.is_fifo()
    assert not token.exists()


def test_a_policy_that_is_no_uri_is_refused_before_anything_is_removed(bench: Bench) -> None:
    token = bench.folder / "ear.jwt"
    token.write_text("earlier")
    key = bench.write("key.pem", generate(Algorithm.ED25519).private_pem)
    result = bench(*bench.node(GOOD), "--ear", str(token), "--ear-key", key, "--policy-id", "not a uri")
    assert isinstance(result.exception, InvalidInputError)
    assert token.read_text() == "earlier"


def test_an_old_list_of_revocations_is_a_no(bench: Bench) -> None:
    listed = ["--revocations", bench.write("revoked", revocations(serial=4))]
    assert bench(*bench.node(GOOD), *listed, "--revocations-serial", "4").exit_code == 0
    assert problems(bench(*bench.node(GOOD), *listed, "--revocations-serial", "5")) == [
        "its serial number is 4, a list with 5 was seen before"
    ]
