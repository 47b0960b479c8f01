"""Which model a root names, and whether it opens the weights of that model and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from builder.errors import InvalidInputError
from builder.image.binary import BinaryView
from builder.release.model import check_model, read_model
from builder.weights import erofs
from builder.weights.identity import Model
from builder.weights.node_files import weights_files

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = Model(name="small", licence="Apache-2.0", sha256="ab" * 32, root_hash="0123456789abcdef" * 4)
UNITS = "usr/lib/systemd/system"


def root(files: Mapping[str, bytes]) -> BinaryView:
    """A root file system; the writer of weights makes one, too."""
    plan = erofs.plan({path: len(content) for path, content in files.items()})
    image = bytearray(plan.metadata.ljust(plan.size, b"\0"))
    for extent in plan.extents:
        image[extent.offset : extent.offset + extent.size] = files[extent.path]
    return BinaryView.of(bytes(image), "root")


def node(**changed: bytes | None) -> dict[str, bytes]:
    files = {str(path): content for path, content in weights_files(MODEL).items()} | {"etc/hostname": b"node\n"}
    for name, content in changed.items():
        path = next(path for path in files if path.endswith(name.replace("_", ".").replace("..", "-")))
        if content is None:
            del files[path]
        else:
            files[path] = content
    return files


def test_a_root_with_weights_names_their_model() -> None:
    assert read_model(root(node())) == MODEL


def test_a_root_without_weights_names_none() -> None:
    assert read_model(root({"etc/hostname": b"node\n"})) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"run__weights_mount": None}, r"/usr/lib/systemd/system/run-weights\.mount is not that of the model small"),
        ({"run__weights_mount": b"[Mount]\nWhat=/dev/vdb\n"}, r"run-weights\.mount is not that of the model small"),
        ({"weights__verity_service": None}, r"weights-verity\.service is not that of the model small"),
        ({"weights__read_service": None}, r"weights-read\.service is not that of the model small"),
        ({"weights__read_service": b"[Service]\nExecStart=/bin/true\n"}, r"weights-read\.service is not that of"),
        ({"50__weights_conf": None}, r"gateway\.socket\.d/50-weights\.conf is not that of the model small"),
        ({"model_json": b"{}\n"}, "missing required field"),
        ({"model_json": b"model"}, "is not JSON"),
        ({"model_json": msgspec.json.encode({**msgspec.to_builtins(MODEL), "more": 1})}, "unknown field `more`"),
        ({"model_json": msgspec.json.encode({**msgspec.to_builtins(MODEL), "root_hash": "ff" * 32})}, "is not that of"),
    ],
)
def test_a_root_that_does_other_than_it_says_is_refused(changed: dict[str, bytes | None], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        read_model(root(node(**changed)))


def test_units_that_open_weights_of_no_model_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"opens weights, but there is no /usr/lib/bedplate/model\.json"):
        read_model(root(node(model_json=None)))


@pytest.mark.parametrize(
    "path",
    [
        "etc/systemd/system/run-weights.mount",
        "usr/local/lib/systemd/system/weights-verity.service",
        f"{UNITS}/run-weights.mount.d/options.conf",
        "etc/systemd/system/weights-verity.service.d/options.conf",
        f"{UNITS}/weights-read.service.d/options.conf",
        "etc/systemd/system/weights-read.service",
        "etc/systemd/system/gateway.socket.d/50-weights.conf",
        "usr/local/lib/systemd/system/gateway.socket.d/50-weights.conf",
    ],
)
def test_a_file_that_overrides_the_units_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError, match="changes how the weights of small are opened, read or mounted"):
        read_model(root(node() | {path: b"[Mount]\nOptions=rw\n"}))


def test_a_statement_of_the_same_model_is_believed() -> None:
    assert list(check_model(root(node()), MODEL)) == []
    assert list(check_model(root({"etc/hostname": b""}), None)) == []


@pytest.mark.parametrize(
    ("files", "stated", "problem"),
    [
        (node(), None, "model: the image has weights, and no statement says of which model"),
        ({"etc/hostname": b""}, MODEL, "model: the statement names small, but the image has no weights"),
        (node(), msgspec.structs.replace(MODEL, licence="MIT"), "model: the statement names small (MIT, "),
        (node(model_json=b"{}"), MODEL, "model: /usr/lib/bedplate/model.json: Object missing required field"),
    ],
)
def test_a_statement_of_another_model_is_told(files: dict[str, bytes], stated: Model | None, problem: str) -> None:
    (told,) = check_model(root(files), stated)
    assert told.startswith(problem)
