"""What boot loaders are configured to start: entries of the Boot Loader Specification, and commands of GRUB.

Sources: UAPI.1 Boot Loader Specification, "Type #1 Boot Loader Specification Entries"; loader.conf(5) of systemd;
GRUB manual, "Shell-like scripting". A GRUB configuration is a program, and is not run: each command that loads a kernel
is an entry, whatever conditions stand around it.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Final

from builder.facts.boot import command_line
from builder.facts.boot_volumes import content
from policies.facts import BootEntry, LoaderMenu, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.boot_volumes import BootFile, BootVolume, Gaps

_MAX_CONFIGURATION: Final = 1 << 20
_ENTRY: Final = re.compile(r"/loader/entries/[^/]+\.conf", re.IGNORECASE)
_LOADER_CONF: Final = "/loader/loader.conf"
_GRUB_CONFIGURATION: Final = re.compile(r"(.*/)?grub[^/]*\.cfg", re.IGNORECASE)
_GRUB_KERNEL: Final = frozenset({"linux", "linux16", "linuxefi", "chainloader", "multiboot", "multiboot2", "kernel"})
_GRUB_INITRD: Final = frozenset({"initrd", "initrd16", "initrdefi"})
_GRUB_KEYWORDS: Final = frozenset({"{", "}", "then", "else", "do"})
_NO: Final = frozenset({"0", "no", "n", "false", "f", "off"})


def loader_entries(volume: BootVolume, gaps: Gaps) -> Iterator[BootEntry]:
    """The entries in loader/entries and in every grub.cfg of a volume."""
    for _, file in sorted(volume.files.items()):
        path = file.path.removeprefix("/boot") if volume.name == "root" else file.path
        if _ENTRY.fullmatch(path):
            yield from _type_1(file, gaps)
        elif _GRUB_CONFIGURATION.fullmatch(path):
            yield from _grub(file, gaps)


def systemd_boot_menu(volume: BootVolume, program: str, gaps: Gaps) -> LoaderMenu:
    """The menu of a systemd-boot at ``program``: the editor is on unless loader.conf says no."""
    file = volume.find(_LOADER_CONF)
    settings = {} if file is None else dict(_pairs(file, gaps))
    editor = settings.get("editor", "yes").lower() not in _NO
    path = program if file is None else file.path
    return LoaderMenu(
        loader="systemd-boot", volume=volume.name, path=path, editor=editor, timeout=settings.get("timeout")
    )


def grub_menus(volume: BootVolume, gaps: Gaps) -> Iterator[LoaderMenu]:
    """A menu for each configuration of GRUB: it has an editor and a shell unless somebody is named as superuser."""
    for _, file in sorted(volume.files.items()):
        if not _GRUB_CONFIGURATION.fullmatch(file.path):
            continue
        values = {
            name: value
            for _, words in _commands(file, gaps)
            if len(words) > 1 and words[0] in {"set", "export"}
            for name, _, value in [words[1].partition("=")]
        }
        yield LoaderMenu(
            loader="grub",
            volume=volume.name,
            path=file.path,
            editor=not values.get("superusers"),
            timeout=values.get("timeout"),
        )


def _type_1(file: BootFile, gaps: Gaps) -> Iterator[BootEntry]:
    pairs = list(_pairs(file, gaps))
    first = dict(reversed(pairs))
    kernel = first.get("linux") or first.get("efi") or first.get("uki")
    if kernel is None:
        gaps.add(f"{file.volume}:{file.path}", "the entry names no kernel, so what it starts is not known")
        return
    yield BootEntry(
        kind="loader-entry",
        volume=file.volume,
        origin=Origin(path=file.path, line=None),
        title=first.get("title"),
        kernel=kernel,
        initrds=tuple(value for key, value in pairs if key == "initrd"),
        command_line=command_line(" ".join(value for key, value in pairs if key == "options")),
    )


def _grub(file: BootFile, gaps: Gaps) -> Iterator[BootEntry]:
    title: str | None = None
    entry: BootEntry | None = None
    for line, words in _commands(file, gaps):
        command, arguments = words[0], words[1:]
        if command in {"menuentry", "submenu"} and arguments:
            title = arguments[0]
        elif command in _GRUB_KERNEL and arguments:
            if entry is not None:
                yield entry
            entry = BootEntry(
                kind="grub",
                volume=file.volume,
                origin=Origin(path=file.path, line=line),
                title=title,
                kernel=_without_device(arguments[0]),
                initrds=(),
                command_line=command_line(" ".join(arguments[1:])),
            )
        elif command in _GRUB_INITRD and entry is not None:
            yield _with_initrds(entry, arguments)
            entry = None
    if entry is not None:
        yield entry


def _with_initrds(entry: BootEntry, arguments: list[str]) -> BootEntry:
    return BootEntry(
        kind=entry.kind,
        volume=entry.volume,
        origin=entry.origin,
        title=entry.title,
        kernel=entry.kernel,
        initrds=tuple(_without_device(argument) for argument in arguments),
        command_line=entry.command_line,
    )


def _without_device(path: str) -> str:
    """A path of GRUB without "(hd0,gpt2)" or "($root)" before it."""
    return re.sub(r"^\([^)]*\)", "", path)


def _pairs(file: BootFile, gaps: Gaps) -> Iterator[tuple[str, str]]:
    for text in _lines(file, gaps):
        key, _, value = text.strip().partition(" ")
        if key and not key.startswith("#"):
            yield key.replace("\t", " ").split(" ")[0], (value or text.strip().partition("\t")[2]).strip()


def _commands(file: BootFile, gaps: Gaps) -> Iterator[tuple[int, list[str]]]:
    """Lines as words, numbered from 1; what is no list of words (an open quote) is split at white space."""
    pending, first = "", 0
    for number, text in enumerate(_lines(file, gaps), start=1):
        pending, first = (pending + text, first) if pending else (text, number)
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        yield from ((first, words) for part in pending.split(";") for words in _words(part))
        pending = ""


def _words(text: str) -> Iterator[list[str]]:
    """The commands of a piece of a line, each as words: what is in braces, or behind a keyword, is one of its own."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:
        words = text.split()
    command: list[str] = []
    for word in words:
        if word not in _GRUB_KEYWORDS:
            command.append(word)
        elif command:
            yield command
            command = []
    if command:
        yield command


def _lines(file: BootFile, gaps: Gaps) -> list[str]:
    data = content(file, gaps, _MAX_CONFIGURATION)
    return [] if data is None else bytes(data).decode("utf-8", "backslashreplace").splitlines()
