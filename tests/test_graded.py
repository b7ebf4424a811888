"""Sources that act at every instant: gates against their equations, sums against their edges, gap junctions against theory."""

import numpy as np
import pytest
from networks import load, plan_of, run_plan
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from snnrun import engine, network, snapshot
from snnrun.document import SpecError
from snnrun.models import connect

DT = 0.1
NET = """
duration: {duration} ms
precision: {precision}
populations:
  A: {{size: 40, model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: -70 mV, V_reset: -70 mV, V_th: -60 mV, R: 40 MOhm,
      I_e: {{uniform: {{low: 200 pA, high: 900 pA}}}}}}
  B: {{size: 133, model: izhikevich, I_e: 8 pA}}
projections:
  p:
    pre: ["A[3:37]", "B[:26]"]
    post: ["B[10:]", A]
    connect: {rule}
    weight: {weight}
    delay: {delay}
    synapse: {synapse}
    output: {{model: coba, E: 0 mV}}
  q: {{pre: A, post: B, connect: {{rule: fixed_prob, p: 0.1}}, weight: 20 pA, delay: 0.5 ms,
      synapse: {{model: expon, tau: 2 ms}}}}
  j: {{pre: [A, B], post: [A, B], connect: {{rule: fixed_prob, p: 0.1, symmetric: true, autapses: false}},
      weight: {{uniform: {{low: 0 nS, high: 0.4 nS}}}}, synapse: {{model: gap_junction}}}}
monitors:
  s: {{model: spikes, of: [A, B]}}
  A: {{model: state, of: A, variables: [V, p.x]}}
  from_A: {{model: state, of: "A[3:37]", variables: [p.gate.s, p.gate.{other}]}}
  B: {{model: state, of: B, variables: [V, p.x]}}
  from_B: {{model: state, of: "B[:26]", variables: [p.gate.s]}}
  j: {{model: input, of: [A, B], receptors: [j]}}
"""
SYNAPSES = {
    "ampa": ("{model: ampa, T_dur: 0.7 ms}", "pulse"),
    "gabaa": ("{model: gabaa}", "pulse"),
    "nmda": ("{model: nmda, tau_decay: 30 ms}", "x"),
}
DRAWN = "{uniform: {low: 0.01 nS, high: 0.05 nS}}", "{uniform: {low: 0 ms, high: 3 ms}}"
WIRINGS = {
    "drawn": ("{rule: fixed_prob, p: 0.3}", *DRAWN),
    "one delay": ("{rule: fixed_indegree, n: 7}", DRAWN[0], "1.2 ms"),
    "one weight": ("{rule: fixed_outdegree, n: 5, multapses: true}", "0.05 nS", DRAWN[1]),
    "all": ("{rule: all_to_all}", "0.01 nS", "0.4 ms"),
    "all others": ("{rule: all_to_all, autapses: false}", "0.01 nS", "0 ms"),
    "all, drawn": ("{rule: all_to_all, autapses: false}", *DRAWN),
    "a few": ("{rule: pairs, pairs: [[0, 0], [59, 62], [59, 62], [12, 0]]}", "0.4 nS", "0.2 ms"),
    "none": ("{rule: fixed_prob, p: 0}", "0.4 nS", "0.2 ms"),
}


def text_of(synapse="nmda", wiring="drawn", duration=120, precision="float64"):
    model, other = SYNAPSES[synapse]
    rule, weight, delay = WIRINGS[wiring]
    return NET.format(duration=duration, precision=precision, rule=rule, weight=weight, delay=delay, synapse=model, other=other)


def compared(found, expected):
    assert found.spikes == expected.spikes and found.samples.keys() == expected.samples.keys()
    for name, values in expected.samples.items():
        assert np.array_equal(found.samples[name], values), name


def gate(model, stamps, steps):
    """s at each instant, step by step from the written equations, for one source."""
    s = x = 0.0
    left, found = 0, [0.0]
    for k in range(steps):
        if model == "nmda":
            X = x * 2.0 * (1 - np.exp(-DT / 2.0)) / DT
            rho = 1 / 30.0 + 0.5 * X
            s = 0.5 * X / rho + (s - 0.5 * X / rho) * np.exp(-rho * DT)
            x = x * np.exp(-DT / 2.0) + (k + 1 in stamps)
        else:
            alpha, T, pulse = (0.98, 0.5, 7) if model == "ampa" else (0.53, 1.0, 10)
            rate = alpha * T * (left > 0) + 0.18
            end = alpha * T * (left > 0) / rate
            s = end + (s - end) * np.exp(-rate * DT)
            left = pulse if k + 1 in stamps else max(left - 1, 0)
        found.append(s)
    return np.array(found[:-1])


@pytest.mark.parametrize("model", SYNAPSES)
def test_gates_open_as_their_equations_say(tmp_path, native, model):
    found = run_plan(plan_of(tmp_path, text_of(model), kernel="native"))
    steps = found.plan.structure.steps
    for population, first, size in (("A", 3, 34), ("B", 0, 26)):
        s = found.samples[f"from_{population}", population, "p.gate.s"]
        for i in range(0, size, 5):
            stamps = {stamp for stamp, other in found.spikes[population] if other == first + i}
            assert np.abs(s[:, i] - gate(model, stamps, steps)).max() < 1e-12
    assert 0.1 < s.max() < 1


@pytest.mark.parametrize("dt", [0.1, 0.05])
def test_the_step_of_nmda_is_second_order(tmp_path, dt):
    """Against an integration in fine steps; the error falls with the square of dt."""
    text = f"""
    duration: 30 ms
    dt: {dt} ms
    precision: float64
    populations: {{S: {{model: spike_times, size: 1, times: [2 ms, 5 ms, 6 ms]}}, N: {{model: lif, size: 1, tau: 10 ms,
      V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, R: 1 GOhm}}}}
    projections:
      p: {{pre: S, post: N, connect: {{rule: one_to_one}}, weight: 1 pA, synapse: {{model: nmda, tau_decay: 40 ms}}}}
    monitors: {{m: {{model: state, of: S, variables: [p.gate.s]}}}}
    """
    s = run_plan(plan_of(tmp_path, text)).samples["m", "S", "p.gate.s"][:, 0]

    def slope(t, y):
        return [-y[0] / 40 + 0.5 * y[1] * (1 - y[0]), -y[1] / 2]

    y, expected, begin = [0.0, 0.0], [], 0.0
    for end in (2.0, 5.0, 6.0, 30.0):
        times = np.arange(round(begin / dt), round(end / dt)) * dt
        solved = solve_ivp(slope, (begin, end), y, "DOP853", times, rtol=1e-12, atol=1e-14, dense_output=True)
        expected += list(solved.y[0])
        y, begin = [solved.sol(end)[0], solved.sol(end)[1] + 1], end
    error = np.abs(s - expected).max()
    assert 1e-6 < error < 2.5e-2 * dt**2


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("model", SYNAPSES)
def test_a_target_receives_the_sum_over_its_edges(tmp_path, native, model, wiring):
    text = text_of(model, wiring)
    found = run_plan(plan_of(tmp_path, text, kernel="native"))
    s = np.concatenate([found.samples[f"from_{name}", name, "p.gate.s"] for name in "AB"], axis=1)
    built = network.build(load(tmp_path, text).spec, tmp_path).projections["p"]
    edges = connect.collect(built.connectivity)
    expected = np.zeros((len(s), built.connectivity.sizes.post))
    weight, delay = (np.broadcast_to(values, len(edges.pre)) for values in (edges.weight, edges.delay))
    for i, j, w, d in zip(edges.pre, edges.post, weight, delay, strict=True):
        expected[d:, j] += w * s[: len(s) - d, i]
    x = np.concatenate([found.samples["B", "B", "p.x"][:, 10:], found.samples["A", "A", "p.x"]], axis=1)
    assert np.abs(x - expected).max() < 1e-13
    assert wiring == "none" or x.max() > 0.01


def test_a_junction_carries_the_difference_of_potentials(tmp_path, native):
    text = text_of()
    found = run_plan(plan_of(tmp_path, text, kernel="native"))
    V = np.concatenate([found.samples[name, name, "V"] for name in "AB"], axis=1)
    edges = connect.collect(network.build(load(tmp_path, text).spec, tmp_path).projections["j"].connectivity)
    expected = np.zeros_like(V)
    for i, j, g in zip(edges.pre, edges.post, edges.weight, strict=True):
        expected[:, j] += g * (V[:, i] - V[:, j])
    current = np.concatenate([found.samples["j", name, "j"] for name in "AB"], axis=1)
    assert np.abs(current - expected).max() < 1e-10 and np.abs(current).max() > 10
    assert np.abs(current.sum(axis=1)).max() < 1e-9  # both ways with one conductance: what one loses the other gains


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("model", SYNAPSES)
def test_the_same_bits_whatever_runs_them(tmp_path, native, model, precision):
    text = text_of(model, "drawn", 60, precision)
    alone = run_plan(plan_of(tmp_path, text, kernel="xla"))
    assert sum(map(len, alone.spikes.values())) > 50
    compared(run_plan(plan_of(tmp_path, text, kernel="native")), alone)
    compared(run_plan(plan_of(tmp_path, text, kernel="native", threads=3), lengths=[1, 2, 30, 567]), alone)
    compared(run_plan(plan_of(tmp_path, text, merge=False, kernel="native")), alone)
    fewer = run_plan(plan_of(tmp_path, text.split("  A: {model: state")[0], kernel="native"))
    assert fewer.spikes == alone.spikes


@pytest.mark.parametrize("wiring", ["drawn", "all others"])
@pytest.mark.parametrize("model", SYNAPSES)
def test_a_run_goes_on_from_a_snapshot_on_the_other_kernel(tmp_path, native, model, wiring):
    text = text_of(model, wiring, 60)
    plans = {kernel: plan_of(tmp_path, text, kernel=kernel) for kernel in ("native", "xla")}
    whole = snapshot.take(plans["xla"], run_plan(plans["xla"]).state)
    for first, second in (("native", "xla"), ("xla", "native")):
        state = engine.simulate(plans[first], engine.init(plans[first]), 307, Nowhere())
        state = snapshot.restore(plans[second], snapshot.take(plans[first], state))
        ended = snapshot.take(plans[second], engine.simulate(plans[second], state, 293, Nowhere()))
        assert ended.variables.keys() == whole.variables.keys()
        assert all(np.array_equal(ended.variables[name], values) for name, values in whole.variables.items())
        assert all(np.array_equal(ended.gates[name], values) for name, values in whole.gates.items())


class Nowhere:
    def write(self, frame):
        pass


COUPLED = """
duration: {duration} ms
dt: {dt} ms
precision: float64
populations:
  N: {{model: {model}, size: 3, {parameters}, init: {{V: {{file: V.csv, column: V_mV}}}}}}
projections:
  j: {{pre: N, post: N, connect: {{rule: pairs, pairs: [[0, 1], [1, 0], [1, 2], [2, 1]]}}, weight: {g} nS,
      synapse: {{model: gap_junction}}}}
monitors:
  m: {{model: state, of: N, variables: [V]}}
"""
LIF = "tau: 10 ms, C: 100 pF, V_rest: -70 mV, V_reset: -70 mV, V_th: 1000 mV"


def coupled(tmp_path, g, dt=0.1, duration=20, model="lif", parameters=LIF):
    (tmp_path / "V.csv").write_text("V_mV\n-50\n-65\n-90\n")
    text = COUPLED.format(duration=duration, dt=dt, g=g, model=model, parameters=parameters)
    return run_plan(plan_of(tmp_path, text)).samples["m", "N", "V"]


def test_junctions_converge_to_the_linear_equations(tmp_path):
    """C dV/dt = -C / tau (V - V_rest) - g L V with the graph's Laplacian, of which the step is first order."""
    laplacian = np.array([[1, -1, 0], [-1, 2, -1], [0, -1, 1.0]])
    matrix = -np.eye(3) / 10 - 20 * laplacian / 100
    start = np.array([-50.0, -65, -90])
    errors = []
    for dt in (0.1, 0.05, 0.025):
        V = coupled(tmp_path, 20, dt)
        exact = np.array([-70 + expm(matrix * k * dt) @ (start + 70) for k in range(len(V))])
        errors.append(np.abs(V - exact).max())
    assert errors[0] < 0.2 and 1.9 < errors[0] / errors[1] < 2.1 and 1.95 < errors[1] / errors[2] < 2.05


def test_no_coupling_is_too_strong_for_a_method_that_relaxes(tmp_path):
    V = coupled(tmp_path, 1e6)
    assert np.isfinite(V).all() and V.max() <= -50 and V.min() >= -90
    assert np.ptp(coupled(tmp_path, 1e3, 0.01)[-1]) < 0.1


@pytest.mark.parametrize("model, g", [("izhikevich", 100), ("adex", 30_000), ("hh", 300_000)])
def test_a_coupling_that_is_too_strong_for_a_step_is_told(tmp_path, model, g):
    try:
        V = coupled(tmp_path, g, duration=1, model=model, parameters="I_e: 0 pA")
    except SpecError as error:
        assert "this coupling is too strong for" in str(error.faults[0].message)
    except FloatingPointError:
        pass
    else:
        assert np.isfinite(V).all() and np.abs(V).max() < 200


@pytest.mark.parametrize("rule", ["all_to_all, autapses: false", "fixed_prob, p: 1, autapses: false"])
def test_a_potential_that_runs_away_ends_the_run(tmp_path, rule):
    """Of a model whose current is of the wrong sign, so that coupling drives its neurons apart."""
    text = f"""
    duration: 200 ms
    models:
      away: {{parameters: {{C: {{default: 100 pF}}}}, state: {{V: {{init: 0 mV}}}}, equations: {{dV/dt: V / 5 ms + I / C}},
              solver: euler}}
    populations: {{N: {{model: away, size: 4, init: {{V: {{uniform: {{low: -1 mV, high: 1 mV}}}}}}}}}}
    projections: {{j: {{pre: N, post: N, connect: {{rule: {rule}}}, weight: 1 nS, synapse: {{model: gap_junction}}}}}}
    """
    with pytest.raises(engine.NumericalError, match="is no finite number any more"):
        run_plan(plan_of(tmp_path, text))


WRONG = {
    "p.output: gap_junction synapses have no output": "weight: 1 nS, synapse: {model: gap_junction}, output: {model: cuba}",
    "p.delay: gap_junction synapses have no delay": "weight: 1 nS, synapse: {model: gap_junction}, delay: 1 ms",
    "p.weight: the weight of a gap_junction synapse is a conductance": "weight: 1 mV, synapse: {model: gap_junction}",
    "p.stp: nmda synapses take no stp": "weight: 1 pA, synapse: {model: nmda}, stp: {U: 0.4, tau_d: 100 ms}",
    "p.stdp: ampa synapses take no stdp": "synapse: {model: ampa}, weight: 1 pA, "
    "stdp: {model: song2000, w_max: 2 pA, A1: 1 pA, A2: 1 pA}",
    "p.synapse.tau_rise: tau_rise must be positive": "weight: 1 pA, synapse: {model: nmda, tau_rise: 0 ms}",
    "p.synapse.T_dur": "weight: 1 pA, synapse: {model: ampa, T_dur: 0.55 ms}",
    "p.connect.storage: the edges of nmda synapses are stored": "weight: 1 pA, synapse: {model: nmda}",
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_is_told(tmp_path, message):
    rule = "{rule: fixed_prob, p: 0.5, storage: procedural}" if "storage" in message else "{rule: all_to_all}"
    text = f"""
    duration: 10 ms
    populations: {{A: {{model: izhikevich, size: 3}}, S: {{model: poisson, size: 3, rate: 10 Hz}}}}
    projections:
      p: {{pre: A, post: A, connect: {rule}, {WRONG[message]}}}
    """
    with pytest.raises(SpecError) as error:
        load(tmp_path, text)
    assert any(f"{'.'.join(map(str, f.path))}: {f.message}".startswith(f"projections.{message}") for f in error.value.faults), [
        (f.path, f.message) for f in error.value.faults
    ]


def test_a_source_without_V_has_no_junctions_and_an_input_no_gates(tmp_path):
    text = """
    duration: 10 ms
    populations: {A: {model: izhikevich, size: 3}, S: {model: poisson, size: 3, rate: 10 Hz}}
    inputs: {i: {model: poisson, to: A, rate: 1 kHz, weight: 1 pA, synapse: {model: ampa}}}
    projections:
      p: {pre: S, post: A, connect: {rule: all_to_all}, weight: 1 nS, synapse: {model: gap_junction}}
    """
    with pytest.raises(SpecError) as error:
        load(tmp_path, text)
    said = [f.message for f in error.value.faults]
    assert said == ["ampa synapses need sources, and the trains of an input have none", "S (poisson) has no V"]
