"""What can be compared, in which combinations, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import zstandard

from builder.baseline.causes import find_causes
from builder.baseline.deepen import deepen
from builder.baseline.source import read_baseline
from builder.cli.main import main
from builder.compare.baselines import compare
from builder.compare.causes.cause import Builds
from builder.compare.difference import Change, Verdict
from builder.compare.entries import entries_of, read_entries
from builder.errors import InvalidInputError, MalformedImageError, NotVerifiedError
from builder.image.binary import BinaryView
from builder.image.disk import read_disk, replace_uki
from builder.image.erofs import open_erofs
from builder.image.initrd import Initrd
from builder.image.inventory import inventory
from builder.image.inventory_file import to_jsonl
from builder.release.layout import INVENTORY, REFERENCE_VALUES, STATEMENTS
from builder.release.statements import PAYLOAD_TYPE, PROVENANCE
from signing import dsse, envelope_json, keys
from tests.made_releases import SIGNER, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
DISK = ROOT / "tests/vectors/image/disk.raw.zst"
BASE = Recipe()
CHANGED = BASE.with_package("openssl", "3.5.4-1").with_file("/usr/bin/openssl", content=b"openssl 4")
OTHER_KEY = keys.generate(keys.Algorithm.ED25519).public
ARGUMENTS = Recipe(arguments=("quiet",))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("releases")
    return BASE.write(folder / "old"), CHANGED.write(folder / "new")


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two disks with one changed file and another command line."""
    folder = tmp_path_factory.mktemp("disks")
    content = zstandard.ZstdDecompressor().decompress(DISK.read_bytes())
    paths = (folder / "old.raw", folder / "new.raw")
    for path, recipe, edit in zip(paths, (BASE, ARGUMENTS), (b"not ELF\n", b"not elf\n"), strict=True):
        disk = bytearray(content)
        place = disk.find(b"unowned\n") if b"unowned\n" in disk else _place_of_unowned(disk)
        disk[place : place + 8] = edit
        replace_uki(disk, recipe.uki())
        path.write_bytes(disk)
    return paths


def _place_of_unowned(disk: bytearray) -> int:
    """Where the eight bytes of /usr/lib/unowned.so are: an uncompressed image has them as they are."""
    root = read_disk(BinaryView.of(bytes(disk), "disk")).root_view
    image = open_erofs(root)
    found = image.find("usr/lib/unowned.so")
    assert found is not None
    return bytes(disk).index(bytes(image.content(found.inode)))


@pytest.fixture
def copy(releases: tuple[Path, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the old release without the named file."""

    def made(without: str = "") -> Path:
        target = tmp_path / "copy"
        for file in releases[0].rglob("*"):
            name = file.relative_to(releases[0])
            if file.is_file() and str(name) != without:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (target / name).write_bytes(file.read_bytes())
        return target

    return made


def test_a_release_is_verified_with_the_key_that_signed_it(releases: tuple[Path, Path]) -> None:
    side = read_baseline(releases[0], [SIGNER.public_key])
    assert side.source.key_ids == (SIGNER.public_key.key_id,)
    assert side.remarks == ()


def test_without_a_key_a_release_is_said_to_be_unverified(releases: tuple[Path, Path]) -> None:
    side = read_baseline(releases[0])
    assert side.source.key_ids == ()
    assert side.remarks[0].startswith("UNVERIFIED")


def test_a_release_that_another_key_signed_is_refused(releases: tuple[Path, Path]) -> None:
    with pytest.raises(NotVerifiedError, match="not signed by keys that you trust"):
        read_baseline(releases[0], [OTHER_KEY])


@pytest.mark.parametrize("broken", [[], {"resolvedDependencies": [{"uri": 1}]}, {"externalParameters": 7}])
def test_a_provenance_that_is_none_is_refused(copy: Callable[[str], Path], broken: object) -> None:
    directory = copy("")
    measurements, _ = envelope_json.decode_lines((directory / STATEMENTS).read_bytes())
    statement = json.loads(measurements.payload)
    statement |= {"predicateType": PROVENANCE, "predicate": {"buildDefinition": broken}}
    other = dsse.sign(PAYLOAD_TYPE, json.dumps(statement).encode(), [SIGNER])
    (directory / STATEMENTS).write_bytes(envelope_json.encode_lines([measurements, other]))
    with pytest.raises(InvalidInputError, match="provenance"):
        read_baseline(directory)


def test_an_inventory_that_the_statements_do_not_mean_is_refused(
    copy: Callable[[str], Path], releases: tuple[Path, Path]
) -> None:
    directory = copy("")
    (directory / INVENTORY).write_bytes((releases[1] / INVENTORY).read_bytes())
    with pytest.raises(InvalidInputError, match=r"no whole release: inventory\.jsonl\.zst: SHA-256 is"):
        read_baseline(directory)
    with pytest.raises(NotVerifiedError, match="is not what was signed"):
        read_baseline(directory, [SIGNER.public_key])


def test_a_uki_that_the_statements_do_not_mean_is_refused(copy: Callable[[str], Path]) -> None:
    directory = copy("")
    (directory / "node_1.0.0_x86-64.efi").write_bytes(ARGUMENTS.uki())
    with pytest.raises(InvalidInputError, match=r"node_1\.0\.0_x86-64\.efi: SHA-256 is"):
        read_baseline(directory)
    assert read_baseline(directory, images=False).identity == read_baseline(directory, images=False).identity


def test_a_release_without_its_inventory_leaves_files_and_packages_open(
    copy: Callable[[str], Path], releases: tuple[Path, Path]
) -> None:
    report = compare(read_baseline(copy(INVENTORY)), read_baseline(releases[0]))
    verdicts = {topic.name: topic.verdict for topic in report.topics}
    assert verdicts["files"] is Verdict.INCOMPLETE
    assert verdicts["packages"] is Verdict.EQUAL  # the provenance has them
    assert report.verdict is Verdict.INCOMPLETE
    assert "Files: old: there is no inventory.jsonl.zst" in report.incomplete


def test_statements_alone_tell_the_cause(releases: tuple[Path, Path]) -> None:
    report = compare(*(read_baseline(release / STATEMENTS) for release in releases))
    (chain,) = report.chains
    assert chain.sentence.startswith("openssl 3.5.1-1 -> 3.5.4-1 changed 1 file in root, so the root hash")
    assert chain.moved == (4, 9, 11)
    # What the disk alone tells is not equal because nobody looked.
    assert {topic.name for topic in report.topics if topic.incomplete} >= {"partitions", "esp", "uki-signature"}


def test_reference_values_with_an_inventory_tell_the_cause(releases: tuple[Path, Path]) -> None:
    report = compare(*(read_baseline(release / REFERENCE_VALUES) for release in releases))
    (chain,) = report.chains
    assert chain.sentence.startswith("openssl 3.5.1-1 -> 3.5.4-1 changed 1 file in root")
    assert report.old.remarks == ("UNVERIFIED: nobody signs reference values alone",)


def test_reference_values_alone_leave_the_root_hash_unexplained(releases: tuple[Path, Path], tmp_path: Path) -> None:
    paths = []
    for name, release in zip(("old.json", "new.json"), releases, strict=True):
        paths.append(tmp_path / name)
        paths[-1].write_bytes((release / REFERENCE_VALUES).read_bytes())
    report = compare(*map(read_baseline, paths))
    (chain,) = report.chains
    assert not chain.explained
    assert chain.sentence.startswith("the root hash, and the files were not compared changed, and nothing was found")


def test_reference_values_have_no_signature_to_verify(releases: tuple[Path, Path]) -> None:
    with pytest.raises(InvalidInputError, match="has no signature"):
        read_baseline(releases[0] / REFERENCE_VALUES, [SIGNER.public_key])


def test_two_disk_images_of_anybody_are_compared(disks: tuple[Path, Path]) -> None:
    report = compare(*map(read_baseline, disks))
    assert {topic.name for topic in report.topics if topic.differences} == {
        "measurements", "files", "command-line", "uki",
    }  # fmt: skip
    assert [item.subject for topic in report.topics if topic.name == "files" for item in topic.differences] == [
        "/usr/lib/unowned.so"
    ]
    assert report.incomplete == ()
    assert {chain.moved for chain in report.chains} == {(4, 9, 11)}


def test_a_disk_image_equals_itself(disks: tuple[Path, Path]) -> None:
    report = compare(read_baseline(disks[0]), read_baseline(disks[0]))
    assert (report.verdict, report.incomplete) == (Verdict.EQUAL, ())


def test_a_disk_image_is_not_verified_by_a_key(disks: tuple[Path, Path]) -> None:
    assert read_baseline(disks[0]).remarks == ()
    assert read_baseline(disks[0], [SIGNER.public_key]).remarks[0].startswith("UNVERIFIED: a disk image has no")


def test_a_release_and_a_disk_image_have_not_everything_in_common(
    releases: tuple[Path, Path], disks: tuple[Path, Path]
) -> None:
    report = compare(read_baseline(releases[0]), read_baseline(disks[0]))
    assert "Measurements: Secure Boot enabled: the new side has no values for it" in report.incomplete
    assert report.verdict is Verdict.DIFFERS


def test_a_file_is_looked_into_where_asked(disks: tuple[Path, Path]) -> None:
    report = deepen(compare(*map(read_baseline, disks)), *disks)
    (file,) = (item for item in report.differences if item.kind == "file")
    (child,) = file.children
    assert (child.kind, child.subject) == ("text", "@@ -1,2 +1,2 @@\n-not ELF\n+not elf\n ")
    assert child.id.startswith(f"{file.id}/")


def test_a_file_without_an_image_cannot_be_looked_into(releases: tuple[Path, Path]) -> None:
    report = deepen(compare(*map(read_baseline, releases)), *releases)
    (file,) = (item for item in report.differences if item.kind == "file")
    assert (file.change, file.incomplete) == (Change.CONTENT, "the image is not at hand")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("nothing.raw", b"\1" * 4096, "."),
        ("reference-values.json", b"{}", "missing required field"),
        ("release.intoto.jsonl", b"{}\n", "no statements of a release"),
        ("empty.raw", b"", "is empty"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=problem):
        read_baseline(tmp_path / name)


def test_a_directory_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is no release"):
        read_baseline(tmp_path)


def test_an_inventory_with_names_that_are_not_utf8_is_read() -> None:
    disk = read_disk(BinaryView.of(zstandard.ZstdDecompressor().decompress(DISK.read_bytes()), "disk"))
    records = inventory(open_erofs(disk.root_view), Initrd((), ()))
    assert any("\udcff" in record.path for record in records)
    assert read_entries(to_jsonl(records)) == entries_of(records)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda text: text[:-1], "the last line has no end"),
        (lambda text: b"\n".join(text.splitlines()[::-1]) + b"\n", "out of order"),
        (lambda text: text.replace(b'"0755"', b'"0799"'), "mode"),
        (lambda _: b"{}\n", "a line does not have the keys"),
    ],
)
def test_a_broken_inventory_is_refused(edit: Callable[[bytes], bytes], problem: str) -> None:
    with pytest.raises(MalformedImageError, match=problem):
        read_entries(edit(to_jsonl(BASE.records())))


def run(*arguments: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = main(["diff", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_verb_says_no_where_something_differs(
    releases: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(*releases, capsys=capsys)
    assert status == 1
    assert "openssl 3.5.1-1 -> 3.5.4-1\n      so 1 file in root\n      so the root hash, the command line and" in out
    assert err.count("UNVERIFIED") == 2


def test_the_verb_says_yes_only_where_everything_was_compared(
    releases: tuple[Path, Path], disks: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(disks[0], disks[0], capsys=capsys)[0] == 0
    statements = releases[0] / REFERENCE_VALUES
    status, out, _ = run(statements, statements, capsys=capsys)
    assert status == 1
    assert "no difference found, but not everything could be compared" in out


def test_the_verb_says_what_it_cannot_read(
    releases: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(releases[0], tmp_path, capsys=capsys)
    assert (status, out) == (2, "")
    assert "is no release" in err


def test_the_verb_does_not_believe_another_key(
    releases: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.pub").write_bytes(OTHER_KEY.pem)
    status, out, err = run(*releases, "--trust", tmp_path / "other.pub", capsys=capsys)
    assert (status, out) == (1, "")
    assert "not signed by keys that you trust" in err


@pytest.mark.parametrize("options", [(), ("--deep",)])
def test_the_json_is_as_its_schema_says(
    disks: tuple[Path, Path], options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(*disks, "--format", "json", *options, capsys=capsys)
    schema = json.loads((ROOT / "docs/reference/diff.schema.json").read_text())
    document = json.loads(out)
    jsonschema.validate(document, schema)
    assert document["verdict"] == "differs"


def test_images_stay_closed_where_asked(releases: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--manifests", *releases, capsys=capsys)[0] == 1
    status, _, err = run("--manifests", "--deep", *releases, capsys=capsys)
    assert (status, "--deep opens images" in err) == (2, True)


@pytest.mark.parametrize(("place", "part"), [(40 * 512, "partition table"), (-40 * 512, "partition table"), (0, None)])
def test_a_byte_of_a_disk_that_nothing_reads_is_told_and_named(
    disks: tuple[Path, Path], tmp_path: Path, place: int, part: str | None
) -> None:
    """A gap before and one behind the partitions, or nothing."""
    disk = bytearray(disks[0].read_bytes())
    disk[place] ^= 0 if part is None else 1
    other = tmp_path / "other.raw"
    other.write_bytes(disk)
    report = compare(read_baseline(disks[0]), read_baseline(other))
    assert report.incomplete == ()
    if part is None:
        assert report.verdict is Verdict.EQUAL
        return
    assert [item.id for item in report.differences] == ["partitions/rest"]
    builds = Builds(times=(), words={}, versions={}, digests=frozenset())
    (cause,) = find_causes(report, disks[0], other, builds)
    assert cause.path == part
    assert f"the first byte that differs is at {place % len(disk):#x}" in cause.evidence
