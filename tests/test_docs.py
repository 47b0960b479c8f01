"""README and docs: what they name exists, what is generated is up to date, what they show is accepted."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from builder.cli.exitcodes import ExitCode
from builder.cli.group import VERBS, bedplate
from builder.definition.load import parse
from builder.definition.lock import load_lock
from builder.image.inventory_file import from_jsonl
from builder.mkosi.layers import LAYERS, OPTIONAL_LAYERS
from builder.release.reference import BOUND_PCRS
from tests.markdown import PAGES, ROOT, blocks, examples, pattern, run

if TYPE_CHECKING:
    from types import ModuleType

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
WITH_A_MODEL = "<!-- runs: with a model -->"
_FOLDERS = "builder|signing|policies|images|tests|docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_pages_to_look_at() -> None:
    assert len(PAGES) > 20


GENERATED = (
    "command-line.md",
    "image-yaml.md",
    "build-record.md",
    "controls.md",
    "reference-measurements.schema.json",
    "diff.schema.json",
    "gate.schema.json",
    "gate-rules.md",
    "log.schema.json",
    "check-report.schema.json",
    "policy.schema.json",
    "weights.schema.json",
    "model.schema.json",
    "policy-verdict.schema.json",
)


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(generator: ModuleType, name: str) -> None:
    assert (ROOT / "docs/reference" / name).read_text() == generator.pages()[name], "run: make reference"


def test_every_generated_page_is_among_those_that_are_compared(generator: ModuleType) -> None:
    assert set(generator.pages()) == set(GENERATED)


def test_the_pages_build_without_a_warning(tmp_path: Path) -> None:
    if importlib.util.find_spec("sphinx") is None:
        if os.environ.get("CI"):
            pytest.fail("sphinx is not installed")
        pytest.skip("sphinx is not installed")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command += ["-d", str(tmp_path / "doctrees"), "docs", str(tmp_path / "html")]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


@each_page
def test_files_that_a_page_names_exist(page: Path) -> None:
    names = re.findall(rf"`((?:{_FOLDERS})/[A-Za-z0-9_./-]*|pyproject\.toml|Makefile|\.ci/run)`", page.read_text())
    # A part in capitals (TOPIC.py) stands for any name; docs/_build is made.
    real = [name for name in names if not re.search(r"/[A-Z]+\b|^docs/_build", name)]
    assert [name for name in real if not (ROOT / name).exists()] == []


@each_page
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_commands_of_bedplate_that_a_page_shows_would_be_taken(page: Path) -> None:
    shown = [example.command for block in blocks(page.read_text()) for example in examples(block.body)]
    for command in re.findall(r"\bbedplate ([^|;&>)\n]*)", "".join(shown).replace("\\\n", "")):
        verb, *arguments = shlex.split(command)
        if verb.startswith("-"):
            continue
        assert verb in VERBS
        known = bedplate.get_command(click.Context(bedplate), verb)
        if isinstance(known, click.Group):
            known = known.get_command(click.Context(known), arguments[0])
        assert known is not None
        options = {
            option for parameter in known.params for option in (*parameter.opts, *parameter.secondary_opts, "--help")
        }
        assert {word.partition("=")[0] for word in arguments if word.startswith("-")} <= options


@each_page
def test_verbs_that_a_page_names_exist(page: Path) -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?bedplate ([a-z]+)", page.read_text()))
    assert named <= set(VERBS)


@each_page
def test_definitions_that_a_page_shows_are_accepted(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.kind == "yaml" and "\nbase: " in block.body:
            parse(block.body.encode(), str(page))


def test_the_inventory_line_that_is_shown_is_one() -> None:
    page = (ROOT / "docs/reference/release-directory.md").read_text()
    (line,) = (block.body for block in blocks(page) if block.kind == "json")
    assert from_jsonl(line.encode())[0].path == "/usr/sbin/wipefs"


def test_every_exit_code_is_explained() -> None:
    page = (ROOT / "docs/reference/exit-codes.md").read_text()
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == sorted(ExitCode)


def test_the_readme_explains_exit_codes_in_the_same_order() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)]
    assert codes == [code for code in sorted(ExitCode) if code != ExitCode.INTERRUPTED]


def test_the_bound_pcrs_are_those_of_the_code() -> None:
    page = (ROOT / "docs/reference/pcrs.md").read_text()
    bound = [int(pcr) for pcr in re.findall(r"^\| (\d+) \|.*\*\*bound\*\* \|$", page, re.MULTILINE)]
    assert tuple(bound) == BOUND_PCRS


def test_stages_of_the_transcript_are_stages_of_the_code() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "builder").rglob("*.py"))
    known = set(re.findall(r'reporter\.stage\("([^"]+)"\)', sources)) | {"boot with Secure Boot enabled"}
    known |= {f"layer {layer.name}" for layer in (*LAYERS, *OPTIONAL_LAYERS)}
    shown = re.findall(r"^(.+) done in \d+\.\d s$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(shown) > 5
    assert set(shown) <= known


def test_amounts_of_packages_are_those_of_the_lock_that_comes_along() -> None:
    lock = load_lock(ROOT / "images/inference-node")
    files = {(package.sha256, package.size) for package in lock.packages}
    size = sum(size for _, size in files)
    states = ", ".join(f"{state.suite} as of {state.date}" for state in lock.current.values())
    page = (ROOT / "docs/guides/lock-and-vault.md").read_text()
    assert f"image.lock: {len(lock.packages)} packages of {states}\n" in page
    amounts = re.findall(r"^(?:exported|verified) (.*)$", page, re.MULTILINE)
    assert amounts == [f"{len(files)} files, {size / 1e6:.1f} MB"] * 2
    caches = (ROOT / "docs/guides/mirrors-and-caches.md").read_text()
    assert re.findall(r"^\| `vault/` \|.*\| ([^|]*) \|$", caches, re.MULTILINE) == [f"{size / (1 << 30):.2f} GiB"]


def test_every_decision_has_a_number_of_its_own() -> None:
    files = sorted((ROOT / "docs/decisions").glob("0*.md"))
    assert len({path.name[:4] for path in files}) == len(files)
    assert [path.read_text()[2:6] for path in files] == [path.name[:4] for path in files]


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- runs -->" in page.read_text()], ids=lambda p: p.name)
def test_examples_without_a_release_print_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(ROOT / "images")
    commands = [item for block in blocks(page.read_text()) if block.place == "" for item in examples(block.body)]
    if any("openssl" in item.command for item in commands):
        require("openssl")
    for example, printed in zip(commands, run(commands, tmp_path, {}), strict=True):
        assert pattern(example.output).fullmatch(printed), f"$ {example.command}{printed}"


@pytest.mark.parametrize("page", [page for page in PAGES if WITH_A_MODEL in page.read_text()], ids=lambda p: p.name)
def test_examples_with_a_model_print_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    """The model is a made one: its content is in no output."""
    shutil.copytree(ROOT / "images", tmp_path / "images")
    (tmp_path / "gemma-3-270m-q4_k_m.gguf").write_bytes(b"GGUF" + bytes(100_000))
    place = WITH_A_MODEL.removeprefix("<!-- runs: ").removesuffix(" -->")
    commands = [item for block in blocks(page.read_text()) if block.place == place for item in examples(block.body)]
    for example, printed in zip(commands, run(commands, tmp_path, {"PYTHONPATH": str(ROOT)}), strict=True):
        assert pattern(example.output).fullmatch(printed), f"$ {example.command}{printed}"


@each_page
def test_python_that_a_page_shows_imports_what_there_is(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.kind != "python":
            continue
        for statement in ast.walk(ast.parse(block.body)):
            if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(("builder", "signing")):
                module = importlib.import_module(statement.module or "")
                assert [item.name for item in statement.names if not hasattr(module, item.name)] == []


def require(*programs: str) -> None:
    """Fail in CI and skip on a laptop if a program that an example uses is missing."""
    for program in programs:
        if not any(Path(folder, program).exists() for folder in os.environ["PATH"].split(os.pathsep)):
            if os.environ.get("CI"):
                pytest.fail(f"{program} is not installed")
            pytest.skip(f"{program} is not installed")


def test_another_output_than_the_page_shows_is_noticed() -> None:
    shown = "PCR  bank\n...\n7  0123456789abcdef… done in 1.5 s\n"
    assert pattern(shown).fullmatch("PCR    bank\na\nb\n7   fedcba98765432100 done in 12 s\n")
    assert not pattern(shown).fullmatch("PCR    bank\na\nb\n8   fedcba98765432100 done in 12 s\n")
    assert not pattern("").fullmatch("error\n")


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="cat missing"):
        run(examples("$ cat missing\n"), tmp_path, {})
