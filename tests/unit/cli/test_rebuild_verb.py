"""What ``bedplate rebuild`` tells of an image that did not come out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from builder.cli.rebuild import _print_difference
from tests.sample_differences import large

if TYPE_CHECKING:
    import pytest


def test_what_moved_the_pcrs_is_told_and_no_advice_to_give_keys_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    report = large(1, 3)
    assert report.key_policies
    _print_difference(report, ())
    told = capsys.readouterr().out
    assert "Why PCRs moved" in told
    assert "AWS KMS" not in told
