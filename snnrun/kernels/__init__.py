"""The tail of a step, which delivers spikes, and its implementations.

**deliver**: for every edge e whose source fired `delay_e` steps ago, sums[target_e] += weight_e, in integers; and for every
Poisson input, sums[target] += weight times the number of its spikes.

Sources and targets are places on merged axes: see plan. Weights are whole multiples of the receptor's quantum, so a sum has no
order and every implementation gives the same bits.

A kernel is a module with

    arrange(pathways, sources, axis, threads, again, earlier) -> Arranged     on the host, once: its own arrangement of the edges
    bind(arranged, program, noise, axis, quanta) -> Layout        what its calls in a step need; a tree of arrays
    transit(program, arranged, layout, rows, carried, step) -> Transit     of those who fired in the steps before `step`
    rows(program, transit, step) -> (rows, carried)               the same the other way round, free of the kernel
    fired(program, transit, step) -> row                          of a step that has just ended: one bit per source
    jumps(program, layout, transit, weights, step) -> (transit, weights, jumps, waiting)
    close(program, layout, transit, weights, waiting, step, fired, states, released, entered, frames, first, end)
        -> (transit, weights, variables, states, releases, frames)
    plastic(program, arranged, known, step) -> State              of weights that change, from Weights by name or at t = 0
    weights(program, arranged, layout, state, step) -> Weights    the same the other way round, of projections with edges
    words(streams, step) -> words                                   one random word per neuron: random.words

With `again` an Arranged is kept in such a form that the edges of another network that are the same may be taken from it, when it
is given as `earlier`: all but a weight that all edges of a projection have in common.

`rows` are uint32 [depth, words], of the steps from step - depth to step - 1, one bit per source, and `carried` are float64
[depth, releases], of the same steps: what part of its weight a spike carries, of those who fired. A transit follows from these.

`jumps` says what moves V through delta synapses at the end of a step, before the threshold is tested: one array [rows, neurons]
per stack, in the unit of its weights, or None where nothing can arrive. `close` takes who fired then (for each group a mask, or
the Crossing of a variable), writes it into the transit and into row `step - first` of the frames, and lets the variables of
`entered` decay and adds to them what reaches the other receptors. `waiting` is handed from one to the other. `states` are those
of the groups, which come out with the values set that a spike sets: a compiler must have them ready by then, and does not
compute them again for every later use.
`released` (models.stp.Released, or None) has what a spike carries, and the variables of releases without and after one.
All steps from `first` to `end` follow each other with one transit, so that a kernel may work ahead.
"""

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from snnrun.models.connect import Connectivity, collect


class Kernel(NamedTuple):
    """What a kernel can do, without loading it."""

    name: str
    devices: tuple[str, ...]
    can_redraw: bool  # whether it draws procedural edges again instead of storing them
    target_bytes: int  # of a stored edge, beside its weight


KERNELS = {kernel.name: kernel for kernel in (Kernel("native", ("cpu",), True, 2), Kernel("xla", ("cpu", "gpu"), False, 4))}


class Unavailable(RuntimeError):
    """The native kernel cannot run here: what is to be said of it, as in `was not built`."""


class Pathway(NamedTuple):
    """The edges of a projection with their places on the merged axes."""

    connectivity: Connectivity
    source: Any  # int32 [pre]: place of each neuron of pre
    target: Any  # int32 [post]
    quantum: float  # a power of two
    wide: bool  # whether weights take 64 bits
    delta: bool  # whether it moves V itself: a spike without delay then acts one step later
    procedural: bool = False  # whether edges are drawn again instead of stored
    changing: Any = None  # lower.plasticity.Changing, of one whose weights change
    release: Any = None  # int32 [pre]: place on the axis of releases; None where a spike carries the whole weight


class Edges(NamedTuple):
    """Edges on merged axes, in any order."""

    source: Any  # int32 [edges]
    target: Any  # int32 [edges]
    weight: Any  # in quanta, int32 or int64: one number, or [edges]
    delay: Any  # whole steps: int, or int32 [edges]


class Found(NamedTuple):
    """What became of a pathway."""

    synapses: int
    shortest: int  # delays in steps; 0 where there is no edge
    longest: int
    stored: bool


class Arranged(NamedTuple):
    """Edges as a kernel wants them, before it is known what else its calls need."""

    edges: Any
    found: tuple[Found, ...]  # per pathway
    nbytes: int


class Axis(NamedTuple):
    """The axis of targets: its rows, and where the receptors begin. Each reaches as far as the next one begins, or its row."""

    rows: tuple[tuple[int, int], ...]  # first place and length of each, one after the other
    starts: Any  # int64 [receptors], ascending

    @property
    def places(self) -> int:
        return sum(length for _, length in self.rows)


class Transit(NamedTuple):
    """What is on its way: who fired in the last steps. Row k % depth holds step k, one bit per source in words of 32. What else
    there is of it, and how many rows there are, is a kernel's own."""

    words: Any  # uint32 [depth, words]
    count: Any  # what a kernel derives from each row, to read it faster
    carried: Any  # float64 [depth, releases]: what part of their weight the spikes of a row carry; None without releases
    pending: Any  # what is not in the rows: arrivals of later steps that were drawn already, the row of the last step; or None


class Weights(NamedTuple):
    """The weights of a plastic projection, free of the kernel, at the end of a step: y of each edge after all that has happened
    at its synapse by then, edges in the order of source, target and delay. Of both sides the spikes that may still be on their
    way and the one before them, with the traces after each: [neurons, spikes, (stamp, traces)], oldest first, zeros behind."""

    name: str
    pre: Any  # int32 [edges]
    post: Any
    delay: Any
    y: Any  # float64
    source: Any  # float64
    target: Any


class Entry(NamedTuple):
    """The variable of a stack that arrivals are added to at the end of a step, when it has decayed:

        variable <- decay variable + scale arrivals

    Every product is rounded before it is added to (synapses/decay.py); arrivals are rounded to the run's precision first.
    Factors are one for all, or one per row [rows, 1], or one per place."""

    variable: Any  # [rows, neurons]
    decay: Any
    scale: Any  # None for 1
    zero: Any  # 0, see synapses/decay.py


class Choice(NamedTuple):
    name: str
    reason: str | None  # why it is not the native kernel where that was not asked for


def choose(wanted: str = "auto", device: str = "cpu") -> Choice:
    """The kernel for a run: the native one on a CPU, where it was built. Raises Unavailable."""
    from snnrun.kernels import native

    if wanted == "xla":
        return Choice("xla", None)
    reason = native.available() if device in KERNELS["native"].devices else "runs on CPUs only"
    if reason is None:
        return Choice("native", None)
    if wanted == "native":
        raise Unavailable(reason)
    return Choice("xla", reason if device == "cpu" else None)


def module(name: str) -> ModuleType:
    """The kernel of a name."""
    from snnrun.kernels import native, xla

    return {"native": native, "xla": xla}[name]


def nobody(program: Any) -> Any:
    """The rows of a history in which nobody has fired."""
    return np.zeros((program.depth, program.sources // 32), np.uint32)


def unscaled(program: Any) -> Any:
    """What the spikes of rows in which nobody has fired carry."""
    return np.zeros((program.depth, program.releases.places))


def quantised(weight: Any, quantum: float, wide: bool) -> Any:
    """Weights as whole multiples of a quantum, half to even."""
    return np.rint(np.asarray(weight, np.float64) / quantum).astype(np.int64 if wide else np.int32)


def edges_of(pathway: Pathway) -> Edges:
    """All edges of a pathway, drawn."""
    drawn = collect(pathway.connectivity)
    return Edges(
        pathway.source[drawn.pre],
        pathway.target[drawn.post],
        quantised(drawn.weight, pathway.quantum, pathway.wide),
        np.maximum(drawn.delay, int(pathway.delta)),
    )


def found_in(edges: Edges) -> Found:
    count, delay = len(edges.source), edges.delay
    return Found(count, int(np.min(delay)), int(np.max(delay)), True) if count else Found(0, 0, 0, True)
