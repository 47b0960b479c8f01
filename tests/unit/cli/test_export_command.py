"""``bedplate export``: what it takes, what it refuses, and where it writes."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner, Result

from builder.cli.group import bedplate
from builder.errors import NotVerifiedError
from builder.evidence.cose import parse_sign1
from builder.export import corim
from builder.export.formats import FORMATS
from builder.release.layout import REFERENCE_VALUES, SECURE_BOOT, STATEMENTS
from signing import keys
from tests.export_subjects import ENROLLED, IMAGE, SETUP_MODE, VARIABLES, secured, tiny_reference

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::111122223333:role/node"


def export(*arguments: str | Path, check: bool = False) -> Result:
    return CliRunner().invoke(
        bedplate, ["export", *map(str, arguments)], prog_name="bedplate", catch_exceptions=not check
    )


def write_release(directory: Path, profile: str) -> Path:
    """The files of a release that an export without verification reads."""
    (directory / SECURE_BOOT).mkdir(parents=True)
    for name, content in VARIABLES.items():
        (directory / SECURE_BOOT / f"{name}.esl").write_bytes(content)
    with_keys, without = tiny_reference("tsb257", ENROLLED), tiny_reference("t257", SETUP_MODE)
    reference = msgspec.structs.replace(
        with_keys,
        image=msgspec.structs.replace(IMAGE, profile=profile),
        reference_values=with_keys.reference_values | without.reference_values,
    )
    (directory / REFERENCE_VALUES).write_bytes(msgspec.json.encode(reference))
    return directory


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "1.0.0", "production")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "corim.key"
    path.write_bytes(keys.generate(keys.Algorithm.ECDSA_P384_SHA384).private_pem)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_written_to_standard_output(release: Path, name: str) -> None:
    shown = export(name, release, "--unverified", check=True)
    written = FORMATS[name].render([secured()])
    assert shown.stdout_bytes == (written.encode() + b"\n" if isinstance(written, str) else written)


def test_a_format_is_written_to_a_file(release: Path, tmp_path: Path) -> None:
    shown = export("tcg", release, "--unverified", "-o", tmp_path / "log", check=True)
    assert shown.stdout == ""
    assert (tmp_path / "log").read_bytes() == FORMATS["tcg"].render([secured()])


def test_an_export_that_is_not_verified_says_so(release: Path) -> None:
    shown = export("nitrotpm", release, "--unverified")
    assert shown.stderr == f"warning: UNVERIFIED: whoever could write to {release} chose these values\n"


@pytest.mark.parametrize("options", [[], ["--unverified", "--trust", "KEY"]])
def test_a_release_is_verified_or_expressly_not(release: Path, tmp_path: Path, options: list[str]) -> None:
    public = tmp_path / "release.pub"
    public.write_bytes(keys.generate(keys.Algorithm.ED25519).public.pem)
    shown = export("nitrotpm", release, *(public if option == "KEY" else option for option in options))
    assert shown.exit_code == 2
    assert "give either --trust or --unverified" in shown.stderr
    assert shown.stdout == ""


def test_with_a_trusted_key_the_release_is_verified_first(release: Path, tmp_path: Path) -> None:
    public = tmp_path / "release.pub"
    public.write_bytes(keys.generate(keys.Algorithm.ED25519).public.pem)
    (release / STATEMENTS).write_bytes(b"{}\n")
    with pytest.raises(NotVerifiedError, match="is not"):
        export("nitrotpm", release, "--trust", public, check=True)


def test_the_other_values_are_those_without_secure_boot(release: Path) -> None:
    values = json.loads(export("nitrotpm", release, "--unverified", "--no-secure-boot").stdout)["Measurements"]
    assert values["PCR7"].startswith("98441c7f")


def test_a_development_release_is_refused_unless_allowed(tmp_path: Path) -> None:
    release = write_release(tmp_path / "1.0.0", "development")
    with pytest.raises(NotVerifiedError, match="may not be exported"):
        export("nitrotpm", release, "--unverified", check=True)
    assert export("nitrotpm", release, "--unverified", "--allow-development").exit_code == 0


def test_a_key_policy_that_was_exported_passes_the_linter(release: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    export("kms-policy", release, "--unverified", "--principal", ROLE, "-o", policy, check=True)
    assert export("kms-lint", policy).stdout == "every use of the key is bound to a measured boot\n"


def test_the_linter_reads_standard_input_and_lists_all_findings() -> None:
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["kms:Decrypt", "kms:CreateGrant"]}]}
    with pytest.raises(NotVerifiedError) as refused:
        CliRunner().invoke(bedplate, ["export", "kms-lint", "-"], input=json.dumps(policy), catch_exceptions=False)
    assert len(refused.value.problems) == 4


def test_a_corim_is_signed_with_the_key(release: Path, key: Path, tmp_path: Path) -> None:
    out = tmp_path / "node.corim"
    export("corim", release, "--unverified", "--key", key, "--signer", "Release team", "-o", out, check=True)
    assert parse_sign1(out.read_bytes(), limit=1 << 16).payload == corim.unsigned([secured()])


def test_an_unknown_format_is_refused() -> None:
    shown = export("swid", "x")
    assert shown.exit_code == 2
    assert "No such command 'swid'" in shown.stderr


@pytest.mark.parametrize("name", [*FORMATS, "kms-policy", "kms-lint", "corim"])
def test_a_format_has_help_with_an_example(name: str) -> None:
    shown = export(name, "--help")
    assert shown.exit_code == 0
    assert "\nExamples:\n  " in shown.stdout
    assert f"bedplate export {name} " in shown.stdout


def test_a_link_or_a_fifo_is_written_through_and_stays(release: Path, tmp_path: Path) -> None:
    expected = export("nitrotpm", release, "--unverified").stdout_bytes
    (tmp_path / "link").symlink_to("values.json")
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("link", "fifo"):
        assert export("nitrotpm", release, "--unverified", "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "values.json").read_bytes() == expected == os.read(reader, len(expected) + 1)
    os.close(reader)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize("name", ["socket", "nowhere/file"])
def test_a_target_that_cannot_be_written_is_a_usage_error(release: Path, tmp_path: Path, name: str) -> None:
    os.mknod(tmp_path / "socket", stat.S_IFSOCK)
    refused = export("nitrotpm", release, "--unverified", "-o", tmp_path / name)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Invalid value for '-o' / '--output'" in refused.stderr
    assert (tmp_path / "socket").is_socket()
