"""Pictures of results files: the only package, but for that of connectivity, that knows matplotlib.

`view` says what of a run is shown, `panels`, `measured` and `places` draw it into axes, `figures` puts panels together, `style`
knows sizes and colours, `files` how a picture is written.
"""

from snnrun.plot.figures import KINDS, draw, summary
from snnrun.plot.files import ENDINGS, check_name, picture_of, save
from snnrun.plot.style import COLOURS, Style, inches_of
from snnrun.plot.view import PlotError, View

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
