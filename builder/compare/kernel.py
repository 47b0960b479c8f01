"""Kernels: their configuration by option, and modules by name, whatever release they are of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Difference, node_id, text
from builder.compare.files import CONTENT_FIELDS
from builder.compare.parts import not_compared, pair, presence, topic
from builder.compare.reach import EndlessError, Place
from builder.compare.settled import changed_at, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from builder.compare.entries import Entry
    from policies.facts import Kernel

CONFIGURATION: Final = "kernel-configuration"
MODULES: Final = "modules"
_MODULE_DIRECTORIES: Final = ("/usr/lib/modules", "/lib/modules")
# The names of the releases count too: of several configurations that of the newest is read.
_CONFIGURATION_FILES: Final = Place(
    (*_MODULE_DIRECTORIES, "/boot", "/usr/lib/kernel"),
    re.compile(r"(?:/usr)?/lib/modules/[^/]+(?:/config)?|/boot/config-[^/]+|/usr/lib/kernel/config-[^/]+", re.DOTALL),
)
_MODULE: Final = re.compile(r"(?:/usr)?/lib/modules/[^/]+/(?:.*/)?([^/]+)\.ko(?:\.(?:xz|zst|gz))?", re.DOTALL)
_MODULE_NAMES: Final = Place(_MODULE_DIRECTORIES, _MODULE)


def compare_configuration(old: Baseline, new: Baseline) -> Topic:
    """Options by name, of the configuration that the image holds."""
    title = "Kernel configuration"
    both = pair(old.kernels, new.kernels)
    if not isinstance(both, tuple):
        return (
            topic(CONFIGURATION, title, ())
            if settled(old, new, _CONFIGURATION_FILES)
            else not_compared(CONFIGURATION, title, both)
        )
    found: list[Difference] = []
    incomplete: list[str] = []
    for area in sorted(both[0].keys() | both[1].keys()):
        one, other = (_options(side.get(area)) for side in both)
        if one is None and other is None:
            continue  # no image of this area holds one, on either side
        if one is None or other is None:
            incomplete.append(f"{area}: the {'old' if one is None else 'new'} side holds no configuration")
            continue
        found += _option_differences(area, one, other)
    return topic(CONFIGURATION, title, found, incomplete)


def compare_modules(old: Baseline, new: Baseline) -> Topic:
    """Loadable modules by area and name, as the inventories have them."""
    both = pair(old.files, new.files)
    if not isinstance(both, tuple):
        return not_compared(MODULES, "Kernel modules", both)
    return topic(
        MODULES, "Kernel modules", _module_differences(_modules(both[0]), _modules(both[1])), _behind_links(*both)
    )


def _behind_links(old: tuple[Entry, ...], new: tuple[Entry, ...]) -> Iterator[str]:
    """What differs and is no file of a module's name, but what such a name leads to."""
    try:
        changed = changed_at(old, new, _MODULE_NAMES)
    except EndlessError:
        yield "links below /usr/lib/modules lead in a circle"
        return
    for one, other in changed:
        entry = other or one
        told = all(item is None or (item.type == "file" and _MODULE.fullmatch(item.path)) for item in (one, other))
        same = all(getattr(one, name, None) == getattr(other, name, None) for name in CONTENT_FIELDS)
        if entry is not None and not told and not same:
            yield f"{entry.area}: {text(entry.path)} differs, and is behind, or is, a link by which modules are found"


def _options(kernel: Kernel | None) -> Mapping[str, str] | None:
    return None if kernel is None else kernel.configuration


def _option_differences(area: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        one, other = old.get(name), new.get(name)
        if one != other:
            yield Difference(
                id=node_id(CONFIGURATION, area, name), kind="option", subject=name, change=presence(one, other),
                old=one, new=other, area=area,
            )  # fmt: skip


def _modules(entries: Iterable[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """The modules by area and name: one for each kernel of the area, mostly one."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        match = _MODULE.fullmatch(entry.path) if ".ko" in entry.path and entry.type == "file" else None
        if match is not None:
            found.setdefault((entry.area, match[1].replace("-", "_")), []).append(entry)
    return found


def _module_differences(
    old: Mapping[tuple[str, str], list[Entry]], new: Mapping[tuple[str, str], list[Entry]]
) -> Iterator[Difference]:
    for area, name in sorted(old.keys() | new.keys()):
        left, right = old.get((area, name), []), new.get((area, name), [])
        one, other = _contents(left), _contents(right)
        if one != other:
            entry = next(iter(right or left))
            yield Difference(
                id=node_id(MODULES, area, name),
                kind="module",
                subject=name,
                change=presence(one, other, Change.CONTENT),
                old=one,
                new=other,
                area=area,
                package=entry.package,
            )


def _contents(modules: Iterable[Entry]) -> str | None:
    """The digests of the modules of one name, None if there is none."""
    return ", ".join(sorted(module.sha256 or "" for module in modules)) or None
