"""Kill ``make release`` at random moments and see that nothing half-made ever passes for whole.

    python tests/endurance/kill_release.py CLONE [--kills 10] [--seed 1]

CLONE is a clone of this repository that may be spoilt; its cache is CLONE/.cache/bedplate. Every third run starts with
an empty cache, the others without the build and the release. After each kill (SIGKILL to the process group, as an
impatient operator or the OOM killer does it) whatever carries a final name must be whole; then one more run must
succeed.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

STAGES_SECONDS = 140.0
FINAL_SECONDS = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    clone = arguments.clone.resolve()
    chance = random.Random(arguments.seed)  # noqa: S311 -- moments, not secrets
    environment = os.environ | {"BEDPLATE_CACHE": str(clone / ".cache/bedplate"), "BEDPLATE_PROGRESS": "plain"}
    for number in range(arguments.kills):
        if number % 3 == 0:
            shutil.rmtree(clone / ".cache", ignore_errors=True)
        shutil.rmtree(clone / "dist", ignore_errors=True)
        delay = chance.uniform(1, STAGES_SECONDS if number % 3 == 0 else STAGES_SECONDS * 0.7)
        stage = kill_after(clone, environment, delay)
        print(f"kill {number + 1}: after {delay:.0f} s, in {stage!r}", flush=True)
        check(clone, environment)
    result = subprocess.run(["make", "release"], cwd=clone, env=environment, timeout=FINAL_SECONDS, check=False)
    check(clone, environment)
    leftovers = [str(path) for path in clone.glob("dist/*/.partial-*")]
    print(f"final run: exit {result.returncode}, left unfinished: {leftovers or 'nothing'}")
    return 1 if result.returncode or leftovers else 0


def kill_after(clone: Path, environment: dict[str, str], delay: float) -> str:
    """Run ``make release`` for ``delay`` seconds, kill it and return the last line that it printed."""
    log = clone / "kill.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["make", "release"], cwd=clone, env=environment, stdout=sink, stderr=sink, start_new_session=True
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    # What the dead left running would write into the next run's directories; give it the time that a person takes.
    time.sleep(2)
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else ""


def check(clone: Path, environment: dict[str, str]) -> None:
    """Whatever carries a final name is whole; raises CalledProcessError otherwise."""
    bedplate = str(clone / ".venv/bin/bedplate")
    for release in clone.glob("dist/*/*"):
        if release.suffix == ".unsigned":
            code = "import sys; from pathlib import Path; from builder.release.unsigned import find_unsigned; "
            code += "find_unsigned(Path(sys.argv[1]))"
            subprocess.run([clone / ".venv/bin/python", "-c", code, release], env=environment, check=True)
        elif release.is_dir() and not release.name.startswith("."):
            command = [bedplate, "verify", release, "--trust", clone / "keys/local/release.pub"]
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    vault = clone / ".cache/bedplate/vault"
    if any(vault.glob("sha256/??/[!.]*")):
        subprocess.run([bedplate, "vault", "verify", "--vault", vault], env=environment, check=True, stdout=sys.stderr)
    for tree in (clone / ".cache/bedplate/toolchain").glob("[!.]*/tree"):
        subprocess.run(
            [bedplate, "doctor", "--toolchain", tree], env=environment, check=True, stdout=subprocess.DEVNULL
        )


if __name__ == "__main__":
    sys.exit(main())
