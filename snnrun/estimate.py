"""How large a network gets, from its file alone: nothing is built."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from snnrun import tables, units
from snnrun.check import connected, selection_sizes
from snnrun.connect import File
from snnrun.document import Fault
from snnrun.quantities import is_literal, law_of, plain
from snnrun.spec import Spec, parts

# Bytes per synapse while a network is built and arranged, measured on networks of 10 to 20 million synapses: with one
# weight and delay for all, and with individual ones.
_PEAK_UNIFORM, _PEAK_DRAWN = 36, 95
_PEAK_NEURON = 400
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


def estimate(spec: Spec, folder: Path) -> Estimate:
    """Expected sizes. Of files only the length is read."""
    sizes, synapses, peak, longest = selection_sizes(spec), {}, float(_BASE), 0.0
    for name, projection in spec.projections.items():
        count = projection.connect.expected(connected(parts(projection.pre, sizes), parts(projection.post, sizes)))
        if isinstance(projection.connect, File):
            count = tables.length(folder / projection.connect.path, projection.connect.population)
        uniform = projection.weight is not None and is_literal(projection.weight) and is_literal(projection.delay)
        peak += count * (_PEAK_UNIFORM if uniform else _PEAK_DRAWN)
        synapses[name] = count
        law = law_of(projection.delay)
        delay = (
            law.first + 5 * law.second if law is not None else plain(projection.delay) if is_literal(projection.delay) else 0.0
        )
        longest = max(longest, delay)
    neurons = sum(sizes.values())
    peak += longest / spec.dt * neurons / 4  # the history: a bit per neuron, and a running count per word of 32
    return Estimate(
        neurons,
        synapses,
        units.steps(spec.duration, spec.dt) or 0,
        peak + _PEAK_NEURON * neurons,
        _output(spec, sizes),
    )


def _output(spec: Spec, sizes: dict[str, int]) -> float:
    """Bytes per second of the sampled monitors; spikes take 16 bytes each, as many as there are."""
    total, itemsize = 0.0, 8 if spec.precision == "float64" else 4
    monitor: Any
    for monitor in spec.monitors.values():
        size = sum(part.size for part in parts(monitor.of, sizes))
        if monitor.model in ("state", "input"):
            labels = getattr(monitor, "variables", None) or getattr(monitor, "receptors", None) or spec.feeding
            total += size * len(labels) * itemsize * 1e3 / (monitor.every or spec.dt)
        elif monitor.model == "rate":
            total += 8 * 1e3 / monitor.bin
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
