# ruff: noqa: E501
"""SONATA circuits in and out: what bmtk and NEST make of the same files, round trips bit for bit, and what cannot be read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from networks import load, run_plan
from typer.testing import CliRunner

from snnrun import check, cli, lower, network
from snnrun.convert import (
    netfile,
    sonata_circuit,
    sonata_config,
    sonata_export,
    sonata_import,
    sonata_inputs,
    sonata_output,
    templates,
)
from snnrun.convert.problems import Inconvertible
from snnrun.tables import TableError

ZOO = Path(__file__).parent / "sonata"
# scripts/references/sonata_bmtk.py has these in the same order; those that NEST steps as snnrun does, and the others
SAME = ["alpha", "exp", "exp2", "delta", "izhikevich", "mat2", "exp_multi", "alpha_multi"]
NAMES = ["alpha", "exp", "exp2", "delta", "cond_alpha", "cond_exp", "aeif_psc_alpha", "aeif_psc_exp", "aeif_psc_delta",
         "aeif_cond_alpha", "aeif_cond_exp", "izhikevich", "mat2", "hh", "hh_traub", "exp_multi", "alpha_multi", "glif3", "glif5",
         "glif_cond", "glif_lif_asc"]  # fmt: skip


def run(path, **options):
    loaded = check.load(path)
    return run_plan(lower.lower(network.build(loaded.spec, path.parent), **options))


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def refused(config, folder):
    with pytest.raises(Inconvertible) as error:
        sonata_import.convert(config, folder / "net.yaml")
    assert not (folder / "net.yaml").exists()
    return str(error.value)


# ---- against NEST ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The network file of the circuit that bmtk built, and what it does: spikes and V of each node."""
    folder = tmp_path_factory.mktemp("zoo")
    made = sonata_import.convert(ZOO / "simulation_config.json", folder / "net.yaml")
    assert (made.neurons, made.notes) == (54, [])
    recorded = run(folder / "net.yaml")
    out = sonata_output.Output(folder / "net.yaml")
    circuit = sonata_circuit.read(sonata_config.read(ZOO / "simulation_config.json"), out)
    spikes, V = {}, {}
    for group in circuit.groups["cells"]:
        for index, node in enumerate(group.nodes.tolist()):
            spikes[node] = [step * 0.1 for step, neuron in recorded.spikes[group.name] if neuron == index]
            V[node] = recorded.samples["potential", group.name, "V"][1:, index]
    return folder / "net.yaml", spikes, V


def theirs(node):
    reference = np.load(ZOO / "reference.npz")
    return reference["time"][reference["node"] == node], reference["V"][node]


@pytest.mark.parametrize("node", [node for node in range(42) if NAMES[node % 21] in SAME])
def test_spikes_and_V_are_those_of_NEST(zoo, node):
    times, V = theirs(node)
    np.testing.assert_allclose(zoo[1][node], times, atol=1e-9)
    own = zoo[2][node]
    np.testing.assert_allclose(own, V[: len(own)], atol=1e-5)


@pytest.mark.parametrize("node", [node for node in range(42) if NAMES[node % 21] not in SAME])
def test_other_templates_are_near_NEST(zoo, node):
    """Conductances are of first order here; Hodgkin-Huxley neurons are stamped earlier."""
    times, V = theirs(node)
    own = zoo[2][node]
    assert abs(len(zoo[1][node]) - len(times)) <= 1
    assert np.median(np.abs(own - V[: len(own)])) < (0.4 if "cond" in NAMES[node % 21] else 0.02)
    if len(times) == len(zoo[1][node]) and "hh" in NAMES[node % 21]:
        assert np.all(np.abs(np.array(zoo[1][node]) - times) < 0.6)


def test_there_are_spikes_to_compare():
    counts = np.bincount(np.load(ZOO / "reference.npz")["node"], minlength=42)
    assert all(counts[NAMES.index(name)] + counts[21 + NAMES.index(name)] > 1 for name in SAME if name != "mat2")


def test_the_network_file_refers_to_the_edges(zoo):
    tree = yaml.safe_load(zoo[0].read_text())
    paths = {entry["connect"]["path"] for entry in tree["projections"].values()}
    assert {Path(zoo[0].parent / path).resolve() for path in paths} == {
        ZOO / "network" / f"{x}_cells_edges.h5" for x in ("cells", "source")
    }
    with h5py.File(zoo[0].parent / "net.data.h5") as file:
        assert not any("edge" in name for name in file)
    exp = tree["populations"]["cells_iaf_psc_exp"]
    assert exp["tau_ref"] == "2 ms" and exp["tau"]["column"] == "cells_iaf_psc_exp/tau_ms"
    assert tree["populations"]["cells_iaf_psc_alpha"]["tau_ref"] == "2.1 ms"  # 2.04 ms: NEST's count is rounded up
    assert "# nest:iaf_psc_exp of the population cells" in zoo[0].read_text()


def test_the_circuit_of_bmtk_as_it_is_built_now(tmp_path):
    """The fixture is what bmtk's builder writes, also of another version."""
    builder = pytest.importorskip("bmtk.builder")
    net = builder.NetworkBuilder("net")
    net.add_nodes(N=4, model_type="point_neuron", model_template="nest:iaf_psc_exp", x=np.arange(4.0), y=np.zeros(4))
    net.add_edges(connection_rule=2, syn_weight=3.0, delay=1.5, model_template="static_synapse")
    net.build()
    net.save(output_dir=str(tmp_path / "network"))
    config = {"networks": {"nodes": [{"nodes_file": "network/net_nodes.h5", "node_types_file": "network/net_node_types.csv"}],
                           "edges": [{"edges_file": "network/net_net_edges.h5", "edge_types_file": "network/net_net_edge_types.csv"}]}}  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(config))
    made = sonata_import.convert(tmp_path / "c.json", tmp_path / "net.yaml")
    assert made.neurons == 4 and made.synapses == 16 and check.load(tmp_path / "net.yaml")
    edges = network.build(check.load(tmp_path / "net.yaml").spec, tmp_path).projections["net_to_net_exc"].connectivity
    np.testing.assert_array_equal(edges.weight, 6.0)  # nsyns counts the weight


# ---- there and back --------------------------------------------------------------------------------------------------

HEAD = "duration: 60 ms\nseed: 5\nprecision: {precision}\n"
LIF = "model: lif, tau: 11.3 ms, V_rest: -65 mV, V_reset: -64 mV, V_th: -50 mV, tau_ref: 1.5 ms"
NETS = {
    "currents": (f"""
populations:
  P: {{size: 40, model: poisson, rate: 90 Hz}}
  E: {{size: 30, {LIF}, R: 83 MOhm, init: {{V: {{uniform: {{low: -64 mV, high: -51 mV}}}}}}, layout: {{model: random, extent: [90 um, 80 um]}}}}
  I: {{size: 9, {LIF}, C: {{uniform: {{low: 150 pF, high: 250 pF}}}}}}
inputs:
  always: {{model: constant, to: [E, I], current: 120 pA}}
  once: {{model: constant, to: "E[3:9]", current: 70 pA, start: 20 ms, stop: 30.5 ms}}
  noise: {{model: ou_noise, to: I, std: 30 pA, tau: 4 ms}}
  rain: {{model: poisson, to: I, rate: 900 Hz, weight: 25 pA, synapse: {{model: expon, tau: 3 ms}}}}
projections:
  in: {{pre: P, post: [E, I], connect: {{rule: fixed_prob, p: 0.3}}, weight: 90 pA, delay: 1.5 ms, synapse: {{model: expon, tau: 3 ms}}}}
  rec: {{pre: [E, I], post: [E, I], connect: {{rule: fixed_indegree, n: 6}}, weight: {{normal: {{mean: 20 pA, std: 60 pA}}}}, delay: {{uniform: {{low: 0.5 ms, high: 3 ms}}}}, synapse: {{model: expon, tau: 3 ms}}}}
""", {"E": "nest:iaf_psc_exp", "I": "nest:iaf_psc_exp"}),
    "conductances": (f"""
populations:
  S: {{size: 12, model: spike_times, times: [3 ms, 9.5 ms, 22 ms], start: 4 ms}}
  E: {{size: 20, {LIF}, R: 71 MOhm, I_e: 190 pA}}
projections:
  in: {{pre: S, post: E, connect: {{rule: all_to_all}}, weight: 2 nS, delay: 0.5 ms, synapse: {{model: alpha, tau: 2.2 ms}}, output: {{model: coba, E: 0 mV}}}}
  inh: {{pre: E, post: E, connect: {{rule: fixed_prob, p: 0.4}}, weight: 5 nS, delay: 1 ms, synapse: {{model: alpha, tau: 6 ms}}, output: {{model: coba, E: -77 mV}}}}
""", {"E": "nest:iaf_cond_alpha"}),
    "several": (f"""
populations:
  S: {{size: 12, model: regular, period: {{uniform: {{low: 4 ms, high: 9 ms}}}}}}
  A: {{size: 8, {LIF}, C: 180 pF}}
  D: {{size: 8, {LIF}, C: 180 pF, I_e: 260 pA, refractory_input: true}}
  G: {{size: 8, model: glif3}}
  X: {{size: 8, model: adex, set: adapting, I_e: 400 pA}}
  Z: {{size: 8, model: izhikevich, set: CH, I_e: 7 pA}}
  H: {{size: 4, model: hh, I_e: 700 pA}}
  F: {{size: 4, {LIF}, C: 180 pF, I_e: 280 pA, noise: 0.5 mV/ms^(1/2)}}
projections:
  one: {{pre: S, post: A, connect: {{rule: all_to_all}}, weight: 70 pA, delay: 1 ms, synapse: {{model: expon, tau: 2 ms}}}}
  two: {{pre: S, post: A, connect: {{rule: all_to_all}}, weight: 30 pA, delay: 2 ms, synapse: {{model: expon, tau: 9 ms}}}}
  three: {{pre: S, post: [D, Z], connect: {{rule: fixed_prob, p: 0.5}}, weight: 0.7 mV, delay: 1 ms, synapse: {{model: delta}}, stp: {{U: 0.3, tau_d: 90 ms, tau_f: 20 ms}}}}
  four: {{pre: A, post: G, connect: {{rule: all_to_all}}, weight: 40 pA, delay: 1 ms, synapse: {{model: alpha, tau: 2.5 ms}}}}
  five: {{pre: A, post: X, connect: {{rule: all_to_all}}, weight: 9 nS, delay: 1 ms, synapse: {{model: nmda}}, output: {{model: mg_block, E: 0 mV}}}}
  six: {{pre: D, post: F, connect: {{rule: all_to_all}}, weight: 60 pA, delay: 1 ms, synapse: {{model: dual_expon, tau_rise: 1 ms, tau_decay: 5 ms}}}}
  seven: {{pre: S, post: H, connect: {{rule: all_to_all}}, weight: {{uniform: {{low: 10 pA, high: 30 pA}}}}, synapse: {{model: expon, tau: 5 ms}}, stdp: {{A_plus: 2 pA, A_minus: 2 pA, tau_plus: 20 ms, tau_minus: 20 ms, w_max: 40 pA}}}}
""", {"A": "nest:iaf_psc_exp_multisynapse", "D": "nest:iaf_psc_delta", "G": "nest:glif_psc", "X": "nest:aeif_psc_exp",
      "Z": "nest:izhikevich", "H": "snnrun:hh", "F": "snnrun:lif"}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "precision"), [("currents", "float32"), ("currents", "float64"), ("conductances", "float32"), ("several", "float64")]
)
def test_a_network_comes_back_bit_for_bit(tmp_path, name, precision):
    text, expected = NETS[name]
    receiving = list(expected)
    watched = f"monitors:\n  spikes: {{model: spikes, of: [{', '.join(receiving)}]}}\n  V: {{model: state, of: {receiving[0]}, variables: [V]}}\n"
    loaded = load(tmp_path, HEAD.format(precision=precision) + text + watched)
    made = sonata_export.write(loaded, tmp_path / "circuit")
    assert made.templates == expected
    shutil.move(tmp_path / "net.yaml", tmp_path / "first.yaml")
    sonata_import.convert(tmp_path / "circuit" / "simulation_config.json", tmp_path / "net.yaml")
    before, after = run(tmp_path / "first.yaml"), run(tmp_path / "net.yaml")
    assert before.spikes == after.spikes and min(map(len, before.spikes.values())) > 3
    (kept,) = [values for key, values in after.samples.items() if key[1] == receiving[0]]
    # in float32 the unit of weights follows from their bounds, which a distribution and a file of what it has drawn do not share
    close = np.testing.assert_array_equal if precision == "float64" else np.testing.assert_allclose
    close(before.samples["V", receiving[0], "V"], kept, **({} if precision == "float64" else {"atol": 1e-4}))


def test_libsonata_opens_what_is_written(tmp_path):
    libsonata = pytest.importorskip("libsonata")
    loaded = load(tmp_path, HEAD.format(precision="float32") + NETS["currents"][0])
    sonata_export.write(loaded, tmp_path / "circuit")
    circuit = libsonata.CircuitConfig.from_file(str(tmp_path / "circuit" / "circuit_config.json"))
    assert circuit.node_populations == {"P", "E", "I"}
    nodes, edges = circuit.node_population("E"), circuit.edge_population("rec_I_E")
    assert nodes.size == 30 and nodes.attribute_names == {"x", "y"} and "V_m" in nodes.dynamics_attribute_names
    with h5py.File(tmp_path / "circuit" / "network" / "rec_edges.h5") as file:
        target = file["edges/rec_I_E/target_node_id"][()]
    found = edges.afferent_edges([4, 7]).flatten()
    assert sorted(found) == np.flatnonzero(np.isin(target, [4, 7])).tolist()


def test_a_mixed_population_of_sources_and_neurons(tmp_path):
    """Nodes that take turns, of which some are virtual: selections, spikes and edges are mapped."""
    folder = small(tmp_path, kinds=[100, 101, 100, 101, 102])
    types = "node_type_id model_type model_template dynamics_params\n100 virtual NULL NULL\n101 point_neuron nest:iaf_psc_delta NULL\n102 point_process nest:izhikevich NULL\n"
    (folder / "node_types.csv").write_text(types)
    sonata_import.convert(folder / "simulation_config.json", tmp_path / "net.yaml")
    tree = yaml.safe_load((tmp_path / "net.yaml").read_text())
    assert {name: entry["size"] for name, entry in tree["populations"].items()} == {
        "a_virtual": 2,
        "a_iaf_psc_delta": 2,
        "a_izhikevich": 1,
    }
    recorded = run(tmp_path / "net.yaml")
    built = network.build(check.load(tmp_path / "net.yaml").spec, tmp_path)
    found = {}
    for projection in built.projections.values():
        of = {"a_virtual": [0, 2], "a_iaf_psc_delta": [1, 3], "a_izhikevich": [4]}
        pre = [node for part in projection.pre for node in of[part.population][part.start : part.stop]]
        post = [node for part in projection.post for node in of[part.population][part.start : part.stop]]
        listed = projection.connectivity.listed
        found |= {(pre[i], post[j]): w for i, j, w in zip(*listed, projection.connectivity.weight, strict=True)}
    assert found == {(0, 1): 30.0, (2, 3): -4.0, (1, 4): 5.0}
    assert recorded.spikes["a_iaf_psc_delta"] == [
        (22, 0)
    ]  # 1.03 ms of node 0 is the step of 1.1 ms, and 1.1 ms its way to node 1


# ---- what cannot be read ---------------------------------------------------------------------------------------------


def small(
    tmp_path, kinds=(100, 100, 100, 100, 100), ids=None, edges=((0, 2, 1), (1, 3, 4)), weights=(30.0, -4.0, 5.0), **changes
):
    """A circuit with one population, a, and its files."""
    folder = tmp_path / "small"
    folder.mkdir()
    with h5py.File(folder / "nodes.h5", "w") as file:
        file["nodes/a/node_type_id"] = list(kinds)
        file["nodes/a/node_id"] = list(range(len(kinds)) if ids is None else ids)
        file["nodes/a/node_group_id"], file["nodes/a/node_group_index"] = np.zeros(len(kinds), int), np.arange(len(kinds))
        file.create_group("nodes/a/0")
    with h5py.File(folder / "edges.h5", "w") as file:
        group = file.create_group("edges/a_to_a")
        for name, values in zip(("source_node_id", "target_node_id"), edges, strict=True):
            group[name] = list(values)
            group[name].attrs["node_population"] = "a"
        group["edge_type_id"] = [100] * len(edges[0])
        group["0/syn_weight"] = list(weights)
    with h5py.File(folder / "spikes.h5", "w") as file:
        file["spikes/a/node_ids"], file["spikes/a/timestamps"] = [0, 2], [1.03, 2.5]
    (folder / "node_types.csv").write_text("node_type_id model_type model_template\n100 point_neuron nest:iaf_psc_delta\n")
    (folder / "edge_types.csv").write_text("edge_type_id model_template delay\n100 static_synapse 1.1\n")
    circuit = {"networks": {"nodes": [{"nodes_file": "nodes.h5", "node_types_file": "node_types.csv"}],
                            "edges": [{"edges_file": "edges.h5", "edge_types_file": "edge_types.csv"}]}}  # fmt: skip
    (folder / "circuit_config.json").write_text(json.dumps(circuit | changes.pop("circuit", {})))
    simulation = {"network": "circuit_config.json", "run": {"tstop": 10.0, "dt": 0.1},
                  "inputs": {"s": {"input_type": "spikes", "module": "h5", "input_file": "spikes.h5", "node_set": "virtual"}}}  # fmt: skip
    (folder / "simulation_config.json").write_text(json.dumps(simulation | changes))
    return folder


def nodes_of(text):
    return lambda folder: (folder / "node_types.csv").write_text(text)


def types_of(text):
    return lambda folder: (folder / "edge_types.csv").write_text(text)


def without(name):
    return lambda folder: (folder / name).unlink()


ROW = "node_type_id model_type model_template dynamics_params\n100 "
BROKEN = {
    "no file": (without("edges.h5"), "circuit_config.json: networks.edges[0]: there is no file"),
    "no json": (lambda f: (f / "circuit_config.json").write_text('{"networks": ,}'), "circuit_config.json:1:14: this is no JSON"),
    "no variable": (lambda f: (f / "circuit_config.json").write_text('{"networks": {"nodes": [{"nodes_file": "$X/n.h5"}]}}'),
                    "the variable $X of '$X/n.h5' is not in the manifest"),
    "biophysical": (nodes_of(ROW + "biophysical ctdb:Biophys1.hoc x.json\n"),
                    "node_types.csv, line 2: node type 100 is a biophysical neuron (ctdb:Biophys1.hoc)"),
    "template": (nodes_of(ROW + "point_neuron nest:iaf_tum_2000 NULL\n"),
                 "line 2: node type 100: there is no counterpart of the model_template 'nest:iaf_tum_2000': of NEST's there are iaf_psc"),
    "type": (nodes_of("node_type_id model_type model_template\n101 virtual NULL\n"),
             "there is no node type 100, which node 0 of 'a' in nodes.h5 is of: there are 101"),
    "no folder": (nodes_of(ROW + "point_neuron nest:iaf_psc_exp p.json\n"), "add point_neuron_models_dir: the folder of p.json"),
    "parameter": (nodes_of("node_type_id,model_type,model_template,dynamics_params\n"
                           '100,point_neuron,nest:iaf_psc_exp,"{""tau"": 3}"\n'), "nest:iaf_psc_exp has no parameter 'tau'"),
    "value": (nodes_of("node_type_id,model_type,model_template,dynamics_params\n"
                       '100,point_neuron,nest:iaf_psc_exp,"{""delta"": 3}"\n'), "delta of nest:iaf_psc_exp is 3"),
    "function": (types_of("edge_type_id weight_function\n100 gaussian\n"), "the weight_function 'gaussian' in line 2 of edge_types.csv is code"),
    "synapse": (types_of("edge_type_id model_template\n100 stdp_synapse\n"),
                "edge_types.csv, line 2: the model_template of edge type 100 is 'stdp_synapse'"),
    "edge type": (types_of("edge_type_id model_template\n103 static_synapse\n"), "edge type 100 is not in edge_types.csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_named(tmp_path, name):
    folder = small(tmp_path, inputs={})
    change, expected = BROKEN[name]
    change(folder)
    assert expected in refused(folder / "simulation_config.json", tmp_path)


@pytest.mark.parametrize(("given", "expected"), [
    ({"edges": ((0, 9), (1, 3)), "weights": (1.0, 1.0)}, "source_node_id is 9 at index 1 of edges.h5: the population 'a' has 5 nodes"),
    ({"ids": [0, 1, 2, 3, 7]}, "node_id of 'a' in nodes.h5 is not 0, 1, 2, ...: 7 stands where 4 is wanted"),
    ({"run": {"tstop": -1, "dt": 0.1}}, "simulation_config.json: run.tstop: this is -1"),
    ({"inputs": {"s": {"input_type": "spikes", "module": "h5", "node_set": "a"}}}, "inputs.s: these spikes reach no virtual nodes"),
    ({"inputs": {"s": {"input_type": "voltage_clamp", "module": "SEClamp", "node_set": "a"}}}, "the module 'SEClamp' is not known"),
    ({"inputs": {"i": {"input_type": "current_clamp", "module": "IClamp", "node_set": "b", "amp": 1, "delay": 1, "duration": 1}}},
     "inputs.i: there is no node set 'b': there are a, all"),
    ({"inputs": {"i": {"input_type": "current_clamp", "module": "IClamp", "node_set": {"population": "a", "node_id": [5]},
                       "amp": 1, "delay": 1, "duration": 1}}}, "there is no node 5 in 'a', which has 5"),
])  # fmt: skip
def test_bad_values_are_named(tmp_path, given, expected):
    folder = small(tmp_path, **({"inputs": {}} | given))
    assert expected in refused(folder / "simulation_config.json", tmp_path)


def edges_of(change):
    def rewrite(folder):
        types_of("edge_type_id model_template\n100 static_synapse\n")(folder)
        with h5py.File(folder / "edges.h5", "a") as file:
            change(file["edges/a_to_a"])

    return rewrite


def part_of_delays(group):
    group["edge_group_id"], group["edge_group_index"], group["1/syn_weight"], group["1/delay"] = (
        [0, 0, 1],
        [0, 1, 0],
        [2.0],
        [1.5],
    )


def from_nowhere(group):
    del group["source_node_id"]
    group["source_node_id"] = [0, -1, 1]
    group["source_node_id"].attrs["node_population"] = "a"


def trains(text):
    entry = {"input_type": "spikes", "module": "csv", "input_file": "s.csv", "node_set": "virtual"}
    return {"s.csv": text}, {"inputs": {"s": entry}}


def two_populations(folder):
    """A second population, b, of three virtual nodes; those of a that are of type 101 are virtual as well."""
    with h5py.File(folder / "nodes.h5", "a") as file:
        file["nodes/b/node_type_id"] = [200, 200, 200]
        file.create_group("nodes/b/0")
    nodes_of(ROW + "point_neuron nest:iaf_psc_delta NULL\n101 virtual NULL NULL\n200 virtual NULL NULL\n")(folder)


@pytest.mark.parametrize(("change", "given", "expected"), [
    (edges_of(part_of_delays), {}, "the edge (edge type 100) in group 0 at index 0 of edges.h5 has no delay"),
    (edges_of(from_nowhere), {}, "source_node_id is -1 at index 1 of edges.h5"),
    (types_of(""), {}, "edge_types.csv has no column 'edge_type_id': it is empty"),
    (nodes_of("node_type_id model_type\n"), {}, "node_types.csv has no types"),
    (nodes_of("node_type_id\n100\n"), {}, "node_types.csv, line 2: node type 100 has no model_type"),
    (nodes_of(ROW + "point_neuron iaf_psc_exp NULL\n"), {}, "'iaf_psc_exp': write nest:iaf_psc_exp"),
    (nodes_of(ROW + "point_neuron nest:iaf_pcs_exp NULL\n"), {}, "did you mean nest:iaf_psc_exp?"),
    (nodes_of('node_type_id,model_type,model_template,dynamics_params\n100,point_neuron,nest:izhikevich,"{""a"": NaN}"\n'), {},
     "a of nest:izhikevich is nan"),
    (nodes_of('node_type_id,model_type,model_template,dynamics_params\n100,point_neuron,nest:iaf_psc_exp,"{""V_min"": ""x""}"\n'), {},
     "V_min of nest:iaf_psc_exp is 'x'"),
    (None, {"network": "gone.json"}, "simulation_config.json: network: there is no file"),
    (None, {"node_sets_file": "gone.json"}, "simulation_config.json: node_sets_file: there is no file"),
    (None, {"circuit": {"networks": {"nodes": [{"nodes_file": "nodes.h5", "node_types_file": "node_types.csv"}], "edges": {"edges_file": "edges.h5"}}}},
     "circuit_config.json: networks.edges: this is no list"),
    (two_populations, {"kinds": [100, 101, 100, 100, 100]} | trains("timestamps population node_ids\n1.0 c 0\n")[1],
     "inputs.s: s.csv has no spikes of the population 'a' or 'b': it has c"),
    (two_populations, {"kinds": [100, 101, 100, 100, 100]} | trains("")[1], "inputs.s: s.csv has no column 'neuron': it is empty"),
    (two_populations, {"inputs": {"s": {"input_type": "spikes", "module": "csv", "node_set": "b"}}}, "inputs.s: there is no input_file"),
    (two_populations, {"inputs": {"i": {"input_type": "current_clamp", "module": "IClamp", "node_set": {"node_id": [5]},
                                        "amp": 1, "delay": 1, "duration": 1}}}, "there is no node 5 in 'a' or 'b', which have 5 at most"),
])  # fmt: skip
def test_more_that_cannot_be_read_is_named(tmp_path, change, given, expected):
    folder = small(tmp_path, **({"inputs": {}} | given))
    (folder / "s.csv").write_text("timestamps population node_ids\n1.0 c 0\n" if expected.endswith(" c") else "")
    if change is not None:
        change(folder)
    assert expected in refused(folder / "simulation_config.json", tmp_path)


def test_the_receptor_that_lacks_is_that_of_the_edges_which_need_one(tmp_path):
    """Types that have the same synapse are told apart where only one of them goes to a neuron with receptors."""
    folder = small(tmp_path, kinds=[100, 100, 100, 101, 100], inputs={})
    nodes_of(ROW + "point_neuron nest:iaf_psc_delta NULL\n101 point_neuron nest:glif_psc NULL\n")(folder)
    types_of("edge_type_id model_template\n100 static_synapse\n101 static_synapse\n")(folder)
    with h5py.File(folder / "edges.h5", "a") as file:
        file["edges/a_to_a/edge_type_id"][1] = 101  # onto node 3
    assert "edge_types.csv, line 3: edge type 101 has no receptor_type" in refused(folder / "simulation_config.json", tmp_path)


def test_spikes_go_to_the_populations_that_their_file_names(tmp_path):
    """All virtual nodes are meant, and the file has those of one population; of one population alone another name is noted."""
    files, given = trains("timestamps population node_ids\n1.0 b 2\n2.0 b 7\n")
    folder = small(tmp_path, kinds=[100, 101, 100, 100, 100], **given)
    two_populations(folder)
    (folder / "s.csv").write_text(files["s.csv"])
    made = sonata_import.convert(folder / "simulation_config.json", tmp_path / "net.yaml")
    assert "s.csv has spikes of node 7, and b has 3 nodes: 1 of its spikes are left out." in made.notes
    assert "a_virtual is of virtual nodes, and no input says when they spike: they are silent." in made.notes
    assert run_trains(tmp_path, "b") == [(2, 10)]
    (folder / "s.csv").write_text("timestamps population node_ids\n1.0 B 2\n")
    change_input(folder, node_set="b")
    made = sonata_import.convert(folder / "simulation_config.json", tmp_path / "net.yaml", overwrite=True)
    assert "s.csv has spikes of B, which are taken for those of b." in made.notes and run_trains(tmp_path, "b") == [(2, 10)]


def run_trains(folder, population):
    built = network.build(check.load(folder / "net.yaml").spec, folder).populations[population].parameters["times"]
    return list(zip(built.neuron.tolist(), built.stamp.tolist(), strict=True))


def change_input(folder, **changes):
    path = folder / "simulation_config.json"
    tree = json.loads(path.read_text())
    tree["inputs"]["s"] |= changes
    path.write_text(json.dumps(tree))


def test_nodes_by_number_are_of_the_populations_that_have_them(tmp_path):
    """bmtk's node sets name no population: 4 is a node of a, and b has three."""
    clamp = {
        "input_type": "current_clamp",
        "module": "IClamp",
        "node_set": {"node_ids": [4]},
        "amp": 1,
        "delay": 1,
        "duration": 1,
    }
    folder = small(tmp_path, inputs={"i": clamp | {"gids": [0]}})
    two_populations(folder)
    made = sonata_import.convert(folder / "simulation_config.json", tmp_path / "net.yaml")
    assert yaml.safe_load((tmp_path / "net.yaml").read_text())["inputs"]["i"]["to"] == "a[4]"
    assert "The gids of the input i are left out, as bmtk does: node_set says whom it reaches." in made.notes


@pytest.mark.parametrize(("positions", "columns"), [
    (np.arange(15.0).reshape(5, 3), ["a/x_um", "a/y_um", "a/z_um"]),
    (np.arange(10.0).reshape(5, 2), ["a/x_um", "a/y_um"]),
    (np.where(np.arange(15) == 4, np.nan, 1.0).reshape(5, 3), None),
])  # fmt: skip
def test_positions_in_one_dataset_are_a_layout(tmp_path, positions, columns):
    folder = small(tmp_path, inputs={})
    with h5py.File(folder / "nodes.h5", "a") as file:
        file["nodes/a/0/positions"] = positions
    made = sonata_import.convert(folder / "simulation_config.json", tmp_path / "net.yaml")
    layout = yaml.safe_load((tmp_path / "net.yaml").read_text())["populations"]["a"].get("layout", {})
    assert layout.get("columns") == columns and (columns is None) == ("Node 1 of a has no y, and a no layout." in made.notes)
    if columns is not None:
        with h5py.File(tmp_path / "net.data.h5") as file:
            np.testing.assert_array_equal(np.stack([file[column][()] for column in columns], axis=1), positions)


def test_a_simulation_without_its_circuit_says_which_file_has_both(tmp_path):
    folder = small(tmp_path, inputs={})
    simulation = json.loads((folder / "simulation_config.json").read_text())
    del simulation["network"]
    (folder / "simulation_config.json").write_text(json.dumps(simulation))
    (folder / "config.json").write_text(json.dumps({"network": "circuit_config.json", "simulation": "simulation_config.json"}))
    expected = "config.json names this simulation and its circuit: import that file"
    assert expected in refused(folder / "simulation_config.json", tmp_path)
    assert sonata_import.convert(folder / "config.json", tmp_path / "net.yaml").synapses == 3


def test_projections_that_choose_of_one_file_are_not_counted_twice(tmp_path):
    """The estimate of a circuit with edges of both signs is their number in the file."""
    from snnrun import estimate

    sonata_import.convert(small(tmp_path, inputs={}) / "simulation_config.json", tmp_path / "net.yaml")
    loaded = check.load(tmp_path / "net.yaml")
    assert len(loaded.spec.projections) == 1 and estimate.estimate(loaded.spec, tmp_path).total_synapses == 3
    folder = tmp_path / "exp"
    folder.mkdir()
    small(folder, inputs={})
    nodes_of(ROW + "point_neuron nest:iaf_psc_exp NULL\n")(folder / "small")
    sonata_import.convert(folder / "small" / "simulation_config.json", folder / "net.yaml")
    loaded = check.load(folder / "net.yaml")
    assert len(loaded.spec.projections) == 2 and estimate.estimate(loaded.spec, folder).total_synapses == 3


def test_mistakes_are_told_all_at_once_by_the_command(tmp_path):
    folder = small(tmp_path, kinds=[100, 101, 102, 100, 100], inputs={})
    nodes_of(ROW + "biophysical hoc:x NULL\n101 point_neuron NULL NULL\n102 rate_population NULL NULL\n")(folder)
    found = call("import", "sonata", folder / "simulation_config.json", "-o", tmp_path / "net.yaml")
    assert found.exit_code == 2 and len(found.stderr.splitlines()) == 3 and "Traceback" not in found.output
    assert "line 4: the model_type of node type 102 is 'rate_population'" in found.stderr


def test_the_command_does_not_replace_files_unasked(tmp_path):
    config = small(tmp_path, inputs={}) / "simulation_config.json"
    assert call("import", "sonata", config, "-o", tmp_path / "net.yaml").exit_code == 0
    again = call("import", "sonata", config, "-o", tmp_path / "net.yaml")
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    found = call("import", "sonata", config, "-o", tmp_path / "net.yaml", "--overwrite", "--json")
    assert json.loads(found.stdout)["synapses"] == 3
    assert call("export", "sonata", tmp_path / "net.yaml", "-o", tmp_path / "out", "-q").exit_code == 0
    again = call("export", "sonata", tmp_path / "net.yaml", "-o", tmp_path / "out")
    assert again.exit_code == 2 and "is there already" in again.stderr


# ---- parts -----------------------------------------------------------------------------------------------------------


def test_edges_of_a_file_are_chosen_and_mapped(tmp_path):
    """By brute force: types, signs, and ranges of nodes in any order."""
    rng = np.random.default_rng(1)
    pre, post, kind, weight = rng.integers(0, 20, 300), rng.integers(0, 20, 300), rng.integers(3, 6, 300), rng.normal(size=300)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        for name, values in (("source_node_id", pre), ("target_node_id", post), ("edge_type_id", kind), ("0/syn_weight", weight)):
            file[f"edges/x/{name}"] = values
    lif = "{size: 8, " + LIF + ", C: 100 pF}"
    rule = "{rule: file, path: e.h5, edge_types: [5, 3], sign: negative, scale: -2, pre_nodes: [[9, 14], [2, 5]], post_nodes: [[0, 8]]}"
    text = f"duration: 1 ms\npopulations: {{A: {lif}, B: {lif}}}\nprojections:\n  x: {{pre: A, post: B, connect: {rule}, synapse: {{model: delta}}}}\n"
    found = network.build(load(tmp_path, text).spec, tmp_path).projections["x"].connectivity
    nodes = [9, 10, 11, 12, 13, 2, 3, 4]
    wanted = [(nodes.index(a), b, -2 * w) for a, b, k, w in zip(pre, post, kind, weight, strict=True)
              if a in nodes and b < 8 and k in (3, 5) and w < 0]  # fmt: skip
    assert len(wanted) > 10
    assert list(zip(*(values.tolist() for values in (*found.listed, found.weight)), strict=True)) == wanted


@pytest.mark.parametrize(("rule", "expected"), [
    ("pre_nodes: [[0, 8], [7, 9]]", "the index 7 is in two ranges"),
    ("pre_nodes: [[3, 3]]", "the range [3, 3] is empty"),
    ("pre_nodes: [[0, 3]]", "pre_nodes are 3 indices of e.csv, and pre has 8 neurons"),
    ("edge_types: [1]", "e.csv has no edge types"),
    ("sign: positive", "e.csv has no weights"),
])  # fmt: skip
def test_what_is_chosen_of_a_file_must_be_there(tmp_path, rule, expected):
    (tmp_path / "e.csv").write_text("pre,post\n0,1\n")
    text = f"duration: 1 ms\npopulations: {{A: {{size: 8, {LIF}, C: 100 pF}}}}\nprojections:\n  x: {{pre: A, post: A, connect: {{rule: file, path: e.csv, {rule}}}, weight: 1 mV, synapse: {{model: delta}}}}\n"
    (tmp_path / "net.yaml").write_text(text)
    found = call("validate", tmp_path / "net.yaml")
    assert found.exit_code == 2 and expected in found.stderr


@pytest.mark.parametrize(("off_grid", "expected"), [("up", [4, 5, 10]), ("round", [3, 5, 10])])
def test_times_off_the_grid_go_to_the_next_step_or_the_nearest(tmp_path, off_grid, expected):
    (tmp_path / "t.csv").write_text("neuron,time_ms\n0,0.31\n0,0.5\n0,0.96\n")
    text = f"duration: 2 ms\npopulations: {{S: {{model: spike_times, size: 1, times: {{file: t.csv, off_grid: {off_grid}}}}}}}\n"
    trains = network.build(load(tmp_path, text).spec, tmp_path).populations["S"].parameters["times"]
    assert trains.stamp.tolist() == expected


def test_spikes_of_nwb(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["processing/trial_0/spike_train/3/data"] = [1.0, 2.0]
        file["units/spike_times"], file["units/spike_times_index"], file["units/id"] = [0.001, 0.002, 0.003], [1, 3], [7, 8]
    assert [x.tolist() for x in sonata_inputs._nwb(tmp_path / "a.nwb", None)] == [[7, 8, 8], [1.0, 2.0, 3.0]]
    with h5py.File(tmp_path / "a.nwb", "a") as file:
        del file["units"]
    assert [x.tolist() for x in sonata_inputs._nwb(tmp_path / "a.nwb", "trial_0")] == [[3, 3], [1.0, 2.0]]
    with pytest.raises(TableError, match="has no spikes of the trial None"):
        sonata_inputs._nwb(tmp_path / "a.nwb", None)


def test_a_current_of_many_values_is_a_waveform(tmp_path):
    (tmp_path / "small").mkdir()
    times = np.arange(30) * 0.2
    (tmp_path / "small" / "c.csv").write_text("timestamps amps\n" + "".join(f"{t} {i}\n" for i, t in enumerate(times)))
    clamp = {"input_type": "csv", "module": "IClamp", "file": "c.csv", "node_set": "a"}
    shutil.move(tmp_path / "small" / "c.csv", tmp_path / "c.csv")
    (tmp_path / "small").rmdir()
    folder = small(tmp_path, inputs={"i": clamp})
    shutil.move(tmp_path / "c.csv", folder / "c.csv")
    made = sonata_import.convert(folder / "simulation_config.json", tmp_path / "net.yaml")
    values = np.load(made.files[1])
    np.testing.assert_allclose(values["time_ms"], times + 0.1)  # NEST's generator acts a step later
    assert check.load(tmp_path / "net.yaml").spec.inputs["i"].model == "waveform"


def test_every_template_has_defaults_and_sound_parameters():
    """With its defaults each is a population that is checked, with all that its ports name."""
    for template in templates.KNOWN:
        neuron, values = templates.resolved(template, {}, 1)
        named = {*neuron.names.values(), *neuron.init.values(), *(x for port in neuron.ports for x in (port.tau, port.E) if x)}
        assert named <= values.keys(), template
        assert not [derived(values) for derived in neuron.derived.values() if not np.isfinite(derived(values))]


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-9, 12345678.9, -70.0, 5])
@pytest.mark.parametrize("dimension", ["time", "rate", "resistance", "mV/ms", "conductance"])
def test_a_quantity_is_read_as_the_number_it_was(value, dimension):
    from snnrun import units

    assert units.read(netfile.quantity(value, dimension), dimension) == value
    unit = units.column_unit(netfile.column("x_y", dimension))
    assert unit is not None and unit[1] == dimension and units.scaled(value, unit[0]) == value and "/" not in unit[0]


def test_sources_are_recorded_by_the_command_alone(tmp_path):
    """In a process of its own, in which nothing has set up JAX before."""
    loaded = load(tmp_path, HEAD.format(precision="float32") + NETS["conductances"][0])
    command = [sys.executable, "-m", "snnrun", "export", "sonata", loaded.document.name, "-o", str(tmp_path / "circuit")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with h5py.File(tmp_path / "circuit" / "inputs" / "spikes.h5") as file:
        assert file["spikes/S/timestamps"][()].tolist() == [9.5] * 12 + [22.0] * 12
