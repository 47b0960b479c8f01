"""The closure of an image: which files can be reached by what it starts; all others are dropped from it.

It runs inside a build, as a finalize script of mkosi on the unpacked tree, where Python has its standard library and
nothing else. ``builder.definition.render`` writes :data:`MODULES` into the rendered tree, so stock mkosi prunes as
bedplate does. See docs/explanation/pruning.md.
"""

from __future__ import annotations

from typing import Final

# Every module that ``python3 -m builder.closure`` imports, by its path in the repository. None of them imports what is
# not in this list or in the standard library; packages have no __init__ there (namespace packages).
MODULES: Final = (
    "builder/closure/__init__.py",
    "builder/closure/__main__.py",
    "builder/closure/apply.py",
    "builder/closure/close.py",
    "builder/closure/database.py",
    "builder/closure/edges.py",
    "builder/closure/implied.py",
    "builder/closure/modules.py",
    "builder/closure/programs.py",
    "builder/closure/report.py",
    "builder/closure/rules.py",
    "builder/closure/snippets.py",
    "builder/closure/udev.py",
    "builder/closure/units.py",
    "builder/errors.py",
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
