"""What stands in one axis: a raster, rates, traces. Times are in ms, whatever the axis says."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from snnrun.colours import COLOURS
from snnrun.plot.style import LINES, Style
from snnrun.results import Rate
from snnrun.terminal import visible
from snnrun.view import Shown, Trace, View

MAX_POINTS = 1_000_000  # spikes; beyond, a raster is drawn as an image of counts
FEW = 20_000  # spikes of a population that are drawn one by one in any case
_LEAST = 0.3  # opacity of the faintest place of an image where there was a spike
_COLUMNS, _ROWS = 1200, 400  # of an image
LONG = 10_000.0  # ms; a longer time is shown in s


class Look(NamedTuple):
    """How one population of one run is drawn."""

    colour: str
    line: str
    label: str


Looks = Callable[[int, str], Look]


def looks(views: Sequence[View], labels: Sequence[str]) -> Looks:
    """Colours tell populations apart and lines tell runs apart; where there is one population, colours tell runs apart."""
    names = list(
        dict.fromkeys([*(name for view in views for name in view.sizes), *(name for view in views for name in view.parts)])
    )
    shown = {name for view in views for name in (*view.names, *view.parts)}
    several = len(views) > 1

    def look(run: int, population: str) -> Look:
        if several and len(shown) == 1:
            return Look(COLOURS[run % len(COLOURS)], "-", labels[run])
        label = f"{visible(population)}, {labels[run]}" if several else visible(population)
        return Look(COLOURS[names.index(population) % len(COLOURS)], LINES[run % len(LINES)], label)

    return look


def time_axis(axis: Any, start: float, stop: float) -> None:
    """An axis of time, in s where it is long."""
    axis.set_xlim(start, stop)
    if stop - start >= LONG:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms * 1e-3:g}"))
        axis.set_xlabel("time (s)")
    else:
        axis.ticklabel_format(axis="x", style="plain", useOffset=False)
        axis.set_xlabel("time (ms)")


def raster(axis: Any, view: View, look: Callable[[str], Look], style: Style) -> None:
    """Populations stacked, the first at the top; the lowest neuron of each at its upper edge."""
    trains = view.trains
    alone = len(trains) == 1
    first, offset = {}, next(iter(trains.values())).low if alone else 0  # one population: true indices
    top = offset
    for name, shown in trains.items():
        first[name], offset = offset, offset + shown.high - shown.low
    rows = offset - top
    count = sum(len(shown.train.times) for shown in trains.values())
    for name, shown in trains.items():
        y = shown.train.neurons + (first[name] - shown.low)
        if count > MAX_POINTS and len(y) > FEW:
            _image(axis, view, shown, y, first[name], look(name).colour)
        else:
            axis.plot(shown.train.times, y, ls="none", color=look(name).colour, rasterized=True,
                      **_marker(rows, count, len(y), style.scale))  # fmt: skip
    axis.set_ylim(offset - 0.5, top - 0.5)
    axis.set_ylabel("neuron")
    axis.ticklabel_format(axis="y", style="plain", useOffset=False)
    # a locator of whole numbers gives fractions where there are only one or two of them
    few = FixedLocator(list(range(top, offset))) if rows <= 3 else MaxNLocator(nbins=6, integer=True, steps=[1, 2, 2.5, 5, 10])
    axis.yaxis.set_major_locator(few)
    if not count:
        axis.text(0.5, 0.5, "no spikes", transform=axis.transAxes, ha="center", va="center", color=style.ink["grey"])
    if alone:
        return
    for begin in first.values():
        if begin:
            axis.axhline(begin - 0.5, color=style.ink["faint"], lw=0.6 * style.scale)
    middles = {name: (first[name] + (trains[name].high - trains[name].low) / 2 - top) / rows for name in first}
    _beside(axis, {name: 1 - middle for name, middle in middles.items()}, look, style)


def _marker(rows: int, count: int, own: int, scale: float) -> dict[str, Any]:
    """Few spikes can be seen one by one, many would run into each other; that of a population with few can be seen among many."""
    if rows <= 120:
        return dict(marker="|", ms=scale * max(2.0, min(8.0, 150 / rows)), mew=scale)
    size = max(2.0 * (4000 / max(count, 1)) ** 0.5, min(2.0 * (400 / max(own, 1)) ** 0.5, 2.0))
    return dict(marker="o", ms=scale * float(np.clip(size, 0.4, 3.0)), mew=0)


def _image(axis: Any, view: View, shown: Shown, y: Any, first: int, colour: str) -> None:
    """Counts of spikes in the places of a grid, by opacity."""
    size = shown.high - shown.low
    rows = max(min(size, _ROWS), 1)
    column = ((shown.train.times - view.start) * (_COLUMNS / (view.stop - view.start))).astype(np.int64)
    row = (y - first) * rows // size
    place = row * _COLUMNS + np.minimum(column, _COLUMNS - 1)
    counts = np.bincount(place, minlength=rows * _COLUMNS).reshape(rows, _COLUMNS)
    shade = np.zeros((rows, _COLUMNS, 4), np.float32)
    shade[..., :3] = to_rgb(colour)
    most = max(np.percentile(counts[counts > 0], 90), 1) if counts.any() else 1
    shade[..., 3] = np.where(counts > 0, np.clip(counts / most, _LEAST, 1), 0)
    axis.imshow(shade, extent=(view.start, view.stop, first + size - 0.5, first - 0.5), aspect="auto", interpolation="nearest")


def _beside(axis: Any, places: dict[str, float], look: Callable[[str], Look], style: Style) -> None:
    """Names at the right of an axis, each beside its place (0 at the bottom to 1), moved apart where they would overlap."""
    height = axis.get_figure().get_figheight() * 72 * axis.get_position().height
    size = 0.9 * style.size
    if len(places) * size * 1.15 > height:
        size = max(height / len(places) / 1.15, 0.4 * style.size)
    gap = size * 1.15 / height
    names = list(places)
    if len(places) * gap > 1:  # not even the smallest letters fit: every n-th
        names = names[:: int(np.ceil(len(places) * gap))]
    moved = apart([places[name] for name in names], gap)
    for name, y in zip(names, moved, strict=True):
        colour = look(name).colour
        if abs(y - places[name]) > gap / 2:
            axis.annotate("", (1.0, places[name]), (1.016, y), xycoords="axes fraction", textcoords="axes fraction",
                          annotation_clip=False, arrowprops=dict(arrowstyle="-", color=colour, lw=0.5 * style.scale,
                                                                 shrinkA=0, shrinkB=0))  # fmt: skip
        axis.annotate(visible(name), (1.02, y), xycoords="axes fraction", color=colour, fontsize=size, va="center",
                      annotation_clip=False)  # fmt: skip


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Descending places between 1 and 0, moved as little as it takes for neighbours to be a gap apart."""
    blocks: list[tuple[float, int]] = []  # mean of what the first of a block would be, and how many there are
    for place in places:
        block = (place, 1)
        while blocks and blocks[-1][0] - blocks[-1][1] * gap < block[0]:  # overlaps what is above
            mean, several = blocks.pop()
            total = several + block[1]
            block = ((mean * several + (block[0] + several * gap) * block[1]) / total, total)
        blocks.append(block)
    moved = [mean - i * gap for mean, several in blocks for i in range(several)]
    for i in range(len(moved) - 1, -1, -1):  # none below the axis
        moved[i] = max(moved[i], gap / 2 + (len(moved) - 1 - i) * gap)
    limit = 1 - gap / 2
    for i, place in enumerate(moved):  # none above
        moved[i] = min(place, limit)
        limit = moved[i] - gap
    return moved


def rates(axis: Any, curves: Sequence[tuple[Look, Rate]], legend: bool, style: Style) -> None:
    """Rates per neuron as steps; thin and translucent where lines lie upon each other."""
    line = dict(lw=1.1 * style.scale) if len(curves) == 1 else dict(lw=0.9 * style.scale, alpha=0.8)
    for look, rate in curves:
        axis.stairs(rate.values, rate.edges, baseline=None, color=look.colour, label=look.label, ls=look.line, **line)
    widths = {f"{rate.bin:.4g} ms" if rate.bin < 1000 else f"{rate.bin * 1e-3:.4g} s" for _, rate in curves}
    axis.set_ylabel(f"rate (Hz)\n{widths.pop()} bins" if len(widths) == 1 else "rate (Hz)")
    silent = not any(rate.values.any() for _, rate in curves)
    axis.set_ylim(0, 1 if silent else None)
    axis.yaxis.set_major_locator(MaxNLocator(nbins=4))
    if len(curves) > 1 and legend:
        axis.set_ylim(top=1.25 * axis.get_ylim()[1])  # room for the legend
        legend_of(axis, [look.label for look, _ in curves], style, loc="upper right")


def legend_of(axis: Any, labels: Sequence[str], style: Style, **where: Any) -> None:
    """What the lines are; in as many columns as fit."""
    columns = max(style.letters(0.8) // (max(map(len, labels)) + 6), 1)
    axis.legend(frameon=False, ncols=min(len(labels), columns, 8), handlelength=1.6, **where)


def span_of(values: Sequence[Any]) -> tuple[float, float]:
    """The lowest and the highest of some values; a constant stands in the middle of a sensible range."""
    finite = np.concatenate([part[np.isfinite(part)].ravel() for part in map(np.asarray, values)])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    least = 0.01 * max(abs(low), abs(high)) or 1.0
    if high - low < 1e-4 * least:
        return low - least, high + least
    return low, high


def potentials(axes: Sequence[Any], rows: Sequence[Sequence[tuple[Look, Trace, Any]]], view: View, style: Style) -> None:
    """One panel per neuron, all with the same scale. With each trace go its spike times.

    A spike is a stroke from the last sample before it up above all traces; with several runs in a panel above all traces only.
    """
    bottom, top = span_of([trace.values for row in rows for _, trace, _ in row])
    span = top - bottom
    for axis, row in zip(axes, rows, strict=True):
        for i, (look, trace, stamps) in enumerate(row):
            axis.plot(trace.times, trace.values, lw=0.9 * style.scale, color=look.colour, ls=look.line)
            if stamps is not None:
                low = top + 0.5 * span * i / len(row)
                before = np.maximum(np.searchsorted(trace.times, stamps) - 1, 0)
                begin = trace.values[before] if len(row) == 1 and len(trace.times) else low
                axis.vlines(stamps, begin, low + 0.5 * span / len(row), color=look.colour, lw=0.9 * style.scale)
        axis.set_ylim(bottom - 0.1 * span, top + 0.55 * span)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=3))
        look, trace, _ = row[0]
        axis.set_ylabel(f"{visible(trace.population)}[{trace.neuron}]", rotation=0, ha="left", va="center",
                        fontsize=0.9 * style.size, color=look.colour if len(row) == 1 else style.ink["ink"])  # fmt: skip
        axis.yaxis.set_label_coords(1.006, 0.5)
        axis.tick_params(axis="y", labelsize=0.8 * style.size)
        if axis is not axes[-1]:
            axis.spines["bottom"].set_visible(False)
            axis.tick_params(axis="x", bottom=False)
    middle = axes[len(axes) // 2]
    away = -0.6 * style.scale / style.width  # left of the numbers
    middle.annotate("V (mV)", (away, 0.5), xycoords="axes fraction", rotation=90, va="center", ha="right",
                    annotation_clip=False)  # fmt: skip
