"""Rebuild a release in worlds that vary, and say which of them change a bit of it.

    python -m tests.variation RELEASE --trust KEY --vault DIR [--place DIR] [--each] [--cold] [--axis NAME ...]
                              [--python PROGRAM]
    python -m tests.variation --planted images/inference-node --vault DIR

The first form rebuilds the release with all axes at once, then again in the same cache; with ``--each`` also along one
axis after the other, with ``--cold`` also with an empty cache, for which the toolchain is made of the vault. With
``--python`` all of that runs on another Python, for which an environment is made. A world takes two minutes or more;
one in which the release did not come out is kept. The second form builds a release whose script writes the time into a
file: the rebuild must name file and cause.
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from builder.definition.lock import load_lock, read_lock
from builder.definition.mirror import find_mirror
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import Cache, find_cache
from builder.progress import Silent
from builder.vault.store import Vault
from builder.vault.supply import Supply
from tests.conftest import ORACLES
from tests.variation import clock, world
from tests.variation.axes import AXES, Axis

PLANTED = '\ndate +%s >"$BUILDROOT/usr/lib/planted"\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, nargs="?")
    parser.add_argument("--trust", type=Path)
    parser.add_argument("--vault", type=Path, required=True)
    parser.add_argument(
        "--place",
        type=Path,
        help="directory for the worlds, which everybody may enter for a user namespace  [default: in the cache]",
    )
    parser.add_argument("--axis", action="append", choices=[axis.name for axis in AXES], help="only these axes")
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--python", type=Path, help="another Python to run bedplate and mkosi")
    parser.add_argument("--planted", type=Path, metavar="IMAGE")
    options = parser.parse_args()
    cache = find_cache(os.environ)
    place = options.place or cache.directory / "tests"
    place.mkdir(parents=True, exist_ok=True)
    worlds = Path(tempfile.mkdtemp(dir=place, prefix="variation-"))
    worlds.chmod(0o755)
    if options.planted is not None:
        status = planted(options.planted.resolve(), options.vault.resolve(), worlds)
    elif options.release is None or options.trust is None:
        parser.error("a release and the key that it is signed by are needed")
    else:
        status = vary(options, cache, worlds)
    if status == 0:
        shutil.rmtree(worlds)
    return status


def vary(options: argparse.Namespace, cache: Cache, place: Path) -> int:
    """The number of worlds in which the release did not come out."""
    release, key, vault = (path.resolve() for path in (options.release, options.trust, options.vault))
    supply = Supply(read_lock(release / "image.lock"), Vault(vault), ())
    toolchain = ensure_toolchain(cache, None, Silent(), supply=supply)
    libfaketime = ensure_toolchain(cache, find_mirror(None, os.environ, None), Silent(), ORACLES).tree / clock.LIBRARY
    python = Path(sys.executable) if options.python is None else environment(options.python, place / "python")
    chosen = [axis for axis in AXES if not options.axis or axis.name in options.axis]
    axes = []
    for axis in chosen:
        lack = axis.lacks(libfaketime if libfaketime.exists() else None)
        if axis.name == "user-namespace" and (closed := _closed(python.resolve()) or _closed(place)):
            lack = f"only root may enter {closed}: name another --place or --python"
        print(f"left out: {axis.name}, {lack}" if lack else f"axis {axis.name}: {axis.says}", flush=True)
        axes += [] if lack else [axis]
    # In a namespace nothing of the others works that root must do outside of it.
    together = [axis for axis in axes if axis.name != "user-namespace"]
    worlds: list[tuple[str, list[Axis], bool]] = [("all at once", together, False)]
    if options.each:
        worlds += [(axis.name, [axis], False) for axis in axes]
    if options.cold:
        worlds.append(("cold cache", together, True))
    failures = 0
    for name, applied, cold in worlds:
        setting = world.make(place / name.replace(" ", "-"), None if cold else toolchain)
        setting = replace(setting, python=python)
        for run in ("first", "again, in the warm cache") if name == "all at once" else ("first",):
            applied_now = applied if run == "first" else [axis for axis in applied if axis.name != "clock"]
            failed = _one(f"{name}, {run}", setting, applied_now, libfaketime, (release, key, vault))
            failures += failed
        if not failed:
            shutil.rmtree(setting.cache.parent)
    print(f"{failures} worlds changed the image" if failures else "no world changed a bit", flush=True)
    return min(failures, 1)


def _closed(path: Path) -> Path | None:
    """The first directory on the way to ``path`` that others may not enter."""
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH), None)


def environment(python: Path, place: Path) -> Path:
    """A Python that has what bedplate needs, made of ``python``."""
    subprocess.run([python, "-m", "venv", place], check=True)
    subprocess.run([place / "bin/pip", "install", "--quiet", world.ROOT], check=True)
    return place / "bin/python"


def _one(
    name: str, setting: world.Setting, axes: list[Axis], libfaketime: Path, inputs: tuple[Path, Path, Path]
) -> int:
    started = time.monotonic()
    result = world.rebuild(setting, axes, libfaketime, *inputs)
    told = result.stdout.splitlines()[0] if result.stdout else f"no rebuild, exit code {result.status}"
    print(f"{name}: {told} ({time.monotonic() - started:.0f} s)", flush=True)
    if result.status:
        print("".join(f"  {line}\n" for line in (*result.stdout.splitlines()[1:20], *result.stderr.splitlines()[-20:])))
    return int(result.status != 0)


def planted(image: Path, vault: Path, place: Path) -> int:
    """Whether a script that writes the time into a file is caught, and named with file and cause: 0 if it is."""
    shutil.copytree(image.parent, place / "images", symlinks=True)
    script = place / "images/base/mkosi.finalize.j2"
    script.write_text(script.read_text() + PLANTED)
    name = load_lock(image).image
    keys = place / "keys"

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from builder.cli.main import entry_point; entry_point()", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    build = run("build", place / "images" / image.name, "-o", place / "dist", "--vault", vault)
    if build.returncode:
        sys.exit(build.stderr)
    run("keys", "new", keys)
    signed = run("sign", build.stdout.strip(), "--keys", keys)
    if signed.returncode:
        sys.exit(signed.stderr)
    rebuilt = run("rebuild", signed.stdout.strip(), "--trust", keys / "release.pub", "--vault", vault, "--offline")
    print(f"{name} with a planted time:\n{rebuilt.stdout}{rebuilt.stderr}", flush=True)
    caught = rebuilt.returncode == 1 and "cause: timestamp in root /usr/lib/planted: a time" in rebuilt.stdout
    print("caught and named" if caught else "NOT caught", flush=True)
    return 0 if caught else 1


if __name__ == "__main__":
    sys.exit(main())
