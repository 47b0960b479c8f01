"""A real browser for tests: headless Chromium, driven by its DevTools protocol through a pipe.

Messages are JSON objects that end with a zero byte (``--remote-debugging-pipe``, file descriptors 3 and 4).
"""

from __future__ import annotations

import itertools
import json
import subprocess
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
# Backgrounds of our pages.
LIGHT, DARK, PAPER = "rgb(251, 251, 249)", "rgb(19, 21, 23)", "rgb(255, 255, 255)"
# The smallest contrast of any text that is shown with what is behind it (WCAG 2.2, "contrast ratio").
CONTRAST = """(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const luminance = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, index) => {
    const part = rgb[index] / 255;
    return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let worst = { ratio: 21, text: "" };
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("script, style, option")) continue;
    const pair = [parse(getComputedStyle(element).color), behind(element)].map(luminance).sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: walker.currentNode.data.trim() };
  }
  return worst;
})()"""
# As the test may be root in a container, Chromium's own sandbox cannot be used; what it opens is ours.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def chromium(profile: Path) -> tuple[str, ...]:
    """The command line: the pipe's ends are the process's standard input and output."""
    redirect = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'
    return (
        "sh",
        "-c",
        redirect,
        "sh",
        "chromium-headless-shell",
        *_OPTIONS,
        f"--user-data-dir={profile}",
        "about:blank",
    )


class Tab:
    """One tab and all that happened in it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        # Its parts share a process group with us, so it is asked to go rather than killed alone.
        self._session = None
        self.call("Browser.close")
        self._process.communicate(timeout=30)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method and return its result; events that come before it are kept."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, url: str) -> None:
        """Open a page as if it were the first, and wait until it has loaded."""
        for address in ("about:blank", url):
            self.events.clear()
            self.call("Page.navigate", url=address)
            while not self.happened("Page.loadEventFired"):
                self._read()

    def happened(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of the events of these kinds so far."""
        return [event["params"] for event in self.events if event["method"] in methods]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def do(self, statements: str) -> None:
        """Run JavaScript, and let the page do what follows from it."""
        settle = "await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))"
        code = f"(async () => {{ {statements}; {settle}; }})()"
        result = self.call("Runtime.evaluate", expression=code, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key."""
        code = {"Enter": 13, "Tab": 9}.get(key, 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        data = bytearray()
        while not data.endswith(b"\0"):
            byte = self._process.stdout.read(1)
            assert byte, "the browser ended"
            data += byte
        message: dict[str, Any] = json.loads(data[:-1])
        if "method" in message:
            self.events.append(message)
        return message
