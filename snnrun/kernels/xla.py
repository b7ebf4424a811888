"""Delivery in plain XLA operations, on any device.

Edges lie in one array, sorted by (source, delay, target); a *segment* is the run of edges of one source and one delay.
A step goes through the spikes that are due now, a block of them at a time: the j-th set bit of the rows of the history
that are as old as one of the delays is found by bisection over the running counts, its segment by bisection over the
source's delays. Then each segment is added to the sums in slices of `width` edges. Both loops run as often as there is
something to do, so nothing has a capacity that could overflow, and the work is that of the events.

Measured on a CPU (jaxlib 0.10): about 1.3 ns per edge for slices in cache, against 3 ns with gathered edges.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from snnrun import kernels, random
from snnrun.kernels import Arranged, Axis, Edges, Entry, Pathway, Transit, Weights, edges_of, found_in
from snnrun.kernels import plastic as plastic_edges
from snnrun.lazy import jnp, lax
from snnrun.models.inputs import poisson
from snnrun.models.interface import Crossing, State
from snnrun.models.stp import Released
from snnrun.models.synapses.decay import decayed
from snnrun.plan import Program, Stack

BLOCK = 32  # spikes looked up at a time
NARROW, WIDE = 32, 1024  # bounds on the edges added at a time
_CHUNK = 1 << 20  # edges encoded at a time


class Segments(NamedTuple):
    """Edges for the kernel; all arrays."""

    delays: Any  # int32 [delays]: the distinct delays, ascending
    first_segment: Any  # int32 [sources + 1]; None where all delays are equal: a segment is a source then
    segment_delay: Any  # int32 [segments]: which of the delays; None where all are equal
    first_edge: Any  # int32 or int64 [segments + 1]
    target: Any  # int32 [edges + width]
    weight: Any  # int32 or int64 [edges + width]; None where all edges of a source have one weight
    weight_of_source: Any  # int64 [sources], in that case
    most_segments: Any  # int8 [bisection steps over the segments of a source]: only its length matters
    lanes: Any  # int32 [width]: 0, 1, 2 ...
    zeros: Any  # int64 [targets]
    release: Any = None  # int32 [sources]: place on the axis of releases; None where spikes carry the whole weight


class Layout(NamedTuple):
    """What the calls of a step need."""

    due: tuple[Segments, ...]  # edges with a delay
    instant: tuple[Segments, ...]  # and without
    noise: tuple[Any, ...]  # constants of the Poisson inputs
    quanta: tuple[Any, ...]  # per stack: one, or one per place
    changing: tuple[plastic_edges.Part, ...]  # projections whose weights change
    zero: Any  # 0, see models/rounded.py


def arrange(pathways: list[Pathway], sources: int, axis: Axis, threads: int, again: bool = False,
            earlier: Arranged | None = None) -> Arranged:  # fmt: skip
    """Draw and sort all edges, those of an earlier network, too. XLA divides its work among threads by itself; procedural
    pathways are stored."""
    targets = axis.places
    every = [edges_of(pathway) for pathway in pathways]
    found = tuple(found_in(edges) for edges in every)
    changing = [pathway for pathway in pathways if pathway.changing is not None]
    parts = tuple(plastic_edges.part(pathway) for pathway in changing)
    # those whose spikes carry a part of the weight stand apart: a source has one such part for each of its projections
    apart = [[i] for i, pathway in enumerate(pathways) if pathway.release is not None]
    together = [i for i, pathway in enumerate(pathways) if pathway.release is None and pathway.changing is None]
    sides: list[tuple[Segments, ...]] = []
    for chosen in (lambda delay: delay > 0, lambda delay: delay == 0):
        side = []
        for members in (together, *apart):
            drawn = [part for i in members if len((part := _picked(every[i], chosen(np.asarray(every[i].delay)))).source)]
            if drawn:
                side.append(prepare(drawn, sources, targets)._replace(release=_release(pathways[members[0]], sources)))
        sides.append(tuple(side))
    size = sum(nbytes(part) for side in sides for part in side) + plastic_edges.nbytes(parts)
    return Arranged((*sides, parts, [pathway.changing for pathway in changing]), found, size)


def _release(pathway: Pathway, sources: int) -> Any:
    if pathway.release is None:
        return None
    found = np.zeros(sources, np.int32)
    found[pathway.source] = pathway.release
    return found


def _picked(edges: Edges, mask: Any) -> Edges:
    if mask.ndim == 0:
        return edges if mask else Edges(edges.source[:0], edges.target[:0], edges.weight, edges.delay)
    own = [values[mask] if np.ndim(values) else values for values in (edges.weight, edges.delay)]
    return Edges(edges.source[mask], edges.target[mask], *own)


def bind(arranged: Arranged, program: Program, noise: tuple[Any, ...], axis: Axis, quanta: tuple[float, ...]) -> Layout:
    due, instant, parts, _ = arranged.edges
    ends = np.append(axis.starts[1:], axis.places)
    per_place = np.repeat(np.asarray(quanta, np.float64), ends - axis.starts)
    of_stack = []
    for stack in program.stacks:
        own = per_place[stack.first : stack.first + stack.places].reshape(stack.rows, stack.padded)
        of_stack.append(own[0, 0] if (own == own[0, 0]).all() else own)
    return Layout(due, instant, noise, tuple(of_stack), parts, np.float64(0.0))


def transit(p: Program, arranged: Arranged, layout: Layout, rows: Any, carried: Any, step: int) -> Transit:
    words, parts = np.zeros((p.depth, p.sources // 32), np.uint32), kernels.unscaled(p)
    last = np.arange(step - p.depth, step) % p.depth
    words[last], parts[last] = rows, carried
    count = np.cumsum(np.bitwise_count(words), axis=1, dtype=np.int32)  # spikes in a row up to and including each word
    if not p.releases.places:
        return Transit(words, count, None, (np.array(rows[-1]), None))
    return Transit(words, count, parts, (np.array(rows[-1]), np.array(carried[-1])))


def rows(p: Program, transit: Transit, step: int) -> tuple[Any, Any]:
    last = np.arange(step - p.depth, step) % p.depth
    found = np.asarray(transit.words)[last]
    carried = kernels.unscaled(p) if transit.carried is None else np.asarray(transit.carried)[last]
    found[-1], of_last = transit.pending  # which is put into its place only when the next step begins
    if of_last is not None:
        carried[-1] = of_last
    return found, carried


def fired(p: Program, transit: Transit, step: Any) -> Any:
    return transit.pending[0]


def jumps(p: Program, layout: Layout, transit: Transit, weights: State, step: Any) -> tuple[Transit, State, list[Any], Any]:
    # The rows are written before they are read: the other way round, XLA copies all of them in every step.
    transit = _recorded(transit, step - 1)
    sums = _delivered(layout.due, transit, step)
    if p.plasticity.weights and any(kind.jumps for kind in p.plasticity.kinds):
        sums = jnp.zeros(p.targets, jnp.int64) if sums is None else sums
        weights, sums = plastic_edges.sent(p, layout.changing, layout.zero, weights, step, True, sums)
    return transit, weights, _due(p, layout, sums, step, jumps=True), sums


def _due(p: Program, layout: Layout, sums: Any, step: Any, jumps: bool) -> list[Any]:
    """What arrives with a delay, and noise, through synapses that move V itself or through all others; sums of quanta."""
    arrivals: list[Any] = []
    for i, stack in enumerate(p.stacks):
        quanta = None
        if stack.synapse.jumps == jumps:
            there = stack.due or (stack.instant and p.plasticity.weights)
            quanta = _of_stack(sums, stack) if sums is not None and there else None
            if (noise := _noise(p, layout, i, step)) is not None:
                quanta = noise if quanta is None else quanta + noise
            quanta = _in_units(p, layout.quanta[i], quanta) if jumps and quanta is not None else quanta
        arrivals.append(quanta)
    return arrivals


def _of_stack(sums: Any, stack: Stack) -> Any:
    return sums[stack.first : stack.first + stack.places].reshape(stack.rows, stack.padded)


def close(p: Program, layout: Layout, transit: Transit, weights: State, waiting: Any, step: Any, fired: list[Any],
          states: list[State], released: Released | None, entered: list[Entry | None], frames: Any, first: Any, end: Any,
          ) -> tuple[Transit, State, list[Any], list[State], State, Any]:  # fmt: skip
    row, after = [], []
    for who, state, group in zip(fired, states, p.groups, strict=True):
        then: State = {}
        if isinstance(who, Crossing):
            value, then = state[who.variable], who.then
            who = (value >= who.threshold) & (value < np.inf)
        mask = who if group.padded == group.size else who & (np.arange(group.padded) < group.size)
        after.append(state | {name: jnp.where(mask, value, state[name]) for name, value in then.items()})
        row.append(_packed(mask))
    row = jnp.concatenate(row)
    if p.tapped:
        frames = frames.at[step - first].set(jnp.concatenate([row[a:b] for a, b in p.tapped]))
    if p.plasticity.weights:
        weights = plastic_edges.remembered(p, layout.changing, layout.zero, weights, row, step)
        waiting = jnp.zeros(p.targets, jnp.int64) if waiting is None else waiting
        weights, waiting = plastic_edges.sent(p, layout.changing, layout.zero, weights, step, False, waiting)
    arrivals = _due(p, layout, waiting, step, jumps=False)
    carried = None if released is None else released.carried
    if layout.instant:
        now = Transit(row[None], _running_count(row)[None], None if carried is None else carried[None], None)
        sums = _delivered(layout.instant, now, np.int64(0))
        for i, stack in enumerate(p.stacks):
            if stack.instant:
                at_once = _of_stack(sums, stack)
                arrivals[i] = at_once if arrivals[i] is None else arrivals[i] + at_once
    variables: list[Any] = [None] * len(p.stacks)
    for i, (entry, quanta) in enumerate(zip(entered, arrivals, strict=True)):
        if entry is not None:
            variables[i] = decayed(entry.decay, entry.variable, entry.zero)
            if quanta is not None:
                more = _in_units(p, layout.quanta[i], quanta)
                variables[i] += more if entry.scale is None else decayed(entry.scale, more, entry.zero)
    releases: State = {}
    if released is not None:
        mask = jnp.concatenate([_unpacked(row[first : first + words]) for first, words, _ in p.releases.runs])
        releases = {name: jnp.where(mask, released.then[name], value) for name, value in released.without.items()}
    return transit._replace(pending=(row, carried)), weights, variables, after, releases, frames


words = random.words


def plastic(p: Program, arranged: Arranged, known: Mapping[str, Weights], step: int) -> State:
    """What a run remembers of weights that change."""
    _, _, parts, changing = arranged.edges
    return plastic_edges.plastic(p, parts, changing, known, step)


def weights(p: Program, arranged: Arranged, layout: Layout, state: State, step: int) -> list[Weights]:
    """The weights of each plastic projection and what they will need, free of the kernel."""
    _, _, parts, changing = arranged.edges
    return plastic_edges.weights(p, parts, changing, state, step)


def _noise(p: Program, layout: Layout, i: int, step: Any) -> Any:
    """Sum of the Poisson inputs of a stack, in quanta; None where it has none."""
    stack, total = p.stacks[i], None
    for n in stack.noise:
        first, start, stop = p.noise[n]
        counts = poisson.arrivals(layout.noise[n], step, start, stop)
        counts = jnp.pad(counts, (first + start, stack.places - first - stop)).reshape(stack.rows, stack.padded)
        total = counts if total is None else total + counts
    return total


def _in_units(p: Program, quantum: Any, sums: Any) -> Any:
    """Integer sums of a receptor as floats: int64 -> float64, times the quantum, -> the run's precision."""
    return (sums.astype(jnp.float64) * quantum).astype(jnp.dtype(p.precision))


def _packed(mask: Any) -> Any:
    """Bits of a mask, 32 to a word, the first neuron in the lowest bit."""
    bits = mask.reshape(-1, 32).astype(jnp.uint32) << jnp.arange(32, dtype=jnp.uint32)
    return jnp.sum(bits, axis=1, dtype=jnp.uint32)


def _unpacked(words: Any) -> Any:
    """A mask from its bits."""
    return ((words[:, None] >> jnp.arange(32, dtype=jnp.uint32)) & 1).astype(bool).reshape(-1)


def _recorded(transit: Transit, k: Any) -> Transit:
    """With the row of step k, which has waited until now, in its place."""
    row, carried = transit.pending
    place, put = k % transit.words.shape[0], lax.dynamic_update_index_in_dim
    transit = transit._replace(words=put(transit.words, row, place, 0), count=put(transit.count, _running_count(row), place, 0))
    return transit if carried is None else transit._replace(carried=put(transit.carried, carried, place, 0))


def _running_count(row: Any) -> Any:
    """Spikes in a row up to and including each word."""
    return jnp.cumsum(lax.population_count(row).astype(jnp.int32), dtype=jnp.int32)


# ---- arranging edges -------------------------------------------------------------------------------------------------


def prepare(pathways: list[Edges], sources: int, targets: int) -> Segments:
    """Sort the edges by (source, delay, target).

    Takes 8 bytes per edge beside the result, 16 where every edge has a weight of its own. All that orders an edge is packed
    into one 64-bit code, with its kind of weight in the lowest bits where every projection has but one weight: sorting codes
    is ten times faster than sorting positions.
    """
    edges = sum(len(p.source) for p in pathways)
    delays = _distinct_delays(pathways)
    uniform = _weight_of_source(pathways, sources)
    kinds = None if uniform is not None or any(np.ndim(p.weight) for p in pathways) else list({int(p.weight) for p in pathways})
    kind_bits = 0 if kinds is None else (len(kinds) - 1).bit_length()
    target_bits, rank_bits = max(targets - 1, 0).bit_length(), max(len(delays) - 1, 0).bit_length()
    if max(sources - 1, 0).bit_length() + rank_bits + target_bits + kind_bits > 64:
        raise MemoryError("too many neurons, receptors and delays for one code")
    code, weight = _codes(pathways, delays, kinds, (rank_bits, target_bits, kind_bits), edges)
    if weight is None:
        code.sort()
    else:
        order = np.argsort(code)
        code, weight = code[order], weight[order]
        del order
    target = np.empty(edges, np.int32)
    if kinds is not None:
        weight = np.empty(edges, np.result_type(*(np.asarray(p.weight) for p in pathways)))
    for start in range(0, edges, _CHUNK):  # in chunks, so that no temporary is as long as the edges
        part = slice(start, start + _CHUNK)
        target[part] = (code[part] >> np.uint64(kind_bits)) & np.uint64((1 << target_bits) - 1)
        if kinds is not None and weight is not None:
            weight[part] = np.array(kinds, weight.dtype)[code[part] & np.uint64((1 << kind_bits) - 1)]
    code >>= np.uint64(target_bits + kind_bits)
    segment = code.view(np.int64)
    offset_type = np.int32 if edges < 2**31 - WIDE else np.int64
    if len(delays) <= 1:
        first_segment = segment_delay = None
        first_edge = np.concatenate([[0], np.cumsum(np.bincount(segment, minlength=sources))])
        steps = 0
    else:
        starts = np.flatnonzero(np.concatenate([[True], segment[1:] != segment[:-1]]))
        owner, segment_delay = segment[starts] >> rank_bits, (segment[starts] & (1 << rank_bits) - 1).astype(np.int32)
        per_source = np.bincount(owner, minlength=sources)
        first_segment = np.concatenate([[0], np.cumsum(per_source)]).astype(np.int32)
        first_edge = np.concatenate([starts, [edges]])
        steps = int(per_source.max()).bit_length()
    del code, segment
    segments = len(first_edge) - 1
    width = _width(edges / max(np.count_nonzero(np.diff(first_edge)), 1)) if segments else NARROW
    target.resize(edges + width, refcheck=False)  # slices may reach beyond the last edge
    if weight is not None:
        weight.resize(edges + width, refcheck=False)
    return Segments(
        delays.astype(np.int32),
        first_segment,
        segment_delay,
        first_edge.astype(offset_type),
        target,
        weight,
        uniform,
        np.zeros(steps, np.int8),
        np.arange(width, dtype=np.int32),
        np.zeros(targets, np.int64),
    )


def _codes(
    pathways: list[Edges], delays: Any, kinds: list[int] | None, bits: tuple[int, int, int], edges: int
) -> tuple[Any, Any]:
    """source | rank of the delay | target | kind of the weight, uint64 [edges]; and weights, where each edge has its own."""
    rank_bits, target_bits, kind_bits = bits
    code = np.empty(edges, np.uint64)
    own = kinds is None and any(np.ndim(p.weight) for p in pathways)
    weight = np.empty(edges, np.result_type(*(np.asarray(p.weight) for p in pathways))) if own else None
    rank_of = np.zeros(int(delays[-1]) + 1 if len(delays) else 0, np.uint64)
    rank_of[delays] = np.arange(len(delays), dtype=np.uint64)
    at = 0
    for p in pathways:
        kind = np.uint64(0 if kinds is None else kinds.index(int(p.weight)))
        for start in range(0, len(p.source), _CHUNK):
            part = slice(start, start + _CHUNK)
            packed = p.source[part].astype(np.uint64)
            packed <<= np.uint64(rank_bits)
            packed |= rank_of[p.delay if np.ndim(p.delay) == 0 else p.delay[part]]
            packed <<= np.uint64(target_bits)
            packed |= p.target[part].astype(np.uint64)
            packed <<= np.uint64(kind_bits)
            packed |= kind
            code[at + start : at + start + len(packed)] = packed
        if weight is not None:
            weight[at : at + len(p.source)] = p.weight
        at += len(p.source)
    return code, weight


def nbytes(layout: Segments) -> int:
    return sum(part.nbytes for part in layout if part is not None)


def _distinct_delays(pathways: list[Edges]) -> Any:
    longest = max((int(np.max(p.delay)) for p in pathways if len(p.source)), default=-1)
    there = np.zeros(longest + 1, bool)
    for p in pathways:
        if len(p.source):
            there[p.delay] = True
    return np.flatnonzero(there)


def _weight_of_source(pathways: list[Edges], sources: int) -> Any:
    """One weight per source, or None where a source has edges of different weights."""
    if not all(np.ndim(p.weight) == 0 for p in pathways):
        return None
    weights, known = np.zeros(sources, np.int64), np.zeros(sources, bool)
    for p in pathways:
        if (weights[p.source[known[p.source]]] != p.weight).any():
            return None
        weights[p.source], known[p.source] = p.weight, True
    return weights


def _width(edges_per_segment: float) -> int:
    """The power of two that wastes little on the last slice of a segment and needs few slices."""
    return min(max(1 << (max(int(np.ceil(edges_per_segment)), 1) - 1).bit_length(), NARROW), WIDE)


# ---- delivery --------------------------------------------------------------------------------------------------------


def _delivered(parts: tuple[Segments, ...], transit: Transit, step: Any) -> Any:
    """Sums over all edges; None where there are none."""
    total: Any = None
    for layout in parts:
        sums = deliver(layout, transit, step)
        total = sums if total is None else total + sums
    return total


def deliver(layout: Segments, transit: Transit, step: Any) -> Any:
    """Sums of the weights that arrive at the end of a step, int64 [targets]."""
    if not layout.delays.shape[0]:
        return layout.zeros
    depth, words = transit.words.shape
    rows = ((step - layout.delays) % depth).astype(jnp.int32)
    due = jnp.cumsum(transit.count[rows, words - 1])  # spikes due, up to and including each delay
    total = due[-1]
    width = layout.lanes.shape[0]
    block = jnp.arange(BLOCK, dtype=jnp.int32)

    def add_block(b: Any, sums: Any) -> Any:
        number = b * BLOCK + block
        source, age = _source(transit, rows, due, jnp.minimum(number, total - 1))
        first, end = _edges(layout, source, age)
        part = None if layout.release is None else transit.carried[rows[age], layout.release[source]]

        def add_segment(i: Any, sums: Any) -> Any:
            stop = end[i]
            uniform = None if layout.weight_of_source is None else layout.weight_of_source[source[i]]

            def add_slice(carry: Any) -> Any:
                at, sums = carry
                target = lax.dynamic_slice(layout.target, (at,), (width,))
                w = lax.dynamic_slice(layout.weight, (at,), (width,)) if uniform is None else uniform
                w = jnp.where(layout.lanes < stop - at, w, 0).astype(jnp.int64)
                w = w if part is None else jnp.rint(w.astype(jnp.float64) * part[i]).astype(jnp.int64)
                return at + width, sums.at[target].add(w, mode="promise_in_bounds")

            return lax.while_loop(lambda carry: carry[0] < stop, add_slice, (first[i], sums))[1]

        return lax.fori_loop(0, jnp.minimum(BLOCK, total - b * BLOCK), add_segment, sums)

    return lax.fori_loop(0, (total + BLOCK - 1) // BLOCK, add_block, layout.zeros)


def _source(transit: Transit, rows: Any, due: Any, number: Any) -> tuple[Any, Any]:
    """Source and index of the delay of the spikes with the given numbers among those that are due."""
    words = transit.words.shape[1]
    age = _bisect(lambda i: due[i], jnp.zeros_like(number), rows.shape[0], number)
    number = number - jnp.where(age > 0, due[jnp.maximum(age - 1, 0)], 0)
    row = rows[age]
    word = _bisect(lambda i: transit.count[row, i], jnp.zeros_like(number), words, number)
    before = jnp.where(word > 0, transit.count[row, jnp.maximum(word - 1, 0)], 0)
    return word * 32 + _set_bit(transit.words[row, word], number - before), age


def _bisect(values: Any, low: Any, length: int, wanted: Any) -> Any:
    """First index in 0 ... length - 1 whose value exceeds `wanted`; the last one is known to."""
    reach = 1 << max(length - 1, 0).bit_length() >> 1
    while reach:
        probe = low + reach
        below = (probe < length) & (values(jnp.minimum(probe, length) - 1) <= wanted)
        low = jnp.where(below, probe, low)
        reach //= 2
    return low


def _set_bit(word: Any, rank: Any) -> Any:
    """Place of the set bit of a word that has `rank` set bits below it."""
    place = jnp.zeros_like(rank)
    for half in (16, 8, 4, 2, 1):
        low = word & jnp.uint32((1 << half) - 1)
        inside = lax.population_count(low).astype(jnp.int32)
        above = rank >= inside
        rank = jnp.where(above, rank - inside, rank)
        word = jnp.where(above, word >> jnp.uint32(half), low)
        place = jnp.where(above, place + half, place)
    return place


def _edges(layout: Segments, source: Any, age: Any) -> tuple[Any, Any]:
    """First edge, and the one after the last, of each source's segment with the delay `age`."""
    if layout.first_segment is None:
        return layout.first_edge[source], layout.first_edge[source + 1]
    low, end = layout.first_segment[source], layout.first_segment[source + 1]
    last = layout.segment_delay.shape[0] - 1
    high = end
    for _ in range(layout.most_segments.shape[0]):  # first segment of the source with a delay not below the wanted one
        middle = (low + high) // 2
        below = (low < high) & (layout.segment_delay[jnp.minimum(middle, last)] < age)
        low, high = jnp.where(below, middle + 1, low), jnp.where(below, high, middle)
    found = (low < end) & (layout.segment_delay[jnp.minimum(low, last)] == age)
    segment = jnp.minimum(low, last)
    first = layout.first_edge[segment]
    return first, jnp.where(found, layout.first_edge[segment + 1], first)
