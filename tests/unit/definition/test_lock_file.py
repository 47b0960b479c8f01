from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from builder.definition.load import load
from builder.definition.lock import (
    LOCK_FILE,
    ImageLock,
    Part,
    decode_lock,
    encode_lock,
    load_lock,
    requested,
    require_current,
    require_requested,
)
from builder.errors import InvalidInputError
from tests.debs import MAIN, deb, lock, row

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = (
    row(deb(), parts=[Part.ROOT, Part.INITRD]),
    row(deb("world", "2.0"), "world", "2.0", [Part.TOOLCHAIN]),
)
SECURITY = msgspec.structs.replace(MAIN, name="security", suite="trixie-security", expired="2026-01-02T00:00:00Z")
ASKED = {"root": ["systemd"], "initrd": ["udev"]}


def documents() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(encode_lock(lock(*PACKAGES)))
    return value


def changed(path: tuple[str | int, ...], value: object) -> bytes:
    document: Any = documents()
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(document).encode()


def test_a_lock_is_read_as_it_was_written() -> None:
    original = lock(*sorted(PACKAGES))
    assert decode_lock(encode_lock(original), "image.lock") == original


def test_the_order_of_packages_changes_no_byte() -> None:
    assert encode_lock(lock(*PACKAGES)) == encode_lock(lock(*reversed(PACKAGES)))


def test_each_package_has_a_line_of_its_own() -> None:
    lines = encode_lock(lock(*PACKAGES)).decode().splitlines()
    assert [json.loads(line.rstrip(","))["name"] for line in lines if '"sha256"' in line] == ["hello", "world"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "line 1, column 1: expecting value"),
        (b"packages: []", "line 1, column 1: expecting value"),
        (b'{"schema": "\xff"}', "the byte 0xff at offset 0xc is not UTF-8"),
        (b"[]", "it is no JSON object with a schema"),
        (b"{}", "it is no JSON object with a schema"),
        (b'{"schema": 2}', "it is no JSON object with a schema"),
        (b'{"unknown": ' + b"[" * 100_000, "it is nested too deep"),
        (changed(("image",), 1)[:-1] + b', "unknown": ' + b"[" * 2_000 + b"]" * 2_000 + b"}", "it is nested too deep"),
        (
            changed(("schema",), "bedplate.lock.v3"),
            "its schema is 'bedplate.lock.v3', expected bedplate.lock.v2 or bedplate.lock.v1",
        ),
        (
            changed(("schema",), "bedplate.lock.v1"),
            "it has no archive, which locks of the schema bedplate.lock.v1 have",
        ),
        (changed(("unknown",), 1), "it has the unknown key 'unknown', known are schema, image,"),
        (changed(("image",), "node\x1b[2J"), r"image is 'node\\x1b\[2J', expected a name of at most 32 lower-case"),
        (changed(("image",), "n" * 33), "image is 'n{33}', expected a name of at most 32 lower-case"),
        (changed(("image",), "node\n"), r"image is 'node\\n', expected a name"),
        (changed(("bedplate",), "0.1 0"), "bedplate is '0.1 0', expected printable ASCII without spaces"),
        (changed(("source_date",), "today"), "source_date is 'today', expected a date such as 2026-01-31T00:00:00Z"),
        (changed(("seed",), None), "seed is null, expected a UUID in lower case"),
        (changed(("requested", "root"), "x"), "requested.root is 'x', expected a list"),
        (changed(("requested", "root"), ["a", 1]), r"requested.root\[1\] is 1, expected printable ASCII"),
        (changed(("requested", "Root"), ["a"]), "requested.a key is 'Root', expected a part such as root"),
        (changed(("packages",), []), "packages is empty"),
        (changed(("packages",), {}), "packages is an object, expected a list"),
        (changed(("packages", 0), 7), r"packages\[0\] is 7, expected an object"),
        (changed(("packages", 0), {"name": "hello"}), r"packages\[0\] has no version \('hello'\)"),
        (
            changed(("packages", 0, "sha256"), "A" * 64),
            r"packages\[0\].sha256 is 'A+...', expected a SHA-256 of 64 lower-",
        ),
        (changed(("packages", 0, "sha256"), "a" * 64 + "\n"), "sha256 is 'a+...', expected a SHA-256"),
        (changed(("packages", 0, "size"), 0), r"packages\[0\].size is 0, expected a whole number from 1 to 4294967296"),
        (changed(("packages", 0, "size"), 2**33), "size is 8589934592, expected a whole number from 1 to 4294967296"),
        (changed(("packages", 0, "size"), value=True), "size is true, expected a whole number"),
        (changed(("packages", 0, "size"), "1"), "size is '1', expected a whole number"),
        (changed(("packages", 0, "name"), "../x"), r"packages\[0\].name is '../x', expected a Debian package name"),
        (changed(("packages", 0, "version"), "1/2"), "version is '1/2', expected a Debian version"),
        (
            changed(("packages", 0, "path"), "pool/../../etc/x.deb"),
            "path is 'pool/../../etc/x.deb', expected the path of a",
        ),
        (changed(("packages", 0, "path"), "/pool/x.deb"), "path is '/pool/x.deb', expected the path of a .deb"),
        (changed(("packages", 0, "parts"), []), r"packages\[0\].parts is empty"),
        (
            changed(("packages", 0, "parts"), ["Kernel"]),
            r"packages\[0\].parts\[0\] is 'Kernel', expected a part such as",
        ),
        (changed(("packages", 0, "parts"), ["kernel"]), "hello:amd64 is for kernel, and nothing is requested for that"),
        (changed(("packages", 0, "archive"), "debian@2025"), "hello:amd64 is from debian@2025, which is not among"),
        (changed(("packages", 0, "archive"), "x\x1b"), r"archive is 'x\\x1b', expected printable ASCII"),
        (changed(("packages", 1), documents()["packages"][0]), "hello:amd64 is there twice for root"),
        (changed(("packages", 1, "parts"), ["root"]), "it has no package for toolchain"),
        (changed(("requested",), {"root": ["x"]}), "requested does not name initrd, toolchain"),
        (changed(("archives",), []), "archives is empty"),
        (changed(("archives",), documents()["archives"] * 2), "the archive debian@2026-01-01T00:00:00Z is there twice"),
        (changed(("archives", 0, "signed_by"), []), r"archives\[0\].signed_by is empty"),
        (changed(("archives", 0, "signed_by"), [{}]), r"archives\[0\].signed_by\[0\] is an object, expected printable"),
        (
            changed(("archives", 0, "components"), ["a b"]),
            r"archives\[0\].components\[0\] is 'a b', expected a name of",
        ),
        (
            changed(("archives", 0, "date"), "2026-01-01"),
            r"archives\[0\].date is '2026-01-01', expected a date such as",
        ),
        (changed(("archives", 0, "date"), "٢026-01-01T00:00:00Z"), "expected a date such as"),
        (changed(("archives", 0, "mirror"), "ftp://x"), "mirror is 'ftp://x', expected an http, https or file URL"),
    ],
)
def test_what_is_no_lock_is_refused_with_its_place(data: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        decode_lock(data, "image.lock")
    assert str(caught.value).startswith("image.lock is no lock: ")


def test_a_problem_of_a_package_is_told_with_its_line() -> None:
    data = encode_lock(lock(*PACKAGES)).replace(b'"size": ', b'"size": -', 2).replace(b'"size": -', b'"size": ', 1)
    number = next(number for number, line in enumerate(data.decode().splitlines(), 1) if '"name": "world"' in line)
    with pytest.raises(InvalidInputError, match=rf"lock: line {number}: packages\[1\].size is -\d+, .* \('world'\)$"):
        decode_lock(data, "image.lock")


def test_a_problem_of_a_package_without_a_line_of_its_own_is_told_with_its_name() -> None:
    data = changed(("packages", 1, "size"), 0)
    with pytest.raises(InvalidInputError, match=r"no lock: packages\[1\].size is 0, expected .* \('world'\)$"):
        decode_lock(data, "image.lock")


def test_a_lock_of_another_form_is_not_called_one_that_was_never_written() -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode_lock(changed(("schema",), "bedplate.lock.v3"), "image.lock")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("a newer bedplate may have written it")


@pytest.mark.parametrize(
    ("key", "value"), [("schema", "bedplate.lock.v2"), ("seed", "another"), ("sha256", "0" * 64), ("root", ["x"])]
)
def test_a_key_that_is_there_twice_is_refused(key: str, value: object) -> None:
    """Of two digests in a line a reviewer may see one, and a build would take the other."""
    data = encode_lock(lock(*PACKAGES))
    twice = data.replace(f'"{key}": '.encode(), f'"{key}": {json.dumps(value)}, "{key}": '.encode(), 1)
    assert twice != data
    with pytest.raises(InvalidInputError, match=rf"image\.lock is no lock: the key {key} is there twice"):
        decode_lock(twice, "image.lock")


def test_a_missing_lock_is_told_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=f"has no {LOCK_FILE}, which says what to build from"):
        load_lock(tmp_path)


def test_a_lock_of_the_first_form_is_read_as_one_of_today() -> None:
    document = documents()
    (state,) = document.pop("archives")
    first = document | {"schema": "bedplate.lock.v1", "archive": {key: state[key] for key in state if key != "name"}}
    first["packages"] = [{key: row[key] for key in row if key != "archive"} for row in document["packages"]]
    assert decode_lock(json.dumps(first).encode(), "image.lock") == lock(*sorted(PACKAGES))
    for change, problem in (
        ({"archive": {"date": "today"}}, r"archives\[0\] has no suite"),
        ({"archive": "debian"}, "it has no archive, which locks of the schema bedplate.lock.v1 have"),
        ({"packages": {}}, "it has no packages, which locks of"),
        ({"packages": [1]}, r"packages\[0\] is 1, expected an object"),
    ):
        with pytest.raises(InvalidInputError, match=rf"image\.lock is no lock: {problem}"):
            decode_lock(json.dumps(first | change).encode(), "image.lock")


def test_a_lock_may_have_parts_of_its_own_each_with_its_own_version() -> None:
    engine = row(deb("world", "3.0"), "world", "3.0", ["engine"])
    original = lock(*sorted((*PACKAGES, engine)))
    original = msgspec.structs.replace(original, requested={**original.requested, "engine": ("world",)})
    assert decode_lock(encode_lock(original), "image.lock") == original
    assert original.of("engine") == (engine,)


def test_the_newest_state_of_an_archive_is_its_current_one() -> None:
    newer = msgspec.structs.replace(MAIN, date="2026-02-01T00:00:00Z")
    both = lock(*PACKAGES, archives=(MAIN, newer, SECURITY))
    assert decode_lock(encode_lock(both), "image.lock").current == {"debian": newer, "security": SECURITY}
    assert both.main == newer


@pytest.fixture
def locked(tmp_path: Path) -> tuple[Path, ImageLock]:
    (tmp_path / "base").mkdir()
    (tmp_path / "node").mkdir()
    (tmp_path / "node/image.yaml").write_text(
        "name: node\nversion: 1.0.0\nbase: ../base\nsource_date: 2026-01-01T00:00:00Z\n"
        "seed: 5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31\n"
    )
    return tmp_path / "node", msgspec.structs.replace(lock(*PACKAGES), requested=requested(ASKED, ["mkosi"]))


def test_a_lock_of_the_same_request_is_current(locked: tuple[Path, ImageLock]) -> None:
    require_current(locked[1], load(locked[0]))
    require_requested(locked[1], requested(ASKED, ["mkosi"]))


@pytest.mark.parametrize(
    ("asked", "toolchain", "problem"),
    [
        (ASKED | {"root": ["systemd", "nginx"]}, ["mkosi"], r"nginx is not in the lock \(root\)"),
        (ASKED | {"initrd": []}, ["mkosi"], r"udev is in the lock and not asked for \(initrd\)"),
        (ASKED, ["mkosi", "qemu"], r"qemu is not in the lock \(toolchain\)"),
    ],
)
def test_a_definition_that_asks_for_something_else_makes_the_lock_old(
    locked: tuple[Path, ImageLock], asked: dict[str, list[str]], toolchain: list[str], problem: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"the lock of node is out of date: {problem}"):
        require_requested(locked[1], requested(asked, toolchain))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: node", "name: other", "name is node in the lock and other in the definition"),
        (
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            "source_date is 2026-01-01T00:00:00Z in the lock and 2026-01-02T00:00:00Z in the definition",
        ),
        ("5f6a1c0e", "6f6a1c0e", "seed is 5f6a1c0e-93a4-4f5e-8d6c-2a6f0f7b9c31 in the lock and 6f6a1c0e-"),
    ],
)
def test_a_lock_for_something_else_than_the_definition_is_old(
    locked: tuple[Path, ImageLock], old: str, new: str, problem: str
) -> None:
    path = locked[0] / "image.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InvalidInputError, match=problem):
        require_current(locked[1], load(locked[0]))


SECURITY_LINE = "distribution: {archives: [{name: security, suite: trixie-security}]}\n"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("distribution: {suite: forky}\n", "distribution.suite is trixie in the lock and forky in the definition"),
        ("distribution: {components: [main, contrib]}\n", "distribution.components is main in the lock and main, con"),
        (SECURITY_LINE, "distribution.archives is empty in the lock and security in the definition"),
    ],
)
def test_another_archive_makes_the_lock_old(locked: tuple[Path, ImageLock], line: str, problem: str) -> None:
    path = locked[0] / "image.yaml"
    path.write_text(path.read_text() + line)
    with pytest.raises(InvalidInputError, match=problem):
        require_current(locked[1], load(locked[0]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"suite": "bookworm-security"}, "archives.security.suite is bookworm-security in the lock and trixie-securi"),
        ({"mirror": "http://x/"}, "archives.security.mirror is http://x/ in the lock and not given in the definition"),
        ({"name": "other"}, "distribution.archives is other in the lock and security in the definition"),
    ],
)
def test_each_further_archive_must_be_that_of_the_definition(
    locked: tuple[Path, ImageLock], change: dict[str, str], problem: str | None
) -> None:
    path = locked[0] / "image.yaml"
    path.write_text(path.read_text() + SECURITY_LINE)
    made = lock(*PACKAGES, archives=(MAIN, msgspec.structs.replace(SECURITY, **change)))
    if problem is None:
        require_current(made, load(locked[0]))
        return
    with pytest.raises(InvalidInputError, match=problem):
        require_current(made, load(locked[0]))
