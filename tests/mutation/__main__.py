"""``python -m tests.mutation [MODULE ...]``: try every mutant of every control and tell which survive.

Exit code 1 if a survivor is not in equivalent.yaml with a reason, or an entry there is none any more.
"""

from __future__ import annotations

import sys

from tests.mutation.reviewed import equivalent
from tests.mutation.trial import SHARED, TOPICS, tried


def main(names: list[str]) -> int:
    """Try the modules of these names, or all."""
    modules = [item for item in (*TOPICS, *SHARED) if not names or item.__name__.rpartition(".")[2] in names]
    reviewed, survivors, count = equivalent(), set[str](), 0
    for module in modules:
        for item in tried(module):
            count += 1
            if item.killed_by is None:
                survivors.add(item.name)
                if item.name not in reviewed:
                    print(f"{module.__file__}:{item.mutant.line}: survived: {item.name}")
    stale = {
        name for name in reviewed if any(name.startswith(f"{item.__name__.rpartition('.')[2]}.") for item in modules)
    }
    for name in sorted(stale - survivors):
        print(f"equivalent.yaml: no survivor any more: {name}")
    print(f"{count} mutants, {len(survivors)} survived, {len(survivors & reviewed.keys())} of them reviewed")
    return 1 if survivors ^ stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
