"""Pictures of connectivity: what is behind them, degrees against theory, and that they are drawn of whatever there is."""

import numpy as np
import pytest
import yaml
from networks import load
from test_every_model import PLACES, TABLE
from test_export import DRAWN, PLASTIC, RULES, call, simulated, text_of

from snnrun import connectivity, export
from snnrun.connectivity import KINDS
from snnrun.models import connect


def drawn(folder, text, chosen=()):
    loaded = load(folder, text)
    return loaded, export.drawn(loaded.spec, loaded.document, list(chosen))


@pytest.mark.parametrize("rule", RULES)
def test_what_is_drawn_is_what_all_edges_say(tmp_path, rule):
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "places.csv").write_text(PLACES)
    from snnrun import network

    loaded, (one,) = drawn(tmp_path, text_of(rule), ["one"])
    found = connectivity.summarised(one)
    built = network.build(loaded.spec, tmp_path).projections["one"]
    edges = connect.collect(built.connectivity)
    assert found.edges == len(edges.pre) and found.unit == "pA"
    assert np.array_equal(found.out_degrees, np.bincount(edges.pre, minlength=built.connectivity.sizes.pre))
    assert np.array_equal(found.in_degrees, np.bincount(edges.post, minlength=built.connectivity.sizes.post))
    assert np.array_equal(np.sort(found.weights), np.sort(np.broadcast_to(edges.weight, found.edges)))
    values, counts = np.unique(np.broadcast_to(edges.delay * 0.1, found.edges), return_counts=True)
    assert found.delays == dict(zip(values.tolist(), counts.tolist(), strict=True))


SIZED = {
    "{rule: fixed_prob, p: 0.1}": True, "{rule: fixed_indegree, n: 60}": True, "{rule: fixed_outdegree, n: 60}": True,
    "{rule: fixed_indegree, n: 60, multapses: false}": True, "{rule: fixed_outdegree, n: 60, multapses: false}": True,
    "{rule: fixed_total, n: 90000}": True, "{rule: fixed_total, n: 90000, multapses: false}": False,
    "{rule: all_to_all}": False, "{rule: pairwise_poisson, mean: 0.1}": False,
}  # fmt: skip


@pytest.mark.parametrize("rule", SIZED)
def test_degrees_have_the_mean_and_the_variance_of_theory(tmp_path, rule):
    text = f"""
    duration: 1 ms
    populations:
      A: {{model: poisson, size: 1500, rate: 1 Hz}}
      B: {{model: lif, size: 900, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm}}
    projections:
      one: {{pre: A, post: B, connect: {rule}, weight: 1 mV, synapse: {{model: delta}}}}
    """
    loaded, (one,) = drawn(tmp_path, text)
    found, known = connectivity.summarised(one), loaded.spec.projections["one"].connect
    for side, degrees in (("out", found.out_degrees), ("in", found.in_degrees)):
        law = connectivity.expected(known, side, 1500, 900)
        assert (law is not None) == SIZED[rule]
        if law is None:
            continue
        mean, deviation = law
        n = len(degrees)
        assert abs(degrees.mean() - mean) <= 4 * deviation / np.sqrt(n) + 1e-9
        assert abs(degrees.var() - deviation**2) <= 4 * deviation**2 * np.sqrt(2 / n) + 1e-9, (side, degrees.std(), deviation)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_of_every_rule(tmp_path, kind):
    (tmp_path / "table.csv").write_text(TABLE)
    for rule in RULES:
        load(tmp_path, text_of(rule))
        done = call("plot", tmp_path / "net.yaml", "--kind", kind)
        assert done.exit_code == 0 and (tmp_path / f"net.{kind}.png").stat().st_size > 5000, (rule, done.output)
        (tmp_path / f"net.{kind}.png").unlink()


@pytest.mark.parametrize("kind", KINDS)
def test_networks_without_edges_with_one_neuron_or_with_many_projections_are_drawn(tmp_path, kind):
    tree = yaml.safe_load(text_of("fixed_prob"))
    one = tree["projections"]["one"]
    none = {**tree, "projections": {"one": {**one, "connect": {"rule": "fixed_prob", "p": 0}}}}
    alone = {**tree, "projections": {"one": {**one, "pre": "A[0]", "post": "A[0]", "connect": {"rule": "all_to_all"}}}}
    many = {**tree, "projections": {f"p{i}": one for i in range(15)}}
    for case in (none, alone, many):
        load(tmp_path, yaml.safe_dump(case, sort_keys=False))
        done = call("plot", tmp_path / "net.yaml", "--kind", kind, "-o", tmp_path / "picture.pdf")
        assert done.exit_code == 0, done.output
        assert ("the first 12 of 15 projections are drawn" in done.output) == (case is many and kind != "connectivity")


def test_weights_of_a_run_are_drawn_over_those_of_its_beginning(tmp_path, native):
    simulated(tmp_path, "run", PLASTIC.format(duration=50, rule="{rule: fixed_prob, p: 0.3}", values=DRAWN, some=""),
              "--set", "seed=4")  # fmt: skip
    (tmp_path / "run.h5").rename(tmp_path / "kept.h5")
    given = connectivity.load(tmp_path / "kept.h5", [])
    assert given.loaded.spec.seed == 4 and len(given.last["p"]) > 500
    figure, _ = connectivity.draw("weights", given, [])
    assert "at the end (line)" in figure.axes[0].get_xlabel()
    assert figure.get_suptitle() == "run"  # the name of the run, whatever its file is called
    done = call("plot", tmp_path / "kept.h5", "--kind", "weights")
    assert done.exit_code == 0 and (tmp_path / "kept.weights.png").exists()


def test_what_cannot_be_drawn_is_told(tmp_path):
    load(tmp_path, text_of("fixed_prob"))
    for options, said in (
        (
            ("--kind", "matrx"),
            "'matrx' is unknown: use summary, raster, rate, voltage, state, isi,",
        ),
        (("--kind", "connectivity", "--projection", "three"), "there is no projection 'three': there are: one, two"),
        (("--kind", "connectivity", "-o", tmp_path / "a.txt"), "does not say what kind of picture it is"),
        (("--kind", "connectivity", "--set", "projections.one.weight=1 mV"), "projections.one.weight"),
    ):
        done = call("plot", tmp_path / "net.yaml", *options)
        assert done.exit_code == 2 and said in done.output, done.output
    tree = yaml.safe_load(text_of("fixed_prob"))
    load(tmp_path, yaml.safe_dump({**tree, "projections": {}}, sort_keys=False))
    done = call("plot", tmp_path / "net.yaml", "--kind", "degrees")
    assert done.exit_code == 2 and "has no projections" in done.output
