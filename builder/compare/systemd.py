"""Units: which the start brings in, and how they are confined."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.compare.difference import Change, Difference, Field, node_id
from builder.compare.parts import changed_fields, not_compared, pair, presence, topic
from builder.compare.reach import Place
from builder.compare.settled import settled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from builder.compare.baseline import Baseline
    from builder.compare.difference import Topic
    from policies.facts import Unit

NAME: Final = "units"
_TITLE: Final = "Units"
_STARTED_BY: Final = "started by"
# Where systemd, its generators' configuration and udev (SYSTEMD_WANTS) look; what they say decides what a unit is.
_UNIT_FILES: Final = Place(
    (
        *(
            f"/{root}/{name}"
            for root in ("etc", "run", "usr/lib", "usr/local/lib", "lib")
            for name in ("systemd", "udev")
        ),
        *(f"/etc/{name}" for name in ("fstab", "crypttab", "veritytab")),
    ),
    re.compile(r".*", re.DOTALL),
)
# systemd.exec(5) and systemd.resource-control(5): what takes rights away from a service or gives them.
SANDBOXING: Final = re.compile(
    r"Protect\w+|Private\w+|Restrict\w+|NoNewPrivileges|CapabilityBoundingSet|AmbientCapabilities|SystemCall\w+"
    r"|LockPersonality|MemoryDenyWriteExecute|DynamicUser|User|Group|SupplementaryGroups|Read(?:Only|Write)Paths"
    r"|(?:Inaccessible|Exec|NoExec)Paths|RootDirectory|RootImage|RootMStack|BindPaths|BindReadOnlyPaths|TemporaryFileSystem"
    r"|Device(?:Allow|Policy)|IPAddress(?:Allow|Deny)|SecureBits|UMask|RemoveIPC|Delegate|SocketBind\w+"
    r"|AppArmorProfile|SELinuxContext|SmackProcessLabel|KeyringMode|ProcSubset|MountFlags"
    r"|RootHash|RootVerity|RootEphemeral|RootDirectoryStartOnly|PermissionsStartOnly|MountAPIVFS|MountImages"
    r"|Extension(?:Images|Directories)|(?:Network|IPC)NamespacePath|JoinsNamespaceOf|BPFProgram"
    r"|IP(?:Ingress|Egress)FilterPath|PAMName"
)
# systemd.socket(5): where a socket is, on which interfaces and addresses, and who may open it.
LISTENS: Final = re.compile(
    r"Listen\w+|BindToDevice|BindIPv6Only|FreeBind|Transparent|SocketProtocol|Socket(?:Mode|User|Group)|DirectoryMode"
    r"|Symlinks"
)


def compare_units(old: Baseline, new: Baseline) -> Topic:
    """Units by area and name. Sides with the same unit files have the same units, whether or not they were read."""
    both = pair(old.systemd, new.systemd)
    if not isinstance(both, tuple):
        return topic(NAME, _TITLE, ()) if settled(old, new, _UNIT_FILES) else not_compared(NAME, _TITLE, both)
    return topic(NAME, _TITLE, _differences(*both))


def _differences(old: Mapping[str, tuple[Unit, ...]], new: Mapping[str, tuple[Unit, ...]]) -> Iterator[Difference]:
    for area in sorted(old.keys() | new.keys()):
        left, right = ({unit.name: unit for unit in side.get(area, ())} for side in (old, new))
        for name in sorted(left.keys() | right.keys()):
            one, other = left.get(name), right.get(name)
            sides = [{} if unit is None else properties(unit) for unit in (one, other)]
            if one is not None and other is not None and state(one) == state(other):
                # Of the many ways in which a unit is started one is told, and another unit can change which.
                for side in sides:
                    side.pop(_STARTED_BY, None)
            if fields := changed_fields(*sides):
                yield Difference(
                    id=node_id(NAME, area, name),
                    kind="unit",
                    subject=name,
                    change=_change(one, other, fields),
                    old=None if one is None else state(one),
                    new=None if other is None else state(other),
                    area=area,
                    notes=tuple(_notes(one, other, fields)),
                    fields=fields if one is not None and other is not None else (),
                )


def state(unit: Unit) -> str:
    """Whether it runs: masked, started by the start of its area, enabled though nothing starts it, or neither."""
    if unit.masked_by is not None:
        return "masked"
    if unit.pulled_in_by is not None:
        return "started"
    return "enabled" if unit.enabled_by else "not started"


def properties(unit: Unit) -> dict[str, str]:
    """What counts of a unit, as text by name; settings are "Section.Key", the values of one key one on a line each."""
    found: dict[str, list[str]] = {}
    for setting in unit.settings:
        found.setdefault(f"{setting.section}.{setting.key}", []).append(setting.value)
    lists = {
        "state": (state(unit),),
        "file": (unit.path or "",),
        "drop-ins": unit.drop_ins,
        "aliases": tuple(sorted(unit.aliases)),
        "enabled by": tuple(sorted(unit.enabled_by)),
        _STARTED_BY: unit.pulled_in_by or (),
        **found,
    }
    return {name: "\n".join(values) for name, values in lists.items() if any(values)}


def _change(old: Unit | None, new: Unit | None, fields: tuple[Field, ...]) -> Change:
    if old is not None and new is not None and all(_reordered(field) for field in fields):
        return Change.ORDER
    return presence(old, new)


def _reordered(field: Field) -> bool:
    return sorted((field.old or "").split("\n")) == sorted((field.new or "").split("\n"))


def _notes(old: Unit | None, new: Unit | None, fields: tuple[Field, ...]) -> Iterator[str]:
    started = [unit is not None and state(unit) == "started" for unit in (old, new)]
    if started[0] != started[1]:
        yield "is started" if started[1] else "is no longer started"
    keys = {field.name.partition(".")[2] for field in fields}
    if any(SANDBOXING.fullmatch(key) for key in keys):
        yield "sandboxing"
    if any(LISTENS.fullmatch(key) for key in keys):
        yield "listening socket"
    if any(key.startswith("Exec") for key in keys):
        yield "programs"
