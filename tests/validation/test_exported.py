"""Scripts run by the simulators that they are for: see exported.py and counterparts.py."""

import subprocess
from importlib import import_module

import counterparts
import exported
import networks
import numpy as np
import pytest
from references import processes

from snnrun import run
from snnrun.convert import nest, script_files
from snnrun.results import Results


def _peer(request, simulator):
    """The Python of a simulator, where it is asked for."""
    if "peers" not in request.config.getoption("markexpr"):
        pytest.skip("other simulators take minutes: pytest -m peers runs them")
    if (python := processes.installed(simulator)) is None:
        pytest.skip(f"{simulator} is not installed")
    return python


@pytest.mark.peers
@pytest.mark.parametrize("name", exported.CASES)
def test_scripts_agree(name, tmp_path, request):
    case = exported.CASES[name]
    outcome = exported.compare(case, _peer(request, case.simulator), tmp_path)
    assert outcome.ours > 0
    assert outcome.agrees(case), outcome


@pytest.mark.peers
@pytest.mark.parametrize("name", counterparts.TABLE)
def test_neurons_of_nest_are_ours(name, tmp_path, request):
    outcome = counterparts.compare(counterparts.TABLE[name], _peer(request, "nest"), tmp_path)
    assert outcome.model == name.partition(",")[0] and outcome.ours > 100
    assert outcome.agrees(counterparts.TABLE[name]), outcome


def test_every_neuron_of_nest_is_in_the_table():
    acting = {part for neuron in nest.NEURONS.values() for one in neuron.acting.values() for part in one if part}
    assert acting == {name.partition(",")[0] for name in counterparts.TABLE}


WINDOWS = """
duration: 60 ms
warmup: 20 ms
dt: {dt}
precision: float64
populations:
  S: {{model: regular, size: 8, period: 4 ms, phase: {{uniform: {{low: 1 ms, high: 4 ms}}}}}}
  N: {{model: lif, size: 5, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 100 MOhm, I_e: 140 pA}}
projections: {{x: {{pre: S, post: N, connect: {{rule: all_to_all}}, weight: 0.5 mV, delay: 1 ms, synapse: {{model: delta}}}}}}
monitors:
  spikes: {{model: spikes, of: [S, N], stop: 50 ms}}
  V: {{model: state, of: "N[1:3]", variables: [V], every: 2 ms, start: 21 ms, stop: 41 ms}}
  late: {{model: state, of: N, variables: [V]}}
"""


@pytest.mark.peers
@pytest.mark.parametrize("simulator", ["nest", "brian2"])
@pytest.mark.parametrize("dt", ["0.1 ms", "0.0625 ms"])  # the second is no whole number of NEST's thousandths of a ms
def test_what_is_recorded_is_what_snnrun_records(simulator, dt, tmp_path, request):
    """From the end of the warmup on, or in windows of monitors: spikes and samples, at the same times."""
    python, text = _peer(request, simulator), WINDOWS.format(dt=dt)
    loaded, script = networks.load(tmp_path, text), tmp_path / "script.py"
    run.simulate(run.Request(loaded, tmp_path / "results.h5", [], plot=False))
    script_files.write(import_module(f"snnrun.convert.{simulator}").script(loaded, script, True), script, True)
    subprocess.run([str(python), str(script), str(tmp_path / "kept.npz")], capture_output=True, check=True)
    kept = np.load(tmp_path / "kept.npz")
    with Results(tmp_path / "results.h5") as results:
        for name, train in results.spikes("spikes").items():
            ours = sorted(zip(np.rint(train.times / loaded.spec.dt), train.neurons, strict=True))
            theirs = sorted(zip(np.rint(kept[f"{name}.times"] / loaded.spec.dt), kept[f"{name}.neurons"], strict=True))
            assert ours == theirs and len(ours) >= 10
            assert 20 < train.times.min() and train.times.max() <= 50
        for monitor in ("V", "late"):
            series = results.series(monitor)["N", "V"]
            np.testing.assert_allclose(series.values, kept[f"{monitor}.N.V"], rtol=0, atol=1e-9)
            assert len(series.times) == (10 if monitor == "V" else round(40 / loaded.spec.dt))
