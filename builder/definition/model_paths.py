"""The files of the weights that units of an image name, and whether the weights have them.

An engine finds the weights at ``/weights``, which is ``/run/weights`` of the node. One that is told to read a file that
is not there ends, and is started again for ever, in a node whose engine prints nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from builder.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from builder.weights.identity import WeightsIdentity

UNIT_SUFFIX: Final = ".service"
_NAME: Final = "[A-Za-z0-9_][A-Za-z0-9._+-]*"
# A name that systemd completes (%i, $MODEL) is not known here.
_PATH: Final = re.compile(rf"(?<![\w./-])(?:/run)?/weights/((?>{_NAME}(?:/{_NAME})*))(?![%$])")
_SHOWN_FILES: Final = 3


def check_model_paths(unit: Path, content: bytes, weights: WeightsIdentity) -> None:
    """Raise InvalidInputError that names the line of ``unit`` which names a file or directory that is not there."""
    files = [file.path for file in weights.files]
    for number, path in _named(content.decode(errors="replace")):
        if not any(file == path or file.startswith(f"{path}/") for file in files):
            shown = ", ".join(files[:_SHOWN_FILES]) + (" ..." if len(files) > _SHOWN_FILES else "")
            raise InvalidInputError(
                f"{unit}:{number}: it names /weights/{path}, but the weights {weights.name} have {shown}",
                hint="pack the one file that the engine reads, which is then called model and keeps its suffix, "
                "or name in the unit what there is",
            )


def _named(text: str) -> Iterator[tuple[int, str]]:
    """The paths below the weights that a unit names, each with the number of its line."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith(("#", ";")):
            yield from ((number, match[1]) for match in _PATH.finditer(line))
