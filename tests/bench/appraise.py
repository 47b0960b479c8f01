"""How long 1000 manifests take to load, and one document against all of them: python -m tests.bench.appraise."""

from __future__ import annotations

import hashlib
import sys
import time

import msgspec

from builder.evidence.appraisal import appraise
from builder.evidence.policy import AppraisalPolicy
from builder.release.trusted import load_trusted_reference
from tests.bench.timing import machine
from tests.nodes import SIGNER, Node, reference, signed

RELEASES = 1000
RUNS = 5
LOAD_LIMIT_SECONDS = 1.0
APPRAISE_LIMIT_SECONDS = 0.05


def manifests() -> list[bytes]:
    """Signed statements of different releases; the node runs the last one."""
    stated = msgspec.json.encode(reference())
    own = reference().reference_values["enabled"].pcrs["4"].values["sha256"].encode()
    made = []
    for number in range(RELEASES - 1):
        other = hashlib.sha256(str(number).encode()).hexdigest().encode()
        changed = stated.replace(own, other).replace(b'"1.0.0"', b'"0.%d"' % number)
        made.append(signed(msgspec.json.decode(changed, type=type(reference())), finished=None))
    return [*made, signed(reference(), finished=None)]


def best(action: object) -> float:
    """The shortest of some runs: what else the machine does is not ours."""
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        action()  # type: ignore[operator]
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def main() -> int:
    """Print the figures; 0 if both keep their limits."""
    files = manifests()
    loading = best(lambda: [load_trusted_reference(data, [SIGNER.public_key]) for data in files])
    releases = [load_trusted_reference(data, [SIGNER.public_key]) for data in files]
    node = Node.of()
    evidence = node.evidence()
    log = node.verified_log(evidence)
    accepted = best(lambda: appraise(evidence, releases, AppraisalPolicy(), event_log=log).accepted())
    refused = best(lambda: appraise(evidence, releases[:-1], AppraisalPolicy(), event_log=log))
    size = sum(map(len, files)) // len(files)
    print(f"{machine()}; {RELEASES} manifests of {size} bytes\n")
    rows = {"load all": loading, "appraise, accepted": accepted, "appraise, refused and explained": refused}
    print("| | best | limit |\n|---|---:|---:|")
    for name, seconds in rows.items():
        limit = LOAD_LIMIT_SECONDS if name == "load all" else APPRAISE_LIMIT_SECONDS
        print(f"| {name} | {seconds * 1000:.1f} ms | {limit * 1000:.0f} ms |")
    kept = loading <= LOAD_LIMIT_SECONDS and max(accepted, refused) <= APPRAISE_LIMIT_SECONDS
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
