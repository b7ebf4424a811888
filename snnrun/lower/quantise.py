"""The quantum of each receptor: a power of two, of which all weights onto it are whole multiples.

float32: weights are whole numbers up to 2**30, which is finer than a float32 weight. float64: the sum of |w| over all that can
reach a target in a step stays below 2**62. A neuron spikes at most once per step, so that bound is exact. Both follow from what
a distribution can yield, not from what was drawn, so that edges that are never stored have the same. All receptors that one
projection reaches have the same quantum, merged or not.
"""

from typing import Any

import numpy as np

from snnrun import receptors
from snnrun.models import connect, inputs, stdp
from snnrun.network import Network
from snnrun.receptors import Receptor
from snnrun.selections import Part


def quanta(network: Network, found: list[Receptor]) -> list[float]:
    """One per receptor."""
    spec = network.spec
    largest: dict[int, float] = {}
    total: dict[tuple[int, str], Any] = {}

    def add(receptor: Receptor, largest_weight: float, part: Part, sums: Any) -> None:
        largest[receptor.group] = max(largest.get(receptor.group, 0.0), largest_weight)
        key, size = (receptor.group, receptor.population), spec.populations[receptor.population].size
        if np.ndim(sums) == 0 and part.size == size and np.ndim(total.get(key, 0.0)) == 0:
            total[key] = total.get(key, 0.0) + sums
            return
        if np.ndim(total.get(key, 0.0)) == 0:
            total[key] = np.full(size, total.get(key, 0.0))
        total[key][part.index] += sums

    feeds = receptors.Feeds(spec, found)
    for name, projection in network.projections.items():
        largest_weight, sums = _weight_sums(projection.connectivity)
        if (own := spec.projections[name].stdp) is not None:  # weights may become what its bounds allow
            largest_weight = max(map(abs, stdp.bounds(own)))
            sums = largest_weight * connect.most_inputs(projection.connectivity)
        for receptor, part, offset in feeds.of("projections", name):
            own = sums[offset : offset + part.size] if np.ndim(sums) else sums
            add(found[receptor], largest_weight, part, own)
    for name, values in network.noise.items():
        for (receptor, part, _), of_part in zip(feeds.of("inputs", name), values.values, strict=True):
            most = inputs.poisson.most(of_part, spec.dt)
            weight = np.abs(of_part["weight"])
            add(found[receptor], float(np.max(weight)), part, most * weight)
    if spec.precision == "float32":
        return [receptors.quantum(largest.get(receptor.group, 0.0), receptors.WEIGHT_BITS) for receptor in found]
    bound: dict[int, float] = {}
    for (group, _), sums in total.items():
        bound[group] = max(bound.get(group, 0.0), float(np.max(sums)))
    return [receptors.quantum(bound.get(receptor.group, 0.0), 62) for receptor in found]


def _weight_sums(c: connect.Connectivity) -> tuple[float, Any]:
    """Bounds of |w|, and of the sum of |w| over the edges of each target."""
    if c.listed is not None and np.ndim(c.weight):
        weight = np.abs(c.weight)
        return float(np.max(weight, initial=0.0)), np.bincount(c.listed[1], weights=weight, minlength=c.sizes.post)
    largest = float(np.max(np.abs(connect.weight_bounds(c))))
    return largest, largest * connect.most_inputs(c)
