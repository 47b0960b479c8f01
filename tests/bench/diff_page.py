"""How quick the page of a diff is in a browser, with 20 000 files: python -m tests.bench.diff_page."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from builder.definition.mirror import find_mirror
from builder.mkosi.bootstrap import ensure_toolchain
from builder.mkosi.cache import find_cache
from builder.presenters.html import html
from builder.progress import Silent
from tests.bench.timing import machine
from tests.browser import Tab, chromium
from tests.conftest import BROWSER
from tests.sample_differences import large

PACKAGES, FILES = 200, 20_000
ROUNDS = 3
TYPED = ("package-1", "file-19", ".so 042", "no such file")
LIMIT_MILLISECONDS = 100.0
# From the event of the key to the end of the frame that shows what followed from it.
TYPE = """(async () => {{
  const field = document.getElementById("words"), start = performance.now();
  field.value = {value!r};
  field.dispatchEvent(new Event("input", {{ bubbles: true }}));
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  return performance.now() - start;
}})()"""


def typed(tab: Tab) -> list[float]:
    """Milliseconds for each letter of all words, typed one after the other."""
    took = []
    for words in TYPED:
        for end in range(len(words) + 1):
            expression = TYPE.format(value=words[:end])
            result = tab.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
            took.append(result["result"]["value"])
    return took


def main() -> int:
    """Make the page, open it, type, and say whether the limit is kept."""
    tools = ensure_toolchain(find_cache(os.environ), find_mirror(None, os.environ, None), Silent(), BROWSER)
    started = time.monotonic()
    report = large(PACKAGES, FILES)
    compared = time.monotonic()
    page = html(report)
    rendered = time.monotonic()
    opened, keys = [], []
    with tempfile.TemporaryDirectory() as name:
        folder, profile = Path(name, "page"), Path(name, "profile")
        for directory in (folder, profile):
            directory.mkdir()
        (folder / "diff.html").write_bytes(page)
        with Tab(tools.command(chromium(profile), readable=[folder], writable=[profile])) as tab:
            tab.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)
            for _ in range(ROUNDS):
                tab.open((folder / "diff.html").as_uri())
                opened.append(tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))
                tab.do("document.getElementById('filter').scrollIntoView()")
                keys += typed(tab)
    print(machine(), f"\n\n{PACKAGES} packages, {FILES} files: {len(page) / 1e6:.1f} MB\n")
    print("| | times | median | max |\n|---|---:|---:|---:|")
    print(f"| compare | 1 | {compared - started:.2f} s | |\n| make the page | 1 | {rendered - compared:.2f} s | |")
    print(f"| open until loaded | {len(opened)} | {statistics.median(opened):.0f} ms | {max(opened):.0f} ms |")
    print(f"| a letter typed, until painted | {len(keys)} | {statistics.median(keys):.0f} ms | {max(keys):.0f} ms |")
    return 0 if statistics.median(keys) <= LIMIT_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
