"""The whole image in a virtual machine: what it shows through its one port, and what a client makes of that.

One boot for all of it: a visitor comes when the machine is ready, and the machine stays until it has seen enough. What
a client makes of machines that run something else is in ``test_node_refusals``.
"""

from __future__ import annotations

import dataclasses
import json
import re
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from click.testing import CliRunner

from builder.cli.connect import command
from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.errors import NotVerifiedError
from builder.evidence.evidence_files import Grounds
from builder.evidence.node_document import verify_node_document
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.trust import TrustKind, trust_pinned_key
from builder.measurement.configuration import SecureBootMode
from builder.measurement.pcr import Bank
from builder.measurement.phases import Phase
from builder.release.keyring import RELEASE_PUBLIC_KEY, load_trusted
from builder.release.layout import STATEMENTS
from builder.release.reference import BOUND_PCRS
from builder.vm.boot import boot
from builder.vm.observation import Outcome
from builder.vm.qemu import Hardware
from builder.vm.quote import RawQuote, quote
from builder.vm.swtpm import setup_argv
from tests.attester import ec_key
from tests.front_door import (
    CANARY,
    Attempt,
    attempt,
    enrolled,
    first_evidence,
    free_port,
    reference_of,
    secure_boot_of,
    shown_key,
)
from tests.gateway import authority_config, endorsement_roots
from tests.impostors import ASKED, Fooled, Impostors
from tests.leaks import journalled, written_to_disks
from tests.releases import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.evidence.node_appraisal import AppraisedNode
    from builder.mkosi.toolchain import Toolchain
    from builder.release.trusted import TrustedReference
    from builder.vm.observation import ObservedBoot

pytestmark = [pytest.mark.boot, pytest.mark.integration]

# An emulated machine on two busy cores.
BOOT_SECONDS = 900.0
AUTHORITY = "authority"


@dataclass
class Visit:
    """What a visitor learned of a machine while it ran."""

    url: str
    release: Path
    reference: TrustedReference
    other: TrustedReference
    trust: Path
    folder: Path
    first: AppraisedNode | None = None
    endorsed: AppraisedNode | None = None
    pinned: AppraisedNode | None = None
    command: Any = None
    disk_writes: bytes = b""
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    refusals: dict[str, Exception] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    fooled: dict[str, Fooled] = field(default_factory=dict)
    web_status: int = 0

    def __call__(self) -> None:
        origin = parse_origin(self.url)
        first = self.first = first_evidence(self.url, self.reference)
        grounds = enrolled(first)
        pinned = self.pinned = connect(origin, [self.reference], grounds, AppraisalPolicy())
        (authority,) = self.folder.glob(f"*/{AUTHORITY}")
        by_certificate = Grounds(
            None, first_use=False, nitro_roots=(), at=grounds.at, endorsed=endorsement_roots(authority)
        )
        self.endorsed = connect(origin, [self.reference], by_certificate, AppraisalPolicy())
        ak = self.folder / "ak.tpmt"
        ak.write_bytes(shown_key(first).raw)
        options = ("--ak", ak, "--manifest", self.release / STATEMENTS, "--trust", self.trust, "--format", "json")
        self.command = CliRunner().invoke(command, [self.url, *map(str, options)])
        with client(pinned.accepted(), origin) as bound:
            for path in ("/healthz", "/metrics", "/", "/v1/models", "/props"):
                answer = bound.get(path)
                self.answers[path] = (answer.status_code, answer.text)
        self.attempts["the release"] = attempt(origin.port, self.reference, grounds)
        self.attempts["another release"] = attempt(origin.port, self.other, grounds)
        self._meet_impostors(Impostors(origin, self.reference, grounds, self.folder))
        other = dataclasses.replace(grounds, ak=trust_pinned_key(ec_key("other").public_key()))
        try:
            connect(origin, [self.reference], other, AppraisalPolicy())
        except NotVerifiedError as error:
            self.refusals["another machine's key"] = error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            httpx.get(self.url, verify=context, trust_env=False)
        except httpx.ConnectError as error:
            self.refusals["TLS 1.2"] = error
        self.disk_writes = written_to_disks(origin.port)

    def _meet_impostors(self, impostors: Impostors) -> None:
        self.fooled["replay"] = impostors.replay()
        self.fooled["replay, new nonce"] = impostors.replay_with_the_new_nonce()
        self.fooled["relay"] = impostors.relay()
        self.fooled["relay, his key"] = impostors.relay_with_his_key()
        self.fooled["web certificate"], self.web_status = impostors.certified()
        error, self.fooled["switched"] = impostors.switched()
        if error is not None:
            self.refusals["switched"] = error


@dataclass(frozen=True)
class Seen:
    """A boot, what a visitor saw of it, and the TPM's own quote at its end."""

    observed: ObservedBoot
    visit: Visit
    raw: RawQuote
    packets: bytes
    journalled: list[bytes]


def certified_setup(state: Path) -> tuple[str, ...]:
    """The command that makes a TPM as its maker does: with a certificate, here by swtpm's authority."""
    authority = state.parent / AUTHORITY
    authority.mkdir()
    *plain, _no_config = setup_argv(state)
    return (*plain, str(authority_config(state.parent, authority)), "--create-ek-cert")


@pytest.fixture(scope="module")
def seen(
    release: Path, other_release: Path, keyring: Path, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builder.vm.swtpm.setup_argv", certified_setup)
        yield see(release, other_release, keyring, toolchain, tmp_path_factory.mktemp("front-door"))


def see(release: Path, other_release: Path, keyring: Path, toolchain: Toolchain, folder: Path) -> Seen:
    trust = keyring / RELEASE_PUBLIC_KEY
    reference, other = (reference_of(directory, load_trusted(trust)) for directory in (release, other_release))
    port, memory, packets, quotes = free_port(), folder / "memory", folder / "packets.pcap", list[RawQuote]()
    visit = Visit(f"https://127.0.0.1:{port}", release, reference, other, trust, folder)
    observed = boot(
        toolchain,
        release / NAMES.disk,
        secure_boot=secure_boot_of(release),
        until=Phase.READY,
        timeout=BOOT_SECONDS,
        workdir=folder,
        hardware=Hardware(https_port=port, memory_file=memory, network_log=packets),
        visit=visit,
        on_stop=lambda transact: quotes.append(quote(transact, bytes(32), BOUND_PCRS)),
    )
    kept = journalled(memory, CANARY)
    memory.unlink()
    return Seen(observed, visit, quotes[0], packets.read_bytes(), kept)


def test_a_machine_that_serves_is_accepted(seen: Seen) -> None:
    assert seen.observed.outcome is Outcome.REACHED
    assert seen.visit.pinned is not None
    match = seen.visit.pinned.accepted().match
    assert (match.mode, match.phase) == (SecureBootMode.ENABLED, Phase.READY)
    assert set(match.compared) >= {4, 7, 9, 11, 12, 13}
    assert match.trust.kind is TrustKind.PINNED_KEY


def test_its_logs_explain_every_pcr_that_it_quotes(seen: Seen) -> None:
    assert seen.visit.pinned is not None
    document = seen.visit.pinned.verified.document
    assert document.event_log
    assert document.userspace_log
    assert seen.visit.pinned.result.refusals == ()
    assert {bank: set(values) for bank, values in seen.visit.pinned.verified.evidence.pcrs.items()} == {
        bank.value: set(BOUND_PCRS) for bank in Bank
    }


def test_the_attestation_key_is_the_one_that_this_tpm_always_makes(seen: Seen) -> None:
    assert seen.visit.first is not None
    assert shown_key(seen.visit.first).raw == seen.raw.public
    with pytest.raises(NotVerifiedError, match="not that of this node"):
        raise seen.visit.refusals["another machine's key"]


def test_its_tpm_shows_that_it_holds_the_key_that_nobody_enrolled(seen: Seen) -> None:
    assert seen.visit.endorsed is not None
    assert seen.visit.endorsed.accepted().match.trust.kind is TrustKind.ENDORSED


def test_the_command_says_yes(seen: Seen) -> None:
    assert seen.visit.command.exit_code == 0, seen.visit.command.exception
    report = json.loads(seen.visit.command.stdout)
    assert report["appraisal"]["accepted"] is True
    assert report["appraisal"]["release"]["name"] == "inference-node"


def test_only_the_interface_is_there_and_without_weights_nothing_is_served(seen: Seen) -> None:
    answers = seen.visit.answers
    assert {path: status for path, (status, _) in answers.items()} == {
        "/healthz": 503, "/metrics": 404, "/": 404, "/v1/models": 502, "/props": 404,
    }  # fmt: skip
    assert answers["/healthz"][1] == "not ready\n"
    refused = seen.visit.attempts["the release"].answer
    assert isinstance(refused, openai.APIStatusError)
    assert refused.status_code == 502
    assert CANARY.decode() not in refused.response.text


def test_nothing_below_tls_1_3_is_spoken(seen: Seen) -> None:
    assert re.search("alert|version", str(seen.visit.refusals["TLS 1.2"]), re.IGNORECASE)


def test_the_prompt_is_sent_to_the_release_and_no_byte_of_it_to_another(seen: Seen) -> None:
    attempts = seen.visit.attempts
    assert attempts["the release"].prompt_left
    assert not attempts["another release"].prompt_left
    assert re.search(r"PCR (4|11)\b", " ".join(attempts["another release"].problems))


@pytest.mark.parametrize(
    ("impostor", "problem"),
    [
        ("replay", "it answers another nonce"),
        ("replay, new nonce", "somebody is in between"),
        ("relay", "somebody is in between"),
        ("relay, his key", "not over this nonce and this TLS key"),
        ("web certificate", "somebody is in between"),
    ],
)
def test_whoever_shows_what_the_node_says_hears_a_nonce_and_nothing_else(
    seen: Seen, impostor: str, problem: str
) -> None:
    fooled = seen.visit.fooled[impostor]
    assert any(problem in text for text in fooled.attempt.problems)
    assert not fooled.attempt.prompt_left
    assert fooled.heard.startswith(ASKED)
    assert fooled.heard.count(b"\r\n\r\n") == 1
    assert fooled.heard.endswith(b"\r\n\r\n")
    assert CANARY not in fooled.heard


def test_the_certificate_of_the_one_in_between_is_good_for_the_web(seen: Seen) -> None:
    assert seen.visit.web_status == 200


def test_whoever_steps_in_after_a_yes_hears_nothing(seen: Seen) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in str(seen.visit.refusals["switched"])
    fooled = seen.visit.fooled["switched"]
    assert not fooled.attempt.prompt_left
    assert fooled.heard == b""


def test_an_old_document_does_not_answer_a_new_nonce_of_the_same_connection(seen: Seen) -> None:
    """Not even if the node itself, with its own TLS key, showed it."""
    assert seen.visit.pinned is not None
    assert seen.visit.first is not None
    document, challenge = seen.visit.pinned.verified.document, seen.visit.pinned.verified.challenge
    grounds = enrolled(seen.visit.first)
    assert verify_node_document(document, challenge, grounds)
    later = dataclasses.replace(challenge, nonce=bytes(32))
    with pytest.raises(NotVerifiedError, match="not that of this node and connection"):
        verify_node_document(document, later, grounds)
    with pytest.raises(NotVerifiedError) as refused:
        verify_node_document(dataclasses.replace(document, nonce=later.nonce), later, grounds)
    (problem,) = refused.value.problems
    assert problem.startswith("what was signed is not over this nonce and this TLS key")


def test_nothing_that_was_said_leaves_the_machine_but_in_tls_or_is_kept(seen: Seen) -> None:
    packets = seen.packets
    assert b"bedplate node" not in packets  # the certificate, which TLS 1.3 encrypts, too
    assert packets.count(b"\x17\x03\x03") > 10  # records of TLS
    for place in (packets, seen.visit.disk_writes, seen.visit.command.stdout.encode()):
        assert CANARY not in place
    assert seen.journalled == []
