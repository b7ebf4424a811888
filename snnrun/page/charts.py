"""What the figures of a page are made of: spikes, rates, traces and distributions as plain data for its program."""

import base64
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnrun import statistics
from snnrun.colours import COLOURS
from snnrun.terminal import visible
from snnrun.view import View

SPIKES = 2_000_000  # of a page; of more, those of every n-th neuron
POINTS = 4_000  # of one trace, or of a rate
SERIES = 40  # populations that have a line of their own


def packed(values: NDArray[Any]) -> str:
    """Numbers as text: little-endian, the bytes of equal significance side by side (they are more alike), deflated, base64."""
    raw = np.ascontiguousarray(values)
    little = raw.astype(raw.dtype.newbyteorder("<"), copy=False)
    shuffled = little.view(np.uint8).reshape(-1, raw.dtype.itemsize).T
    return base64.b64encode(zlib.compress(shuffled.tobytes(), 6)).decode()


def charts(view: View) -> dict[str, Any]:
    """All figures of a run."""
    return {
        "start": view.start,
        "stop": view.stop,
        "spikes": _spikes(view),
        "rates": _rates(view),
        "traces": _traces(view),
        "distributions": _distributions(view),
        "spectrum": _spectrum(view),
    }


def _spikes(view: View) -> dict[str, Any] | None:
    """All spikes of the view, sorted by time; neurons as rows of the stacked populations."""
    trains = view.trains
    if not trains:
        return None
    total = sum(len(shown.train.times) for shown in trains.values())
    every = -(-total // SPIKES) if total else 1
    populations, first, times, rows = [], 0, [], []
    for name, shown in trains.items():
        kept = shown.train.neurons % every == 0 if every > 1 else slice(None)
        times.append(np.rint(shown.train.times[kept] / view.results.dt).astype(np.int64))
        rows.append(shown.train.neurons[kept] - shown.low + first)
        size = shown.high - shown.low
        populations.append({"name": visible(name), "colour": view.colour(name), "first": first, "size": size, "low": shown.low})
        first += size
    steps, row = np.concatenate(times), np.concatenate(rows)
    order = np.argsort(steps, kind="stable")
    steps, row = steps[order], row[order]
    return {
        "populations": populations,
        "rows": first,
        "count": len(steps),
        "total": total,
        "every": every,
        "step": view.results.dt,
        "times": packed(np.diff(steps, prepend=0).astype(np.int32)),  # from spike to spike
        "neurons": packed(row.astype(np.int32)),
    }


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None


def _numbers(values: Any) -> list[float | None]:
    return [_number(value) for value in np.asarray(values, float).tolist()]


def _rates(view: View) -> list[dict[str, Any]]:
    found = []
    for name, rate in list(view.curves.items())[:SERIES]:
        found.append({"name": visible(name), "colour": view.colour(name), "bin": rate.bin,
                      "edges": [round(edge, 6) for edge in rate.edges.tolist()], "values": _numbers(rate.values)})  # fmt: skip
    return found


def _traces(view: View) -> list[dict[str, Any]]:
    """One chart for each variable of each population, with the spikes of its neurons where they are known and it is V."""
    found = []
    for panel in view.panels:
        lines = []
        for i, trace in enumerate(panel.traces):
            several = max(-(-len(trace.times) // POINTS), 1)
            times, values = trace.times[::several], np.asarray(trace.values[::several], np.float32)
            step = float(times[1] - times[0]) if len(times) > 1 else 1.0
            lines.append({"name": f"{visible(panel.population)}[{trace.neuron}]", "colour": COLOURS[i % len(COLOURS)],
                          "start": float(times[0]), "step": step, "count": len(times), "values": packed(values)})  # fmt: skip
        unit = f" ({visible(panel.unit)})" if panel.unit else ""
        found.append({"name": f"{visible(panel.population)}: {visible(panel.variable)}{unit}", "lines": lines})
    return found


def _measured(view: View, of: Callable[[statistics.Trains], Any]) -> list[tuple[str, Any]]:
    return [(name, of(view.measured(name))) for name in list(view.trains)[:SERIES]]


def _distributions(view: View) -> list[dict[str, Any]]:
    found = []
    for law in statistics.DISTRIBUTIONS.values():
        samples = [(name, values[np.isfinite(values)]) for name, values in _measured(view, law.of)]
        samples = [(name, values) for name, values in samples if len(values)]
        if samples:
            edges = statistics.edges(np.concatenate([values for _, values in samples]), law.logarithmic)
            found.append({
                "name": law.what, "each": f"share of {law.each}", "logarithmic": law.logarithmic, "edges": _numbers(edges),
                "lines": [{"name": visible(name), "colour": view.colour(name),
                           "values": _numbers(np.histogram(values, edges)[0] / len(values))} for name, values in samples],
            })  # fmt: skip
    return found


def _spectrum(view: View) -> dict[str, Any] | None:
    found = [(name, *pair) for name, pair in _measured(view, statistics.spectrum) if pair[1].any()]
    if not found:
        return None
    longest = max((frequency for _, frequency, _ in found), key=len)
    return {
        "frequencies": _numbers(longest),
        "lines": [{"name": visible(name), "colour": view.colour(name), "values": _numbers(power)}
                  for name, frequency, power in found if len(frequency) == len(longest)],
    }  # fmt: skip
