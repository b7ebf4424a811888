"""Pictures of connectivity: what the edges of a network are like, drawn from its file or from a results file that contains it.

Edges are gone through once, piece by piece; what is kept is counts per neuron and per pair of bins, and some of the weights.
"""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from snnrun import check, document
from snnrun.check import Loaded
from snnrun.document import Document, Override
from snnrun.export import Drawn, drawn
from snnrun.models.connect import FixedIndegree, FixedOutdegree, FixedProb, FixedTotal
from snnrun.plot import COLOURS, PlotError, Style
from snnrun.plot.style import WIDTHS
from snnrun.results import Results
from snnrun.selections import Part
from snnrun.spec import Spec

KINDS = ("degrees", "weights", "delays", "connectivity")
PANELS = 12  # projections in a picture
KEPT = 1_000_000  # weights of a projection; of more, every n-th
BINS = 240  # of a matrix, along each side


class Summary(NamedTuple):
    """What is drawn of a projection."""

    name: str
    unit: str
    edges: int
    out_degrees: NDArray[np.int64]  # [pre]
    in_degrees: NDArray[np.int64]
    weights: NDArray[np.float64]  # of some edges
    delays: Counter[float]  # ms -> edges


class Given(NamedTuple):
    """A network, and what is known of weights at the end of a run."""

    loaded: Loaded
    last: dict[str, NDArray[np.float64]]  # by projection


def load(path: Path, overrides: list[Override]) -> Given:
    """The network of a network file, or that of a results file. Raises SpecError, ResultsError, OSError."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return Given(check.load(path, overrides), {})
    with Results(path) as found:
        text, tree, name = found.yaml, found.resolved, found.name
        every = [found.weights(name) for name, model in found.monitors.items() if model == "weights"]
    there = replace(document.parse(Document(str(path), text, path.parent)), tree=tree)
    last = {weights.projection: weights.last for weights in every if weights.last is not None}
    return Given(check.of_document(there, name, overrides), last)


def summarised(one: Drawn) -> Summary:
    """Go through the edges of a projection."""
    sizes = [sum(part.size for part in parts) for parts in (one.pre, one.post)]
    degrees, weights, delays, count, stride = [np.zeros(size, np.int64) for size in sizes], [], Counter(), 0, 1
    for piece in one.pieces():
        for degree, side in zip(degrees, (piece.pre, piece.post), strict=True):
            degree += np.bincount(side, minlength=len(degree))
        weights.append(piece.weight[::stride])
        if sum(map(len, weights)) > 2 * KEPT:
            weights, stride = [np.concatenate(weights)[::2]], 2 * stride
        values, counts = np.unique(piece.delay, return_counts=True)
        delays.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        count += len(piece.pre)
    every = np.concatenate(weights) if weights else np.empty(0)
    out_degrees, in_degrees = degrees
    return Summary(one.name, one.unit, count, out_degrees, in_degrees, every, delays)


def draw(kind: str, given: Given, chosen: list[str], style: Style | None = None) -> tuple[Figure, str]:
    """One of KINDS, and what is to be said of it. Raises PlotError, Refused, SpecError."""
    loaded, style = given.loaded, style or Style()
    every = drawn(loaded.spec, loaded.document, chosen)
    if kind == "connectivity":
        with style.context():
            return _matrix(loaded.spec, every, style), ""
    note = ""
    if len(every) > PANELS:
        note = f"the first {PANELS} of {len(every)} projections are drawn: choose with --projection"
        every = every[:PANELS]
    with style.context():
        return _panels(kind, given, every, style), note


def _panels(kind: str, given: Given, every: list[Drawn], style: Style) -> Figure:
    loaded = given.loaded
    panels = {"degrees": _degrees, "weights": _weights, "delays": _delays}[kind]
    width = 2 if kind == "degrees" else min(len(every), 3 if style.width > 5 else 1)
    rows = len(every) if kind == "degrees" else -(-len(every) // width)
    wide = style.width if style.width != WIDTHS["screen"] else max(3.2 * width, 4.5)
    figure = Figure(figsize=(wide, style.height or (0.6 + 2.1 * rows) * style.scale), layout="constrained")
    axes = figure.subplots(rows, width, squeeze=False)
    for i, one in enumerate(every):
        mine = axes[i] if kind == "degrees" else axes.flat[i : i + 1]
        found = summarised(one)
        panels(mine, found, loaded.spec, style)
        if kind == "weights" and one.name in given.last:
            _learnt(mine[0], found, given.last[one.name])
    for axis in list(axes.flat)[len(every) * (2 if kind == "degrees" else 1) :]:
        axis.set_visible(False)
    figure.suptitle(loaded.spec.name, x=0.01, ha="left", fontweight="bold")
    return figure


def _named(axis: Any, found: Summary, what: str, about: str = "") -> None:
    axis.set_title(f"{found.name}: {found.edges:,} synapses", fontsize="medium", loc="left")
    axis.set_xlabel(what + (f"\n{about}" if about else ""), fontsize="small")
    axis.tick_params(labelsize="small")
    axis.spines[["top", "right"]].set_visible(False)
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    if not found.edges:
        axis.text(0.5, 0.5, "none", transform=axis.transAxes, ha="center", color="grey")
        axis.set_yticks([])


def _degrees(axes: Any, found: Summary, spec: Spec, style: Style) -> None:
    for axis, degrees, side, colour in zip(axes, (found.out_degrees, found.in_degrees), ("out", "in"), COLOURS, strict=False):
        said = f"mean {degrees.mean():.4g}, sd {degrees.std():.3g}" if found.edges else ""
        law = expected(spec.projections[found.name].connect, side, len(found.out_degrees), len(found.in_degrees))
        if law is not None and said:
            said += f"; theory {law[0]:.4g}" + (f", {law[1]:.3g}" if law[1] else "")
        _named(axis, found, f"{side}-degree", said)
        axis.set_ylabel("neurons", fontsize="small")
        if not found.edges:
            continue
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        low, high = int(degrees.min()), int(degrees.max())
        width = max(1, math.ceil((high - low + 1) / 40))
        edges = np.arange(low, high + width + 1, width) - 0.5
        axis.hist(degrees, edges, color=colour)
        if law is not None and law[1]:
            mean, deviation = law
            k = np.linspace(edges[0], edges[-1], 200)
            bell = np.exp(-0.5 * ((k - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
            axis.plot(k, len(degrees) * width * bell, color=style.ink["ink"], lw=1)
        axis.set_xlim(edges[0] - width, edges[-1] + width)


def expected(rule: Any, side: str, pre: int, post: int) -> tuple[float, float] | None:
    """Mean and standard deviation of the degrees of a rule, where neurons may connect to themselves; None for other rules."""
    own, other = (pre, post) if side == "out" else (post, pre)
    if isinstance(rule, FixedProb) and not rule.symmetric:
        return other * rule.p, math.sqrt(other * rule.p * (1 - rule.p))
    if isinstance(rule, FixedIndegree | FixedOutdegree):
        if side == ("in" if isinstance(rule, FixedIndegree) else "out"):
            return float(rule.n), 0.0
        trials = other * rule.n if rule.multapses else other
        p = 1 / own if rule.multapses else rule.n / own
        return trials * p, math.sqrt(trials * p * (1 - p))
    if isinstance(rule, FixedTotal) and rule.multapses:
        return rule.n / own, math.sqrt(rule.n / own * (1 - 1 / own))
    return None


def _weights(axes: Any, found: Summary, spec: Spec, style: Style) -> None:
    values = found.weights
    if not found.edges or np.ptp(values) <= 1e-12 * np.abs(values).max():
        _one(axes[0], found, values[0] if found.edges else None, "weight", found.unit)
        return
    _named(axes[0], found, f"weight ({found.unit})", f"mean {values.mean():.4g}, sd {values.std():.3g} {found.unit}")
    axes[0].hist(values, 60, color=COLOURS[0])
    axes[0].set_ylabel("synapses" if len(values) == found.edges else f"of {len(values):,} synapses", fontsize="small")


def _learnt(axis: Any, found: Summary, last: NDArray[np.float64]) -> None:
    """Weights at the end of a run, over those at its beginning."""
    low, high = min(last.min(), found.weights.min()), max(last.max(), found.weights.max())
    share = np.full(len(last), len(found.weights) / len(last))
    axis.hist(last, 60, range=(low, high), weights=share, histtype="step", color=COLOURS[2], lw=1.5)
    room = 0.03 * (high - low) or 1.0
    axis.set_xlim(low - room, high + room)
    axis.set_xlabel(
        axis.get_xlabel() + f"\nat the end (line): mean {last.mean():.4g}, sd {last.std():.3g} {found.unit}", fontsize="small"
    )


def _one(axis: Any, found: Summary, value: float | None, what: str, unit: str) -> None:
    """One value for all."""
    _named(axis, found, f"{what} ({unit})", "" if value is None else f"all {value:g} {unit}")
    if value is not None:
        axis.axvline(value, color=COLOURS[0], lw=3)
        axis.set(xlim=sorted((0.0, 2 * value or 1.0)), yticks=[])


def _delays(axes: Any, found: Summary, spec: Spec, style: Style) -> None:
    (axis,) = axes
    if len(found.delays) < 2:
        _one(axis, found, next(iter(found.delays), None), "delay", "ms")
        return
    values, counts = map(np.array, zip(*sorted(found.delays.items()), strict=True))
    mean = float((values * counts).sum() / counts.sum())
    deviation = math.sqrt(float((counts * (values - mean) ** 2).sum() / counts.sum()))
    _named(axis, found, "delay (ms)", f"mean {mean:.4g}, sd {deviation:.3g} ms")
    step = spec.dt * max(1, math.ceil((np.ptp(values) / spec.dt + 1) / 60))
    axis.hist(values, np.arange(values[0] - spec.dt / 2, values[-1] + step, step), weights=counts, color=COLOURS[0])
    axis.set_ylabel("synapses", fontsize="small")


# ---- matrix ----------------------------------------------------------------------------------------------------------


def _matrix(spec: Spec, every: list[Drawn], style: Style) -> Figure:
    """Sources from top to bottom, targets from left to right: how many edges a pair has on average, with the weight's sign."""
    sides = [_beside(spec, [part for one in every for part in getattr(one, side)]) for side in ("pre", "post")]
    bins = [min(BINS, size) for _, size in sides]
    total = np.zeros((2, *bins))
    for one in every:
        place = [_places(parts, first) * count // size
                 for parts, (first, size), count in zip((one.pre, one.post), sides, bins, strict=True)]  # fmt: skip
        for piece in one.pieces():
            cell = place[0][piece.pre] * bins[1] + place[1][piece.post]
            for sign, mine in enumerate((piece.weight >= 0, piece.weight < 0)):
                total[sign] += np.bincount(cell[mine], minlength=bins[0] * bins[1]).reshape(bins)
    pairs = np.outer(
        *(np.bincount(np.arange(size) * count // size, minlength=count) for (_, size), count in zip(sides, bins, strict=True))
    )
    density = (total[0] - total[1]) / pairs
    largest = np.abs(density).max() or 1.0
    wide = style.width if style.width != WIDTHS["screen"] else 6.4
    figure = Figure(figsize=(wide, style.height or 0.875 * wide), layout="constrained")
    axis = figure.subplots()
    extent = (0, sides[1][1], sides[0][1], 0)
    colours, least = ("PuOr_r", -largest) if total[1].any() else ("Purples", 0.0)
    image = axis.imshow(density, colours, vmin=least, vmax=largest, extent=extent, aspect="auto", interpolation="nearest")
    figure.colorbar(
        image, ax=axis, label="synapses per pair (negative: inhibitory weights)" if total[1].any() else "synapses per pair"
    )
    for (first, size), along in zip(sides, ("y", "x"), strict=True):
        lengths = dict(zip(first, np.diff([*first.values(), size]), strict=True))
        getattr(axis, f"set_{along}ticks")([first[name] + lengths[name] / 2 for name in first], list(first))
        for begin in list(first.values())[1:]:
            (axis.axhline if along == "y" else axis.axvline)(begin, color=style.ink["ink"], lw=0.5)
    if len(sides[1][0]) > 6:
        axis.tick_params(axis="x", rotation=60)
    axis.tick_params(length=0)
    axis.set(ylabel="source", xlabel="target")
    axis.set_title(f"{spec.name}: {sum(map(int, total.sum(axis=(1, 2)))):,} synapses", loc="left", fontweight="bold")
    return figure


def _beside(spec: Spec, parts: list[Part]) -> tuple[dict[str, int], int]:
    """Where each population that has a part begins, side by side in the order of the file; and the length of all."""
    there, first, end = {part.population for part in parts}, {}, 0
    for name, population in spec.populations.items():
        if name in there:
            first[name] = end
            end += population.size
    return first, end


def _places(parts: list[Part], first: dict[str, int]) -> NDArray[np.int64]:
    return np.concatenate([first[part.population] + part.numbers for part in parts])


__all__ = ["KINDS", "PlotError", "draw", "expected", "load", "summarised"]
