"""Pictures of results files: the only package, but for that of connectivity, that knows matplotlib.

`panels`, `measured` and `places` draw what a `View` shows into axes, `figures` puts panels together, `style` knows sizes and
fonts, `files` how a picture is written.
"""

from snnrun.colours import COLOURS
from snnrun.plot.figures import KINDS, draw, summary
from snnrun.plot.files import ENDINGS, check_name, picture_of, save
from snnrun.plot.style import Style, inches_of
from snnrun.view import PlotError, View

__all__ = [
    "COLOURS",
    "ENDINGS",
    "KINDS",
    "PlotError",
    "Style",
    "View",
    "check_name",
    "draw",
    "inches_of",
    "picture_of",
    "save",
    "summary",
]
