from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import InvalidInputError
from builder.release.build import _require_plain


@pytest.mark.parametrize("path", ["/srv/builds/node", "/home/zo\u00eb/b+d_1.0@x:y"])
def test_an_ordinary_path_can_be_built_in(path: str) -> None:
    _require_plain(Path(path))


@pytest.mark.parametrize("path", ["/srv/my builds", "/srv/a;b", "/srv/$HOME", "/srv/a'b", "/srv/a\nb", "/srv/(x)"])
def test_a_path_that_a_shell_would_take_apart_is_refused(path: str) -> None:
    with pytest.raises(InvalidInputError, match="mkosi cannot build in"):
        _require_plain(Path(path))
