"""The site: `python -m sphinx -W -b html docs docs/_build` makes it of the Markdown pages of this folder.

The pages are written to be read on GitHub as well, so they use nothing but Markdown; only index.md has Sphinx's tables of contents.
A page that stands in none of them is an error.
"""

from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "snnrun" / "__init__.py"

project = "snnrun"
copyright = "the authors of snnrun"
release = next(line for line in PACKAGE.read_text().splitlines() if line.startswith("__version__")).split('"')[1]
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # links to headings, by the names that GitHub gives them
suppress_warnings = [
    "toc.empty_glob",  # index.md may name a page, with a *, that is still to be written
    "misc.highlighting_failure",  # a YAML block with ... in place of what is left out
]

html_theme = "furo"
html_title = "snnrun"
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
