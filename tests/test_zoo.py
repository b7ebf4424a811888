"""Every described model against another integration of its equations, and what its file must say."""

import json
from pathlib import Path

import numpy as np
import pytest
from networks import load, run

from snnrun.models import neurons

CHECKS = sorted((Path(__file__).parent / "zoo").glob("*.json"))
DESCRIBED = neurons.descriptions()


@pytest.mark.parametrize("file", CHECKS, ids=lambda file: file.stem)
def test_spikes_are_those_of_another_integration(tmp_path, file):
    check = json.loads(file.read_text())
    spec = load(tmp_path, check["network"]).spec
    found = run(tmp_path, check["network"]).spikes
    for population, wanted in check["spikes_ms"].items():
        times = [round(stamp * spec.dt, 10) for stamp, _ in found[population]]
        assert len(wanted) > 1
        if check.get("within_ms", 0):
            assert len(times) == len(wanted), population
            np.testing.assert_allclose(times, wanted, rtol=0, atol=check["within_ms"], err_msg=population)
        else:
            assert times == wanted, population


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_model_says_what_it_is_and_is_checked(name):
    model = neurons.description(name)
    assert model.about and model.source and model.checked
    assert all(parameter.about for parameter in model.parameters)
    if name not in ("lif", "parrot", "gif_escape"):  # by tests of their own
        assert any(json.loads(file.read_text())["model"] == name for file in CHECKS)


# ---- those that have no other simulator ------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["cuba", "coba, E: 0 mV"])
def test_lif_by_its_description_is_lif(tmp_path, output):
    """A network with drawn parameters, refractoriness, all kinds of synapses and stepping currents: lif.yaml on the general path
    gives the spikes of lif.py."""
    text = (neurons.FOLDER / "lif.yaml").read_text()
    own = "models:\n  described:\n" + "\n".join("  " + line for line in text.split("\n")[1:] if not line.startswith("lif:"))
    weight = "20 pA" if output == "cuba" else "1 nS"
    network = f"""
duration: 400 ms
precision: float64
seed: 3
populations:
  N:
    model: MODEL
    size: 200
    tau: {{uniform: {{low: 15 ms, high: 25 ms}}}}
    tau_ref: {{uniform: {{low: 0 ms, high: 4 ms}}}}
    C: 250 pF
    V_rest: -70 mV
    V_th: -55 mV
    V_reset: -70 mV
    I_e: {{uniform: {{low: 150 pA, high: 300 pA}}}}
    init: {{V: {{uniform: {{low: -70 mV, high: -55 mV}}}}}}
    solver: {"exact" if output == "cuba" else "exp_euler"}
inputs:
  drive: {{model: steps, to: "N[:100]", times: [50 ms, 200 ms], currents: [80 pA, -40 pA]}}
projections:
  fast: {{pre: N, post: N, connect: {{rule: fixed_prob, p: 0.1}}, weight: {weight}, delay: 1.5 ms,
         synapse: {{model: expon, tau: 3 ms}}, output: {{model: {output}}}}}
  slow: {{pre: N, post: N, connect: {{rule: fixed_prob, p: 0.1}}, weight: {weight}, delay: 1 ms,
         synapse: {{model: alpha, tau: 20 ms}}, output: {{model: {output}}}}}
  jump: {{pre: N, post: N, connect: {{rule: fixed_prob, p: 0.05}}, weight: -0.1 mV, delay: 2 ms, synapse: {{model: delta}}}}
monitors:
  spikes: {{model: spikes, of: N}}
  V: {{model: state, of: N, variables: [V, ref], every: 1 ms}}
"""
    by_hand = run(tmp_path, network.replace("MODEL", "lif"))
    general = run(tmp_path, network.replace("MODEL", "described") + own)
    assert by_hand.spikes == general.spikes and len(by_hand.spikes["N"]) > 1000
    for name, difference in (("V", 1e-11), ("ref", 0)):
        assert np.abs(by_hand.samples["V", "N", name] - general.samples["V", "N", name]).max() <= difference


def test_escape_noise_of_gif_follows_its_hazard(tmp_path):
    """The number of spikes is that of the hazard integrated along what was recorded, where a neuron is not refractory."""
    network = """
duration: 1 s
precision: float64
populations:
  N: {model: gif_escape, size: 100, I_e: 200 pA}
monitors:
  spikes: {model: spikes, of: N}
  state: {model: state, of: N, variables: [V, G1, G2, ref]}
"""
    found = run(tmp_path, network)
    V, G1, G2, ref = (found.samples["state", "N", name] for name in ("V", "G1", "G2", "ref"))
    hazard = 1e-3 * np.exp((V - -39.6 - G1 - G2) / 1.4)  # per ms, after each step but for the reset
    expected = np.sum(np.where(ref == 0, 1 - np.exp(-hazard * 0.1), 0))
    count = len(found.spikes["N"])
    assert count > 500 and abs(count - expected) < 5 * np.sqrt(count) + 0.02 * count
    times = np.array([stamp for stamp, _ in found.spikes["N"]])
    assert np.std(np.bincount([n for _, n in found.spikes["N"]])) > 0 and times.min() > 0


def test_a_parrot_repeats(tmp_path):
    network = """
duration: 20 ms
populations:
  S: {model: spike_times, size: 1, times: [1 ms, 1.1 ms, 5 ms, 9 ms]}
  T: {model: spike_times, size: 1, times: [5 ms]}
  P: {model: parrot, size: 3}
projections:
  a: {pre: S, post: P, connect: {rule: all_to_all}, weight: 1 mV, delay: 1 ms, synapse: {model: delta}}
  b: {pre: T, post: P, connect: {rule: all_to_all}, weight: 1 mV, delay: 1 ms, synapse: {model: delta}}
  c: {pre: T, post: P, connect: {rule: all_to_all}, weight: 0.0001 mV, delay: 2 ms, synapse: {model: delta}}
monitors: {s: {model: spikes, of: P}}
"""
    found = run(tmp_path, network).spikes["P"]
    assert found == [(stamp, neuron) for stamp in (20, 21, 60, 100) for neuron in range(3)]


# ---- known numbers ---------------------------------------------------------------------------------------------------


def stamps(tmp_path, model: str, run_: str = "duration: 500 ms") -> list[float]:
    network = f"{run_}\nprecision: float64\npopulations: {{A: {{size: 1, {model}}}}}\nmonitors: {{s: {{model: spikes, of: A}}}}\n"
    spec = load(tmp_path, network).spec
    return [round(stamp * spec.dt, 10) for stamp, _ in run(tmp_path, network).spikes["A"]]


def test_izhikevich_spikes_as_in_nest(tmp_path):
    """izhikevich of NEST 3 with consistent integration, I_e 10."""
    wanted = [3.4, 27.1, 72.2, 117.3, 162.4, 207.5, 252.6, 297.7, 342.8, 387.9, 433.0, 478.1]
    assert stamps(tmp_path, "model: izhikevich, set: RS, I_e: 10 pA") == wanted


@pytest.mark.parametrize(("model", "run_", "count", "last"), [
    ("model: hh_traub, I_e: 500 pA", "duration: 200 ms", 17, 0.1),
    ("model: wang_buzsaki, I_e: 100 pA", "duration: 500 ms", 30, 0.1),
    ("model: morris_lecar, I_e: 10 nA", "duration: 500 ms", 6, 0.1),
    ("model: hh, I_e: 1 nA", "duration: 200 ms", None, 0.1),
    ("model: pinsky_rinzel, I_e: 75 pA", "duration: 300 ms", None, 0.3),
    ("model: hindmarsh_rose, I_e: 2 pA", "duration: 300 ms", None, 0.3),
    ("model: fitzhugh_nagumo, I_e: 0.5 pA", "duration: 300 ms", None, 0.1),
])  # fmt: skip
def test_the_usual_step_is_small_enough(tmp_path, model, run_, count, last):
    """Runge-Kutta at 0.1 ms against steps of 0.002 ms: the same number of spikes, at times that differ by what stamps at the ends
    of steps make of them."""
    usual, fine = (stamps(tmp_path, model, f"{run_}\ndt: {dt}") for dt in ("0.1 ms", "0.002 ms"))
    assert len(usual) == len(fine) and (count is None or len(usual) == count)
    assert np.abs(np.array(usual) - fine).max() <= last + 0.1


@pytest.mark.parametrize(("current", "count", "fifth", "last"), [("1000 pA", 12, 0.37, 0.86), ("2000 pA", 34, 0.44, 2.06)])
def test_adex_drifts_by_its_stamps_alone(tmp_path, current, count, fifth, last):
    """Each interval of a neuron that is reset is longer by about half a step, since its spike counts from the end of a step."""
    model = f"model: adex, tau_ref: 2 ms, I_e: {current}"
    usual, fine = (stamps(tmp_path, model, f"duration: 300 ms\ndt: {dt}") for dt in ("0.1 ms", "0.001 ms"))
    assert len(usual) == count and abs(len(fine) - count) <= 1
    assert usual[4] - fine[4] == pytest.approx(fifth, abs=0.06) and usual[-1] - fine[count - 1] == pytest.approx(last, abs=0.15)
