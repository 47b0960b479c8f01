"""What the harnesses share: the first byte of an input chooses a reader, and a refusal is an answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import atheris

from builder.errors import InvalidInputError, NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def fuzz(readers: Sequence[Callable[[bytes], object]]) -> None:
    """Give inputs to the readers for as long as the command line allows; anything but a refusal is a finding."""

    def one_input(data: bytes) -> None:
        if not data:
            return
        try:
            readers[data[0] % len(readers)](data[1:])
        except (InvalidInputError, NotVerifiedError):
            return

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
