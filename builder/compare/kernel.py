"""Kernels: their configuration by option, and modules by name, whatever release they are of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Difference, node_id
from builder.compare.parts import not_compared, pair, presence, topic
from builder.compare.settled import settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from builder.compare.entries import Entry
    from policies.facts import Kernel

CONFIGURATION: Final = "kernel-configuration"
MODULES: Final = "modules"
_CONFIGURATION_FILES: Final = re.compile(
    r"(?:/usr)?/lib/modules/[^/]+/config|/boot/config-[^/]+|/usr/lib/kernel/config-[^/]+"
)
_MODULE: Final = re.compile(r"(?:/usr)?/lib/modules/[^/]+/(?:.*/)?([^/]+)\.ko(?:\.(?:xz|zst|gz))?")


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
    return topic(MODULES, "Kernel modules", _module_differences(_modules(both[0]), _modules(both[1])))


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


def _modules(entries: Iterable[Entry]) -> dict[tuple[str, str], Entry]:
    found: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        match = _MODULE.fullmatch(entry.path) if ".ko" in entry.path and entry.type == "file" else None
        if match is not None:
            found[entry.area, match[1].replace("-", "_")] = entry
    return found


def _module_differences(
    old: Mapping[tuple[str, str], Entry], new: Mapping[tuple[str, str], Entry]
) -> Iterator[Difference]:
    for area, name in sorted(old.keys() | new.keys()):
        one, other = old.get((area, name)), new.get((area, name))
        if one is None or other is None or one.sha256 != other.sha256:
            entry = other or one
            yield Difference(
                id=node_id(MODULES, area, name),
                kind="module",
                subject=name,
                change=presence(one, other, Change.CONTENT),
                old=None if one is None else one.sha256,
                new=None if other is None else other.sha256,
                area=area,
                package=None if entry is None else entry.package,
            )
