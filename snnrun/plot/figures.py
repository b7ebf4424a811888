"""Whole pictures: which panels stand above each other, and what is said above them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from snnrun.plot import measured, panels
from snnrun.plot.panels import Look, Looks, looks
from snnrun.plot.places import positions
from snnrun.plot.style import Style
from snnrun.results import Rate
from snnrun.terminal import several, visible
from snnrun.view import PlotError, Trace, View

TRACE = 0.62  # inches of a trace
PANELS = 12  # populations that have a panel each
NAMED = 12  # populations whose rates are said above a picture


class _Shot(NamedTuple):
    """What is to be drawn: runs, how their populations look, what they are called."""

    views: Sequence[View]
    look: Looks
    labels: Sequence[str]
    style: Style

    def trains(self) -> bool:
        return any(view.trains for view in self.views)

    def curves(self) -> list[tuple[Look, Rate]]:
        return [(self.look(i, name), rate) for i, view in enumerate(self.views) for name, rate in view.curves.items()]


def draw(kind: str, views: View | Sequence[View], style: Style | None = None) -> Figure:
    """One of KINDS, of one run or of several in one picture. Raises PlotError, ResultsError."""
    views = [views] if isinstance(views, View) else list(views)
    style = style or Style()
    labels = names_of([view.results.path for view in views])
    with style.context():
        return KINDS[kind](_Shot(views, looks(views, labels), labels, style))


def summary(results: Any, view: View | None = None) -> Figure:
    """The picture that a run draws beside its results."""
    return draw("summary", view or View(results))


def names_of(paths: Sequence[Path]) -> list[str]:
    """Short names that tell files apart: their stems, or as much of their folders as it takes."""
    stems = [path.name.removesuffix(".partial").removesuffix(".h5") for path in paths]
    if len(set(stems)) == len(stems):
        return [visible(stem) for stem in stems]
    whole = [path.resolve() for path in paths]
    common = Path(os.path.commonpath(whole)) if len(set(whole)) > 1 else whole[0].parent
    return [visible(str(path.relative_to(common))) for path in whole]


def _stacked(heights: Sequence[float], style: Style) -> tuple[Figure, list[Any]]:
    """A figure of panels with one time axis; heights in inches, where labels have 10 points."""
    high = style.height or style.scale * (1.0 + sum(heights))
    figure = Figure(figsize=(style.width, high), layout=ConstrainedLayoutEngine(hspace=0.02, h_pad=0.04, w_pad=0.04))
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    return figure, list(axes[:, 0])


def _summary(shot: _Shot) -> Figure:
    """Raster coloured by population, population rates below, and voltage traces where they were recorded."""
    drawn = [i for i, view in enumerate(shot.views) if view.trains]
    rows, curves = _rows(shot), shot.curves()
    tall = 1.0 if len(drawn) < 2 else 0.7
    heights = [tall * _tall(shot.views[i]) for i in drawn] + [1.2 if drawn or rows else 3.0] * bool(curves) + [TRACE] * len(rows)
    if not heights:
        raise PlotError("nothing was recorded that could be drawn: add a spikes, rate or state monitor")
    figure, axes = _stacked(heights, shot.style)
    below = iter(axes)
    for i in drawn:
        _one_raster(next(below), shot, i)
    if curves:
        known = {look.label for i in drawn for look in (shot.look(i, name) for name in shot.views[i].trains)}
        own = len(shot.views) > 1 or not known or not {look.label for look, _ in curves} <= known
        panels.rates(next(below), curves, own, shot.style)
    if rows:
        panels.potentials(list(below), rows, shot.views[0], shot.style)
    return _finished(figure, axes, shot)


def _tall(view: View) -> float:
    """Inches of a raster: more where many populations are to be named."""
    return float(np.clip(0.145 * len(view.trains), 2.6, 7.0))


def _one_raster(axis: Any, shot: _Shot, i: int) -> None:
    style = shot.style
    panels.raster(axis, shot.views[i], lambda name: shot.look(i, name), style)
    if len(shot.views) > 1:
        axis.annotate(shot.labels[i], (0, 1), xycoords="axes fraction", xytext=(2, -2), textcoords="offset points", va="top",
                      fontsize=0.9 * style.size, bbox=dict(facecolor=style.ink["paper"], lw=0, pad=1, alpha=0.8))  # fmt: skip


def _raster(shot: _Shot) -> Figure:
    drawn = [i for i, view in enumerate(shot.views) if view.trains]
    if not drawn:
        raise PlotError("no spikes were recorded of what is shown: add a spikes monitor")
    heights = [max(4.0 if len(drawn) == 1 else 2.4, _tall(shot.views[i])) for i in drawn]
    figure, axes = _stacked(heights, shot.style)
    for axis, i in zip(axes, drawn, strict=True):
        _one_raster(axis, shot, i)
    return _finished(figure, axes, shot)


def _rate(shot: _Shot) -> Figure:
    curves = shot.curves()
    if not curves:
        raise PlotError("no spikes were recorded of what is shown: add a spikes or rate monitor")
    figure, axes = _stacked([3.0], shot.style)
    panels.rates(axes[0], curves, True, shot.style)
    return _finished(figure, axes, shot)


def _rows(shot: _Shot) -> list[list[tuple[Look, Trace, Any]]]:
    """Traces of V, those of the same neuron of several runs together, with the times of its spikes."""
    rows: dict[tuple[str, int], list[tuple[Look, Trace, Any]]] = {}
    for i, view in enumerate(shot.views):
        for trace in view.traces:
            stamps = None
            if trace.population in view.spikes:
                train = view.spikes[trace.population]
                stamps = train.times[(train.neurons == trace.neuron) & (train.times > view.start) & (train.times <= view.stop)]
            rows.setdefault((trace.population, trace.neuron), []).append((shot.look(i, trace.population), trace, stamps))
    return list(rows.values())


def _voltage(shot: _Shot) -> Figure:
    if not (rows := _rows(shot)):
        raise PlotError("no voltages were recorded of what is shown: add a state monitor with variables: [V]")
    figure, axes = _stacked([1.6 * TRACE] * len(rows), shot.style)
    panels.potentials(axes, rows, shot.views[0], shot.style)
    _runs(figure, shot, coloured=True)
    return _finished(figure, axes, shot)


def _runs(figure: Figure, shot: _Shot, coloured: bool) -> None:
    """Which line is of which run, where they are several."""
    if len(shot.views) < 2:
        return
    one = {name for view in shot.views for name in view.names}
    handles = []
    for i, label in enumerate(shot.labels):
        look = shot.look(i, next(iter(one))) if coloured and len(one) == 1 else None
        colour, line = (look.colour, look.line) if look else (shot.style.ink["grey"], panels.LINES[i % len(panels.LINES)])
        handles.append(Line2D([], [], color=colour, ls=line, lw=shot.style.scale, label=label))
    figure.legend(handles=handles, loc="outside upper right", frameon=False, ncols=min(len(handles), 4), handlelength=1.6)


def _state(shot: _Shot) -> Figure:
    """One panel for each variable of each population; the neurons of a panel have colours, runs have lines."""
    found: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for i, view in enumerate(shot.views):
        for panel in view.panels:
            found.setdefault((panel.population, panel.variable), []).append((i, panel))
    if not found:
        raise PlotError("no variables were recorded of what is shown: add a state monitor")
    style = shot.style
    figure, axes = _stacked([1.9 * TRACE] * len(found), style)
    for axis, ((population, variable), runs) in zip(axes, found.items(), strict=True):
        neurons = list(dict.fromkeys(trace.neuron for _, panel in runs for trace in panel.traces))
        for i, panel in runs:
            for trace in panel.traces:
                colour, line = panels.COLOURS[neurons.index(trace.neuron) % 10], panels.LINES[i % 4]
                label = f"{trace.neuron}" if i == runs[0][0] else None
                axis.plot(trace.times, trace.values, lw=0.9 * style.scale, color=colour, ls=line, label=label)
        low, high = panels.span_of([trace.values for _, panel in runs for trace in panel.traces])
        axis.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
        axis.yaxis.set_major_locator(MaxNLocator(nbins=4))
        unit = runs[0][1].unit
        axis.set_ylabel(f"{visible(variable)} ({unit})" if unit else visible(variable))
        axis.legend(title=visible(population), title_fontsize=0.9 * style.size, frameon=False, loc="center left",
                    bbox_to_anchor=(1.0, 0.5), handlelength=1.0, labelspacing=0.15)  # fmt: skip
    _runs(figure, shot, coloured=False)
    return _finished(figure, axes, shot)


def _of_trains(one: Callable[[Any, list[tuple[Look, Any]], Style], bool], fewest: str) -> Callable[[_Shot], Figure]:
    """A picture of something that is measured of trains: all populations of a run in one panel, or a panel for each."""

    def drawn(shot: _Shot) -> Figure:
        if not shot.trains():
            raise PlotError("no spikes were recorded of what is shown: add a spikes monitor")
        names = list(dict.fromkeys(name for view in shot.views for name in view.trains))
        groups = [[name] for name in names[:PANELS]] if len(shot.views) > 1 and len(names) > 1 else [names]
        columns = 1 if len(groups) == 1 else 2 if shot.style.width < 5 or len(groups) < 5 else 3
        rows = -(-len(groups) // columns)
        style = shot.style
        high = style.height or (0.4 + (3.4 if len(groups) == 1 else 2.4) * rows) * style.scale
        figure = Figure(figsize=(style.width, high), layout="constrained")
        any_of = False

        def by_run(i: int, _: str) -> Look:
            return Look(panels.COLOURS[i % 10], "-", shot.labels[i])

        look = shot.look if len(groups) == 1 else by_run
        for k, group in enumerate(groups):
            axis = figure.add_subplot(rows, columns, k + 1)
            found = [(look(i, name), view.measured(name))
                     for i, view in enumerate(shot.views) for name in group if name in view.trains]  # fmt: skip
            there = one(axis, found, style)
            any_of = any_of or there
            if not there:
                axis.text(0.5, 0.5, fewest, transform=axis.transAxes, ha="center", va="center", color=style.ink["grey"])
                axis.set(xticks=[], yticks=[])
            axis.spines[["top", "right"]].set_visible(False)
            if len(groups) > 1:
                axis.set_title(visible(group[0]), loc="left", fontsize=style.size)
        if len(groups) == 1:
            _titled(figure.axes[0], shot)
        return figure

    return drawn


def _positions(shot: _Shot) -> Figure:
    if len(shot.views) > 1:
        raise PlotError("positions are drawn of one file")
    return positions(shot.views[0], lambda name: shot.look(0, name), shot.style)


KINDS: dict[str, Callable[[_Shot], Figure]] = {
    "summary": _summary,
    "raster": _raster,
    "rate": _rate,
    "voltage": _voltage,
    "state": _state,
    "isi": _of_trains(lambda axis, found, style: measured.distribution(axis, "isi", found, style), "no neuron spikes twice"),
    "cv": _of_trains(lambda axis, found, style: measured.distribution(axis, "cv", found, style), "no neuron spikes three times"),
    "psd": _of_trains(measured.spectrum, "no spikes"),
    "correlation": _of_trains(
        lambda axis, found, style: measured.distribution(axis, "correlation", found, style), "no two neurons spike"
    ),
    "positions": _positions,
}


# ---- what stands around panels ---------------------------------------------------------------------------------------


def _finished(figure: Figure, axes: Sequence[Any], shot: _Shot) -> Figure:
    panels.time_axis(axes[-1], min(view.start for view in shot.views), max(view.stop for view in shot.views))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    _titled(axes[0], shot)
    return figure


def _titled(axis: Any, shot: _Shot) -> None:
    """The name of a run and its rates; of several runs their names, the rates of which stand beside their lines."""
    if not all(view.title for view in shot.views):
        return
    if len(shot.views) > 1:
        names = list(dict.fromkeys(visible(view.results.name) for view in shot.views))
        _title(axis, _short(", ".join(names), shot.style), [], shot.style)
        return
    (view,) = shot.views
    name = _short(visible(view.results.name), shot.style)
    _title(axis, name if view.results.complete else f"{name} (incomplete)", _rate_texts(view), shot.style)


def _short(name: str, style: Style) -> str:
    most = min(style.letters(1.1), 60)
    return name if len(name) <= most else name[: most - 1] + "…"


def _rate_texts(view: View) -> list[str]:
    """Mean rate of each population over what was recorded within the view; of all together where they are many."""
    found, neurons_of_all, spikes = [], 0, 0.0
    for population in (*view.names, *view.parts):
        if population in view.parts and view.trains:
            continue  # a part of what is said already
        if population in view.trains:
            train = view.trains[population].train
            size, rate = train.size, train.rate
        elif population in view.curves:
            curve = view.curves[population]
            size, rate = curve.size, float(np.average(curve.values, weights=np.diff(curve.edges)))
        else:
            continue
        neurons = "" if size is None or population in view.parts else f"{several(size, 'neuron')}, "
        found.append(f"{visible(population)}: {neurons}{rate:.3g} Hz")
        neurons_of_all, spikes = neurons_of_all + (size or 0), spikes + (size or 0) * rate
    if len(found) > NAMED and neurons_of_all:
        return [f"{len(found)} populations, {neurons_of_all:,} neurons, {spikes / neurons_of_all:.3g} Hz"]
    return found


def _title(axis: Any, name: str, rates: list[str], style: Style) -> None:
    """The name at the left; rates at the right of it, or in rows below it where they are too many."""
    beside = "   ".join(rates)
    bold = dict(fontsize=1.1 * style.size, fontweight="bold")
    grey = style.ink["grey"]
    if 1.5 * len(name) + len(beside) <= 0.9 * style.letters(0.9):
        axis.set_title(name, loc="left", **bold)
        axis.set_title(beside, loc="right", fontsize=0.9 * style.size, color=grey)
        return
    rows = [""]
    for text in rates:
        if rows[-1] and len(rows[-1]) + 3 + len(text) > 1.05 * style.letters(0.8):
            rows.append("")
        rows[-1] += ("   " if rows[-1] else "") + text
    axis.set_title("\n".join(rows), loc="left", fontsize=0.8 * style.size, color=grey)
    above = (9 + 9.4 * len(rows)) * style.scale  # points
    axis.annotate(name, (0, 1), xycoords="axes fraction", xytext=(0, above), textcoords="offset points", annotation_clip=False,
                  va="bottom", **bold)  # fmt: skip
