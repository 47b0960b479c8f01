"""``bedplate vault`` and the options that name vaults, as one types them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from builder import files
from builder.cli.group import bedplate
from builder.definition.lock import encode_lock
from builder.errors import BedplateError, InvalidInputError, NotVerifiedError
from builder.vault.store import Vault
from tests.debs import deb, lock, row

if TYPE_CHECKING:
    from pathlib import Path

HELLO = deb()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(bedplate, arguments)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with ``image.lock`` and the vault ``vault`` that has its package, which is where we are."""
    rows = [row(HELLO, parts=["root", "initrd", "toolchain"])]
    (tmp_path / "image.lock").write_bytes(encode_lock(lock(*rows)))
    Vault(tmp_path / "vault").add([HELLO], rows[0].sha256, len(HELLO), "hello")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BEDPLATE_VAULT", raising=False)
    return tmp_path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_vault_goes_along_and_is_checked(place: Path) -> None:
    assert invoke("vault", "export", "image.lock", "--vault", "vault", "-o", "out").exit_code == 0
    assert invoke("vault", "import", "image.lock", "--from", "out", "--vault", "other").exit_code == 0
    shown = invoke("vault", "verify", "image.lock", "--vault", "other", "--format", "json")
    assert json.loads(shown.output) == {"verified": {"files": 1, "bytes": len(HELLO)}}
    assert invoke("vault", "gc", "image.lock", "--vault", "other").output == "deleted 0 files, 0.0 MB\n"
    assert names(place) == ["image.lock", "other", "out", "vault"]


def test_what_a_killed_export_left_goes_with_the_next_one_and_counts_as_free(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import sys, time
from builder.cli.group import bedplate
from builder.vault import exchange
def stall(*_, **__):
    print("filling", flush=True)
    time.sleep(600)
exchange.fetch_all = stall
bedplate(["vault", "export", "image.lock", "--vault", "vault", "-o", sys.argv[1]])
"""

    def exporting(target: str) -> tuple[subprocess.Popen[str], str]:
        before = set(names(place))
        child = subprocess.Popen([sys.executable, "-c", code, target], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "filling\n"
        (made,) = set(names(place)) - before
        return child, made

    def seen(*_: object, **__: object) -> None:
        assert left not in names(place)

    monkeypatch.setattr("builder.vault.exchange.require_free", seen)
    living, held = exporting("out")
    with living:
        try:
            killed, left = exporting("out")
            with killed:
                killed.send_signal(signal.SIGKILL)
            assert invoke("vault", "export", "image.lock", "--vault", "vault", "-o", "out").exit_code == 0
            assert names(place) == [held, "image.lock", "out", "vault"]
        finally:
            living.kill()


@pytest.mark.parametrize("verb", [("verify",), ("gc", "image.lock"), ("export", "image.lock", "-o", "out")])
def test_a_mistyped_vault_is_told_and_not_made(place: Path, verb: tuple[str, ...]) -> None:
    shown = invoke("vault", *verb, "--vault", "valut")
    assert isinstance(shown.exception, InvalidInputError)
    assert str(shown.exception) == f"there is no vault {place}/valut"
    assert names(place) == ["image.lock", "vault"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--vault", ""),
        ("import", "image.lock", "--from", ""),
        ("export", "image.lock", "--vault", "vault", "-o", ""),
    ],
)
@pytest.mark.usefixtures("place")
def test_an_empty_name_is_not_the_directory_where_we_are(arguments: tuple[str, ...]) -> None:
    shown = invoke("vault", *arguments)
    assert shown.exit_code == 2
    assert "expected a directory" in shown.output


def test_an_empty_vault_is_no(place: Path) -> None:
    (place / "empty").mkdir()
    assert isinstance(invoke("vault", "verify", "--vault", "empty").exception, NotVerifiedError)


def test_an_export_that_has_no_room_is_not_begun(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda _: len(HELLO) - 1)
    shown = invoke("vault", "export", "image.lock", "--vault", "vault", "-o", "out")
    assert isinstance(shown.exception, BedplateError)
    assert str(shown.exception).startswith("the export needs 0 MiB in")
    assert names(place) == ["image.lock", "vault"]


@pytest.mark.usefixtures("place")
def test_a_statement_that_cannot_be_written_is_told_before_the_rebuild() -> None:
    arguments = ("rebuild", "vault", "--trust", "image.lock", "--attest", "image.lock", "--output")
    shown = invoke(*arguments, "nowhere/x.json")
    assert shown.exit_code == 2
    assert "nowhere is not there" in shown.output
    assert "is not there" not in invoke(*arguments, "x.json").output


@pytest.mark.parametrize("offline", [(), ("--offline",)])
def test_a_mistyped_vault_of_a_rebuild_is_told_and_not_made(place: Path, offline: tuple[str, ...]) -> None:
    shown = invoke("rebuild", "vault", "--trust", "image.lock", "--vault", "valut", *offline)
    assert isinstance(shown.exception, InvalidInputError)
    assert str(shown.exception) == f"there is no vault {place}/valut"
    assert names(place) == ["image.lock", "vault"]


@pytest.mark.usefixtures("place")
def test_offline_does_not_pass_over_a_vault_that_is_a_url() -> None:
    shown = invoke("rebuild", "vault", "--trust", "image.lock", "--offline", "--vault", "https://example.org/vault")
    assert shown.exit_code == 2
    assert "--offline uses no network, so --vault is a directory with it, not a URL" in shown.output


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "arguments", [("--offline", "--vault", "vault"), ("--vault", "https://example.org/vault"), ("--offline",)]
)
def test_offline_goes_with_a_directory_and_a_url_without_it(arguments: tuple[str, ...]) -> None:
    shown = invoke("rebuild", "vault", "--trust", "image.lock", *arguments)
    assert "--offline uses no network" not in f"{shown.output}{shown.exception}"
