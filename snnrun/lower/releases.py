"""The axis of sources whose spikes carry a part of their weight that changes: those of projections with short-term plasticity.

Each part of such a projection's `pre` has a run on it, of whole words of the history's row.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun.lower.groups import Placed, stacked_columns
from snnrun.models import stp
from snnrun.models.interface import State
from snnrun.network import Network
from snnrun.plan import NO_RELEASES, ReleasePlace, Releases

WORD = 32


class Released(NamedTuple):
    releases: Releases
    const: stp.Const | None
    initial: State
    places: tuple[ReleasePlace, ...]
    of: dict[str, NDArray[np.int32]]  # projection -> place of each neuron of pre


def released(network: Network, placed: Placed) -> Released:
    index = {name: i for i, name in enumerate(network.spec.populations)}
    runs, places, of = [], [], {}
    consts: list[tuple[State, int]] = []
    initial: list[tuple[State, int]] = []
    end = 0
    for name, every in network.stp.items():
        entry, found = network.spec.projections[name].stp, []
        assert entry is not None  # of those that network.stp has
        model = stp.MODELS[entry.model]
        for part, parameters in zip(network.projections[name].pre, every, strict=True):
            population = placed.populations[index[part.population]]
            first = placed.groups[population.group].first + population.first + part.start
            before = first % WORD  # neurons in the first word that are none of these
            within = part.numbers - part.start
            size = part.stop - part.start
            words = -(-(before + size) // WORD)
            runs.append((first // WORD, words, end))
            own = part.population, part.start, size
            places.append(ReleasePlace(name, len(found), index[part.population], *own, end + before))
            found.append((end + before + within).astype(np.int32))
            fill = before, words * WORD - before - size
            consts.append((_columns(model.lower(parameters, network.spec.dt)._asdict(), within, size, fill), words * WORD))
            initial.append((_columns(model.init(parameters), within, size, fill), words * WORD))
            end += words * WORD
        of[name] = np.concatenate(found)
    if not places:
        return Released(NO_RELEASES, None, {}, (), {})
    const = stp.Const(**stacked_columns(consts))
    start = {field: np.broadcast_to(np.asarray(values, np.float64), end) for field, values in stacked_columns(initial).items()}
    return Released(Releases(end, tuple(runs)), const, start, tuple(places), of)


def _columns(values: dict[str, Any], within: NDArray[Any], size: int, fill: tuple[int, int]) -> dict[str, Any]:
    """Values of the neurons that lie within a run of so many, filled up with those of some of them."""
    found = {}
    for field, value in values.items():
        if np.ndim(value):
            value = np.asarray(value)
            of_run = np.full(size, value.flat[0], value.dtype)
            of_run[within] = value
            value = np.pad(of_run, fill, mode="edge")
        found[field] = value
    return found
