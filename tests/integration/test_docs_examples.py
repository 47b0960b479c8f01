"""The examples of README and docs on a real release print what the pages show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builder.definition.model import Profile
from builder.progress import Silent
from builder.release.keyring import generate_keyring, load_keyring
from builder.release.sign import sign_build
from signing.keys import Algorithm
from tests.markdown import PAGES, ROOT, blocks, examples, pattern, run
from tests.test_docs import require

if TYPE_CHECKING:
    from pathlib import Path

    from tests.markdown import Block

pytestmark = pytest.mark.integration

ON_A_RELEASE = "on a release"
IN_A_RELEASE = "in a release"
# The last is for tests/test_docs.py.
PLACES = {"", ON_A_RELEASE, IN_A_RELEASE, "with a model"}


@pytest.fixture(scope="module")
def workspace(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory such as `make release` leaves it."""
    directory = tmp_path_factory.mktemp("docs")
    for name in ("local", "other"):
        generate_keyring(directory / "keys" / name, Profile.PRODUCTION, Algorithm.ECDSA_P256_SHA256)
    release = directory / "dist/inference-node/1.0.0"
    sign_build(built, load_keyring(directory / "keys/local"), Silent(), output=release)
    (directory / "images").symlink_to(ROOT / "images")
    return directory


def blocks_of(page: Path) -> list[Block]:
    return list(blocks(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_mark_names_a_place_that_is_known(page: Path) -> None:
    marks = {block.place for block in blocks_of(page) if block.place is not None}
    assert marks <= PLACES
    assert page.read_text().count("<!-- runs") == sum(block.place is not None for block in blocks_of(page))


@pytest.mark.parametrize("place", [ON_A_RELEASE, IN_A_RELEASE])
@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- runs: " in page.read_text()], ids=lambda p: p.name)
def test_examples_on_a_release_print_what_the_page_shows(page: Path, place: str, workspace: Path) -> None:
    commands = [item for block in blocks_of(page) if block.place == place for item in examples(block.body)]
    if not commands:
        return
    directory = workspace
    if place == IN_A_RELEASE:
        require("jq", "openssl", "xxd")
        directory = workspace / "dist/inference-node/1.0.0"
    for example, printed in zip(commands, run(commands, directory, {}), strict=True):
        assert pattern(example.output).fullmatch(printed), f"$ {example.command}{printed}"


def test_the_files_of_a_release_are_those_that_readme_and_reference_name(workspace: Path) -> None:
    release = workspace / "dist/inference-node/1.0.0"
    files = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()}
    readme = (ROOT / "README.md").read_text()
    reference = (ROOT / "docs/reference/release-directory.md").read_text()
    assert {name for name in files if f"`{name}`" not in readme} == set()
    stem = "inference-node_1.0.0_x86-64"
    assert {name for name in files if f"`{name.replace(stem, 'STEM')}`" not in reference} == set()
