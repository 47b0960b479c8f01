"""The keys by which a node gets an engine, programs and weights: what they lead to, and what they refuse."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from builder.closure.units import unit_edges
from builder.definition.load import load
from builder.definition.mirror import Mirror
from builder.definition.render import RenderedFile, RenderedTree, render
from builder.errors import InvalidInputError
from builder.facts.syntax import assignments
from builder.facts.unit_files import find_units
from builder.image.verity import partition_uuids
from tests.fact_trees import tree as file_tree
from tests.node_documents import identity
from tests.packed_weights import packed, write_model

if TYPE_CHECKING:
    from builder.weights.pack import PackedWeights

IMAGES = Path(__file__).parents[3] / "images"
TEXT = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
"""
CERTIFICATE = (IMAGES.parent / "tests/vectors/own-tiny-uki/KEK.pem").read_bytes()
LEAF = identity("reader").certificate.public_bytes(Encoding.PEM)
READER = "programs: [weights-read]\n"
UNITS = "mkosi.extra/usr/lib/systemd/system"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("node", "motor"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.yaml").write_text(TEXT.replace("name: node", f"name: {name}"))
    (tmp_path / "base").symlink_to(IMAGES / "base")
    return tmp_path


def node(images: Path, more: str) -> Path:
    (images / "node/image.yaml").write_text(TEXT + more)
    return images / "node"


def text_of(tree: RenderedTree, path: str) -> str:
    entry = tree.entries[PurePosixPath(path)]
    assert isinstance(entry, RenderedFile)
    return entry.content.decode()


@pytest.fixture
def weights(images: Path, tmp_path: Path) -> PackedWeights:
    return packed(write_model(tmp_path / "model", {"model.gguf": b"weights"}), images / "weights")


def with_weights(images: Path, weights: PackedWeights) -> Path:
    digest = hashlib.sha256(weights.identity_file.read_bytes()).hexdigest()
    (images / "node/weights-read").mkdir(exist_ok=True)
    return node(images, f"{READER}weights:\n  identity: ../weights/small.weights.json\n  sha256: {digest}\n")


def test_the_tree_of_an_engine_goes_along_and_its_root_is_taken_in(images: Path) -> None:
    tree = render(load(node(images, "engine: ../motor\n")), Mirror("http://mirror.example.org/debian", "--mirror"))
    assert "ImageId=motor" in text_of(tree, "mkosi.engine/mkosi.conf").splitlines()
    assert "URIs: http://mirror" in text_of(tree, "mkosi.engine/mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources")
    assert "    %O/engine.tar:/usr/lib/bedplate/engine.tar" in text_of(tree, "mkosi.conf").splitlines()


def test_without_an_engine_none_is_taken_in(images: Path) -> None:
    tree = render(load(images / "node"), None)
    assert not [path for path in tree.entries if path.parts[0] == "mkosi.engine"]
    assert "engine" not in text_of(tree, "mkosi.conf")


def test_a_change_of_the_engine_is_another_definition(images: Path) -> None:
    before = load(node(images, "engine: ../motor\n")).digest
    (images / "motor/image.yaml").write_text(TEXT + "packages: [curl]\n")
    assert load(images / "node").digest != before


def test_an_engine_must_be_there(images: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"image\.yaml:6:9: engine is '\.\./gone', but .* is not a directory"):
        load(node(images, "engine: ../gone\n"))


def test_an_engine_has_no_engine(images: Path) -> None:
    (images / "motor/image.yaml").write_text(TEXT + "engine: ../third\n")
    (images / "third").mkdir()
    (images / "third/image.yaml").write_text(TEXT)
    with pytest.raises(InvalidInputError, match=r"image\.yaml:6:9: engine is '\.\./motor', but .* weights of its own"):
        load(node(images, "engine: ../motor\n"))


def test_an_archive_cannot_have_the_name_of_an_engines(images: Path) -> None:
    with pytest.raises(InvalidInputError, match="names that begin with engine are an engine's"):
        load(node(images, "distribution:\n  archives:\n    - name: engine\n      suite: forky\n"))


def test_programs_are_built_from_sources_without_their_tests(images: Path) -> None:
    source = images / "node/watch"
    (source / "internal/testdata").mkdir(parents=True)
    for name in ("main.go", "main_test.go", "internal/testdata/input"):
        (source / name).write_text("package main\n")
    tree = render(load(node(images, "programs: [watch]\n")), None)
    assert [str(path) for path in tree.entries if path.parts[0] == "mkosi.programs"] == ["mkosi.programs/watch/main.go"]
    finalize = text_of(tree, "mkosi.images/programs/mkosi.finalize")
    assert 'cd "$SRCDIR/mkosi.programs/watch"' in finalize
    assert '-o "$BUILDROOT/usr/lib/bedplate/watch"' in finalize
    assert "%O/programs.tar" in text_of(tree, "mkosi.conf")


def test_an_image_without_programs_compiles_nothing(images: Path) -> None:
    tree = render(load(node(images, "")), None)
    assert not [path for path in tree.entries if "programs" in path.parts]
    config = text_of(tree, "mkosi.conf")
    assert "%O/programs.tar" not in config
    assert config.endswith("Dependencies=\n    initrd\n    packages\n")


def test_a_base_that_compiles_no_programs_is_refused(images: Path) -> None:
    (images / "node/watch").mkdir()
    (images / "bare").mkdir()
    (images / "bare/mkosi.conf").write_text("")
    definition = node(images, "programs: [watch]\n") / "image.yaml"
    definition.write_text(definition.read_text().replace("../base", "../bare"))
    with pytest.raises(InvalidInputError, match=r"bare has no mkosi\.images/programs, which compiles watch"):
        render(load(images / "node"), None)


def test_a_program_must_be_there_and_a_change_of_it_is_another_definition(images: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"image\.yaml:6:12: programs\[0\] is 'watch', but .* not a directory"):
        load(node(images, "programs: [watch]\n"))
    (images / "node/watch").mkdir()
    before = load(images / "node").digest
    (images / "node/watch/main.go").write_text("package main\n")
    assert load(images / "node").digest != before


def test_the_units_of_weights_open_the_disk_of_the_root_hash_and_no_other(images: Path, weights: PackedWeights) -> None:
    tree = render(load(with_weights(images, weights)), None)
    root_hash = weights.identity.verity.root_hash
    data, hashes = partition_uuids(bytes.fromhex(root_hash))
    verity = text_of(tree, f"{UNITS}/weights-verity.service")
    places = f"/dev/disk/by-partuuid/{data} /dev/disk/by-partuuid/{hashes}"
    assert f"attach weights {places} {root_hash} panic-on-corruption\n" in verity
    mount = text_of(tree, f"{UNITS}/run-weights.mount")
    assert "Options=ro,nosuid,nodev,noexec\n" in mount
    assert "Requires=weights-verity.service weights-read.service\n" in mount
    assert "After=weights-verity.service weights-read.service\n" in mount
    assert f'"root_hash":"{root_hash}"' in text_of(tree, "mkosi.extra/usr/lib/bedplate/model.json")


def test_a_node_listens_when_all_of_its_weights_were_read(images: Path, weights: PackedWeights) -> None:
    """The mount, which the engine needs, and the socket of the gateway require it and come after it."""
    tree = render(load(with_weights(images, weights)), None)
    read = text_of(tree, f"{UNITS}/weights-read.service").splitlines()
    assert {"Type=oneshot", "RemainAfterExit=yes", "ExecStart=/usr/lib/bedplate/weights-read"} <= set(read)
    assert {"OpenFile=/dev/mapper/weights:weights:read-only", "DeviceAllow=/dev/mapper/weights r"} <= set(read)
    assert not [line for line in read if line.startswith(("Condition", "Assert", "ExecCondition", "SuccessExit"))]
    drop_in = text_of(tree, f"{UNITS}/gateway.socket.d/50-weights.conf").splitlines()
    for key in ("Requires", "After"):
        (named,) = [line.partition("=")[2].split() for line in read if line.startswith(f"{key}=")]
        assert {"weights-verity.service", "dev-mapper-weights.device"} <= set(named)
        assert f"{key}=weights-read.service" in drop_in


def test_without_weights_nothing_is_read(images: Path) -> None:
    paths = map(str, render(load(images / "node"), None).entries)
    assert not [path for path in paths if "weights-read" in path or "gateway.socket.d" in path]


def test_weights_that_nothing_would_read_are_refused(images: Path, weights: PackedWeights) -> None:
    path = with_weights(images, weights) / "image.yaml"
    path.write_text(path.read_text().replace(READER, "programs: []\n"))
    with pytest.raises(
        InvalidInputError, match=r"image\.yaml:8:3: weights names weights, but programs has no weights-read"
    ):
        load(path)


def test_the_units_wait_for_devices_by_their_escaped_names(images: Path, weights: PackedWeights) -> None:
    """As systemd-escape(1) makes them."""
    tree = render(load(with_weights(images, weights)), None)
    units = file_tree({f"usr/lib/systemd/system/{name}": text_of(tree, f"{UNITS}/{name}") for name in _NAMES})
    (waited,) = [
        item.value
        for item in assignments(units, "/usr/lib/systemd/system/weights-verity.service")
        if item.key == "BindsTo"
    ]
    uuids = partition_uuids(bytes.fromhex(weights.identity.verity.root_hash))
    escaped = [str(uuid).replace("-", "\\x2d") for uuid in uuids]
    assert waited.split() == [f"dev-disk-by\\x2dpartuuid-{uuid}.device" for uuid in escaped]


_NAMES = ("weights-verity.service", "weights-read.service", "run-weights.mount")


def test_the_closure_follows_the_mount_to_what_opens_the_disk(images: Path, weights: PackedWeights) -> None:
    tree = render(load(with_weights(images, weights)), None)
    units = file_tree({f"usr/lib/systemd/system/{name}": text_of(tree, f"{UNITS}/{name}") for name in _NAMES})
    files = find_units(units)
    needed = {getattr(edge, "name", None) for name in _NAMES for edge in unit_edges(files, name)}
    assert {"weights-verity.service", "/usr/lib/systemd/systemd-veritysetup", "/usr/bin/mount"} <= needed
    assert {"weights-read.service", "/usr/lib/bedplate/weights-read"} <= needed


def test_a_node_with_weights_keeps_what_opens_them(images: Path, weights: PackedWeights) -> None:
    without = text_of(render(load(images / "node"), None), "mkosi.conf")
    having = text_of(render(load(with_weights(images, weights)), None), "mkosi.conf")
    for line in ("    /usr/lib/*/libcryptsetup.so.12*", "    /usr/lib/udev/rules.d/55-dm.rules"):
        assert line in without.splitlines()
        assert line not in having.splitlines()
    # The generator would also take volumes from the kernel's command line.
    assert "    /usr/lib/systemd/system-generators/systemd-veritysetup-generator" in having.splitlines()


def test_other_weights_are_another_image(images: Path, weights: PackedWeights, tmp_path: Path) -> None:
    before = render(load(with_weights(images, weights)), None)
    weights.identity_file.unlink()
    weights.disk.unlink()
    (images / "weights").rmdir()
    other = packed(write_model(tmp_path / "other", {"model.gguf": b"weightS"}), images / "weights")
    after = render(load(with_weights(images, other)), None)
    changed = {str(path) for path in before.entries if before.entries[path] != after.entries[path]}
    assert changed == {f"{UNITS}/weights-verity.service", "mkosi.extra/usr/lib/bedplate/model.json"}


def test_pruning_keeps_what_says_which_model_it_is(images: Path, weights: PackedWeights) -> None:
    rules = text_of(render(load(with_weights(images, weights)), None), "mkosi.prune.rules").splitlines()
    assert "/usr/lib/bedplate/model.json" in rules
    node_with(images, "clients.pem", CERTIFICATE)
    rules = text_of(render(load(images / "node"), None), "mkosi.prune.rules").splitlines()
    assert "/usr/lib/bedplate/metrics-clients.pem" in rules
    assert "/usr/lib/bedplate/model.json" not in rules


def test_an_identity_of_another_digest_is_refused(images: Path, weights: PackedWeights) -> None:
    path = with_weights(images, weights)
    weights.identity_file.write_bytes(weights.identity_file.read_bytes() + b"\n")
    with pytest.raises(
        InvalidInputError, match=r"image\.yaml:9:11: weights\.sha256 is [0-9a-f]{64}, but .* has the SHA"
    ):
        load(path)


def test_an_identity_that_is_not_there_is_refused(images: Path) -> None:
    (images / "node/weights-read").mkdir()
    path = node(images, f"{READER}weights:\n  identity: gone.json\n  sha256: {'0' * 64}\n")
    with pytest.raises(
        InvalidInputError, match=r"image\.yaml:8:13: weights\.identity is 'gone\.json', but .* not a file"
    ):
        load(path)


def test_a_file_of_the_image_may_not_take_the_place_of_the_units(images: Path, weights: PackedWeights) -> None:
    path = with_weights(images, weights)
    (path / "files/usr/lib/systemd/system").mkdir(parents=True)
    (path / "files/usr/lib/systemd/system/run-weights.mount").write_text("[Mount]\nWhat=/dev/vdb\n")
    with pytest.raises(InvalidInputError, match="would replace"):
        render(load(path), None)


def node_with(images: Path, name: str, content: bytes) -> Path:
    (images / "node" / name).write_bytes(content)
    return node(images, f"node:\n  hostname: node-7\n  metrics_clients: {name}\n")


def test_what_differs_between_nodes_is_in_the_root(images: Path) -> None:
    tree = render(load(node_with(images, "clients.pem", CERTIFICATE)), None)
    assert text_of(tree, "mkosi.extra/etc/hostname") == "node-7\n"
    assert text_of(tree, "mkosi.extra/usr/lib/bedplate/metrics-clients.pem").encode() == CERTIFICATE


def test_other_clients_are_another_definition(images: Path) -> None:
    before = load(node_with(images, "clients.pem", CERTIFICATE)).digest
    assert load(node_with(images, "clients.pem", CERTIFICATE + CERTIFICATE)).digest != before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "holds no certificates in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "holds no certificates in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "clients.pem holds"),
    ],
)
def test_a_file_without_certificates_lets_nobody_in(images: Path, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        render(load(node_with(images, "clients.pem", content)), None)


def test_a_private_key_beside_the_certificates_is_refused(images: Path) -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    with pytest.raises(InvalidInputError, match="holds a private key, which would be in every node"):
        render(load(node_with(images, "clients.pem", CERTIFICATE + key)), None)


@pytest.mark.parametrize(("content", "number"), [(LEAF, 1), (CERTIFICATE + LEAF, 2)], ids=["alone", "second"])
def test_a_certificate_that_is_not_an_authoritys_is_refused(images: Path, content: bytes, number: int) -> None:
    with pytest.raises(InvalidInputError, match=rf"clients\.pem: certificate {number} \(CN=.*\) is not an authority's"):
        render(load(node_with(images, "clients.pem", content)), None)


def test_a_name_that_is_no_host_name_is_refused(images: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"node\.hostname"):
        load(node(images, "node:\n  hostname: Node_7\n"))


def with_engine(images: Path, weights: PackedWeights, *lines: str) -> RenderedTree:
    path = with_weights(images, weights)
    unit = path / "files/usr/lib/systemd/system/engine.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text("\n".join(("[Service]", *lines, "")))
    return render(load(path), None)


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=/usr/bin/engine --model /weights/model.gguf \\",
        "ExecStart=/usr/bin/engine --model=/run/weights/model.gguf",
        "ExecStart=/usr/bin/engine --models /weights",
        "BindReadOnlyPaths=/run/weights:/weights",
        "ExecStart=/usr/bin/engine /weights/%i.gguf /weights/a%i.gguf /weights/$NAME /srv/weights/other.gguf",
        "# Not /weights/model.bin.",
        "; Not /weights/model.bin.",
    ],
)
def test_an_engine_may_read_what_the_weights_have(line: str, images: Path, weights: PackedWeights) -> None:
    assert line in text_of(with_engine(images, weights, line), f"{UNITS}/engine.service")


@pytest.mark.parametrize(
    "path", ["model.safetensors", "model", "model.gguf.part", "deep/model.gguf", "model.gguf/deep"]
)
@pytest.mark.parametrize("top", ["/weights", "/run/weights"])
def test_an_engine_that_would_not_find_its_model_is_refused_with_the_line(
    top: str, path: str, images: Path, weights: PackedWeights
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        with_engine(images, weights, "# as below", f'ExecStart=/usr/bin/engine --model "{top}/{path}"')
    message = str(refused.value)
    assert message.endswith(f"engine.service:3: it names /weights/{path}, but the weights small have model.gguf")
    assert "keeps its suffix" in (refused.value.hint or "")


def test_a_directory_of_the_weights_is_there_too_and_few_of_many_files_are_told(images: Path, tmp_path: Path) -> None:
    files = dict.fromkeys(("a.bin", "b.bin", "c.bin", "deep/d.bin"), b"")
    many = packed(write_model(tmp_path / "many", files), images / "weights")
    assert with_engine(images, many, "ExecStart=/usr/bin/engine /weights/deep")
    with pytest.raises(
        InvalidInputError, match=r"/weights/dee, but the weights small have a\.bin, b\.bin, c\.bin \.\.\.$"
    ):
        with_engine(images, many, "ExecStart=/usr/bin/engine /weights/dee")


def test_without_weights_a_unit_may_name_any(images: Path) -> None:
    """The node that comes along: who gives it weights has a file of this name among them."""
    tree = render(load(IMAGES / "inference-node"), None)
    assert "/weights/model.gguf" in text_of(tree, f"{UNITS}/engine.service")
    assert images
