"""Delivery in plain XLA operations, on any device.

Edges lie in one array, sorted by (source, delay, target); a *segment* is the run of edges of one source and one delay.
A step goes through the spikes that are due now, a block of them at a time: the j-th set bit of the rows of the history
that are as old as one of the delays is found by bisection over the running counts, its segment by bisection over the
source's delays. Then each segment is added to the sums in slices of `width` edges. Both loops run as often as there is
something to do, so nothing has a capacity that could overflow, and the work is that of the events.

Measured on a CPU (jaxlib 0.10): about 1.3 ns per edge for slices in cache, against 3 ns with gathered edges.
"""

from typing import Any, NamedTuple

import numpy as np

from snnrun.kernels import History, Pathway
from snnrun.lazy import jnp, lax

BLOCK = 32  # spikes looked up at a time
NARROW, WIDE = 32, 1024  # bounds on the edges added at a time


class Layout(NamedTuple):
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


def prepare(pathways: list[Pathway], sources: int, targets: int) -> Layout:
    """Sort the edges. Takes 16 bytes per edge beside the result, 24 where weights differ within a source."""
    edges = sum(len(p.source) for p in pathways)
    delays = _distinct_delays(pathways)
    code = np.empty(edges, np.uint64)
    uniform = _weight_of_source(pathways, sources)
    weight = None if uniform is not None else np.empty(edges, np.result_type(*(np.asarray(p.weight) for p in pathways)))
    at = 0
    for p in pathways:
        part = slice(at, at + len(p.source))
        rank = 0 if len(delays) <= 1 else np.searchsorted(delays, p.delay)
        code[part] = (p.source.astype(np.uint64) * np.uint64(max(len(delays), 1)) + np.asarray(rank, np.uint64)) << np.uint64(32)
        code[part] |= p.target.astype(np.uint64)
        if weight is not None:
            weight[part] = p.weight
        at = part.stop
    if weight is None:
        code.sort()
    else:
        order = np.argsort(code, kind="stable")
        code, weight = code[order], weight[order]
    segment = code >> np.uint64(32)
    target = (code & np.uint64(0xFFFFFFFF)).astype(np.int32)
    del code
    offset_type = np.int32 if edges < 2**31 - WIDE else np.int64
    if len(delays) <= 1:
        first_segment = segment_delay = None
        first_edge = np.concatenate([[0], np.cumsum(np.bincount(segment.astype(np.int64), minlength=sources))])
        steps = 0
    else:
        starts = np.flatnonzero(np.concatenate([[True], segment[1:] != segment[:-1]]))
        owner, rank = np.divmod(segment[starts].astype(np.int64), len(delays))
        segment_delay = rank.astype(np.int32)
        per_source = np.bincount(owner, minlength=sources)
        first_segment = np.concatenate([[0], np.cumsum(per_source)]).astype(np.int32)
        first_edge = np.concatenate([starts, [edges]])
        steps = int(per_source.max()).bit_length()
    segments = len(first_edge) - 1
    width = _width(edges / max(np.count_nonzero(np.diff(first_edge)), 1)) if segments else NARROW
    pad = np.zeros(width, np.int32)
    return Layout(
        delays.astype(np.int32),
        first_segment,
        segment_delay,
        first_edge.astype(offset_type),
        np.concatenate([target, pad]),
        None if weight is None else np.concatenate([weight, pad.astype(weight.dtype)]),
        uniform,
        np.zeros(steps, np.int8),
        np.arange(width, dtype=np.int32),
        np.zeros(targets, np.int64),
    )


def nbytes(layout: Layout) -> int:
    return sum(part.nbytes for part in layout if part is not None)


def _distinct_delays(pathways: list[Pathway]) -> Any:
    every = [np.unique(p.delay) for p in pathways if len(p.source)]
    return np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)


def _weight_of_source(pathways: list[Pathway], sources: int) -> Any:
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


def deliver(layout: Layout, history: History, step: Any) -> Any:
    """Sums of the weights that arrive at the end of a step, int64 [targets]."""
    if not layout.delays.shape[0]:
        return layout.zeros
    depth, words = history.words.shape
    rows = ((step - layout.delays) % depth).astype(jnp.int32)
    due = jnp.cumsum(history.count[rows, words - 1])  # spikes due, up to and including each delay
    total = due[-1]
    width = layout.lanes.shape[0]
    block = jnp.arange(BLOCK, dtype=jnp.int32)

    def add_block(b: Any, sums: Any) -> Any:
        number = b * BLOCK + block
        source, age = _source(history, rows, due, jnp.minimum(number, total - 1))
        first, end = _edges(layout, source, age)

        def add_segment(i: Any, sums: Any) -> Any:
            stop = end[i]
            uniform = None if layout.weight_of_source is None else layout.weight_of_source[source[i]]

            def add_slice(carry: Any) -> Any:
                at, sums = carry
                target = lax.dynamic_slice(layout.target, (at,), (width,))
                w = lax.dynamic_slice(layout.weight, (at,), (width,)) if uniform is None else uniform
                w = jnp.where(layout.lanes < stop - at, w, 0).astype(jnp.int64)
                return at + width, sums.at[target].add(w, mode="promise_in_bounds")

            return lax.while_loop(lambda carry: carry[0] < stop, add_slice, (first[i], sums))[1]

        return lax.fori_loop(0, jnp.minimum(BLOCK, total - b * BLOCK), add_segment, sums)

    return lax.fori_loop(0, (total + BLOCK - 1) // BLOCK, add_block, layout.zeros)


def _source(history: History, rows: Any, due: Any, number: Any) -> tuple[Any, Any]:
    """Source and index of the delay of the spikes with the given numbers among those that are due."""
    words = history.words.shape[1]
    age = _bisect(lambda i: due[i], jnp.zeros_like(number), rows.shape[0], number)
    number = number - jnp.where(age > 0, due[jnp.maximum(age - 1, 0)], 0)
    row = rows[age]
    word = _bisect(lambda i: history.count[row, i], jnp.zeros_like(number), words, number)
    before = jnp.where(word > 0, history.count[row, jnp.maximum(word - 1, 0)], 0)
    return word * 32 + _set_bit(history.words[row, word], number - before), age


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


def _edges(layout: Layout, source: Any, age: Any) -> tuple[Any, Any]:
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
