"""The package sources of a Debian host, as apt reads them (sources.list(5)), and which of them are Debian's archive."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ONE_LINE: Final = re.compile(r"(?P<type>deb|deb-src)\s+(\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<rest>.+)")
_ARCHIVE_PATH: Final = re.compile(r"/debian(/[0-9]{8}T[0-9]{6}Z)?/?\Z")  # the second form is a dated snapshot
_PLAIN_SUITE: Final = re.compile(r"[a-z]+")
# Suites of the archive that a source may name without saying which keys sign it.
_DEBIAN_SUITES: Final = frozenset(
    ("oldoldstable", "oldstable", "stable", "testing", "unstable", "sid",
     "buster", "bullseye", "bookworm", "trixie", "forky", "duke")
)  # fmt: skip
_DEBIAN_KEYRING: Final = re.compile(r"(.*/)?debian-archive-[A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One entry of apt's lists. ``signed_by`` is a key file's path, a key block, or empty."""

    file: str
    types: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    architectures: tuple[str, ...] = ()
    signed_by: str = ""
    enabled: bool = True


def parse_deb822(text: str, file: str) -> Iterator[AptSource]:
    """The entries of a ``.sources`` file. Entries that lack a field are left out, as they name no archive."""
    for fields in _stanzas(text):
        source = _source(fields, file)
        if source.types and source.uris and source.suites:
            yield source


def parse_one_line(text: str, file: str) -> Iterator[AptSource]:
    """The entries of a ``.list`` file. Lines of another form are left out."""
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
        suite, *components = match["rest"].split()
        yield AptSource(
            file=file,
            types=(match["type"],),
            uris=(match["uri"],),
            suites=(suite,),
            components=tuple(components),
            architectures=tuple(options.get("arch", "").replace(",", " ").split()),
            signed_by=options.get("signed-by", ""),
        )


def is_debian_archive(source: AptSource, *, architecture: str = "amd64") -> bool:
    """Whether the entry is a mirror of Debian's main archive, by what it says of itself.

    A third party's repository, and Debian's security, debug, backports and ports archives are not. A wrong answer is
    no security matter: packages are accepted by the archive's signature, wherever they come from.
    """
    if not source.enabled or "deb" not in source.types or "main" not in source.components:
        return False
    if source.architectures and architecture not in source.architectures:
        return False
    if source.signed_by:
        named = all(_DEBIAN_KEYRING.fullmatch(key) for key in re.split(r"[,\s]+", source.signed_by))
        return named and any(_PLAIN_SUITE.fullmatch(suite) for suite in source.suites)
    return any(suite in _DEBIAN_SUITES for suite in source.suites)


def is_security_archive(source: AptSource, *, architecture: str = "amd64") -> bool:
    """Whether the entry is a mirror of Debian's security archive, by what it says of itself."""
    if not source.enabled or "deb" not in source.types or "main" not in source.components:
        return False
    if source.architectures and architecture not in source.architectures:
        return False
    return any(
        suite.removesuffix("-security") in _DEBIAN_SUITES for suite in source.suites if suite.endswith("-security")
    )


def is_archive_url(url: str) -> bool:
    """Whether the path of a URL is one at which mirrors keep Debian's archive."""
    _host, slash, path = url.partition("://")[2].partition("/")
    return _ARCHIVE_PATH.search(slash + path) is not None


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Fields by lower-case name of each paragraph of a deb822 file."""
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += f"\n{line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()


def _source(fields: Mapping[str, str], file: str) -> AptSource:
    def words(name: str) -> tuple[str, ...]:
        return tuple(fields.get(name, "").split())

    return AptSource(
        file=file,
        types=words("types"),
        uris=words("uris"),
        suites=words("suites"),
        components=words("components"),
        architectures=words("architectures"),
        signed_by=fields.get("signed-by", "").strip(),
        # apt takes these words for no (StringToBool).
        enabled=fields.get("enabled", "yes").strip().lower() not in {"no", "false", "without", "off", "disable", "0"},
    )
