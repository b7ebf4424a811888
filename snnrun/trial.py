"""One network, run again and again with other values: in memory, and with all that is the same kept from run to run.

The file is read once. Edges are drawn again, and a step is compiled again, only where what they depend on has changed
(`lower.lower`, `engine.compiled`), so that another weight, time constant or current costs a few milliseconds. Every run has the
bits of one that is alone.
"""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import check, document, estimate, kernels, lower, network, statistics
from snnrun.check import Loaded
from snnrun.document import Override, SpecError
from snnrun.machine import start_jax
from snnrun.models import monitors
from snnrun.plan import Plan
from snnrun.request import Refused
from snnrun.rows import by_population, fired
from snnrun.spec import Spec


class Trial(NamedTuple):
    """What came of a run."""

    trains: dict[str, statistics.Trains]  # of the neurons of each population whose spikes are recorded
    seconds: float  # that the steps took
    complete: bool  # whether it was not stopped before its end

    @property
    def spikes(self) -> int:
        return sum(len(trains.times) for trains in self.trains.values())


class Trials:
    """Runs of one network file in this process, on one thread. Raises SpecError, OSError."""

    def __init__(self, file: Path, kernel: str = "auto") -> None:
        self._document, self._name, self._wanted = document.read(file), file.stem, kernel
        self._kernel: str | None = None
        self._plan: Plan | None = None

    def load(self, overrides: Iterable[Override] = ()) -> Loaded:
        """The network with some values replaced, checked. Raises SpecError."""
        return check.of_document(self._document, self._name, overrides)

    def run(self, loaded: Loaded, most: float = math.inf, stop: Callable[[], bool] = lambda: False) -> Trial:
        """Run a network that records nothing but spikes; stopped where a population fires at more than `most` Hz on average.

        Raises SpecError, Refused, engine.NumericalError.
        """
        kernel = self._ready()
        from snnrun import engine

        spec = of_spikes(loaded.spec)
        try:
            self._fits(spec, loaded.document.folder, kernel)
            built = network.build(spec, loaded.document.folder)
            self._plan = plan = lower.lower(built, kernel=kernel, again=True, earlier=self._plan)
        except SpecError as error:
            raise SpecError(error.faults, loaded.document) from None
        sink, steps = _Spikes(plan, most), plan.structure.steps
        began = time.perf_counter()
        state = engine.simulate(plan, engine.init(plan), steps, sink, stop=lambda: sink.beyond or stop())
        seconds = time.perf_counter() - began
        return Trial(sink.trains(int(state.step)), seconds, int(state.step) == steps)

    def _ready(self) -> str:
        if self._kernel is None:
            start_jax("cpu", 1)
            try:
                self._kernel = kernels.choose(self._wanted).name
            except kernels.Unavailable as error:
                raise Refused(f"the native kernel {error}", "use --kernel xla") from None
        return self._kernel

    def _fits(self, spec: Spec, folder: Path, kernel: str) -> None:
        expected = estimate.estimate(spec, folder, kernel, 1, False)
        if (problem := estimate.too_large(expected)) is not None:
            raise Refused(problem.message, problem.hint)


def of_spikes(spec: Spec) -> Spec:
    """The same network with its spikes alone recorded: by the monitors that do, or, where none does, of all its neurons."""
    kept = {name: m for name, m in spec.monitors.items() if _keeps_spikes(m)}
    if not kept:
        everyone = tuple(name for name in spec.populations)
        every = monitors.SpikesSpec(model="spikes", of=everyone)
        kept = {"spikes": every.model_copy(update={"start": spec.warmup})}
    return spec.model_copy(update={"monitors": kept})


def _keeps_spikes(monitor: Any) -> bool:
    kind = monitors.MODELS[monitor.model]
    return kind.spiking and kind.bin(monitor) is None


class _Recorded(NamedTuple):
    """Of one population, by the first monitor that has it."""

    wanted: NDArray[np.bool_]
    first_step: int
    last_step: int


class _Spikes:
    """A sink that keeps the spikes, and knows when there are too many."""

    def __init__(self, plan: Plan, most: float) -> None:
        self._dt, self._most, self.beyond = plan.structure.dt, most, False
        self._first = {tap.population: tap.bit for tap in plan.structure.taps}
        self._sizes = {place.name: place.size for place in plan.structure.populations}
        self._recorded: dict[str, _Recorded] = {}
        by_monitor: dict[str, str] = {}
        for tap in plan.structure.taps:
            if by_monitor.setdefault(tap.population, tap.monitor) == tap.monitor:
                wanted = np.zeros(self._sizes[tap.population], bool)
                own = self._recorded.setdefault(tap.population, _Recorded(wanted, tap.first_step, tap.last_step))
                own.wanted[np.asarray(tap.neurons)] = True
        self._found: dict[str, list[tuple[NDArray[np.int64], NDArray[np.int64]]]] = {name: [] for name in self._recorded}

    def write(self, frame: Any) -> None:
        for name, (row, neuron) in by_population(*fired(frame.rows), self._first, self._sizes).items():
            own, stamp = self._recorded[name], frame.first_step + row + 1
            keep = own.wanted[neuron] & (stamp > own.first_step) & (stamp <= own.last_step)
            self._found[name].append((stamp[keep], neuron[keep]))
            rate = len(row) / (self._sizes[name] * frame.steps * self._dt) * 1e3
            self.beyond |= rate > self._most and frame.steps * self._dt >= _LONG

    def trains(self, reached: int) -> dict[str, statistics.Trains]:
        """Neurons count among those that are recorded, and times from when they are on."""
        found = {}
        for name, own in self._recorded.items():
            stamps, neurons = (np.concatenate([part[i] for part in self._found[name]] or [np.empty(0, np.int64)]) for i in (0, 1))
            start, stop = own.first_step, max(min(own.last_step, reached), own.first_step)
            place = np.cumsum(own.wanted) - 1
            times = stamps * self._dt - start * self._dt
            found[name] = statistics.trains(times, place[neurons], int(own.wanted.sum()), stop * self._dt - start * self._dt)
        return found


_LONG = 5.0  # ms: over less, a rate is that of one volley
