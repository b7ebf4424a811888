"""The site: `python -m sphinx -W -b html docs docs/_build` makes it of the Markdown pages of this folder.

The pages are written to be read on GitHub as well, so they use nothing but Markdown; only index.md has Sphinx's tables of
contents. There a * stands for all pages that are named nowhere else.
"""

import re
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
    "misc.highlighting_failure",  # a YAML block with ... in place of what is left out
]

html_theme = "furo"
html_title = "snnrun"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"


def complete_contents(app, page, source):
    """Write out what the * of the tables of contents stands for."""
    if page != "index":
        return
    there = app.env.found_docs
    tables = "\n".join(re.findall(r"^```\{toctree\}\n(.*?)^```", source[0], flags=re.M | re.S))
    others = sorted(there - set(tables.splitlines()) - {"index"})
    source[0] = re.sub(r"^\*\n", "".join(f"{name}\n" for name in others), source[0], flags=re.M)


def setup(app):
    app.connect("env-get-outdated", lambda *_: ["index"])  # it changes with what other pages there are
    app.connect("source-read", complete_contents)
    return {"parallel_read_safe": True}
