"""Delivery: the XLA kernel against the dense product, and that arranging edges loses none."""

from collections import Counter

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnrun.kernels import Edges, Transit, reference, xla

deliver = jax.jit(xla.deliver)


def transit_of(fired):
    """The transit in which row k % depth has the neurons `fired[k % depth]`."""
    depth, sources = fired.shape
    bits = np.zeros((depth, -(-sources // 32) * 32), np.uint8)
    bits[:, :sources] = fired
    words = np.packbits(bits, axis=1, bitorder="little").view(np.uint32)
    count = np.cumsum(bits.reshape(depth, -1, 32).sum(axis=2), axis=1)
    return Transit(words, count.astype(np.int32), None, None)


def pathway(edges, dtype=np.int32):
    """From rows (source, target, weight, delay)."""
    source, target, weight, delay = np.array(edges, np.int64).reshape(-1, 4).T
    return Edges(source.astype(np.int32), target.astype(np.int32), weight.astype(dtype), delay.astype(np.int32))


def edges_of(pathways):
    """The multiset of (source, target, weight, delay)."""
    found = Counter()
    for p in pathways:
        n = len(p.source)
        weight, delay = np.broadcast_to(p.weight, n), np.broadcast_to(p.delay, n)
        found.update(zip(p.source.tolist(), p.target.tolist(), weight.tolist(), delay.tolist(), strict=True))
    return found


def decoded(layout, sources):
    """The multiset of edges that a layout of the XLA kernel stands for."""
    found = Counter()
    for source in range(sources):
        if layout.first_segment is None:
            segments = [(source, 0)]
        else:
            owned = range(layout.first_segment[source], layout.first_segment[source + 1])
            segments = [(segment, layout.segment_delay[segment]) for segment in owned]
        for segment, age in segments:
            for edge in range(layout.first_edge[segment], layout.first_edge[segment + 1]):
                weight = layout.weight_of_source[source] if layout.weight is None else layout.weight[edge]
                found[source, int(layout.target[edge]), int(weight), int(layout.delays[age])] += 1
    return found


def assert_delivers_like_the_reference(pathways, sources, targets, fired, steps):
    layout, dense = xla.prepare(pathways, sources, targets), reference.prepare(pathways, sources, targets)
    assert decoded(layout, sources) == edges_of(pathways)
    transit = transit_of(fired)
    for step in steps:
        sums = np.asarray(deliver(layout, transit, np.int64(step)))
        assert sums.dtype == np.int64
        np.testing.assert_array_equal(sums, reference.deliver(dense, transit, step))


SOURCES, TARGETS, LONGEST = 70, 9, 5


@st.composite
def graphs(draw):
    """Pathways and who fired in the last steps: few edges or many, duplicates, delays from none to the longest."""
    large = draw(st.booleans())
    dtype, bound = (np.int64, 2**55) if large else (np.int32, 2**30)
    weights, delays = st.integers(-bound, bound), st.sampled_from(draw(st.sampled_from([(2,), (0, 1, LONGEST)])))
    edge = st.tuples(st.integers(0, SOURCES - 1), st.integers(0, TARGETS - 1), weights, delays)
    pathways = []
    for _ in range(draw(st.integers(1, 3))):
        p = pathway(draw(st.lists(edge, max_size=40)), dtype)
        if draw(st.booleans()):
            p = p._replace(weight=dtype(draw(weights)))
        if draw(st.booleans()):
            p = p._replace(delay=draw(delays))
        pathways.append(p)
    density = draw(st.sampled_from([0.0, 0.1, 0.7, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return pathways, rng.random((LONGEST + 1, SOURCES)) < density


def roomy(layout):
    """The same layout in arrays of equal lengths, so that few programs are compiled for many graphs."""

    def longer(values, length, mode):
        return None if values is None else np.pad(values, (0, length - len(values)), mode=mode)

    return layout._replace(
        target=longer(layout.target, 200, "constant"),
        weight=longer(layout.weight, 200, "constant"),
        first_edge=longer(layout.first_edge, 200, "edge"),
        segment_delay=longer(layout.segment_delay, 199, "constant"),
        most_segments=np.zeros(3, np.int8),
    )


@settings(max_examples=60, deadline=None, derandomize=True)
@given(graph=graphs(), step=st.integers(0, 20))
def test_any_graph_is_delivered_like_the_dense_product(graph, step):
    pathways, fired = graph
    layout, dense = (kernel.prepare(pathways, SOURCES, TARGETS) for kernel in (xla, reference))
    assert decoded(layout, SOURCES) == edges_of(pathways)
    transit = transit_of(fired)
    sums = deliver(roomy(layout), transit, np.int64(step))
    np.testing.assert_array_equal(sums, reference.deliver(dense, transit, step))


@pytest.mark.parametrize("delay", [0, 3])
def test_one_neuron_may_reach_itself(delay):
    p = pathway([(0, 0, 3, delay), (0, 0, 4, delay)])
    assert_delivers_like_the_reference([p], 1, 1, np.eye(4, 1, dtype=bool), range(8))


def random_edges(rng, count, sources, targets, delays, bound=2**30):
    return np.stack(
        [
            rng.integers(0, sources, count),
            rng.integers(0, targets, count),
            rng.integers(-bound, bound, count),
            rng.choice(delays, count),
        ],
        axis=1,
    )


@pytest.mark.parametrize("delays", [[0], [3], [1, 2, 3, 4, 5, 9]], ids=str)
def test_more_spikes_than_are_looked_up_at_a_time(delays):
    """No spike, few, and all neurons at once, from an empty transit to a full one."""
    rng = np.random.default_rng(0)
    sources, targets, depth = 5 * xla.BLOCK, 64, max(delays) + 1
    p = [pathway(random_edges(rng, 2000, sources, targets, delays))]
    layout, dense = xla.prepare(p, sources, targets), reference.prepare(p, sources, targets)
    for density in (0.0, 0.02, 1.0):
        transit = transit_of(rng.random((depth, sources)) <= density)
        for step in range(2 * depth):
            sums = deliver(layout, transit, np.int64(step))
            np.testing.assert_array_equal(sums, reference.deliver(dense, transit, step))


@pytest.mark.parametrize("one_weight", [True, False])
def test_segments_longer_than_a_slice(one_weight):
    """Source 0 has many slices' worth of edges, the others one edge each; the last one ends the array."""
    rng = np.random.default_rng(1)
    sources, targets = 64, 2000
    edges = np.concatenate(
        [random_edges(rng, 2 * xla.WIDE + 5, 1, targets, [1, 2]), random_edges(rng, 63, sources, targets, [2])]
    )
    p = pathway(edges)
    p = p._replace(weight=np.int32(-7)) if one_weight else p
    layout = xla.prepare([p], sources, targets)
    assert np.diff(layout.first_edge).max() > 2 * len(layout.lanes)
    assert_delivers_like_the_reference([p], sources, targets, np.ones((3, sources), bool), [2])


def test_a_slice_is_never_wider_than_its_bounds():
    all_to_all = np.array([(s, t, 1, 1) for s in range(2) for t in range(3000)])
    one_to_one = np.array([(s, s, 1, 1) for s in range(64)])
    assert len(xla.prepare([pathway(all_to_all)], 2, 3000).lanes) == xla.WIDE
    assert len(xla.prepare([pathway(one_to_one)], 64, 64).lanes) == xla.NARROW
    assert_delivers_like_the_reference([pathway(all_to_all)], 2, 3000, np.ones((2, 2), bool), [1])


def test_one_weight_per_source_is_not_stored_per_edge():
    """Two projections from the two halves of a population, each with its own weight; a third one breaks the rule."""
    rng = np.random.default_rng(2)
    low, high = random_edges(rng, 100, 32, 64, [1, 4]), random_edges(rng, 100, 32, 64, [1, 4])
    high[:, 0] += 32
    halves = [pathway(low)._replace(weight=np.int32(3)), pathway(high)._replace(weight=np.int32(-5))]
    third = pathway(low)._replace(weight=np.int32(4))
    assert xla.prepare(halves, 64, 64).weight is None
    assert xla.prepare([*halves, third], 64, 64).weight.dtype == np.int32
    fired = rng.random((5, 64)) < 0.5
    for pathways in (halves, [*halves, third]):
        assert_delivers_like_the_reference(pathways, 64, 64, fired, range(6))


@pytest.mark.parametrize("pathways", [[], [pathway([])], [pathway([])._replace(weight=np.int32(1), delay=3)]])
def test_no_edges_deliver_nothing(pathways):
    assert_delivers_like_the_reference(pathways, 64, 64, np.ones((4, 64), bool), [0, 5])


def test_duplicate_edges_add_up():
    edges = [(3, 2, 5, 1)] * 4 + [(3, 2, -1, 1)]
    sums = deliver(xla.prepare([pathway(edges)], 64, 4), transit_of(np.ones((2, 64), bool)), np.int64(1))
    assert np.asarray(sums).tolist() == [0, 0, 19, 0]


def test_a_spike_arrives_after_its_delay_and_only_then():
    """One spike in step 7, delays 1, 3 and 6 of one source to three targets, and a transit of 7 rows."""
    layout = xla.prepare([pathway([(5, 0, 10, 1), (5, 1, 20, 3), (5, 2, 30, 6)])], 64, 3)
    fired = np.zeros((7, 64), bool)
    fired[7 % 7, 5] = True
    arrived = {step: np.asarray(deliver(layout, transit_of(fired), np.int64(step))).tolist() for step in range(7, 14)}
    assert {step: sums for step, sums in arrived.items() if any(sums)} == {8: [10, 0, 0], 10: [0, 20, 0], 13: [0, 0, 30]}


def test_sums_are_exact_where_floats_are_not():
    """2**62 + 1 - 2**62 = 1."""
    edges = [(0, 0, 2**62, 1), (1, 0, 1, 1), (2, 0, -(2**62), 1)]
    layout = xla.prepare([pathway(edges, np.int64)], 64, 1)
    assert int(deliver(layout, transit_of(np.ones((2, 64), bool)), np.int64(1))[0]) == 1


def test_the_size_of_a_layout_is_that_of_its_arrays():
    """8 bytes per edge with int32 weights, 4 where a source has one weight, and little else."""
    rng = np.random.default_rng(3)
    p = pathway(random_edges(rng, 100_000, 64, 64, [1]))
    assert 8 * 100_000 <= xla.nbytes(xla.prepare([p], 64, 64)) < 8.2 * 100_000
    assert 4 * 100_000 <= xla.nbytes(xla.prepare([p._replace(weight=np.int32(1))], 64, 64)) < 4.2 * 100_000
