"""Rules that give rights: dbus-daemon(1), polkit(8), pklocalauthority(8), sudoers(5), doas.conf(5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.facts.bus import bus_elements, bus_options, bus_rules
from builder.facts.markup import elements
from builder.facts.polkit import polkit_files
from builder.facts.syntax import joined_lines, lines, ordered
from builder.facts.text import settings
from policies.facts import BrokenLine, Origin, PolkitAction, PolkitGrant, Rights, SudoRule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from builder.facts.tree import FileTree

_EXEC_PATH: Final = "org.freedesktop.policykit.exec.path"
_RULE_YES: Final = re.compile(r"""\bResult\s*(?:\.\s*YES\b|\[\s*['"]YES['"])|return\s*\(?\s*['"]yes['"]""")
_SPAWN: Final = re.compile(r"""\bspawn\s*\(|\[\s*['"]spawn['"]""")
_SUDO_FILES: Final = ("/etc/sudoers", "/etc/sudoers-rs", "/usr/etc/sudoers")
_SUDO_FOLDERS: Final = ("/etc/sudoers.d", "/usr/etc/sudoers.d")
_DOAS_FILES: Final = ("/etc/doas.conf", "/usr/local/etc/doas.conf")
_DOAS_FOLDERS: Final = ("/etc/doas.d",)
_SUDO_INCLUDE: Final = re.compile(r"[@#](include|includedir)\s+(.+)")
_SUDO_NUMBER: Final = re.compile(r"#\d")
_NO_PASSWORD: Final = re.compile(r"\bNOPASSWD\s*:|!\s*authenticate\b")
_DOAS_NO_PASSWORD: Final = re.compile(r"permit\b.*\bnopass\b")
_MAX_INCLUDED: Final = 128


def rights(tree: FileTree) -> Rights:
    """The rules of a tree."""
    broken: list[BrokenLine] = []
    bus = list(bus_elements(tree, broken))
    return Rights(
        bus=tuple(bus_rules(bus)),
        bus_options=tuple(bus_options(bus)),
        polkit_actions=tuple(_polkit_actions(tree, broken)),
        polkit_grants=tuple(_polkit_grants(tree)),
        sudo=(*_sudo(tree), *_doas(tree)),
        broken=tuple(broken),
    )


def _polkit_actions(tree: FileTree, broken: list[BrokenLine]) -> Iterator[PolkitAction]:
    for path in polkit_files(tree, ".policy"):
        for action in elements(tree, path, broken):
            if action.name != "action":
                continue
            below = list(action.walk())
            said = {element.name: element.text.strip() for element in below}
            programs = [item.text.strip() for item in below if item.attributes.get("key") == _EXEC_PATH]
            yield PolkitAction(
                id=action.attributes.get("id", ""),
                allow_any=said.get("allow_any", "no"),
                allow_inactive=said.get("allow_inactive", "no"),
                allow_active=said.get("allow_active", "no"),
                program=programs[0] if programs else None,
                origin=Origin(path=path, line=action.line),
            )


def _polkit_grants(tree: FileTree) -> Iterator[PolkitGrant]:
    for path in polkit_files(tree, ".rules"):
        for number, line in lines(tree, path):
            code = line.partition("//")[0].strip()
            origin = Origin(path=path, line=number)
            if _RULE_YES.search(code):
                yield PolkitGrant(how="yes", text=code, origin=origin)
            if _SPAWN.search(code):
                yield PolkitGrant(how="spawn", text=code, origin=origin)
    for path in polkit_files(tree, ".pkla"):
        for item in settings(tree, path):
            if item.key.startswith("Result") and item.value.lower() == "yes":
                yield PolkitGrant(how="yes", text=f"[{item.section}] {item.key}={item.value}", origin=item.origin)


def _sudo(tree: FileTree) -> Iterator[SudoRule]:
    pending = [path for path in _SUDO_FILES if tree.find(path) is not None]
    pending += [f"{folder}/{name}" for folder in _SUDO_FOLDERS for name in tree.names(folder)]
    seen: set[str] = set()
    while pending and len(seen) < _MAX_INCLUDED:
        path = pending.pop(0)
        node = tree.find(path)
        if node is None or not node.is_file or node.path in seen:
            continue
        seen.add(node.path)
        for number, text in _sudo_lines(tree, path):
            origin = Origin(path=path, line=number)
            include = _SUDO_INCLUDE.fullmatch(text)
            if include is not None:
                target = include[2].strip().strip('"')
                # A relative path is one beside the file that names it.
                target = target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}"
                is_folder = include[1] == "includedir"
                pending += [f"{target}/{name}" for name in tree.names(target)] if is_folder else [target]
                yield SudoRule(program="sudo", kind="include", text=target, without_password=False, origin=origin)
            else:
                yield SudoRule(
                    program="sudo",
                    kind=_sudo_kind(text),
                    text=text,
                    without_password=_NO_PASSWORD.search(text) is not None,
                    origin=origin,
                )


def _sudo_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, continued ones joined. A comment ends with its line, whatever it ends with."""
    pending, start = "", 0
    for number, line in lines(tree, path):
        text = line.strip()
        if not pending and text.startswith("#") and not (_SUDO_INCLUDE.fullmatch(text) or _SUDO_NUMBER.match(text)):
            continue
        start = start if pending else number
        pending += text.removesuffix("\\") + (" " if text.endswith("\\") else "")
        if not text.endswith("\\"):
            if pending:
                yield start, pending.strip()
            pending = ""
    if pending.strip():
        yield start, pending.strip()


def _sudo_kind(text: str) -> Literal["rule", "defaults", "alias"]:
    word = re.split(r"[\s@:!>]", text, maxsplit=1)[0]
    if word == "Defaults":
        return "defaults"
    return "alias" if word in {"User_Alias", "Runas_Alias", "Host_Alias", "Cmnd_Alias", "Cmd_Alias"} else "rule"


def _doas(tree: FileTree) -> Iterator[SudoRule]:
    for path in (*_DOAS_FILES, *ordered(tree, _DOAS_FOLDERS, ".conf")):
        for number, text in joined_lines(tree, path):
            without = _DOAS_NO_PASSWORD.match(text) is not None
            origin = Origin(path=path, line=number)
            yield SudoRule(program="doas", kind="rule", text=text, without_password=without, origin=origin)
