"""Places from which systemd, udev, the bus, the linker and others read configuration."""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, Final

from policies.controls._products import program_name, words
from policies.globs import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policies.facts import Setting, Unit

_ROOTS: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib", "/usr/share", "/usr/local/share")
_FOLDERS: Final = (
    "systemd/system", "systemd/user", "systemd/network", "systemd/transient", "systemd/generator",
    "systemd/generator.early", "systemd/generator.late", "systemd/system.control", "systemd/system.attached",
    "systemd/user.control", "systemd/system-generators", "systemd/system-environment-generators",
    "systemd/system-preset", "systemd/dnssd", "systemd/ntp-units.d", "systemd/nspawn", "udev", "modprobe.d",
    "modules-load.d", "sysctl.d", "tmpfiles.d", "sysusers.d", "binfmt.d", "environment.d", "credstore",
    "credstore.encrypted", "cryptsetup-keys.d", "verity.d", "repart.d", "sysupdate.d", "userdb", "extensions",
    "confexts", "portables", "NetworkManager", "dbus-1", "polkit-1", "ld.so.conf.d",
)  # fmt: skip
_READ: Final = re.compile(
    rf"(?:{'|'.join(_ROOTS)})/(?:{'|'.join(map(re.escape, _FOLDERS))}|systemd/(?:system|user)[.-][a-z.-]+"
    r"|systemd/[a-z]+\.conf(?:\.d)?)(?:/.*)?"
    r"|/etc/(?:environment|fstab|crypttab|veritytab|integritytab|ld\.so\.(?:preload|conf|cache)|rc\.local|init\.d/.+)"
)
# systemd-soft-reboot.service(8), bootup(7), loginctl(1), systemd-sysext(8), portablectl(1).
_TAKEN: Final = (
    "/run/nextroot", "/run/initramfs", "/var/lib/systemd/linger", "/var/lib/extensions", "/var/lib/confexts",
    "/var/lib/portables",
)  # fmt: skip
_PLACES: Final = (*(f"{root}/{folder}" for root in _ROOTS for folder in _FOLDERS), *_TAKEN)
_QUOTES: Final = re.compile(r"[\"'\\]")
_BINDS: Final = words("BindPaths BindReadOnlyPaths")
_COVERS: Final = words("TemporaryFileSystem InaccessiblePaths")
# What gives a unit another tree to read from, and where.
_TREES: Final = {"RootDirectory": "/", "ExtensionDirectories": "/usr"}


def is_read(path: str) -> bool:
    """Whether a path is such a place, or lies below one."""
    return _READ.fullmatch(path) is not None or f"{path}/".startswith(tuple(f"{place}/" for place in _TAKEN))


def leads_to_read(path: str) -> bool:
    """Whether a path, or a pattern, means a place that is read, something below it, or a directory above it."""
    return is_read(path) or any(
        place.startswith(f"{path.rstrip('/')}/") or matches(path, place, "/") for place in _PLACES
    )


def unquoted(value: str) -> str:
    """A value of a unit without what quotes; what was quoted together counts as several words."""
    return _QUOTES.sub("", value)


def bound(value: str) -> Iterator[tuple[str, str]]:
    """Source and target of each word of BindPaths= (systemd.exec(5)); without a target it is the source.

    A colon may be part of a path: all that stands behind one counts as a target.
    """
    for word in unquoted(value).split():
        source, *others = word.lstrip("-").split(":")
        yield from ((source, normpath(f"/{target.lstrip('/')}")) for target in others or [source])


def replaced(unit: Unit) -> Iterator[tuple[Setting, str]]:
    """The places of configuration that a unit sees other files in, or none, than the image has there.

    What systemd brings along reads them, so there a directory above one counts, too.
    """
    is_reader = any(program_name(program).startswith("systemd-") for program in unit.programs)
    for setting in unit.settings:
        targets = [_TREES[setting.key]] if setting.key in _TREES else []
        if setting.key in _BINDS:
            targets = [target for source, target in bound(setting.value) if normpath(source) != target]
        elif setting.key in _COVERS:
            targets = [normpath(word.lstrip("-+").partition(":")[0]) for word in unquoted(setting.value).split()]
        for target in targets:
            if is_read(target) or (is_reader and leads_to_read(target)):
                yield setting, target
                break
