"""Synapses with a rise of their own and outputs that depend on V, against closed forms and a fine integration."""

import numpy as np
import pytest
from networks import plan_of, run, run_plan
from scipy.integrate import solve_ivp

from snnrun.models import outputs, synapses

C, TAU, DT = 250.0, 10.0, 0.1
LIF = f"model: lif, tau: {TAU} ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1000 mV, C: {C} pF"
KICK, DELAY = 1.0, 0.5
TIMES = [(2.0, 100.0), (1.0, 10.0), (0.5, 2.0), (0.5, 10.0), (9.98, 10.0), (3.0, 10.0 / (1 + 1e-9))]  # rise, decay in ms


def peak(rise, decay):
    t = rise * decay / (decay - rise) * np.log(decay / rise)
    return 1 / (np.exp(-t / decay) - np.exp(-t / rise)), t


def psp(t, tau):
    """V after a current exp(-t / tau) of 1 pA began, without the cancellation near tau = TAU."""
    z = t * (1 / TAU - 1 / tau)
    phi = np.where(np.abs(z) < 1e-8, 1 + z / 2, np.expm1(z) / np.where(z == 0, 1, z))
    return t / C * np.exp(-t / TAU) * phi


@pytest.mark.parametrize("rise, decay, factor, at", [(2, 100, 1.105215, 7.98372), (1, 10, 1.435055, 2.55843),
                                                     (0.5, 2, 2.116535, 0.924196)])  # fmt: skip
def test_the_factor_that_makes_the_weight_the_peak(rise, decay, factor, at):
    const = synapses.MODELS["dual_expon"].lower({"tau_rise": rise, "tau_decay": decay, "normalize": "peak"}, DT)
    assert const.scale / (1 / rise - 1 / decay) == pytest.approx(factor, abs=1e-6)
    assert peak(rise, decay)[1] == pytest.approx(at, abs=1e-5)


@pytest.mark.parametrize("rise, decay", TIMES)
def test_a_difference_of_exponentials_is_exact_in_the_receptor_and_on_the_membrane(tmp_path, rise, decay):
    """Also where a time constant is that of the membrane. All normalizations side by side, each on a neuron of its own."""
    kinds = {"peak": peak(rise, decay)[0], "area": decay / (decay - rise), "none": 1.0}
    populations = "\n".join(f"  {kind}: {{size: 1, {LIF}}}" for kind in kinds)
    projections = "\n".join(
        f"  to_{kind}: {{pre: K, post: {kind}, connect: {{rule: all_to_all}}, weight: 200 pA, delay: {DELAY} ms, "
        f"synapse: {{model: dual_expon, tau_rise: {rise!r} ms, tau_decay: {decay!r} ms, normalize: {kind}}}}}"
        for kind in kinds
    )
    monitors = "\n".join(f"  {kind}: {{model: state, of: {kind}, variables: [V, to_{kind}.x]}}" for kind in kinds)
    text = f"""
duration: 60 ms
precision: float64
populations:
  K: {{model: spike_times, size: 1, times: [{KICK} ms]}}
{populations}
projections:
{projections}
monitors:
{monitors}
"""
    found = run(tmp_path, text)
    t = np.arange(600) * DT - KICK - DELAY
    after, t = t > -1e-9, np.maximum(t, 0)
    for kind, a in kinds.items():
        x = found.samples[kind, kind, f"to_{kind}.x"][:, 0]
        closed = np.where(after, 200 * a * (np.exp(-t / decay) - np.exp(-t / rise)), 0)
        assert x == pytest.approx(closed, rel=1e-10, abs=1e-10 * a)
        V = found.samples[kind, kind, "V"][:, 0]
        assert V == pytest.approx(200 * a * (psp(t, decay) - psp(t, rise)), rel=1e-9, abs=1e-11 * a)


def test_all_linear_synapses_mix_on_one_neuron(tmp_path, kernel):
    """What they do together is what they do alone, one after the other; one of them moves V itself."""
    kinds = {
        "expon": "200 pA, synapse: {model: expon, tau: 3 ms}",
        "alpha": "-150 pA, synapse: {model: alpha, tau: 10 ms}",
        "dual": "300 pA, synapse: {model: dual_expon, tau_rise: 1 ms, tau_decay: 10 ms}",
        "delta": "2 mV, synapse: {model: delta}",
    }
    alone = "\n".join(f"  {kind}: {{size: 1, {LIF}}}" for kind in kinds)
    edges = "\n".join(
        f"  {post}_{kind}: {{pre: 'K[{i}]', post: {post}, connect: {{rule: all_to_all}}, delay: 0.3 ms, weight: {rest}}}"
        for i, (kind, rest) in enumerate(kinds.items())
        for post in (kind, "mix")
    )
    text = f"""
duration: 40 ms
precision: float64
populations:
  K: {{model: spike_times, size: 4, times: {{file: trains.csv}}}}
  mix: {{size: 1, {LIF}}}
{alone}
projections:
{edges}
monitors:
  V: {{model: state, of: [mix, {", ".join(kinds)}], variables: [V]}}
"""
    (tmp_path / "trains.csv").write_text("neuron,time_ms\n0,1\n0,3\n1,2.5\n2,1.2\n3,4\n3,7\n2,9\n")
    found = run_plan(plan_of(tmp_path, text, kernel=kernel)).samples
    single = sum(found["V", kind, "V"] for kind in kinds)
    assert np.abs(found["V", "mix", "V"] - single).max() < 1e-12 and np.ptp(single) > 2


BLOCK = "output: {{model: mg_block, E: {E} mV, c_Mg: {c}, alpha: {alpha} /mV, beta: {beta}}}"


def test_the_block_by_magnesium_is_that_of_jahr_and_stevens():
    model = outputs.MODELS["mg_block"]
    for origin in (0.0, -55.0):
        const = model.lower({"E": 0.0, "c_Mg": 1.2, "alpha": 0.062, "beta": 3.57}, origin)
        V = np.array([-80.0, -60, -40, 0, 20])
        drive = model.drive(const, np.ones(5), V - origin)
        B = 1 / (1 + 1.2 / 3.57 * np.exp(-0.062 * V))
        assert np.asarray(drive.conductance) == pytest.approx(B, rel=1e-12)
        assert np.asarray(model.current(const, np.ones(5), V - origin)) == pytest.approx(-B * V, rel=1e-12, abs=1e-12)


NMDA = """
duration: 30 ms
dt: {dt} ms
precision: {precision}
populations:
  K: {{model: spike_times, size: 1, times: [1 ms, 6 ms]}}
  N: {{size: 3, {neuron}, init: {{V: {{file: start.csv, column: V_mV}}}}}}
projections:
  nmda: {{pre: K, post: N, connect: {{rule: all_to_all}}, weight: 40 nS, delay: 1 ms,
         synapse: {{model: expon, tau: 20 ms}}, output: {{model: mg_block, E: 5 mV, c_Mg: 1.0}}}}
  fast: {{pre: K, post: N, connect: {{rule: all_to_all}}, weight: 4 nS, delay: 1 ms,
         synapse: {{model: expon, tau: 3 ms}}, output: {{model: coba, E: 0 mV}}}}
monitors:
  V: {{model: state, of: N, variables: [V, nmda.x, fast.x]}}
  I: {{model: input, of: N}}
"""
START = np.array([-75.0, -65.0, -50.0])


def block(V, c=1.0):
    return 1 / (1 + c / 3.57 * np.exp(-0.062 * V))


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-11), ("float32", 2e-4)])
@pytest.mark.parametrize("way", ["linear", "frozen"])
def test_lif_takes_the_block_at_the_beginning_of_a_step(tmp_path, kernel, way, precision, tolerance):
    (tmp_path / "start.csv").write_text("V_mV\n" + "\n".join(map(str, START)))
    neuron = f"model: lif, tau: 10 ms, V_rest: -70 mV, V_reset: -70 mV, V_th: 500 mV, C: 250 pF, conductance: {way}"
    found = run_plan(plan_of(tmp_path, NMDA.format(dt=DT, precision=precision, neuron=neuron), kernel=kernel)).samples
    V, g, fast = (found["V", "N", name].astype(float) for name in ("V", "nmda.x", "fast.x"))
    leak, blocked = C / TAU, g * block(V)
    pull, G = leak * -70 + 5 * blocked + 0 * fast, leak + blocked + fast
    if way == "linear":
        after = pull / G + (V - pull / G) * np.exp(-DT * G / C)
    else:
        I = blocked * (5 - V) + fast * (0 - V)
        after = -70 + np.exp(-DT / TAU) * (V + 70) + TAU / C * -np.expm1(-DT / TAU) * I
    assert np.abs(V[1:] - after[:-1]).max() < tolerance and np.ptp(V[200:]) > 1 and V[100].min() > -68
    assert found["I", "N", "nmda"] == pytest.approx(blocked * (5 - V), rel=1e-4, abs=1e-2)


def test_rk4_takes_the_block_at_its_stages_and_keeps_its_order(tmp_path):
    """Against a fine integration of the same equations: fourth order, and not the first."""
    (tmp_path / "start.csv").write_text("V_mV\n" + "\n".join(map(str, START)))

    def slope(t, V, g0, f0):
        return (-25 * (V + 70) + g0 * np.exp(-t / 20) * block(V) * (5 - V) + f0 * np.exp(-t / 3) * (0 - V)) / C

    reference = START
    for begin, end, g, f in ((0, 2, 0, 0), (2, 7, 40, 4), (7, 29, 40 * np.exp(-5 / 20) + 40, 4 * np.exp(-5 / 3) + 4)):
        reference = solve_ivp(slope, (0, end - begin), reference, "DOP853", args=(g, f), rtol=1e-13, atol=1e-13).y[:, -1]
    errors = []
    for dt in (0.5, 0.25, 0.125):
        neuron = "model: leaky"
        text = NMDA.format(dt=dt, precision="float64", neuron=neuron) + LEAKY
        found = run(tmp_path, text).samples["V", "N", "V"]
        errors.append(np.abs(found[int(29 / dt)] - reference).max())
    assert errors[-1] < 1e-6
    assert all(13 < coarse / fine < 19 for coarse, fine in zip(errors[:-1], errors[1:], strict=True)), errors


LEAKY = """
models:
  leaky:
    about: A leaky membrane without spikes.
    state: {V: {init: -70 mV}}
    parameters: {C: 250 pF, g: 25 nS, E: -70 mV}
    equations: {dV/dt: (g * (E - V) + I) / C}
    solver: rk4
"""


def test_gated_receptors_have_the_same_bits_in_any_company(tmp_path, kernel):
    """Beside another population, in another number of receptors, on the other kernel."""
    (tmp_path / "start.csv").write_text("V_mV\n" + "\n".join(map(str, START)))
    for neuron in ("model: lif, tau: 10 ms, V_rest: -70 mV, V_reset: -70 mV, V_th: -55 mV, C: 250 pF", "model: adex"):
        text = NMDA.format(dt=DT, precision="float32", neuron=neuron)
        more = f"""
  M: {{size: 70, {neuron}}}
projections:
  other: {{pre: K, post: M, connect: {{rule: all_to_all}}, weight: 20 nS, delay: 2 ms,
          synapse: {{model: expon, tau: 20 ms}}, output: {{model: mg_block}}}}
  last: {{pre: K, post: M, connect: {{rule: all_to_all}}, weight: 2 nS, delay: 2 ms,
         synapse: {{model: expon, tau: 3 ms}}, output: {{model: coba, E: 0 mV}}}}"""
        alone = run_plan(plan_of(tmp_path, text, kernel="xla"))
        beside = run_plan(plan_of(tmp_path, text.replace("\nprojections:", more, 1), kernel=kernel), capacity=7)
        assert len(beside.plan.program.groups) == len(alone.plan.program.groups)
        for key, values in alone.samples.items():
            assert np.array_equal(values, beside.samples[key]), key
