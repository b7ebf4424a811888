# ruff: noqa: E501
"""Circuits that bmtk's builder writes, and what PointNet (NEST) makes of them: tests/sonata/.

    BMTK/bin/python scripts/references/sonata_bmtk.py tests/sonata

Needs bmtk and nest-simulator (1.2.0 and 3.10 were used). `zoo` has a node type for each template, in one population of nodes in
which they take turns, with static and Tsodyks synapses, weights of both signs, nsyns and currents. What was simulated is in
reference.npz: spikes, and V of all neurons at whole milliseconds.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import h5py
import nest
import numpy as np
from bmtk.builder import NetworkBuilder
from bmtk.simulator import pointnet

DURATION, DT = 150.0, 0.1
TWO = {"tau_syn_ex": 3.0, "tau_syn_in": 6.0}
CELLS = {  # name: template, parameters, factor of the weights, receptors, currents in pA
    "alpha": ("iaf_psc_alpha", {"tau_m": 12.0, "E_L": -68.0, "V_reset": -66.0, "V_m": -65.5, "t_ref": 2.04, **TWO}, 60.0, 0, 300.0),
    "exp": ("iaf_psc_exp", {"C_m": 200.0, "E_L": -68.0, "I_e": 50.0, "tau_syn_ex": 4.0}, 60.0, 0, 300.0),
    "exp2": ("iaf_psc_exp", {"C_m": 210.0, "E_L": -67.0, "tau_m": 11.0, "tau_syn_ex": 2.0, "tau_syn_in": 5.0}, 60.0, 0, 300.0),
    "delta": ("iaf_psc_delta", {"V_th": -58.0, "t_ref": 1.0}, 1.5, 0, 150.0),
    "cond_alpha": ("iaf_cond_alpha", {"E_in": -80.0, **TWO}, 3.0, 0, 250.0),
    "cond_exp": ("iaf_cond_exp", {"g_L": 15.0, "E_in": -75.0, **TWO}, 2.0, 0, 250.0),
    "aeif_psc_alpha": ("aeif_psc_alpha", {**TWO}, 60.0, 0, 500.0),
    "aeif_psc_exp": ("aeif_psc_exp", {"t_ref": 1.0, "a": 2.0, **TWO}, 60.0, 0, 500.0),
    "aeif_psc_delta": ("aeif_psc_delta", {}, 1.0, 0, 500.0),
    "aeif_cond_alpha": ("aeif_cond_alpha", {"E_in": -80.0, **TWO}, 3.0, 0, 500.0),
    "aeif_cond_exp": ("aeif_cond_exp", {**TWO}, 2.0, 0, 500.0),
    "izhikevich": ("izhikevich", {"d": 6.0}, 1.0, 0, 6.0),
    "mat2": ("mat2_psc_exp", {**TWO}, 60.0, 0, 250.0),
    "hh": ("hh_psc_alpha", {**TWO}, 60.0, 0, 500.0),
    "hh_traub": ("hh_cond_exp_traub", {}, 3.0, 0, 150.0),
    "exp_multi": ("iaf_psc_exp_multisynapse", {"tau_syn": [2.0, 5.0, 9.0]}, 50.0, 3, 250.0),
    "alpha_multi": ("iaf_psc_alpha_multisynapse", {"tau_syn": [2.0, 5.0]}, 50.0, 2, 250.0),
    "glif3": ("glif_psc", {"after_spike_currents": True, "tau_syn": [2.0, 4.0]}, 20.0, 2, 160.0),
    "glif5": ("glif_psc", {"spike_dependent_threshold": True, "after_spike_currents": True, "adapting_threshold": True}, 20.0, 1, 200.0),
    "glif_cond": ("glif_cond", {"tau_syn": [1.0, 3.0], "E_rev": [0.0, -85.0]}, 1.0, 2, 120.0),
    "glif_lif_asc": ("glif_lif_asc_psc", "allen.json", 20.0, 4, 100.0),
}  # fmt: skip
ALLEN = {
    "type": "GLIF", "El": 0.0, "El_reference": -0.0715, "th_inf": 0.025, "R_input": 1.9e8, "C": 9.5e-11, "dt": 5e-05,
    "spike_cut_length": 71, "init_AScurrents": [0.0, 0.0], "asc_tau_array": [0.1, 0.01], "asc_amp_array": [-1.1e-11, -5.2e-11],
    "coeffs": {"th_inf": 1.02, "G": 1.0, "C": 1.0, "asc_amp_array": [1.0, 0.9], "a": 1.0, "b": 1.0},
}  # fmt: skip
EACH = 2  # nodes of each type
# whose spikes are those of snnrun, so that the others can be compared while these are what they hear
SAME = ["alpha", "exp", "exp2", "delta", "izhikevich", "mat2", "exp_multi", "alpha_multi"]


def build(folder):
    """The circuit, its parameters, and its simulation."""
    rng = np.random.default_rng(4)
    np.random.seed(3)  # noqa: NPY002
    models, synapses = folder / "models", folder / "synapses"
    for one in (models, synapses, folder / "network"):
        one.mkdir(parents=True)
    (models / "allen.json").write_text(json.dumps(ALLEN))
    (synapses / "static.json").write_text("{}")
    (synapses / "tsodyks.json").write_text(json.dumps({"U": 0.4, "u": 0.4, "tau_rec": 80.0, "tau_fac": 30.0}))
    for receptor in (1, 2, 3, 4):
        (synapses / f"r{receptor}.json").write_text(json.dumps({"receptor_type": receptor}))
    cells, source = NetworkBuilder("cells"), NetworkBuilder("source")
    source.add_nodes(N=12, model_type="virtual", pop_name="source")
    for _ in range(EACH):  # so that types take turns
        for name, (template, parameters, *_) in CELLS.items():
            file = parameters if isinstance(parameters, str) else f"{name}.json"
            if not isinstance(parameters, str):
                (models / file).write_text(json.dumps(parameters))
            cells.add_nodes(N=1, model_type="point_neuron", model_template=f"nest:{template}", dynamics_params=file, pop_name=name,
                            x=rng.uniform(0, 100, 1), y=rng.uniform(0, 100, 1), z=rng.uniform(0, 100, 1))  # fmt: skip
    for name, (template, _, factor, receptors, _) in CELLS.items():
        conductance = "cond" in template and receptors
        for receptor in range(1, receptors + 1) if receptors else (0,):
            dynamics = f"r{receptor}.json" if receptor else "static.json"
            for network, pre, p, scale in ((source, source.nodes(), 0.5, 1.0), (cells, cells.nodes(pop_name=SAME), 0.2, 0.4)):
                cm = network.add_edges(
                    source=pre, target=cells.nodes(pop_name=name), connection_rule=lambda *_, p=p: rng.binomial(2, p),
                    model_template="static_synapse", dynamics_params=dynamics, delay=1.54 if network is source else 2.35,
                )  # fmt: skip
                signs = [1.0] if conductance else [1.0, 1.0, -0.7]
                cm.add_properties("syn_weight", rule=lambda *_, w=factor * scale, s=signs: w * rng.uniform(0.5, 1) * rng.choice(s),
                                  dtypes=float)  # fmt: skip
    cells.add_edges(source=cells.nodes(pop_name=SAME), target=cells.nodes(pop_name="exp"), connection_rule=lambda *_: rng.binomial(1, 0.6),
                    model_template="tsodyks2_synapse", dynamics_params="tsodyks.json", delay=0.8, syn_weight=60.0)  # fmt: skip
    for network in (cells, source):
        network.build()
        network.save(output_dir=str(folder / "network"))
    times = np.sort(rng.uniform(1.0, DURATION - 5, (12, 12)), axis=1)  # off the grid, as generators of spikes write them
    with h5py.File(folder / "spikes.h5", "w") as file:
        file["spikes/source/node_ids"] = np.repeat(np.arange(12, dtype=np.uint64), 12)
        file["spikes/source/timestamps"] = times.ravel()
        file["spikes/source/timestamps"].attrs["units"] = "milliseconds"
    inputs = {"spikes": {"input_type": "spikes", "module": "sonata", "input_file": "$BASE/spikes.h5", "node_set": "source"}}
    for number, (name, (*_, amp)) in enumerate(CELLS.items()):
        node_set = {"population": "cells", "node_id": [number + i * len(CELLS) for i in range(EACH)]}
        inputs[f"clamp_{name}"] = {"input_type": "current_clamp", "module": "IClamp", "node_set": node_set, "amp": amp,
                                   "delay": 20.0 + number, "duration": 80.0}  # fmt: skip
    inputs["stairs"] = {"input_type": "current_clamp", "module": "IClamp", "node_set": {"population": "cells", "node_id": [0, 1]},
                        "amp": [60.0, -40.0], "delay": [120.0, 130.0], "duration": [9.0, 5.0]}  # fmt: skip
    files = {kind: [{f"{kind}_file": f"$NETWORK/{name}_{kind}.h5", f"{kind[:-1]}_types_file": f"$NETWORK/{name}_{kind[:-1]}_types.csv"}
                    for name in names] for kind, names in (("nodes", ("cells", "source")), ("edges", ("cells_cells", "source_cells")))}  # fmt: skip
    circuit = {"manifest": {"$BASE": ".", "$NETWORK": "$BASE/network"}, "networks": files,
               "components": {"point_neuron_models_dir": "$BASE/models", "synaptic_models_dir": "$BASE/synapses"}}  # fmt: skip
    simulation = {
        "manifest": {"$BASE": "."}, "network": "$BASE/circuit_config.json", "target_simulator": "NEST",
        "node_sets_file": "$BASE/node_sets.json", "run": {"tstop": DURATION, "dt": DT}, "inputs": inputs,
        "reports": {"potential": {"module": "multimeter_report", "cells": "cells", "variable_name": "V_m", "interval": 1.0}},
        "output": {"output_dir": "$BASE/output", "spikes_file": "spikes.h5", "log_to_console": False},
    }  # fmt: skip
    (folder / "circuit_config.json").write_text(json.dumps(circuit, indent=2))
    (folder / "simulation_config.json").write_text(json.dumps(simulation, indent=2))
    (folder / "node_sets.json").write_text(json.dumps({"cells": {"population": "cells"}, "source": {"population": "source"}}))


def simulate(folder):
    """Spikes and V by PointNet. What it writes of V is rounded, so another multimeter records it as well."""
    os.chdir(folder)  # from where bmtk looks for files
    configure = pointnet.Config.from_json("simulation_config.json")
    configure.build_env()
    graph = pointnet.PointNetwork.from_config(configure)
    sim = pointnet.PointSimulator.from_config(configure, graph)
    nodes = [int(graph.gid_map.get_gid("cells", node)) for node in range(EACH * len(CELLS))]
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 1.0})
    nest.Connect(meter, nest.NodeCollection(sorted(nodes)))
    sim.run()
    events = meter.get("events")
    V = np.full((EACH * len(CELLS), int(DURATION)), np.nan)
    place = {nest_id: node for node, nest_id in enumerate(nodes)}
    for sender, time, value in zip(events["senders"], events["times"], events["V_m"], strict=True):
        V[place[int(sender)], round(time)] = value
    with h5py.File("output/spikes.h5") as file:
        found = file["spikes/cells"]
        nodes, times = found["node_ids"][()], found["timestamps"][()]
    order = np.lexsort((nodes, times))
    versions = f"bmtk, NEST {nest.__version__}"
    return {
        "node": nodes[order].astype(np.int16),
        "time": times[order],
        "V": V[:, 1:].astype(np.float32),
        "made_by": np.array(versions),
    }


def shrink(path):
    """The same file, compressed, without what HDF5 keeps free."""
    with h5py.File(path) as old, h5py.File(path.with_suffix(".small"), "w", libver="latest") as new:
        new.attrs.update(old.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                packed = {"compression": "gzip", "chunks": item.shape} if item.size > 50 else {}
                new.create_dataset(name, data=item[()], **packed)
            else:
                new.require_group(name)
            new[name].attrs.update(item.attrs)

        old.visititems(copy)
    path.with_suffix(".small").replace(path)


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    shutil.rmtree(target, ignore_errors=True)
    build(target)
    found = simulate(target)
    shutil.rmtree(target / "output")
    for path in sorted(target.rglob("*.h5")):
        shrink(path)
    np.savez_compressed(target / "reference.npz", **found)
