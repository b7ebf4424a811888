"""What of a results file goes into another format: monitors, populations, a window of time. Large arrays stay in the file."""

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.request import Refused
from snnrun.results import Results, ResultsError, Samples, Stored, StoredTrain, Train, Weights

_BYTES = 2**23  # of samples that are read at a time; a table of them is several times as large
_ALMOST = 1e-6  # of a step


class Wanted(NamedTuple):
    """What is asked for. Names of nothing mean all; times in ms."""

    monitors: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()
    start: float = 0.0
    stop: float = math.inf


class Facts(NamedTuple):
    """What is said of a run as a whole."""

    name: str
    file: str
    yaml: str
    resolved: str  # JSON
    dt: float  # ms
    duration: float  # ms
    reached: float  # ms
    complete: bool
    populations: dict[str, tuple[int, str]]  # size and model
    provenance: dict[str, Any]
    start: float  # ms; the window
    stop: float


class Spikes(NamedTuple):
    """Spikes of one population with start < t <= stop."""

    monitor: str
    population: str
    train: StoredTrain
    recorded: NDArray[np.int64]
    start: float  # ms
    stop: float

    @property
    def number(self) -> int:
        return self.train.after(self.stop) - self.train.after(self.start)

    def pieces(self) -> Iterator[Train]:
        return self.train.pieces(self.start, self.stop)


class Traces(NamedTuple):
    """Samples of some variables, or currents through some receptors, of one population at the same times."""

    monitor: str
    population: str
    model: str  # of the monitor
    start: float  # ms, of the first frame
    step: float  # ms
    first: int  # frame in the file
    length: int
    neurons: NDArray[np.int64]
    data: dict[str, Stored]  # by variable
    units: dict[str, str]

    @property
    def times(self) -> NDArray[np.float64]:
        """In ms, as the file has them."""
        return self.start + self.step * np.arange(self.first, self.first + self.length, dtype=np.float64)

    def pieces(self) -> Iterator[slice]:
        """Frames, counted from the first one taken, of which all variables fit into some tens of megabytes."""
        yield from _pieces(self.length, len(self.neurons) * sum(data.dtype.itemsize for data in self.data.values()))

    def read(self, variable: str, frames: slice) -> NDArray[Any]:
        return self.data[variable][self.first + frames.start : self.first + frames.stop]


class Rates(NamedTuple):
    """Rate of one population in bins that lie in the window."""

    monitor: str
    population: str
    edges: NDArray[np.float64]  # ms
    values: NDArray[np.float64]  # Hz per neuron
    bin: float  # ms
    size: int | None


class Learnt(NamedTuple):
    """Weights of a plastic projection; `of.times` are those in the window, and `of.last` is None where the end is not in it."""

    monitor: str
    of: Weights
    first: int  # frame in the file
    end: float  # ms, when the last ones are

    def pieces(self) -> Iterator[slice]:
        yield from _pieces(len(self.of.times), 8 * len(self.of.pre))

    def read(self, frames: slice) -> NDArray[np.float64]:
        return np.asarray(self.of.values[self.first + frames.start : self.first + frames.stop], np.float64)


class Taken(NamedTuple):
    """All of it."""

    facts: Facts
    spikes: list[Spikes]
    traces: list[Traces]
    rates: list[Rates]
    weights: list[Learnt]
    positions: dict[str, NDArray[np.float64]]  # um, [neurons, dimensions]


def take(results: Results, wanted: Wanted | None = None) -> Taken:
    """What is wanted of a results file. Raises Refused, ResultsError."""
    wanted = wanted or Wanted()
    populations, monitors = results.populations, results.monitors
    _known("population", wanted.populations, populations)
    _known("monitor", wanted.monitors, monitors)
    start, stop = wanted.start, min(wanted.stop, results.reached)
    if start < 0 or not start < wanted.stop:
        raise Refused(f"there is no time between {start:g} ms and {wanted.stop:g} ms")
    if not start < stop:
        raise Refused(f"there is nothing after {start:g} ms", f"{results.reached:g} ms were simulated")
    chosen = {name: model for name, model in monitors.items() if not wanted.monitors or name in wanted.monitors}

    def here(population: str) -> bool:
        return not wanted.populations or population in wanted.populations

    spikes, traces, rates, weights = [], [], [], []
    for name, model in chosen.items():
        if model == "spikes":
            for population, train in results.stored_spikes(name).items():
                if here(population):
                    low, high = max(start, train.start), min(stop, train.stop)
                    known = results.recorded(population, name)
                    spikes.append(Spikes(name, population, train, known, low, max(low, high)))
        elif model in ("state", "input"):
            found: dict[str, dict[str, Samples]] = {}
            for (population, variable), samples in results.samples(name).items():
                if here(population):
                    found.setdefault(population, {})[variable] = samples
            traces += [_traces(results, name, model, population, of, start, stop) for population, of in found.items()]
        elif model == "rate":
            for population, rate in results.rates(name).items():
                if here(population):
                    slack = _ALMOST * rate.bin
                    inside = np.flatnonzero((rate.edges[:-1] >= start - slack) & (rate.edges[1:] <= stop + slack))
                    edges = rate.edges[inside[0] : inside[-1] + 2] if len(inside) else np.empty(0)
                    rates.append(Rates(name, population, edges, rate.values[inside], rate.bin, rate.size))
        elif model == "weights" and (not wanted.populations or name in wanted.monitors):
            of = results.stored_weights(name)
            inside = np.flatnonzero((of.times >= start) & (of.times <= stop))
            last = of.last if results.reached <= wanted.stop else None
            first = int(inside[0]) if len(inside) else 0
            weights.append(Learnt(name, of._replace(times=of.times[inside], last=last), first, results.reached))
    positions = {name: results.positions(name) for name in results.placed if here(name)}
    facts = Facts(results.name, results.path.name, results.yaml, json.dumps(results.resolved), results.dt, results.duration,
                  results.reached, results.complete, populations, results.provenance, start, stop)  # fmt: skip
    return Taken(facts, spikes, traces, rates, weights, positions)


def sorted_by_neuron(spikes: Spikes) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Times in ms of the first recorded neuron, of the second, ...; and where those of each end."""
    place = np.zeros(int(spikes.recorded[-1]) + 1 if len(spikes.recorded) else 1, np.int64)
    place[spikes.recorded] = np.arange(len(spikes.recorded))
    several = np.zeros(len(spikes.recorded), np.int64)
    for piece in spikes.pieces():
        several += np.bincount(_rows(spikes, place, piece.neurons), minlength=len(several))
    ends = np.cumsum(several)
    free, times = ends - several, np.empty(int(several.sum()))
    for piece in spikes.pieces():
        rows = _rows(spikes, place, piece.neurons)
        order = np.argsort(rows, kind="stable")
        own, first, count = np.unique(rows[order], return_index=True, return_counts=True)
        times[free[rows[order]] + np.arange(len(rows)) - np.repeat(first, count)] = piece.times[order]
        free[own] += count
    return times, ends


def _rows(spikes: Spikes, place: NDArray[np.int64], neurons: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(neurons) and neurons.max() >= len(place):
        raise ResultsError(f"{spikes.train.times.path} is damaged: monitor {spikes.monitor} has spikes of other neurons")
    return place[neurons]


def _traces(results: Results, monitor: str, model: str, population: str, of: dict[str, Samples], start: float,
            stop: float) -> Traces:  # fmt: skip
    """All variables of a monitor share times and neurons."""
    one = next(iter(of.values()))
    if any((s.start, s.step, s.length) != one[:3] or not np.array_equal(s.neurons, one.neurons) for s in of.values()):
        raise ResultsError(f"{results.path} is damaged: the variables of monitor {monitor} have not the same times and neurons")
    first = min(max(math.ceil((start - one.start) / one.step - _ALMOST), 0), one.length)
    end = max(min(math.floor((stop - one.start) / one.step + _ALMOST) + 1, one.length), first)
    data = {variable: samples.data for variable, samples in of.items()}
    units = {variable: samples.unit for variable, samples in of.items()}
    return Traces(monitor, population, model, one.start, one.step, first, end - first, one.neurons, data, units)


def _pieces(rows: int, bytes_of_a_row: int) -> Iterator[slice]:
    most = max(_BYTES // max(bytes_of_a_row, 1), 1)
    for low in range(0, rows, most):
        yield slice(low, min(low + most, rows))


def _known(kind: str, asked: tuple[str, ...], there: dict[str, Any]) -> None:
    for name in asked:
        if name not in there:
            raise Refused(f"there is no {kind} {name!r}", f"there are: {', '.join(there) or 'none'}")
