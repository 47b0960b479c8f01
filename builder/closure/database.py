"""dpkg's database of an image, brought in line with the files that stay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import MAX_CONFIGURATION
from builder.image import dpkg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from builder.facts.tree import FileTree

_DATABASE: Final = f"/{dpkg.DATABASE}"
STATUS: Final = f"{_DATABASE}/status"
_INFO: Final = f"{_DATABASE}/info"
_PACKAGE: Final = re.compile(r"^Package: *(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Database:
    """Which package owns which path (without a leading slash), and the files of the database by path."""

    owners: Mapping[str, str]
    lists: Mapping[str, str]
    status: str
    links: Mapping[str, str]


def read_database(tree: FileTree) -> Database:
    """The database of a tree, empty where there is none. Raises MalformedImageError for what breaks its format."""
    lists = {
        f"{_INFO}/{name}": bytes(tree.content(f"{_INFO}/{name}", MAX_CONFIGURATION)).decode("utf-8", "surrogateescape")
        for name in tree.names(_INFO)
        if name.endswith(".list")
    }
    status = bytes(tree.content(STATUS, 16 * MAX_CONFIGURATION))
    dpkg.packages(status)  # refuses what is malformed
    links = {path[1:]: node.target for path, node in tree.nodes.items() if path.count("/") == 1 and node.target}
    raw = {path.rpartition("/")[2]: text.encode("utf-8", "surrogateescape") for path, text in lists.items()}
    return Database(dpkg.owners(raw, links), lists, status.decode(), links)


def pruned_database(database: Database, kept: frozenset[str], directories: frozenset[str]) -> dict[str, str]:
    """The files of a database that knows only what stays, by path: ``status`` and one list per package.

    A package of which nothing but directories stays is not in the image any more.
    """
    files: dict[str, str] = {}
    packages = set()
    for path, text in database.lists.items():
        lines = [line for line in text.splitlines() if _real(line, database.links) in kept]
        if any(_real(line, database.links) not in directories for line in lines):
            packages.add(path.rpartition("/")[2].removesuffix(".list").partition(":")[0])
            files[path] = "".join(f"{line}\n" for line in lines)
    stanzas = [stanza for stanza in database.status.split("\n\n") if stanza.strip()]
    known = [stanza.strip("\n") for stanza in stanzas if (name := _PACKAGE.search(stanza)) and name[1] in packages]
    if database.status:
        files[STATUS] = "".join(f"{stanza}\n\n" for stanza in known)
    return files


def _real(line: str, links: Mapping[str, str]) -> str:
    """A path of a list as it is in the image: packages from before the merge of /usr name /bin and /lib."""
    top, slash, rest = line.strip("/").partition("/")
    if slash and top in links:
        return f"/{links[top].strip('/')}/{rest}"
    return "/" if line == "/." else f"/{line.strip('/')}"
