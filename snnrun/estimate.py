"""How large a network gets, from its file alone: nothing is built."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from snnrun import units
from snnrun.check import connected, selection_sizes
from snnrun.document import Fault
from snnrun.quantities import is_literal
from snnrun.spec import Spec, parts

# Bytes per synapse while a network is built and arranged, measured on networks of 10 to 20 million synapses: with one
# weight and delay for all, and with individual ones.
_PEAK_UNIFORM, _PEAK_DRAWN = 40, 90
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
    """Expected sizes. A file of edges counts as one edge for every 8 bytes."""
    sizes, synapses, peak = selection_sizes(spec), {}, float(_BASE)
    for name, projection in spec.projections.items():
        count = projection.connect.expected(connected(parts(projection.pre, sizes), parts(projection.post, sizes)))
        if projection.connect.rule == "file":
            count = (folder / projection.connect.path).stat().st_size / 8
        uniform = projection.weight is not None and is_literal(projection.weight) and is_literal(projection.delay)
        peak += count * (_PEAK_UNIFORM if uniform else _PEAK_DRAWN)
        synapses[name] = count
    neurons = sum(sizes.values())
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
            labels = getattr(monitor, "variables", None) or getattr(monitor, "receptors", None) or (None,)
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
