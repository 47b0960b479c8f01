"""Break images at random and check each: there is a report or one sentence, and never a crash, a hang or a flood.

    python -m tests.endurance.broken_images [--count 10000] [--seed 1] [--only 4711] [--image DISK ...] [--keep DIR]

Each mutant is a small disk that is whole (tables, system partition, UKI, initrd, a root of one of several formats) with
a few changes where they hurt: headers, lengths, tables of inodes, names, configuration. Where a checksum would only
hide the change, it is right again. `bedplate check` runs on it in workers that have 1 GiB of address space each.
Mutant N of a seed is always the same; ``--only N`` makes it once more, ``--keep`` writes what failed into a directory.
``--image`` takes disks of one's own instead.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import functools
import json
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from builder.cli import main as cli
from tests.broken_images import Base, bases, disk_base, mutated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

MEMORY: Final = 1 << 30
PROCESSOR_SECONDS: Final = 20
# A report, or an input that is refused: everything else is a defect.
_ANSWERS: Final = {0: "yes", 1: "no", 2: "refused"}
_MAX_OUTPUT: Final = 64 << 20
_BLOCK: Final = 1 << 16
_ZEROS: Final = bytes(_BLOCK)
# Images of ext4 are large for what is in them, and slow to write.
_LARGE: Final = 8 << 20
_SMALL_WEIGHT: Final = 4
_CHUNK: Final = 20
_REPORTED: Final = 1000


@dataclass(frozen=True)
class Outcome:
    """How a check ended: ``answer`` is "yes", "no", "refused" or a word for a defect, ``text`` what it said."""

    answer: str
    text: str
    seconds: float
    memory: int  # the most that the process had in memory, in KiB

    @property
    def is_defect(self) -> bool:
        return self.answer not in _ANSWERS.values()


def checked(image: bytes | bytearray, folder: Path, *, processor_seconds: float = PROCESSOR_SECONDS) -> Outcome:
    """Check an image in this process, as the console script does, with standard output and error in files."""
    path, out, err = (folder / name for name in ("image.raw", "out", "err"))
    _write_sparse(path, image)
    started = time.monotonic()
    streams = sys.stdout, sys.stderr
    signal.signal(signal.SIGPROF, _stop)
    try:
        with out.open("w") as sys.stdout, err.open("w") as sys.stderr:
            signal.setitimer(signal.ITIMER_PROF, processor_seconds)
            status = cli.main(("check", str(path), "--format", "json"))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout, sys.stderr = streams
    seconds, error = time.monotonic() - started, err.read_text(errors="replace").strip()
    answer = "hung" if Hung.__name__ in error else _answer(status, out, error)
    return Outcome(answer, error, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


class Hung(BaseException):
    """A check took more of the processor's time than any image may."""


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Hung


def _write_sparse(path: Path, image: bytes | bytearray) -> None:
    """Write an image with holes where it has only zeros, which is most of a fresh file system."""
    view = memoryview(image)
    with path.open("wb") as file:
        for start in range(0, len(image), _BLOCK):
            block = view[start : start + _BLOCK]
            if block != _ZEROS[: len(block)]:
                file.seek(start)
                file.write(block)
        file.truncate(len(image))


def _answer(code: int, out: Path, error: str) -> str:
    if code not in _ANSWERS:
        return f"exit code {code}"
    if code == 2:
        is_sentence = error.startswith("error: ") and "Traceback" not in error and error.count("\n") <= 1
        return "refused" if is_sentence else "refused without a sentence"
    if out.stat().st_size > _MAX_OUTPUT:
        return "flood"
    crashed = [result["control"] for result in json.loads(out.read_text())["results"] if result["outcome"] == "crashed"]
    return f"crash of {', '.join(crashed)}" if crashed else _ANSWERS[code]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check mutants, print what came of them, and say by the exit code whether there was a defect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--image", type=Path, action="append")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    chosen: Sequence[Base] = [disk_base(path) for path in options.image] if options.image else bases()
    with tempfile.TemporaryDirectory() as name:
        for base in chosen:  # also imports all that the workers need
            whole = checked(base.image, Path(name))
            print(f"{base.name}: {len(base.image)} bytes, whole: {whole.answer} in {whole.seconds:.2f} s")
            if whole.answer not in {"yes", "no"}:
                print(whole.text)
                return 1
    numbers = range(options.count) if options.only is None else [options.only]
    started = time.monotonic()
    trial = functools.partial(_trial, chosen, options.seed, options.keep)
    # A worker that dies breaks the pool, and so the run.
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(options.jobs, context, _limit) as pool:
        trials = []
        for name, outcome, changes in pool.map(trial, numbers, chunksize=_CHUNK):
            trials.append((name, outcome))
            if outcome.is_defect:
                print(f"mutant {len(trials) - 1} of {name}: {outcome.answer}; {changes}\n{outcome.text}", flush=True)
            if len(trials) % _REPORTED == 0:
                print(f"{len(trials)} mutants, {time.monotonic() - started:.0f} s", flush=True)
    return _tell(trials, options.seed, time.monotonic() - started)


def _limit() -> None:
    """What holds in a worker."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _trial(chosen: Sequence[Base], seed: int, keep: Path | None, number: int) -> tuple[str, Outcome, str]:
    """Make and check one mutant; the name of its base, what came of it, and what was changed."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 -- the same mutant each time
    base = chance.choices(chosen, [1 if len(base.image) > _LARGE else _SMALL_WEIGHT for base in chosen])[0]
    mutant = mutated(base, chance)
    with tempfile.TemporaryDirectory() as name:
        outcome = checked(mutant.image, Path(name))
    if outcome.is_defect and keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{seed}-{number}.raw").write_bytes(mutant.image)
    return base.name, outcome, "; ".join(mutant.changes)


def _tell(trials: Sequence[tuple[str, Outcome]], seed: int, seconds: float) -> int:
    for (name, answer), count in sorted(
        collections.Counter((name, outcome.answer) for name, outcome in trials).items()
    ):
        print(f"{name:24} {answer:24} {count:6}")
    defects = sum(outcome.is_defect for _, outcome in trials)
    slowest = max(outcome.seconds for _, outcome in trials)
    largest = max(outcome.memory for _, outcome in trials) / 1024
    summary = f"seed {seed}: {len(trials)} mutants, {defects} defects, {seconds:.0f} s"
    print(f"{summary}; slowest {slowest:.2f} s, largest {largest:.0f} MiB")
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
