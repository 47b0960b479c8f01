"""Examples in Markdown pages: finding them, running them in a shell, and comparing what is printed with the page.

A console block is run when the line before it is ``<!-- runs -->``, with the place where it runs after a colon. In the
output that a page shows, ``...`` on a line of its own stands for any lines, ``…`` and ``...`` within a line for any
text, and digests and seconds for any others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts
)
_FENCE = re.compile(
    r"(?:<!-- (?P<runs>runs(?:: [a-z ]+)?) -->\n)?```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)
_LIMIT = 120


@dataclass(frozen=True)
class Block:
    """A fenced block; ``place`` is where it is to run, None if it is not, "" if it does not matter."""

    kind: str
    body: str
    place: str | None


@dataclass(frozen=True)
class Example:
    """A command as a reader types it, and the output that the page shows."""

    command: str
    output: str


def blocks(text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        runs = match["runs"]
        yield Block(match["kind"], match["body"], None if runs is None else runs.partition(": ")[2])


def examples(body: str) -> list[Example]:
    found: list[Example] = []
    for line in body.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append(Example(line[2:], ""))
        elif found and not found[-1].output and found[-1].command.endswith("\\\n"):
            found[-1] = Example(found[-1].command + line, "")
        elif found:
            found[-1] = Example(found[-1].command, found[-1].output + line)
    return found


def run(page: Sequence[Example], directory: Path, environment: Mapping[str, str]) -> list[str]:
    """What each command prints in one shell, both streams as on a screen. A command that fails is an error."""
    end = "end-of-example"
    script = "\n".join(f"{example.command}status=$?; echo '{end}' $status" for example in page)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", f"exec 2>&1\n{script}"],
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), "LANG": "C.UTF-8", **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    parts = re.split(rf"{end} (\d+)\n", done.stdout)
    printed, statuses = parts[:-1:2], parts[1::2]
    for example, output, status in zip(page, printed, statuses, strict=True):
        assert status == "0", f"$ {example.command}{output}"
    return printed


def pattern(shown: str) -> re.Pattern[str]:
    """What a page shows, as a regular expression for what may be printed."""
    lines = (r"(?:.*\n)*" if line.strip() == "..." else _line(line) + r"\n" for line in shown.splitlines())
    return re.compile("".join(lines))


def _line(line: str) -> str:
    any_of_its_kind = [
        (r"\.\.\.|…", ".*"),
        (r"\b[0-9a-f]{16,}", "[0-9a-f]+"),
        (r"\b\d+(?:\.\d+)? s\b", r"\d+(?:\\.\d+)? s".replace("\\\\", "\\")),
        (r"─+", "─+"),
        (r" +", " +"),
    ]
    splitter = re.compile("|".join(f"({what})" for what, _ in any_of_its_kind))
    parts, end = [], 0
    for match in splitter.finditer(line):
        parts += [re.escape(line[end : match.start()]), any_of_its_kind[(match.lastindex or 1) - 1][1]]
        end = match.end()
    return "".join((*parts, re.escape(line[end:])))
