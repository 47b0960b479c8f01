"""The modules that go into a rendered tree."""

from __future__ import annotations

from typing import Final

# Every module that ``python3 -m builder.closure.program`` imports, by its path in the repository. None of them imports
# what is not in this list or in the standard library; packages have no __init__ there (namespace packages).
MODULES: Final = (
    "builder/closure/apply.py",
    "builder/closure/bus.py",
    "builder/closure/close.py",
    "builder/closure/database.py",
    "builder/closure/edges.py",
    "builder/closure/implied.py",
    "builder/closure/modules.py",
    "builder/closure/mounts.py",
    "builder/closure/program.py",
    "builder/closure/programs.py",
    "builder/closure/report.py",
    "builder/closure/rules.py",
    "builder/closure/snippets.py",
    "builder/closure/udev.py",
    "builder/closure/unit_root.py",
    "builder/closure/units.py",
    "builder/errors.py",
    "builder/facts/counting.py",
    "builder/facts/syntax.py",
    "builder/facts/tree.py",
    "builder/facts/unit_files.py",
    "builder/facts/unit_values.py",
    "builder/image/binary.py",
    "builder/image/dpkg.py",
    "builder/image/elf.py",
    "builder/image/filesystem.py",
    "policies/facts/paths.py",
)
