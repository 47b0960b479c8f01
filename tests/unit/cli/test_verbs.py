from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from builder import __version__
from builder.cli.group import VERBS, bedplate
from builder.errors import InvalidInputError, ToolMissingError

ROOT = Path(__file__).parents[3]
TEXT = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
"""


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(bedplate, arguments, env=environment, prog_name="bedplate")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with images/node on images/base, which is where we are."""
    (tmp_path / "images" / "node" / "files" / "etc").mkdir(parents=True)
    (tmp_path / "images" / "node" / "image.yaml").write_text(TEXT)
    (tmp_path / "images" / "node" / "files" / "etc" / "motd").write_text("hello\n")
    (tmp_path / "images" / "base").mkdir()
    (tmp_path / "images" / "base" / "mkosi.conf.j2").write_text("[Output]\nImageId={{ definition.name }}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("option", ["--vault", "--snapshot"])
@pytest.mark.parametrize("url", ["s3://secret", "https://me:secret@example.org/vault", "https://example.org/?secret"])
def test_a_url_that_is_not_read_is_refused_and_not_repeated(option: str, url: str, images: Path) -> None:
    shown = invoke("lock", "node", option, url)
    assert shown.exit_code == 2
    assert "an http, https or file URL without user name" in shown.output
    assert "secret" not in shown.output
    assert sorted(path.name for path in images.iterdir()) == ["images"]


def test_a_snapshot_is_a_url(images: Path) -> None:
    assert invoke("lock", "node", "--snapshot", "snapshots").exit_code == 2


def test_the_version_is_that_of_the_package() -> None:
    assert invoke("--version").output == f"bedplate {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_listed_with_its_own_summary(verb: str) -> None:
    command = bedplate.get_command(None, verb)  # type: ignore[arg-type]
    assert command is not None
    assert command.short_help == VERBS[verb]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_help_with_examples_that_name_it(verb: str) -> None:
    shown = invoke(verb, "--help")
    assert shown.exit_code == 0
    assert re.search(rf"^Examples:\n  bedplate {verb}", shown.output, re.MULTILINE)


def test_help_imports_no_verb() -> None:
    code = """
import sys
from builder.cli.main import main
main(["--help"])
loaded = [name for name in sys.modules if name.startswith(("builder.definition", "builder.mkosi", "rich", "msgspec"))]
sys.exit(f"loaded {loaded}" if loaded else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_a_misspelt_verb_is_told_with_the_nearest() -> None:
    shown = CliRunner().invoke(bedplate, ["rendr"])
    assert shown.exit_code == 2
    assert "there is no verb 'rendr'; did you mean render?" in shown.output


def test_render_writes_the_tree_and_prints_where(images: Path) -> None:
    shown = invoke("render", "node")
    assert shown.stdout == "dist/node/1.0.0.mkosi\n"
    tree = images / "dist" / "node" / "1.0.0.mkosi"
    assert (tree / "mkosi.conf").read_text() == "[Output]\nImageId=node\n"
    assert (tree / "mkosi.extra" / "etc" / "motd").read_text() == "hello\n"


def test_render_tells_all_about_the_tree_in_json(images: Path) -> None:
    environment = {"BEDPLATE_MIRROR": "http://mirror.example.org/debian"}
    told = json.loads(invoke("render", "images/node", "-o", "tree", "--format", "json", **environment).stdout)
    assert told["tree"] == "tree"
    assert told["mirror"] == {"url": "http://mirror.example.org/debian", "origin": "BEDPLATE_MIRROR"}
    assert set(told["entries"]) == {"mkosi.conf", "mkosi.extra/etc/motd"}
    assert re.fullmatch("[0-9a-f]{64}", told["definition_digest"]["sha256"])


def test_render_does_not_write_over_a_tree_unless_told(images: Path) -> None:
    invoke("render", "node", "-o", "tree")
    (images / "tree" / "stale").touch()
    with pytest.raises(InvalidInputError, match="tree already exists"):
        CliRunner().invoke(bedplate, ["render", "node", "-o", "tree"], catch_exceptions=False)
    assert invoke("render", "node", "-o", "tree", "--force").exit_code == 0
    assert not (images / "tree" / "stale").exists()


def test_render_never_empties_a_directory_that_is_no_tree(images: Path) -> None:
    (images / "home").mkdir()
    (images / "home" / "thesis").touch()
    with pytest.raises(InvalidInputError, match="home is no rendered tree"):
        CliRunner().invoke(bedplate, ["render", "node", "-o", "home", "--force"], catch_exceptions=False)
    assert (images / "home" / "thesis").exists()


def test_a_definition_that_is_refused_leaves_nothing(images: Path) -> None:
    (images / "images" / "node" / "image.yaml").write_text(TEXT + "sshd: true\n")
    with pytest.raises(InvalidInputError, match="sshd is not a known key"):
        CliRunner().invoke(bedplate, ["render", "node"], catch_exceptions=False)
    assert not (images / "dist").exists()


def test_render_prints_the_committed_schema_without_an_image() -> None:
    assert invoke("render", "--schema").stdout == (ROOT / "images" / "image.schema.json").read_text()


def test_doctor_tells_each_requirement_in_json(tmp_path: Path) -> None:
    told = json.loads(invoke("doctor", "--cache", str(tmp_path), "--format", "json").stdout)
    python = next(item for item in told["requirements"] if item["name"] == "python")
    assert python["found"] == sys.executable
    assert python["problem"] is None
    assert told["ok"] == all(item["problem"] is None for item in told["requirements"])


def test_doctor_tells_everything_that_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    runner = CliRunner()
    arguments = ["doctor", "--cache", str(tmp_path), "--toolchain", str(tmp_path / "tree")]
    shown = runner.invoke(bedplate, arguments)
    assert isinstance(shown.exception, ToolMissingError)
    assert "remove the tree; the next build makes it anew" in str(shown.exception)
    assert re.search(r"^no +toolchain ", shown.stdout, re.MULTILINE)
    assert re.search(r"^ok +python ", shown.stdout, re.MULTILINE)


def test_a_table_is_not_wrapped_where_a_program_reads_it(tmp_path: Path) -> None:
    shown = invoke("doctor", "--cache", str(tmp_path / ("x" * 150)), COLUMNS="40")
    assert re.search(rf"^ok +disk space .*{'x' * 150}$", shown.stdout, re.MULTILINE)
    assert not any(line.endswith(" ") for line in shown.stdout.splitlines())


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_for_terminals_that_want_it(no_color: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    environment |= {"NO_COLOR": no_color} if no_color else {}
    command = f"{sys.executable} -c 'from builder.cli.main import entry_point; entry_point()' nonsense"
    # script(1) gives the command a terminal.
    argv = ["/usr/bin/env", "script", "-qec", command, "/dev/null"]
    done = subprocess.run(argv, env=environment, capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert (b"\x1b[" in done.stdout) == (not no_color)
