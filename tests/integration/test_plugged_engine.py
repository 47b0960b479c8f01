"""A production node with an engine that dies and hangs when it is told to, and strangers at its door (minutes).

Everything but the engine's program is as shipped, the sandbox of its unit included; the program takes the place of
``llama-server``. One boot for what a visitor may see, one with a bit at the end of the weights flipped, and one with
the weights of another model.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.connect.pinned import ssl_context
from builder.errors import BedplateError
from builder.evidence.evidence_files import Grounds
from builder.evidence.policy import AppraisalPolicy
from builder.measurement.configuration import SecureBootMode
from builder.measurement.phases import Phase
from builder.progress import Silent
from builder.release.keyring import RELEASE_PUBLIC_KEY, Keyring, load_trusted
from builder.release.layout import Names
from builder.release.sign import sign_build
from builder.vm.boot import boot
from builder.vm.observation import Outcome
from builder.vm.qemu import Hardware
from builder.weights.disk import DiskLayout
from builder.weights.hash_tree import BLOCK
from builder.weights.identity import Model
from builder.weights.pack import PackedWeights, pack
from tests.front_door import (
    CANARY,
    FIRST_USE,
    Attempt,
    ask,
    attempt,
    enrolled,
    first_evidence,
    free_port,
    reference_of,
    secure_boot_of,
)
from tests.leaks import STARTED, in_memory, journalled, written_to_disks
from tests.node_documents import identity
from tests.node_images import SERVICES, build_node

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from builder.evidence.node_appraisal import AcceptedNode
    from builder.mkosi.toolchain import Toolchain
    from builder.release.trusted import TrustedReference
    from tests.attester import Issued

pytestmark = [pytest.mark.boot, pytest.mark.integration, pytest.mark.timeout(3600)]

HERE = Path(__file__).parent
BOOT_SECONDS = 1500.0
# Of an emulated machine on busy cores; its own limits are beside them.
BACK_SECONDS = 120.0
ANSWER_SECONDS = 60.0
# WatchdogSec= of engine.service, the pause before it is started again, and as much as an answer may take.
HANG_SECONDS = 60.0 + 1.0 + ANSWER_SECONDS
# As long as the manager waits for a device.
DEVICE_SECONDS = 90.0
SLOW_CLIENTS = 200
# Of the gateway: for a header and for a body.
CUT_SECONDS = 10.0 + 30.0 + ANSWER_SECONDS
MODEL = bytes(range(256)) * (8 << 12)
SAY = CANARY.decode()
HOST = b"Host: n\r\n"
POST = b"POST /v1/x HTTP/1.1\r\n" + HOST


def posted(body: bytes) -> bytes:
    """A request as any client may send it, but for what is in it."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


STRANGE = {
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "TLS in TLS": b"\x16\x03\x01" + CANARY,
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "long header": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"X: " + CANARY * 10_000 + b"\r\n\r\n",
    "announced too large": POST + b"Content-Length: 99999999999\r\n\r\n" + CANARY,
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/" + CANARY,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\nGET /v1/models",
    "chunks": b"POST /v1/x HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"
    + CANARY
    + b"\r\n0\r\n\r\n",
    "chunks in disguise": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + CANARY,
    "blank before the colon": POST + b"Content-Length : 44\r\n\r\nGET /v1/models",
    "absolute target": b"GET http://engine/v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "dots": b"GET /v1/../health HTTP/1.1\r\n" + HOST + b"\r\n",
    "upgrade": b"GET /v1/models HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "only the prompt": CANARY * 5000,
    "too deep": posted(b'{"chat_template_kwargs":{"' + CANARY + b'":' + b"[" * 60_000 + b"]" * 60_000 + b"}}"),
    "a grammar": posted(b'{"prompt":"' + CANARY + b'","grammar":"root ::= ' + b"(" * 60_000 + b'"}'),
    "a schema that is too deep": posted(
        b'{"json_schema":{"' + CANARY + b'":' + b'{"items":' * 5000 + b"{}" + b"}" * 5000 + b"}}"
    ),
}


@dataclass
class Visit:
    """What a visitor learned of a machine while it ran; times in seconds."""

    url: str
    reference: TrustedReference
    other_weights: TrustedReference
    reader: Issued
    stranger: Issued
    folder: Path
    mode: SecureBootMode | None = None
    held_back: Attempt | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    told: dict[str, bytes] = field(default_factory=dict)
    disk_writes: bytes = b""

    def __call__(self) -> None:
        origin = parse_origin(self.url)
        grounds = enrolled(first_evidence(self.url, self.reference))
        self.held_back = attempt(origin.port, self.other_weights, grounds)
        node = connect(origin, [self.reference], grounds, AppraisalPolicy()).accepted()
        self.mode = node.match.mode
        with client(node, origin) as bound:
            self._engine_fails(bound)
            self._strangers(node, bound)
            self._engine_hangs(bound)
        self.answers["attested while it hangs"] = connect(origin, [self.reference], grounds, AppraisalPolicy())
        self._metrics(node)
        self.disk_writes = written_to_disks(origin.port)

    def _engine_fails(self, bound: httpx.Client) -> None:
        self._ready(bound)
        self.answers["mounts"] = ask(self.url, bound, "please tell the mounts").choices[0].message.content
        with self._timed("die"):
            self.answers["die"] = ask(self.url, bound, f"{SAY} please die")
        self._ready(bound)
        with self._timed("stop"), contextlib.suppress(httpx.RemoteProtocolError):
            body = {"messages": [{"role": "user", "content": f"{SAY} please stop in the middle"}], "stream": True}
            with bound.stream("POST", "/v1/chat/completions", json=body) as streamed:
                for piece in streamed.iter_raw():
                    self.told["half"] = self.told.get("half", b"") + piece
            self.answers["whole"] = True
        self._ready(bound)
        self.answers["quote"] = ask(self.url, bound, f"{SAY} please quote")

    def _strangers(self, node: AcceptedNode, bound: httpx.Client) -> None:
        for name, request in STRANGE.items():
            with self._timed(name), self._connection(node) as connection, contextlib.suppress(OSError):
                self.told[name] = b""
                connection.sendall(request)
                while piece := connection.recv(65536):
                    self.told[name] += piece
        with self._timed("slow clients"), contextlib.ExitStack() as stack:
            slow = [stack.enter_context(self._slow(node, number)) for number in range(SLOW_CLIENTS)]
            with self._timed("among slow clients"):
                self.answers["among slow clients"] = ask(self.url, bound, SAY)
            for connection in slow:
                with contextlib.suppress(OSError):
                    while connection.recv(65536):
                        pass
        with self._timed("flood"), concurrent.futures.ThreadPoolExecutor(8) as pool:
            flood = [pool.submit(self._burst, node) for _ in range(16)]
            self.answers["flood"] = set().union(*(burst.result() for burst in flood))
        time.sleep(5)  # requests are allowed again
        self._ready(bound)

    def _engine_hangs(self, bound: httpx.Client) -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as pool, self._timed("hang"):
            asked = pool.submit(ask, self.url, bound, f"{SAY} please hang")
            time.sleep(5)
            with self._timed("health while it hangs"):
                self.answers["health while it hangs"] = bound.get("/healthz").text
            self.answers["hang"] = asked.result()
        self._ready(bound)

    def _metrics(self, node: AcceptedNode) -> None:
        for name, who in (("reader", self.reader), ("stranger", self.stranger), ("nobody", None)):
            context = ssl_context(node)
            if who is not None:
                file = self.folder / f"{name}.pem"
                private = who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                file.write_bytes(private + who.certificate.public_bytes(Encoding.PEM))
                context.load_cert_chain(file)
            try:
                self.answers[name] = httpx.get(f"{self.url}/metrics", verify=context, trust_env=False, timeout=60)
            except httpx.TransportError as error:
                self.answers[name] = error

    def _ready(self, bound: httpx.Client) -> None:
        """Wait until the engine serves, and note which start of it that is."""
        begin = time.monotonic()
        while bound.get("/healthz").text != "ready\n" or isinstance(found := ask(self.url, bound, SAY), Exception):
            assert time.monotonic() - begin < BACK_SECONDS, "the engine does not come back"
            time.sleep(1)
        self.starts.append(found.choices[0].message.content)

    def _burst(self, node: AcceptedNode) -> set[int]:
        statuses = set()
        with httpx.Client(base_url=self.url, verify=ssl_context(node), trust_env=False, timeout=60) as stranger:
            for number in range(30):
                with contextlib.suppress(httpx.TransportError):
                    statuses.add(stranger.get(("/v1/models", "/healthz", "/metrics")[number % 3]).status_code)
        return statuses

    def _slow(self, node: AcceptedNode, number: int) -> contextlib.AbstractContextManager[socket.socket]:
        """A client that sends the beginning of something, and then nothing."""
        if number % 2:  # does not even shake hands
            return socket.create_connection(("127.0.0.1", parse_origin(self.url).port), timeout=CUT_SECONDS)
        connection = self._connection(node)
        body = b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n{"
        connection.sendall(body if number % 4 else b"GET /v1/mod")
        return connection

    def _connection(self, node: AcceptedNode) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", parse_origin(self.url).port), timeout=CUT_SECONDS)
        return ssl_context(node).wrap_socket(raw)

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.times[name] = time.monotonic() - begin


@dataclass(frozen=True)
class Plugged:
    """A release of a node with the engine, and its weights."""

    release: Path
    disk: Path
    weights: PackedWeights
    reference: TrustedReference
    reader: Issued
    other_weights: TrustedReference
    other_disk: Path


@pytest.fixture(scope="module")
def plugged(toolchain: Toolchain, keyring: Path, keys: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Plugged:
    assert toolchain
    folder = tmp_path_factory.mktemp("plugged")
    trust = load_trusted(keyring / RELEASE_PUBLIC_KEY)
    authority = identity("authority of metrics", authority=True)
    made = {}
    for name, model in {"good": MODEL, "other": bytes((MODEL[0] ^ 1,)) + MODEL[1:]}.items():
        place = folder / name
        place.mkdir()
        (place / "model.gguf").write_bytes(model)
        weights = pack(place / "model.gguf", "plug", "CC0-1.0", place, Silent())
        (place / "clients.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
        clients = os.path.relpath(place / "clients.pem", place / "node/images/node")
        edits = (
            ("programs: [", "programs: [plug-engine, "),
            (SERVICES, f"node:\n  metrics_clients: {clients}\n{SERVICES}"),
        )
        built = build_node(place / "node", weights, edits, files=HERE / "plug-node", programs=[HERE / "plug-engine"])
        release = sign_build(built.directory, keys, Silent(), output=place / "release/1.0.0").directory
        made[name] = (release, release / Names(built.record.stem).disk, weights, reference_of(release, trust))
    *_, other_weights, other = made["other"]
    return Plugged(*made["good"], identity("reader", authority), other, other_weights.disk)


@dataclass(frozen=True)
class Seen:
    """The first boot."""

    visit: Visit
    outcome: Outcome
    packets: bytes
    kept: list[bytes]
    memory: dict[bytes, bool]


ENGINE_STARTED = STARTED + b"engine.service"
LISTENING = b"MESSAGE=Listening on gateway.socket"


def corrupted(weights: PackedWeights) -> bytes:
    """What dm-verity says of the block; the words without the number are in every kernel."""
    return f"data block {late_block(weights)} is corrupted".encode()


def late_block(weights: PackedWeights) -> int:
    """Near the end of the model, where neither the engine reads when it starts nor udev when it probes the device."""
    return weights.identity.verity.data_blocks - 256


@pytest.fixture(scope="module")
def seen(plugged: Plugged, toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("visit")
    port, memory, packets = free_port(), folder / "memory", folder / "packets.pcap"
    visit = Visit(
        f"https://127.0.0.1:{port}",
        plugged.reference,
        plugged.other_weights,
        plugged.reader,
        identity("stranger", identity("another authority", authority=True)),
        folder,
    )
    observed = boot(
        toolchain,
        plugged.disk,
        secure_boot=secure_boot_of(plugged.release),
        until=Phase.READY,
        timeout=BOOT_SECONDS,
        workdir=folder,
        hardware=Hardware(
            https_port=port, memory_file=memory, network_log=packets, extra_disks=(plugged.weights.disk,)
        ),
        visit=visit,
    )
    found = Seen(
        visit,
        observed.outcome,
        packets.read_bytes(),
        journalled(memory, CANARY),
        in_memory(memory, ENGINE_STARTED, LISTENING, corrupted(plugged.weights)),
    )
    memory.unlink()
    return found


def test_a_node_with_another_engine_is_attested_and_answers(seen: Seen) -> None:
    assert seen.outcome is Outcome.REACHED
    assert seen.visit.mode is SecureBootMode.ENABLED
    assert seen.visit.starts[0]


def test_the_release_names_the_model_and_the_engine_finds_it_below_its_root_hash(seen: Seen, plugged: Plugged) -> None:
    assert plugged.reference.model == Model.of(plugged.weights.identity)
    (mount,) = [line for line in seen.visit.answers["mounts"].splitlines() if line.split()[1] == "/weights"]
    assert mount.startswith("/dev/mapper/weights /weights erofs ro,nosuid,nodev,noexec")


def test_a_release_with_one_bit_of_the_weights_changed_is_another_release(seen: Seen, plugged: Plugged) -> None:
    tried = seen.visit.held_back
    assert tried is not None
    assert not tried.prompt_left
    assert any(text.startswith("PCR 4") for text in tried.problems)
    model, other = plugged.reference.model, plugged.other_weights.model
    assert model is not None
    assert other is not None
    assert model.root_hash != other.root_hash


def test_an_engine_that_is_killed_costs_one_answer_and_comes_back(seen: Seen) -> None:
    failed = seen.visit.answers["die"]
    assert isinstance(failed, openai.InternalServerError)
    assert failed.status_code == 502
    assert seen.visit.times["die"] < ANSWER_SECONDS
    assert seen.visit.starts[0] != seen.visit.starts[1]


def test_half_an_answer_is_not_taken_for_a_whole_one(seen: Seen) -> None:
    assert b"half" in seen.visit.told["half"]
    assert "whole" not in seen.visit.answers
    assert seen.visit.times["stop"] < ANSWER_SECONDS
    assert seen.visit.starts[1] != seen.visit.starts[2]


def test_an_engine_that_hangs_is_killed_by_the_watchdog_and_comes_back(seen: Seen) -> None:
    failed = seen.visit.answers["hang"]
    assert isinstance(failed, openai.InternalServerError)
    assert failed.status_code == 502
    assert seen.visit.times["hang"] < HANG_SECONDS
    assert seen.visit.answers["health while it hangs"] == "not ready\n"
    assert seen.visit.times["health while it hangs"] < ANSWER_SECONDS
    assert seen.visit.starts[-1] != seen.visit.starts[-2]
    assert seen.visit.answers["attested while it hangs"].accepted()


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_request_is_refused_in_bounded_time_and_not_passed_on(seen: Seen, name: str) -> None:
    answers = seen.visit.told[name].split(b"HTTP/1.1 ")[1:]
    assert len(answers) <= 1
    assert all(answer[:1] == b"4" or answer[:3] in {b"501", b"505"} for answer in answers), answers
    assert seen.visit.times[name] < CUT_SECONDS


def test_two_hundred_slow_clients_keep_nobody_waiting_and_are_cut_off(seen: Seen) -> None:
    assert seen.visit.answers["among slow clients"].choices[0].message.content == seen.visit.starts[2]
    assert seen.visit.times["among slow clients"] < ANSWER_SECONDS
    assert seen.visit.times["slow clients"] < 2 * CUT_SECONDS


def test_a_flood_is_answered_and_the_engine_is_the_one_that_it_was(seen: Seen) -> None:
    assert seen.visit.answers["flood"] <= {200, 404, 429}
    assert seen.visit.answers["flood"] >= {404}
    assert seen.visit.starts[2] == seen.visit.starts[3]


def test_counts_are_for_clients_with_a_certificate_of_the_configured_authority(seen: Seen) -> None:
    counts = seen.visit.answers["reader"]
    assert counts.status_code == 200
    lines = dict(line.rsplit(" ", 1) for line in counts.text.splitlines() if not line.startswith("#"))
    assert float(lines['bedplate_tokens_total{kind="completion"}']) >= 2 * len(seen.visit.starts)
    assert float(lines["bedplate_answers_aborted_total"]) >= 1
    assert float(lines["bedplate_panics_total"]) == 0
    assert SAY not in counts.text
    assert seen.visit.answers["nobody"].status_code == 404
    assert isinstance(seen.visit.answers["stranger"], httpx.TransportError)


def test_nothing_that_was_said_is_in_an_error_the_journal_a_dump_the_disks_or_on_the_wire(seen: Seen) -> None:
    for name in ("die", "hang", "quote"):
        assert SAY not in seen.visit.answers[name].response.text
    for place in (*seen.visit.told.values(), seen.visit.disk_writes, seen.packets):
        assert CANARY not in place
    assert seen.kept == []


def test_a_machine_whose_weights_are_right_says_that_its_engine_is_ready(seen: Seen, plugged: Plugged) -> None:
    assert seen.memory == {ENGINE_STARTED: True, LISTENING: True, corrupted(plugged.weights): False}


def test_one_flipped_bit_at_the_end_of_the_weights_stops_the_machine_before_it_can_be_reached(
    plugged: Plugged, toolchain: Toolchain, tmp_path: Path
) -> None:
    """What its kernel says last is why; it never listened, so that no client could be told yes."""
    layout = DiskLayout.of(plugged.weights.identity.verity.data_blocks)
    spoiled = Path(shutil.copy(plugged.weights.disk, tmp_path / "spoiled.raw"))
    with spoiled.open("r+b") as file:
        file.seek(layout.data_offset + late_block(plugged.weights) * BLOCK)
        block = bytearray(file.read(BLOCK))
        assert bytes(block) in MODEL
        block[0] ^= 1
        file.seek(-BLOCK, os.SEEK_CUR)
        file.write(block)
    port, memory, found = free_port(), tmp_path / "memory", corrupted(plugged.weights)
    observed = boot(
        toolchain,
        plugged.disk,
        secure_boot=secure_boot_of(plugged.release),
        until=None,
        timeout=BOOT_SECONDS,
        workdir=tmp_path,
        hardware=Hardware(https_port=port, memory_file=memory, extra_disks=(spoiled,)),
    )
    assert observed.outcome is Outcome.RESET
    assert in_memory(memory, ENGINE_STARTED, LISTENING, found) == {
        ENGINE_STARTED: False,
        LISTENING: False,
        found: True,
    }
    memory.unlink()


def test_a_machine_does_not_take_the_weights_of_another_model(
    plugged: Plugged, toolchain: Toolchain, tmp_path: Path
) -> None:
    """Nothing has the UUIDs that it looks for. It boots, and nobody can reach it."""
    port, memory, found = free_port(), tmp_path / "memory", corrupted(plugged.weights)

    def visit() -> None:
        grounds = Grounds(None, first_use=True, nitro_roots=(), at=datetime.now(UTC))
        end = time.monotonic() + DEVICE_SECONDS
        while time.monotonic() < end:
            with pytest.raises(BedplateError):
                connect(parse_origin(f"https://127.0.0.1:{port}"), [plugged.reference], grounds, FIRST_USE)
            time.sleep(2)

    observed = boot(
        toolchain,
        plugged.disk,
        secure_boot=secure_boot_of(plugged.release),
        until=Phase.READY,
        timeout=BOOT_SECONDS,
        workdir=tmp_path,
        hardware=Hardware(https_port=port, memory_file=memory, extra_disks=(plugged.other_disk,)),
        visit=visit,
    )
    assert observed.outcome is Outcome.REACHED
    assert in_memory(memory, ENGINE_STARTED, LISTENING, found) == {
        ENGINE_STARTED: False,
        LISTENING: False,
        found: False,
    }
    memory.unlink()
