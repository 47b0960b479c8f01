"""What the files hold that EnvironmentFile= names (systemd.exec(5)), as far as they are in the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError
from builder.facts.syntax import SPACE, plain_lines
from builder.facts.text import statements
from policies.facts import Setting
from policies.globs import agrees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

_PATTERN: Final = frozenset("*?[\\")
_MAX_PATHS: Final = 4096


def file_variables(tree: FileTree, name: str) -> Iterator[Setting]:
    """The variables that a value of EnvironmentFile= sets, with where they stand; the section is empty.

    A value may go on in the next line (src/basic/env-file.c). What stands there is taken for a variable, too.
    """
    for path in _named(tree, name.removeprefix("-")):
        node = tree.find(path)
        if node is None or not node.is_file:
            continue
        for origin, text in statements(tree, path, _lines):
            key, equals, value = text.partition("=")
            if equals:
                yield Setting(section="", key=key.rstrip(SPACE), value=value, origin=origin)


def _lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    return plain_lines(tree, path, "#;")


def _agrees(pattern: str, name: str) -> bool:
    try:
        return agrees(pattern, name)
    except ValueError:  # nobody writes this by mistake: all are looked at
        return True


def _named(tree: FileTree, pattern: str) -> list[str]:
    """The paths that a pattern means (src/core/execute.c, ``exec_context_load_environment``: glob(3) without flags).

    Raises InvalidInputError for a pattern that means more than 4096.
    """
    paths = [""]
    for part in pattern.split("/")[1:]:
        if _PATTERN.isdisjoint(part):
            paths = [f"{path}/{part}" for path in paths]
        else:
            paths = [f"{path}/{name}" for path in paths for name in tree.names(path or "/") if _agrees(part, name)]
        if len(paths) > _MAX_PATHS:
            raise InvalidInputError(f"EnvironmentFile={pattern} means more than {_MAX_PATHS} files")
    return paths
