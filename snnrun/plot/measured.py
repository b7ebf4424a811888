"""Pictures of what is measured of spike trains: intervals, irregularity, spectra, correlations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from snnrun import statistics
from snnrun.plot.panels import Look, legend_of
from snnrun.plot.style import Style
from snnrun.statistics import Trains


def distribution(axis: Any, kind: str, found: Sequence[tuple[Look, Trains]], style: Style) -> bool:
    """Histograms, as shares; False where there is nothing to show."""
    law = statistics.DISTRIBUTIONS[kind]
    samples = [(look, law.of(t)) for look, t in found]
    every = np.concatenate([values for _, values in samples]) if samples else np.empty(0)
    every = every[np.isfinite(every)]
    axis.set_xlabel(law.what)
    axis.set_ylabel(f"share of {law.each}")
    if not len(every):
        return False
    edges = statistics.edges(every, law.logarithmic)
    for look, values in samples:
        if len(values):
            counts = np.histogram(values, edges)[0]
            label = f"{look.label}: mean {values.mean():.3g}{law.unit}"
            axis.stairs(counts / len(values), edges, baseline=None, color=look.colour, ls=look.line, label=label,
                        lw=1.2 * style.scale)  # fmt: skip
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_locator(MaxNLocator(nbins=5))
    if law.logarithmic:
        axis.set_xscale("log")
        _plain_decades(axis.xaxis)
    _named(axis, style)
    return True


def spectrum(axis: Any, found: Sequence[tuple[Look, Trains]], style: Style) -> bool:
    """Power of the population rate, on logarithmic axes; False where there is nothing to show."""
    axis.set_xlabel("frequency (Hz)")
    axis.set_ylabel("power of the rate (Hz²/Hz)")
    any_of = False
    for look, t in found:
        frequency, power = statistics.spectrum(t)
        if power.any():
            any_of = True
            axis.plot(frequency, power, color=look.colour, ls=look.line, lw=style.scale, label=look.label)
    if any_of:
        axis.set_xscale("log")
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        axis.set_ylim(bottom=max(low, 1e-6 * high))  # below are rounding errors, of populations with hardly a spike
        _plain_decades(axis.xaxis)
        _named(axis, style)
    return any_of


def _plain_decades(axis: Any) -> None:
    """10 and 100 rather than powers of ten."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low, high = axis.get_view_interval()
    if low > 0 and math.log10(high / low) < 1:  # less than a decade: numbers between the powers as well
        axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axis.set_minor_formatter(NullFormatter())


def _named(axis: Any, style: Style) -> None:
    labels = axis.get_legend_handles_labels()[1]
    if labels:
        columns = 1 if len(labels) <= 10 else 2
        if len(labels) <= 20:
            axis.legend(frameon=False, ncols=columns, handlelength=1.4)
        else:
            legend_of(axis, labels, style, loc="upper center", bbox_to_anchor=(0.5, -0.2))
