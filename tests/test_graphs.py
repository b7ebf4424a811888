"""Rules of connection without places: degrees against theory, switches, blocks, and what cannot be.

Seeds are fixed. Statistical limits stand at p = 1e-4.
"""

import math
from collections import Counter

import numpy as np
import pytest
from networks import load
from pydantic import TypeAdapter, ValidationError
from test_connect import STREAM, binomial, chi_square, edges, follows, in_degrees, limit, out_degrees, rule, same

from snnrun import estimate, network, random
from snnrun.document import SpecError
from snnrun.models import connect
from snnrun.models.connect import Sizes

RECURRENT = Sizes(100, 100, ((0, 0, 100),))
NEW = [
    rule("pairwise_poisson", mean=0.3),
    rule("pairwise_poisson", mean=2.5, autapses=False),
    rule("small_world", k=10, beta=0.3),
    rule("small_world", k=10, beta=0.3, multapses=False, autapses=False),
    rule("scale_free", m=5),
    rule("scale_free", m=5, multapses=False, autapses=False),
    rule("blocks", p=[[0.1, 0.5], [1.0, 0.0]], pre_groups=[30, 70], autapses=False),
]
SYMMETRIC = [
    rule("fixed_prob", p=0.3, symmetric=True),
    rule("fixed_prob", p=1.0, symmetric=True),
    rule("fixed_prob", p=0.3, symmetric=True, autapses=False),
    rule("pairwise_poisson", mean=1.5, symmetric=True),
    rule("pairwise_poisson", mean=1.5, symmetric=True, autapses=False),
    rule("scale_free", m=5, symmetric=True),
    rule("scale_free", m=5, symmetric=True, multapses=False, autapses=False),
]


def described(of):
    return "-".join(str(value) for key, value in of.model_dump().items() if key != "storage")


def poisson(mean, most):
    return [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(most)]


def pairs_of(found):
    return list(zip(found.pre.tolist(), found.post.tolist(), strict=True))


# ---- what holds for all of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [*NEW, *SYMMETRIC], ids=described)
def test_the_switches_and_the_expected_number_hold(of):
    counts = []
    for seed in range(40):
        found = edges(of, RECURRENT, random.key(seed, "x"))
        assert of.autapses or (found.pre != found.post).all()
        if not getattr(of, "multapses", of.rule == "pairwise_poisson"):
            assert len(set(pairs_of(found))) == len(found.pre)
        counts.append(len(found.pre))
    spread = np.std(counts) / math.sqrt(40)
    slack = 4 * spread + (2 * of.m * math.log(100) if of.random_number and of.rule == "scale_free" else 0)
    assert abs(np.mean(counts) - of.expected(RECURRENT)) <= slack
    if not of.random_number:
        assert set(counts) == {of.expected(RECURRENT)}


@pytest.mark.parametrize("of", NEW, ids=described)
@pytest.mark.parametrize("chunk", [1, 130])
def test_the_length_of_chunks_changes_no_edge(of, chunk, monkeypatch):
    whole = edges(of, RECURRENT)
    monkeypatch.setattr("snnrun.models.rule.CHUNK", chunk)
    again = edges(of, RECURRENT)
    assert sorted(zip(*(column.tolist() for column in whole), strict=True)) == sorted(
        zip(*(column.tolist() for column in again), strict=True)
    )


@pytest.mark.parametrize("of", NEW, ids=described)
def test_no_two_edges_share_their_entity_and_number_and_the_stream_decides(of):
    found = edges(of, RECURRENT)
    assert len(set(zip(found.entity.tolist(), found.number.tolist(), strict=True))) == len(found.pre)
    assert same(found, edges(of, RECURRENT))
    other = edges(of, RECURRENT, random.key(6, "projection/x/connect"))
    assert pairs_of(found) != pairs_of(other)


@pytest.mark.parametrize("of", SYMMETRIC, ids=described)
def test_a_symmetric_graph_has_each_synapse_in_both_directions_with_the_same_draws(of):
    found = edges(of, RECURRENT)
    there = Counter(zip(*(column.tolist() for column in found), strict=True))
    assert there == Counter((post, pre, entity, number) for pre, post, entity, number in there.elements())
    draws = Counter(zip(found.entity.tolist(), found.number.tolist(), strict=True))
    loops = int(np.count_nonzero(found.pre == found.post))
    assert sorted(draws.values()).count(1) == loops and set(draws.values()) <= {1, 2}


def test_symmetric_fixed_prob_has_binomial_degrees():
    sizes = Sizes(2000, 2000, ((0, 0, 2000),))
    found = edges(rule("fixed_prob", p=0.005, symmetric=True, autapses=False), sizes)
    assert follows(np.minimum(in_degrees(found, sizes), 30), binomial(1999, 0.005, 30))
    assert (in_degrees(found, sizes) == out_degrees(found, sizes)).all()


@pytest.mark.parametrize("of", [*SYMMETRIC, rule("scale_free", m=2)], ids=described)
def test_a_symmetric_graph_is_among_the_same_neurons(of):
    assert of.impossible(RECURRENT) is None
    assert of.impossible(Sizes(100, 100)) is not None
    assert of.impossible(Sizes(100, 100, ((0, 1, 99),))) is not None
    assert of.impossible(Sizes(100, 100, ((0, 0, 40), (40, 40, 60)))) is None
    assert of.impossible(Sizes(100, 100, ((0, 60, 40), (40, 0, 60)))) is not None


# ---- degrees ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.002, 0.4, 3.0])
def test_pairwise_poisson_has_poisson_multiplicities_and_degrees(mean):
    sizes = Sizes(50, 2000)
    found = edges(rule("pairwise_poisson", mean=mean), sizes)
    multiplicity = np.bincount(found.pre * 2000 + found.post, minlength=100_000)
    assert follows(np.minimum(multiplicity, 20), poisson(mean, 21))
    assert follows(np.minimum(in_degrees(found, sizes), 300), poisson(mean * 50, 301))
    lags = np.corrcoef(multiplicity[1:], multiplicity[:-1])[0, 1]  # neighbours on the line
    assert abs(lags) < 4 / math.sqrt(100_000)


def test_pairwise_poisson_goes_on_after_a_batch():
    sizes = Sizes(3, 10_000)
    found = edges(rule("pairwise_poisson", mean=5.0), sizes)
    assert out_degrees(found, sizes).min() > 4096 and (np.diff(found.entity * 10**6 + found.number) == 1).sum() > 140_000
    assert abs(len(found.pre) - 150_000) < 4 * math.sqrt(150_000)
    assert found.post.max() < 10_000 and chi_square(np.bincount(found.post // 100), [1500] * 100) < limit(99)


def test_an_unrewired_small_world_is_the_ring():
    found = edges(rule("small_world", k=4, beta=0), Sizes(10, 10))
    assert sorted(pairs_of(found)) == sorted((i, (i + d) % 10) for i in range(10) for d in (-2, -1, 1, 2))


@pytest.mark.parametrize("beta", [0.1, 0.6, 1.0])
def test_small_world_degrees_follow_from_rewiring(beta):
    """A synapse of the ring reaches its neuron still, or by chance; all others do by chance alone."""
    n, k = 3000, 10
    sizes = Sizes(n, n)
    found = edges(rule("small_world", k=k, beta=beta), sizes)
    assert set(out_degrees(found, sizes)) == {k}
    stays = binomial(k, 1 - beta + beta / n)
    comes = poisson(k * beta, 40)  # a binomial number of k (n - 1) with beta / n
    assert follows(np.minimum(in_degrees(found, sizes), 48), np.convolve(stays, comes)[:49].tolist())


def test_without_multapses_rewired_targets_are_uniform_over_those_that_are_free():
    counts = np.zeros(12)
    for seed in range(500):
        found = edges(rule("small_world", k=2, beta=1.0, multapses=False, autapses=False), Sizes(12, 12, ((0, 0, 12),)),
                      random.key(seed, "x"))  # fmt: skip
        np.add.at(counts, (found.post - found.pre) % 12, 1)
    assert counts[0] == counts[11] == 0 and counts.sum() == 500 * 24
    # the first synapse (+1) moves to one of 9 that are free, the second (-1) then to one of 9: +1 is free again by then
    p = np.zeros(12)
    p[2:11] = 1 / 9
    for first in range(2, 11):
        free = [t for t in range(1, 11) if t != first]
        p[free] += 1 / 9 / len(free)
    assert chi_square(counts[1:11], p[1:11] * 6000) < limit(9)


def test_a_neuron_that_reaches_all_others_stays_as_it_is():
    found = edges(rule("small_world", k=4, beta=1.0, multapses=False, autapses=False), Sizes(5, 5, ((0, 0, 5),)))
    assert sorted(pairs_of(found)) == [(i, j) for i in range(5) for j in range(5) if i != j]


def test_scale_free_in_degrees_have_the_law_of_preferential_attachment():
    """P(in-degree = d) = 2 m (m + 1) / ((d + m) (d + m + 1) (d + m + 2)), by Bollobas et al."""
    n, m = 30_000, 3
    sizes = Sizes(n, n, ((0, 0, n),))
    for switches in ({}, {"autapses": False, "multapses": False}):
        found = edges(rule("scale_free", m=m, **switches), sizes)
        late = out_degrees(found, sizes)[m:]
        assert set(late) == {m}
        law = [2 * m * (m + 1) / ((d + m) * (d + m + 1) * (d + m + 2)) for d in range(200)]
        observed = np.bincount(np.minimum(in_degrees(found, sizes), 200), minlength=201)[:25] / n
        assert np.abs(observed - law[:25]).max() < 0.01
        tail = np.count_nonzero(in_degrees(found, sizes) >= 30) / n
        assert tail == pytest.approx(m * (m + 1) / ((30 + m) * (31 + m)), rel=0.15)


def test_scale_free_is_the_sequential_process():
    """The first steps by their exact probabilities: of two edges of m = 1, neuron 1 reaches 0 with 2/3 and itself with 1/3."""
    sizes = Sizes(2, 2, ((0, 0, 2),))
    hits = [edges(rule("scale_free", m=1), sizes, random.key(seed, "x")).post.tolist() for seed in range(900)]
    assert all(first == 0 for first, _ in hits)
    assert chi_square(np.bincount([second for _, second in hits], minlength=2), [600, 300]) < limit(1)


def test_the_first_neurons_of_a_scale_free_graph_reach_as_many_as_there_are():
    sizes = Sizes(8, 8, ((0, 0, 8),))
    found = edges(rule("scale_free", m=3, multapses=False, autapses=False), sizes)
    assert out_degrees(found, sizes).tolist() == [0, 1, 2, 3, 3, 3, 3, 3]
    assert (found.post < found.pre).all()
    with_own = edges(rule("scale_free", m=3, multapses=False), sizes)
    assert out_degrees(with_own, sizes).tolist() == [1, 2, 3, 3, 3, 3, 3, 3]


# ---- blocks ----------------------------------------------------------------------------------------------------------


def test_blocks_have_binomial_degrees_and_stay_within_their_borders():
    of = rule("blocks", p=[[0.0, 0.3, 1.0], [0.05, 0.8, 0.0]], pre_groups=[40, 60], post_groups=[2000, 1000, 10])
    sizes = Sizes(100, 3010)
    found = edges(of, sizes)
    for i, (low, high) in enumerate(((0, 40), (40, 100))):
        for j, (begin, end) in enumerate(((0, 2000), (2000, 3000), (3000, 3010))):
            own = (found.pre >= low) & (found.pre < high) & (found.post >= begin) & (found.post < end)
            degrees = np.bincount(found.post[own] - begin, minlength=end - begin)
            p = of.p[i][j]
            if p in (0, 1):
                assert set(degrees) == {p * (high - low)}
            else:
                assert follows(degrees, binomial(high - low, p))
    assert len(set(pairs_of(found))) == len(found.pre)


def test_blocks_of_one_probability_are_fixed_prob_in_distribution():
    sizes = Sizes(200, 1500)
    found = edges(rule("blocks", p=[[0.04] * 3] * 4), sizes)
    assert follows(in_degrees(found, sizes), binomial(200, 0.04))


def test_groups_are_of_equal_size_where_nothing_is_said():
    of = rule("blocks", p=[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert of.groups(Sizes(9, 4)) == ((3, 3, 3), (2, 2))
    assert edges(of, Sizes(9, 4)).post.tolist() == [0, 1] * 3 + [2, 3] * 3


# ---- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "sizes", "words"),
    [
        (rule("small_world", k=2, beta=0.1), Sizes(10, 9), "equal sizes"),
        (rule("small_world", k=10, beta=0.1), Sizes(10, 10), "offers 9"),
        (rule("blocks", p=[[0.1, 0.1]]), Sizes(5, 5), "do not make 2 groups"),
        (rule("blocks", p=[[0.1, 0.1]], post_groups=[5]), Sizes(5, 5), "1 sizes, and the matrix has 2 columns"),
        (rule("blocks", p=[[0.1], [0.2]], pre_groups=[2, 2]), Sizes(5, 5), "have 4 neurons, and pre has 5"),
        (rule("fixed_prob", p=0.1, symmetric=True), Sizes(5, 6), "pre and post differ"),
    ],
    ids=lambda value: described(value) if hasattr(value, "rule") else "",
)
def test_what_cannot_be_says_why(of, sizes, words):
    message, hint = of.impossible(sizes)
    assert words in message and hint


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"rule": "small_world", "k": 3, "beta": 0.1}, ("k",)),
        ({"rule": "blocks", "p": [[0.1, 0.2], [0.3]]}, ("p", 1)),
        ({"rule": "blocks", "p": []}, ("p",)),
    ],
)
def test_what_is_wrong_in_itself_is_told_where_it_is(given, at):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(connect.Rule).validate_python(given)
    assert [detail["ctx"]["at"] for detail in error.value.errors()] == [at]


NET = """
    duration: 10 ms
    populations:
      S: {{model: poisson, size: 30, rate: 100 Hz}}
      E: {{model: lif, size: 40, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF}}
    projections:
      x: {{pre: {pre}, post: E, connect: {connect}, weight: 1 mV, delay: 1 ms, synapse: {{model: delta}}}}
"""


def net(tmp_path, connect_, pre="S"):
    return load(tmp_path, NET.format(connect=connect_, pre=pre))


def test_a_matrix_may_come_from_a_file(tmp_path):
    (tmp_path / "p.csv").write_text("to A,to B\n0.1,1\n0,0.25\n0.5,0\n")
    spec = net(tmp_path, "{rule: blocks, p: {file: p.csv}}").spec
    inline = net(tmp_path, "{rule: blocks, p: [[0.1, 1.0], [0, 0.25], [0.5, 0]]}").spec
    one, other = (network.build(s, tmp_path).projections["x"].connectivity.listed for s in (spec, inline))
    assert same(one, other)
    assert estimate.estimate(spec, tmp_path).synapses["x"] == pytest.approx(10 * 20 * 1.85)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n0.1,1\n", "do not make"),
        ("a,b\n0.1,2\n0,0\n0,0\n", "b is 2 in line 2"),
        ("a,b\n0.1,x\n", "x"),
        ("a,b\n", "no"),
    ],
)
def test_a_matrix_in_a_file_is_checked(tmp_path, text, words):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(SpecError) as error:
        network.build(net(tmp_path, "{rule: blocks, p: {file: p.csv}, pre_groups: [10, 10, 10]}").spec, tmp_path)
    (fault,) = error.value.faults
    assert fault.path[:3] == ("projections", "x", "connect")
    assert words in fault.message or words == "do not make" and "rows" in fault.message


@pytest.mark.parametrize(
    ("connect_", "path"),
    [
        ("{rule: blocks, p: {file: no.csv}}", ("connect", "p", "file")),
        ("{rule: blocks, p: [[1.5]]}", ("connect", "p", 0, 0)),
        ("{rule: blocks, p: [[0.1], [0.2], [0.2], [0.1]]}", ("connect",)),
        ("{rule: pairwise_poisson, mean: 0.1, storage: procedural}", ("connect", "storage")),
        ("{rule: fixed_prob, p: 0.1, symmetric: true}", ("connect",)),
        ("{rule: scale_free, m: 2}", ("connect",)),
        ("{rule: small_world, k: 2}", ("connect",)),
    ],
)
def test_bad_rules_are_refused_where_they_stand(tmp_path, connect_, path):
    with pytest.raises(SpecError) as error:
        net(tmp_path, connect_)
    assert [f.path for f in error.value.faults] == [("projections", "x", *path)]


def test_symmetric_fixed_prob_is_listed_and_cannot_be_drawn_again(tmp_path):
    with pytest.raises(SpecError, match="cannot be drawn source by source"):
        net(tmp_path, "{rule: fixed_prob, p: 0.1, symmetric: true, storage: procedural}", "E")
    spec = net(tmp_path, "{rule: fixed_prob, p: 0.1, symmetric: true}", "E").spec
    assert network.build(spec, tmp_path).projections["x"].connectivity.listed is not None


def test_the_stream_of_these_tests_is_that_of_a_projection():
    assert random.key(5, "projection/x/connect") == STREAM
