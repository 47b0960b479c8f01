"""Where the archives of a definition are, and where the packages of a lock can be had."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import msgspec
import pytest

from builder.definition.archives import package_archives
from builder.definition.load import load
from builder.definition.mirror import Mirror
from builder.definition.render import RenderedFile, render
from builder.errors import InvalidInputError
from builder.vault.fetch import Source
from builder.vault.places import archive_sources
from tests.debs import MAIN, lock

IMAGES = Path(__file__).parents[3] / "images"
MIRROR = Mirror("http://mirror.example.org/debian", "--mirror")
TEXT = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
distribution:
  archives:
    - name: security
      suite: trixie-security
    - name: next
      suite: forky
      packages: [engine, libengine1]
      allow_expired: true
    - name: vendor
      suite: stable
      components: [main, extra]
      mirror: https://vendor.example.org/apt/
      keyring: vendor.asc
"""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    (tmp_path / "node").mkdir()
    (tmp_path / "base").symlink_to(IMAGES / "base")
    (tmp_path / "node/image.yaml").write_text(TEXT)
    (tmp_path / "node/vendor.asc").write_text("a key")
    return tmp_path / "node"


@pytest.mark.parametrize(
    ("mirror", "security"),
    [
        (MIRROR, "http://mirror.example.org/debian-security"),
        (Mirror("file:///srv/debian", "x"), "file:///srv/debian-security"),
        (
            Mirror("http://s.example.org/archive/debian/20260101T000000Z", "x"),
            "http://s.example.org/archive/debian-security/20260101T000000Z",
        ),
        (Mirror("http://one.example.org/x", "x", "http://two.example.org/y"), "http://two.example.org/y"),
    ],
)
def test_the_security_archive_is_beside_the_mirror_or_where_it_was_named(
    node: Path, mirror: Mirror, security: str
) -> None:
    archives = {archive.name: archive for archive in package_archives(load(node), mirror)}
    assert list(archives) == ["debian", "security", "next", "vendor"]
    assert archives["security"].place.url == security
    assert archives["next"].place == mirror
    assert archives["vendor"].place.url == "https://vendor.example.org/apt"
    assert [name for name, archive in archives.items() if archive.is_security] == ["security"]


def test_a_security_archive_that_is_nowhere_is_refused(node: Path) -> None:
    with pytest.raises(InvalidInputError, match="nothing says where the archive security is") as caught:
        package_archives(load(node), Mirror("http://mirror.example.org/else", "--mirror"))
    assert caught.value.hint == "name it with BEDPLATE_SECURITY_MIRROR or distribution.archives[0].mirror"


def test_a_key_file_that_is_not_there_is_refused_and_one_that_changes_is_another_definition(node: Path) -> None:
    before = load(node).digest
    (node / "vendor.asc").write_text("another key")
    assert load(node).digest != before
    (node / "vendor.asc").unlink()
    with pytest.raises(InvalidInputError, match=r"distribution\.archives\[2\]\.keyring is 'vendor\.asc', but"):
        load(node)


def test_stock_mkosi_is_given_all_archives_with_their_keys_and_limits(node: Path) -> None:
    def text(path: str) -> str:
        entry = tree.entries[PurePosixPath("mkosi.sandbox/etc/apt", path)]
        assert isinstance(entry, RenderedFile)
        return entry.content.decode()

    tree = render(load(node), MIRROR)
    sources = text("sources.list.d/mkosi.sources").split("\n\n")
    assert [stanza.count("Check-Valid-Until: no") for stanza in sources] == [0, 0, 1, 0]
    assert "Suites: trixie-security\nComponents: main\n" in sources[1]
    assert sources[3] == (
        "Types: deb\nURIs: https://vendor.example.org/apt\nSuites: stable\nComponents: main extra\n"
        "Signed-By: /etc/apt/keyrings/vendor.asc\n"
    )
    assert text("keyrings/vendor.asc") == "a key"
    pins = text("preferences.d/archives.pref").split("\n\n")
    assert pins[1:] == [
        "Package: engine libengine1\nPin: release n=forky\nPin-Priority: 990",
        "Package: *\nPin: release n=forky\nPin-Priority: -1\n",
    ]
    assert not [path for path in render(load(node), None).entries if path.is_relative_to("mkosi.sandbox/etc/apt")]


def test_packages_are_asked_for_at_their_archive_and_in_the_snapshot_of_their_state() -> None:
    newer = msgspec.structs.replace(MAIN, date="2026-02-01T00:00:00Z")
    security = msgspec.structs.replace(MAIN, name="security", suite="trixie-security")
    vendor = msgspec.structs.replace(MAIN, name="vendor", suite="stable", mirror="https://vendor.example.org/apt")
    made = lock(archives=(MAIN, newer, security, vendor))
    root = "http://snapshot.example.org"
    assert archive_sources(made, MIRROR, root) == [
        Source(MIRROR.url, states=frozenset([MAIN.id, newer.id])),
        Source(f"{MIRROR.url}-security", states=frozenset([security.id])),
        Source("https://vendor.example.org/apt", states=frozenset([vendor.id])),
        Source(f"{root}/archive/debian/20260101T000000Z", states=frozenset([MAIN.id])),
        Source(f"{root}/archive/debian/20260201T000000Z", states=frozenset([newer.id])),
        Source(f"{root}/archive/debian-security/20260101T000000Z", states=frozenset([security.id])),
    ]
    assert archive_sources(made, None, None) == [
        Source("https://vendor.example.org/apt", states=frozenset([vendor.id]))
    ]
