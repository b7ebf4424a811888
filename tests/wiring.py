"""Edges and spikes without neurons: what the tests of the kernels share.

A wiring is a list of edges (source, target, weight, delay) between places. It is given to a kernel as the program gives it,
as pathways; `arrivals` then runs a kernel step by step on given spikes, and `expected` says what must come out.
"""

import ctypes
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from snnrun import kernels
from snnrun.kernels import Axis, Edges, Entry, Pathway
from snnrun.models.connect import Connectivity, Sizes
from snnrun.models.interface import Crossing
from snnrun.models.neurons import lif
from snnrun.models.outputs import cuba
from snnrun.models.synapses import delta, expon
from snnrun.plan import Group, Program, Stack


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


def program_of(sources, rows, depth, precision, kernel, deltas=0, noise=(), of=()) -> Program:
    """The program of a network of which a kernel sees no more than sizes: stacks of one row each.

    The first rows, `deltas` in number, are those of delta synapses; input i of `noise` feeds row `of[i]`.
    """
    stacks, first = [], 0
    for r, size in enumerate(rows):
        own = tuple(i for i, row in enumerate(of) if row == r)
        synapse, output = (delta.MODEL, None) if r < deltas else (expon.MODEL, cuba.MODEL)
        stacks.append(Stack(0, synapse, output, 1, size, first, own, True, r >= deltas, precision))
        first += size
    # the first 64 sources are one group, and all others a second one
    sizes = [64, sources - 64] if sources > 64 else [sources]
    groups = tuple(Group(lif.MODEL, "exact", size, size, 64 * i, (), precision) for i, size in enumerate(sizes))
    return Program(precision, groups, tuple(stacks), tuple(noise), sources, first, depth, kernel, (), ((0, sources // 32),))


def axis_of(program) -> Axis:
    """Every row is one receptor."""
    return Axis(tuple((s.first, s.padded) for s in program.stacks), np.array([s.first for s in program.stacks], np.int64))


@partial(jax.jit, static_argnums=0)
def one_step(program, layout, transit, step, fired, states, frames):
    """Both halves of a step, compiled; what arrives is added to zeros. Where a mask is missing, those fire whose x is at
    least 0.5."""
    kernel = kernels.module(program.kernel)
    fired = [*fired, *[Crossing("x", np.float64(0.5), {})] * (len(program.groups) - len(fired))]
    transit, _, jumps, waiting = kernel.jumps(program, layout, transit, {}, step)
    transit, _, arrived, states, _, frames = kernel.close(
        program, layout, transit, {}, waiting, step, fired, states, None, zeros_of(program), frames, np.int64(0), step + 1
    )
    return transit, jumps, arrived, states, frames


def zeros_of(program):
    """Zeros for what arrives through each stack."""
    zeros = [jnp.zeros((stack.rows, stack.padded), program.precision) for stack in program.stacks]
    one = np.ones((), program.precision)
    return [
        None if stack.synapse.jumps else Entry(value, one, None, 0 * one)
        for stack, value in zip(program.stacks, zeros, strict=True)
    ]


def bound(pathways, program, quantum=1.0, threads=1, noise=()):
    """(arranged, layout) of pathways for the kernel of a program."""
    module, axis = kernels.module(program.kernel), axis_of(program)
    arranged = module.arrange(pathways, program.sources, axis, threads)
    return arranged, module.bind(arranged, program, tuple(noise), axis, (quantum,) * len(program.stacks))


def arrivals(pathways, program, spikes, quantum=1.0, threads=1, noise=()):
    """What arrives [steps, targets] when a kernel runs on spikes [steps, sources]; its frames must show who fired."""
    arranged, layout = bound(pathways, program, quantum, threads, noise)
    rows = kernels.nobody(program), kernels.unscaled(program)
    transit = kernels.module(program.kernel).transit(program, arranged, layout, *rows, 0)
    frames, found = np.zeros((len(spikes), program.sources // 32), np.uint32), []
    for step, mask in enumerate(spikes):
        # the first group says who fired, of the second it follows from a value and a threshold
        states = [{"y": np.arange(5)}, {"x": np.where(mask[64:], 0.5, -1.0)}][: len(program.groups)]
        transit, jumps, arrived, after, frames = one_step(program, layout, transit, np.int64(step), [mask[:64]], states, frames)
        for before, now in zip(states, after, strict=True):
            assert before.keys() == now.keys() and all(np.array_equal(before[name], now[name]) for name in before)
        found.append(joined(program, jumps, arrived))
    np.testing.assert_array_equal(frames, packed(spikes))
    return np.array(found)


def joined(program, jumps, arrived):
    """Arrivals of all stacks side by side: of each either before the threshold is tested or after it. None is zero."""
    dtype, parts = np.dtype(program.precision), []
    for stack, before, after in zip(program.stacks, jumps, arrived, strict=True):
        mine, other = (before, after) if stack.synapse.jumps else (after, before)
        assert other is None and (mine is None or mine.dtype == dtype and mine.shape == (stack.rows, stack.padded))
        parts.append(np.zeros(stack.places, dtype) if mine is None else np.ravel(mine))
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


def arrivals_without_jax(pathways, program, spikes, native, quantum=1.0, threads=1):
    """The same by the library's own function, from a history that holds all spikes so far."""
    arranged, layout = bound(pathways, program, quantum, threads)
    network = ctypes.cast(int(layout.network[0]), ctypes.POINTER(native._Network))
    depth, found = program.depth + 1, []
    for step in range(len(spikes)):
        out = [np.full(r.places, np.nan) for r in program.stacks]
        for stage in (native.JUMPS, native.ARRIVALS):
            rows = np.zeros((depth, program.sources), bool)
            for sent in range(max(step - program.depth, 0), step + stage):  # before the threshold is tested nobody has fired
                rows[sent % depth] = spikes[sent]
            bits = packed(rows)
            mine = [o for o, r in zip(out, program.stacks, strict=True) if r.synapse.jumps == (stage == native.JUMPS)]
            pointers = (ctypes.c_void_p * max(len(mine), 1))(*(part.ctypes.data for part in mine))
            given = depth, bits.shape[1], bits.ctypes.data, None, 0
            native.library().snnrun_arrivals(network, stage, *given, step, None, pointers)
        found.append(np.concatenate(out))
    del arranged
    return np.array(found)
