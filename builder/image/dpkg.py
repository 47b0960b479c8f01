"""The dpkg database inside an image: which packages there are and which file belongs to which.

Source: dpkg(1), deb-control(5) and the layout of /var/lib/dpkg (``status``, ``info/PACKAGE.list``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from builder.image.binary import BinaryView

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DATABASE = "var/lib/dpkg"
# dpkg(1), "Package states": in these two no file of the package but configuration is there.
_NO_FILES = {"not-installed", "config-files"}
_STATES = _NO_FILES | {
    "half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending", "installed",
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package whose files are in the image; ``installed_size`` is in KiB, as dpkg estimates it."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    installed_size: int | None


def packages(status: bytes | memoryview) -> tuple[Package, ...]:
    """The packages in a ``status`` file, sorted by name, without those that only left configuration behind.

    Raises MalformedImageError for stanzas that break the format, and for a package that is there twice.
    """
    view = BinaryView.of(status, "dpkg status")
    found: dict[tuple[str, str], Package] = {}
    for offset, fields in _stanzas(view):
        state = _required(view, offset, fields, "status").split()
        if len(state) != 3 or state[2] not in _STATES:  # noqa: PLR2004 -- want, error flag, state
            raise view.error(offset, f"the status {' '.join(state)!r} is unknown")
        if state[2] in _NO_FILES:
            continue
        package = _package(view, offset, fields)
        if (package.name, package.architecture) in found:
            raise view.error(offset, f"the package {package.name}:{package.architecture} is there twice")
        found[package.name, package.architecture] = package
    return tuple(sorted(found.values(), key=lambda package: (package.name, package.architecture)))


def owners(lists: Mapping[str, bytes | memoryview], links: Mapping[str, str]) -> dict[str, str]:
    """The package of every path, by the content of ``info/*.list`` files under their base names.

    ``links`` are the image's top directories that are symbolic links ("bin" to "usr/bin"): packages from before the
    merge of /usr list their files under the old names. Paths have no leading slash, packages come without their
    architecture; of several owners the first by name counts.
    """
    owner: dict[str, str] = {}
    for file_name in sorted(lists):
        package = file_name.removesuffix(".list").partition(":")[0]
        text = bytes(lists[file_name]).decode("utf-8", "surrogateescape")
        for line in text.splitlines():
            path = line.strip("/")
            top, slash, rest = path.partition("/")
            if slash and top in links:
                path = f"{links[top].strip('/')}/{rest}"
            owner.setdefault(path, package)
    return owner


def _package(view: BinaryView, offset: int, fields: Mapping[str, str]) -> Package:
    name = _required(view, offset, fields, "package")
    version = _required(view, offset, fields, "version")
    # "Source: NAME" or "Source: NAME (VERSION)", absent where both are the package's own.
    source, _, source_version = fields.get("source", name).partition(" ")
    size = fields.get("installed-size")
    if size is not None and not (size.isascii() and size.isdigit() and len(size) <= 15):  # noqa: PLR2004 -- sane
        raise view.error(offset, f"the installed size {size!r} of {name} is no number")
    return Package(
        name=name,
        version=version,
        architecture=_required(view, offset, fields, "architecture"),
        source=source,
        source_version=source_version.strip("() ") or version,
        installed_size=None if size is None else int(size),
    )


def _required(view: BinaryView, offset: int, fields: Mapping[str, str], field: str) -> str:
    if not fields.get(field):
        raise view.error(offset, f"a stanza has no field {field.title()}")
    return fields[field]


def _stanzas(view: BinaryView) -> Iterator[tuple[int, dict[str, str]]]:
    """Stanzas with the offset where they begin; field names in lower case, only the first line of each value."""
    fields: dict[str, str] = {}
    start = 0
    for offset, line in _lines(view):
        if not line.strip():
            if fields:
                yield start, fields
            fields = {}
            continue
        if line[0] in " \t":
            if not fields:
                raise view.error(offset, "a continued line has nothing to continue")
            continue
        name, colon, value = line.partition(":")
        if not colon or name.lower() in fields:
            raise view.error(offset, f"{name[:40]!r} is no field, or is there twice")
        if not fields:
            start = offset
        fields[name.lower()] = value.strip()
    if fields:
        yield start, fields


def _lines(view: BinaryView) -> Iterable[tuple[int, str]]:
    offset = 0
    for line in view.read(0, len(view)).split(b"\n"):
        try:
            yield offset, line.decode()
        except UnicodeDecodeError:
            raise view.error(offset, "a line is not UTF-8") from None
        offset += len(line) + 1
