"""How large a network gets, from its file alone: nothing is built."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from snnrun import check, kernels, network, units
from snnrun.check import selection_sizes
from snnrun.document import Fault
from snnrun.models import monitors
from snnrun.models import synapses as synapses_of
from snnrun.models.connect import File
from snnrun.models.space import DelayByDistance
from snnrun.quantities import TimesFile, is_literal, law_of, plain
from snnrun.selections import parts
from snnrun.spec import Spec

# Bytes per synapse while a network is built and arranged, measured on networks of 10 to 20 million synapses. The native kernel:
# with one weight for all, and what a weight of its own adds per byte of a float; edges from a file are held beside. The XLA
# kernel: with one weight and delay for all, and with individual ones.
_NATIVE, _NATIVE_WEIGHT, _NATIVE_LISTED = 2.1, 1.03, 24.0
_PLASTIC = 60.0  # more where weights change: numbers of 8 bytes, before and after a chunk of steps and while they are arranged
_XLA_UNIFORM, _XLA_DRAWN = 36.0, 95.0
_GRADED = 64.0  # where sources act at every instant, for any kernel; nothing between all pairs with one weight and delay
_PEAK_NEURON = 400
_SPIKE = 120  # of a given train, or a rate of a given course
AGAIN = "edges are drawn again whenever their source has fired"  # what is said where they are not stored
_BASE = 350 * 2**20  # the libraries and the compiler


class Estimate(NamedTuple):
    neurons: int
    synapses: dict[str, float]  # expected, by projection
    steps: int
    peak_bytes: float
    output_bytes: float  # per second of biological time, without spikes

    @property
    def total_synapses(self) -> float:
        return sum(self.synapses.values())


def estimate(spec: Spec, folder: Path, kernel: str | None = None, threads: int = 1, procedural: bool = False,
             longest: dict[str, int] | None = None) -> Estimate:  # fmt: skip
    """Expected sizes with a kernel, the one that would run if none is given. Of files of edges only the length is read;
    positions and matrices of blocks are read, and SpecError is raised for what is wrong with them.

    With `procedural`, edges that may be drawn again when they are needed are not stored where `storage` is auto. `longest` are
    the longest delays, in steps, of projections whose files have been read.
    """
    kernel = kernels.choose().name if kernel is None else kernel
    sizes, synapses, peak, depth = selection_sizes(spec), {}, float(_BASE), 1.0
    waiting = 0
    for name, projection in spec.projections.items():
        synapses[name] = count = network.expected_edges(spec, name, folder)
        delays = max(_delays(spec, name, folder), (longest or {}).get(name, 0))
        stored = check.placed(projection) or not (projection.connect.redrawn and (
            projection.connect.storage == "procedural" or (procedural and projection.connect.storage == "auto")))  # fmt: skip
        if synapses_of.MODELS[projection.synapse.model].graded:
            peak += 0.0 if summed(projection) else count * _GRADED
        elif not kernels.KERNELS[kernel].can_redraw:
            uniform = projection.weight is not None and is_literal(projection.weight) and is_literal(projection.delay)
            peak += count * (_XLA_UNIFORM if uniform else _XLA_DRAWN)
        elif stored:
            rows = sum(part.size for part in parts(projection.pre, sizes)) * threads
            peak += count * _native_bytes(projection, spec) + rows * (8 if delays <= 1 else 4 * delays)
        elif law_of(projection.delay) is not None:
            waiting += 8 * sum(part.size for part in parts(projection.post, sizes))  # arrivals of later steps, drawn already
        depth = max(depth, delays)
    neurons = sum(sizes.values())
    # the history: a bit per neuron, and a running count per word of 32; neurons are padded to multiples of 64
    peak += depth * (sum(size + 63 for size in sizes.values()) / 4 + waiting)
    for population in spec.populations.values():
        for _, value in population:
            if isinstance(value, TimesFile):
                peak += _SPIKE * check.times_table(value, folder).length("time_ms")
    for entry in spec.inputs.values():
        if isinstance(entry, TimesFile):
            peak += _SPIKE * check.times_table(entry, folder).length("time_ms")
    return Estimate(
        neurons,
        synapses,
        units.steps(spec.duration, spec.dt) or 0,
        peak + _PEAK_NEURON * neurons,
        _output(spec, sizes, synapses),
    )


def summed(projection: Any) -> bool:
    """Whether the edges of sources that act at every instant are never looked at: their sum is enough."""
    weight, delay = projection.weight, projection.delay
    return projection.connect.complete and weight is not None and is_literal(weight) and is_literal(delay)


def _delays(spec: Spec, name: str, folder: Path) -> float:
    """About how many delays a projection has, in steps from none."""
    projection, dt = spec.projections[name], spec.dt
    if isinstance(projection.delay, DelayByDistance):
        return network.longest_delay(spec, name, folder) / dt
    law = law_of(projection.delay)
    if law is not None:
        return (law.first + 5 * law.second) / dt
    return plain(projection.delay) / dt if is_literal(projection.delay) else 1.0


def _native_bytes(projection: Any, spec: Spec) -> float:
    if projection.stdp is not None:
        return _NATIVE + _PLASTIC
    own = projection.weight is None or not is_literal(projection.weight)
    rule = projection.connect
    listed = rule.listed or check.placed(projection) or isinstance(rule, File) or not getattr(rule, "multapses", True)
    return _NATIVE + own * _NATIVE_WEIGHT * (8 if spec.precision == "float64" else 4) + listed * _NATIVE_LISTED


def _output(spec: Spec, sizes: dict[str, int], synapses: dict[str, float]) -> float:
    """Bytes per second of the sampled monitors; spikes take 16 bytes each, as many as there are."""
    total, itemsize = 0.0, 8 if spec.precision == "float64" else 4
    for monitor in spec.monitors.values():
        if isinstance(monitor, monitors.WeightsSpec):
            there = synapses.get(monitor.of, 0.0)
            size = there if monitor.synapses is None else min(monitor.synapses, there)
        else:
            size = sum(part.size for part in parts(monitor.of, sizes))
        total += monitors.MODELS[monitor.model].bytes_per_second(monitor, size, len(spec.feeding), itemsize, spec.dt)
    return total


def available_bytes() -> int:
    """Memory that this process may use: what is free on the machine, or what a control group leaves."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            free = min(free, int(Path(limit).read_text()))
        except (OSError, ValueError):
            continue
    return free


def size_text(count: float) -> str:
    """Bytes for people: 7.2 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError


def fitting(estimated: Callable[[bool], Estimate]) -> tuple[Estimate, bool]:
    """What a run takes, and whether edges must be drawn again when they are needed for it to fit into memory; what is
    `estimated` with them stored, and if need be without."""
    stored = estimated(False)
    if too_large(stored) is None:
        return stored, False
    drawn_again = estimated(True)
    return (drawn_again, True) if too_large(drawn_again) is None else (stored, False)


def too_large(expected: Estimate) -> Fault | None:
    """What to say where a network needs more memory than there is."""
    available = available_bytes()
    if expected.peak_bytes <= available:
        return None
    return Fault(
        (),
        f"this network needs about {size_text(expected.peak_bytes)} of memory "
        f"({expected.neurons:,} neurons, {expected.total_synapses:,.0f} synapses), "
        f"and {size_text(available)} are available",
        "make it smaller, or use a machine with more memory",
    )
