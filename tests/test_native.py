"""The native kernel: what it delivers, against the definition and the XLA kernel, and that its draws are those of NumPy."""

import ctypes
from ctypes import byref
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal as assert_same
from pydantic import TypeAdapter
from wiring import arrivals, arrivals_without_jax, bound, drawn, expected, listed, packed, program_of, zeros_of

from snnrun import kernels, random
from snnrun.kernels import Axis, Edges
from snnrun.kernels import native as native_kernel
from snnrun.models import connect
from snnrun.models.connect import Connectivity, Drawn, Sizes
from snnrun.models.inputs import poisson
from snnrun.models.interface import Crossing
from snnrun.models.neurons import lif
from snnrun.plan import Group, Noise
from snnrun.quantities import Law

SOURCES, RECEPTORS, LONGEST = 128, [64, 192], 5
TARGETS = sum(RECEPTORS)
STREAM = random.key(5, "projection/x/connect")
WIDE = {"float32": False, "float64": True}  # weights take 64 bits
few = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module", autouse=True)
def small_shards(native):
    """Shards of 64 targets instead of 65,536, so that small graphs have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "SHARD", 64)
        yield


# ---- delivery against its definition ---------------------------------------------------------------------------------


@st.composite
def wirings(draw, wide):
    """(edges, pathways) of up to three projections: few edges or none, duplicates, one weight or many, delays from none on.

    A projection reaches the first receptor, which is of delta synapses and knows no delay below one step, or the second.
    """
    bound = 2**50 if wide else 2**30
    weights = st.integers(-bound, bound)
    delays = st.sampled_from(draw(st.sampled_from([(2,), (0,), (0, 1, LONGEST)])))
    every, pathways = [], []
    for _ in range(draw(st.integers(0, 3))):
        first, last = sorted(draw(st.sets(st.integers(0, SOURCES), min_size=2, max_size=2)))
        delta = draw(st.booleans())
        places = st.integers(0, RECEPTORS[0]) if delta else st.integers(RECEPTORS[0], TARGETS)
        low, high = sorted(draw(st.sets(places, min_size=2, max_size=2)))
        edge = st.tuples(st.integers(first, last - 1), st.integers(low, high - 1), weights, delays)
        rows = draw(st.lists(edge, max_size=40))
        rows += rows[: draw(st.integers(0, 5))]
        source, target, weight, delay = np.array(rows, np.int64).reshape(-1, 4).T
        edges = Edges(source, target, weight, delay.astype(np.int32))
        if draw(st.booleans()):
            edges = edges._replace(weight=draw(weights))
        if draw(st.booleans()):
            edges = edges._replace(delay=draw(delays))
        pathways.append(listed(edges, np.arange(first, last), np.arange(low, high), 2.0**-20, wide, delta))
        every.append(edges._replace(delay=np.maximum(edges.delay, int(delta))))
    return every, pathways


@st.composite
def spikes_of(draw, steps=2 * LONGEST + 3):
    """Who fires in each step: nobody, some, all, one neuron."""
    density = draw(st.sampled_from([0.0, 0.05, 0.6, 1.0]))
    found = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).random((steps, SOURCES)) < density
    found[:, draw(st.integers(0, SOURCES - 1))] = draw(st.booleans())
    return found


@pytest.mark.parametrize("width", WIDE)
@few
@given(data=st.data())
def test_compiled_calls_deliver_what_the_definition_says(width, data):
    edges, pathways = data.draw(wirings(WIDE[width]))
    spikes, threads = data.draw(spikes_of()), data.draw(st.sampled_from([1, 3]))
    program = program_of(SOURCES, RECEPTORS, LONGEST, width, "native", 1)
    found = arrivals(pathways, program, spikes, 2.0**-20, threads)
    assert_same(found, expected(edges, spikes, TARGETS, 2.0**-20, width))


@pytest.mark.parametrize("width", WIDE)
@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_librarys_own_function_delivers_the_same(native, width, data):
    edges, pathways = data.draw(wirings(WIDE[width]))
    spikes, threads = data.draw(spikes_of()), data.draw(st.sampled_from([1, 2, 7]))
    program = program_of(SOURCES, RECEPTORS, LONGEST, "float64", "native", 1)
    found = arrivals_without_jax(pathways, program, spikes, native, 2.0**-20, threads)
    assert_same(found, expected(edges, spikes, TARGETS, 2.0**-20))


@pytest.mark.parametrize("width", WIDE)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_both_kernels_deliver_the_same(width, data):
    """Each graph is another program for XLA, so they are few; it is held against the dense product in test_kernels.py."""
    _, pathways = data.draw(wirings(WIDE[width]))
    spikes = data.draw(spikes_of())
    native, xla = (
        arrivals(pathways, program_of(SOURCES, RECEPTORS, LONGEST, width, kernel, 1), spikes, 2.0**-20)
        for kernel in ("native", "xla")
    )
    assert_same(native, xla)


def random_edges(rng, count, sources, targets, delays, one_weight=False, one_delay=False):
    return Edges(
        rng.integers(0, sources, count),
        rng.integers(0, targets, count),
        5 if one_weight else rng.integers(-(2**30), 2**30, count),
        2 if one_delay else rng.choice(delays, count).astype(np.int32),
    )


@pytest.mark.parametrize("one_weight", [False, True])
@pytest.mark.parametrize("one_delay", [False, True])
def test_threads_and_shards_change_no_bit(native, monkeypatch, one_weight, one_delay):
    """Both pathways lie in one block or in one each."""
    rng, targets = np.random.default_rng(0), 64_000
    edges = [random_edges(rng, 20_000, SOURCES, targets, [0, 1, 3], one_weight, one_delay) for _ in range(2)]
    spikes = rng.random((4, SOURCES)) < 0.3
    truth = expected(edges, spikes, targets)
    pathways = [listed(part, np.arange(SOURCES), np.arange(targets)) for part in edges]
    program = program_of(SOURCES, [10_048, 53_952], 3, "float64", "native")
    monkeypatch.setattr(native, "WORTH_SHARING", 0.0)
    for shard in (64, 2**16):
        monkeypatch.setattr(native, "SHARD", shard)
        for threads in (1, 2, 3, 7):
            assert_same(arrivals_without_jax(pathways, program, spikes, native, 1.0, threads), truth)
        assert_same(arrivals(pathways, program, spikes, 1.0, 7), truth)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(words=st.lists(st.integers(1, 300), max_size=12), threads=st.integers(1, 8), most=st.sampled_from([640, 2**16, None]))
def test_each_shard_has_its_share_of_every_receptor(words, threads, most):
    """Slices are whole words of neurons and cover every receptor once; no shard is too large, none much larger than others."""
    ends = np.cumsum([0, *(64 * n for n in words)]).tolist()
    receptors = [(first, end - first) for first, end in zip(ends[:-1], ends[1:], strict=True)]
    slices, first = native_kernel.cut(receptors, threads, most)
    assert [part.place for part in slices] == np.cumsum([0, *(part.size for part in slices)]).tolist()[:-1]
    for r, (_, size) in enumerate(receptors):
        mine = [part for part in slices if ends[r] <= part.first < ends[r + 1]]
        assert [part.first - ends[r] for part in mine] == np.cumsum([0, *(part.size for part in mine)]).tolist()[:-1]
        assert sum(part.size for part in mine) == size and all(part.size % 64 == 0 for part in mine)
    assert first[0] == 0 and first[-1] == ends[-1] and set(first) <= {0, ends[-1], *(part.place for part in slices)}
    shards = np.diff(first)
    assert most is None or max(shards, default=0) <= most
    if words:
        assert max(shards) - min(shards) <= 64
    if min(words, default=0) >= max(len(shards), threads):  # with fewer words, shards without any are left out
        assert len(shards) % threads == 0
        for shard in range(len(shards)):
            for r, (_, size) in enumerate(receptors):
                mine = [p for p in slices if ends[r] <= p.first < ends[r + 1]]
                inside = sum(p.size for p in mine if first[shard] <= p.place < first[shard + 1])
                assert abs(inside - size / len(shards)) <= 64


@pytest.mark.parametrize("weights, counts", [((5, -3), True), ((5, 5), True), ((5, -3, 7), False)])
def test_counts_stand_for_sums_where_each_receptor_has_one_weight(native, weights, counts):
    """The first projection goes to one receptor, all others to the other one."""
    rng, edges = np.random.default_rng(4), []
    for i, weight in enumerate(weights):
        target = rng.integers(0, 64, 500) if i == 0 else rng.integers(64, 192, 500)
        edges.append(Edges(rng.integers(0, 64, 500, np.int32), target.astype(np.int32), np.int32(weight), 1))
    program = program_of(64, [64, 128], 1, "float64", "native")
    onto = [np.arange(64), *[np.arange(64, 192)] * 2]
    pathways = [listed(part, np.arange(64), places) for part, places in zip(edges, onto, strict=False)]
    _, layout = kept = bound(pathways, program)
    network = ctypes.cast(int(layout.network[0]), ctypes.POINTER(native._Network)).contents
    used = [stage for stage in network.stages if stage.blocks_count]
    assert [bool(stage.counting) for stage in used] == [counts] * len(used) and used
    spikes = rng.random((5, 64)) < 0.3
    assert_same(arrivals(pathways, program, spikes), expected(edges, spikes, 192))
    del kept


@pytest.mark.parametrize("one_weight", [False, True])
@pytest.mark.parametrize("length", [2**16 - 1, 2**16, 2**16 + 1])
def test_rows_of_more_edges_than_two_bytes_can_count(native, length, one_weight):
    rng = np.random.default_rng(2)
    edges = random_edges(rng, length, 1, 64, [1, 2], one_weight)
    spikes = np.eye(4, 64, dtype=bool)
    pathways = [listed(edges, np.arange(64), np.arange(64))]
    program = program_of(64, [64], 2, "float64", "native")
    assert_same(arrivals_without_jax(pathways, program, spikes, native), expected([edges], spikes, 64))


@pytest.mark.parametrize("delay", [0, 3])
def test_one_neuron_may_reach_itself(native, delay):
    edges = Edges(np.zeros(2, int), np.zeros(2, int), np.array([3, 4]), delay)
    pathways, spikes = [listed(edges, [0], [0])], np.ones((8, 64), bool)
    found = arrivals(pathways, program_of(64, [64], max(delay, 1), "float64", "native"), spikes)
    assert_same(found, expected([edges], spikes, 64))
    assert found[:, 0].tolist() == [0] * delay + [7] * (8 - delay)


def test_a_spike_arrives_after_its_delay_and_only_then(native):
    """One spike in step 7, delays 1, 3 and 6, and a history of six rows, as many as the longest delay has steps."""
    edges = Edges(np.full(3, 5), np.arange(3), np.array([10, 20, 30]), np.array([1, 3, 6], np.int32))
    spikes = np.zeros((20, 64), bool)
    spikes[7, 5] = True
    found = arrivals([listed(edges, np.arange(64), np.arange(64))], program_of(64, [64], 6, "float64", "native"), spikes)
    arrived = {step: sums[:3].tolist() for step, sums in enumerate(found) if sums.any()}
    assert arrived == {8: [10, 0, 0], 10: [0, 20, 0], 13: [0, 0, 30]}


@pytest.mark.parametrize("count", [255, 256, 257, 300])
def test_a_network_may_have_hundreds_of_receptors(native, count):
    edges = Edges(np.arange(count) % 64, np.arange(count) * 64 + 3, np.arange(count) + 1, np.int32(1))
    spikes = np.ones((2, 64), bool)
    found = arrivals(
        [listed(edges, np.arange(64), np.arange(count * 64))], program_of(64, [64] * count, 1, "float32", "native"), spikes
    )
    np.testing.assert_array_equal(found[1, 3::64], np.arange(1, count + 1))
    assert np.count_nonzero(found) == count


@pytest.mark.parametrize("width", WIDE)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(weights=st.lists(st.integers(-(2**60), 2**60), max_size=4))
def test_sums_are_exact_and_rounded_once(native, width, weights):
    """Large weights that cancel leave the small ones whole; then int64 -> float64, times the quantum, -> the run's precision."""
    weights = [int(float(weight)) for weight in weights] + [1, 2**60, -(2**60)]
    edges = Edges(np.arange(len(weights)), np.zeros(len(weights), int), np.array(weights), 1)
    spikes, quantum = np.ones((2, 64), bool), 2.0**-40
    program = program_of(64, [64], 1, width, "native")
    found = arrivals([listed(edges, np.arange(64), np.arange(64), quantum, True)], program, spikes, quantum)
    exact = np.dtype(width).type(np.float64(np.int64(sum(weights))) * quantum)
    assert found[1, 0] == exact


@pytest.mark.parametrize("pathways", [0, 1])
def test_no_edges_deliver_nothing(native, pathways):
    nothing = Edges(np.empty(0, int), np.empty(0, int), 1, 3)
    every = [listed(nothing, np.arange(64), np.arange(64))] * pathways
    found = arrivals(every, program_of(64, [64], 3, "float32", "native"), np.ones((5, 64), bool))
    assert not found.any()


def test_what_one_network_leaves_behind_reaches_no_other(native):
    """Sums are kept in memory that calls share: it is empty between them."""
    edges = Edges(np.arange(64), np.arange(64), 7, 1)
    pathways, spikes = [listed(edges, np.arange(64), np.arange(64))], np.ones((3, 64), bool)
    program = program_of(64, [64], 1, "float64", "native")
    first = arrivals_without_jax(pathways, program, spikes, native)
    assert_same(arrivals_without_jax(pathways, program, spikes, native), first)
    silent = arrivals_without_jax([], program, spikes, native)
    assert not silent.any()


# ---- who fired -------------------------------------------------------------------------------------------------------

SIZES_OF = {"a": (50, 64), "b": (128, 128), "c": (1, 64), "d": (70, 128)}  # of populations, and padded
values_of = st.sampled_from([-np.inf, -1.0, np.nextafter(1.0, 0), 1.0, 1.5, np.inf, np.nan])


def row_of(kernel, sizes, width, who, states, threads=1):
    """The bits that a kernel writes into a frame for groups of some sizes."""
    first = np.cumsum([0, *(padded for _, padded in sizes)]).tolist()
    groups = tuple(Group(lif.MODEL, "exact", *size, at, (), width) for size, at in zip(sizes, first, strict=False))
    program = program_of(first[-1], [], 1, width, kernel)._replace(groups=groups)
    arranged, layout = bound([], program, 1.0, threads)
    transit = kernels.module(kernel).transit(program, arranged, layout, kernels.nobody(program), kernels.unscaled(program), 0)
    frames = np.zeros((2, first[-1] // 32), np.uint32)
    after, found = fired_in(program, layout, transit, who, states, frames)
    assert not found[0].any()
    return np.unpackbits(np.asarray(found[1:]).view(np.uint8), bitorder="little").astype(bool), after


@partial(jax.jit, static_argnums=(0,))
def fired_in(program, layout, transit, who, states, frames):
    kernel, step = kernels.module(program.kernel), jnp.int64(3)
    transit, _, _, waiting = kernel.jumps(program, layout, transit, {}, step)
    fired = [mask if crossing is None else Crossing("x", *crossing) for mask, crossing in who]
    entered = zeros_of(program)
    found = kernel.close(
        program, layout, transit, {}, waiting, step, fired, states, None, entered, frames, jnp.int64(2), step + 1
    )
    return found[3], found[5]


@pytest.mark.parametrize("width", WIDE)
@pytest.mark.parametrize("kernel", kernels.KERNELS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_those_fire_whose_value_has_reached_the_threshold(kernel, width, data):
    """One threshold or one for each neuron, or a mask; what is no number or infinite fires not, nor does padding."""
    dtype = np.dtype(width)
    values = [np.array(data.draw(st.lists(values_of, min_size=n, max_size=n)), dtype) for n in (64, 64, 128)]
    each = np.array(data.draw(st.lists(values_of, min_size=64, max_size=64)), dtype)
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(128) < 0.5
    who = [(None, (dtype.type(1.0), {})), (mask, None), (None, (each, {})), (None, (dtype.type(-1.0), {}))]
    states = [{"x": values[1]}, {}, {"y": np.arange(3), "x": values[0]}, {"x": values[2]}]
    sizes = [SIZES_OF[name] for name in "abcd"]
    finite = [value < np.inf for value in values]
    truth = [(values[1] >= 1.0) & finite[1], mask, (values[0] >= each) & finite[0], (values[2] >= -1.0) & finite[2]]
    for part, (size, _) in zip(truth, sizes, strict=True):
        part[size:] = False
    row, after = row_of(kernel, sizes, width, who, states)
    np.testing.assert_array_equal(row, np.concatenate(truth))
    for before, now in zip(states, after, strict=True):
        assert before.keys() == now.keys()
        assert all(np.array_equal(before[name], now[name], equal_nan=True) for name in before)


@pytest.mark.parametrize("width", WIDE)
@pytest.mark.parametrize("kernel", kernels.KERNELS)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_spike_sets_what_it_is_to_set_and_nothing_else(kernel, width, threads):
    rng = np.random.default_rng(2)
    first, second = rng.random(50_048).astype(width), rng.random(128).astype(width)
    count = rng.integers(-9, 9, len(first), np.int32)
    each, last = np.arange(len(first)).astype(width), np.arange(len(first), dtype=np.int32)[::-1]
    states = [{"x": first, "count": count}, {"other": np.zeros(3), "x": second}]
    half = np.float64(0.5)
    who = [(None, (half, {"x": each, "count": last})), (None, (half, {"x": -1.5}))]
    _, after = row_of(kernel, [(50_001, 50_048), (70, 128)], width, who, states, threads)
    spiking, too = (first >= 0.5) & (np.arange(50_048) < 50_001), (second >= 0.5) & (np.arange(128) < 70)
    np.testing.assert_array_equal(after[0]["x"], np.where(spiking, each, first))
    np.testing.assert_array_equal(after[0]["count"], np.where(spiking, last, count))
    np.testing.assert_array_equal(after[1]["x"], np.where(too, -1.5, second))
    np.testing.assert_array_equal(after[1]["other"], states[1]["other"])


@pytest.mark.parametrize("threads", [1, 3])
def test_many_neurons_are_looked_at_by_several_threads(native, threads):
    values, level = np.random.default_rng(9).random((2, 70_016))
    who, small = [(None, (level, {})), (None, (np.float64(0.3), {}))], np.linspace(0, 1, 64)
    row, _ = row_of("native", [(70_001, 70_016), (33, 64)], "float64", who, [{"x": values}, {"x": small}], threads)
    truth = np.concatenate([values >= level, small >= 0.3])
    truth[70_001:70_016] = truth[70_016 + 33 :] = False
    np.testing.assert_array_equal(row, truth)


# ---- arranging -------------------------------------------------------------------------------------------------------


def rule_of(name, **options):
    return TypeAdapter(connect.Rule).validate_python({"rule": name, **options})


BYTES = {  # (individual weights, individual delays, precision) -> most bytes per synapse
    (False, False, "float32"): 2.1,
    (False, True, "float32"): 4,
    (True, False, "float32"): 6.1,
    (True, True, "float32"): 8,
    (True, True, "float64"): 12,
}


@pytest.mark.parametrize("own", BYTES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_synapse_takes_few_bytes(native, monkeypatch, own, threads):
    """Of a network with 1,000 synapses per source: with individual weights and delays at most 8, with one weight at most 4."""
    monkeypatch.setattr(native, "SHARD", 2**16)
    weights, delays, width = own
    weight = Drawn(Law("normal", 1.0, 0.1, None, None), random.key(1, "w")) if weights else 1.0
    delay = Drawn(Law("normal", 1.5, 0.75, (0.05, np.inf), None), random.key(1, "d")) if delays else 15
    sizes = Sizes(300, 10_000)
    pathway = drawn(rule_of("fixed_prob", p=0.1), sizes, STREAM, weight, delay, 2.0**-25, WIDE[width])
    arranged = native.arrange([pathway], 320, Axis(((0, 10_048),), np.zeros(1, np.int64)), threads)
    synapses = arranged.found[0].synapses
    assert 290_000 < synapses < 310_000
    assert arranged.nbytes <= BYTES[own] * synapses
    held = sum(array.nbytes for array in arranged.edges.kept.alive if isinstance(array, np.ndarray))
    assert held <= arranged.nbytes + 20 * sum(sizes[:2]) + 2**16  # and nothing that is as long as the edges is kept beside


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "of", [rule_of("fixed_prob", p=0.2), rule_of("fixed_indegree", n=7), rule_of("fixed_total", n=900)], ids=lambda of: of.rule
)
def test_drawn_edges_are_arranged_as_they_are_drawn(native, of, threads):
    """Against connect.collect, the NumPy twin; also what is reported of them."""
    weight = Drawn(Law("normal", 0.0, 3.0, None, None), random.key(1, "w"))
    delay = Drawn(Law("uniform", 0.0, 0.5, None, None), random.key(1, "d"))
    sizes = Sizes(64, 192)
    pathway = drawn(of, sizes, STREAM, weight, delay, 2.0**-20)
    edges = kernels.edges_of(pathway)
    program = program_of(64, [192], LONGEST, "float64", "native")
    spikes = np.random.default_rng(3).random((8, 64)) < 0.4
    assert_same(arrivals([pathway], program, spikes, 2.0**-20, threads), expected([edges], spikes, 192, 2.0**-20))
    arranged, _ = bound([pathway], program, 2.0**-20, threads)
    assert arranged.found == (kernels.found_in(edges),)
    assert arranged.found[0].shortest == 0 and arranged.found[0].longest == 5


def test_delays_spread_over_hundreds_of_steps_are_all_kept(native):
    """Beyond _WIDE_RANGE steps it is asked first which delays there are."""
    delay = Drawn(Law("exponential", 20.0, 0.0, None, None), random.key(1, "d"))
    pathway = drawn(rule_of("fixed_prob", p=0.3), Sizes(64, 64), STREAM, 1.0, delay)
    assert connect.delay_bounds(pathway.connectivity)[1] > native._WIDE_RANGE
    edges = kernels.edges_of(pathway)
    longest = int(edges.delay.max())
    arranged, _ = bound([pathway], program := program_of(64, [64], longest, "float64", "native"))
    assert arranged.found == (kernels.found_in(edges),)
    spikes = np.zeros((longest + 2, 64), bool)
    spikes[0] = True
    found = arrivals_without_jax([pathway], program, spikes, native)
    assert_same(found, expected([edges], spikes, 64))
    assert found.sum() == len(edges.source)


# ---- draws: bit by bit those of NumPy --------------------------------------------------------------------------------


def native_draw(native, law, stream, entity, number):
    """The library's draws; None where bounds are not met."""
    entity, number = (np.ascontiguousarray(values, np.uint64) for values in (entity, number))
    values, kept = np.empty(len(entity)), native._Kept()
    done = native.library().snnrun_draw(
        byref(native._law(Drawn(law, stream), kept)), entity.ctypes.data, number.ctypes.data, len(entity), values.ctypes.data
    )  # fmt: skip
    return values if done else None


LAWS = {
    "normal": ("normal", -1.5, 0.75),
    "uniform": ("uniform", -2.0, 3.0),
    "lognormal": ("lognormal", 2.0, 1.0),
    "broad lognormal": ("lognormal", 0.5, 5.0),
    "exponential": ("exponential", 2.0, 0.0),
    "gamma, shape 4": ("gamma", 2.0, 1.0),
    "gamma, shape 1": ("gamma", 2.0, 2.0),
    "gamma, shape 1/4": ("gamma", 2.0, 4.0),
    "gamma, shape 1e-4": ("gamma", 1.0, 100.0),
}
BOUNDS = {
    "no bounds": (None, None),
    "redraw": ((0.5, 2.5), None),
    "clip": (None, (0.5, 2.5)),
    "redraw above, clip": ((0.2, np.inf), (0.4, 2.0)),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("name", LAWS)
def test_draws_are_those_of_numpy(native, name, bounds):
    """Tails included: 100,000 values, of entities and numbers near and far."""
    law = Law(*LAWS[name], *BOUNDS[bounds])
    if name == "normal":
        law = law._replace(first=0.5)
    if "1e-4" in name and law.redraw is not None:
        law = law._replace(redraw=(0.0, 2.5))  # nearly all of its values are tiny
    rng = np.random.default_rng(4)
    entity = np.concatenate([np.arange(50_000), rng.integers(0, 2**63, 50_000)])
    number = np.concatenate([rng.integers(0, 1000, 50_000), rng.integers(0, 2**46, 50_000)])
    np.testing.assert_array_equal(native_draw(native, law, STREAM, entity, number), random.draw(STREAM, law, entity, number))


@st.composite
def laws(draw):
    """Any law, with bounds that are met now and then."""
    kind = draw(st.sampled_from(["normal", "uniform", "lognormal", "exponential", "gamma"]))
    first, second = (draw(st.floats(1e-3, 1e3)) for _ in range(2))
    if kind == "normal":
        first *= draw(st.sampled_from([-1.0, 0.0, 1.0]))
    if kind == "uniform":
        first, second = first - 500.0, first - 500.0 + second
    middle = random.draw(STREAM, Law(kind, first, second, None, None), np.arange(15))
    low, high = np.quantile(middle, [draw(st.sampled_from([0.0, 0.3])), 1.0])
    redraw = (low, draw(st.sampled_from([high, np.inf]))) if draw(st.booleans()) else None
    clip = (draw(st.sampled_from([low, -np.inf])), high) if draw(st.booleans()) else None
    return Law(kind, first, second, redraw, clip)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(law=laws(), seed=st.integers(0, 2**64 - 1), count=st.integers(0, 700), first=st.integers(0, 2**60))
def test_draws_of_any_law_are_those_of_numpy(native, law, seed, count, first):
    stream, entity, number = random.key(seed, "x"), first + np.arange(count), np.arange(count) % 7
    np.testing.assert_array_equal(native_draw(native, law, stream, entity, number), random.draw(stream, law, entity, number))


@pytest.mark.parametrize("count", [1, 256, 300])
def test_bounds_that_are_never_met_are_told(native, count):
    law, entity = Law("normal", 0.0, 1.0, (20.0, 30.0), None), np.arange(count)
    assert native_draw(native, law, STREAM, entity, entity) is None
    with pytest.raises(random.DrawError):
        random.draw(STREAM, law, entity, entity)


# ---- edges: one by one those of NumPy --------------------------------------------------------------------------------


def native_edges(native, of, sizes, stream):
    """All edges that the library draws, in its order."""
    kept = native._Kept()
    p = native._pathway(drawn(of, sizes, stream), kept)
    rows = {"fixed_indegree": p.post, "fixed_total": p.n}.get(of.rule, p.pre)
    columns = [np.empty(0, dtype) for dtype in (np.int32, np.int32, np.uint64, np.uint64)]
    while True:
        room = len(columns[0])
        found = native.library().snnrun_edges(byref(p), 0, rows, room, *(column.ctypes.data for column in columns))
        if found <= room:
            return connect.Drafts(*columns)
        columns = [np.empty(found, column.dtype) for column in columns]


def numpy_edges(of, sizes, stream):
    found = [chunk() for chunk in connect.chunks(of, sizes, stream)]
    return connect.Drafts(*(np.concatenate(column) for column in zip(*found, strict=True))) if found else None


def assert_edges_are_those_of_numpy(native, of, sizes, stream=STREAM):
    mine, theirs = native_edges(native, of, sizes, stream), numpy_edges(of, sizes, stream)
    assert len(mine.pre) == (0 if theirs is None else len(theirs.pre))
    for name, values, others in zip(connect.Drafts._fields, mine, theirs or mine, strict=True):
        np.testing.assert_array_equal(values, others, err_msg=name)


SIZES = {
    "apart": Sizes(40, 130),
    "the same": Sizes(90, 90, ((0, 0, 90),)),
    "overlapping": Sizes(60, 70, ((5, 40, 30), (50, 3, 4))),
    "one source": Sizes(1, 300),
    "one target": Sizes(300, 1),
}
RULES = [
    *(rule_of("all_to_all", autapses=autapses) for autapses in (True, False)),
    *(rule_of("fixed_prob", p=p) for p in (0, 1e-12, 1e-3, 0.1, 0.97, 1 - 1e-12, 1)),
    *(rule_of("fixed_prob", p=p, autapses=False) for p in (0, 1e-3, 0.1, 0.97, 1)),
    *(
        rule_of(name, n=n, autapses=autapses, multapses=multapses)
        for name in ("fixed_indegree", "fixed_outdegree")
        for n in (0, 1, 2, 19, 20, 40, 45, 59, 65)  # also half of all partners: 20 of 40, 45 of 90, 65 of 130
        for autapses in (True, False)
        for multapses in (True, False)
    ),
    *(rule_of("fixed_indegree", n=600), rule_of("fixed_outdegree", n=600, autapses=False)),
    *(rule_of("fixed_total", n=n, autapses=autapses) for n in (0, 1, 255, 256, 257, 5000) for autapses in (True, False)),
]  # fmt: skip


def test_every_rule_that_is_drawn_in_native_code_is_compared():
    drawn_there = {rule for rule in native_kernel._RULES if rule}
    assert drawn_there == {of.rule for of in RULES}


def described(of):
    return "-".join(str(value) for key, value in of.model_dump().items() if key != "storage")


@pytest.mark.parametrize("of", RULES, ids=described)
def test_edges_are_those_of_numpy(native, of):
    """Every rule on selections of all kinds, wherever it is possible at all."""
    for sizes in SIZES.values():
        if of.impossible(sizes) is None:
            assert_edges_are_those_of_numpy(native, of, sizes)


@pytest.mark.parametrize(
    ("of", "sizes"),
    [
        (rule_of("fixed_prob", p=0.02), Sizes(50, 60_000)),
        (rule_of("fixed_prob", p=3e-6), Sizes(3000, 60_000)),
        (rule_of("fixed_outdegree", n=3000, multapses=False), Sizes(20, 7000)),
        (rule_of("fixed_outdegree", n=6000, multapses=False), Sizes(20, 7000)),
        (rule_of("fixed_indegree", n=1000, multapses=False, autapses=False), Sizes(2000, 50, ((7, 0, 50),))),
        (rule_of("fixed_total", n=200_000, autapses=False), Sizes(300, 300, ((0, 0, 300),))),
    ],
    ids=lambda value: described(value) if hasattr(value, "rule") else "",
)
def test_long_rows_and_many_rows_are_those_of_numpy(native, of, sizes):
    assert_edges_are_those_of_numpy(native, of, sizes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_edges_of_any_rule_are_those_of_numpy(native, data):
    pre, post = (data.draw(st.integers(1, 60)) for _ in range(2))
    length = data.draw(st.integers(0, min(pre, post)))
    shared = ((data.draw(st.integers(0, pre - length)), data.draw(st.integers(0, post - length)), length),) if length else ()
    sizes, autapses = Sizes(pre, post, shared), data.draw(st.booleans())
    name = data.draw(st.sampled_from(["all_to_all", "fixed_prob", "fixed_indegree", "fixed_outdegree", "fixed_total"]))
    options = {"autapses": autapses}
    if name == "fixed_prob":
        options["p"] = data.draw(st.floats(0, 1))
    elif name != "all_to_all":
        options["n"] = data.draw(st.integers(0, 70))
        options["multapses"] = True if name == "fixed_total" else data.draw(st.booleans())
    of = rule_of(name, **options)
    if of.impossible(sizes) is None:
        assert_edges_are_those_of_numpy(native, of, sizes, random.key(data.draw(st.integers(0, 2**64 - 1)), "x"))


# ---- noise -----------------------------------------------------------------------------------------------------------

step_words = jax.jit(random.step_words, static_argnums=(2, 3))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 2**62), st.integers(0, 1500), st.integers(1, 1500), st.integers(0, 2**64 - 1))
def test_words_of_a_step_are_philox(native, step, first, size, seed):
    """Neuron i takes word i % 256 // 64 of block i // 256 * 64 + i % 64 of its step."""
    stream, neurons, words = random.key(seed, "x"), np.arange(first, first + size), np.empty(size, np.uint32)
    native.library().snnrun_step_words(np.array(stream, np.uint32).ctypes.data, step, first, size, words.ctypes.data)
    one, two = random.blocks(stream, neurons // 256 * 64 + neurons % 64, step)
    planes = np.stack([one, one >> np.uint64(32), two, two >> np.uint64(32)]) & np.uint64(0xFFFFFFFF)
    np.testing.assert_array_equal(words, planes[neurons % 256 // 64, np.arange(size)])


@pytest.mark.parametrize("sizes", [(64,), (700,), (255, 2, 7), (1, 300, 64)])
def test_words_in_a_compiled_step_are_those_of_jax(native, sizes):
    """Those of several populations, each of a stream of its own, are side by side what each of them has alone."""
    keys, padded = tuple(random.key(i, "x") for i in range(len(sizes))), -(-sum(sizes) // 64) * 64
    streams = random.side_by_side(keys, sizes, padded)
    for step in (0, 1, 2**33):
        alone = [step_words(jnp.array(key, jnp.uint32), np.int64(step), 0, size) for key, size in zip(keys, sizes, strict=True)]
        for words in (native.words, random.words):
            found = jax.jit(words)(streams, np.int64(step))
            assert found.shape == (padded,)
            np.testing.assert_array_equal(found[: sum(sizes)], np.concatenate(alone))


NOISE_SIZE = 1000


@st.composite
def noises(draw):
    """Two Poisson inputs on one receptor: slices, rates and weights for all or for each, a window, a delay."""
    plans, constants = [], []
    for i in range(2):
        start, stop = sorted(draw(st.sets(st.sampled_from([0, 1, 63, 64, 255, 256, 300, 512, 999, NOISE_SIZE]),
                                          min_size=2, max_size=2)))  # fmt: skip
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        rate = (
            rng.uniform(0, 90, stop - start).round(-1) if draw(st.booleans()) else draw(st.sampled_from([0.0, 1.0, 50.0, 600.0]))
        )
        weight = np.int64(draw(st.sampled_from([1, -(2**30), 2**40])))
        if draw(st.booleans()):
            weight = rng.integers(-(2**40), 2**40, stop - start)
        first = draw(st.integers(0, 4))
        plans.append(Noise(0, start, stop))
        constants.append(
            poisson.Const(
                poisson.table(rate, 0.1), weight, np.int64(draw(st.integers(0, 3))), np.int64(first),
                np.int64(draw(st.sampled_from([first + 2, 2**62]))), np.array(random.key(i, "n"), np.uint32),
            )
        )  # fmt: skip
    return plans, constants


@settings(max_examples=12, deadline=None, derandomize=True)
@given(noise=noises(), threads=st.sampled_from([1, 3]), width=st.sampled_from(sorted(WIDE)), deltas=st.integers(0, 1))
def test_poisson_inputs_are_those_of_the_xla_kernel(noise, threads, width, deltas):
    plans, constants = noise
    found, silence = [], np.zeros((7, 64), bool)
    for kernel in ("native", "xla"):
        program = program_of(64, [1024], 1, width, kernel, deltas, plans, [0, 0])
        found.append(arrivals([], program, silence, 2.0**-30, threads, constants))
    assert_same(*found)


def test_a_poisson_input_comes_on_top_of_spikes(native):
    """Two inputs of ten and thirty spikes a step, of which one reaches half of the receptor only, and one edge."""
    edges = Edges(np.array([0]), np.array([70]), np.array([-3]), 1)
    plans = [Noise(0, 0, 128), Noise(0, 64, 128)]
    noise = [
        poisson.Const(poisson.table(rate, 0.1), np.int64(1), np.int64(0), np.int64(0), np.int64(9), np.array(STREAM, np.uint32))
        for rate in (100.0, 300.0)
    ]
    program = program_of(64, [128], 1, "float64", "native", 0, plans, [0, 0])
    spikes = np.ones((3, 64), bool)
    found = arrivals([listed(edges, np.arange(64), np.arange(128))], program, spikes, noise=noise)
    alone = arrivals([], program, spikes, noise=noise)
    assert (alone == np.rint(alone)).all() and 8 < alone[:, :64].mean() < 12 and 35 < alone[:, 64:].mean() < 45
    assert np.argwhere(found != alone).tolist() == [[1, 70], [2, 70]] and (found - alone).min() == -3


# ---- edges that are drawn again --------------------------------------------------------------------------------------

AGAIN = [
    rule_of("fixed_prob", p=0.2),
    rule_of("fixed_prob", p=1.0, autapses=False),
    rule_of("fixed_outdegree", n=9),
    rule_of("fixed_outdegree", n=9, multapses=False, autapses=False),
    rule_of("fixed_outdegree", n=150, multapses=False),
    rule_of("all_to_all"),
]
PROPERTIES = {
    "one weight, one delay": (3.0, 2),
    "one weight, no delay": (3.0, 0),
    "drawn weights": (Drawn(Law("normal", 1.0, 2.0, None, None), random.key(1, "w")), 1),
    "drawn delays": (-2.0, Drawn(Law("uniform", 0.0, 0.5, None, None), random.key(1, "d"))),
    "both drawn": (
        Drawn(Law("lognormal", 1.0, 2.0, None, (0.0, 9.0)), random.key(1, "w")),
        Drawn(Law("gamma", 0.2, 0.1, None, (0.1, 0.5)), random.key(1, "d")),
    ),
}


@pytest.mark.parametrize("properties", PROPERTIES)
@pytest.mark.parametrize("of", AGAIN, ids=described)
@pytest.mark.parametrize("threads", [1, 3])
def test_edges_that_are_drawn_again_are_those_that_were_stored(native, of, properties, threads):
    weight, delay = PROPERTIES[properties]
    sizes = Sizes(64, 192, ((0, 0, 64),))
    stored, again = (drawn(of, sizes, STREAM, weight, delay, 2.0**-20, procedural=procedural) for procedural in (False, True))
    spikes = np.random.default_rng(5).random((14, 64)) < np.linspace(0, 1, 14)[:, None]
    spikes[6] = np.arange(64) == 9
    program = program_of(64, [192], LONGEST, "float32", "native")
    found = arrivals([again], program, spikes, 2.0**-20, threads)
    assert_same(found, expected([kernels.edges_of(stored)], spikes, 192, 2.0**-20, "float32"))
    arranged, _ = bound([again], program, 2.0**-20, threads)
    assert arranged.nbytes == 0 and not arranged.found[0].stored
    assert arranged.found[0].shortest <= kernels.found_in(kernels.edges_of(stored)).shortest
    assert arranged.found[0].longest >= kernels.found_in(kernels.edges_of(stored)).longest


TARGET_PLACES = {f"{n} runs": np.concatenate([np.arange(20) + 31 * i for i in range(n)]) for n in (1, 2, 4, 5)}
TARGET_PLACES["in any order"] = np.random.default_rng(6).permutation(TARGETS)[:100]


@pytest.mark.parametrize("delta", [False, True])
@pytest.mark.parametrize("onto", TARGET_PLACES.values(), ids=TARGET_PLACES)
def test_a_pathway_drawn_again_may_begin_anywhere_and_have_gaps(native, delta, onto):
    """Sources at places 3 ... 40 and 70 ... 127, beside a stored pathway."""
    places, onto = np.concatenate([np.arange(3, 41), np.arange(70, 128)]).astype(np.int32), onto.astype(np.int32)
    delay = Drawn(Law("uniform", 0.0, 0.5, None, None), random.key(1, "d"))
    c = Connectivity("x", rule_of("fixed_prob", p=0.3), Sizes(len(places), len(onto)), STREAM, 1.0, delay, 0.1)
    again = kernels.Pathway(c, places, onto, 1.0, False, delta, True)
    other = drawn(rule_of("fixed_indegree", n=5), Sizes(128, 64), STREAM, 2.0, 3)._replace(delta=delta)
    spikes = np.random.default_rng(7).random((15, 128)) < 0.2
    edges = [kernels.edges_of(again), kernels.edges_of(other)]
    assert edges[0].delay.min() == delta  # the jump of a delta synapse is at least one step late
    for threads in (1, 3):
        program = program_of(SOURCES, RECEPTORS, LONGEST, "float64", "native", 2 * delta)
        found = arrivals([again, other], program, spikes, 1.0, threads)
        assert_same(found, expected(edges, spikes, TARGETS))


def test_the_reference_of_these_tests_is_that_of_the_others():
    """The definition and the dense product agree on one graph and the history that it meets."""
    from snnrun.kernels import Transit, reference

    rng = np.random.default_rng(8)
    edges = random_edges(rng, 300, SOURCES, TARGETS, [1, 2, 4])
    spikes = rng.random((9, SOURCES)) < 0.3
    dense = reference.prepare([edges], SOURCES, TARGETS)
    for step in range(4, 9):
        rows = np.zeros((4, SOURCES), bool)
        for sent in range(step - 4, step):
            rows[sent % 4] = spikes[sent]
        sums = reference.deliver(dense, Transit(packed(rows), None, None, None), step)
        np.testing.assert_array_equal(sums, expected([edges], spikes, TARGETS)[step])
