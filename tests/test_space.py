"""Layouts, distances, rules by distance, weights and delays by distance: against brute force and theory.

Seeds are fixed. Statistical limits stand at p = 1e-4.
"""

import json
import math
import re
import textwrap

import h5py
import numpy as np
import pytest
from networks import load, run_plan
from pydantic import TypeAdapter, ValidationError
from test_connect import STREAM, chi_square, in_degrees, limit, out_degrees, rule, same
from typer.testing import CliRunner

from snnrun import cli, estimate, lower, network, outline, random, results, run
from snnrun.document import SpecError
from snnrun.models import connect, layout, space
from snnrun.models.connect import Sizes
from snnrun.models.space import Near, Space
from snnrun.models.spatial import OutOfReach

KEY = random.key(5, "population/E/layout")


def laid(size, **given):
    return layout.places(TypeAdapter(layout.Layout).validate_python(given), size, KEY).points


def kernel(**given):
    return TypeAdapter(space.Kernel).validate_python(given)


def scattered(n, extent, seed=0):
    return (np.random.default_rng(seed).random((n, len(extent))) - 0.5) * extent


def distances(where):
    """All distances, by trying every image."""
    delta = where.post[None] - where.pre[:, None]
    if where.period is None:
        return np.sqrt((delta**2).sum(axis=2))
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3) * length for length in where.period], indexing="ij"), -1)
    return min_over(np.sqrt(((delta[..., None, :] + shifts.reshape(-1, len(where.period))) ** 2).sum(axis=-1)))


def min_over(images):
    return images.min(axis=-1)


def edges(of, sizes, where, stream=STREAM):
    found = [chunk() for chunk in connect.chunks(of, sizes, stream, where)]
    columns = zip(*found, strict=True) if found else [[np.empty(0, int)]] * 4
    return connect.Drafts(*(np.concatenate(column) for column in columns))


def matrix(found, sizes):
    there = np.zeros((sizes.pre, sizes.post), int)
    np.add.at(there, (found.pre, found.post), 1)
    return there


# ---- layouts ---------------------------------------------------------------------------------------------------------


def test_a_grid_is_around_its_centre_with_the_last_coordinate_first():
    points = laid(6, model="grid", shape=[2, 3], spacing="10 um", centre=["100 um", "0 um"])
    assert points.tolist() == [[95, -10], [95, 0], [95, 10], [105, -10], [105, 0], [105, 10]]
    assert laid(3, model="grid", shape=[3], extent=["3 mm"]).ravel().tolist() == [-1000, 0, 1000]
    assert laid(8, model="grid", shape=[2, 2, 2], spacing="1 um").tolist()[1] == [-0.5, -0.5, 0.5]


def test_random_places_are_uniform_in_their_box_and_do_not_depend_on_how_many_there_are():
    given = {"model": "random", "extent": ["2 mm", "1 mm"], "centre": ["1 mm", "0 um"]}
    points = laid(20_000, **given)
    assert (points.min(axis=0) > [0, -500]).all() and (points.max(axis=0) < [2000, 500]).all()
    cells = (points[:, 0] // 200).astype(int) * 10 + ((points[:, 1] + 500) // 100).astype(int)
    assert chi_square(np.bincount(cells, minlength=100), [200] * 100) < limit(99)
    assert (laid(50, **given) == points[:50]).all()


@pytest.mark.parametrize(("model", "dimensions", "power"), [("disc", 2, 2), ("ball", 3, 3)])
def test_round_layouts_are_uniform_in_their_volume(model, dimensions, power):
    points = laid(20_000, model=model, radius="1 mm")
    assert points.shape == (20_000, dimensions)
    far = np.sqrt((points**2).sum(axis=1)) / 1000
    assert far.max() <= 1
    assert chi_square(np.bincount((far**power * 50).astype(int), minlength=50), [400] * 50) < limit(49)
    assert (np.abs(points.mean(axis=0)) < 4 * 500 / math.sqrt(20_000) * 1.1).all()


def test_a_sphere_is_uniform_on_its_surface():
    """Each coordinate of such a point is uniform (Archimedes)."""
    points = laid(20_000, model="sphere", radius="1 mm", centre=["5 um", "6 um", "7 um"]) - [5, 6, 7]
    np.testing.assert_allclose(np.sqrt((points**2).sum(axis=1)), 1000, rtol=1e-12)
    for x in points.T:
        assert chi_square(np.bincount(((x + 1000) / 40).astype(int), minlength=50)[:50], [400] * 50) < limit(49)


@pytest.mark.parametrize("periodic", [False, True])
def test_places_at_a_distance_are_apart_and_most_others_stay(periodic):
    given = {"model": "random", "extent": ["1 mm", "1 mm"], "periodic": periodic}
    free = laid(300, **given)
    apart = laid(300, **given, min_distance="36 um")
    before, after = (distances(Space(x, x, (1000.0, 1000.0) if periodic else None)) for x in (free, apart))
    assert after[np.triu_indices(300, 1)].min() >= 36
    lonely = (before + 1e9 * np.eye(300)).min(axis=1) >= 36
    assert 30 < lonely.sum() < 270
    moved = (free != apart).any(axis=1)
    assert not moved[0] and moved[~lonely].mean() > 1.5 * moved[lonely].mean()


@pytest.mark.parametrize(
    ("size", "given", "field"),
    [
        (5, {"model": "grid", "shape": [2, 3], "spacing": "1 um"}, "shape"),
        (100, {"model": "random", "extent": ["10 um", "10 um"], "min_distance": "2 um"}, "min_distance"),
        (100, {"model": "random", "extent": ["10 um"], "min_distance": "0.1 um"}, "min_distance"),
    ],
)
def test_what_does_not_fit_says_so(size, given, field):
    of = TypeAdapter(layout.Layout).validate_python(given)
    assert of.impossible(size)[0] == field
    assert of.impossible(6 if field == "shape" else 2) is None


def test_places_that_are_not_found_are_told():
    with pytest.raises(layout.LayoutError, match="not found a place"):
        laid(6, model="random", extent=["21 um", "14 um"], min_distance="10 um")


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"model": "grid", "shape": [2, 3]}, ()),
        ({"model": "grid", "shape": [2], "spacing": "1 um", "extent": ["1 um"]}, ("extent",)),
        ({"model": "grid", "shape": [2], "extent": ["1 um", "1 um"]}, ("extent",)),
        ({"model": "grid", "shape": [2], "spacing": "1 um", "centre": ["1 um", "1 um"]}, ("centre",)),
        ({"model": "disc", "radius": "0 um"}, ()),
        ({"model": "file", "file": "x.csv", "periodic": True}, ()),
        ({"model": "file", "file": "x.csv", "extent": ["1 um"]}, ("extent",)),
    ],
)
def test_layouts_that_are_none_are_refused(given, at):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(layout.Layout).validate_python(given)
    assert [detail["ctx"]["at"] for detail in error.value.errors()] == [at]


# ---- distances -------------------------------------------------------------------------------------------------------

SPACES = {
    "line": Space(scattered(60, [100]), scattered(80, [100], 1), None),
    "ring": Space(scattered(60, [100]), scattered(80, [100], 1), (100.0,)),
    "sheet": Space(scattered(60, [100, 50]), scattered(80, [100, 50], 1), None),
    "torus": Space(scattered(60, [100, 50]), scattered(80, [100, 50], 1), (100.0, 50.0)),
    "outside of the torus": Space(scattered(60, [300, 150]), scattered(80, [100, 50], 1), (100.0, 50.0)),
    "volume": Space(scattered(60, [100, 50, 80]), scattered(80, [100, 50, 80], 1), None),
    "periodic volume": Space(scattered(60, [100, 50, 80]), scattered(80, [100, 50, 80], 1), (100.0, 50.0, 80.0)),
}


@pytest.mark.parametrize("name", SPACES)
def test_distances_are_those_to_the_nearest_image(name):
    where = SPACES[name]
    pre, post = (index.ravel() for index in np.indices((60, 80)))
    np.testing.assert_allclose(where.distance(pre, post), distances(where).ravel(), rtol=1e-12, atol=1e-12)
    assert distances(where).max() <= where.widest
    np.testing.assert_array_equal(where.turned.distance(post, pre), where.distance(pre, post))


@pytest.mark.parametrize("reach", [0.5, 8, 24, 26, 49, 51, 1e9, math.inf])
@pytest.mark.parametrize("name", SPACES)
def test_all_that_are_near_are_found_once(name, reach):
    where = SPACES[name]
    near = Near(where, reach)
    found = np.concatenate([np.stack(near.pairs(rows)) for rows in near.chunks()], axis=1)
    codes = found[0] * 80 + found[1]
    assert len(np.unique(codes)) == len(codes)
    wanted = np.flatnonzero(distances(where).ravel() <= reach)
    assert np.isin(wanted, codes).all()
    assert len(codes) - len(wanted) <= (0 if reach < 24 else 4800)


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({"model": "gaussian", "sigma": "20 um"}, lambda d: np.exp(-(d**2) / 800)),
        ({"model": "exponential", "scale": "20 um"}, lambda d: np.exp(-d / 20)),
        ({"model": "box", "radius": "20 um"}, lambda d: d <= 20),
        ({"model": "linear", "radius": "20 um"}, lambda d: np.maximum(1 - d / 20, 0)),
    ],
)
def test_kernels_are_what_they_say_and_beyond_their_reach_less_than_that(given, law):
    of, d = kernel(**given), np.linspace(0, 2000, 40_001)
    np.testing.assert_allclose(of.value(d), law(d), rtol=1e-12, atol=1e-300)
    for least in (0.3, 1e-5, 2.0**-54):
        assert (of.value(d[d > of.reach(least) * (1 + 1e-12)]) < least).all()
    assert of.value(np.array([0.0]))[0] == 1


# ---- rules -----------------------------------------------------------------------------------------------------------

KERNELS = [
    {"model": "gaussian", "sigma": "20 um"},
    {"model": "exponential", "scale": "15 um"},
    {"model": "box", "radius": "30 um"},
    {"model": "linear", "radius": "40 um"},
]
MASKS = [
    None,
    {"model": "circle", "radius": "18 um"},
    {"model": "doughnut", "inner": "10 um", "outer": "30 um"},
    {"model": "box", "extent": ["40 um", "20 um"]},
]


def allowed(mask, where):
    """Which pairs a mask lets be connected."""
    if mask is None:
        return np.ones((len(where.pre), len(where.post)), bool)
    d = distances(where)
    if mask["model"] == "circle":
        return d <= 18
    if mask["model"] == "doughnut":
        return (d >= 10) & (d <= 30)
    delta = np.abs(where.post[None] - where.pre[:, None])
    if where.period is not None:
        delta = np.minimum(delta % where.period, where.period - delta % where.period)
    return (delta[..., 0] <= 20) & (delta[..., 1] <= 10)


@pytest.mark.parametrize("of", KERNELS, ids=lambda k: k["model"])
@pytest.mark.parametrize("mask", MASKS, ids=lambda m: "no mask" if m is None else m["model"])
@pytest.mark.parametrize("name", ["sheet", "torus"])
@pytest.mark.parametrize("p0", [0.7, 3])
def test_spatial_is_what_brute_force_makes_of_the_same_numbers(of, mask, name, p0):
    where, sizes = SPACES[name], Sizes(60, 80)
    given = rule("spatial", kernel=of, mask=mask, p0=p0)
    pre, post = np.indices((60, 80))
    u = random.uniform(random.blocks(STREAM, pre, post)[0])
    p = np.minimum(p0 * kernel(**of).value(distances(where)), 1) * allowed(mask, where)
    found = edges(given, sizes, where)
    assert (matrix(found, sizes) == (u < p)).all()
    assert given.expected(sizes, where) == pytest.approx(p.sum())
    order = found.pre * 80 + found.post
    assert (np.diff(order) > 0).all()


def test_connection_probability_falls_with_distance_as_the_kernel():
    where = Space(scattered(1500, [400, 400]), scattered(1500, [400, 400], 1), (400.0, 400.0))
    sizes = Sizes(1500, 1500)
    found = edges(rule("spatial", kernel={"model": "gaussian", "sigma": "60 um"}, p0=0.6), sizes, where)
    d = where.distance(*np.indices((1500, 1500)).reshape(2, -1)).reshape(1500, 1500)
    bins = np.arange(0, 200, 10)
    there = np.histogram(where.distance(found.pre, found.post), bins)[0]
    p = np.minimum(0.6 * np.exp(-(d**2) / 7200), 1)
    expected = np.histogram(d, bins, weights=p)[0]
    variance = np.histogram(d, bins, weights=p * (1 - p))[0]
    assert np.sum((there - expected) ** 2 / variance) < limit(len(expected))
    mean = p.sum(axis=0)
    assert np.sum((in_degrees(found, sizes) - mean) ** 2 / (p * (1 - p)).sum(axis=0)) < limit(1500)


def test_a_mask_takes_away_and_a_larger_p0_adds_but_neither_moves_anything():
    where, sizes = SPACES["torus"], Sizes(60, 80)
    of = KERNELS[0]
    few, some, many = (
        matrix(edges(rule("spatial", kernel=of, **given), sizes, where), sizes)
        for given in ({"p0": 0.5, "mask": MASKS[1]}, {"p0": 0.5}, {"p0": 0.9})
    )
    assert (few <= some).all() and (some <= many).all() and few.sum() < some.sum() < many.sum()
    assert (few == some * (distances(where) <= 18)).all()


def test_expected_numbers_of_large_networks_are_close():
    n = 20_000
    points = scattered(n, [1000, 1000])
    where = Space(points, points, (1000.0, 1000.0))
    of = rule("spatial", kernel={"model": "gaussian", "sigma": "30 um"}, p0=0.1, autapses=False)
    exact = n * (n - 1) / 1e6 * 0.1 * 2 * math.pi * 900  # of uniform places
    assert of.expected(Sizes(n, n, ((0, 0, n),)), where) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("multapses", [True, False])
@pytest.mark.parametrize("autapses", [True, False])
@pytest.mark.parametrize("name", ["spatial_indegree", "spatial_outdegree"])
def test_degrees_are_exact_and_the_switches_hold(name, multapses, autapses):
    points = SPACES["torus"].pre
    where, sizes = Space(points, points, (100.0, 50.0)), Sizes(60, 60, ((0, 0, 60),))
    of = rule(name, n=5, kernel=KERNELS[0], mask=MASKS[2], multapses=multapses, autapses=autapses)
    wide = rule(name, n=5, kernel=KERNELS[0], multapses=multapses, autapses=autapses)
    for given, mask in ((of, MASKS[2]), (wide, None)):
        found = edges(given, sizes, where)
        degrees = in_degrees(found, sizes) if name == "spatial_indegree" else out_degrees(found, sizes)
        assert set(degrees) == {5}
        there = matrix(found, sizes)
        assert not there[~allowed(mask, where)].any()
        assert multapses or there.max() == 1
        assert autapses or not np.diag(there).any()
        assert len(set(zip(found.entity.tolist(), found.number.tolist(), strict=True))) == len(found.pre)


@pytest.mark.parametrize("name", ["spatial_indegree", "spatial_outdegree"])
def test_partners_with_repeats_are_drawn_in_proportion_to_the_kernel(name):
    """Of many neurons at one place, so that all draw by the same weights."""
    others = scattered(12, [60, 60])
    here = np.zeros((4000, 2))
    where = Space(others, here, None) if name == "spatial_indegree" else Space(here, others, None)
    sizes = Sizes(len(where.pre), len(where.post))
    found = edges(rule(name, n=3, kernel=KERNELS[0]), sizes, where)
    counts = (out_degrees if name == "spatial_indegree" else in_degrees)(found, sizes)
    weights = np.exp(-(others**2).sum(axis=1) / 800)
    assert chi_square(counts, 12_000 * weights / weights.sum()) < limit(11)


def test_partners_without_repeats_are_drawn_one_after_the_other_by_what_is_left():
    others, here = scattered(5, [60, 60]), np.zeros((6000, 2))
    where, sizes = Space(others, here, None), Sizes(5, 6000)
    found = edges(rule("spatial_indegree", n=2, kernel=KERNELS[0], multapses=False), sizes, where)
    w = np.exp(-(others**2).sum(axis=1) / 800)
    first, second = found.pre.reshape(-1, 2).T
    expected = np.array([[w[i] / w.sum() * w[j] / (w.sum() - w[i]) if i != j else 0 for j in range(5)] for i in range(5)])
    counts = np.bincount(first * 5 + second, minlength=25)
    off = ~np.eye(5, dtype=bool).ravel()
    assert not counts[~off].any()
    assert chi_square(counts[off], 6000 * expected.ravel()[off]) < limit(19)


def test_a_symmetric_rule_by_distance():
    points = SPACES["torus"].pre
    where, sizes = Space(points, points, (100.0, 50.0)), Sizes(60, 60, ((0, 0, 60),))
    of = rule("spatial", kernel=KERNELS[0], symmetric=True)
    found = edges(of, sizes, where)
    there = matrix(found, sizes)
    assert (there == there.T).all() and np.diag(there).all() and 200 < there.sum() < 3000
    assert of.impossible(Sizes(60, 60)) is not None
    up = found.pre <= found.post
    assert (found.entity == np.where(up, found.pre, found.post)).all()
    assert abs(there.sum() - of.expected(sizes, where)) < 4 * math.sqrt(2 * of.expected(sizes, where))


@pytest.mark.parametrize("pairs", [1, 100, 1000])
def test_how_many_pairs_are_looked_at_in_one_go_changes_no_edge(pairs, monkeypatch):
    where, sizes = SPACES["torus"], Sizes(60, 80)
    rules = [
        rule("spatial", kernel=KERNELS[0], mask=MASKS[1]),
        rule("spatial", kernel=KERNELS[1]),
        rule("spatial_indegree", n=4, kernel=KERNELS[0], mask=MASKS[1]),
        rule("spatial_indegree", n=4, kernel=KERNELS[0], mask=MASKS[1], multapses=False),
        rule("spatial_outdegree", n=4, kernel=KERNELS[1], multapses=False),
    ]
    whole = [edges(of, sizes, where) for of in rules]
    monkeypatch.setattr(space, "PAIRS", pairs)
    for of, before in zip(rules, whole, strict=True):
        assert same(edges(of, sizes, where), before)


@pytest.mark.parametrize("name", ["spatial_indegree", "spatial_outdegree"])
def test_too_few_within_reach_is_an_error(name):
    where, sizes = SPACES["line"], Sizes(60, 80)
    of = rule(name, n=100, kernel={"model": "box", "radius": "5 um"}, multapses=False)
    with pytest.raises(OutOfReach, match=r"neuron 0 of (pre|post) has [0-9]+ within reach, of which it is to draw 100"):
        edges(of, sizes, where)
    alone = Space(np.array([[0.0]]), np.array([[1e9]]), None)
    with pytest.raises(OutOfReach):
        edges(rule(name, n=1, kernel={"model": "gaussian", "sigma": "1 um"}), Sizes(1, 1), alone)
    assert len(edges(rule(name, n=0, kernel={"model": "box", "radius": "5 um"}), sizes, where).pre) == 0


# ---- networks --------------------------------------------------------------------------------------------------------

NET = """
    duration: 20 ms
    seed: 4
    precision: float64
    populations:
      S: {{model: poisson, size: 20, rate: 400 Hz, layout: {source}}}
      E: {{model: lif, size: 30, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF, layout: {layout}}}
    projections:
      x: {{pre: {pre}, post: E, connect: {connect}, weight: {weight}, delay: {delay}, synapse: {synapse}}}
    monitors:
      s: {{model: spikes, of: [S, E]}}
"""
USUAL = {
    "source": "{model: random, extent: [300 um, 200 um]}",
    "layout": "{model: grid, shape: [6, 5], spacing: 50 um}",
    "pre": "S",
    "connect": "{rule: fixed_prob, p: 0.5}",
    "weight": "2 mV",
    "delay": "1 ms",
    "synapse": "{model: delta}",
}


def net(tmp_path, **given):
    return load(tmp_path, NET.format(**{**USUAL, **given})).spec


def edges_of(spec, tmp_path):
    c = network.build(spec, tmp_path).projections["x"].connectivity
    return connect.collect(c)


def positions(spec, tmp_path):
    populations = network.build(spec, tmp_path).populations
    return populations["S"].places.points, populations["E"].places.points


@pytest.mark.parametrize(
    "connect_",
    ["{rule: fixed_prob, p: 0.5}", "{rule: all_to_all}", "{rule: fixed_indegree, n: 7}", "{rule: fixed_total, n: 90}",
     "{rule: pairs, pairs: [[0, 1], [5, 5]]}", "{rule: file, path: e.csv}", "{rule: pairwise_poisson, mean: 0.3}",
     "{rule: spatial, kernel: {model: box, radius: 100 um}}"],
)  # fmt: skip
def test_weights_and_delays_by_distance_go_with_any_rule(tmp_path, connect_):
    (tmp_path / "e.csv").write_text("pre,post\n3,4\n0,29\n3,4\n")
    given = {"connect": connect_, "pre": '"S[1:]"'}
    by_distance = {
        "weight": "{distance: {kernel: {model: gaussian, sigma: 80 um}, amplitude: 3 mV, base: -1 mV}}",
        "delay": "{distance: {velocity: 0.1 m/s, offset: 0.3 ms}}",
    }
    found, plain = (edges_of(net(tmp_path, **given, **more), tmp_path) for more in (by_distance, {}))
    assert sorted(zip(found.pre, found.post, strict=True)) == sorted(zip(plain.pre, plain.post, strict=True))
    source, target = positions(net(tmp_path), tmp_path)
    d = np.sqrt(((source[1:][found.pre] - target[found.post]) ** 2).sum(axis=1))
    np.testing.assert_allclose(found.weight, -1 + 3 * np.exp(-(d**2) / 12_800), rtol=1e-12)
    np.testing.assert_array_equal(found.delay, np.floor((0.3 + d / 100) / 0.1 + 0.5))
    assert len(found.pre) > 1 and len(set(found.delay)) > 1


def test_only_one_of_weight_and_delay_by_distance_leaves_the_draws_of_the_other(tmp_path):
    drawn = "{normal: {mean: 2 mV, std: 0.5 mV}}"
    delay = "{distance: {velocity: 0.1 m/s}}"
    one, other = (edges_of(net(tmp_path, weight=drawn, **given), tmp_path) for given in ({}, {"delay": delay}))
    assert sorted(one.weight) == sorted(other.weight)


def test_a_network_in_space_runs_alike_on_both_kernels_and_sends_by_distance(tmp_path, native):
    given = {
        "connect": "{rule: spatial, kernel: {model: gaussian, sigma: 90 um}, p0: 0.9}",
        "delay": "{distance: {velocity: 0.1 m/s, offset: 0.3 ms}}",
        "weight": "{distance: {kernel: {model: linear, radius: 200 um}, amplitude: 40 mV}}",
    }
    built = network.build(net(tmp_path, **given), tmp_path)
    one, other = (run_plan(lower.lower(built, kernel=name)) for name in ("native", "xla"))
    assert one.spikes == other.spikes and len(one.spikes["E"]) > 20


@pytest.mark.parametrize("pre", ["S", "[S, E]", '"E[3:20]"'])
def test_space_is_that_of_the_selections(tmp_path, pre):
    connect_ = "{rule: spatial, kernel: {model: box, radius: 70 um}}"
    spec = net(tmp_path, connect=connect_, pre=pre)
    source, target = positions(spec, tmp_path)
    first = {"S": source, "[S, E]": np.concatenate([source, target]), '"E[3:20]"': target[3:20]}[pre]
    near = np.sqrt(((first[:, None] - target[None]) ** 2).sum(axis=2)) <= 70
    found = edges_of(spec, tmp_path)
    assert sorted(zip(found.pre, found.post, strict=True)) == sorted(zip(*near.nonzero(), strict=True))
    assert estimate.estimate(spec, tmp_path).synapses["x"] == near.sum()
    assert outline.describe(spec, tmp_path)["pathways"][0]["synapses"] == near.sum()


def test_places_of_a_population_do_not_depend_on_others(tmp_path):
    one = positions(net(tmp_path), tmp_path)[0]
    other = positions(net(tmp_path, layout="{model: random, extent: [1 mm, 1 mm]}"), tmp_path)[0]
    assert (one == other).all()
    assert (one != positions(load(tmp_path, NET.format(**USUAL).replace("seed: 4", "seed: 5")).spec, tmp_path)[0]).all()


@pytest.mark.parametrize("columns", ["", ", columns: [x_mm, b_um]"])
def test_places_from_a_file(tmp_path, columns):
    rows = "\n".join(f"{0.01 * i},{2 * i},{3 * i},{4 * i}" for i in range(30))
    (tmp_path / "c.csv").write_text(f"x_mm,y_um,b_um,v_mV\n{rows}\n")
    spec = net(tmp_path, layout=f"{{model: file, file: c.csv{columns}}}")
    found = positions(spec, tmp_path)[1]
    second = 3.0 if columns else 2.0
    np.testing.assert_allclose(found, np.outer(np.arange(30), [10.0, second]))


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        ("a,b\n1,2\n", "", "no column 'x_um'"),
        ("x_um,x_mm\n1,2\n", "", "x_um and x_mm"),
        ("x_um,y_um\n1,2\n", "", "has 1 values, and there are 30 neurons"),
        ("x_um,y_um\n" + "1,2\n" * 29 + "1,nan\n", "", "y_um is nan in line 31"),
        ("x_um,y_mV\n" + "1,2\n" * 30, ", columns: [x_um, y_mV]", "is in mV, and a length is wanted"),
        ("x_um,y_um\n" + "1,2\n" * 30, ", extent: [1 mm], periodic: true", "extent has 1 lengths, and c.csv 2"),
    ],
)
def test_a_file_of_places_is_checked(tmp_path, text, more, words):
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(SpecError) as error:
        network.build(net(tmp_path, layout=f"{{model: file, file: c.csv{more}}}"), tmp_path)
    (fault,) = error.value.faults
    assert fault.path[:3] == ("populations", "E", "layout") and words in fault.message


SPATIAL = "{rule: spatial, kernel: {model: box, radius: 70 um}}"


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({"source": "null", "connect": SPATIAL}, ("projections", "x", "pre"), "S has no layout, and the rule spatial"),
        ({"layout": "null", "connect": SPATIAL}, ("projections", "x", "post"), "E has no layout"),
        ({"layout": "null", "delay": "{distance: {velocity: 0.3 m/s}}"}, ("projections", "x", "post"), "by distance"),
        ({"source": "{model: ball, radius: 1 mm}", "connect": SPATIAL}, ("projections", "x", "post"), "2 dimensions, and S in 3"),
        (
            {"source": "{model: random, extent: [1 mm, 1 mm], periodic: true}", "connect": SPATIAL},
            ("projections", "x", "post"),
            "S is periodic, and E is not",
        ),
        (
            {"source": "{model: random, extent: [1 mm, 1 mm], periodic: true}", "connect": SPATIAL,
             "layout": "{model: grid, shape: [6, 5], spacing: 50 um, periodic: true}"},
            ("projections", "x", "post"),
            "differ in extent",
        ),
        (
            {"connect": "{rule: spatial, kernel: {model: box, radius: 70 um}, mask: {model: box, extent: [1 um]}}"},
            ("projections", "x", "connect", "mask", "extent"),
            "1 lengths",
        ),
        ({"layout": "{model: grid, shape: [5, 5], spacing: 50 um}"}, ("populations", "E", "layout", "shape"), "25 places"),
        ({"layout": "{model: grid, shape: [6, 5], spacing: 50}"}, ("populations", "E", "layout", "spacing"), "needs a unit"),
        ({"layout": "{model: cube}"}, ("populations", "E", "layout", "model"), "unknown model"),
        ({"layout": "{model: grid, spacing: 5 um}"}, ("populations", "E", "layout"), "shape is missing"),
        ({"connect": "{rule: spatial, kernel: {model: gaussian, sigma: 0 um}}"},
         ("projections", "x", "connect", "kernel", "sigma"), "positive"),
        ({"connect": "{rule: spatial, kernel: {model: box, radius: 1e300 um}}"},
         ("projections", "x", "connect", "kernel", "radius"), "too large"),
        ({"layout": "{model: disc, radius: 1 um, centre: [1e300 um, 0 um]}"},
         ("populations", "E", "layout", "centre", 0), "too large"),
        ({"delay": "{distance: {velocity: 1e-300 m/s}}"}, ("projections", "x", "delay", "distance", "velocity"), "too small"),
        ({"connect": "{rule: spatial, kernel: {model: cosine}}"}, ("projections", "x", "connect", "kernel", "model"), "unknown"),
        ({"delay": "{distance: {velocity: 0.3 mm}}"}, ("projections", "x", "delay", "distance", "velocity"), "length"),
        ({"delay": "{distance: {velocity: 1 m/s, offset: -1 ms}}"},
         ("projections", "x", "delay", "distance", "offset"), "negative"),
        ({"weight": "{distance: {kernel: {model: box, radius: 1 mm}, amplitude: 1 nS}}"},
         ("projections", "x", "weight", "distance", "amplitude"), "is a voltage"),
        ({"weight": "{distanc: {}}"}, ("projections", "x", "weight", "distanc"), "no distribution"),
        ({"delay": "{distance: {velocity: 1 m/s}}", "connect": "{rule: fixed_prob, p: 0.5, storage: procedural}"},
         ("projections", "x", "connect", "storage"), "by distance"),
        ({"connect": SPATIAL.replace("spatial,", "spatial, storage: procedural,")},
         ("projections", "x", "connect", "storage"), "spatial"),
        ({"synapse": "{model: expon, tau: 1 ms}, output: {model: coba, E: 0 mV}",
          "weight": "{distance: {kernel: {model: box, radius: 1 mm}, amplitude: -2 nS, base: 1 nS}}"},
         ("projections", "x", "weight", "distance", "amplitude"), "base + amplitude"),
    ],
)  # fmt: skip
def test_bad_input_is_told_where_it_stands(tmp_path, given, path, words):
    with pytest.raises(SpecError) as error:
        net(tmp_path, **given)
    assert [(f.path, words in f.message) for f in error.value.faults] == [(path, True)]


def test_what_only_the_draw_can_show_is_told_of_the_projection(tmp_path):
    with pytest.raises(SpecError) as error:
        network.build(net(tmp_path, connect="{rule: spatial_indegree, n: 3, kernel: {model: box, radius: 1 um}}"), tmp_path)
    (fault,) = error.value.faults
    assert fault.path == ("projections", "x", "connect") and "within reach" in fault.message
    with pytest.raises(SpecError) as error:
        network.build(net(tmp_path, delay="{distance: {velocity: 0.01 um/s}}"), tmp_path)
    assert error.value.faults[0].path == ("projections", "x", "delay")


# ---- results ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A results file, and the positions of its two populations."""
    folder = tmp_path_factory.mktemp("run")
    text = NET.format(**{**USUAL, "source": "{model: ball, radius: 100 um}"}).replace("20 ms", "2 ms")
    loaded = load(folder, text.replace("projections:", "  quiet: {model: poisson, size: 2, rate: 1 Hz}\n    projections:"))
    run.simulate(run.Request(loaded, folder / "r.h5", [], plot=False))
    return folder / "r.h5", positions(loaded.spec, folder)


def test_positions_are_in_the_results(written):
    path, (source, target) = written
    with results.Results(path) as found:
        assert found.placed == {"S": 3, "E": 2}
        np.testing.assert_array_equal(found.positions("S"), source)
        np.testing.assert_array_equal(found.positions("E"), target)
        for name in ("quiet", "no"):
            with pytest.raises(results.ResultsError, match="no layout of a population .*those with one: S, E"):
                found.positions(name)
        found.verify()


def test_libsonata_reads_positions_of_nodes(written):
    libsonata = pytest.importorskip("libsonata")
    path, (source, _) = written
    storage = libsonata.NodeStorage(str(path))
    assert storage.population_names == {"S", "E"}
    nodes = storage.open_population("S")
    assert nodes.size == 20 and nodes.attribute_names == {"x", "y", "z"}
    for axis, values in zip("xyz", source.T, strict=True):
        np.testing.assert_array_equal(nodes.get_attribute(axis, nodes.select_all()), values)


@pytest.mark.parametrize("damage", ["length", "nan", "axes"])
def test_damaged_positions_are_refused(written, tmp_path, damage):
    path = tmp_path / "r.h5"
    path.write_bytes(written[0].read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["nodes/E/0"]
        values = group["x"][()]
        del group["x"]
        if damage == "axes":
            del group["y"]
        else:
            group["x"] = values[:3] if damage == "length" else values * np.nan
    with results.Results(path) as found, pytest.raises(results.ResultsError, match="damaged"):
        found.positions("E")


def test_info_shows_where_populations_extend_to(written):
    shown = CliRunner().invoke(cli.app, ["info", str(written[0])]).stdout
    assert "population  E  lif  30 neurons  on 250 um x 200 um" in shown
    facts = json.loads(CliRunner().invoke(cli.app, ["info", str(written[0]), "--json"]).stdout)
    assert facts["dimensions"] == {"S": 3, "E": 2}


@pytest.mark.parametrize("verb", [["validate"], ["plan"], ["simulate", "-q"]], ids=lambda verb: verb[0])
@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"connect": "{rule: blocks, p: {file: p.csv}}"}, "projections.x.connect.p.file: b is 2 in line 2 of p.csv"),
        ({"layout": "{model: file, file: p.csv, columns: [a_um]}", "delay": "{distance: {velocity: 1 m/s}}", "source":
          "{model: random, extent: [1 mm]}"}, "populations.E.layout.file: the column 'a_um' has 1 values"),
    ],
    ids=["matrix", "places"],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_told_at_its_place_by_every_command(tmp_path, monkeypatch, verb, given, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.csv").write_text("a_um,b\n0.1,2\n")
    (tmp_path / "net.yaml").write_text(textwrap.dedent(NET.format(**{**USUAL, **given})))
    done = CliRunner().invoke(cli.app, [*verb, "net.yaml"])
    assert done.exit_code == 2 and re.search(r"net.yaml:[0-9]+:[0-9]+: " + re.escape(place), done.output), done.output


def test_the_estimate_knows_how_far_back_delays_by_distance_reach(tmp_path):
    spec = net(tmp_path, delay="{distance: {velocity: 0.001 m/s, offset: 0.3 ms}}")
    found = edges_of(spec, tmp_path).delay.max() * 0.1
    assert found <= network.longest_delay(spec, "x", tmp_path) + 0.05 < 2 * found
    near = net(tmp_path, delay="{distance: {velocity: 0.001 m/s}}", connect=SPATIAL)
    assert network.longest_delay(near, "x", tmp_path) == 70


def test_kernels_without_an_end_on_many_pairs_are_warned_of(tmp_path):
    def warnings(more):
        given = {**USUAL, "layout": "{model: random, extent: [1 m, 1 m]}", "connect": f"{{rule: spatial, {more}}}", "pre": "E"}
        return load(tmp_path, NET.format(**given).replace("size: 30", "size: 50000")).warnings

    (warning,) = warnings("kernel: {model: gaussian, sigma: 1 mm}")
    assert warning.path == ("projections", "x", "connect") and "2.5e+09 pairs" in warning.message and "mask" in warning.hint
    assert not warnings("kernel: {model: gaussian, sigma: 1 mm}, mask: {model: circle, radius: 3 mm}")
    assert not warnings("kernel: {model: linear, radius: 1 mm}")
