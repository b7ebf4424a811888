"""Projections through which sources act at every instant by a value of their own: gates of synapses, and potentials.

The values stand side by side on an axis, population by population: those of one synapse model with the same parameters once,
whatever number of projections they act through. A projection between all pairs with one weight and one delay needs their sum
alone; of others the edges are arranged in blocks of targets with about as many sources.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import receptors
from snnrun.document import Fault, SpecError
from snnrun.kernels import Found
from snnrun.kernels.graded import Block, Brought, Sum
from snnrun.lower.groups import Placed
from snnrun.models import connect, interface, neurons, synapses
from snnrun.network import Network
from snnrun.plan import Coupling, GatePlace, Graded, Value
from snnrun.receptors import Feeds

BITS = 52  # of a sum over edges; each partial sum is a whole number that a float holds exactly
COUNTED = 61  # of a sum over all sources, which is counted in integers
STEP = 1.2  # by how much the numbers of edges of the targets of a block may differ


class Lowered(NamedTuple):
    program: Graded
    opening: tuple[Any, ...]  # per value: constants of its gate
    brought: tuple[Any, ...]  # per coupling: kernels.graded.Brought
    totals: dict[int, NDArray[np.float64]]  # stack -> sum of the weights onto each of its places, [rows, padded]
    found: dict[str, Found]
    places: tuple[GatePlace, ...]
    gates: tuple[dict[str, Any], ...]  # per value: at t = 0
    nbytes: int


def projections(network: Network) -> list[str]:
    """Those that are graded."""
    return [name for name, entry in network.spec.projections.items() if synapses.MODELS[entry.synapse.model].graded]


def lowered(network: Network, placed: Placed, feeds: Feeds) -> Lowered:
    """Raises SpecError where a coupling is too strong for the method that a population is solved with."""
    spec, index = network.spec, {name: i for i, name in enumerate(network.spec.populations)}
    values: list[Value] = []
    of_key: dict[Any, int] = {}
    opening, gates, brought, couplings, places = [], [], [], [], []
    found: dict[str, Found] = {}
    totals: dict[int, NDArray[np.float64]] = {}
    end, depth = 0, 1
    for name in projections(network):
        entry, projection = spec.projections[name], network.projections[name]
        model, axis = synapses.MODELS[entry.synapse.model], []
        assert isinstance(model, interface.Graded)
        for part in projection.pre:
            held = network.first.get(("projections", name), {}).get(part.population, {})
            begun = tuple((variable, values.tobytes()) for variable, values in held.items())  # gates that begin alike are shared
            key = (entry.synapse, begun) if model.gate else None, part.population
            if key not in of_key:
                place = placed.populations[index[part.population]]
                of_key[key] = len(values)
                values.append(Value(model if model.gate else None, place.group, place.first, place.size, end, model.largest))
                kinetics = network.kinetics["projections", name, feeds.of("projections", name)[0].part.population]
                opening.append(model.opening(kinetics, spec.dt))
                gates.append({x: held.get(x, np.zeros(place.size)) for x in model.gate})
                end += place.size
            first = values[of_key[key]].first_value
            axis += [(first + begin, last - begin) for begin, last in part.runs]
            if model.gate:
                places.append(GatePlace(name, index[part.population], of_key[key]))
        arranged, longest, found[name], sums = _arranged(projection.connectivity, axis, model.largest)
        depth = max(depth, longest + 1)
        pieces = []
        for receptor, part, offset in feeds.of("projections", name):
            place = placed.receptors[receptor]
            stack = placed.stacks[place.stack]
            total = totals.setdefault(place.stack, np.zeros((stack.rows, stack.padded)))
            total.reshape(-1)[place.first :][part.index] = sums[offset : offset + part.size]
            for begin, last in part.runs:
                pieces.append((place.stack, place.first + begin, offset, last - begin))
                offset += last - begin
        couplings.append(Coupling(tuple(axis), tuple(pieces)))
        brought.append(arranged)
        if model.output is not None:
            _stable(network, name, feeds, sums)
    nbytes = sum(part.nbytes for one in brought for part in _leaves(one))
    program = Graded(tuple(values), tuple(couplings), depth, end)
    return Lowered(program, tuple(opening), tuple(brought), totals, found, tuple(dict.fromkeys(places)), tuple(gates), nbytes)


def _leaves(brought: Brought) -> list[NDArray[Any]]:
    every = [brought.place, *(field for block in brought.blocks for field in block)]
    return [leaf for leaf in every if leaf is not None and np.ndim(leaf)]


def _arranged(c: connect.Connectivity, axis: list[tuple[int, int]], largest: float) -> tuple[Brought, int, Found, NDArray[Any]]:
    """A projection's edges, its longest delay, and the sum of the weights onto each target."""
    of_pre = np.concatenate([np.arange(first, first + size, dtype=np.int32) for first, size in axis])
    if c.rule is not None and c.rule.complete and not connect.individual(c.weight) and not connect.individual(c.delay):
        own = None if c.rule.autapses else c.sizes.pre_of_post()
        known = np.full(c.sizes.post, c.sizes.pre, np.float64) if own is None else c.sizes.pre - (own >= 0.0)
        scale = _scale(largest * max(c.sizes.pre, 1), COUNTED)
        excluded = None if own is None or not (own >= 0).any() else np.where(own >= 0, of_pre[own], -1).astype(np.int32)
        total = Sum(np.float64(c.weight) / scale, np.float64(scale), excluded, np.int64(c.delay))
        edges = int(known.sum())
        delay = int(c.delay) if edges else 0
        return Brought(total, (), None, None, None), delay, Found(edges, delay, delay, True), known * float(c.weight)
    edges = connect.collect(c)
    weight = np.broadcast_to(np.asarray(edges.weight, np.float64), len(edges.pre))
    delay = np.broadcast_to(np.asarray(edges.delay, np.int32), len(edges.pre))
    order = np.lexsort((weight, delay, edges.pre, edges.post))
    pre, post, weight, delay = edges.pre[order], edges.post[order], weight[order], delay[order]
    sums = np.bincount(post, weights=np.abs(weight), minlength=c.sizes.post)
    shortest, longest = (int(delay.min()), int(delay.max())) if len(delay) else (0, 0)
    scale = _scale(largest * float(sums.max(initial=0.0)), BITS)
    degree = np.bincount(post, minlength=c.sizes.post)
    first = np.concatenate([[0], np.cumsum(degree)])
    sort = np.where(degree > 0, np.ceil(np.log(np.maximum(degree, 1)) / np.log(STEP)).astype(np.int64), -1)
    blocks, place = [], np.zeros(c.sizes.post, np.int32)
    end = 1  # of the blocks side by side, after a zero for those that nothing reaches
    for like in np.unique(sort[sort >= 0]):
        targets = np.flatnonzero(sort == like)
        column = np.arange(degree[targets].max())[:, None]
        there = column < degree[targets]
        which = np.where(there, first[targets] + column, 0)
        blocks.append(Block(
            np.where(there, of_pre[pre[which]], of_pre[0]).astype(np.uint32), np.where(there, weight[which] * scale, 0.0),
            None if shortest == longest else np.where(there, delay[which], 0).astype(np.int32),
        ))  # fmt: skip
        place[targets] = end + np.arange(len(targets))
        end += len(targets)
    brought = Brought(None, tuple(blocks), place, np.float64(1.0 / scale), np.int64(shortest))
    signed = np.bincount(post, weights=weight, minlength=c.sizes.post)
    return brought, longest, Found(len(pre), shortest, longest, True), signed


def _scale(bound: float, bits: int) -> float:
    """The power of two by which what is at most `bound` becomes a whole number of so many bits."""
    return 1.0 / receptors.quantum(bound, bits)


def _stable(network: Network, name: str, feeds: Feeds, sums: NDArray[np.float64]) -> None:
    """That the step which takes V along with these conductances does not overshoot."""
    spec = network.spec
    for _, part, offset in feeds.of("projections", name):
        entry = spec.populations[part.population]
        model = neurons.of(entry)
        limit = model.bears(model.methods(entry, True))
        response = None if limit is None else model.response(network.populations[part.population].parameters, spec.dt)
        if limit is None or response is None:
            continue
        response = np.broadcast_to(response, entry.size)[part.index]
        ratio = spec.dt * sums[offset : offset + part.size] * response
        if (ratio > limit).any():
            worst = int(np.argmax(ratio))
            solved, where = model.method_text(model.methods(entry, True)), f"neuron {part.neurons[worst]} of {part.population}"
            message = f"this coupling is too strong for {solved}: dt G / C is {ratio[worst]:.3g} at {where}, and may be {limit:g}"
            raise SpecError([Fault(("projections", name, "weight"), message, "use a smaller dt, or more substeps")])
