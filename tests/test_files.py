"""Files beside the network file, from the command line to the results: what is read, and what is said of it."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from test_cli import call

from snnrun.results import Results

SOURCE = """
duration: 20 ms
populations:
  S: {size: 5, model: spike_times, times: TIMES}
  N: {size: 5, model: lif, tau: 1e9 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1000 V, R: 1 MOhm}
projections:
  p: {pre: S, post: N, connect: CONNECT, synapse: {model: delta}}
monitors:
  spikes: {model: spikes, of: S}
  V: {model: state, of: N, variables: [V]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def simulated(name, times, connect="{rule: one_to_one}, weight: 1 mV"):
    Path(f"{name}.yaml").write_text(SOURCE.replace("TIMES", times).replace("CONNECT", connect))
    result = call("simulate", f"{name}.yaml", "--no-plot", "-o", f"{name}.h5")
    assert result.exit_code == 0, result.stderr
    with Results(f"{name}.h5") as found:
        train = found.spikes("spikes")["S"]
        return (train.neurons.tolist(), train.times.tolist()), found.series("V")["N", "V"].values[-1], result.stderr


def test_a_run_can_be_fed_with_the_spikes_of_another(folder):
    (folder / "t.csv").write_text("neuron,time_ms\n4,0.1\n0,0.3\n4,12.7\n2,19.9\n")
    first, _, said = simulated("first", "{file: t.csv}")
    again, _, _ = simulated("again", "{file: first.h5}")
    assert again == first == ([4, 0, 4, 2], pytest.approx([0.1, 0.3, 12.7, 19.9]))
    assert "left out" not in said


def test_spikes_that_are_merged_are_counted_on_the_screen(folder):
    (folder / "t.csv").write_text("timestamps population node_ids\n1.01 a 3\n1.04 a 3\n2.0 a 3\n")
    (neurons, times), _, said = simulated("merged", "{file: t.csv, off_grid: round}")
    assert (neurons, times) == ([3, 3], pytest.approx([1.0, 2.0]))
    assert "populations.S.times.file: 1 of 3 spikes are left out" in said
    result = call("validate", "merged.yaml")
    assert result.exit_code == 0 and "1 of 3 spikes are left out" in result.stderr


def test_edge_types_decide_who_inhibits(folder):
    (folder / "types.csv").write_text("edge_type_id target_query syn_weight delay\n100 * 2.0 1.5\n101 \"ei=='i'\" -1.5 1.5\n")
    with h5py.File("edges.h5", "w") as file:
        group = file.create_group("edges/s_to_n")
        group["source_node_id"] = group["target_node_id"] = np.arange(5)
        group["edge_type_id"], group["edge_group_id"] = [100, 101, 100, 101, 101], [0] * 5
        group["edge_group_index"], group["0/nsyns"] = [4, 3, 2, 1, 0], [3, 1, 1, 2, 1]
    rule = "{rule: file, path: edges.h5, types: types.csv}"
    _, V, _ = simulated("typed", "[1 ms]", rule)
    np.testing.assert_allclose(V, [2.0, -3.0, 2.0, -1.5, -4.5], rtol=1e-4)
    _, V, said = simulated("untyped", "[1 ms]", f"{rule.replace(', types: types.csv', '')}, weight: 1 mV")
    assert "edges.h5 has edge types and no syn_weight and no delay of its own" in said
    assert "weight from the file" in call("plan", "typed.yaml").stdout


def test_validate_reads_values_and_says_which_it_has_not_read(folder, monkeypatch):
    from snnrun import network

    (folder / "t.csv").write_text("neuron,time_ms\n7,1\n")
    text = SOURCE.replace("TIMES", "{file: t.csv}").replace("CONNECT", "{rule: all_to_all}, weight: 1 mV")
    (folder / "net.yaml").write_text(text)
    result = call("validate", "net.yaml")
    assert result.exit_code == 2 and "neuron is 7 in line 2 of t.csv" in result.stderr
    assert call("simulate", "net.yaml", "--no-plot", "--kernel", "xla").stderr == result.stderr
    monkeypatch.setattr(network.examine, "__defaults__", (0,))
    result = call("validate", "net.yaml")
    assert result.exit_code == 0 and "the values of t.csv were not checked" in result.stderr
