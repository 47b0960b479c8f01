"""``python3 -m builder.closure.program ROOT RULES REPORT``: prune the tree ROOT, and write what it did to REPORT."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from builder.closure.apply import prune
from builder.closure.rules import parse_rules
from builder.errors import BedplateError


def main(arguments: list[str]) -> int:
    """0 when the tree is pruned, 1 with a sentence on stderr when it is not; then it is as it was."""
    top, rules, report = (Path(argument) for argument in arguments)
    try:
        document = prune(top, parse_rules(rules.read_text(encoding="utf-8"), rules.name))
    except BedplateError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 -- a program of its own, run by mkosi
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)  # noqa: T201
        return 1
    report.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
