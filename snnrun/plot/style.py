"""What a picture looks like: size, fonts, colours. The widths are those of one and of two columns of a journal."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from difflib import get_close_matches
from typing import Any, NamedTuple

import matplotlib
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from snnrun.view import PlotError

LINES = ("-", "--", ":", "-.")  # of files that are drawn over each other
WIDTHS = {"screen": 8.0, "column": 3.35, "page": 7.0}  # inches; 85 mm and 178 mm
NARROWEST, WIDEST = 1.5, 60.0  # inches
_PAPER = {"paper": "#ffffff", "ink": "#000000", "faint": "#bbbbbb", "grey": "#444444"}
_NIGHT = {"paper": "#16181d", "ink": "#e4e4e4", "faint": "#555a63", "grey": "#b4b4b4"}


class Style(NamedTuple):
    """How a picture looks."""

    width: float = WIDTHS["screen"]  # inches
    height: float | None = None  # inches; None is what the panels need
    font: str | None = None
    points: float | None = None  # size of labels; None follows from the width
    dark: bool = False

    @property
    def size(self) -> float:
        """Points of labels: 10 on a screen, 7 in one column."""
        return self.points or min(max(10.0 * (self.width / 8.0) ** 0.41, 6.0), 14.0)

    @property
    def scale(self) -> float:
        """Of all that goes with the size of letters."""
        return self.size / 10.0

    @property
    def ink(self) -> dict[str, str]:
        return _NIGHT if self.dark else _PAPER

    def letters(self, share: float = 1.0) -> int:
        """How many letters of that share of the labels' size stand side by side."""
        return int(self.width * 72 / (0.55 * self.size * share))

    def context(self) -> AbstractContextManager[Any]:
        """Settings of matplotlib for what is drawn within. Names are no formulas. Raises PlotError for an unknown font."""
        ink = self.ink
        settings: dict[Any, Any] = {
            "text.parse_math": False, "text.usetex": False, "font.size": self.size, "axes.titlesize": self.size,
            "axes.labelsize": self.size, "xtick.labelsize": 0.9 * self.size, "ytick.labelsize": 0.9 * self.size,
            "legend.fontsize": 0.8 * self.size, "axes.linewidth": 0.8 * self.scale, "lines.linewidth": self.scale,
            "xtick.major.width": 0.8 * self.scale, "ytick.major.width": 0.8 * self.scale,
            "xtick.major.size": 3.5 * self.scale, "ytick.major.size": 3.5 * self.scale,
        }  # fmt: skip
        if self.font is not None:
            settings["font.family"] = [_known(self.font)]
        if self.dark:
            settings |= {key: ink["ink"] for key in ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color",
                                                     "ytick.color")}  # fmt: skip
            settings |= {"figure.facecolor": ink["paper"], "axes.facecolor": ink["paper"]}
        return matplotlib.rc_context(settings)


def _known(font: str) -> str:
    from matplotlib.font_manager import fontManager

    families = {"serif", "sans-serif", "monospace", *(entry.name for entry in fontManager.ttflist)}
    if font in families:
        return font
    near = get_close_matches(font, families, 1) or sorted(name for name in families if name.lower() == font.lower())
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(families)[:12])}, ..."
    raise PlotError(f"there is no font {font!r} here; {hint}")


def logarithmic(axis: Any, set_scale: Callable[[str], Any]) -> None:
    """Make an axis on which something is drawn logarithmic, with numbers that are written out: texts are no formulas here."""
    set_scale("log")
    low, high = axis.get_data_interval()
    few = low > 0 and high / low < 1e3
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=9 if few else 5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def inches_of(option: str, text: str) -> float:
    """Inches of `column`, `page`, `screen` or a length like `120 mm`. Raises PlotError."""
    from snnrun import units

    if text in WIDTHS:
        return WIDTHS[text]
    try:
        inches = units.read(text, "length") / 25_400.0
    except units.UnitError:
        inches = math.nan
    if not NARROWEST <= inches <= WIDEST:
        least, most = NARROWEST * 25.4, WIDEST * 25.4
        raise PlotError(f"{option}: {text!r} is no size of a picture: write {', '.join(WIDTHS)}, or {least:.0f} to {most:.0f} mm")
    return inches
