"""Numbers that options take: finite and bounded, and refused in a sentence that says the bounds."""

from __future__ import annotations

import math
from typing import Any, Final

import click

_MOST_DIGITS: Final = 20
_WEEK: Final = 7 * 24 * 3600


class WholeNumber(click.IntRange):
    """A whole number from ``lowest`` to ``highest``."""

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__(min=lowest, max=highest)
        self._accepted = range(lowest, highest + 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Raises BadParameter for everything else."""
        text = str(value)
        is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
        if not is_number or int(text) not in self._accepted:
            self.fail(f"{value!r} is not a whole number from {self.min} to {self.max}", param, ctx)
        return int(text)


class Seconds(click.FloatRange):
    """How long something may take: from one second to a week."""

    def __init__(self) -> None:
        super().__init__(min=1, max=_WEEK)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of seconds. Raises BadParameter for everything else, NaN and infinity too."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 1 <= number <= _WEEK:  # false for NaN
            self.fail(f"{value!r} is not a number of seconds from 1 to {_WEEK} (a week)", param, ctx)
        return number


COUNT: Final = WholeNumber(1, 1000)
SERIAL: Final = WholeNumber(1, 2**53 - 1)
PCR: Final = WholeNumber(0, 23)
DAYS: Final = WholeNumber(1, 36_500)
PORT: Final = WholeNumber(1, 65_535)
MEBIBYTES: Final = WholeNumber(256, 1 << 20)
SECONDS: Final = Seconds()
