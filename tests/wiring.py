"""Edges and spikes without neurons: what the tests of the kernels share.

A wiring is a list of edges (source, target, weight, delay) between places. It is given to a kernel as the program gives it,
as pathways; `arrivals` then runs a kernel step by step on given spikes, and `expected` says what must come out.
"""

import ctypes
from functools import partial

import jax
import numpy as np

from snnrun import kernels
from snnrun.connect import Connectivity, Sizes
from snnrun.kernels import Edges, Pathway, Reached
from snnrun.plan import PopulationPlan, ReceptorPlan, Structure


def listed(edges: Edges, pre, post, quantum: float = 1.0, wide: bool = False, delta: bool = False) -> Pathway:
    """A pathway with these edges, whose sources lie in `pre` and whose targets lie in `post`, both places in order."""
    pre, post = np.asarray(pre, np.int32), np.asarray(post, np.int32)
    found = [np.searchsorted(places, wanted).astype(np.int32) for places, wanted in ((pre, edges.source), (post, edges.target))]
    weight = np.asarray(edges.weight, np.float64) * quantum
    connectivity = Connectivity(
        "x", None, Sizes(len(pre), len(post)), (0, 0), weight if weight.ndim else float(weight), edges.delay, 0.1, False,
        (found[0], found[1]),
    )  # fmt: skip
    return Pathway(connectivity, pre, post, quantum, wide, delta)


def drawn(rule, sizes: Sizes, stream, weight=1.0, delay=1, quantum: float = 1.0, wide: bool = False, procedural: bool = False):
    """A pathway of a rule from the places 0 ... pre - 1 to the places 0 ... post - 1."""
    connectivity = Connectivity("x", rule, sizes, stream, weight, delay, 0.1)
    places = np.arange(sizes.pre, dtype=np.int32), np.arange(sizes.post, dtype=np.int32)
    return Pathway(connectivity, *places, quantum, wide, False, procedural)


def structure_of(sources, receptors, depth, precision, kernel, deltas=0, noise=(), of=()) -> Structure:
    """The structure of a network of which a kernel sees no more than sizes.

    The first receptors, `deltas` in number, are those of delta synapses; input i of `noise` feeds receptor `of[i]`.
    """
    plans, first = [], 0
    for r, size in enumerate(receptors):
        own = tuple(i for i, receptor in enumerate(of) if receptor == r)
        model, output = ("delta", None) if r < deltas else ("expon", "cuba")
        plans.append(ReceptorPlan(f"r{r}", 0, model, output, first, size, own, True, r >= deltas, precision))
        first += size
    # the first 64 sources are one population, and all others a second one
    sizes = [64, sources - 64] if sources > 64 else [sources]
    populations = tuple(PopulationPlan(f"p{i}", "lif", size, size, 64 * i, None, (), precision) for i, size in enumerate(sizes))
    return Structure(
        0.1, precision, 1, populations, tuple(plans), tuple(noise), sources, first, depth, kernel, (), (), ((0, sources // 32),)
    )  # fmt: skip


@partial(jax.jit, static_argnums=0)
def one_step(structure, layout, history, step, fired, passed, frames):
    """Both halves of a step, compiled. Where a mask is missing, those fire whose last passed value is at least 0.5."""
    kernel = kernels.module(structure.kernel)
    fired = [*fired, *[Reached(len(passed) - 1, np.float64(0.5))] * (len(structure.populations) - len(fired))]
    history, jumps, waiting = kernel.jumps(structure, layout, history, step)
    history, arrived, passed, frames = kernel.arrive(
        structure, layout, history, waiting, step, fired, passed, frames, np.int64(0), step + 1
    )
    return history, jumps, arrived, passed, frames


def bound(pathways, structure, quantum=1.0, threads=1, noise=()):
    """(arranged, layout) of pathways for the kernel of a structure."""
    module = kernels.module(structure.kernel)
    arranged = module.arrange(pathways, structure.sources, [(r.first, r.padded) for r in structure.receptors], threads)
    return arranged, module.bind(arranged, structure, tuple(noise), (quantum,) * len(structure.receptors))


def arrivals(pathways, structure, spikes, quantum=1.0, threads=1, noise=()):
    """What arrives [steps, targets] when a kernel runs on spikes [steps, sources]; its frames must show who fired."""
    arranged, layout = bound(pathways, structure, quantum, threads, noise)
    history = kernels.module(structure.kernel).history(structure, arranged, layout, kernels.nobody(structure), 0)
    frames, found = np.zeros((len(spikes), structure.sources // 32), np.uint32), []
    for step, mask in enumerate(spikes):
        # the first population says who fired, of the second it follows from a value and a threshold
        fired, passed = [mask[:64]], [np.arange(5), np.where(mask[64:], 0.5, -1.0)]
        history, jumps, arrived, after, frames = one_step(structure, layout, history, np.int64(step), fired, passed, frames)
        assert all(np.array_equal(a, b) for a, b in zip(passed, after, strict=True))
        found.append(joined(structure, jumps, arrived))
    np.testing.assert_array_equal(frames, packed(spikes))
    return np.array(found)


def joined(structure, jumps, arrived):
    """Arrivals of all receptors side by side: of each either before the threshold is tested or after it. None is zero."""
    dtype, parts = np.dtype(structure.precision), []
    for plan, before, after in zip(structure.receptors, jumps, arrived, strict=True):
        mine, other = (before, after) if plan.output is None else (after, before)
        assert other is None and (mine is None or mine.dtype == dtype)
        parts.append(np.zeros(plan.padded, dtype) if mine is None else mine)
    return np.concatenate(parts)


def packed(spikes):
    return np.packbits(np.asarray(spikes, np.uint8), axis=1, bitorder="little").view(np.uint32)


def expected(edges: list[Edges], spikes, targets: int, quantum=1.0, precision="float64"):
    """The definition: an edge adds its weight `delay` steps after its source fired. Sums are whole numbers, rounded once."""
    sums = np.zeros((len(spikes), targets), np.int64)
    for part in edges:
        weights = np.broadcast_to(np.asarray(part.weight, np.int64), part.source.shape)
        for step in range(len(spikes)):
            sent = step - np.broadcast_to(part.delay, part.source.shape)
            arriving = (sent >= 0) & spikes[np.maximum(sent, 0), part.source]
            np.add.at(sums[step], part.target[arriving], weights[arriving])
    return (sums.astype(np.float64) * quantum).astype(precision)


def arrivals_without_jax(pathways, structure, spikes, native, quantum=1.0, threads=1):
    """The same by the library's own function, from a history that holds all spikes so far."""
    arranged, layout = bound(pathways, structure, quantum, threads)
    network = ctypes.cast(int(layout.network[0]), ctypes.POINTER(native._Network))
    depth, found = structure.depth + 1, []
    for step in range(len(spikes)):
        out = [np.full(r.padded, np.nan) for r in structure.receptors]
        for stage in (native.JUMPS, native.ARRIVALS):
            rows = np.zeros((depth, structure.sources), bool)
            for sent in range(max(step - structure.depth, 0), step + stage):  # before the threshold is tested nobody has fired
                rows[sent % depth] = spikes[sent]
            bits = packed(rows)
            mine = [o for o, r in zip(out, structure.receptors, strict=True) if (r.output is None) == (stage == native.JUMPS)]
            pointers = (ctypes.c_void_p * max(len(mine), 1))(*(part.ctypes.data for part in mine))
            native.library().snnrun_arrivals(network, stage, depth, bits.shape[1], bits.ctypes.data, step, None, pointers)
        found.append(np.concatenate(out))
    del arranged
    return np.array(found)
