"""The time rule, NEST's golden tables, and what must not change a bit."""

from pathlib import Path

import jax
import numpy as np
import pytest
from networks import Frames, assert_same_bits, plan_of, run, run_plan

from snnrun import engine

CONFIGS = Path(__file__).parent.parent / "configs"
DT = 0.1  # ms


def config(name, precision=None):
    text = (CONFIGS / f"{name}.yaml").read_text()
    return text if precision is None else f"{text}\nprecision: {precision}\n"


def stamps(recorded, population):
    """Spike times in steps, by neuron."""
    found = {}
    for step, neuron in recorded.spikes[population]:
        found.setdefault(neuron, []).append(step)
    return found


# ---- golden tables: voltages that NEST 3.10 gives, at times in ms, and what happens there --------------------------------

NEST = "model: lif, tau: 10 ms, tau_ref: 2 ms, V_rest: -70 mV, V_reset: -70 mV, V_th: -55 mV, C: 250 pF"

# Lif neurons of NEST's default iaf_psc_alpha with a current of 1000 pA.
FROM_THE_BEGINNING = """
0.0 -70          # the initial state
0.1 -69.601993   # step 0 feels the current: V has moved at its end
0.2 -69.207947
0.3 -68.817821
0.4 -68.431578
0.5 -68.049177
1.0 -66.193497
2.0 -62.749230
3.0 -59.632729
4.0 -56.812802
4.3 -56.020364
4.4 -55.761457
4.5 -55.505126
4.6 -55.251346
4.7 -55.000091   # the last one below threshold
4.8 -70          # would be above it: the stamp of the spike, and V is reset
4.9 -70          # held ...
6.7 -70
6.8 -70          # ... up to and including the stamp + tau_ref
6.9 -69.601993   # the first free step is like step 0
"""
FROM_0_2 = """
0.1 -70
0.2 -70          # the current begins here
0.3 -69.601993   # and has moved V one step later
0.4 -69.207947
4.8 -55.251346
4.9 -55.000091
5.0 -70          # spike
7.0 -70          # 21 samples of V_reset
7.1 -69.601993
7.2 -69.207947
7.3 -68.817821
"""
FROM_2_1 = """
1.0 -70
2.0 -70
3.0 -66.55725
4.0 -63.07837
5.0 -59.93054
6.0 -57.08227
7.0 -70          # spike at 6.9
8.0 -70
9.0 -69.60199    # first moved at 9.0
10.0 -65.83337
"""
# A neuron that spikes at 3.0 and 8.0 ms, and one that it reaches by an alpha synapse of 100 pA with 1 ms delay.
PAIR = """
4.0 -70          # the arrival: the current begins to rise, V has not moved
4.1 -69.9974
4.2 -69.9899
4.3 -69.9781
4.4 -69.9624
4.5 -69.9434
4.6 -69.9213
4.7 -69.8967
4.8 -69.8699
4.9 -69.8411
5.0 -69.8108
5.1 -69.7790
5.2 -69.7463
5.3 -69.7126
5.4 -69.6783
5.5 -69.6435
6.0 -69.4681
7.0 -69.1508
8.0 -68.9180
9.0 -68.7758     # the arrival of the second spike
"""
# Neurons driven by 25 and 10 nA; each spike of the first moves the second by 5 mV, one step later.
DELTA_PAIR = """
0.1 0.099502
16.1 8.001124    # spike of the first
16.2 13.021013   # + 5 mV, on top of a step of charging
16.3 12.990953   # beyond its V_inf of 10 mV: decays
16.4 12.961193
20.0 12.065954
34.1 10.504389   # second spike
34.2 15.499370
50.0 11.132733
100.0 11.839970
"""
# The same with an alpha synapse whose time constant is that of the membrane.
ALPHA_PAIR = """
16.1 8.001124    # spike of the first
16.2 8.021013    # the arrival: only charging so far
16.3 8.041377    # the current has begun to rise
16.4 8.062864
20.0 9.317720
34.1 13.304998
50.0 16.070283
100.0 17.793878
"""


def assert_golden(V, table, atol, dt=DT):
    """V [frames] against lines of time and voltage, where a time is a whole number of steps."""
    rows = [tuple(map(float, line.partition("#")[0].split())) for line in table.strip().splitlines()]
    rows = [(time, voltage) for time, voltage in rows if abs(time / dt - round(time / dt)) < 1e-9]
    assert len(rows) > 4
    found = [V[round(time / dt)] for time, _ in rows]
    np.testing.assert_allclose(found, [voltage for _, voltage in rows], rtol=0, atol=atol)


# One network for all that happens at known instants. A spikes at 1.0 ms (in step 9), T is a list of spikes.
RULE = f"""\
precision: float64
duration: 12 ms
populations:
  golden: {{size: 3, {NEST}}}
  A: {{size: 1, model: lif, tau: 10 ms, tau_ref: 0.2 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 9 mV, C: 250 pF, I_e: 2500 pA}}
  B: {{size: 8, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 100 mV, C: 250 pF}}
  T: {{size: 1, model: spike_times, times: [1 ms]}}
  kicked: {{size: 3, model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 20 mV, C: 250 pF}}
  fast: {{size: 2, model: lif, tau: 10 ms, tau_ref: {{file: fast.csv, column: tau_ref_ms}}, V_rest: 0 mV, V_reset: 0 mV,
         V_th: 1 mV, C: 250 pF, I_e: 1 uA}}
  fastest: {{size: 1, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1 mV, C: 250 pF, I_e: 1 uA}}
  eager: {{size: 1, model: lif, tau: 10 ms, tau_ref: 5 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1 mV, C: 250 pF,
          init: {{V: 50 mV}}}}
  driven: {{size: 5, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1 V, C: 250 pF}}
  noise: {{size: 3, model: poisson, rate: 10 kHz, start: 1 ms, stop: 2 ms}}
  trains: {{size: 3, model: spike_times, times: {{file: trains.csv}}}}
inputs:
  all: {{model: constant, to: "golden[0]", current: 1 nA}}
  late: {{model: steps, to: "golden[1]", times: [0.2 ms], currents: [1 nA]}}
  later: {{model: steps, to: "golden[2]", times: [2.1 ms], currents: [1 nA]}}
  window: {{model: constant, to: "driven[0]", current: 100 pA, start: 1 ms, stop: 2 ms}}
  course: {{model: steps, to: "driven[1]", times: [0.5 ms, 1 ms, 2 ms, 3 ms], currents: [-9 pA, 100 pA, 50 pA, 70 pA],
           start: 0.8 ms, stop: 2.5 ms}}
  drizzle: {{model: poisson, to: "driven[2]", rate: 100 kHz, weight: 1 mV, synapse: &delta {{model: delta}}, start: 1 ms,
            stop: 2 ms}}
  rain: {{model: poisson, to: "driven[3]", rate: 100 kHz, weight: 1 mV, synapse: *delta, start: 1 ms, stop: 2 ms, delay: 0.5 ms}}
  flood: {{model: poisson, to: "driven[4]", rate: 100 kHz, weight: 1 pA, synapse: &expon {{model: expon, tau: 2 ms}}, start: 1 ms,
          stop: 2 ms}}
projections:
  expon: {{pre: A, post: "B[0]", connect: &all {{rule: all_to_all}}, weight: 1 pA, delay: 0.3 ms, synapse: *expon}}
  expon0: {{pre: A, post: "B[1]", connect: *all, weight: 1 pA, delay: 0 ms, synapse: *expon}}
  alpha: {{pre: A, post: "B[2]", connect: *all, weight: 1 pA, delay: 0.3 ms, synapse: &alpha {{model: alpha, tau: 2 ms}}}}
  alpha0: {{pre: A, post: "B[3]", connect: *all, weight: 1 pA, delay: 0 ms, synapse: *alpha}}
  delta: {{pre: A, post: "B[4]", connect: *all, weight: 1 mV, delay: 0.3 ms, synapse: *delta}}
  delta1: {{pre: A, post: "B[5]", connect: *all, weight: 1 mV, delay: 0.1 ms, synapse: *delta}}
  delta0: {{pre: A, post: "B[6]", connect: *all, weight: 1 mV, synapse: *delta}}
  listed0: {{pre: T, post: "B[7]", connect: *all, weight: 1 mV, synapse: *delta}}
  fire: {{pre: T, post: kicked, connect: *all, weight: 20 mV, delay: 1 ms, synapse: *delta}}
  instant: {{pre: T, post: "kicked[0]", connect: *all, weight: 1 mV, delay: 1 ms, synapse: *delta}}
  lost: {{pre: T, post: "kicked[:2]", connect: *all, weight: 1 mV, delay: 2 ms, synapse: *delta}}
  felt: {{pre: T, post: "kicked[1]", connect: *all, weight: 1 mV, delay: 2.1 ms, synapse: *delta}}
monitors:
  spikes: {{model: spikes, of: [golden, A, kicked, fast, fastest, eager, noise, trains]}}
  V: {{model: state, of: [golden, A, B, kicked, eager, driven], variables: [V]}}
  held: {{model: state, of: [A, fastest], variables: [ref]}}
  x: {{model: state, of: B, variables: [expon.x, alpha.x, alpha.y]}}
  input: {{model: input, of: [B, driven]}}
  part: {{model: state, of: "driven[:2]", variables: [V], start: 0.7 ms, stop: 2.2 ms, every: 0.5 ms}}
  one: {{model: state, of: "driven[1]", variables: [V], start: 11.9 ms}}
  after: {{model: state, of: "driven[1]", variables: [V], start: 12 ms}}
"""


@pytest.fixture(scope="module")
def rule(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rule")
    (folder / "fast.csv").write_text("tau_ref_ms\n2.0\n0.1\n")
    (folder / "trains.csv").write_text("neuron,time_ms\n2,5\n0,0.1\n2,0.3\n0,11.9\n2,12\n")
    return run(folder, RULE, capacity=50)


def V_of(recorded, population, neuron=0):
    return recorded.samples["V", population, "V"][:, neuron]


@pytest.mark.parametrize(
    ("neuron", "table", "atol", "spike"),
    [(0, FROM_THE_BEGINNING, 6e-7, 48), (1, FROM_0_2, 6e-7, 50), (2, FROM_2_1, 6e-6, 69)],
    ids=["from the beginning", "from 0.2 ms", "from 2.1 ms"],
)
def test_a_current_moves_the_membrane_as_in_nest(rule, neuron, table, atol, spike):
    assert_golden(V_of(rule, "golden", neuron), table, atol)
    assert stamps(rule, "golden")[neuron][0] == spike


@pytest.mark.parametrize("dt", [0.1, 0.2, 0.5, 1.0])
def test_a_pair_with_an_alpha_synapse_is_that_of_nest_for_every_step(tmp_path, dt):
    text = f"""\
duration: 10 ms
dt: {dt} ms
precision: float64
populations: {{n1: {{size: 1, {NEST}, I_e: 1450 pA}}, n2: {{size: 1, {NEST}}}}}
projections:
  syn: {{pre: n1, post: n2, connect: {{rule: all_to_all}}, weight: 100 pA, delay: 1 ms, synapse: {{model: alpha, tau: 2 ms}}}}
monitors: {{V: {{model: state, of: n2, variables: [V]}}, spikes: {{model: spikes, of: [n1, n2]}}}}
"""
    recorded = run(tmp_path, text)
    assert [round(step * dt, 9) for step, _ in recorded.spikes["n1"]] == [3.0, 8.0]
    assert not recorded.spikes["n2"]
    assert_golden(V_of(recorded, "n2"), PAIR, 6e-5, dt)


@pytest.mark.parametrize(
    ("name", "table", "last"),
    [("delta_pair", DELTA_PAIR, 12.745924), ("alpha_pair", ALPHA_PAIR, 17.688508)],
)
def test_the_pairs_of_the_configs_are_those_of_nest(tmp_path, name, table, last):
    """The table's last row, at 150.0 ms, is the state at the end of the run."""
    recorded = run(tmp_path, config(name, "float64"))
    assert recorded.spikes == {"pre": [(161 + 180 * n, 0) for n in range(8)], "post": []}
    assert_golden(recorded.samples["post_V", "post", "V"][:, 0], table, 6e-7)
    np.testing.assert_allclose(recorded.state.neurons[1]["V"][0], last, rtol=0, atol=6e-7)


def test_neuron_k_of_the_ring_spikes_after_k_delays(tmp_path):
    assert run(tmp_path, config("ring")).spikes == {"ring": [(20 + 10 * k, k) for k in range(100)]}


# ---- the time rule ---------------------------------------------------------------------------------------------------


def first(values):
    """Index of the first value that is not the one before it."""
    return int(np.flatnonzero(np.diff(values))[0]) + 1


def test_a_spike_is_stamped_with_the_end_of_its_step_and_holds_the_membrane_for_tau_ref(rule):
    """tau_ref is 2 steps: V is V_reset at the stamp and 2 steps later still, and moves at the third."""
    V = V_of(rule, "A")
    assert rule.spikes["A"][0] == (10, 0)
    assert V[9] > 8 and V[10:13].tolist() == [0, 0, 0] and V[13] > 0
    np.testing.assert_array_equal(V[13:22], V[1:10])
    assert rule.samples["held", "A", "ref"][8:14, 0].tolist() == [0, 0, 2, 1, 0, 0]


@pytest.mark.parametrize(
    ("neuron", "label", "jumps", "moves", "V"),
    [
        (0, "expon.x", 13, 14, 0.000388),
        (1, "expon.x", 10, 11, 0.000388),
        (2, "alpha.y", 13, 14, 2.6e-5),
        (3, "alpha.y", 10, 11, 2.6e-5),
    ],
    ids=["expon 0.3 ms", "expon 0", "alpha 0.3 ms", "alpha 0"],
)
def test_a_synaptic_variable_jumps_after_the_delay_and_the_membrane_follows_a_step_later(rule, neuron, label, jumps, moves, V):
    assert first(rule.samples["x", "B", label][:, neuron]) == jumps
    assert first(V_of(rule, "B", neuron)) == moves
    np.testing.assert_allclose(V_of(rule, "B", neuron)[moves], V, rtol=0.02)


def test_an_alpha_current_is_that_of_nest(rule):
    np.testing.assert_allclose(rule.samples["x", "B", "alpha.x"][13:15, 2], [0.0, 0.129285], atol=6e-7)


@pytest.mark.parametrize(("neuron", "moves"), [(4, 13), (5, 11), (6, 11), (7, 11)], ids=["0.3 ms", "0.1 ms", "0", "0, listed"])
def test_a_delta_moves_the_membrane_after_its_delay_of_at_least_a_step(rule, neuron, moves):
    V = V_of(rule, "B", neuron)
    assert first(V) == moves
    np.testing.assert_allclose(V[moves : moves + 2], [1.0, 0.990050], atol=6e-7)


def test_a_delta_that_arrives_while_refractory_is_lost(rule):
    """A spike at 2.0 ms, with V exactly at threshold, is held for 1 ms.

    Another kick at 2.0 goes with the reset, one at 3.0 is lost, one at 3.1 is felt.
    """
    assert [neuron for step, neuron in rule.spikes["kicked"] if step == 20] == [0, 1, 2]
    np.testing.assert_allclose(V_of(rule, "kicked", 1)[30:34], [0, 1.0, 0.9900, 0.9802], atol=6e-5)
    assert not V_of(rule, "kicked", 0)[20:].any()
    assert not V_of(rule, "kicked", 2)[20:].any()


def test_the_shortest_interval_is_tau_ref_and_one_step(rule):
    assert stamps(rule, "fast")[0] == list(range(1, 121, 21))
    assert stamps(rule, "fast")[1] == list(range(1, 121, 2))


def test_without_refractory_time_a_neuron_can_spike_in_each_step(rule):
    assert stamps(rule, "fastest")[0] == list(range(1, 121))
    assert not rule.samples["held", "fastest", "ref"].any()


def test_a_neuron_that_begins_above_threshold_spikes_in_the_first_step(rule):
    assert rule.spikes["eager"] == [(1, 0)]
    assert V_of(rule, "eager")[0] == 50.0 and not V_of(rule, "eager")[1:].any()


# ---- inputs and sources ----------------------------------------------------------------------------------------------


def charged(currents):
    """V at 0, dt, ... of a membrane with tau 10 ms and C 250 pF under a current per step (pA)."""
    V = [0.0]
    for current in currents:
        V.append(V[-1] * np.exp(-DT / 10.0) - 10.0 / 250.0 * np.expm1(-DT / 10.0) * current)
    return V[:-1]


def test_a_constant_current_flows_in_the_steps_from_start_to_stop(rule):
    currents = [100.0 * (10 <= k < 20) for k in range(120)]
    np.testing.assert_allclose(V_of(rule, "driven", 0), charged(currents), rtol=1e-13)


def test_step_currents_begin_at_their_times_within_a_window(rule):
    """From 0.8 ms the current that began at 0.5 ms, and none from 2.5 ms on."""
    currents = [-9.0] * 2 + [100.0] * 10 + [50.0] * 5
    np.testing.assert_allclose(V_of(rule, "driven", 1), charged([0.0] * 8 + currents + [0.0] * 95), rtol=1e-12)


@pytest.mark.parametrize(("neuron", "label", "arrives"), [(2, "drizzle", range(11, 21)), (3, "drizzle", range(16, 26))])
def test_poisson_spikes_of_a_step_arrive_at_its_end_plus_the_delay(rule, neuron, label, arrives):
    """At ten spikes a step none is empty; they are whole multiples of the weight, and a delta is in V at once."""
    kicks = rule.samples["input", "driven", label][:, neuron]
    assert np.flatnonzero(kicks).tolist() == list(arrives)
    np.testing.assert_array_equal(kicks, np.rint(kicks))
    V = V_of(rule, "driven", neuron)
    np.testing.assert_allclose(V[1:], V[:-1] * np.exp(-DT / 10.0) + kicks[1:], rtol=1e-12)


def test_poisson_spikes_through_a_synapse_add_to_its_variable(rule):
    x = rule.samples["input", "driven", "flood"][:, 4]
    spikes = x[1:] - x[:-1] * np.exp(-DT / 2.0)
    assert np.flatnonzero(spikes > 0.5).tolist() == list(range(10, 20))
    np.testing.assert_allclose(spikes, np.rint(spikes), atol=1e-12)


def test_a_poisson_source_at_one_spike_per_step_fills_its_window(rule):
    assert stamps(rule, "noise") == {neuron: list(range(11, 21)) for neuron in range(3)}


def test_listed_spikes_bear_their_times_as_stamps(rule):
    """Also in the first and in the last step of a run; a neuron may have none."""
    assert stamps(rule, "trains") == {0: [1, 119], 2: [3, 50, 120]}


# ---- monitors --------------------------------------------------------------------------------------------------------


def test_frame_i_of_a_state_monitor_is_the_state_at_start_plus_i_every(rule):
    whole = rule.samples["V", "driven", "V"]
    assert len(whole) == 120 and not whole[0].any()
    np.testing.assert_array_equal(rule.samples["part", "driven", "V"], whole[[7, 12, 17], :2])
    np.testing.assert_array_equal(rule.samples["one", "driven", "V"], whole[[119], 1:2])
    assert len(rule.samples["after", "driven", "V"]) == 0


def test_an_input_monitor_shows_what_acts_on_the_membrane(rule):
    """The current of a synapse; for delta the jump that has just arrived."""
    np.testing.assert_array_equal(rule.samples["input", "B", "expon"], rule.samples["x", "B", "expon.x"])
    kicks = rule.samples["input", "B", "delta"]
    assert [np.flatnonzero(kicks[:22, neuron]).tolist() for neuron in (4, 5, 6, 7)] == [[13], [11], [11], [11]]
    assert set(kicks[:, 4:].ravel()) == {0.0, 1.0}


# ---- what must not change a bit --------------------------------------------------------------------------------------

UNRELATED = (
    """\
  U: {size: 70, model: lif, tau: 20 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 10 mV, C: 250 pF}
""",
    """\
  u_noise: {model: poisson, to: U, rate: 5 kHz, weight: 1 mV, synapse: {model: delta}}
""",
    """\
  u: {pre: U, post: U, connect: {rule: fixed_prob, p: 0.1}, weight: 9 pA, delay: 4 ms, synapse: {model: expon, tau: 2 ms}}
  u0: {pre: U, post: U, connect: {rule: fixed_prob, p: 0.1}, weight: 50 nA, synapse: {model: expon, tau: 3 ms}}
""",
)
SPIKES_OF_ALL = "  spikes: {model: spikes, of: [E, I, P]}\n"
OTHER_MONITORS = """\
  some: {model: spikes, of: ["E[3:]", I, P], start: 5 ms, stop: 15 ms}
  same: {model: spikes, of: E}
  V: {model: state, of: [E, I], variables: [V, ref], start: 3 ms, every: 0.7 ms}
  x: {model: state, of: E, variables: [near.x, far.y]}
  in: {model: input, of: I, stop: 7 ms}
"""


def everything(precision, unrelated=("", "", ""), monitors=SPIKES_OF_ALL):
    """A small network with all models, drawn parameters, and delays that are 0, equal and distributed."""
    populations, inputs, projections = unrelated
    return f"""\
seed: 5
precision: {precision}
duration: 40 ms
populations:
{populations}\
  P: {{size: 20, model: poisson, rate: 50 Hz}}
  E:
    size: 50
    model: lif
    tau: {{normal: {{mean: 15 ms, std: 1 ms}}}}
    tau_ref: {{uniform: {{low: 0 ms, high: 3 ms}}}}
    V_rest: -65 mV
    V_reset: -60 mV
    V_th: {{normal: {{mean: -50 mV, std: 1 mV, clip: {{min: -55 mV}}}}}}
    C: 250 pF
    init: {{V: {{uniform: {{low: -65 mV, high: -50 mV}}}}}}
  I: {{size: 20, model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 40 MOhm}}
inputs:
{inputs}\
  push: {{model: constant, to: [E, I], current: {{normal: {{mean: 250 pA, std: 50 pA}}}}}}
  noise: {{model: poisson, to: [E, I], rate: {{uniform: {{low: 4 kHz, high: 8 kHz}}}}, weight: 0.3 mV, synapse: {{model: delta}}}}
projections:
{projections}\
  in: {{pre: P, post: [E, I], connect: {{rule: fixed_indegree, n: 5}}, weight: 2 mV, delay: 1 ms, synapse: {{model: delta}}}}
  near: {{pre: E, post: [E, I], connect: {{rule: fixed_prob, p: 0.2}}, weight: 60 pA, synapse: {{model: expon, tau: 3 ms}}}}
  far:
    pre: E
    post: E
    connect: {{rule: fixed_indegree, n: 10}}
    weight: {{normal: {{mean: 30 pA, std: 5 pA}}}}
    delay: {{uniform: {{low: 0 ms, high: 3 ms}}}}
    synapse: {{model: alpha, tau: {{uniform: {{low: 1 ms, high: 5 ms}}}}}}
  shunt:
    pre: I
    post: I
    connect: {{rule: fixed_indegree, n: 10}}
    weight: {{uniform: {{low: 1 nS, high: 3 nS}}}}
    delay: {{uniform: {{low: 0.1 ms, high: 2 ms}}}}
    synapse: {{model: expon, tau: 5 ms}}
    output: {{model: coba, E: -80 mV}}
  calm: {{pre: I, post: E, connect: {{rule: fixed_indegree, n: 6}}, weight: -90 pA, synapse: {{model: expon, tau: 3 ms}}}}
monitors:
{monitors}"""


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """precision -> (plan, what it recorded)."""
    folder, found = tmp_path_factory.mktemp("everything"), {}
    for precision in ("float32", "float64"):
        plan = plan_of(folder, everything(precision))
        found[precision] = plan, run_plan(plan)
    return found


def test_the_network_of_these_tests_is_alive(plans):
    for _, recorded in plans.values():
        assert all(len({neuron for _, neuron in recorded.spikes[name]}) > 10 for name in "EIP")


def test_the_length_of_chunks_changes_no_bit(plans, precision):
    plan, recorded = plans[precision]
    pieces = run_plan(plan, lengths=[1, 7, 250, 142])
    assert_same_bits(pieces, recorded)


def test_neither_monitors_nor_the_capacity_of_chunks_change_a_bit(plans, tmp_path):
    blind = plan_of(tmp_path, everything("float32", monitors="").replace("monitors:\n", ""))
    assert_same_bits(run_plan(blind, capacity=33), plans["float32"][1], watched=False)


def test_an_unrelated_population_changes_no_bit(plans, tmp_path):
    """It stands first, so that it moves all others, and has the longest delay and the largest weight."""
    recorded = run(tmp_path, everything("float32", UNRELATED, SPIKES_OF_ALL.replace("[", "[U, ")))
    assert len(recorded.spikes["U"]) > 100
    assert_same_bits(recorded, plans["float32"][1], without="U")


def test_other_monitors_and_windows_change_no_bit(plans, tmp_path, precision):
    """In float64 together with all the rest."""
    unrelated, capacity = (("", "", ""), None) if precision == "float32" else (UNRELATED, 33)
    watched = run(tmp_path, everything(precision, unrelated, OTHER_MONITORS), capacity=capacity)
    assert_same_bits(watched, plans[precision][1], without="U", watched=False)
    whole = run_plan(plans[precision][0]).spikes
    assert sorted(watched.spikes["E"]) == sorted(whole["E"] + [spike for spike in whole["E"] if spike[1] >= 3])


def test_permuted_neurons_give_permuted_spikes(tmp_path):
    rng = np.random.default_rng(0)
    size, place = 30, np.random.default_rng(1).permutation(30)
    pairs = {name: rng.integers(0, size, (150, 2)) for name in ("fast", "late", "kick")}
    current = rng.uniform(380, 700, size)

    def spikes(place):
        column = np.empty(size)
        column[place] = current
        (tmp_path / "drive.csv").write_text("I_pA\n" + "\n".join(map(repr, column.tolist())) + "\n")
        rows = {name: place[edges].tolist() for name, edges in pairs.items()}
        text = f"""\
precision: float64
duration: 100 ms
populations:
  N: {{size: {size}, {NEST}, I_e: {{file: drive.csv, column: I_pA}}}}
projections:
  fast:
    pre: N
    post: N
    connect: {{rule: pairs, pairs: {rows["fast"]}}}
    weight: 30 pA
    synapse: {{model: expon, tau: 3 ms}}
  late:
    pre: N
    post: N
    connect: {{rule: pairs, pairs: {rows["late"]}}}
    weight: -20 pA
    delay: 2 ms
    synapse: {{model: alpha, tau: 3 ms}}
  kick:
    pre: N
    post: N
    connect: {{rule: pairs, pairs: {rows["kick"]}}}
    weight: 0.4 mV
    delay: 1 ms
    synapse: {{model: delta}}
monitors: {{spikes: {{model: spikes, of: N}}}}
"""
        return run(tmp_path, text).spikes["N"]

    before, after = spikes(np.arange(size)), spikes(place)
    assert len(before) > 5 * size
    assert sorted(after) == sorted((step, int(place[neuron])) for step, neuron in before)


@pytest.mark.parametrize("capacity", [1, 7, 100, 1000])
def test_a_state_that_is_no_number_stops_the_run_and_says_which_and_when(tmp_path, capacity):
    """A frozen conductance that is far too large for the step: V alternates and grows."""
    text = f"""\
duration: 100 ms
precision: float64
populations:
  T: {{size: 1, model: spike_times, times: [1 ms]}}
  N: {{size: 70, {NEST.replace("-55 mV", "1e305 V")}, conductance: frozen}}
projections:
  g:
    pre: T
    post: N[66]
    connect: {{rule: all_to_all}}
    weight: 1 S
    synapse: {{model: expon, tau: 100 ms}}
    output: {{model: coba, E: -100 mV}}
"""
    plan, sink, heard = plan_of(tmp_path, text), Frames(), []
    for first in range(1000):  # the slow way: step by step
        *_, failed = engine.run_chunk(plan.program, plan.constants, engine.init(plan), np.int64(first + 1), 1000)
        if failed:
            break
    where = rf"after step {first + 1}, at t = {0.1 * (first + 1):.12g} ms"
    message = rf"V of neuron 66 of population N is no finite number any more \(-?inf\) {where}"
    with pytest.raises(engine.NumericalError, match=message):
        engine.simulate(plan, engine.init(plan), 1000, sink, capacity, heard.append)
    assert [frame.failed for frame in sink] == [False] * (len(sink) - 1) + [True]
    assert heard == [0, *(frame.first_step + frame.steps for frame in sink[:-1])]


def test_an_infinite_potential_fires_nobody_and_is_found(tmp_path, kernel):
    """A current beyond float32 on 64 neurons, none of them padding."""
    text = f"duration: 5 ms\npopulations:\n  N: {{size: 64, {NEST}, I_e: 1e300 pA}}\nmonitors:\n  s: {{model: spikes, of: N}}\n"
    plan, sink = plan_of(tmp_path, text, kernel=kernel), Frames()
    with pytest.raises(engine.NumericalError):
        engine.simulate(plan, engine.init(plan), 50, sink)
    assert not any(frame.rows.any() for frame in sink)


# ---- variables of both precisions ------------------------------------------------------------------------------------

# Populations A (fast) and B (slow) with every kind of synapse, fast and slow; C is slow and receives nothing in float32.
BOTH = """\
seed: 2
precision: PRECISION
duration: 60 ms
populations:
  P: {size: 30, model: poisson, rate: 100 Hz}
  A: &lif
    size: 70
    model: lif
    tau: {normal: {mean: 15 ms, std: 1 ms}}
    tau_ref: {uniform: {low: 0 ms, high: 3 ms}}
    V_rest: -65 mV
    V_reset: {uniform: {low: -66 mV, high: -60 mV}}
    V_th: {uniform: {low: -52 mV, high: -50 mV}}
    R: 50 MOhm
    I_e: 350 pA
    conductance: KIND
    init: {V: {uniform: {low: -65 mV, high: -50 mV}}}
  B: {<<: *lif, tau: {uniform: {low: 20 ms, high: 900 ms}}}
  C: {<<: *lif, tau: 500 ms, I_e: 5 nA, tau_ref: 1 ms}
inputs:
  noise: {model: poisson, to: [A, B], rate: 4 kHz, weight: 0.1 mV, synapse: {model: delta}}
  push: {model: steps, to: [A, B, C], times: [10 ms, 30 ms], currents: [50 pA, -20 pA]}
projections:
  kick: {pre: P, post: [A, B], connect: {rule: fixed_indegree, n: 5}, weight: 1 mV, delay: 1 ms, synapse: {model: delta}}
  fast: {pre: A, post: [A, B], connect: {rule: fixed_prob, p: 0.2}, weight: 40 pA, synapse: {model: expon, tau: 3 ms}}
  slow: {pre: [A, B], post: [A, B], connect: {rule: fixed_prob, p: 0.2}, weight: 2 pA, synapse: {model: expon, tau: 1 s}}
  late:
    {pre: A, post: [A, B], connect: {rule: fixed_prob, p: 0.2}, weight: 2 pA, delay: 2 ms, synapse: {model: alpha, tau: 600 ms}}
  open: &open
    {pre: A, post: [A, B], connect: {rule: fixed_prob, p: 0.2}, weight: WEIGHT, synapse: {model: expon, tau: 800 ms}, output: OUT}
  shut: {<<: *open, pre: B, synapse: {model: alpha, tau: 5 ms}}
monitors:
  spikes: {model: spikes, of: [A, B, C]}
  V: {model: state, of: [A, B, C], variables: [V, ref]}
  x: {model: state, of: [A, B], variables: [fast.x, slow.x, late.y, open.x]}
  in: {model: input, of: [A, B]}
"""
KINDS = {"exact": ("linear", "5 pA", "{model: cuba}"), **{
    kind: (kind, "0.1 nS", "{model: coba, E: -20 mV}") for kind in ("linear", "frozen")}}  # fmt: skip


def both(folder, kind, precision, **options):
    text = BOTH.replace("PRECISION", precision)
    for word, value in zip(("KIND", "WEIGHT", "OUT"), KINDS[kind], strict=True):
        text = text.replace(word, value)
    return run_plan(plan_of(folder, text, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_variables_of_float32_and_of_float64_live_side_by_side(tmp_path, native, kind):
    """In float32 the slow ones are float64: the same bits with both kernels, and what a run in float64 gives, nearly."""
    single, double = both(tmp_path, kind, "float32", kernel="native", threads=2), both(tmp_path, kind, "float64")
    assert_same_bits(single, both(tmp_path, kind, "float32"))
    s = single.plan.structure
    kept = {p.name: p.precision for p in s.populations}
    assert kept == {"P": "float32", "A": "float32", "B": "float64", "C": "float64"}
    slow = {receptor.name for receptor in s.receptors if receptor.precision == "float64"}
    assert slow == {"slow", "late", "open"}
    kinds = {(place.name, name): values.dtype for name, place, values in engine.variables(single.plan, single.state)}
    assert all(kinds[name, "V"] == precision for name, precision in kept.items() if name != "P")
    assert all(kinds[s.populations[r.population].name, f"{r.name}.x"] == r.precision for r in s.receptors)
    assert all(values.dtype == np.float32 for key, values in single.samples.items() if key[2] != "ref")
    assert all(len(single.spikes[name]) > 50 for name in "ABC")
    for name, least in {"A": 100, "B": 100, "C": len(double.spikes["C"])}.items():
        assert single.spikes[name][:least] == double.spikes[name][:least]
    for key, values in single.samples.items():
        np.testing.assert_allclose(values[:20].astype(float), double.samples[key][:20], rtol=1e-5, atol=1e-4)


def test_what_is_kept_in_float64_has_the_bits_of_a_run_in_float64(tmp_path, kernel):
    """As long as nothing of float32 reaches it."""
    single, double = (both(tmp_path, "linear", precision, kernel=kernel) for precision in ("float32", "float64"))
    for (name, place, one), (_, _, other) in zip(*(engine.variables(r.plan, r.state) for r in (single, double)), strict=True):
        if place.name == "C" and "." not in name:
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(single.samples["V", "C", "V"], double.samples["V", "C", "V"].astype(np.float32))
    assert single.spikes["C"] == double.spikes["C"]


# ---- statistics ------------------------------------------------------------------------------------------------------


NOISE_SIZE, NOISE_RATES, NOISE_WEIGHT, NOISE_TAU = 1000, np.array([3.0, 7.0]), 0.1, 5.0  # the rates of two halves (kHz)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """What is recorded of noise alone, for a seed."""
    folder, half = tmp_path_factory.mktemp("noise"), NOISE_SIZE // 2
    rates = [rate for rate in NOISE_RATES.tolist() for _ in range(half)]
    (folder / "rates.csv").write_text("rate_kHz\n" + "\n".join(map(repr, rates)) + "\n")
    text = f"""\
seed: SEED
precision: float64
duration: 120 ms
populations:
  N: {{size: {NOISE_SIZE}, model: lif, tau: {NOISE_TAU} ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1 V, C: 250 pF}}
  S: {{size: {NOISE_SIZE}, model: poisson, rate: 200 Hz}}
inputs:
  noise:
    model: poisson
    to: N
    rate: {{file: rates.csv, column: rate_kHz}}
    weight: {NOISE_WEIGHT} mV
    synapse: {{model: delta}}
monitors:
  kicks: {{model: input, of: N}}
  V: {{model: state, of: N, variables: [V], start: 60 ms}}
  spikes: {{model: spikes, of: S}}
"""
    return lambda seed: run(folder, text.replace("SEED", str(seed)))


def test_the_same_seed_gives_the_same_noise_and_another_seed_another(noisy):
    one, again, other = noisy(1), noisy(1), noisy(2)
    assert one.spikes == again.spikes != other.spikes
    kicks = [recorded.samples["kicks", "N", "noise"] for recorded in (one, again, other)]
    np.testing.assert_array_equal(kicks[0], kicks[1])
    assert (kicks[0] != kicks[2]).mean() > 0.3


def test_poisson_inputs_have_the_mean_and_variance_of_their_rate(noisy):
    """Counts per step and neuron, independent of those of other neurons and steps; V is their leaky sum (Campbell)."""
    recorded, half = noisy(1), NOISE_SIZE // 2
    counts = recorded.samples["kicks", "N", "noise"][1:].reshape(-1, 2, half) / NOISE_WEIGHT
    n, per_step = len(counts) * half, NOISE_RATES * DT
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-9)
    deviation = (counts.mean(axis=(0, 2)) - per_step) / np.sqrt(per_step / n)
    assert np.abs(deviation).max() < 4
    deviation = (counts.var(axis=(0, 2)) - per_step) / np.sqrt((per_step + 2 * per_step**2) / n)
    assert np.abs(deviation).max() < 4
    neighbours = np.corrcoef(counts[:, 0, :-1].ravel(), counts[:, 0, 1:].ravel())[0, 1]
    successive = np.corrcoef(counts[:-1, 0].ravel(), counts[1:, 0].ravel())[0, 1]
    assert max(abs(neighbours), abs(successive)) * np.sqrt(n) < 4
    V, leak = recorded.samples["V", "N", "V"].reshape(-1, 2, half), np.exp(-DT / NOISE_TAU)
    np.testing.assert_allclose(V.mean(axis=(0, 2)), NOISE_WEIGHT * per_step / (1 - leak), rtol=0.01)
    np.testing.assert_allclose(V.var(axis=(0, 2)), NOISE_WEIGHT**2 * per_step / (1 - leak**2), rtol=0.05)


def test_poisson_sources_spike_at_their_rate(noisy):
    trials, p = NOISE_SIZE * 1200, 0.02
    assert abs(len(noisy(1).spikes["S"]) - p * trials) < 4 * np.sqrt(p * (1 - p) * trials)


def rate(recorded, population, size, start, stop):
    """Spikes per neuron and second in a window (s)."""
    steps = np.array([step for step, _ in recorded.spikes[population]])
    return np.count_nonzero((steps > start * 10_000) & (steps <= stop * 10_000)) / size / (stop - start)


def test_the_balanced_network_with_conductances_fires_at_its_rate(tmp_path):
    """Brian2 and an independent reference: 19.5 to 22.2 Hz over five graphs."""
    assert 19 < rate(run(tmp_path, config("einet")), "N", 4000, 0.3, 1.0) < 23


def test_the_balanced_network_with_currents_fires_at_its_rate(tmp_path):
    """NEST: 4.0 to 4.1 Hz over three seeds."""
    recorded = run(tmp_path, config("cuba"))
    assert 3.5 < rate(recorded, "E", 4000, 0, 1.0) + rate(recorded, "I", 4000, 0, 1.0) < 4.6


def copies(program, shape):
    """The instructions in the loops of a compiled program that copy an array of a shape; before the first step all is copied."""
    loops = "".join(part for part in program.split("\n\n") if not part.lstrip().startswith("ENTRY"))
    return [line for line in loops.splitlines() if " copy(" in line and f"{shape}{{" in line.partition(" copy(")[0]]


@pytest.mark.parametrize("storage", ["stored", "procedural"])
def test_neither_the_spike_history_nor_what_waits_is_copied_in_a_step(tmp_path, kernel, storage):
    """With a delay of 100 ms the history has 1,000 rows; a copy of it in every step would cost more than all the rest."""
    plan = plan_of(
        tmp_path,
        f"""
        duration: 10 ms
        populations:
          N: {{size: 640, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 20 mV, C: 1 nF, I_e: 3 nA}}
        projections:
          far:
            pre: N
            post: N
            connect: {{rule: fixed_outdegree, n: 9, storage: {storage}}}
            weight: 1 pA
            delay: {{uniform: {{low: 1 ms, high: 100 ms}}}}
            synapse: {{model: expon, tau: 2 ms}}
          near: {{pre: N, post: N, connect: &own {{rule: one_to_one}}, weight: 2 pA, synapse: {{model: expon, tau: 2 ms}}}}
          kick: {{pre: N, post: N, connect: *own, weight: 1 mV, delay: 0.5 ms, synapse: {{model: delta}}}}
        monitors:
          spikes: {{model: spikes, of: N}}
        """,
        kernel=kernel,
    )
    state = engine.init(plan)
    program = engine.compiled(plan.program, 10).lower(plan.constants, state, np.int64(1)).compile().as_text()
    kept = [np.asarray(part) for part in jax.tree.leaves(state.transit) if np.ndim(part) == 2]
    assert all(990 <= len(part) <= 1001 for part in kept)
    assert len(kept) == (3 if (kernel, storage) == ("native", "procedural") else 2)
    names = {np.uint32: "u32", np.int32: "s32", np.int64: "s64"}
    shapes = [f"{names[part.dtype.type]}[{part.shape[0]},{part.shape[1]}]" for part in kept]
    for shape in [*shapes, "u32[10,20]"]:  # the last one is that of the frames
        assert shape in program
        assert not copies(program, shape)


def test_the_test_above_sees_a_copy():
    """A program that must keep an array which it changes copies it."""
    import jax

    def step(i, arrays):
        return arrays[1], arrays[1].at[i].set(1)

    zeros = np.zeros((10, 20), np.uint32)
    program = jax.jit(lambda a: jax.lax.fori_loop(0, 9, step, (a, a))).lower(zeros).compile().as_text()
    assert copies(program, "u32[10,20]")
