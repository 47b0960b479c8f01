"""Which Debian archive packages come from, decided where a build starts and never in a committed file."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from builder.definition.apt_sources import (
    AptSource,
    is_archive_url,
    is_debian_archive,
    is_security_archive,
    parse_deb822,
    parse_one_line,
)
from builder.definition.text import MIRROR_PATTERN
from builder.errors import InvalidInputError
from builder.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ENVIRONMENT_VARIABLE: Final = "BEDPLATE_MIRROR"
SECURITY_VARIABLE: Final = "BEDPLATE_SECURITY_MIRROR"
APT_DIRECTORY: Final = Path("/etc/apt")
_MAX_SOURCES_BYTES: Final = 1 << 20
# apt reads only files with such names (apt.conf(5), "Configuration files").
_LIST_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+\.(list|sources)")
_MIRROR_FILE: Final = "mirror+file:"


@dataclass(frozen=True, slots=True)
class Mirror:
    """The URL of a Debian archive, without final slash, and where it was named.

    ``security`` is where Debian's security archive is; None means beside it, at the usual path.
    """

    url: str
    origin: str
    security: str | None = None


def find_mirror(
    option: str | None, environment: Mapping[str, str], definition: str | None, *, apt: Path = APT_DIRECTORY
) -> Mirror | None:
    """The mirror to use: ``--mirror``, BEDPLATE_MIRROR, the definition's, the host's own; None for mkosi's default.

    Where the security archive is says BEDPLATE_SECURITY_MIRROR, or the host if its mirror is used, too. Raises
    InvalidInputError if the first of them that is given is no usable URL.
    """
    named = environment.get(SECURITY_VARIABLE)
    security = checked(named, SECURITY_VARIABLE).url if named else None
    for url, origin in (
        (option, "--mirror"),
        (environment.get(ENVIRONMENT_VARIABLE), ENVIRONMENT_VARIABLE),
        (definition, "distribution.mirror of the definition"),
    ):
        if url:
            return replace(checked(url, origin), security=security)
    found = from_apt(host_sources(apt))
    return found if found is None or security is None else replace(found, security=security)


def checked(url: str, origin: str) -> Mirror:
    """A mirror that a person named. Raises InvalidInputError if it is no http, https or file URL."""
    if not re.fullmatch(MIRROR_PATTERN, url):
        # The URL is not repeated: it may hold a password, and this message may go to a log.
        raise InvalidInputError(
            f"{origin} is not an http, https or file URL without user name, query and fragment",
            hint="give the archive's root, such as https://mirror.example.org/debian",
        )
    return Mirror(url.rstrip("/"), origin)


def from_apt(sources: Iterable[AptSource]) -> Mirror | None:
    """The first mirror of Debian's archive among a host's sources, with the first of its security archive."""
    sources = tuple(sources)
    security = next((uri for source in sources if is_security_archive(source) for uri in _usable(source)), None)
    for source in sources:
        if not is_debian_archive(source):
            continue
        for uri in _usable(source):
            if is_archive_url(uri):
                return Mirror(uri, f"apt sources of this host ({source.file})", security)
    return None


def _usable(source: AptSource) -> Iterator[str]:
    return (uri.rstrip("/") for uri in source.uris if re.fullmatch(MIRROR_PATTERN, uri))


def host_sources(apt: Path = APT_DIRECTORY) -> Iterator[AptSource]:
    """The entries of a host's apt lists in apt's order; files that cannot be read are passed over."""
    directory = apt / "sources.list.d"
    names = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    for path in [apt / "sources.list", *(directory / name for name in names if _LIST_NAME.fullmatch(name))]:
        parse = parse_deb822 if path.suffix == ".sources" else parse_one_line
        for source in parse(_text(path), str(path)):
            yield _with_mirror_files(source)


def _with_mirror_files(source: AptSource) -> AptSource:
    """The entry with each ``mirror+file:`` replaced by the URLs that file lists (apt-transport-mirror(1)).

    Debian's cloud images name their mirror in this way.
    """
    uris: list[str] = []
    for uri in source.uris:
        if uri.startswith(_MIRROR_FILE):
            lines = _text(Path(uri.removeprefix(_MIRROR_FILE))).splitlines()
            uris += [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        else:
            uris.append(uri)
    return replace(source, uris=tuple(uris))


def _text(path: Path) -> str:
    try:
        return read_bytes(path, what="apt sources", limit=_MAX_SOURCES_BYTES).decode(errors="replace")
    except InvalidInputError:
        return ""
