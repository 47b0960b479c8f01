"""Files of keys and values: JSON, YAML, TOML, INI (units, repositories), assignments, kernel configurations."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_LEAVES: Final = 100_000
_MAX_BYTES: Final = 16 << 20
# Reading a megabyte of YAML takes seconds.
_MAX_YAML_BYTES: Final = 1 << 20
# The C parser of libyaml where pyyaml has it, which is ten times as fast and gives the same.
_YAML_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INI: Final = re.compile(
    r"\.(?:ini|cfg|desktop|repo|sources|(?:conf\.d/[^/]+\.)?conf|service|socket|target|mount|automount|swap|timer|path"
    r"|slice|scope|link|netdev|network|preset|dnssd|nspawn)$"
)
_ASSIGNMENTS: Final = re.compile(r"(?:^|/)(?:os-release|initrd-release|config(?:-[^/]*)?|environment|locale\.conf)$")
_SECTION: Final = re.compile(r"\[([^\]]+)\]\s*")
# "# CONFIG_X is not set" is how kconfig writes n (Linux, scripts/kconfig/confdata.c).
_UNSET: Final = re.compile(r"# (CONFIG_\w+) is not set")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\-]+)\s*=\s*(.*)")


def _load_yaml(text: str) -> Any:
    return yaml.load(text, _YAML_LOADER)  # noqa: S506 -- one of the two safe loaders


_FORMATS: Final[tuple[tuple[tuple[str, ...], Callable[[str], Any], int], ...]] = (
    ((".yaml", ".yml"), _load_yaml, _MAX_YAML_BYTES),
    ((".json",), json.loads, _MAX_BYTES),
    ((".toml",), tomllib.loads, _MAX_BYTES),
)


class _TooManyLeavesError(Exception):
    pass


def properties(name: str, content: bytes) -> Mapping[str, str] | None:
    """The values by dotted key, None for a file that is none of these or breaks its format."""
    if len(content) > _MAX_BYTES:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    for suffixes, load, limit in _FORMATS:
        if name.endswith(suffixes):
            return _structured(text, load) if len(content) <= limit else None
    if _ASSIGNMENTS.search(name) or _INI.search(name):
        return _assignments(text)
    return None


def _structured(text: str, load: Any) -> Mapping[str, str] | None:
    try:
        return dict(_leaves(load(text), "", [MAX_LEAVES]))
    except (ValueError, RecursionError, yaml.YAMLError, _TooManyLeavesError):
        return None


def _leaves(value: Any, place: str, budget: list[int]) -> Iterator[tuple[str, str]]:
    """Every scalar with its path. An alias bomb of YAML runs out of ``budget``."""
    budget[0] -= 1
    if budget[0] < 0:
        raise _TooManyLeavesError
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}" if place else str(key), budget)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{index}]", budget)
    else:
        yield place, json.dumps(value, default=str)


def _assignments(text: str) -> Mapping[str, str] | None:
    """Sections and keys; a key that is there several times has its values one on a line each.

    None for a line that is neither: what a comparison leaves out must not look equal.
    """
    found: dict[str, list[str]] = {}
    section = ""
    for line in text.replace("\\\n", " ").split("\n"):
        if not line.strip():
            continue
        header, key, unset = _SECTION.fullmatch(line.strip()), _KEY.fullmatch(line), _UNSET.fullmatch(line)
        if unset is not None:
            found.setdefault(unset[1], []).append("n")
        elif line.lstrip().startswith(("#", ";")):
            found.setdefault("=comments", []).append(line.strip())
        elif header is not None:
            section = f"{header[1]}."
        elif key is not None:
            found.setdefault(section + key[1], []).append(key[2].strip())
        else:
            return None
    return {name: "\n".join(values) for name, values in found.items()} or None
