"""What of a run is shown: populations, times, neurons; and what of it was recorded. No drawing."""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import statistics
from snnrun.colours import COLOURS
from snnrun.results import Rate, Results, Samples, Train, measured

MAX_TRACES = 5
MAX_TRACE_POINTS = 20_000  # times of one trace; beyond, every n-th is drawn
MAX_BINS = 1_000_000
USUAL_BINS = 400  # more cannot be told apart in a picture of this width


class PlotError(Exception):
    """A picture that cannot be drawn. A `failure` is none of the user's mistakes."""

    def __init__(self, message: str, failure: bool = False) -> None:
        super().__init__(message)
        self.failure = failure


class Shown(NamedTuple):
    """Spikes of one population in a view, and the neurons (low to high - 1) among which they were recorded."""

    train: Train
    low: int
    high: int
    recorded: NDArray[np.int64]  # the neurons themselves


class Trace(NamedTuple):
    """A sampled variable of one neuron."""

    population: str
    neuron: int
    times: NDArray[np.float64]  # ms
    values: NDArray[np.float64]


class Panel(NamedTuple):
    """Samples of one variable of one population."""

    population: str
    variable: str
    unit: str
    traces: list[Trace]


class View:
    """What of a run is shown: populations, times (ms), neurons, variables, and the bin of rates (ms)."""

    def __init__(self, results: Results, populations: tuple[str, ...] = (), start: float | None = None, stop: float | None = None,
                 neurons: tuple[int, int] | None = None, bin: float | None = None, title: bool = True,
                 variables: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.results, self.neurons, self.title, self.variables = results, neurons, title, variables
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
        reached, warmup = self.results.reached, self.results.warmup
        high = reached if stop is None else min(stop, reached)
        low = start if start is not None else warmup if warmup < high else 0.0
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

    def colour(self, population: str) -> str:
        """Of a population, or of a part of one; the same in every picture of the run."""
        return COLOURS[[*self.sizes, *self.parts].index(population) % len(COLOURS)]

    @cached_property
    def spikes(self) -> dict[str, Train]:
        """What was recorded of the chosen populations, from the view's beginning on."""
        return {name: train for name, train in self.results.all_spikes(self.start).items() if name in self.names}

    @cached_property
    def trains(self) -> dict[str, Shown]:
        """Spikes in the view; populations of which nothing was recorded in it are left out."""
        found = {}
        for name, train in self.spikes.items():
            start, stop = max(self.start, train.start), min(self.stop, train.stop)
            recorded = self.results.recorded(name)
            if self.neurons is not None:
                recorded = recorded[(recorded >= self.neurons[0]) & (recorded < self.neurons[1])]
            if not len(recorded) or not start < stop:
                continue
            low, high = int(recorded[0]), int(recorded[-1]) + 1
            # times ascend, so that a window is a slice, and a view of all of them no copy
            first, end = np.searchsorted(train.times, (start, stop), side="right").tolist()
            times, neurons = train.times[first:end], train.neurons[first:end]
            if self.neurons is not None:
                keep = (neurons >= low) & (neurons < high)
                times, neurons = times[keep], neurons[keep]
            found[name] = Shown(Train(times, neurons, len(recorded), start, stop), low, high, recorded)
        return found

    def measured(self, population: str) -> statistics.Trains:
        """Spikes of a population in the view, for `statistics`."""
        shown = self.trains[population]
        return measured(shown.train, shown.recorded)

    @cached_property
    def _recorded(self) -> list[tuple[str, str, Rate]]:
        """Monitor, population and rates in the view; bins that no eye could tell apart are averaged."""
        found: list[tuple[str, str, Rate]] = []
        if self.neurons is not None:
            return found  # they are of other neurons
        for monitor, model in self.results.monitors.items():
            for population, rate in self.results.rates(monitor).items() if model == "rate" else ():
                inside = np.flatnonzero((rate.edges[1:] > self.start) & (rate.edges[:-1] < self.stop))
                if population in self.names and len(inside):
                    part = slice(inside[0], inside[-1] + 1)
                    edges = rate.edges[inside[0] : inside[-1] + 2]
                    cut = Rate(rate.times[part], rate.values[part], rate.bin, edges, rate.size)
                    found.append((monitor, population, averaged(cut, 5 * USUAL_BINS)))
        return found

    def _of_all(self, population: str, rate: Rate) -> bool:
        """Whether a rate is of the neurons that stand for a population: all, or those whose spikes were recorded."""
        shown = self.trains.get(population)
        return rate.size in (None, self.sizes[population] if shown is None else shown.train.size)

    @cached_property
    def parts(self) -> dict[str, Rate]:
        """Rates that were recorded of other neurons than those that stand for their population, named after their monitors."""
        return {
            f"{monitor} ({rate.size:,} of {population})": rate
            for monitor, population, rate in self._recorded if not self._of_all(population, rate)
        }  # fmt: skip

    @cached_property
    def curves(self) -> dict[str, Rate]:
        """Rates to be drawn, by population and by part: as recorded, unless there are spikes and a bin is asked for."""
        whole: dict[str, Rate] = {}
        for _, population, rate in self._recorded:
            if self._of_all(population, rate) and not (self.own_bin and population in self.trains):
                whole.setdefault(population, rate)
        bins = set() if self.own_bin else {rate.bin for _, _, rate in self._recorded}
        width = bins.pop() if len(bins) == 1 else self.bin  # one for all, where there is one
        for name in self.trains.keys() - whole.keys():
            whole[name] = counted(self.trains[name].train, width, self.results.dt)
        return {name: whole[name] for name in self.names if name in whole} | self.parts

    @cached_property
    def traces(self) -> list[Trace]:
        """Recorded membrane potentials: at most MAX_TRACES, of all populations that have some in the view."""
        found = {}
        for population, variable, samples in self._sampled("state"):
            if variable == "V":
                found.setdefault(population, samples)
        several = max(1, MAX_TRACES // max(len(found), 1))
        return [trace for name, samples in list(found.items())[:MAX_TRACES] for trace in self._some(name, samples, several)]

    @cached_property
    def panels(self) -> list[Panel]:
        """All sampled variables and currents in the view, or those that are asked for; at most MAX_TRACES neurons of each."""
        found, known = [], []
        for population, variable, samples in self._sampled("state", "input"):
            known.append(variable)
            if not self.variables or variable in self.variables:
                if population not in [panel.population for panel in found if panel.variable == variable]:
                    found.append(Panel(population, variable, samples.unit, self._some(population, samples, MAX_TRACES)))
        for name in self.variables:
            if name not in known:
                there = f"; there are: {', '.join(dict.fromkeys(known))}" if known else ": add a state monitor"
                raise PlotError(f"no variable {name!r} was recorded of what is shown{there}")
        return found

    def _sampled(self, *models: str) -> list[tuple[str, str, Samples]]:
        """Population, variable (or receptor) and samples of all that was sampled in the view."""
        return [
            (population, variable, samples)
            for name, model in self.results.monitors.items() if model in models
            for (population, variable), samples in self.results.samples(name).items()
            if population in self.names and self._columns(population, samples)
            and (frames := _frames(samples, self.start, self.stop)).start < frames.stop
        ]  # fmt: skip

    def _columns(self, population: str, samples: Samples) -> list[int]:
        low, high = self.neurons or (0, self.sizes[population])
        return np.flatnonzero((samples.neurons >= low) & (samples.neurons < high)).tolist()

    def _some(self, population: str, samples: Samples, most: int) -> list[Trace]:
        """The first neurons' samples."""
        frames = _frames(samples, self.start, self.stop)
        return [
            Trace(population, int(samples.neurons[i]), samples.times(frames), samples.data[frames, i])
            for i in self._columns(population, samples)[:most]
        ]


def averaged(rate: Rate, most: int) -> Rate:
    """A rate in wider bins, so that there are at most so many."""
    if len(rate.values) <= most:
        return rate
    several = math.ceil(len(rate.values) / (most // 5))
    first = np.arange(0, len(rate.values), several)
    widths = np.diff(rate.edges)
    edges = np.append(rate.edges[first], rate.edges[-1])
    values = np.add.reduceat(rate.values * widths, first) / np.diff(edges)
    return Rate(0.5 * (edges[:-1] + edges[1:]), values, several * rate.bin, edges, rate.size)


def counted(train: Train, width: float, dt: float) -> Rate:
    """Rate per neuron in bins from the beginning of the window on; a rest of less than half a bin is left out."""
    edges = train.start + width * np.arange(math.floor((train.stop - train.start) / width + 1e-9) + 1, dtype=np.float64)
    if len(edges) < 2 or train.stop - edges[-1] > 0.5 * width:
        edges = np.append(edges, train.stop)
    # a bin is open at its beginning and closed at its end: the stamp of a spike is the end of its step
    upto = np.searchsorted(train.times, edges + 0.5 * dt)
    values = np.diff(upto) / train.size / np.diff(edges) * 1e3
    return Rate(0.5 * (edges[:-1] + edges[1:]), values, width, edges, train.size)


def _frames(samples: Samples, start: float, stop: float) -> slice:
    """Frames from start to stop; every n-th where they are too many."""
    first = max(math.ceil((start - samples.start) / samples.step - 1e-6), 0)
    end = min(math.floor((stop - samples.start) / samples.step + 1e-6) + 1, samples.length)
    return slice(first, end, max(math.ceil((end - first) / MAX_TRACE_POINTS), 1))
