from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING

import click
import msgspec
import pytest

from builder import errors
from builder.cli.errors import printable, render
from builder.cli.output import to_stdout
from builder.errors import NotVerifiedError

if TYPE_CHECKING:
    from collections.abc import Callable


def test_an_error_is_a_sentence() -> None:
    assert render(errors.InvalidInputError("image.yaml is empty")) == "error: image.yaml is empty\n"


def test_a_hint_comes_last() -> None:
    error = errors.NotVerifiedError(
        "the release is not verified", ("PCR 4 differs", "root differs"), hint="build again"
    )
    assert render(error) == (
        "error: the release is not verified\n  - PCR 4 differs\n  - root differs\nhint: build again\n"
    )


def test_the_last_words_of_a_tool_are_indented() -> None:
    error = errors.ToolFailedError("mkosi failed with exit status 1:\nE: no space\n\nE: giving up", hint="see the log")
    assert render(error) == (
        "error: mkosi failed with exit status 1:\n  E: no space\n  \n  E: giving up\nhint: see the log\n"
    )


def test_a_tool_cannot_steer_the_terminal() -> None:
    error = errors.ToolFailedError("x:\n\x1b[2J\x1b]0;title\x07\r\x9b1m\u202e\tend \ud800")
    assert render(error) == "error: x:\n  \\x1b[2J\\x1b]0;title\\x07\\r\\x9b1m\\u202e\tend \\ud800\n"


@pytest.mark.parametrize("text", ["", "plain", "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "two\nlines", "a\tb"])
def test_what_can_be_printed_stays(text: str) -> None:
    assert printable(text) == text


def test_an_error_without_words_is_named() -> None:
    assert render(errors.BedplateError("")) == "error: BedplateError\n"


def test_a_usage_error_says_how_to_get_help() -> None:
    context = click.Context(click.Command("render"), info_name="bedplate render")
    error = click.UsageError("Missing argument 'IMAGE'.", context)
    assert render(error) == ("error: missing argument 'IMAGE'\nhint: `bedplate render --help` shows what it takes\n")


def test_a_full_disk_is_told_without_traceback() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/dist/x")
    assert render(error) == "error: /dist/x: No space left on device\n"


def test_an_interrupt_is_told_in_a_word() -> None:
    assert render(KeyboardInterrupt()) == "error: interrupted\n"


def test_a_bug_comes_with_its_traceback_and_asks_for_a_report() -> None:
    try:
        {}["missing"]
    except KeyError as error:
        told = render(error)
    lines = told.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-3:] == [
        "KeyError: 'missing'",
        "error: this is a bug in bedplate: KeyError",
        "hint: please report it, with the lines above and the command that you ran",
    ]


def test_a_line_feed_in_a_problem_does_not_make_a_line_of_its_own() -> None:
    error = NotVerifiedError("no", ("a\nverified: yes: no statement knows this file",))
    assert render(error) == "error: no\n  - a\\nverified: yes: no statement knows this file\n"


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (lambda: json.loads("[" * 100_000), "it is nested too deep"),
        (lambda: msgspec.json.decode(b"[" * 100_000), "it is nested too deep"),
        (b"abc\xff".decode, "the byte 0xff at offset 0x3 is not UTF-8"),
        (lambda: json.loads('{"a":\n x}'), "line 2, column 2: expecting value"),
        (lambda: msgspec.convert({"a": 1}, dict[str, str]), "Expected `str`, got `int` - at `$[...]`"),
    ],
)
def test_bad_input_is_told_without_the_terms_of_python(raised: Callable[[], object], words: str) -> None:
    with pytest.raises((ValueError, RecursionError)) as caught:
        raised()
    assert errors.in_words(caught.value) == words


def test_standard_output_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(click, "echo", full)
    with pytest.raises(OSError, match="No space left") as caught:
        to_stdout("data")
    assert render(caught.value) == "error: standard output: No space left on device\n"


def test_standard_output_that_nobody_reads_is_no_failure_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(click, "echo", broken)
    with pytest.raises(BrokenPipeError) as caught:
        to_stdout("data")
    assert caught.value.filename is None
