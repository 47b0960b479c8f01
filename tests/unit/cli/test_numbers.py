"""Numbers of options: every verb's are finite and bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from builder.cli.group import bedplate
from builder.cli.main import main
from builder.cli.numbers import COUNT, DAYS, SECONDS, SERIAL, Seconds, WholeNumber

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def options(command: click.Command) -> Iterator[click.Parameter]:
    yield from command.params
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from options(found)


def test_every_number_that_a_verb_takes_is_bounded() -> None:
    numbers = [
        item
        for item in options(bedplate)
        if isinstance(item.type, click.types.IntParamType | click.types.FloatParamType)
    ]
    assert {item.name for item in numbers} >= {"timeout", "threshold", "maximum_age", "revocations_serial"}
    assert [item.name for item in numbers if not isinstance(item.type, WholeNumber | Seconds)] == []


@pytest.mark.parametrize(("kind", "highest"), [(COUNT, 1000), (DAYS, 36_500), (SERIAL, 2**53 - 1)])
def test_a_whole_number_has_bounds(kind: WholeNumber, highest: int) -> None:
    assert [kind.convert(text, None, None) for text in ("1", str(highest), "007")] == [1, highest, 7]
    for text in ("0", "-1", str(highest + 1), "9" * 20, "9" * 5000, "1.0", "1e3", "nan", "", " 1", "1_0", "\u0661"):
        with pytest.raises(
            click.BadParameter, match=f"{re.escape(repr(text))} is not a whole number from 1 to {highest}$"
        ):
            kind.convert(text, None, None)


def test_a_time_is_finite() -> None:
    assert [SECONDS.convert(text, None, None) for text in ("1", "2.5", "604800", 600)] == [1, 2.5, 604800, 600]
    for text in ("0", "0.9", "-1", "604801", "1e400", "inf", "-inf", "nan", "", "ten"):
        with pytest.raises(
            click.BadParameter, match=rf"'{text}' is not a number of seconds from 1 to 604800 \(a week\)$"
        ):
            SECONDS.convert(text, None, None)


@pytest.mark.parametrize("seconds", ["1e400", "nan", "inf"])
@pytest.mark.parametrize("verb", ["boot", "build", "rebuild"])
def test_a_timeout_that_never_comes_is_a_usage_error(
    verb: str, seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, str(tmp_path), "--timeout", seconds]) == 2
    assert f"'{seconds}' is not a number of seconds" in capsys.readouterr().err
