"""A self-contained HTML page that is opened from a disk: style and script are in it, and nothing is fetched.

Every page of bedplate is made here, from the parts in ``page/`` that all share (``page.html.j2``, ``page.css``,
``page.js``) and three files of its own, which may lie elsewhere. A page is safe to open whatever an image is called and
holds: all texts are escaped, what cannot be seen is spelled out, and a Content Security Policy allows this one style
sheet and this one script by their digests, and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup

from policies.presenters.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = Path(__file__).parent / "page"
_SHARED: Final = "page"


def document(name: str, values: Mapping[str, Any], folder: Path = PAGE) -> bytes:
    """An HTML document in UTF-8, made of ``name.html.j2``, ``name.css`` and ``name.js`` in ``folder``.

    ``values`` are what the template names. The same values make the same bytes.
    """
    style, script = (f"{_read(PAGE, _SHARED, kind)}{_read(folder, name, kind)}" for kind in ("css", "js"))
    page = _templates(folder).get_template(f"{name}.html.j2").render(
        values,
        style=Markup(style),  # noqa: S704 -- our own files
        script=Markup(script),  # noqa: S704 -- our own files
        policy=(
            f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
    )  # fmt: skip
    return page.encode() + b"\n"


def _read(folder: Path, name: str, kind: str) -> str:
    return (folder / f"{name}.{kind}").read_text(encoding="utf-8")


@functools.cache
def _templates(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, PAGE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    """Every text that is put into a page, but for our own style and script."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _digest(text: str) -> str:
    """A source expression of CSP Level 3 (section 2.3.1): what stands between the tags, to the byte."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
