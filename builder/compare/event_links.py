"""What an event was made from, by the origin that the reference values state for it.

The origins are those that ``builder.measurement`` writes: "UKI", "UKI section .linux", "kernel command line", "initrd",
"Secure Boot variables", "addon NAME", "addons", "companion files". Which sections the initrd holds is ``pcr9``'s word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from builder.compare.difference import node_id
from builder.compare.disk import ESP
from builder.compare.measured import NAME as MEASUREMENTS
from builder.compare.uki import NAME as UKI
from builder.compare.uki import SECTION_SOURCE, SIGNATURE, STUB_ID, section_id
from builder.compare.variables import NAME as VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.compare.difference import Difference
    from builder.compare.measured import MovedEvent

_UKI_ID: Final = node_id(UKI, "image")
_ADDON: Final = "addon "
_VARIABLE: Final = "variable "
_KERNEL: Final = section_id(".linux")


def event_causes(
    event: MovedEvent, differences: Mapping[str, tuple[Difference, ...]], stub_release: int
) -> Iterator[str]:
    """Ids of what may have changed an event; those that did not change are not links and fall away."""
    measured = event.either
    source = measured.source
    if source.startswith(SECTION_SOURCE):
        yield section_id(source.removeprefix(SECTION_SOURCE))
    elif source == "UKI":
        yield _UKI_ID
    elif source == "kernel command line":
        yield section_id(".cmdline")
        yield from _beside(differences, "addon")
    elif source == "initrd":
        from builder.measurement.pcr9 import initrd_sections  # noqa: PLC0415 -- prediction, only where PCR 9 moved

        yield from map(section_id, initrd_sections(stub_release))
        yield from _beside(differences, "addon", "companion")
    elif source == "Secure Boot variables":
        yield from _secure_boot(measured.description, differences)
    elif source.startswith(_ADDON) or source in {"addons", "companion files"}:
        yield from _beside(differences, "addon", "companion", name=source.removeprefix(_ADDON))
    else:
        yield from _settings(event, differences)
    if event.old is None or event.new is None:
        # Whether there is such an event depends on who measures: the stub, the kernel, systemd in the initrd.
        yield from (STUB_ID, _KERNEL)
        yield from _settings(event, differences)


def _secure_boot(description: str, differences: Mapping[str, tuple[Difference, ...]]) -> Iterator[str]:
    if description.startswith(_VARIABLE):
        yield node_id(VARIABLES, description.removeprefix(_VARIABLE).removesuffix(" (absent)"))
        return
    yield node_id(VARIABLES, "db")
    yield from (item.id for item in differences[SIGNATURE])


def _beside(differences: Mapping[str, tuple[Difference, ...]], *roles: str, name: str | None = None) -> Iterator[str]:
    """Files beside the UKI; of one name, if that is the name of one."""
    found = [item for item in differences[ESP] if set(item.notes) & set(roles)]
    named = [item for item in found if name is not None and item.subject.rpartition("/")[2] == name]
    yield from (item.id for item in named or found)


def _settings(event: MovedEvent, differences: Mapping[str, tuple[Difference, ...]]) -> Iterator[str]:
    for item in differences[MEASUREMENTS]:
        if item.kind == "setting" and item.id.startswith(node_id(MEASUREMENTS, event.mode)):
            yield item.id
