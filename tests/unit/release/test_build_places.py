from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builder.definition.load import load
from builder.errors import InvalidInputError, NotVerifiedError
from builder.mkosi.cache import find_cache
from builder.progress import Silent
from builder.release.build import BuildRequest, _require_plain, build_image
from policies.errors import InvalidPolicyError

DEFINITION = """\
name: node
version: 1.0.0
base: ../base
source_date: 2026-01-31T00:00:00Z
seed: 7ab0b0a9-2f4e-4ce5-8d0f-0c9ec1a4ad1b
"""


@pytest.mark.parametrize("path", ["/srv/builds/node", "/home/zo\u00eb/b+d_1.0@x:y"])
def test_an_ordinary_path_can_be_built_in(path: str) -> None:
    _require_plain(Path(path))


@pytest.mark.parametrize("path", ["/srv/my builds", "/srv/a;b", "/srv/$HOME", "/srv/a'b", "/srv/a\nb", "/srv/(x)"])
def test_a_path_that_a_shell_would_take_apart_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError, match="mkosi cannot build in"):
        _require_plain(Path(path))


def request(tmp_path: Path, policy: str = "", **options: Any) -> BuildRequest:
    """To build a definition with this policy; none of these tests comes as far as mkosi."""
    for name in ("base", "node"):
        (tmp_path / name).mkdir()
    (tmp_path / "base/mkosi.conf").write_text("[Output]\n")
    (tmp_path / "site.yaml").write_text("description: Ours.\ncontrols:\n  ZOA-101:\n")
    (tmp_path / "broken.yaml").write_text("description: Ours.\ncontrols:\n  ZOA-000:\n")
    (tmp_path / "node/image.yaml").write_text(DEFINITION + policy)
    cache = find_cache({"BEDPLATE_CACHE": str(tmp_path / "cache")})
    return BuildRequest(load(tmp_path / "node"), None, cache, tmp_path / "dist", 1.0, **options)


def test_a_production_image_without_the_pack_of_production_is_not_built(tmp_path: Path) -> None:
    asked = request(tmp_path, "policy: {packs: [../site.yaml]}\n")
    with pytest.raises(InvalidInputError, match="do not include zero-operator-access") as caught:
        build_image(asked, Silent())
    assert "policy.packs" in (caught.value.hint or "")


def test_a_pack_that_is_broken_is_told_before_the_build(tmp_path: Path) -> None:
    asked = request(tmp_path, "policy: {packs: [zero-operator-access, ../broken.yaml]}\n")
    with pytest.raises(InvalidPolicyError, match=r"broken\.yaml: there is no control 'ZOA-000'"):
        build_image(asked, Silent())


def test_a_waiver_that_has_expired_is_told_before_the_build_and_before_an_earlier_one_is_reused(tmp_path: Path) -> None:
    last = "{control: ZOA-101, subject: 'root:/usr/sbin/sshd', owner: Ada, reason: r, expires: 2026-06-30}"
    (tmp_path / "waivers.yaml").write_text(f"waivers:\n- {last}\n")
    asked = request(tmp_path, "policy: {packs: [zero-operator-access], waivers: ../waivers.yaml}\n")
    with pytest.raises(NotVerifiedError, match=r"waivers\.yaml has waivers that have expired") as caught:
        build_image(asked, Silent())
    expected = "the waiver of ZOA-101 for root:/usr/sbin/sshd expired on 2026-06-30; its owner is Ada"
    assert caught.value.problems == (expected,)


def test_a_place_for_failed_images_that_is_taken_is_told_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="exists already, so no image could be kept there"):
        build_image(request(tmp_path, keep_failed=tmp_path), Silent())
