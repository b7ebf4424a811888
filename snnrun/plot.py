"""Pictures of a results file: the only module that knows matplotlib."""

import math
import os
import stat
import tempfile
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from snnrun.results import Rate, Results, ResultsError, Samples, Train
from snnrun.terminal import visible

# Colours that differ for colour-blind readers too (Petroff, 2021).
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
ENDINGS = (".png", ".pdf", ".svg")
_LISTED = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
KINDS = ("summary", "raster", "rate", "voltage")
MAX_POINTS = 2_000_000  # spikes; beyond, a raster is drawn as an image of counts
MAX_TRACES = 5
MAX_TRACE_POINTS = 20_000  # times of one trace; beyond, every n-th is drawn
MAX_BINS = 1_000_000
USUAL_BINS = 400  # more cannot be told apart in a picture of this width
_TRACE_INCHES = 0.62


class PlotError(Exception):
    """A picture that cannot be drawn. A `failure` is none of the user's mistakes."""

    def __init__(self, message: str, failure: bool = False) -> None:
        super().__init__(message)
        self.failure = failure


class _Shown(NamedTuple):
    """Spikes of one population in a view, and the neurons (low to high - 1) among which they were recorded."""

    train: Train
    low: int
    high: int


class View:
    """What of a run is shown: populations, times (ms), neurons, and the bin of rates (ms)."""

    def __init__(self, results: Results, populations: tuple[str, ...] = (), start: float | None = None, stop: float | None = None,
                 neurons: tuple[int, int] | None = None, bin: float | None = None, title: bool = True) -> None:  # fmt: skip
        self.results, self.neurons, self.title = results, neurons, title
        self.sizes = {name: size for name, (size, _) in results.populations.items()}
        for name in populations:
            if name not in self.sizes:
                raise PlotError(f"there is no population {name!r}; there are: {', '.join(self.sizes)}")
        self.names = [name for name in self.sizes if not populations or name in populations]
        if neurons is not None:
            largest = max((self.sizes[name] for name in self.names), default=0)
            self.names = [name for name in self.names if max(neurons[0], 0) < min(neurons[1], self.sizes[name])]
            if not self.names:
                raise PlotError(f"no population has neurons {neurons[0]}:{neurons[1]}; the largest has {largest:,}")
        self.start, self.stop = self._window(start, stop)
        self.own_bin = bin is not None
        self.bin = self._usual_bin() if bin is None else self._checked_bin(bin)

    def _window(self, start: float | None, stop: float | None) -> tuple[float, float]:
        reached = self.results.reached
        low, high = start or 0.0, reached if stop is None else min(stop, reached)
        if low < 0:
            raise PlotError(f"a picture cannot begin at {low:g} ms: times are not negative")
        if not low < high:
            where = f"between {low:g} ms and {stop:g} ms" if stop is not None and low < reached else f"after {low:g} ms"
            raise PlotError(f"there is nothing to draw {where}: {reached:g} ms were simulated")
        return low, high

    def _usual_bin(self) -> float:
        """5 ms, less for a short window and more for a long one; whole steps."""
        span, dt = self.stop - self.start, self.results.dt
        width = 5.0 if span > 50 else span / 20
        if span > USUAL_BINS * width:
            decade = 10.0 ** math.floor(math.log10(span / USUAL_BINS))
            width = next(factor * decade for factor in (1, 2, 5, 10) if factor * decade * USUAL_BINS >= span * (1 - 1e-9))
        return max(round(width / dt), 1) * dt

    def _checked_bin(self, width: float) -> float:
        if not width > self.results.dt * (1 - 1e-9):
            raise PlotError(f"bins of {width:g} ms are shorter than one time step, {self.results.dt:g} ms")
        if (self.stop - self.start) / width > MAX_BINS:
            raise PlotError(f"bins of {width:g} ms are too many: at most {MAX_BINS:,} can be drawn")
        return width

    @cached_property
    def spikes(self) -> dict[str, Train]:
        """All that was recorded of the chosen populations."""
        return {name: train for name, train in self.results.all_spikes().items() if name in self.names}

    def trains(self) -> dict[str, _Shown]:
        """Spikes in the view; populations of which nothing was recorded in it are left out."""
        found = {}
        for name, train in self.spikes.items():
            parts = [(0, self.sizes[name])] if train.size == self.sizes[name] else _recorded(self.results, name, train)
            if self.neurons is not None:
                parts = [(max(low, self.neurons[0]), min(high, self.neurons[1])) for low, high in parts]
            parts = [(low, high) for low, high in parts if low < high]
            start, stop = max(self.start, train.start), min(self.stop, train.stop)
            if parts and train.size and start < stop:
                low, high = min(part[0] for part in parts), max(part[1] for part in parts)
                size = train.size if self.neurons is None else sum(b - a for a, b in parts)
                keep = (train.times > start) & (train.times <= stop) & (train.neurons >= low) & (train.neurons < high)
                found[name] = _Shown(Train(train.times[keep], train.neurons[keep], size, start, stop), low, high)
        return found

    def rates(self) -> dict[str, Rate]:
        """Rates in the view that were recorded as such, by population; bins that no eye could tell apart are averaged."""
        found: dict[str, Rate] = {}
        if self.neurons is not None:
            return found  # they are of other neurons
        for name, model in self.results.monitors.items():
            for population, rate in self.results.rates(name).items() if model == "rate" else ():
                inside = np.flatnonzero((rate.edges[1:] > self.start) & (rate.edges[:-1] < self.stop))
                if population in self.names and len(inside):
                    part = slice(inside[0], inside[-1] + 1)
                    edges = rate.edges[inside[0] : inside[-1] + 2]
                    cut = Rate(rate.times[part], rate.values[part], rate.bin, edges, rate.size)
                    found.setdefault(population, _averaged(cut, 5 * USUAL_BINS))
        return found

    def colour(self, population: str) -> str:
        return COLOURS[list(self.sizes).index(population) % len(COLOURS)]


def _recorded(results: Results, population: str, train: Train) -> list[tuple[int, int]]:
    """Which neurons the first spikes monitor of a population took, as ranges."""
    from snnrun.spec import SelectionError, parts

    sizes = {name: size for name, (size, _) in results.populations.items()}
    for monitor in (results.resolved.get("monitors") or {}).values():
        if monitor.get("model") == "spikes":
            of = monitor.get("of")
            try:
                selected = parts(tuple(map(str, of if isinstance(of, list) else [of])), sizes)
            except SelectionError as error:
                raise ResultsError(f"{results.path} is damaged: {error.message}") from None
            found = [(part.start, part.stop) for part in selected if part.population == population]
            if sum(high - low for low, high in found) == train.size:
                return found
    return [(0, sizes[population])]


def _averaged(rate: Rate, most: int) -> Rate:
    """A rate in wider bins, so that there are at most so many."""
    if len(rate.values) <= most:
        return rate
    several = math.ceil(len(rate.values) / (most // 5))
    first = np.arange(0, len(rate.values), several)
    widths = np.diff(rate.edges)
    edges = np.append(rate.edges[first], rate.edges[-1])
    values = np.add.reduceat(rate.values * widths, first) / np.diff(edges)
    return Rate(0.5 * (edges[:-1] + edges[1:]), values, several * rate.bin, edges, rate.size)


# names are no formulas
_plainly = matplotlib.rc_context({"text.parse_math": False, "text.usetex": False})


@_plainly
def summary(results: Results, view: View | None = None) -> Figure:
    """Raster coloured by population, population rates below, and voltage traces where they were recorded."""
    view = view or View(results)
    trains, traces, curves = view.trains(), _traces(view), _curves(view)
    heights = ([2.6] if trains else []) + ([1.2 if trains or traces else 3.0] if curves else []) + [_TRACE_INCHES] * len(traces)
    if not heights:
        raise PlotError("nothing was recorded that could be drawn: add a spikes, rate or state monitor")
    figure, axes = _stacked(heights)
    below = iter(axes)
    if trains:
        _raster(next(below), view, trains)
    if curves:
        _rates(next(below), view, curves, legend=not set(curves) <= set(trains) or not trains)
    _draw_traces(list(below), view, traces)
    return _finished(figure, axes, view, trains, curves)


@_plainly
def draw(kind: str, results: Results, view: View) -> Figure:
    """One of KINDS."""
    if kind == "summary":
        return summary(results, view)
    trains, curves = view.trains(), _curves(view)
    if kind == "voltage":
        if not (traces := _traces(view)):
            raise PlotError("no voltages were recorded of what is shown: add a state monitor with variables: [V]")
        figure, axes = _stacked([1.6 * _TRACE_INCHES] * len(traces))
        _draw_traces(axes, view, traces)
        return _finished(figure, axes, view, trains, curves)
    if not (trains if kind == "raster" else curves):
        raise PlotError(f"no spikes were recorded of what is shown: add a spikes {'or rate ' * (kind == 'rate')}monitor")
    figure, axes = _stacked([4.0 if kind == "raster" else 3.0])
    if kind == "raster":
        _raster(axes[0], view, trains)
    else:
        _rates(axes[0], view, curves, legend=True)
    return _finished(figure, axes, view, trains, curves)


def _stacked(heights: list[float]) -> tuple[Figure, list[Any]]:
    """A figure of panels with one time axis; heights in inches."""
    figure = Figure(figsize=(8.0, 1.0 + sum(heights)), layout=ConstrainedLayoutEngine(hspace=0.02))
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    return figure, list(axes[:, 0])


def picture_of(results: Path) -> Path:
    """Where the picture of a results file goes that was given no name."""
    return results.with_name(results.name.removesuffix(".partial")).with_suffix(".png")


def check_name(path: Path) -> None:
    """That a picture can have this name. Raises PlotError."""
    if path.is_dir():
        raise PlotError(f"{path} is a folder: name a file that ends in {_LISTED}")
    if path.suffix.lower() not in ENDINGS:
        raise PlotError(f"{path} does not say what kind of picture it is: let its name end in {_LISTED}")
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:  # a link that leads round in a circle, a folder that is a file
        raise PlotError(f"{path} cannot be written: {error.strerror}") from None
    if not regular:
        raise PlotError(f"{path} is no regular file")


def save(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure; its kind follows from the ending. What was there stays until the new one is complete."""
    check_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))
        with tempfile.TemporaryDirectory(prefix=".snnrun-", dir=target.parent) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a name with letters that the font lacks is no reason to fail
            drawn = Path(folder) / target.name
            figure.savefig(drawn, dpi=dpi)
            drawn.replace(target)
    except OSError as error:  # the system does not name the file when a disk is full
        raise PlotError(f"{path} cannot be written: {error.strerror or error}", failure=True) from error
    except (ValueError, ArithmeticError, MemoryError) as error:  # numbers that no axis can show
        raise PlotError(f"{path} cannot be drawn: {error}") from error


def _finished(figure: Figure, axes: list[Any], view: View, trains: dict[str, _Shown], curves: dict[str, Rate]) -> Figure:
    axes[-1].set_xlabel("time (ms)")
    axes[-1].set_xlim(view.start, view.stop)
    axes[-1].ticklabel_format(axis="x", style="plain", useOffset=False)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    if view.title:
        name = visible(view.results.name)
        name = name if len(name) <= 60 else name[:59] + "…"
        _title(axes[0], name if view.results.complete else f"{name} (incomplete)", _rate_texts(view, trains, curves))
    return figure


def _rate_texts(view: View, trains: dict[str, _Shown], curves: dict[str, Rate]) -> list[str]:
    """Mean rate of each population over what was recorded within the view."""
    found = []
    for population in view.names:
        if population in trains:
            train = trains[population].train
            size, rate = train.size, train.rate
        elif population in curves:
            curve = curves[population]
            size, rate = curve.size, float(np.average(curve.values, weights=np.diff(curve.edges)))
        else:
            continue
        neurons = "" if size is None else f"{size:,} neuron{'s' if size != 1 else ''}, "
        found.append(f"{visible(population)}: {neurons}{rate:.3g} Hz")
    return found


def _title(axis: Any, name: str, rates: list[str]) -> None:
    """The name at the left; rates at the right of it, or in rows below it where they are too many."""
    beside = "   ".join(rates)
    bold = dict(fontsize=11, fontweight="bold")
    if 1.5 * len(name) + len(beside) <= 85:
        axis.set_title(name, loc="left", **bold)
        axis.set_title(beside, loc="right", fontsize=9, color="#444444")
        return
    rows = [""]
    for text in rates:
        if rows[-1] and len(rows[-1]) + 3 + len(text) > 110:
            rows.append("")
        rows[-1] += ("   " if rows[-1] else "") + text
    axis.set_title("\n".join(rows), loc="left", fontsize=8, color="#444444")
    above = 9 + 9.4 * len(rows)  # points
    axis.annotate(name, (0, 1), xycoords="axes fraction", xytext=(0, above), textcoords="offset points", annotation_clip=False,
                  va="bottom", **bold)  # fmt: skip


def _raster(axis: Any, view: View, trains: dict[str, _Shown]) -> None:
    """Populations stacked, the first at the top; the lowest neuron of each at its upper edge."""
    alone = len(trains) == 1
    first, offset = {}, next(iter(trains.values())).low if alone else 0  # one population: true indices
    top = offset
    for name, shown in trains.items():
        first[name], offset = offset, offset + shown.high - shown.low
    rows = offset - top
    count = sum(len(shown.train.times) for shown in trains.values())
    for name, (train, low, high) in trains.items():
        y = first[name] + train.neurons - low
        if count > MAX_POINTS:
            _image(axis, view, train.times, y, first[name], high - low, view.colour(name))
        else:
            # few spikes can be seen one by one, many would run into each other
            marker = dict(marker="|", ms=max(2.0, min(8.0, 150 / rows)), mew=1.0) if rows <= 120 else dict(
                marker="o", ms=float(np.clip(2.0 * (4000 / max(count, 1)) ** 0.5, 0.4, 2.0)), mew=0
            )  # fmt: skip
            axis.plot(train.times, y, ls="none", color=view.colour(name), rasterized=True, **marker)
    axis.set_ylim(offset - 0.5, top - 0.5)
    axis.set_ylabel("neuron")
    axis.ticklabel_format(axis="y", style="plain", useOffset=False)
    # a locator of whole numbers gives fractions where there are only one or two of them
    few = FixedLocator(list(range(top, offset))) if rows <= 3 else MaxNLocator(nbins=6, integer=True)
    axis.yaxis.set_major_locator(few)
    if not alone:
        for name, (_, low, high) in trains.items():
            if first[name]:
                axis.axhline(first[name] - 0.5, color="#bbbbbb", lw=0.6)
            if (high - low) / rows > 0.04:
                axis.annotate(visible(name), (1.006, first[name] + (high - low) / 2 - 0.5), xycoords=("axes fraction", "data"),
                              color=view.colour(name), fontsize=9, va="center", annotation_clip=False)  # fmt: skip


def _image(axis: Any, view: View, times: Any, y: Any, first: int, size: int, colour: str) -> None:
    rows = max(min(size, 400), 1)
    counts, _, _ = np.histogram2d(y, times, bins=(rows, 1200), range=((first, first + size), (view.start, view.stop)))
    shade = np.zeros((rows, 1200, 4))
    shade[..., :3] = to_rgb(colour)
    shade[..., 3] = np.minimum(counts / max(np.percentile(counts[counts > 0], 90) if counts.any() else 1, 1), 1)
    axis.imshow(shade, extent=(view.start, view.stop, first + size - 0.5, first - 0.5), aspect="auto", interpolation="nearest")


def _curves(view: View) -> dict[str, Rate]:
    """Rates to be drawn: as recorded, unless there are spikes and a bin is asked for."""
    recorded, trains = view.rates(), view.trains()
    found = {}
    for name in view.names:
        if name in recorded and not (view.own_bin and name in trains):
            found[name] = recorded[name]
        elif name in trains:
            found[name] = _counted(trains[name].train, view.bin, view.results.dt)
    return found


def _counted(train: Train, width: float, dt: float) -> Rate:
    """Rate per neuron in bins from the beginning of the window on; a rest of less than half a bin is left out."""
    edges = train.start + width * np.arange(math.floor((train.stop - train.start) / width + 1e-9) + 1, dtype=np.float64)
    if len(edges) < 2 or train.stop - edges[-1] > 0.5 * width:
        edges = np.append(edges, train.stop)
    # a bin is open at its beginning and closed at its end: the stamp of a spike is the end of its step
    counts = np.histogram(train.times - 0.5 * dt, edges)[0]
    values = counts / train.size / np.diff(edges) * 1e3
    return Rate(0.5 * (edges[:-1] + edges[1:]), values, width, edges, train.size)


def _rates(axis: Any, view: View, curves: dict[str, Rate], legend: bool) -> None:
    """Rates per neuron as steps; thin and translucent where lines lie upon each other."""
    line = dict(lw=1.1) if len(curves) == 1 else dict(lw=0.9, alpha=0.8)
    for name, rate in curves.items():
        axis.stairs(rate.values, rate.edges, baseline=None, color=view.colour(name), label=visible(name), **line)
    widths = {f"{rate.bin:.4g}" for rate in curves.values()}
    axis.set_ylabel(f"rate (Hz)\n{widths.pop()} ms bins" if len(widths) == 1 else "rate (Hz)")
    axis.set_ylim(bottom=0)
    if len(curves) > 1 and legend:
        axis.set_ylim(top=1.25 * axis.get_ylim()[1])  # room for the legend
        axis.legend(frameon=False, fontsize=8, ncols=min(len(curves), 8), loc="upper right", handlelength=1.2)


class _Trace(NamedTuple):
    population: str
    neuron: int
    times: NDArray[np.float64]
    values: NDArray[Any]


def _traces(view: View) -> list[_Trace]:
    """Recorded membrane potentials: at most MAX_TRACES, of all populations that have some in the view."""
    found: dict[str, tuple[Samples, slice, list[int]]] = {}
    for name, model in view.results.monitors.items():
        for (population, label), samples in view.results.samples(name).items() if model == "state" else ():
            if label == "V" and population in view.names and population not in found:
                low, high = view.neurons or (0, view.sizes[population])
                columns = [i for i, neuron in enumerate(samples.neurons) if low <= neuron < high]
                frames = _frames(samples, view.start, view.stop)
                if columns and frames.start < frames.stop:
                    found[population] = samples, frames, columns
    traces = []
    for population, (samples, frames, columns) in list(found.items())[:MAX_TRACES]:
        for i in columns[: max(1, MAX_TRACES // len(found))]:
            traces.append(_Trace(population, int(samples.neurons[i]), samples.times(frames), samples.data[frames, i]))
    return traces


def _frames(samples: Samples, start: float, stop: float) -> slice:
    """Frames from start to stop; every n-th where they are too many."""
    first = max(math.ceil((start - samples.start) / samples.step - 1e-6), 0)
    end = min(math.floor((stop - samples.start) / samples.step + 1e-6) + 1, samples.length)
    return slice(first, end, max(math.ceil((end - first) / MAX_TRACE_POINTS), 1))


def _draw_traces(axes: list[Any], view: View, traces: list[_Trace]) -> None:
    """One panel per neuron, all with the same scale; a spike is a stroke above the traces."""
    if not traces:
        return
    values = np.concatenate([trace.values[np.isfinite(trace.values)] for trace in traces])
    bottom, top = (float(values.min()), float(values.max())) if len(values) else (-1.0, 0.0)
    span = max(top - bottom, 1e-3)
    for axis, trace in zip(axes, traces, strict=True):
        colour = view.colour(trace.population)
        axis.plot(trace.times, trace.values, lw=0.9, color=colour)
        if trace.population in view.spikes:
            train = view.spikes[trace.population]
            stamps = train.times[(train.neurons == trace.neuron) & (train.times > view.start) & (train.times <= view.stop)]
            axis.vlines(stamps, top, top + 0.5 * span, color=colour, lw=0.9)
        axis.set_ylim(bottom - 0.1 * span, top + 0.55 * span)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=3))
        label = f"{visible(trace.population)}[{trace.neuron}]"
        axis.set_ylabel(label, rotation=0, ha="left", va="center", fontsize=9, color=colour)
        axis.yaxis.set_label_coords(1.006, 0.5)
        axis.tick_params(axis="y", labelsize=8)
        if axis is not axes[-1]:
            axis.spines["bottom"].set_visible(False)
            axis.tick_params(axis="x", bottom=False)
    middle = axes[len(axes) // 2]
    middle.annotate(
        "V (mV)", (-0.075, 0.5), xycoords="axes fraction", rotation=90, va="center", ha="right", annotation_clip=False
    )
