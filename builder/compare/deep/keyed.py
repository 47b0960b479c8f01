"""Files of keys and values: JSON, YAML, INI (units, repositories), shell-like assignments, kernel configurations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_LEAVES: Final = 100_000
_MAX_BYTES: Final = 16 << 20
_INI: Final = re.compile(
    r"\.(?:ini|cfg|desktop|repo|sources|(?:conf\.d/[^/]+\.)?conf|service|socket|target|mount|automount|swap|timer|path"
    r"|slice|scope|link|netdev|network|preset|dnssd|nspawn)$"
)
_ASSIGNMENTS: Final = re.compile(r"(?:^|/)(?:os-release|initrd-release|config(?:-[^/]*)?|environment|locale\.conf)$")
_SECTION: Final = re.compile(r"\[([^\]]+)\]\s*")
_KEY: Final = re.compile(r"\s*([A-Za-z0-9_.\-]+)\s*=\s*(.*)")


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
    if name.endswith((".yaml", ".yml")):
        return _structured(text, yaml.safe_load)
    if name.endswith(".json"):
        return _structured(text, json.loads)
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
        header, key = _SECTION.fullmatch(line.strip()), _KEY.fullmatch(line)
        if line.lstrip().startswith(("#", ";")):
            found.setdefault("=comments", []).append(line.strip())
        elif header is not None:
            section = f"{header[1]}."
        elif key is not None:
            found.setdefault(section + key[1], []).append(key[2].strip())
        else:
            return None
    return {name: "\n".join(values) for name, values in found.items()} or None
