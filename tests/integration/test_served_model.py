"""The headline path as a user walks it, with a real model: weights, node, ``bedplate boot --serve``, connect, chat.

The node is attested and asked through OpenAI's client over that connection. One boot (minutes).
"""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import openai
import pytest

from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
from builder.evidence.evidence_files import Grounds, read_attestation_key
from builder.evidence.policy import AppraisalPolicy
from builder.evidence.trust import trust_pinned_key
from builder.measurement.configuration import SecureBootMode
from builder.progress import Silent
from builder.release.keyring import RELEASE_PUBLIC_KEY, Keyring, load_trusted
from builder.release.sign import sign_build
from builder.weights.identity import Model
from tests.front_door import free_port, reference_of
from tests.long_running import running
from tests.models import packed_model
from tests.node_images import build_node
from tests.releases import bedplate

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.boot, pytest.mark.integration, pytest.mark.timeout(3600)]

BOOT_SECONDS = 1500.0
LOAD_SECONDS = 900.0
STOP_SECONDS = 60.0
CANARY = "canary-93af"


def test_a_model_answers_over_the_connection_that_was_attested(
    toolchain: Toolchain, keyring: Path, keys: Keyring, tmp_path: Path
) -> None:
    weights = packed_model(tmp_path)
    built = build_node(tmp_path / "served", weights)
    release = sign_build(built.directory, keys, Silent(), output=tmp_path / "release/1.0.0").directory
    reference = reference_of(release, load_trusted(keyring / RELEASE_PUBLIC_KEY))
    assert reference.model == Model.of(weights.identity)

    port, ak, trust = free_port(), tmp_path / "node.tpmt", keyring / RELEASE_PUBLIC_KEY
    url, said = f"https://127.0.0.1:{port}", dict[str, Any]()
    serve = ("--serve", str(port), "--weights", weights.disk, "--save-ak", ak, "--timeout", str(BOOT_SECONDS))
    with running("boot", release, "--trust", trust, *serve, "--format", "json", folder=tmp_path) as machine:
        machine.wait_for(f"serves at {url}", BOOT_SECONDS)
        shown = bedplate("connect", url, "--ak", ak, "--release", release, "--trust", trust)
        key = trust_pinned_key(read_attestation_key(ak.read_bytes()))
        grounds = Grounds(key, first_use=False, nitro_roots=(), at=datetime.now(UTC))
        accepted = connect(parse_origin(url), [reference], grounds, AppraisalPolicy()).accepted()
        with client(accepted, parse_origin(url)) as bound:
            end = time.monotonic() + LOAD_SECONDS
            while bound.get("/healthz").text != "ready\n":
                assert time.monotonic() < end
                time.sleep(2)
            api = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=bound, max_retries=0)
            chat: Any = api.chat.completions.create
            question = {"model": "model", "max_tokens": 4, "messages": [{"role": "user", "content": f"{CANARY} Hello"}]}
            said["whole"] = chat(**question)
            # Nothing of the same prompt is left from the first time, and nobody can ask for it.
            said["again"] = chat(**question)
            with pytest.raises(openai.BadRequestError, match="cache_prompt"):
                chat(**question, extra_body={"cache_prompt": True})
            said["stream"] = list(chat(**question, stream=True, stream_options={"include_usage": True}))
            with pytest.raises(openai.APIStatusError) as refused:
                chat(**(question | {"messages": [{"role": "user", "content": {CANARY: 5}}]}))
            said["error"] = refused.value.response.text
            vectors = {"model": "model", "input": "a", "query": "a", "documents": ["a"]}
            said["vectors"] = [bound.post(f"/v1/{what}", json=vectors).status_code for what in ("embeddings", "rerank")]
        status = machine.stop(signal.SIGINT, STOP_SECONDS)

    assert (status, machine.left) == (0, []), machine.stderr
    proof = json.loads(machine.stdout)
    assert (proof["proved"], proof["secure_boot"], proof["outcome"]) == (True, "enabled", "reached")
    assert proof["serves"] == url
    assert f"  bedplate connect {url} --ak {ak} --release {release} --trust {trust}\n" in machine.stderr
    assert shown.status == 0, shown.stderr
    assert "by pinned-key" in " ".join(shown.stdout.split())
    assert f"{weights.identity.name}, {weights.identity.licence}, {weights.identity.sha256}" in shown.stdout
    assert accepted.match.mode is SecureBootMode.ENABLED
    assert said["whole"].usage.completion_tokens > 0
    assert said["whole"].choices[0].message.content
    for usage in (said["whole"].usage, said["again"].usage, said["stream"][-1].usage):
        assert usage.prompt_tokens > 0
        assert usage.prompt_tokens_details is None or not usage.prompt_tokens_details.cached_tokens
    assert said["stream"][-1].usage.completion_tokens > 0
    assert CANARY not in said["error"]
    # The engine that comes along makes no vectors, as the guide says.
    assert said["vectors"] == [501, 501]
