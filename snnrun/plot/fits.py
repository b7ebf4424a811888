"""How a fit went: the loss, the values, and what was measured beside what was wanted."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnrun import units
from snnrun.colours import COLOURS
from snnrun.files import in_place_of
from snnrun.plot.style import Style, logarithmic
from snnrun.terminal import visible

MOST = 8  # values, and terms, that have a panel


def draw(fit: Any, evaluations: Path, outcome: Any, output: Path) -> None:
    """Over the candidates in their order, from the table of evaluations."""
    with evaluations.open() as file:
        rows = list(csv.DictReader(file))
    number = np.array([int(row["candidate"]) for row in rows])
    free, terms, style = fit.free[:MOST], fit.terms[:MOST], Style()
    with style.context():
        count = 1 + len(free) + len(terms)
        figure = Figure(figsize=(style.width, 0.5 + 1.25 * count), layout="constrained")
        panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
        loss = np.array([float(row["loss"]) for row in rows])
        panels[0].plot(number, np.maximum(loss, 1e-6), ".", ms=4, color="0.6", mew=0)
        panels[0].plot(number, np.maximum(np.minimum.accumulate(loss), 1e-6), color=COLOURS[0])
        logarithmic(panels[0].yaxis, panels[0].set_yscale)
        panels[0].set_title("loss", loc="left", pad=3)
        for panel, one in zip(panels[1:], free, strict=False):
            values = [units.parse(row[one.path])[0] if one.dimension != "number" else float(row[one.path]) for row in rows]
            panel.plot(number, values, ".", ms=4, color="0.6", mew=0)
            panel.axhline(one.value(outcome.chosen.places[fit.free.index(one)]), color=COLOURS[0])
            if one.log and one.low > 0:
                logarithmic(panel.yaxis, panel.set_yscale)
            panel.set_title(f"{visible(one.path)} ({units.usual(one.dimension) or 'number'})", loc="left", pad=3)
        for panel, term in zip(panels[1 + len(free) :], terms, strict=False):
            measured = np.array([float(row[term.name] or "nan") for row in rows])
            panel.axhspan(term.target - term.tolerance, term.target + term.tolerance, color=COLOURS[1], alpha=0.25, lw=0)
            panel.plot(number, measured, ".", ms=4, color="0.6", mew=0)
            panel.axhline(outcome.chosen.measured[term.name], color=COLOURS[0])
            near = measured[np.isfinite(measured) & (loss <= np.median(loss))]
            if len(near):
                low, high = min(near.min(), term.target - 2 * term.tolerance), max(near.max(), term.target + 2 * term.tolerance)
                panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            panel.set_title(f"{visible(term.name)} of {visible(term.population)}", loc="left", pad=3)
            panel.yaxis.set_major_locator(MaxNLocator(4))
        for panel in panels:
            panel.spines[["top", "right"]].set_visible(False)
        panels[-1].set_xlabel("candidate")
        with in_place_of(output) as partial:
            figure.savefig(partial, dpi=150)
