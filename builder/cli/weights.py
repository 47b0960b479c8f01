"""``bedplate weights``: pack a model's weights for nodes, and check what was packed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from builder.cli.arguments import IMAGES, VerbWithActions, shown_path
from builder.cli.options import DIRECTORY, EXISTING, EXISTING_FILE
from builder.cli.output import Format, format_option, print_json, print_text
from builder.cli.progress import progress_option

if TYPE_CHECKING:
    from pathlib import Path

    from builder.progress import Reporter
    from builder.weights.identity import WeightsIdentity

_SHOWN_FILES = 10


@click.group(
    cls=VerbWithActions,
    short_help="Pack the weights of a model for nodes, and check them.",
    examples=(
        "bedplate weights pack model.gguf --name gemma-3-270m --licence LicenseRef-Gemma -o weights",
        "bedplate weights show weights/gemma-3-270m.weights.json",
        "bedplate weights verify weights/gemma-3-270m.weights.raw",
    ),
)
def command() -> None:
    """Pack the weights of a model as a disk that a node opens by its root hash, and check such disks."""


@command.command("pack", short_help="Make the disk of a model's weights.")
@click.argument("model", type=EXISTING)
@click.option("--name", required=True, help="Name of the model: lower-case letters, digits, dots and dashes.")
@click.option("--licence", "--license", required=True, help="Licence of the weights, best an SPDX identifier.")
@click.option(
    "-o",
    "--output",
    type=DIRECTORY,
    default=".",
    show_default=True,
    help="Directory for NAME.weights.raw and NAME.weights.json.",
)
@progress_option
@format_option
def _pack(model: Path, name: str, licence: str, output: Path, reporter: Reporter, output_format: Format) -> None:
    """Write MODEL, a file or a directory, into a disk image with EROFS, dm-verity and a partition table.

    Beside it comes its identity, a small document that a definition names; it holds the root hash. A single file is
    called `model` in the image and keeps its suffix. The same model gives the same bytes every time.
    """
    from builder.weights.pack import pack  # noqa: PLC0415 -- for a fast --help

    output.mkdir(parents=True, exist_ok=True)
    with reporter.stage("pack") as stage:
        packed = pack(model, name, licence, output, stage)
    if output_format is Format.JSON:
        print_json(packed.identity)
    else:
        _print(f"packed: {shown_path(packed.disk.absolute())}", packed.identity)
        _print_lines(packed.identity_file)


@command.command("show", short_help="Show an identity of weights.")
@click.argument("identity", type=EXISTING_FILE)
@format_option
def _show(identity: Path, output_format: Format) -> None:
    """Show what the IDENTITY says, a file NAME.weights.json, without looking at any disk."""
    from builder.weights.identity import read_identity  # noqa: PLC0415

    found = read_identity(identity)
    if output_format is Format.JSON:
        print_json(found)
    else:
        _print(f"not checked against a disk: {shown_path(identity.absolute())}", found)
        _print_lines(identity)


@command.command("verify", short_help="Check a disk of weights against its identity.")
@click.argument("disk", type=EXISTING_FILE)
@click.option(
    "--identity",
    type=EXISTING_FILE,
    help="Identity to check against.  [default: the file .json beside DISK]",
)
@click.option("--root-hash", metavar="HEX", help="Root hash that you trust; the identity must have it, too.")
@progress_option
@format_option
def _verify(
    disk: Path, identity: Path | None, root_hash: str | None, reporter: Reporter, output_format: Format
) -> None:
    """Read all of DISK and compare every byte with what its identity says.

    The identity itself is as good as the way it came to you: take it from a signed release, or give the root hash.
    """
    from builder.errors import NotVerifiedError  # noqa: PLC0415
    from builder.weights.check import verify  # noqa: PLC0415
    from builder.weights.identity import read_identity  # noqa: PLC0415

    path = identity or disk.with_suffix(".json")
    expected = read_identity(path)
    if root_hash is not None and root_hash.lower() != expected.verity.root_hash:
        problem = f"it has the root hash {expected.verity.root_hash}, expected {root_hash}"
        raise NotVerifiedError(f"{path} is not the identity that you trust", (problem,))
    with reporter.stage("verify") as stage:
        verified = verify(disk, expected, stage)
    if output_format is Format.JSON:
        print_json(verified)
    else:
        _print(f"verified: {shown_path(disk.absolute())}", verified)


def _print(heading: str, identity: WeightsIdentity) -> None:
    rows = [
        ("model", f"{identity.name}, licence {identity.licence}"),
        ("sha256", identity.sha256),
        ("root hash", identity.verity.root_hash),
        ("size", f"{identity.size} bytes, of it {identity.verity.data_blocks * 4096} under the hash tree"),
        *(("file", f"{file.path}, {file.size} bytes, {file.sha256}") for file in identity.files[:_SHOWN_FILES]),
    ]
    if len(identity.files) > _SHOWN_FILES:
        rows.append(("", f"and {len(identity.files) - _SHOWN_FILES} more files"))
    print_text("\n".join((heading, *(f"  {label:<10} {value}" for label, value in rows))))


def _print_lines(identity: Path) -> None:
    """The lines by which a definition names the weights."""
    from builder.files import sha256_file  # noqa: PLC0415 -- for a fast --help

    place = os.path.relpath(identity.resolve(), (IMAGES / "NAME").resolve())
    print_text(f"in images/NAME/image.yaml:\nweights:\n  identity: {place}\n  sha256: {sha256_file(identity)}")
