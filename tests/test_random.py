"""Draws: published vectors, independence of order, exact elementary functions, and the right distributions.

Seeds are fixed, so every test gives the same result each time. Statistical limits stand at p = 1e-4.
"""

import math
import statistics
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnrun import random
from snnrun.quantities import Law

ONES = 0xFFFFFFFF
VECTORS = [  # Random123, kat_vectors, philox4x32 10: counter, key, words
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
STREAM = random.key(20, "a stream")
NORMAL = statistics.NormalDist()
SAMPLES = 100_000
KS_LIMIT = math.sqrt(-0.5 * math.log(1e-4 / 2) / SAMPLES)  # of the largest distance, at p = 1e-4

step_words = jax.jit(random.step_words, static_argnums=(2, 3))

words64 = st.integers(0, 2**64 - 1)
counters = st.integers(0, 2**64 - 1)


# ---- the generator ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
@pytest.mark.parametrize("array", [np.array, jnp.array], ids=["numpy", "jax"])
def test_philox_gives_the_published_words(counter, key, words, array):
    found = random.philox(*(array([c], np.uint32) for c in counter), *(array([k], np.uint32) for k in key))
    assert [int(word[0]) for word in found] == list(words)


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_blocks_are_philox_of_number_and_entity(counter, key, words):
    number, entity = counter[0] | counter[1] << 32, counter[2] | counter[3] << 32
    first, second = random.blocks(key, entity, number)
    assert (int(first), int(second)) == (words[0] | words[1] << 32, words[2] | words[3] << 32)


def test_numpy_and_jax_draw_the_same_bits():
    rng = np.random.default_rng(1)
    counter = rng.integers(0, 2**32, (4, 1000), np.uint32)
    key = rng.integers(0, 2**32, 2, np.uint32)
    numpy = random.philox(*counter, *key[:, None])
    twin = random.philox(*(jnp.asarray(c) for c in counter), *(jnp.asarray(k) for k in key))
    for a, b in zip(numpy, twin, strict=True):
        np.testing.assert_array_equal(a, np.asarray(b))
    entity = counter[2] | counter[3].astype(np.uint64) << np.uint64(32)
    number = counter[0] | counter[1].astype(np.uint64) << np.uint64(32)
    first, second = random.blocks((int(key[0]), int(key[1])), entity, number)
    np.testing.assert_array_equal(first, numpy[0] | numpy[1].astype(np.uint64) << np.uint64(32))
    np.testing.assert_array_equal(second, numpy[2] | numpy[3].astype(np.uint64) << np.uint64(32))


@settings(deadline=None)
@given(st.lists(st.tuples(counters, counters), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_a_block_depends_on_neither_order_nor_company(pairs, shuffle):
    expected = {pair: tuple(int(half) for half in random.blocks(STREAM, *pair)) for pair in pairs}
    shuffle.shuffle(pairs)
    entity, number = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    first, second = random.blocks(STREAM, entity, number)
    assert [(int(a), int(b)) for a, b in zip(first, second, strict=True)] == [expected[pair] for pair in pairs]


def test_batches_of_blocks_leave_no_seam(monkeypatch):
    entity = np.arange(1000) * 7
    whole = random.blocks(STREAM, entity, 5)
    monkeypatch.setattr(random, "_BLOCK", 64)
    for a, b in zip(whole, random.blocks(STREAM, entity, 5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_blocks_broadcast_entities_against_numbers():
    first, _ = random.blocks(STREAM, np.arange(3)[:, None], np.arange(4)[None, :])
    assert first.shape == (3, 4)
    assert first[2, 1] == random.blocks(STREAM, 2, 1)[0]


def test_rows_interleave_the_halves_of_blocks():
    entities = [3, 0, 2**40]
    found = random.rows(STREAM, entities, 6, 10)
    for row, entity in zip(found, entities, strict=True):
        for j, word in enumerate(row, start=6):
            assert word == random.blocks(STREAM, entity, j // 2)[j % 2]
    np.testing.assert_array_equal(found[:, 4:8], random.rows(STREAM, entities, 10, 4))


def test_keys_differ_by_seed_and_by_stream():
    streams = ["", "a", "b", "population/N/V", "population/N/V_th", "projection/N/V"]
    keys = {random.key(seed, stream) for seed in (0, 1, 2, 2**63, 2**64 - 1) for stream in streams}
    assert len(keys) == 30
    assert all(0 <= half < 2**32 for key in keys for half in key)


@given(words64, st.integers(1, 2**32 - 1))
def test_below_is_exact_integer_arithmetic(word, n):
    assert random.below(np.array([word], np.uint64), n)[0] == word * n >> 64


@given(words64)
def test_uniform_lies_strictly_between_0_and_1(word):
    found = random.uniform(np.array([word], np.uint64))[0]
    assert 0 < found < 1
    assert abs(Fraction(float(found)) - Fraction(word, 2**64)) <= Fraction(1, 2**53)


@pytest.mark.parametrize("word", [0, 2**64 - 1])
def test_uniform_reaches_neither_0_nor_1_at_its_ends(word):
    found = random.uniform(np.array([word], np.uint64))
    assert 0 < found[0] < 1
    assert np.isfinite(random.normal_quantile(found)).all()


@pytest.mark.parametrize(("first", "size", "step"), [(0, 1000, 0), (100, 600, 12_345), (255, 2, 2**32 + 3)])
def test_step_words_are_the_documented_words_of_blocks(first, size, step):
    found = np.asarray(step_words(jnp.array(STREAM, jnp.uint32), step, first, size))
    for i, word in enumerate(found, start=first):
        halves = random.blocks(STREAM, i // 256 * 64 + i % 64, step)
        assert int(word) == int(halves[i % 256 // 128]) >> 32 * (i % 128 // 64) & ONES


def test_step_words_of_different_neurons_and_steps_differ():
    words = [np.asarray(step_words(jnp.array(STREAM, jnp.uint32), step, 0, 3000)) for step in range(3)]
    assert len(np.unique(words)) >= 8998  # one coincidence in 9,000 words has a probability of 1 %


# ---- elementary functions --------------------------------------------------------------------------------------------


def ulps(found, exact):
    return np.max(np.abs(found - exact) / np.spacing(np.abs(exact)))


def test_log_is_right_to_three_ulp():
    rng = np.random.default_rng(2)
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 5000)), rng.uniform(0.5, 2, 5000), 1 + 2.0 ** -np.arange(1, 52), [5e-324]])
    exact = np.array([math.log(value) for value in x])
    assert ulps(random.log(x), exact) <= 3
    assert random.log(1.0) == 0


def test_exp_is_right_to_three_ulp():
    x = np.concatenate([np.random.default_rng(3).uniform(-690, 690, 5000), np.linspace(-1, 1, 1001)])
    assert ulps(random.exp(x), np.array([math.exp(value) for value in x])) <= 3
    assert random.exp(0.0) == 1


def test_log1p_is_right_to_three_ulp_also_where_it_is_tiny():
    sizes = np.geomspace(1e-300, 0.999999, 400)
    x = np.concatenate([sizes, -sizes, np.geomspace(1, 1e300, 100)])
    found = np.array([random.log1p(float(value)) for value in x])
    assert ulps(found, np.array([math.log1p(value) for value in x])) <= 3


def test_normal_quantile_is_that_of_the_standard_library():
    p = np.concatenate([np.geomspace(2.0**-54, 0.5, 2000), 1 - np.geomspace(2.0**-53, 0.5, 2000)])
    exact = np.array([NORMAL.inv_cdf(value) for value in p])
    np.testing.assert_allclose(random.normal_quantile(p), exact, rtol=1e-13, atol=1e-15)


# ---- distributions ---------------------------------------------------------------------------------------------------


def law(kind, first, second=0.0, redraw=None, clip=None):
    return Law(kind, first, second, redraw, clip)


def gamma_cdf(k):
    """Of the standard gamma distribution of shape k, by the series x**k exp(-x) sum x**n / Gamma(k + n + 1)."""

    def cdf(x):
        x = np.asarray(x)
        term = np.exp(k * np.log(x) - x - math.lgamma(k + 1))
        total = term.copy()
        for n in range(1, 300):
            term = term * x / (k + n)
            total += term
        return total

    return cdf


def lognormal_cdf(mean, std):
    variance = math.log1p((std / mean) ** 2)
    return lambda x: [NORMAL.cdf((math.log(v) - math.log(mean) + variance / 2) / math.sqrt(variance)) for v in x]


LAWS = {
    "normal": (law("normal", -3.0, 2.0), -3.0, 2.0, lambda x: [NORMAL.cdf((v + 3) / 2) for v in x]),
    "uniform": (law("uniform", -1.0, 5.0), 2.0, 6 / math.sqrt(12), lambda x: (x + 1) / 6),
    "exponential": (law("exponential", 4.0), 4.0, 4.0, lambda x: 1 - np.exp(-x / 4)),
    "lognormal": (law("lognormal", 2.0, 1.0), 2.0, 1.0, lognormal_cdf(2.0, 1.0)),
    "narrow lognormal": (law("lognormal", 30.0, 0.01), 30.0, 0.01, lognormal_cdf(30.0, 0.01)),
    "gamma of shape 4": (law("gamma", 2.0, 1.0), 2.0, 1.0, lambda x: gamma_cdf(4)(2 * x)),
    "gamma of shape 1": (law("gamma", 3.0, 3.0), 3.0, 3.0, lambda x: 1 - np.exp(-x / 3)),
    "gamma of shape 1/4": (law("gamma", 1.0, 2.0), 1.0, 2.0, lambda x: gamma_cdf(0.25)(x / 4)),
}


def distance(values, cdf):
    """Of Kolmogorov and Smirnov."""
    exact, n = np.asarray(cdf(np.sort(values))), len(values)
    return max(np.max(np.arange(1, n + 1) / n - exact), np.max(exact - np.arange(n) / n))


@pytest.mark.parametrize("name", LAWS)
def test_a_distribution_has_its_mean_its_std_and_its_cdf(name):
    of, mean, std, cdf = LAWS[name]
    values = random.draw(STREAM, of, np.arange(SAMPLES))
    spread = (values - mean) ** 2
    four_sigma = 4 / math.sqrt(SAMPLES)
    assert abs(values.mean() - mean) < four_sigma * std
    assert abs(spread.mean() - std**2) < four_sigma * spread.std()
    assert distance(values, cdf) < KS_LIMIT


@pytest.mark.parametrize("name", LAWS)
def test_neighbouring_numbers_of_one_entity_are_as_good_as_neighbouring_entities(name):
    of, _, _, cdf = LAWS[name]
    assert distance(random.draw(STREAM, of, 17, np.arange(SAMPLES)), cdf) < KS_LIMIT


@pytest.mark.parametrize("name", LAWS)
def test_values_of_neighbours_are_not_correlated(name):
    values = random.draw(STREAM, LAWS[name][0], np.arange(200)[:, None], np.arange(200)[None, :])
    rank = np.argsort(np.argsort(values.ravel())).reshape(values.shape)
    for a, b in ((rank[1:], rank[:-1]), (rank[:, 1:], rank[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(a.size)


def test_the_distance_tells_a_wrong_distribution():
    values = random.draw(STREAM, law("normal", -3.0, 2.1), np.arange(SAMPLES))
    assert distance(values, LAWS["normal"][3]) > KS_LIMIT


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([*LAWS, "redrawn"]),
    st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_a_value_depends_on_neither_order_nor_company(name, pairs, shuffle):
    of = law("normal", 0.0, 1.0, redraw=(1.0, math.inf)) if name == "redrawn" else LAWS[name][0]
    expected = {pair: float(random.draw(STREAM, of, *pair)) for pair in pairs}
    shuffle.shuffle(pairs)
    entity, number = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    assert random.draw(STREAM, of, entity, number).tolist() == [expected[pair] for pair in pairs]


def test_batches_of_draws_leave_no_seam(monkeypatch):
    of = law("gamma", 1.0, 2.0, redraw=(0.5, math.inf))
    whole = random.draw(STREAM, of, np.arange(3000))
    monkeypatch.setattr(random, "_BATCH", 100)
    monkeypatch.setattr(random, "_FIRST", 7)
    np.testing.assert_array_equal(whole, random.draw(STREAM, of, np.arange(3000)))


def test_redraw_cuts_a_distribution_and_clip_heaps_it_at_the_bounds():
    bounds = (-1.0, 0.5)
    free = random.draw(STREAM, law("normal", 0.0, 1.0), np.arange(SAMPLES))
    redrawn = random.draw(STREAM, law("normal", 0.0, 1.0, redraw=bounds), np.arange(SAMPLES))
    clipped = random.draw(STREAM, law("normal", 0.0, 1.0, clip=bounds), np.arange(SAMPLES))
    np.testing.assert_array_equal(clipped, np.clip(free, *bounds))
    inside = (free >= -1) & (free <= 0.5)
    np.testing.assert_array_equal(redrawn[inside], free[inside])  # a redraw moves no other draw
    low, high = NORMAL.cdf(-1.0), NORMAL.cdf(0.5)
    assert distance(redrawn, lambda x: [(NORMAL.cdf(v) - low) / (high - low) for v in x]) < KS_LIMIT
    assert redrawn.min() > -1 and redrawn.max() < 0.5
    assert abs((clipped == -1).mean() - low) < 4 * math.sqrt(low / SAMPLES)


def test_one_sided_bounds_hold():
    assert random.draw(STREAM, law("normal", 0.0, 1.0, redraw=(0.0, math.inf)), np.arange(1000)).min() >= 0
    assert random.draw(STREAM, law("normal", 0.0, 1.0, clip=(-math.inf, 0.0)), np.arange(1000)).max() == 0


@pytest.mark.parametrize("redraw", [(10.0, math.inf), (0.0, 1e-12), (-math.inf, -40.0)])
def test_bounds_that_are_never_met_are_an_error_after_few_draws(redraw, monkeypatch):
    drawn = 0
    blocks = random.blocks

    def counting(stream, entity, number):
        nonlocal drawn
        drawn += np.size(entity)
        return blocks(stream, entity, number)

    monkeypatch.setattr(random, "blocks", counting)
    with pytest.raises(random.DrawError):
        random.draw(STREAM, law("normal", 0.0, 1.0, redraw=redraw), np.arange(10**6))
    assert drawn < 10**6


def test_a_draw_of_nothing_is_empty():
    assert random.draw(STREAM, law("normal", 0.0, 1.0), np.arange(0)).shape == (0,)


# ---- bounds ----------------------------------------------------------------------------------------------------------


@st.composite
def laws(draw):
    """Any law with any bounds that contain something of it."""
    kind = draw(st.sampled_from(["normal", "uniform", "lognormal", "exponential", "gamma"]))
    first, second = draw(st.floats(1e-3, 1e3)), draw(st.floats(1e-3, 1e3))
    if kind == "normal":
        first *= draw(st.sampled_from([-1.0, 0.0, 1.0]))
    if kind == "uniform":
        first, second = first - 500, first - 500 + second
    some = random.draw(STREAM, law(kind, first, second), np.arange(9))
    bounds = st.sampled_from([None, (some.min(), math.inf), (-math.inf, some.max()), (some.min(), some.max())])
    return law(kind, first, second, draw(bounds), draw(bounds))


def assert_within_bounds(of, values):
    low, high = random.bounds(of)
    assert low <= values.min() and values.max() <= high, (of, low, high, values.min(), values.max())


@settings(max_examples=100, deadline=None, derandomize=True)
@given(laws(), st.integers(0, 2**64 - 1))
def test_no_draw_lies_outside_of_the_bounds_of_its_law(of, seed):
    assert_within_bounds(of, random.draw(random.key(seed, "x"), of, np.arange(2000)))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(laws(), st.lists(words64, max_size=3))
def test_not_even_the_most_extreme_words_lead_outside(of, more):
    """Every pair of words from the ends and from between, and for a gamma of small shape a third one."""
    words = np.array([0, 1, 2**11, 2**63, 2**64 - 2**11, 2**64 - 1, *more], np.uint64)
    pairs = [side.ravel() for side in np.meshgrid(words, words)]
    for third in words:
        calls = []

        def chosen(stream, entity, number, calls=calls, third=third):
            calls.append(number)
            return tuple(pairs) if len(calls) == 1 else (np.full(entity.shape, third), None)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(random, "blocks", chosen)
            values, accepted = random._LAWS[of.kind](of, STREAM, pairs[0], pairs[0] * np.uint64(0))
        if of.redraw is not None:
            accepted &= (values >= of.redraw[0]) & (values <= of.redraw[1])
        values = values if of.clip is None else np.clip(values, *of.clip)
        if accepted.any():
            assert_within_bounds(of, values[accepted])


def test_bounds_are_no_wider_than_they_must_be():
    """Of a normal variable some eight standard deviations; a bound of the user's holds exactly."""
    low, high = random.bounds(law("normal", 10.0, 2.0))
    assert 10 - 2 * 8.5 < low < 10 - 2 * 8 and 10 + 2 * 8 < high < 10 + 2 * 8.5
    assert random.bounds(law("normal", 10.0, 2.0, redraw=(9.0, math.inf)))[0] == 9.0
    assert random.bounds(law("normal", 10.0, 2.0, clip=(-1.0, 11.0))) == (-1.0, 11.0)
    assert random.bounds(law("uniform", -3.0, 4.0)) == (-3.0, 4.0)
    assert 36 < random.bounds(law("exponential", 1.0))[1] < 38
    assert random.bounds(law("gamma", 1.0, 1.0))[0] == 0.0


# ---- noise inside the step -------------------------------------------------------------------------------------------

MEANS = [*np.geomspace(1e-9, 64, 60), 0.5, 1.0, 2.0, 2.32, 10.0, 63.999]


@pytest.mark.parametrize("mean", MEANS)
def test_a_poisson_table_has_the_mean_to_1e_9(mean):
    table = random.poisson_table(float(mean))
    error = abs(math.fsum(1 - int(t) / 2**32 for t in table) - mean)
    assert error < 2.5 * 2**-33  # half a word, and what lies beyond the last threshold
    assert error < 1e-9


@pytest.mark.parametrize("mean", MEANS)
def test_a_poisson_table_has_every_probability_to_2_to_the_minus_31(mean):
    table = [int(t) for t in random.poisson_table(float(mean))]
    assert table == sorted(table)
    edges = [0, *table, 2**32]
    for n, (low, high) in enumerate(zip(edges, edges[1:], strict=False)):
        exact = math.exp(n * math.log(mean) - mean - math.lgamma(n + 1))
        assert abs((high - low) / 2**32 - exact) <= 2**-31


def test_a_poisson_table_of_a_mean_too_small_for_a_word_never_counts():
    assert len(random.poisson_table(0.0)) == len(random.poisson_table(1e-12)) == 0


@pytest.mark.parametrize("mean", [0.01, 2.0, 40.0])
def test_counts_from_words_are_poisson(mean):
    words = np.concatenate([np.asarray(step_words(jnp.array(STREAM, jnp.uint32), k, 0, 4000)) for k in range(10)])
    counts = (words[:, None] >= random.poisson_table(mean)[None, :]).sum(1)
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / len(counts))
    variance = mean + 2 * mean**2  # of the squared deviation
    assert abs(((counts - mean) ** 2).mean() - mean) < 4 * math.sqrt(variance / len(counts))


@pytest.mark.parametrize("p", [0.0, 1e-9, 0.1, 1 / 3, 1.0])
def test_a_bernoulli_threshold_has_the_probability(p):
    threshold = random.bernoulli_threshold(p)
    assert abs(threshold / 2**32 - p) <= 2**-33
    assert 0 <= threshold <= 2**32
