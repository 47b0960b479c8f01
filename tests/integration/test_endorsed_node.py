"""A key that nobody enrolled, trusted for its TPM's certificate: the real gateway, and TPMs of swtpm's authority."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from builder.cli.connect import command
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.errors import NotVerifiedError
from builder.evidence.endorsement import EndorsementRoots
from builder.evidence.evidence_files import Grounds
from builder.evidence.node_document import Challenge
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.trust import TrustKind
from tests.gateway import CERTIFICATES, build, endorsement_roots
from tests.integration.test_gateway_node import MACHINE, Bench, machine
from tests.node_documents import TlsNode, fields, http_answer, identity, nonce_of, tls_key
from tests.node_documents import grounds as pinned
from tests.nodes import SIGNER, reference, release, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from builder.evidence.node_appraisal import AcceptedNode
    from builder.mkosi.toolchain import Toolchain

pytestmark = pytest.mark.integration

ACTIVATE = "/.well-known/attestation/activate"


@pytest.fixture(scope="module")
def program(go_tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(go_tools, tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of swtpm's authority, which makes itself with the first TPM."""
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def bench(
    program: Path, authority: Path, go_tools: Toolchain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """A node whose TPM the authority certified."""
    with machine(program, go_tools, tmp_path_factory.mktemp("node"), authority) as running:
        yield running


def grounds(authority: Path) -> Grounds:
    endorsed = endorsement_roots(authority)
    return Grounds(None, first_use=False, nitro_roots=(), at=datetime.now(UTC), endorsed=endorsed)


def accepted(url: str, trusted: Grounds) -> AcceptedNode:
    return connect(parse_origin(url), [release()], trusted, AppraisalPolicy()).accepted()


def test_a_node_whose_tpm_is_certified_is_accepted_without_enrolment(bench: Bench, authority: Path) -> None:
    trust = accepted(bench.url, grounds(authority)).match.trust
    assert trust.kind is TrustKind.ENDORSED
    assert "CN=swtpm-localca-rootca" in trust.detail


def test_the_command_says_who_vouches(bench: Bench, authority: Path, tmp_path: Path) -> None:
    (tmp_path / "release.intoto.jsonl").write_bytes(signed(reference()))
    (tmp_path / "release.pub").write_bytes(SIGNER.public_key.pem)
    own = ("--release", tmp_path / "release.intoto.jsonl", "--trust", tmp_path / "release.pub")
    certificates = ("--ek-root", authority / CERTIFICATES[0], "--ek-intermediate", authority / CERTIFICATES[1])
    done = CliRunner().invoke(command, [bench.url, *map(str, (*own, *certificates))])
    assert done.exit_code == 0, done.exception
    assert "evidence by  endorsed, in the TPM of certificate SHA-256" in done.stdout
    for more in ("--trust-on-first-use", "--ek-intermediate"):
        words = own if more == "--ek-intermediate" else (*own, *certificates)
        value = (authority / CERTIFICATES[1],) if more == "--ek-intermediate" else ()
        assert CliRunner().invoke(command, [bench.url, *map(str, (*words, more, *value))]).exit_code == 2


def test_a_tpm_of_another_authority_is_refused(bench: Bench) -> None:
    other = identity("other maker", authority=True).certificate
    trusted = Grounds(None, first_use=False, nitro_roots=(), at=datetime.now(UTC), endorsed=EndorsementRoots([other]))
    with pytest.raises(NotVerifiedError, match="does not lead to a trusted root"):
        accepted(bench.url, trusted)


def test_a_tpm_without_a_certificate_is_refused(
    bench: Bench, authority: Path, program: Path, go_tools: Toolchain, tmp_path: Path
) -> None:
    assert bench
    with machine(program, go_tools, tmp_path) as plain, pytest.raises(NotVerifiedError) as refused:
        accepted(plain.url, grounds(authority))
    assert refused.value.problems == ("it shows no certificate of a TPM",)


@contextlib.contextmanager
def impostor(bench: Bench, folder: Path, activate: Callable[[bytes], bytes]) -> Iterator[TlsNode]:
    """Has a key made of software, and shows the certificate of a node's TPM with it; ``activate`` makes his answer."""
    own = identity("node")
    with bench.unverified() as stranger:
        document = stranger.get(f"/.well-known/attestation?nonce={'5a' * 32}").json()
    certificate = document["tpm"]["endorsement_certificate"]
    assert certificate

    def respond(request: bytes) -> bytes:
        if request.startswith(f"POST {ACTIVATE} ".encode()):
            return activate(request.partition(b"\r\n\r\n")[2])
        told: dict[str, Any] = fields(MACHINE, Challenge(nonce_of(request), tls_key(own)))
        told["tpm"]["endorsement_certificate"] = certificate
        return http_answer(httpx.Response(200, json=told).content)

    with TlsNode(own, respond, folder).running() as server:
        yield server


def test_a_key_of_software_is_not_in_the_tpm_whose_certificate_is_shown_with_it(
    bench: Bench, authority: Path, tmp_path: Path
) -> None:
    """He cannot answer; the TPM that could has no such key; and no answer that he makes up is right."""
    statuses = []

    def relayed(credential: bytes) -> bytes:
        with bench.unverified() as stranger:
            answer = stranger.post(ACTIVATE, content=credential)
        statuses.append(answer.status_code)
        return http_answer(answer.content, f"{answer.status_code} Whatever")

    answers = {
        "status 404": lambda _credential: http_answer(b"", "404 Not Found"),
        "status 400": relayed,
        "its answer is wrong": lambda _credential: http_answer(bytes(32), content_type="application/octet-stream"),
        "longer than 64 bytes": lambda _credential: http_answer(bytes(65)),
    }
    for problem, activate in answers.items():
        with impostor(bench, tmp_path, activate) as server, pytest.raises(NotVerifiedError) as refused:
            accepted(server.url, grounds(authority))
        assert problem in refused.value.problems[0]
    assert statuses == [400]


def test_without_the_dialogue_he_would_have_been_believed(bench: Bench, tmp_path: Path) -> None:
    """So it is the dialogue that refuses him, and nothing else that he shows."""
    with impostor(bench, tmp_path, lambda _credential: b"") as server:
        assert accepted(server.url, pinned())


def test_a_credential_of_no_sense_is_refused_and_the_node_goes_on(bench: Bench, authority: Path) -> None:
    with bench.unverified() as stranger:
        for body, status in ((b"x", 400), (b"\0\x01a\0\x01b", 400), (bytes(1025), 413), (b"\0\1a\0\1bc", 400)):
            assert stranger.post(ACTIVATE, content=body).status_code == status
    assert accepted(bench.url, grounds(authority))
