"""Projections whose weights change: their coefficients, and the axes of their sources and targets.

Each part of such a projection's `pre` has a run on the axis of plastic sources, of whole words of the history's row, and each
part of `post` one on that of plastic targets.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.document import Fault, SpecError
from snnrun.lower.groups import Placed
from snnrun.models import connect, stdp
from snnrun.network import Network
from snnrun.plan import NO_PLASTICITY, Plasticity, PlasticKind, PlasticRun
from snnrun.receptors import output_of

WORD = 32
LONGEST = 500  # steps of delay: the last spikes of twice that time are kept of every neuron
ROOM = 128  # spikes that are kept of a target; the more, the less often all weights are brought up to date


class Changing(NamedTuple):
    """What a pathway's weights do."""

    name: str  # of the projection
    number: int  # of the projection among those that are plastic
    coefficients: stdp.Coefficients
    source: NDArray[np.int32]  # [pre] place on the axis of plastic sources
    target: NDArray[np.int32]  # [post]


def changing(network: Network, placed: Placed) -> tuple[Plasticity, dict[str, Changing]]:
    """The axes, and for each plastic projection what its weights do."""
    index = {name: i for i, name in enumerate(network.spec.populations)}
    found: dict[str, Changing] = {}
    runs: tuple[list[PlasticRun], list[PlasticRun]] = ([], [])
    longest, width, lengths = 1, 2, [0, 0]
    kinds = []
    for name, projection in network.projections.items():
        entry = network.spec.projections[name].stdp
        if entry is None:
            continue
        low, high = connect.delay_bounds(projection.connectivity)
        if high > LONGEST:
            message = f"a plastic projection has delays of at most {LONGEST} steps, and this has up to {high:,}"
            raise SpecError([Fault(("projections", name, "delay"), message)])
        longest = max(longest, high)
        own, places = stdp.MODELS[entry.model].coefficients(entry), []
        width = max(width, 1 + len(own.source_tau))
        for side, parts in enumerate((projection.pre, projection.post)):
            of_side = []
            for part in parts:
                population = placed.populations[index[part.population]]
                first = placed.groups[population.group].first + population.first + part.start
                before = first % WORD
                words = -(-(before + part.stop - part.start) // WORD)
                runs[side].append(PlasticRun(first // WORD, words, lengths[side], len(found)))
                of_side.append((part.numbers - part.start).astype(np.int32) + lengths[side] + before)
                lengths[side] += words * WORD
            places.append(np.concatenate(of_side))
        found[name] = Changing(name, len(found), own, *places)
        powers = (float(mu) if mu in (0, 1) else None for mu in (own.mu_up, own.mu_down))
        jumps = output_of(network.spec.projections[name]) is None
        kinds.append(PlasticKind(jumps, own.axonal, own.nearest, own.grows, *powers))
    if not found:
        return NO_PLASTICITY, found
    rooms = _power(longest + 3), max(ROOM, _power(2 * longest + 4))
    axes = tuple(runs[0]), tuple(runs[1]), lengths[0], lengths[1]
    return Plasticity(*axes, *rooms, width, longest, 0, tuple(kinds)), found


def _power(n: int) -> int:
    return 1 << max(n - 1, 1).bit_length()
