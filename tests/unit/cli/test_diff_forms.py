"""The forms of ``bedplate diff``: one on standard output, any number in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.cli.diff_forms import DiffForm
from builder.cli.main import main
from builder.compare.difference import Report
from tests.made_releases import Recipe

if TYPE_CHECKING:
    from pathlib import Path

BASE = Recipe()
BEGINNINGS = {
    DiffForm.TEXT: "node 1.0.0 -> node 1.0.1: they differ\n",
    DiffForm.JSON: "{\n",
    DiffForm.MARKDOWN: "### bedplate diff: ",
    DiffForm.HTML: "<!DOCTYPE html>\n",
}


@pytest.fixture
def releases(tmp_path: Path) -> list[str]:
    recipes = (BASE, BASE.but(version="1.0.1"))
    return [str(recipe.write(tmp_path / recipe.version)) for recipe in recipes]


@pytest.mark.parametrize("form", DiffForm)
def test_each_form_goes_to_standard_output_or_into_a_file(
    form: DiffForm, releases: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report"
    arguments = ["diff", "--manifests", *releases]
    assert main([*arguments, "--format", form.value, "--report", f"{form.value}={file}"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(BEGINNINGS[form])
    assert file.read_text() == out


def test_several_files_are_written_in_one_run(releases: list[str], tmp_path: Path) -> None:
    words = [f"--report={form.value}={tmp_path / form.value}" for form in DiffForm]
    assert main(["diff", "--manifests", *releases, *words]) == 1
    assert msgspec.json.decode((tmp_path / "json").read_bytes(), type=Report).old.label == "node 1.0.0"
    assert all((tmp_path / form.value).read_text().startswith(BEGINNINGS[form]) for form in DiffForm)


@pytest.mark.parametrize("value", ["sarif=x", "junit=x", "html", "html=", "=x", "markdown=no/such/directory/x"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_read(
    value: str, releases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", *releases, "--report", value]) == 2
    assert "--report" in capsys.readouterr().err
