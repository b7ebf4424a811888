"""Pictures of a results file: the only module that knows matplotlib."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

matplotlib.use("Agg", force=False)

from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

from snnrun.results import Rate, Results, Series, Train  # noqa: E402

# Colours that differ for colour-blind readers too (Petroff, 2021).
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
ENDINGS = (".png", ".pdf", ".svg")
KINDS = ("summary", "raster", "rate", "voltage")
MAX_POINTS = 2_000_000  # spikes; beyond, a raster is drawn as an image of counts
MAX_TRACES = 5
_TRACE_INCHES = 0.62


class PlotError(Exception):
    """A picture that cannot be drawn."""


class View:
    """What of a run is shown: populations, times (ms), neurons, and the bin of rates (ms)."""

    def __init__(self, results: Results, populations: tuple[str, ...] = (), start: float | None = None, stop: float | None = None,
                 neurons: tuple[int, int] | None = None, bin: float | None = None, title: bool = True) -> None:  # fmt: skip
        known = results.populations
        for name in populations:
            if name not in known:
                raise PlotError(f"there is no population {name!r}; there are {', '.join(known)}")
        self.results = results
        self.names = [name for name in known if not populations or name in populations]
        recorded = results.duration if results.complete else _last_time(results)
        self.start = 0.0 if start is None else start
        self.stop = recorded if stop is None else stop
        if not self.start < self.stop:
            raise PlotError(f"nothing lies between {self.start:g} ms and {self.stop:g} ms")
        self.neurons, self.title = neurons, title
        span = self.stop - self.start
        self.bin = bin if bin is not None else max(results.dt, 5.0 if span > 50 else span / 20)

    def trains(self) -> dict[str, Train]:
        found = {}
        for name, train in self.results.all_spikes().items():
            if name in self.names:
                low, high = self.neurons or (0, self.results.populations[name][0])
                keep = (train.times > self.start) & (train.times <= self.stop) & (train.neurons >= low) & (train.neurons < high)
                found[name] = Train(train.times[keep], train.neurons[keep])
        return found

    def colour(self, population: str) -> str:
        return COLOURS[list(self.results.populations).index(population) % len(COLOURS)]


def _last_time(results: Results) -> float:
    last = [results.dt]
    last += [train.times[-1] for train in results.all_spikes().values() if len(train.times)]
    for name, model in results.monitors.items():
        if model in ("state", "input"):
            last += [series.times[-1] for series in results.series(name).values() if len(series.times)]
    return float(max(last))


def summary(results: Results, view: View | None = None) -> Figure:
    """Raster coloured by population, population rates below, and voltage traces where they were recorded."""
    view = view or View(results)
    trains, traces = view.trains(), _traces(view)
    heights = ([2.6, 1.2] if trains else []) + [_TRACE_INCHES] * len(traces)
    if not heights:
        raise PlotError("nothing was recorded that could be drawn: add a spikes or state monitor")
    figure, axes = _stacked(heights)
    if trains:
        _raster(axes[0], view, trains)
        _rates(axes[1], view, trains)
    _draw_traces(axes[-len(traces) :] if traces else [], view, traces)
    return _finished(figure, axes, view, trains)


def draw(kind: str, results: Results, view: View) -> Figure:
    """One of KINDS."""
    if kind == "summary":
        return summary(results, view)
    trains = view.trains()
    if kind == "voltage":
        if not (traces := _traces(view)):
            raise PlotError("no voltages were recorded: add a state monitor with variables: [V]")
        figure, axes = _stacked([1.6 * _TRACE_INCHES] * len(traces))
        _draw_traces(axes, view, traces)
        return _finished(figure, axes, view, trains)
    if not trains and not (kind == "rate" and _recorded_rates(view)):
        raise PlotError("no spikes were recorded: add a spikes monitor")
    figure, axes = _stacked([4.0 if kind == "raster" else 3.0])
    (_raster if kind == "raster" else _rates)(axes[0], view, trains)
    return _finished(figure, axes, view, trains)


def _stacked(heights: list[float]) -> tuple[Figure, list[Any]]:
    """A figure of panels with one time axis; heights in inches."""
    figure = Figure(figsize=(8.0, 1.0 + sum(heights)), layout=ConstrainedLayoutEngine(hspace=0.02))
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    return figure, list(axes[:, 0])


def save(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a figure; its kind follows from the ending."""
    if path.suffix.lower() not in ENDINGS:
        raise PlotError(f"{path.name} has no ending of a picture: use {', '.join(ENDINGS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name with letters that the font lacks is no reason to fail
        figure.savefig(path, dpi=dpi)


def _finished(figure: Figure, axes: list[Any], view: View, trains: dict[str, Train]) -> Figure:
    axes[-1].set_xlabel("time (ms)")
    axes[-1].set_xlim(view.start, view.stop)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    if view.title:
        title = view.results.resolved.get("name") or view.results.path.stem
        if not view.results.complete:
            title = f"{title} (incomplete)"
        axes[0].set_title(title, loc="left", fontsize=11, fontweight="bold")
        seconds = (view.stop - view.start) * 1e-3
        rates = []
        for name, train in trains.items():
            low, high = view.neurons or (0, view.results.populations[name][0])
            size = min(high, view.results.populations[name][0]) - low
            rates.append(f"{name}: {size:,} neuron{'s' if size != 1 else ''}, {len(train.times) / max(size, 1) / seconds:.3g} Hz")
        text = "   ".join(rates if len(rates) <= 3 else [*rates[:3], f"and {len(rates) - 3} more"])
        axes[0].set_title(text, loc="right", fontsize=9, color="#444444")
    return figure


def _raster(axis: Any, view: View, trains: dict[str, Train]) -> None:
    """Populations stacked, the first at the top; neuron 0 of each at its upper edge."""
    sizes = {name: view.results.populations[name][0] for name in trains}
    spans, offset = {}, 0
    for name in trains:
        low, high = view.neurons or (0, sizes[name])
        high = max(min(high, sizes[name]), low + 1)
        spans[name], offset = (offset, low, high - low), offset + high - low
    count = sum(len(train.times) for train in trains.values())
    for name, train in trains.items():
        first, low, size = spans[name]
        y = first + train.neurons - low
        if count > MAX_POINTS:
            _image(axis, view, train.times, y, first, size, view.colour(name))
        else:
            # few spikes can be seen one by one, many would run into each other
            marker = dict(marker="|", ms=max(2.0, min(8.0, 150 / offset)), mew=1.0) if offset <= 120 else dict(
                marker="o", ms=float(np.clip(2.0 * (4000 / max(count, 1)) ** 0.5, 0.4, 2.0)), mew=0
            )  # fmt: skip
            axis.plot(train.times, y, ls="none", color=view.colour(name), rasterized=True, **marker)
    axis.set_ylim(offset - 0.5, -0.5)
    axis.set_ylabel("neuron")
    axis.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(trains) > 1:
        for name, (first, _, size) in spans.items():
            if first:
                axis.axhline(first - 0.5, color="#bbbbbb", lw=0.6)
            if size / offset > 0.04:
                axis.annotate(name, (1.006, first + size / 2 - 0.5), xycoords=("axes fraction", "data"), color=view.colour(name),
                              fontsize=9, va="center", annotation_clip=False)  # fmt: skip


def _image(axis: Any, view: View, times: Any, y: Any, first: int, size: int, colour: str) -> None:
    rows = max(min(size, 400), 1)
    counts, _, _ = np.histogram2d(y, times, bins=(rows, 1200), range=((first, first + size), (view.start, view.stop)))
    shade = np.zeros((rows, 1200, 4))
    shade[..., :3] = to_rgb(colour)
    shade[..., 3] = np.minimum(counts / max(np.percentile(counts[counts > 0], 90) if counts.any() else 1, 1), 1)
    axis.imshow(shade, extent=(view.start, view.stop, first + size - 0.5, first - 0.5), aspect="auto", interpolation="nearest")


def _recorded_rates(view: View) -> dict[str, Rate]:
    found: dict[str, Rate] = {}
    for name, model in view.results.monitors.items():
        if model == "rate":
            for population, rate in view.results.rates(name).items():
                if population in view.names:
                    found.setdefault(population, rate)
    return found


def _rates(axis: Any, view: View, trains: dict[str, Train]) -> None:
    """Rate per neuron in bins, from the spikes; from a rate monitor where there are none."""
    edges = np.arange(view.start, view.stop + 0.5 * view.bin, view.bin)
    if len(edges) < 2:
        edges = np.array([view.start, view.stop])
    for name, train in trains.items():
        low, high = view.neurons or (0, view.results.populations[name][0])
        size = max(min(high, view.results.populations[name][0]) - low, 1)
        # a bin is open at its beginning and closed at its end: the stamp of a spike is the end of its step
        counts = np.histogram(train.times - 0.5 * view.results.dt, edges)[0]
        axis.stairs(counts / size / np.diff(edges) * 1e3, edges, baseline=None, color=view.colour(name), lw=1.1, label=name)
    for name, rate in _recorded_rates(view).items():
        if name not in trains:
            axis.plot(rate.times, rate.values, color=view.colour(name), lw=1.1, label=name)
    axis.set_ylabel(f"rate (Hz)\n{view.bin:g} ms bins")
    axis.set_ylim(bottom=0)
    if len(trains) > 1 and len(axis.figure.axes) == 1:
        axis.legend(frameon=False, fontsize=8, ncols=4)


class _Trace(NamedTuple):
    population: str
    neuron: int
    times: Any
    values: Any


def _traces(view: View) -> list[_Trace]:
    """Recorded membrane potentials: at most MAX_TRACES, of all populations that have some."""
    found: dict[str, Series] = {}
    for name, model in view.results.monitors.items():
        if model == "state":
            for (population, label), series in view.results.series(name).items():
                if label == "V" and population in view.names and len(series.times):
                    found.setdefault(population, series)
    traces = []
    for population, series in list(found.items())[:MAX_TRACES]:
        inside = (series.times >= view.start) & (series.times <= view.stop)
        columns = [i for i, n in enumerate(series.neurons) if view.neurons is None or view.neurons[0] <= n < view.neurons[1]]
        for i in columns[: max(1, MAX_TRACES // len(found))]:
            traces.append(_Trace(population, int(series.neurons[i]), series.times[inside], series.values[inside, i]))
    return traces


def _draw_traces(axes: list[Any], view: View, traces: list[_Trace]) -> None:
    """One panel per neuron, all with the same scale; a spike is a stroke above the trace."""
    if not traces:
        return
    trains = view.results.all_spikes()
    top = max(float(np.max(trace.values, initial=-np.inf)) for trace in traces)
    bottom = min(float(np.min(trace.values, initial=np.inf)) for trace in traces)
    if not np.isfinite(top - bottom):
        top, bottom = 0.0, -1.0
    span = max(top - bottom, 1e-3)
    for axis, trace in zip(axes, traces, strict=True):
        colour = view.colour(trace.population)
        axis.plot(trace.times, trace.values, lw=0.9, color=colour)
        if trace.population in trains:
            train = trains[trace.population]
            stamps = train.times[(train.neurons == trace.neuron) & (train.times > view.start) & (train.times <= view.stop)]
            axis.vlines(stamps, top + 0.08 * span, top + 0.5 * span, color=colour, lw=0.9)
        axis.set_ylim(bottom - 0.1 * span, top + 0.55 * span)
        axis.yaxis.set_major_locator(MaxNLocator(nbins=3))
        axis.set_ylabel(f"{trace.population}[{trace.neuron}]", rotation=0, ha="left", va="center", fontsize=9, color=colour)
        axis.yaxis.set_label_coords(1.006, 0.5)
        axis.tick_params(axis="y", labelsize=8)
        if axis is not axes[-1]:
            axis.spines["bottom"].set_visible(False)
            axis.tick_params(axis="x", bottom=False)
    middle = axes[len(axes) // 2]
    middle.annotate(
        "V (mV)", (-0.075, 0.5), xycoords="axes fraction", rotation=90, va="center", ha="right", annotation_clip=False
    )
