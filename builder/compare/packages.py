"""Debian packages of root, initrd and toolchain: versions in their order, and which of them security rests on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.compare.baseline import InstalledPackage, Unknown
from builder.compare.difference import Difference, Field, node_id
from builder.compare.parts import not_compared, pair, presence, topic
from builder.image import debversion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from builder.compare.baseline import Baseline, Outside
    from builder.compare.difference import Topic
    from builder.compare.entries import Entry

NAME: Final = "packages"
TOOLCHAIN: Final = "toolchain"
FROM_SECURITY: Final = "from the security archive"
# Packages that keep secrets, speak to the network before anybody is authenticated, decide who may do what, or run with
# every privilege on this image. A name without "*" is the whole name.
SECURITY_RELEVANT: Final = (
    "apparmor", "apt", "ca-certificates", "containerd*", "crun", "cryptsetup*", "dbus*", "debian-archive-keyring",
    "dmsetup", "docker*", "firmware-*", "gnupg*", "gpgv*", "intel-microcode", "amd64-microcode", "libapparmor*",
    "libc6", "libcap2*", "libcrypt1", "libcryptsetup*", "libcurl*", "libgcrypt*", "libgnutls*", "libkrb5*", "liblzma5",
    "libp11-kit*", "libpam*", "libseccomp*", "libselinux*", "libssh*", "libssl*", "libsystemd*", "libtss2*", "libudev1",
    "libxml2*", "linux-image-*", "login", "login.defs", "nvidia-*", "openssh-*", "openssl*", "passwd", "podman", "runc",
    "shim*", "sudo*", "systemd*", "tpm2-tools", "udev", "util-linux", "zlib1g",
)  # fmt: skip
_SECURITY: Final = re.compile("|".join(re.escape(name).replace(r"\*", ".*") for name in SECURITY_RELEVANT))


def compare_packages(old: Baseline, new: Baseline) -> Topic:
    """The packages of root and initrd: as the builds recorded them, else as far as they own files."""
    both = installed(old, new)
    if not isinstance(both, tuple):
        return not_compared(NAME, "Packages", both)
    return topic(NAME, "Packages", package_differences(NAME, *both))


def compare_toolchain(old: Baseline, new: Baseline) -> Topic:
    """The packages that built the image."""
    both = pair(old.toolchain, new.toolchain)
    if not isinstance(both, tuple):
        return not_compared(TOOLCHAIN, "Toolchain", both)
    return topic(TOOLCHAIN, "Toolchain", package_differences(TOOLCHAIN, *both))


def installed(
    old: Baseline, new: Baseline
) -> tuple[tuple[InstalledPackage, ...], tuple[InstalledPackage, ...]] | Unknown | Outside:
    """The packages of both sides from the same kind of source, so that the difference is none of the sources."""
    recorded = pair(old.packages, new.packages)
    if isinstance(recorded, tuple):
        return recorded
    files = pair(old.files, new.files)
    if isinstance(files, tuple):
        return owning_packages(files[0]), owning_packages(files[1])
    return recorded if isinstance(recorded, Unknown) else files


def owning_packages(entries: Iterable[Entry]) -> tuple[InstalledPackage, ...]:
    """The packages that own at least one file."""
    found = {(entry.area, entry.package, entry.version or "") for entry in entries if entry.package is not None}
    return tuple(InstalledPackage(area, name, version, "") for area, name, version in sorted(found))


def package_id(name: str, area: str, package: str) -> str:
    """The id of the difference of a package in a topic."""
    return node_id(name, area, package)


def package_differences(
    name: str, old: Iterable[InstalledPackage], new: Iterable[InstalledPackage]
) -> Iterator[Difference]:
    """What differs, by area and name. A package that is there for several architectures counts once for each."""
    left, right = _by_name(old), _by_name(new)
    for area, label in sorted(left.keys() | right.keys()):
        one, other = left.get((area, label)), right.get((area, label))
        if one != other and (one is None or other is None or _fields(one, other)):
            yield _difference(name, area, label, one, other)


def _by_name(packages: Iterable[InstalledPackage]) -> dict[tuple[str, str], InstalledPackage]:
    grouped: dict[tuple[str, str], list[InstalledPackage]] = {}
    for package in packages:
        grouped.setdefault((package.area, package.name), []).append(package)
    named: dict[tuple[str, str], InstalledPackage] = {}
    for (area, label), group in grouped.items():
        if len(group) == 1:
            named[area, label] = group[0]
        else:
            named |= {(area, f"{label}:{item.architecture}"): item for item in group}
    return named


def _difference(
    name: str, area: str, label: str, old: InstalledPackage | None, new: InstalledPackage | None
) -> Difference:
    return Difference(
        id=package_id(name, area, label),
        kind="package",
        subject=label,
        change=presence(old, new),
        old=None if old is None else old.version,
        new=None if new is None else new.version,
        area=area,
        notes=tuple(_notes(label, old, new)),
        fields=() if old is None or new is None else _fields(old, new),
    )


def _fields(old: InstalledPackage, new: InstalledPackage) -> tuple[Field, ...]:
    """What differs of what both sides know."""
    values = [("architecture", old.architecture, new.architecture), ("version", old.version, new.version)]
    if old.sha256 and new.sha256:
        values.append(("sha256", old.sha256, new.sha256))
    return tuple(Field(name=name, old=one, new=other) for name, one, other in values if one != other)


def _notes(label: str, old: InstalledPackage | None, new: InstalledPackage | None) -> Iterator[str]:
    if old is not None and new is not None:
        order = debversion.compare(old.version, new.version)
        if order:
            yield "upgrade" if order < 0 else "downgrade"
        elif old.version == new.version:
            yield "the same version, another package"
        else:
            yield "another spelling of the same version"
    if new is not None and new.is_security:
        yield FROM_SECURITY
    if _SECURITY.fullmatch(label.partition(":")[0]):
        yield "security-relevant"
