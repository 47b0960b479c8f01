"""Units as they are after links, drop-ins and masks, with what they start and listen on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from builder.facts.environment import file_variables
from builder.facts.text import merged, settings
from builder.facts.unit_files import drop_in_names, instantiate, is_unit_name, template_of
from builder.facts.unit_values import commands, expand, known, substituted
from policies.facts import Credential, Edge, Listen, Origin, Program, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from builder.facts.unit_files import UnitFiles
    from policies.facts import Setting
    from policies.facts.systemd import ListenFamily

# systemd.unit(5): what starts the other unit together with, or because of, this one.
PULLING: Final = frozenset({"Wants", "Requires", "BindsTo", "Upholds", "Sockets", "activates", "default", "systemctl"})
_DEPENDENCIES: Final = frozenset({"Wants", "Requires", "Requisite", "BindsTo", "Upholds", "OnFailure", "OnSuccess"})
# Dependencies can only be added to: an empty assignment does not take them away.
_NEVER_RESET: Final = _DEPENDENCIES | {"After", "Before", "Conflicts", "PartOf"}
_LISTEN: Final[dict[str, ListenFamily | None]] = {
    "ListenStream": None, "ListenDatagram": None, "ListenSequentialPacket": None, "ListenFIFO": "fifo",
    "ListenSpecial": "special", "ListenNetlink": "netlink", "ListenMessageQueue": "queue", "ListenUSBFunction": "usb",
}  # fmt: skip
_CREDENTIALS: Final = frozenset(
    {"LoadCredential", "LoadCredentialEncrypted", "ImportCredential", "SetCredential", "SetCredentialEncrypted"}
)
_DEFAULT_DEPENDENCIES: Final = frozenset({"service", "socket", "timer", "path"})
_ACTIVATING: Final = {"socket": ("Service", "service"), "timer": ("Unit", "service"), "path": ("Unit", "service")}
_NO: Final = frozenset({"no", "n", "false", "f", "off", "0"})
_YES: Final = frozenset({"yes", "y", "true", "t", "on", "1"})


def read_unit(files: UnitFiles, name: str) -> Unit:
    """The unit of a name that is no alias; ``pulled_in_by`` is left open. A unit without a file has no settings."""
    aliases = files.aliases.get(name, ())
    paths = files.paths(name)
    masked_by = files.mask(name)
    path = None if masked_by or not paths else paths[0]
    drop_in_files = () if masked_by else files.drop_ins(name, aliases)
    read = [item for file in (*([path] if path else ()), *drop_in_files) for item in settings(files.tree, file)]
    raw = merged(read, _NEVER_RESET)
    held = tuple(_known(setting, name) for setting in raw)
    from_files = tuple(
        variable
        for setting in held
        if setting.key == "EnvironmentFile"
        for variable in file_variables(files.tree, setting.value)
    )
    programs = tuple(_programs(raw, name, _variables(held) | {item.key: item.value for item in from_files}))
    template, instance = template_of(name)
    kind = name.rpartition(".")[2]
    return Unit(
        name=name,
        type=kind,
        path=path,
        shadowed=paths[1:] if path else paths,
        drop_ins=drop_in_files,
        masked_by=masked_by,
        aliases=aliases,
        template=template == name,
        instance=instance,
        enabled_by=tuple(sorted(_enabling(files, name, aliases))),
        settings=held,
        resets=tuple(item for item in read if not item.value and item.key not in _NEVER_RESET),
        file_variables=from_files,
        edges=() if masked_by else (*_edges(files, name, aliases, held), *_asked_for(programs)),
        programs=programs,
        listens=tuple(_listens(held)) if kind == "socket" else (),
        credentials=tuple(_credentials(held)),
        pulled_in_by=None,
    )


def _known(setting: Setting, name: str) -> Setting:
    return replace(setting, value=known(setting.value, name)) if "%" in setting.value else setting


def _enabling(files: UnitFiles, name: str, aliases: tuple[str, ...]) -> Iterator[str]:
    names = {name, *aliases}
    yield from (link.path for link in files.links if link.other in names)
    yield from (path for alias in aliases for path in files.entries[alias][:1] if path.startswith("/etc/"))


def _edges(files: UnitFiles, name: str, aliases: tuple[str, ...], held: tuple[Setting, ...]) -> Iterator[Edge]:
    for part in dict.fromkeys(part for own in (name, *aliases) for part in drop_in_names(own)):
        for link in files.links_of.get(part, ()):
            other = instantiate(link.other, template_of(name)[1] or "")
            yield Edge(kind=link.kind, unit=other, origin=Origin(path=link.path, line=None))
    for setting in held:
        if (setting.section == "Unit" and setting.key in _DEPENDENCIES) or (setting.section, setting.key) == (
            "Service",
            "Sockets",
        ):
            for word in setting.value.split():
                yield Edge(kind=setting.key, unit=expand(word, name), origin=setting.origin)
    kind = name.rpartition(".")[2]
    own = Origin(path=(files.paths(name) or (name,))[0], line=None)
    if kind in _DEFAULT_DEPENDENCIES and _last(held, "Unit", "DefaultDependencies") not in _NO:
        yield Edge(kind="default", unit="sysinit.target", origin=own)
    yield from _activated(name, kind, held, own)


def _asked_for(programs: tuple[Program, ...]) -> Iterator[Edge]:
    """The units that a unit has systemctl start."""
    for program in programs:
        if program.path.rpartition("/")[2] == "systemctl":
            yield from (
                Edge(kind="systemctl", unit=unit, origin=program.origin)
                for unit in asked_of_systemctl(program.arguments)
            )


def asked_of_systemctl(arguments: Sequence[str]) -> Iterator[str]:
    """The units that systemctl is to start; a name without a type is that of a service (systemctl(1))."""
    verb, *names = [*(word for word in arguments if not word.startswith("-")), ""]
    if verb != "stop":
        yield from filter(is_unit_name, (word if is_unit_name(word) else f"{word}.service" for word in names if word))


def _activated(name: str, kind: str, held: tuple[Setting, ...], own: Origin) -> Iterator[Edge]:
    stem = name.rpartition(".")[0]
    if kind == "automount":
        yield Edge(kind="activates", unit=f"{stem}.mount", origin=own)
    if kind not in _ACTIVATING:
        return
    key, suffix = _ACTIVATING[kind]
    stated = [item for item in held if (item.section.lower(), item.key) == (kind, key)]
    if stated:
        yield Edge(kind="activates", unit=expand(stated[-1].value, name), origin=stated[-1].origin)
    elif kind == "socket" and _last(held, "Socket", "Accept") in _YES:
        yield Edge(kind="activates", unit=f"{stem}@.{suffix}", origin=own)
    else:
        yield Edge(kind="activates", unit=f"{stem}.{suffix}", origin=own)


def _last(held: tuple[Setting, ...], section: str, key: str) -> str:
    values = [setting.value.lower() for setting in held if (setting.section, setting.key) == (section, key)]
    return values[-1] if values else ""


def _variables(held: tuple[Setting, ...]) -> dict[str, str]:
    """The variables of Environment=; a word without "=" is more of the value before it."""
    found: dict[str, str] = {}
    name = ""
    for word in (word for setting in held if setting.key == "Environment" for word in setting.value.split()):
        key, equals, value = word.partition("=")
        name = key if equals else name
        found[name] = value if equals else f"{found.get(name, '')} {word}"
    return found


def _programs(raw: tuple[Setting, ...], name: str, variables: Mapping[str, str]) -> Iterator[Program]:
    for setting in raw:
        if not setting.key.startswith("Exec") or setting.section == "Unit" or setting.key == "ExecSearchPath":
            continue
        for split in commands(setting.value):
            words = [known(word, name) for word in split]
            bare = words[0].lstrip("@-:+!|")
            prefixes = words[0][: len(words[0]) - len(bare)]
            yield Program(
                setting=setting.key,
                prefixes=prefixes,
                path=bare,
                arguments=tuple(words[1:] if ":" in prefixes else substituted(words[1:], variables)),
                origin=setting.origin,
            )


def _listens(held: tuple[Setting, ...]) -> Iterator[Listen]:
    for setting in held:
        if setting.section == "Socket" and setting.key in _LISTEN:
            family = _LISTEN[setting.key] or _family(setting.value)
            yield Listen(setting=setting.key, address=setting.value, family=family, origin=setting.origin)


def _family(address: str) -> ListenFamily:
    if address.startswith(("/", "@")):
        return "unix"
    return "vsock" if address.startswith("vsock") else "inet"


def _credentials(held: tuple[Setting, ...]) -> Iterator[Credential]:
    for setting in held:
        if setting.key in _CREDENTIALS:
            name, colon, rest = setting.value.partition(":")
            is_loaded = setting.key.startswith("LoadCredential")
            source = (rest if colon else name) if is_loaded else None
            yield Credential(setting=setting.key, id=name, source=source, origin=setting.origin)
