"""A production node with a real model: attested, and asked through OpenAI's client over that connection (minutes)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import openai
import pytest

from builder.connect.clients import client
from builder.connect.node import connect
from builder.connect.origin import parse_origin
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
from builder.weights.identity import Model
from tests.front_door import enrolled, first_evidence, free_port, reference_of, secure_boot_of
from tests.models import packed_model
from tests.node_images import build_node

if TYPE_CHECKING:
    from pathlib import Path

    from builder.mkosi.toolchain import Toolchain

pytestmark = [pytest.mark.boot, pytest.mark.integration, pytest.mark.timeout(3600)]

BOOT_SECONDS = 1500.0
LOAD_SECONDS = 900.0
CANARY = "canary-93af"


def test_a_model_answers_over_the_connection_that_was_attested(
    toolchain: Toolchain, keyring: Path, keys: Keyring, tmp_path: Path
) -> None:
    weights = packed_model(tmp_path)
    built = build_node(tmp_path / "served", weights)
    release = sign_build(built.directory, keys, Silent(), output=tmp_path / "release/1.0.0").directory
    reference = reference_of(release, load_trusted(keyring / RELEASE_PUBLIC_KEY))
    assert reference.model == Model.of(weights.identity)

    port = free_port()
    url, said = f"https://127.0.0.1:{port}", dict[str, Any]()

    def visit() -> None:
        grounds = enrolled(first_evidence(url, reference))
        accepted = connect(parse_origin(url), [reference], grounds, AppraisalPolicy()).accepted()
        said["mode"] = accepted.match.mode
        with client(accepted, parse_origin(url)) as bound:
            end = time.monotonic() + LOAD_SECONDS
            while bound.get("/healthz").text != "ready\n":
                assert time.monotonic() < end
                time.sleep(2)
            api = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=bound, max_retries=0)
            chat: Any = api.chat.completions.create
            question = {"model": "model", "max_tokens": 8, "messages": [{"role": "user", "content": f"{CANARY} Hello"}]}
            said["whole"] = chat(**question)
            # Nothing of the same prompt is left from the first time, and nobody can ask for it.
            said["again"] = chat(**question)
            with pytest.raises(openai.BadRequestError, match="cache_prompt"):
                chat(**question, extra_body={"cache_prompt": True})
            said["stream"] = list(chat(**question, stream=True, stream_options={"include_usage": True}))
            with pytest.raises(openai.APIStatusError) as refused:
                chat(**(question | {"messages": [{"role": "user", "content": {CANARY: 5}}]}))
            said["error"] = refused.value.response.text

    observed = boot(
        toolchain,
        release / Names(built.record.stem).disk,
        secure_boot=secure_boot_of(release),
        until=Phase.READY,
        timeout=BOOT_SECONDS,
        workdir=tmp_path,
        hardware=Hardware(memory=2048, https_port=port, extra_disks=(weights.disk,)),
        visit=visit,
    )
    assert (observed.outcome, said["mode"]) == (Outcome.REACHED, SecureBootMode.ENABLED)
    assert said["whole"].usage.completion_tokens > 0
    assert said["whole"].choices[0].message.content
    for usage in (said["whole"].usage, said["again"].usage, said["stream"][-1].usage):
        assert usage.prompt_tokens > 0
        assert usage.prompt_tokens_details is None or not usage.prompt_tokens_details.cached_tokens
    assert said["stream"][-1].usage.completion_tokens > 0
    assert CANARY not in said["error"]
