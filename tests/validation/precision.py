"""What float32, the default, changes against float64: where two runs of one network part, and whether it matters.

Both runs have the same neurons, synapses and noise: those are drawn in whole numbers and float64, and sums of weights are whole
numbers in either. What differs is the rounding of V and of receptor variables. It moves V by some 1e-5 mV, until one of many
thousand crossings of a threshold falls into another step; from there a recurrent network goes its own way, as it would after
any change. So single spikes cannot agree for long, and statistics have to.
"""

from typing import Any, NamedTuple

import convergence
import networks
import numpy as np
from references import describe

from snnrun import lower, network


class Parting(NamedTuple):
    """Two runs of one seed."""

    time: float  # ms of the first spike that only one of the two has; the end of the run, if there is none
    before: int  # spikes that they share until then
    spikes: int  # of the run in float64
    shared: float  # part of all spikes, of both runs, that are the same to the step


def parting(single: tuple[Any, Any], double: tuple[Any, Any], dt: float = 0.1) -> Parting:
    """Compare two runs, each of them stamps in steps and neurons."""
    codes = [np.asarray(step, np.int64) * 2**32 + np.asarray(neuron, np.int64) for step, neuron in (single, double)]
    odd, common = np.setxor1d(*codes), np.intersect1d(*codes)
    end = max(int(code.max()) >> 32 for code in codes)
    first = int(odd.min()) >> 32 if len(odd) else end + 1
    before, total = int(np.searchsorted(common, first << 32)), len(odd) + len(common)
    return Parting(first * dt, before, len(codes[1]), len(common) / total)


def rounding(folder: Any, kernel: str, dt: float = 0.1) -> dict[str, float]:
    """Largest difference of V in mV between the precisions by case of `convergence`, over 32 ms below threshold."""
    runs, file = {}, folder / "rounding.yaml"
    for precision in ("float32", "float64"):
        file.write_text(convergence.text(dt).replace("precision: float64", f"precision: {precision}"))
        samples = networks.run_plan(lower.lower(network.build(describe.load(file), folder), kernel=kernel)).samples
        runs[precision] = {population: values[:, 0].astype(float) for (_, population, _), values in samples.items()}
    return {
        case: float(np.abs(runs["float32"][name] - runs["float64"][name]).max())
        for case in (*convergence.EXACT, *convergence.FIRST_ORDER)
        for name in [convergence.population(case)]
    }
