"""What configuration of the dynamic linker and of OpenSSL has every program load, and where it is looked for."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from builder.facts.syntax import MAX_CONFIGURATION, plain_lines
from builder.facts.text import statements
from policies.facts import LoadedPath, Origin
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from builder.facts.tree import FileTree

_LINKER: Final = "/etc/ld.so.conf"
_CACHE: Final = "/etc/ld.so.cache"
# musl ldso/dynlink.c, ``load_library``: colons and line breaks separate.
_MUSL: Final = re.compile(r"/etc/ld-musl-[^/]+\.path")
_OPENSSL: Final = re.compile(r"/(?:etc/ssl|etc/pki/tls|usr/lib/ssl|usr/local/ssl)/(?:openssl[^/]*\.d/)?[^/]+\.cnf")
# config(5), "ENGINE Configuration Module" and "Provider Configuration Module".
_OPENSSL_LOADS: Final = frozenset({"dynamic_path", "module", ".include"})
# glibc sysdeps/generic/dl-cache.h, ``cache_file_new`` and ``file_entry_new``.
_MAGIC: Final = b"glibc-ld.so.cache1.1"
_COUNT_AT: Final = 20
_HEADER: Final = 48
_ENTRY: Final = struct.Struct("<iIIIQ")
# Distributions have a handful; in a chain each is a level of recursion.
_MAX_INCLUDED: Final = 256


def loaded_paths(tree: FileTree) -> tuple[LoadedPath, ...]:
    """All that the files name, each once, in their order. Raises InvalidInputError for a file that is too large."""
    found = [*_linker(tree, _LINKER, set()), *_cache(tree)]
    for path in sorted(tree.nodes):
        if _MUSL.fullmatch(path):
            found += [
                LoadedPath(path=name, origin=origin)
                for origin, text in statements(tree, path)
                for name in text.split(":")
            ]
        elif _OPENSSL.fullmatch(path):
            found += _openssl(tree, path)
    return tuple(dict.fromkeys(found))


def _linker(tree: FileTree, path: str, seen: set[str]) -> Iterator[LoadedPath]:
    """Directories of ld.so.conf (glibc elf/ldconfig.c, ``parse_conf``), with what it includes by patterns."""
    if path in seen:
        return
    if len(seen) >= _MAX_INCLUDED:
        yield LoadedPath(path="", origin=Origin(path=path, line=None))
        return
    seen.add(path)
    for origin, text in statements(tree, path, _linker_lines):
        word, _, rest = text.partition(" ")
        if word == "include" and rest:
            for pattern in rest.split():
                whole = pattern if pattern.startswith("/") else f"{path.rpartition('/')[0]}/{pattern}"
                yield LoadedPath(path=whole, origin=origin)
                for name in _fitting(tree, whole):
                    yield from _linker(tree, name, seen)
        elif word != "hwcap":
            yield LoadedPath(path=text.partition("=")[0].strip(), origin=origin)


def _linker_lines(tree: FileTree, path: str) -> Iterator[tuple[int, str]]:
    for number, line in plain_lines(tree, path):
        text = " ".join(line.partition("#")[0].split())
        if text:
            yield number, text


def _fitting(tree: FileTree, pattern: str) -> tuple[str, ...]:
    """The files of the directory that a pattern names, or of all, if the directory is one itself."""
    folder, _, name = pattern.rpartition("/")
    node = tree.find(folder)
    if node is None:
        return tuple(path for path in sorted(tree.nodes) if matches(pattern, path, "/"))
    return tuple(f"{folder}/{other}" for other in tree.names(folder) if matches(name, other, "/"))


def _cache(tree: FileTree) -> Iterator[LoadedPath]:
    """Libraries that ld.so.cache names; an empty path for what cannot be read of it."""
    content = bytes(tree.content(_CACHE, MAX_CONFIGURATION))
    if not content:
        return
    origin = Origin(path=_CACHE, line=None)
    count = int.from_bytes(content[_COUNT_AT : _COUNT_AT + 4], "little")
    if not content.startswith(_MAGIC) or _HEADER + count * _ENTRY.size > len(content):
        yield LoadedPath(path="", origin=origin)
        return
    for _, _, value, _, _ in _ENTRY.iter_unpack(content[_HEADER : _HEADER + count * _ENTRY.size]):
        end = content.find(b"\0", value, value + 4096)
        name = content[value:end] if end >= 0 else b""
        yield LoadedPath(path=name.decode("utf-8", "backslashreplace"), origin=origin)


def _openssl(tree: FileTree, path: str) -> Iterator[LoadedPath]:
    """Modules and files that a configuration of OpenSSL names by path; a bare name is looked for where it belongs."""
    for origin, text in statements(tree, path):
        key, _, value = text.replace("=", " ", 1).partition(" ")
        name = value.strip(" \t\"'")
        # "name.module" is "module" of a command that the name tells apart from others.
        is_loaded = key in _OPENSSL_LOADS or key.rpartition(".")[2] in _OPENSSL_LOADS
        if is_loaded and not {"/", "$"}.isdisjoint(name):
            yield LoadedPath(path=name, origin=origin)
