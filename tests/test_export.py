"""Edges as files: a network that reads them fires as the one that drew them, and weights go on where they were."""

import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from networks import load, run_plan
from test_every_model import PLACES, TABLE, part, recurrent
from typer.testing import CliRunner

from snnrun import cli, explain, export, lower, network, results
from snnrun.models import connect

NET = """
duration: 60 ms
precision: float64
seed: 7
populations:
  A: {{size: 60, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm, {layout}
      I_e: {{uniform: {{low: 240 pA, high: 900 pA}}}}}}
  B: {{size: 50, model: lif, tau: 12 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm, I_e: 300 pA}}
projections:
  one:
    pre: {pre}
    post: {post}
    connect: {rule}
    weight: {weight}
    delay: {{uniform: {{low: 0 ms, high: 3 ms}}}}
    synapse: {synapse}
  two: {{pre: A, post: B, connect: {{rule: all_to_all}}, weight: 0.1 mV, delay: 1 ms, synapse: {{model: delta}}}}
monitors:
  s: {{model: spikes, of: [A, B]}}
"""
RULES = [rule for rule in connect._RULES]


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def text_of(rule, synapse="{model: expon, tau: 5 ms}", pre='["A[3:40]", "B[:20]"]', post='["B[10:]", A]'):
    given = {"fixed_outdegree": {"n": 5}, "scale_free": {"m": 3}, "blocks": {"pre_groups": [37, 20], "post_groups": [40, 60]},
             "pairs": {"pairs": [[0, 0], [56, 99], [5, 7], [5, 7]]}}  # fmt: skip
    own = part(explain.FORMS["connect"][rule], **given.get(rule, {}))
    if recurrent(own, 57, 100):
        pre = post = "A"
    weight = "{normal: {mean: 90 pA, std: 30 pA}}" if "delta" not in synapse else "{uniform: {low: 0.1 mV, high: 1 mV}}"
    layout = "layout: {model: random, extent: [60 um, 60 um]}," if own["rule"].startswith("spatial") else ""
    return NET.format(rule=json.dumps(own), synapse=synapse, pre=pre, post=post, weight=weight, layout=layout)


def spikes(folder, text, name="net.yaml"):
    return run_plan(lower.lower(network.build(load(folder, text, name).spec, folder), kernel="native")).spikes


def from_file(text, path, **more):
    tree = yaml.safe_load(text)
    one = tree["projections"]["one"]
    one["connect"] = {"rule": "file", "path": path}
    del one["weight"], one["delay"]
    one |= more
    return yaml.safe_dump(tree, sort_keys=False)


@pytest.mark.parametrize("suffix", ["csv", "npz"])
@pytest.mark.parametrize("rule", RULES)
def test_a_network_that_reads_the_edges_fires_as_the_one_that_drew_them(tmp_path, native, rule, suffix):
    (tmp_path / "table.csv").write_text(TABLE)
    (tmp_path / "places.csv").write_text(PLACES)
    text = text_of(rule)
    expected = spikes(tmp_path, text)
    done = call("export", "edges", tmp_path / "net.yaml", "--projection", "one", "-o", tmp_path / f"edges.{suffix}")
    assert done.exit_code == 0, done.output
    again = from_file(text, f"edges.{suffix}")
    assert spikes(tmp_path, again, "again.yaml") == expected and expected["A"]
    built = network.build(load(tmp_path, text).spec, tmp_path).projections["one"].connectivity
    assert f"one: {len(connect.collect(built).pre):,} synapses" in done.output and len(connect.collect(built).pre)


def test_edges_of_delta_synapses_and_of_a_seed_and_an_override(tmp_path, native):
    text = text_of("fixed_prob", "{model: delta}")
    load(tmp_path, text)
    options = ("--projection", "one", "--seed", 9, "--set", "projections.one.connect.p=0.2")
    assert call("export", "edges", tmp_path / "net.yaml", "-o", tmp_path / "edges.npz", *options).exit_code == 0
    changed = text.replace("seed: 7", "seed: 9").replace('"p": 0.5', '"p": 0.2')
    assert changed != text
    assert spikes(tmp_path, from_file(changed, "edges.npz"), "again.yaml") == spikes(tmp_path, changed)


def test_sonata_has_all_projections_between_populations(tmp_path, native):
    text = text_of("fixed_prob")
    load(tmp_path, text)
    assert call("export", "edges", tmp_path / "net.yaml", "-o", tmp_path / "all.h5").exit_code == 0
    built = network.build(load(tmp_path, text).spec, tmp_path).projections["one"]
    edges = connect.collect(built.connectivity)
    whole = [np.concatenate([np.arange(p.start, p.stop) for p in parts]) for parts in (built.pre, built.post)]
    names = [np.repeat([p.population for p in parts], [p.size for p in parts]) for parts in (built.pre, built.post)]
    total = 0
    with h5py.File(tmp_path / "all.h5") as file:
        assert set(file["edges"]) == {"one_A_A", "one_A_B", "one_B_A", "one_B_B", "two"}
        for pre, post in itertools.product("AB", "AB"):
            group = file[f"edges/one_{pre}_{post}"]
            assert group["source_node_id"].attrs["node_population"] == pre
            mine = (names[0][edges.pre] == pre) & (names[1][edges.post] == post)
            assert np.array_equal(group["source_node_id"][()], whole[0][edges.pre[mine]])
            assert np.array_equal(group["target_node_id"][()], whole[1][edges.post[mine]])
            assert np.array_equal(group["0/syn_weight"][()], edges.weight[mine])
            assert np.array_equal(group["0/delay"][()], edges.delay[mine] * 0.1)
            assert np.array_equal(group["edge_group_index"][()], np.arange(mine.sum()))
            total += mine.sum()
        assert file["edges/two/0/syn_weight"].attrs["units"] == "mV" and len(file["edges/two/source_node_id"]) == 3000
    assert total == len(edges.pre)
    tree = yaml.safe_load(text)
    pairs = {f"one_{pre}_{post}": (pre, post) for pre, post in itertools.product("AB", "AB")}
    apart = {
        name: {"pre": pre, "post": post, "connect": {"rule": "file", "path": "all.h5", "population": name},
               "synapse": {"model": "expon", "tau": "5 ms"}}
        for name, (pre, post) in pairs.items()
    }  # fmt: skip
    tree["projections"] = apart | {"two": tree["projections"]["two"]}
    assert spikes(tmp_path, yaml.safe_dump(tree, sort_keys=False), "again.yaml") == spikes(tmp_path, text)


PLASTIC = """
duration: {duration} ms
precision: float64
populations:
  A: {{size: 60, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 40 MOhm,
      I_e: {{uniform: {{low: 240 pA, high: 900 pA}}}}}}
projections:
  p: {{pre: "A[5:]", post: A, connect: {rule}, {values} synapse: {{model: expon, tau: 5 ms}},
      stdp: {{A_plus: 1 pA, A_minus: 1 pA, tau_plus: 20 ms, tau_minus: 20 ms, w_max: 60 pA}}}}
monitors: {{w: {{model: weights, of: p{some}}}, s: {{model: spikes, of: A}}}}
"""
DRAWN = "weight: {uniform: {low: 0 pA, high: 60 pA}}, delay: {uniform: {low: 0.1 ms, high: 2 ms}},"


def simulated(folder, name, text, *options):
    (folder / f"{name}.yaml").write_text(text)
    done = call("simulate", folder / f"{name}.yaml", "-o", folder / f"{name}.h5", "--no-plot", "-q", *options)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("suffix", ["csv", "npz"])
def test_another_network_begins_with_the_weights_of_a_run(tmp_path, native, suffix):
    simulated(tmp_path, "first", PLASTIC.format(duration=80, rule="{rule: fixed_prob, p: 0.3}", values=DRAWN, some=""))
    done = call("export", "weights", tmp_path / "first.h5", "-o", tmp_path / f"learnt.{suffix}")
    assert done.exit_code == 0 and "weights -> " in done.output
    again = PLASTIC.format(duration=0.1, rule=f"{{rule: file, path: learnt.{suffix}}}", values="", some="")
    simulated(tmp_path, "second", again)
    with results.Results(tmp_path / "first.h5") as first, results.Results(tmp_path / "second.h5") as second:
        learnt, begun = first.weights("w"), second.weights("w")
    for field in ("pre", "post", "delay", "last"):
        assert np.allclose(getattr(begun, field), getattr(learnt, field), rtol=1e-12, atol=0), field
    assert np.ptp(learnt.last) > 20


def test_weights_that_are_not_all_there_are_not_written(tmp_path, native):
    text = PLASTIC.format(duration=5, rule="{rule: fixed_prob, p: 0.3}", values=DRAWN, some=", synapses: 10")
    simulated(tmp_path, "some", text)
    said = call("export", "weights", tmp_path / "some.h5")
    assert said.exit_code == 2 and "w has 10 of " in said.output and "leave out `synapses`" in said.output
    simulated(tmp_path, "none", text.replace("w: {model: weights, of: p, synapses: 10}, ", ""))
    said = call("export", "weights", tmp_path / "none.h5")
    assert said.exit_code == 2 and "has no monitors of weights" in said.output
    said = call("export", "weights", tmp_path / "some.h5", "--monitor", "v")
    assert said.exit_code == 2 and "has no monitor of weights 'v'" in said.output and "there are: w" in said.output


def test_what_cannot_be_written_is_told(tmp_path):
    load(tmp_path, text_of("fixed_prob"))
    file = tmp_path / "net.yaml"
    for options, said in (
        (("-o", tmp_path / "e.txt"), "is no name of a file of edges: use .csv, .npz or .h5"),
        (("-o", tmp_path / "e.csv"), "a .csv file has one projection, and there are one, two"),
        (("--projection", "three"), "there is no projection 'three': there are: one, two"),
        (("-o", tmp_path / "nowhere" / "e.h5"), "nowhere"),
        (("--set", "projections.one.weight={normal: {mean: 1 mV, std: 1 mV}}"), "projections.one.weight"),
    ):
        found = call("export", "edges", file, *options)
        assert found.exit_code == 2 and said in found.output, found.output
    (tmp_path / "there.h5").write_text("mine")
    found = call("export", "edges", file, "-o", tmp_path / "there.h5")
    assert found.exit_code == 2 and "exists already" in found.output and (tmp_path / "there.h5").read_text() == "mine"
    assert call("export", "edges", file, "-o", tmp_path / "there.h5", "--overwrite").exit_code == 0
    assert h5py.is_hdf5(tmp_path / "there.h5")


@pytest.mark.parametrize("suffix", ["csv", "npz", "h5"])
def test_a_failure_leaves_what_was_there(tmp_path, suffix):
    """At any of the pieces, whatever fails."""
    (tmp_path / f"edges.{suffix}").write_text("mine")
    piece = export.Piece(np.arange(5), np.arange(5), np.ones(5), np.ones(5))
    parts = load(tmp_path, text_of("fixed_prob")).spec

    for reached in range(3):

        def pieces(reached=reached):
            yield from [piece] * reached
            raise OSError(28, "No space left on device")

        from snnrun.selections import Part

        one = export.Drawn("one", [Part("A", range(60))], [Part("A", range(60))], "mV", pieces)
        with pytest.raises(OSError):
            export.write([one], tmp_path / f"edges.{suffix}", overwrite=True)
        assert (tmp_path / f"edges.{suffix}").read_text() == "mine"
        assert {path.name for path in Path(tmp_path).iterdir()} == {f"edges.{suffix}", "net.yaml"}
    assert parts


def test_libsonata_reads_the_edges(tmp_path):
    libsonata = pytest.importorskip("libsonata")
    load(tmp_path, text_of("fixed_prob"))
    assert call("export", "edges", tmp_path / "net.yaml", "-o", tmp_path / "all.h5").exit_code == 0
    storage = libsonata.EdgeStorage(str(tmp_path / "all.h5"))
    edges = storage.open_population("two")
    assert storage.population_names == {"one_A_A", "one_A_B", "one_B_A", "one_B_B", "two"} and edges.size == 3000
    assert (edges.source, edges.target) == ("A", "B")
    chosen = libsonata.Selection([0, 7, 2999])
    assert list(edges.get_attribute("syn_weight", chosen)) == [0.1] * 3 and list(edges.get_attribute("delay", chosen)) == [1] * 3
    assert list(edges.source_nodes(chosen)) == [0, 0, 59] and list(edges.target_nodes(chosen)) == [0, 7, 49]
