"""Sphinx configuration. ``make docs`` builds the pages into docs/_build and fails on the first warning."""  # noqa: INP001 -- Sphinx runs this file, nobody imports it

from builder import __version__

project = "bedplate"
author = "the bedplate authors"
release = __version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
# Links to headings of other pages are checked too.
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"bedplate {release}"
# Nothing that differs from build to build.
html_last_updated_fmt = None
html_copy_source = False
html_show_sphinx = False
