"""What a sweep has measured: lines over one axis, maps over two, with the spread over seeds and all else."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from snnrun import statistics, units
from snnrun.colours import COLOURS
from snnrun.files import in_place_of
from snnrun.plot.style import Style, logarithmic
from snnrun.terminal import visible
from snnrun.view import PlotError

SHOWN = ("rate", "cv", "fano", "synchrony", "correlation")  # measures that have a panel
MOST = 6  # populations that have maps


class _Axis:
    """Values of one path: numbers where all are numbers of one dimension, else the texts in their order."""

    def __init__(self, path: str, texts: Sequence[str]) -> None:
        distinct = list(dict.fromkeys(texts))
        numbers = [_number(text) for text in distinct]
        written = {number[2] for number in numbers if number is not None}
        self.numeric = None not in numbers and len({number[1] for number in numbers if number is not None}) == 1
        place, unit = {text: float(i) for i, text in enumerate(distinct)}, ""
        for text, number in zip(distinct, numbers, strict=True) if self.numeric else ():
            assert number is not None
            unit = number[2] if len(written) == 1 else units.usual(number[1])
            place[text] = number[3] if len(written) == 1 else number[0]
        self.path, self.ticks = path, distinct
        self.values = np.array([place[text] for text in texts])
        self.label = f"{visible(path)} ({unit})" if unit else visible(path)
        known = np.unique(self.values)
        steps = np.diff(known)
        self.logarithmic = bool(self.numeric and len(known) > 3 and (known > 0).all() and steps.max() > 3 * steps.min())


def _number(text: str) -> tuple[float, str, str, float] | None:
    """Value in internal units, dimension, unit and number as they are written; None for what is no number."""
    match = re.fullmatch(rf"\s*({units.NUMBER})\s*(.*?)\s*", text)
    if match is None:
        return None
    number, unit = float(match[1]), match[match.lastindex or 2]
    try:
        return (*units.parse(text), unit, number) if unit else (number, "number", "", number)
    except units.UnitError:
        return None


def draw(given: Any, rows: Mapping[int, Mapping[str, str]], over: Sequence[str], output: Path) -> Path | None:
    """The picture of a sweep, over one path or two; those that vary if none is named. None where nothing varies but the seed, or
    nothing is done. Raises PlotError."""
    kept = [row for _, row in sorted(rows.items()) if row["status"] == "done"]
    varied = [path for path in given.paths if len({row[path] for row in kept}) > 1]
    for path in over:
        if path not in given.paths:
            raise PlotError(f"the sweep does not vary {path!r}; it varies {', '.join(given.paths)}")
    if len(over) > 2:
        raise PlotError("a picture has at most two axes; name one path or two")
    chosen = list(over) or varied[:2]
    if not kept or not chosen:
        return None
    axes = [_Axis(path, [row[path] for row in kept]) for path in chosen]
    columns = {name: np.array([float(row[name] or "nan") for row in kept]) for name in given.measures}
    style = Style()
    with style.context():
        alone = len(axes) == 1 or _scattered(axes)
        figure = _lines(axes, columns, style) if alone else _maps(axes[0], axes[1], columns, style)
        others = [path for path in varied if path not in chosen]
        spread = " and ".join(filter(None, [", ".join(map(visible, others)), "seeds" if len(given.seeds) > 1 else ""]))
        said = f", mean over {spread}" if spread else ""
        figure.suptitle(f"{visible(given.network)}: {len(kept):,} points{said}", fontsize=style.size)
        with in_place_of(output) as partial:
            figure.savefig(partial, dpi=150)
    return output


def _scattered(axes: Sequence[_Axis]) -> bool:
    """Whether two axes have no common grid: values that were drawn, or that go together."""
    pairs = len({*zip(*(axis.values.tolist() for axis in axes), strict=True)})
    grid = math.prod(len(np.unique(axis.values)) for axis in axes)
    return pairs < grid / 2


def _by_measure(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """measure -> population -> values; of those that have a panel and a value anywhere."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, values in columns.items():
        population, _, measure = name.partition(".")
        if measure in SHOWN and np.isfinite(values).any():
            found.setdefault(measure, {})[population] = values
    if not found:
        raise PlotError("there is nothing to be drawn: no measure has a value")
    return found


_UNITS = {measure.name: measure.unit for measure in statistics.MEASURES}


def _named(measure: str) -> str:
    return f"{measure} ({_UNITS[measure]})" if _UNITS.get(measure) else measure


def _lines(axes: Sequence[_Axis], columns: Mapping[str, NDArray[np.float64]], style: Style) -> Figure:
    """A panel for each measure and axis, a line for each population: means, with all between the lowest and the highest."""
    measures = _by_measure(columns)
    size = style.width, 0.6 + 1.7 * style.scale * len(measures)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(measures), len(axes), squeeze=False, sharex="col", sharey="row")
    for row, (measure, own) in zip(panels, measures.items(), strict=True):
        for panel, axis in zip(row, axes, strict=True):
            for colour, (population, values) in zip(_cycle(), own.items(), strict=False):
                _line(panel, axis, values, colour, population, scattered=len(axes) > 1)
            _scale(panel.xaxis, panel.set_xscale, axis)
            panel.spines[["top", "right"]].set_visible(False)
            panel.yaxis.set_major_locator(MaxNLocator(4))
        row[0].set_ylabel(_named(measure))
    for panel, axis in zip(panels[-1], axes, strict=True):
        panel.set_xlabel(axis.label)
    populations = {population for own in measures.values() for population in own}
    if len(populations) > 1:
        panels[0][0].legend(frameon=False)
    return figure


def _cycle() -> list[str]:
    return [str(colour) for colour in COLOURS] * 40


def _line(panel: Any, axis: _Axis, values: NDArray[np.float64], colour: str, label: str, scattered: bool) -> None:
    if scattered:
        panel.plot(axis.values, values, "o", ms=3, mew=0, color=colour, alpha=0.6, label=visible(label))
        return
    places = np.unique(axis.values)
    each = [values[axis.values == place] for place in places]
    each = [one[np.isfinite(one)] for one in each]
    low, mean, high = (np.array([of(one) if len(one) else math.nan for one in each]) for of in (np.min, np.mean, np.max))
    if any(len(one) > 1 for one in each):
        panel.fill_between(places, low, high, color=colour, alpha=0.2, lw=0)
    panel.plot(places, mean, "o-", ms=3, color=colour, label=visible(label))


def _maps(x: _Axis, y: _Axis, columns: Mapping[str, NDArray[np.float64]], style: Style) -> Figure:
    """Rows of maps, one for each measure, with a map for each population: means."""
    measures = _by_measure(columns)
    populations = list(dict.fromkeys(population for own in measures.values() for population in own))[:MOST]
    width = max(style.width, 1.0 + 2.2 * len(populations))
    figure = Figure(figsize=(width, 0.8 + 2.3 * len(measures)), layout="constrained")
    panels = figure.subplots(len(measures), len(populations), squeeze=False, sharex=True, sharey=True)
    places = np.unique(x.values), np.unique(y.values)
    for row, (measure, own) in zip(panels, measures.items(), strict=True):
        for panel, population in zip(row, populations, strict=True):
            if population not in own:
                panel.set_axis_off()
                continue
            image = np.full((len(places[1]), len(places[0])), math.nan)
            for i, j in np.ndindex(image.shape):
                there = own[population][(x.values == places[0][j]) & (y.values == places[1][i])]
                there = there[np.isfinite(there)]
                image[i, j] = there.mean() if len(there) else math.nan
            drawn = panel.imshow(image, origin="lower", aspect="auto", cmap="viridis", interpolation="nearest")
            figure.colorbar(drawn, ax=panel, label=_named(measure))
            panel.set_facecolor("0.85")  # where there is no value
            if len(populations) > 1 and row is panels[0]:
                panel.set_title(visible(population))
            for ticks, labels, axis, at in ((panel.set_xticks, panel.set_xticklabels, x, places[0]),
                                            (panel.set_yticks, panel.set_yticklabels, y, places[1])):  # fmt: skip
                every = max(-(-len(at) // 6), 1)
                ticks(range(0, len(at), every))
                labels([f"{value:.4g}" if axis.numeric else visible(axis.ticks[int(value)]) for value in at[::every]])
    for panel in panels[-1]:
        panel.set_xlabel(x.label)
    for row in panels:
        row[0].set_ylabel(y.label)
    return figure


def _scale(ticks: Any, set_scale: Any, axis: _Axis) -> None:
    if axis.logarithmic:
        logarithmic(ticks, set_scale)
    elif not axis.numeric:
        ticks.set_ticks(range(len(axis.ticks)), [visible(text) for text in axis.ticks])
