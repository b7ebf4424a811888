"""Connection rules: exact degrees where a rule fixes them, the right distributions where it does not, switches, rows.

Seeds are fixed, so every test gives the same result each time. Statistical limits stand at p = 1e-4.
"""

import math
import statistics
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from snnrun import random
from snnrun.check import connected
from snnrun.models import connect
from snnrun.models.connect import Sizes
from snnrun.selections import parts

STREAM = random.key(5, "projection/x/connect")


def rule(name, **options):
    return TypeAdapter(connect.Rule).validate_python({"rule": name, **options})


def edges(of, sizes, stream=STREAM):
    """All edges of a rule, in order."""
    found = [chunk() for chunk in connect.chunks(of, sizes, stream)]
    columns = zip(*found, strict=True) if found else [[np.empty(0, int)]] * 4
    return connect.Drafts(*(np.concatenate(column) for column in columns))


def selected(pre, post, **sizes):
    """Sizes of two selections, and for each of their neurons which one it is."""
    found = [parts(tuple(selection), sizes) for selection in (pre, post)]
    who = [[(part.population, i) for part in side for i in range(part.start, part.stop)] for side in found]
    return connected(*found), *who


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def chi_square(counts, expected):
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    return float(np.sum((counts - expected) ** 2 / expected))


def limit(freedom):
    """Of chi-square at p = 1e-4, by Wilson and Hilferty."""
    z = statistics.NormalDist().inv_cdf(1 - 1e-4)
    return freedom * (1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))) ** 3


def binomial(n, p, most=None):
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range((n if most is None else most) + 1)]


def hypergeometric(total, good, drawn):
    return [
        math.comb(good, k) * math.comb(total - good, drawn - k) / math.comb(total, drawn) if 0 <= drawn - k <= total - good else 0
        for k in range(min(good, drawn) + 1)
    ]


def follows(degrees, probabilities):
    """Whether degrees have a distribution: chi-square over classes in which at least five are expected."""
    expected = np.array(probabilities) * len(degrees)
    counts = np.bincount(degrees, minlength=len(expected)).astype(float)
    assert len(counts) == len(expected)
    classes, sums = [], [0.0, 0.0]
    for count, value in zip(counts, expected, strict=True):
        sums = [sums[0] + count, sums[1] + value]
        if sums[1] >= 5:
            classes.append(sums)
            sums = [0.0, 0.0]
    classes[-1] = [classes[-1][0] + sums[0], classes[-1][1] + sums[1]]
    return chi_square(*zip(*classes, strict=True)) < limit(len(classes) - 1)


def in_degrees(found, sizes):
    return np.bincount(found.post, minlength=sizes.post)


def out_degrees(found, sizes):
    return np.bincount(found.pre, minlength=sizes.pre)


# ---- degrees ---------------------------------------------------------------------------------------------------------

APART = Sizes(40, 2000)


def test_one_to_one_is_the_diagonal():
    found = edges(rule("one_to_one"), Sizes(7, 7))
    assert found.pre.tolist() == found.post.tolist() == list(range(7))


def test_all_to_all_is_every_pair_once():
    found = edges(rule("all_to_all"), Sizes(5, 3))
    assert sorted(zip(found.pre, found.post, strict=True)) == [(i, j) for i in range(5) for j in range(3)]


@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.93])
def test_fixed_prob_has_binomial_degrees_and_no_pair_twice(p):
    found = edges(rule("fixed_prob", p=p), APART)
    assert follows(in_degrees(found, APART), binomial(40, p))
    mirrored = Sizes(2000, 40)
    turned = edges(rule("fixed_prob", p=p), mirrored)
    assert follows(out_degrees(turned, mirrored), binomial(40, p))
    assert len(set(zip(found.pre, found.post, strict=True))) == len(found.pre)
    sd = math.sqrt(80_000 * p * (1 - p))
    assert abs(len(found.pre) - 80_000 * p) < 4 * sd


def test_fixed_prob_0_is_nothing_and_1_is_everything():
    assert len(edges(rule("fixed_prob", p=0), APART).pre) == 0
    assert same(edges(rule("fixed_prob", p=1), APART), edges(rule("all_to_all"), APART))


@pytest.mark.parametrize("p", [1e-12, 1 - 1e-12])
def test_fixed_prob_close_to_0_and_1(p):
    assert len(edges(rule("fixed_prob", p=p), APART).pre) == round(p * 80_000)


@pytest.mark.parametrize("p", [0.02, 0.6])
def test_neighbouring_pairs_of_fixed_prob_are_independent(p):
    sizes = Sizes(300, 300)
    found = edges(rule("fixed_prob", p=p), sizes)
    there = np.zeros((300, 300))
    there[found.pre, found.post] = 1
    for a, b in ((there[1:], there[:-1]), (there[:, 1:], there[:, :-1]), (there, there.T)):
        off = ~np.eye(*a.shape, dtype=bool) if a.shape == (300, 300) else slice(None)
        assert abs(np.corrcoef(a[off].ravel(), b[off].ravel())[0, 1]) < 4 * math.sqrt(2) / 300


@pytest.mark.parametrize(("name", "sizes"), [("fixed_indegree", Sizes(50, 3000)), ("fixed_outdegree", Sizes(3000, 50))])
@pytest.mark.parametrize("multapses", [True, False])
@pytest.mark.parametrize("n", [0, 1, 7, 24, 25, 26, 49, 50])
def test_a_fixed_degree_is_exact_and_its_partners_are_uniform(name, sizes, multapses, n):
    found = edges(rule(name, n=n, multapses=multapses), sizes)
    fixed, drawn = in_degrees(found, sizes), out_degrees(found, sizes)
    if name == "fixed_outdegree":
        fixed, drawn = drawn, fixed
    assert set(fixed) == {n}
    pairs = Counter(zip(found.pre.tolist(), found.post.tolist(), strict=True))
    if not multapses:
        assert set(pairs.values()) <= {1}
        # counts of one partner are Binomial(3000, n / 50), and add up to a constant
        variance = 3000 * n / 50 * (1 - n / 50)
        if variance == 0:
            assert len(set(drawn)) == 1
        else:
            assert np.sum((drawn - 60 * n) ** 2) / variance * 49 / 50 < limit(49)
    elif n:
        assert chi_square(drawn, [60 * n] * 50) < limit(49)
        multiplicities = np.array([pairs[i, j] for i in range(sizes.pre) for j in range(sizes.post)])
        assert follows(multiplicities[::7], [*binomial(n, 1 / 50)])  # of every seventh pair: those of a row depend


@pytest.mark.parametrize("n", [2, 5, 8])
def test_every_set_of_distinct_partners_is_equally_likely(n):
    found = edges(rule("fixed_indegree", n=n, multapses=False), Sizes(10, 10_000))
    sets = Counter(tuple(sorted(row)) for row in found.pre.reshape(10_000, n).tolist())
    possible = math.comb(10, n)
    counts = [*sets.values(), *[0] * (possible - len(sets))]
    assert chi_square(counts, [10_000 / possible] * possible) < limit(possible - 1)


def test_fixed_total_has_its_number_and_uniform_pairs():
    sizes = Sizes(20, 30)
    found = edges(rule("fixed_total", n=60_000), sizes)
    pairs = np.bincount(found.pre * 30 + found.post, minlength=600)
    assert len(found.pre) == 60_000
    assert chi_square(pairs, [100] * 600) < limit(599)


@pytest.mark.parametrize("n", [0, 1, 299, 300, 301, 599, 600])
def test_fixed_total_without_multapses_has_distinct_pairs(n):
    found = edges(rule("fixed_total", n=n, multapses=False), Sizes(20, 30))
    assert len(found.pre) == len(set(zip(found.pre, found.post, strict=True))) == n


@pytest.mark.parametrize("n", [60, 500])
def test_distinct_pairs_are_uniform_and_degrees_hypergeometric(n):
    sizes, trials = Sizes(20, 30), 900
    pairs, degrees = np.zeros(600), []
    for seed in range(trials):
        found = edges(rule("fixed_total", n=n, multapses=False), sizes, random.key(seed, "x"))
        pairs[found.pre * 30 + found.post] += 1
        degrees.append(in_degrees(found, sizes)[seed % 30])
    variance = trials * n / 600 * (1 - n / 600)
    assert np.sum((pairs - trials * n / 600) ** 2) / variance * 599 / 600 < limit(599)
    assert follows(np.array(degrees), hypergeometric(600, 20, n))


def test_fixed_total_has_binomial_degrees():
    sizes = Sizes(3000, 1000)
    found = edges(rule("fixed_total", n=9000), sizes)
    probabilities = binomial(9000, 1 / 3000, most=29)
    assert follows(np.minimum(out_degrees(found, sizes), 29), probabilities)


def test_pairs_are_as_listed():
    found = edges(rule("pairs", pairs=[[3, 1], [0, 0], [3, 1]]), Sizes(4, 2))
    assert found.pre.tolist() == [3, 0, 3]
    assert found.post.tolist() == [1, 0, 1]
    assert found.entity.tolist() == [0, 1, 2]
    assert len(edges(rule("pairs", pairs=[]), Sizes(4, 2)).pre) == 0


# ---- autapses --------------------------------------------------------------------------------------------------------

SELECTIONS = {
    "the same population": (["A"], ["A"]),
    "other populations of equal size": (["A"], ["B"]),
    "overlapping slices": (["A[2:9]"], ["A[5:12]"]),
    "disjoint slices": (["A[:6]"], ["A[6:]"]),
    "lists in another order": (["A", "B"], ["B", "A"]),
    "slices in lists": (["B[3:7]", "A[8:]", "C"], ["A[6:11]", "B"]),
    "one neuron in a list": (["A"], ["C", "A[4]"]),
}
RULES = [
    rule("all_to_all", autapses=False),
    rule("fixed_prob", p=0.4, autapses=False),
    rule("fixed_prob", p=1.0, autapses=False),
    rule("fixed_indegree", n=3, autapses=False),
    rule("fixed_indegree", n=3, autapses=False, multapses=False),
    rule("fixed_outdegree", n=3, autapses=False),
    rule("fixed_outdegree", n=3, autapses=False, multapses=False),
    rule("fixed_total", n=400, autapses=False),
    rule("fixed_total", n=30, autapses=False, multapses=False),
]


def described(of):
    return "-".join(str(value) for key, value in of.model_dump().items() if key != "storage")


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("of", RULES, ids=described)
def test_without_autapses_no_neuron_meets_itself_and_every_other_pair_may_occur(name, of):
    pre, post = SELECTIONS[name]
    sizes, who_pre, who_post = selected(pre, post, A=12, B=12, C=3)
    allowed = {(i, j) for i, a in enumerate(who_pre) for j, b in enumerate(who_post) if a != b}
    seen = set()
    for seed in range(60):
        found = edges(of, sizes, random.key(seed, "x"))
        seen |= set(zip(found.pre.tolist(), found.post.tolist(), strict=True))
        if of.rule in ("fixed_indegree", "fixed_outdegree"):
            degrees = in_degrees(found, sizes) if of.rule == "fixed_indegree" else out_degrees(found, sizes)
            assert set(degrees) == {of.n}
    assert seen <= allowed
    assert len(seen) >= 0.95 * len(allowed)


@pytest.mark.parametrize("name", ["the same population", "slices in lists"])
def test_with_autapses_a_neuron_may_meet_itself(name):
    sizes, who_pre, who_post = selected(*SELECTIONS[name], A=12, B=12, C=3)
    for of in (rule("all_to_all"), rule("fixed_prob", p=0.9), rule("fixed_indegree", n=40), rule("fixed_total", n=4000)):
        found = edges(of, sizes)
        assert any(who_pre[i] == who_post[j] for i, j in zip(found.pre, found.post, strict=True))


def test_one_to_one_without_autapses_leaves_out_equal_neurons_not_equal_indices():
    for pre, post, count in ((["A"], ["A"], 0), (["A"], ["B"], 12), (["A", "B"], ["A", "C", "B[:9]"], 12)):
        sizes, who_pre, who_post = selected(pre, post, A=12, B=12, C=3)
        found = edges(rule("one_to_one", autapses=False), sizes)
        assert len(found.pre) == count
        assert all(who_pre[i] != who_post[i] for i in found.pre)


def test_listed_autapses_are_left_out_without_moving_the_rows_of_the_others():
    sizes, _, _ = selected(["A[3:6]"], ["A[4:7]"], A=9)
    found = edges(rule("pairs", pairs=[[0, 0], [1, 0], [2, 1], [2, 2]], autapses=False), sizes)
    assert list(zip(found.pre, found.post, found.entity, strict=True)) == [(0, 0, 0), (2, 2, 3)]


def test_sources_without_autapses_are_uniform_over_the_others():
    sizes, _, _ = selected(["A"], ["A"], A=10)
    counts = np.zeros((10, 10))
    for seed in range(300):
        found = edges(rule("fixed_indegree", n=9, autapses=False), sizes, random.key(seed, "x"))
        np.add.at(counts, (found.post, found.pre), 1)
    off = ~np.eye(10, dtype=bool)
    assert counts[~off].sum() == 0
    assert chi_square(counts[off], [300] * 90) < limit(80)


@pytest.mark.parametrize("name", ["fixed_indegree", "fixed_outdegree"])
def test_as_many_distinct_partners_as_there_are(name):
    sizes, _, _ = selected(["A"], ["A"], A=6)
    found = edges(rule(name, n=5, autapses=False, multapses=False), sizes)
    assert sorted(zip(found.pre, found.post, strict=True)) == [(i, j) for i in range(6) for j in range(6) if i != j]


@pytest.mark.parametrize("n", [14, 15, 16, 29, 30])
def test_distinct_pairs_without_autapses_up_to_the_last(n):
    sizes, _, _ = selected(["A"], ["A"], A=6)
    found = edges(rule("fixed_total", n=n, autapses=False, multapses=False), sizes)
    assert len(set(zip(found.pre, found.post, strict=True))) == n
    assert (found.pre != found.post).all()


@pytest.mark.parametrize(
    ("of", "population"),
    [
        (rule("one_to_one"), 1),
        (rule("all_to_all"), 1),
        (rule("fixed_prob", p=0.999999), 1),
        (rule("fixed_indegree", n=1, multapses=False), 1),
        (rule("fixed_indegree", n=4), 4),
        (rule("fixed_outdegree", n=4), 4),
        (rule("fixed_total", n=3), 3),
        (rule("fixed_total", n=1, multapses=False), 1),
        (rule("all_to_all", autapses=False), 0),
        (rule("fixed_prob", p=0.999999, autapses=False), 0),
    ],
    ids=lambda value: described(value) if not isinstance(value, int) else "",
)
def test_one_neuron_alone(of, population):
    sizes, _, _ = selected(["A"], ["A"], A=1)
    assert of.impossible(sizes) is None
    assert len(edges(of, sizes).pre) == population


def test_impossible_rules_say_so():
    alone, _, _ = selected(["A"], ["A"], A=1)
    six, _, _ = selected(["A"], ["A[:3]"], A=6)
    assert rule("one_to_one").impossible(Sizes(2, 3)) is not None
    assert rule("fixed_indegree", n=1, autapses=False).impossible(alone) is not None
    assert rule("fixed_total", n=1, autapses=False).impossible(alone) is not None
    assert rule("fixed_indegree", n=6, multapses=False).impossible(six) is None
    assert rule("fixed_indegree", n=6, multapses=False, autapses=False).impossible(six) is not None
    assert rule("fixed_outdegree", n=3, multapses=False).impossible(six) is None
    assert rule("fixed_outdegree", n=3, multapses=False, autapses=False).impossible(six) is not None
    assert rule("fixed_total", n=15, multapses=False, autapses=False).impossible(six) is None
    assert rule("fixed_total", n=16, multapses=False, autapses=False).impossible(six) is not None


# ---- rows, seeds, chunks ---------------------------------------------------------------------------------------------

MANY = [
    rule("one_to_one"),
    rule("all_to_all"),
    rule("fixed_prob", p=0.3),
    rule("fixed_prob", p=0.3, autapses=False),
    rule("fixed_indegree", n=11),
    rule("fixed_indegree", n=11, multapses=False),
    rule("fixed_indegree", n=90, multapses=False, autapses=False),
    rule("fixed_outdegree", n=11, autapses=False),
    rule("fixed_outdegree", n=90, multapses=False),
    rule("fixed_total", n=3000, autapses=False),
    rule("fixed_total", n=3000, multapses=False),
    rule("fixed_total", n=9000, multapses=False),
]
ROWS = {"fixed_indegree": "post", "fixed_total": None}  # the others draw source by source


@pytest.mark.parametrize("of", MANY, ids=described)
def test_no_two_edges_share_their_entity_and_number(of):
    found = edges(of, Sizes(100, 100, ((0, 0, 100),)))
    assert len(set(zip(found.entity.tolist(), found.number.tolist(), strict=True))) == len(found.pre)


@pytest.mark.parametrize("of", MANY, ids=described)
def test_entity_is_the_row_that_drew_an_edge(of):
    found = edges(of, Sizes(100, 100, ((0, 0, 100),)))
    row = ROWS.get(of.rule, "pre")
    if row is None:
        assert found.entity.tolist() == list(range(of.n))
        assert not found.number.any()
    else:
        np.testing.assert_array_equal(found.entity, getattr(found, row))
        order = np.diff(found.entity.astype(np.int64) * 10**6 + found.number)
        assert (order > 0).all()  # rows one after another, each in the order of its numbers


@pytest.mark.parametrize("of", [o for o in MANY if o.rule not in ("one_to_one", "all_to_all")], ids=described)
def test_the_stream_decides_the_edges(of):
    sizes = Sizes(100, 100, ((0, 0, 100),))
    first = edges(of, sizes, random.key(1, "projection/x/connect"))
    assert same(first, edges(of, sizes, random.key(1, "projection/x/connect")))
    for other in (random.key(2, "projection/x/connect"), random.key(1, "projection/y/connect")):
        changed = edges(of, sizes, other)
        assert not (np.array_equal(first.pre, changed.pre) and np.array_equal(first.post, changed.post))


@pytest.mark.parametrize("of", MANY, ids=described)
@pytest.mark.parametrize("chunk", [1, 130, 999])
def test_the_length_of_chunks_changes_no_edge(of, chunk, monkeypatch):
    sizes = Sizes(100, 100, ((0, 0, 100),))
    whole = edges(of, sizes)
    monkeypatch.setattr("snnrun.models.rule.CHUNK", chunk)
    assert same(whole, edges(of, sizes))


def test_rows_longer_than_one_batch_of_gaps_are_whole_and_in_order():
    sizes = Sizes(6000, 20_000)
    found = edges(rule("fixed_prob", p=0.02), sizes)
    degrees = out_degrees(found, sizes)
    assert degrees.max() > 468  # the length of a batch: 400 and some more than three standard deviations
    assert (np.diff(found.pre * 10**5 + found.post) > 0).all()
    np.testing.assert_array_equal(found.number, np.concatenate([np.arange(degree) for degree in degrees]))


@pytest.mark.parametrize("of", [rule("fixed_indegree", n=11), rule("fixed_indegree", n=11, multapses=False)], ids=described)
def test_a_row_does_not_know_how_many_rows_there_are(of):
    few, many = edges(of, Sizes(100, 10)), edges(of, Sizes(100, 80))
    assert same(few, [column[: 10 * 11] for column in many])


def test_chunks_may_be_called_in_any_order_and_again():
    called = list(connect.chunks(rule("fixed_total", n=300_000, autapses=False), Sizes(50, 50, ((0, 0, 50),)), STREAM))
    assert len(called) > 1
    backwards = [chunk() for chunk in reversed(called)][::-1]
    assert all(same(a, b()) for a, b in zip(backwards, called, strict=True))


# ---- which pairs are one neuron --------------------------------------------------------------------------------------


@st.composite
def selections(draw):
    """Some parts of three populations, in any order, without overlap."""
    chosen = []
    for name in draw(st.permutations(["A", "B", "C"]))[: draw(st.integers(1, 3))]:
        cuts = sorted(draw(st.sets(st.integers(0, 8), min_size=2, max_size=4)))
        chosen += [f"{name}[{a}:{b}]" for a, b in zip(cuts, cuts[1:], strict=False)]
    return draw(st.permutations(chosen))


@settings(deadline=None)
@given(selections(), selections())
def test_own_indices_are_those_of_the_same_neuron(pre, post):
    sizes, who_pre, who_post = selected(pre, post, A=8, B=8, C=8)
    assert (sizes.pre, sizes.post) == (len(who_pre), len(who_post))
    assert sizes.post_of_pre().tolist() == [who_post.index(who) if who in who_post else -1 for who in who_pre]
    assert sizes.pre_of_post().tolist() == [who_pre.index(who) if who in who_pre else -1 for who in who_post]


@pytest.mark.parametrize("of", [*MANY, *RULES], ids=described)
def test_the_expected_number_of_edges_is_met(of):
    sizes = Sizes(100, 100, ((0, 0, 100),))
    assert abs(len(edges(of, sizes).pre) - of.expected(sizes)) <= 4 * math.sqrt(10_000 * 0.25)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_no_target_has_more_inputs_than_the_bound_says(data):
    """It is what keeps integer sums from overflowing."""
    pre, post = data.draw(selections()), data.draw(selections())
    sizes, _, _ = selected(pre, post, A=8, B=8, C=8)
    name = data.draw(st.sampled_from(["all_to_all", "fixed_prob", "fixed_indegree", "fixed_outdegree", "fixed_total"]))
    options = {"autapses": data.draw(st.booleans())}
    if name == "fixed_prob":
        options["p"] = data.draw(st.sampled_from([0.0, 0.01, 0.5, 0.99, 1.0]))
    elif name != "all_to_all":
        options["n"] = data.draw(st.sampled_from([0, 1, 5, 50, 5000]))
    of = rule(name, **options)
    if of.impossible(sizes) is None:
        c = connect.Connectivity("x", of, sizes, random.key(data.draw(st.integers(0, 2**32)), "x"), 1.0, 1, 0.1)
        assert in_degrees(connect.collect(c), sizes).max(initial=0) <= np.max(connect.most_inputs(c))


def test_the_bound_on_inputs_is_not_far_above_them():
    """A bit at most, where in-degrees are large; exact where they are fixed or listed."""
    sizes = Sizes(2000, 300)
    for of in (rule("fixed_prob", p=0.5), rule("fixed_outdegree", n=150), rule("fixed_total", n=300_000)):
        c = connect.Connectivity("x", of, sizes, STREAM, 1.0, 1, 0.1)
        assert connect.most_inputs(c) < 2 * in_degrees(connect.collect(c), sizes).max()
    fixed = connect.Connectivity("x", rule("fixed_indegree", n=7), sizes, STREAM, 1.0, 1, 0.1)
    assert connect.most_inputs(fixed) == 7
    listed = fixed._replace(rule=None, listed=(np.array([1, 1, 2], np.int32), np.array([0, 0, 3], np.int32)))
    assert connect.most_inputs(listed)[:5].tolist() == [2, 0, 0, 1, 0]


@pytest.mark.parametrize("of", [rule("fixed_outdegree", n=5000, autapses=False), rule("fixed_total", n=5000, autapses=False)],
                         ids=described)  # fmt: skip
def test_the_bound_holds_where_autapses_leave_one_target_of_two(of):
    """One source, which is one of the two targets: the other one gets everything."""
    sizes, _, _ = selected(["A[0]"], ["A[0]", "B[0]"], A=1, B=1)
    c = connect.Connectivity("x", of, sizes, STREAM, 1.0, 1, 0.1)
    assert in_degrees(connect.collect(c), sizes).tolist() == [0, 5000]
    assert np.max(connect.most_inputs(c)) >= 5000
