"""Pictures of neurons in space."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnrun import statistics
from snnrun.plot.panels import Look
from snnrun.plot.style import Style
from snnrun.terminal import visible
from snnrun.view import PlotError, View

PANELS = 12


def positions(view: View, look: Callable[[str], Look], style: Style) -> Figure:
    """Where the neurons of each population are, with their mean rates as colours where spikes were recorded."""
    placed = {name: dimensions for name, dimensions in view.results.placed.items() if name in view.names}
    if not placed:
        raise PlotError("no population that is shown has positions: give it a layout")
    names = list(placed)[:PANELS]
    columns = min(len(names), 3 if style.width > 5 else 2)
    rows = -(-len(names) // columns)
    side = (style.width - 0.9 * style.scale) / columns
    height = style.height or (side if columns > 1 else min(side, 6.0)) * rows + 0.5 * style.scale
    figure = Figure(figsize=(style.width, height), layout="constrained")
    rates = {name: statistics.rates(view.measured(name)) for name in names if name in view.trains}
    most = max((float(values.max()) for values in rates.values() if values.size), default=0.0) or 1.0
    image = None
    for i, name in enumerate(names):
        axis = figure.add_subplot(rows, columns, i + 1, **({"projection": "3d"} if placed[name] == 3 else {}))
        points = view.results.positions(name)
        recorded = view.trains[name].recorded if name in rates else np.arange(len(points))
        rest = np.setdiff1d(np.arange(len(points)), recorded)
        size = float(np.clip(1e5 * (side / 8) ** 2 / max(len(points), 1), 0.8, 60.0))
        _scatter(axis, points[rest], size, style.ink["faint"])
        if name in rates:
            image = _scatter(axis, points[recorded], size, rates[name], cmap="viridis", vmin=0, vmax=most)
        else:
            _scatter(axis, points[recorded], size, look(name).colour)
        axis.set_title(visible(name), loc="left", fontsize=style.size)
        axis.set_xlabel("x (µm)")
        if placed[name] == 1:
            axis.set_yticks([])
        else:
            axis.set_ylabel("y (µm)")
            axis.set_aspect("equal")
        if placed[name] == 3:
            axis.set(zlabel="z (µm)")
        else:
            axis.spines[["top", "right"]].set_visible(False)
    if image is not None:
        figure.colorbar(image, ax=figure.axes, label="mean rate (Hz)", shrink=0.8)
    return figure


def _scatter(axis: Any, points: Any, size: float, colours: Any, **scale: Any) -> Any:
    coordinates = [*points.T] if points.shape[1] > 1 else [points[:, 0], np.zeros(len(points))]
    return axis.scatter(*coordinates, s=size, c=colours, lw=0, rasterized=len(points) > 5000, **scale)
