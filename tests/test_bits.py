"""The same file gives the same bits: whichever kernel delivers, on however many threads, with edges stored or drawn again."""

import re

import numpy as np
import pytest
from networks import assert_same_bits, load, plan_of, run_plan

from snnrun import engine, estimate, lower, network
from snnrun.document import SpecError
from snnrun.models import connect

# ---- kernels and threads ---------------------------------------------------------------------------------------------

# All synapses, outputs, rules, inputs and sources, on so many receptors that several threads have something to do.
LARGE = """\
seed: 11
duration: 20 ms
precision: PRECISION
populations:
  P: {size: 300, model: poisson, rate: 100 Hz, start: 2 ms, stop: 15 ms}
  D: {size: 500, model: poisson, rate: {uniform: {low: 0 Hz, high: 300 Hz}}}
  T: {size: 3, model: spike_times, times: [0.1 ms, 5 ms, 20 ms]}
  E:
    size: 9000
    model: lif
    tau: {normal: {mean: 15 ms, std: 1 ms}}
    tau_ref: {uniform: {low: 0 ms, high: 3 ms}}
    V_rest: -65 mV
    V_reset: -60 mV
    V_th: -50 mV
    C: 250 pF
    init: {V: {uniform: {low: -65 mV, high: -50 mV}}}
  I: {size: 1500, model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 40 MOhm,
      init: {V: {uniform: {low: -65 mV, high: -50 mV}}}}
inputs:
  push: {model: constant, to: [E, I], current: {normal: {mean: 250 pA, std: 50 pA}}}
  one: {model: poisson, to: [E, I], rate: 6 kHz, weight: 0.2 mV, synapse: &delta {model: delta}}
  each:
    {model: poisson, to: ["E[100:5000]", "I[1:]"], rate: {uniform: {low: 0 kHz, high: 8 kHz}},
     weight: {normal: {mean: 0 pA, std: 9 pA}}, synapse: &fast {model: expon, tau: 3 ms}, start: 3 ms, stop: 12 ms, delay: 0.5 ms}
  open:
    {model: poisson, to: "I[300:]", rate: {exponential: {mean: 1 kHz}}, weight: {gamma: {mean: 0.1 nS, std: 0.1 nS}},
     synapse: &gate {model: expon, tau: 5 ms}, output: &excite {model: coba, E: 0 mV}}
projections:
  kick: {pre: P, post: [E, I], connect: {rule: fixed_indegree, n: 5}, weight: 1 mV, delay: 1 ms, synapse: *delta}
  jolt: {pre: T, post: I, connect: {rule: all_to_all}, weight: {exponential: {mean: 0.1 mV}}, synapse: *delta}
  near: {pre: [E, D], post: [E, I], connect: {rule: fixed_prob, p: 0.004}, weight: 30 pA, synapse: *fast}
  far:
    pre: E
    post: E
    connect: {rule: fixed_outdegree, n: 12, multapses: false, autapses: false}
    weight: {normal: {mean: 30 pA, std: 5 pA}}
    delay: {normal: {mean: 1.5 ms, std: 0.75 ms, redraw: {min: 0 ms}}}
    synapse: {model: alpha, tau: {uniform: {low: 1 ms, high: 5 ms}}}
  gates:
    pre: "E[1000:]"
    post: I
    connect: {rule: fixed_total, n: 40000}
    weight: {lognormal: {mean: 0.2 nS, std: 0.2 nS}}
    delay: {uniform: {low: 0 ms, high: 2 ms}}
    synapse: *gate
    output: *excite
  shunt:
    pre: I
    post: ["E[:4000]", I]
    connect: {rule: fixed_outdegree, n: 20}
    weight: {uniform: {low: 1 nS, high: 3 nS}}
    delay: {uniform: {low: 0.1 ms, high: 2 ms}}
    synapse: {model: expon, tau: 7 ms}
    output: {model: coba, E: -80 mV}
  pairs: {pre: "E[:1500]", post: I, connect: {rule: one_to_one}, weight: {normal: {mean: 9 pA, std: 9 pA}}, synapse: *fast}
  sparse:
    pre: I
    post: E
    connect: {rule: fixed_total, n: 9000, multapses: false}
    weight: -90 pA
    delay: {gamma: {mean: 0.5 ms, std: 0.5 ms}}
    synapse: *fast
monitors:
  spikes: {model: spikes, of: [P, D, T, E, I]}
  V: {model: state, of: [E, I], variables: [V], every: 1 ms}
  currents: {model: input, of: "I[:20]"}
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """What the XLA kernel makes of the network, by precision."""
    folder, runs = tmp_path_factory.mktemp("large"), {}

    def run(precision):
        if precision not in runs:
            runs[precision] = run_plan(plan_of(folder, LARGE.replace("PRECISION", precision)))
        return runs[precision]

    return run


def test_the_large_network_is_alive_and_large_enough_for_several_threads(large):
    recorded, s = large("float32"), large("float32").plan.program
    for name, least in {"P": 200, "D": 1000, "T": 9, "E": 5000, "I": 1500}.items():
        assert len(recorded.spikes[name]) >= least, name
    assert s.targets > 40_000
    for kind in ("due", "instant"):
        assert sum(stack.rows * bool(getattr(stack, kind)) for stack in s.stacks) >= 4


@pytest.fixture(scope="module")
def alone(native, tmp_path_factory):
    """The same with the native kernel on one thread, in one go."""
    folder = tmp_path_factory.mktemp("alone")
    return {p: run_plan(plan_of(folder, LARGE.replace("PRECISION", p), kernel="native")) for p in ("float32", "float64")}


def test_both_kernels_give_the_same_bits(large, alone, precision):
    assert_same_bits(alone[precision], large(precision))
    assert alone[precision].plan.pathways == large(precision).plan.pathways


@pytest.mark.parametrize("worth", [0.0, None])
@pytest.mark.parametrize("threads", [2, 3, 7])
def test_any_number_of_threads_gives_the_same_bits(alone, native, tmp_path, monkeypatch, precision, threads, worth):
    """Where little work is worth sharing, arrivals of the next step are added while XLA is busy, in every step."""
    if worth is not None:
        monkeypatch.setattr(native, "WORTH_SHARING", worth)
    plan = plan_of(tmp_path, LARGE.replace("PRECISION", precision), kernel="native", threads=threads)
    assert plan.arranged.edges.shards.count == threads
    assert_same_bits(run_plan(plan, lengths=[1, 150, 49]), alone[precision])
    assert plan.pathways == alone[precision].plan.pathways


def test_the_size_of_a_shard_changes_no_bit(alone, native, tmp_path, monkeypatch):
    """Dozens of shards for three threads."""
    monkeypatch.setattr(native, "SHARD", 1920)
    plan = plan_of(tmp_path, LARGE.replace("PRECISION", "float32"), kernel="native", threads=3)
    assert plan.arranged.edges.shards.count > 20
    assert_same_bits(run_plan(plan), alone["float32"])


def test_merging_changes_no_spike_of_the_native_kernel(alone, tmp_path):
    apart = run_plan(plan_of(tmp_path, LARGE.replace("PRECISION", "float64"), False, kernel="native", threads=2))
    assert apart.spikes == alone["float64"].spikes


# ---- stored and drawn again ------------------------------------------------------------------------------------------

NEURON = "model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF"
AGAIN = f"""\
seed: 4
duration: 40 ms
precision: PRECISION
populations:
  A:
    {{size: 300, {NEURON}, I_e: {{normal: {{mean: 450 pA, std: 60 pA}}}},
     init: &any {{V: {{uniform: {{low: -65 mV, high: -50 mV}}}}}}}}
  B: {{size: 70, {NEURON}, I_e: 380 pA, init: *any}}
  C: {{size: 3, {NEURON}, I_e: 600 pA}}
  S: {{size: 40, model: poisson, rate: 200 Hz}}
inputs:
  noise: {{model: poisson, to: [A, B], rate: 5 kHz, weight: 0.1 mV, synapse: {{model: delta}}}}
projections:
  kick:
    pre: "S[3:]"
    post: [B, "A[:200]"]
    connect: {{rule: fixed_prob, p: 0.1, storage: STORAGE}}
    weight: {{normal: {{mean: 0.5 mV, std: 1 mV}}}}
    delay: {{uniform: {{low: 0 ms, high: 2 ms}}}}
    synapse: {{model: delta}}
  late:
    pre: ["B[10:60]", "A[20:]"]
    post: [A, C]
    connect: {{rule: fixed_prob, p: 0.05, autapses: false, storage: STORAGE}}
    weight: 40 pA
    delay: 1.5 ms
    synapse: {{model: expon, tau: 3 ms}}
  now:
    pre: A
    post: ["A[5:100]", B]
    connect: {{rule: fixed_outdegree, n: 20, multapses: false, storage: STORAGE}}
    weight: -20 pA
    delay: 0 ms
    synapse: {{model: expon, tau: 3 ms}}
  often:
    pre: B
    post: A
    connect: {{rule: fixed_outdegree, n: 15, storage: STORAGE}}
    weight: {{lognormal: {{mean: 1 nS, std: 1 nS}}}}
    delay: {{gamma: {{mean: 0.3 ms, std: 0.4 ms, clip: {{max: 2 ms}}}}}}
    synapse: {{model: expon, tau: 5 ms}}
    output: {{model: coba, E: -80 mV}}
  most:
    pre: "B[:50]"
    post: B
    connect: {{rule: fixed_outdegree, n: 60, multapses: false, autapses: false, storage: STORAGE}}
    weight: {{gamma: {{mean: 2 pA, std: 3 pA}}}}
    synapse: {{model: alpha, tau: 2 ms}}
  all:
    pre: C
    post: [A, B, C]
    connect: {{rule: all_to_all, autapses: false, storage: STORAGE}}
    weight: {{uniform: {{low: -9 pA, high: 9 pA}}}}
    delay: {{normal: {{mean: 1 ms, std: 0.5 ms, redraw: {{min: 0.1 ms, max: 3 ms}}}}}}
    synapse: {{model: alpha, tau: 2 ms}}
  kept:
    {{pre: A, post: A, connect: {{rule: fixed_indegree, n: 9}}, weight: 10 pA, delay: 1 ms, synapse: {{model: expon, tau: 3 ms}}}}
monitors:
  spikes: {{model: spikes, of: [A, B, C, S]}}
  V: {{model: state, of: [A, B, C], variables: [V]}}
"""
DRAWN_AGAIN = ("kick", "late", "now", "often", "most", "all")


def again(precision, storage):
    return AGAIN.replace("PRECISION", precision).replace("STORAGE", storage)


@pytest.fixture(scope="module")
def stored(native, tmp_path_factory):
    """What the native kernel makes of stored edges, by precision."""
    folder = tmp_path_factory.mktemp("stored")
    return {p: run_plan(plan_of(folder, again(p, "stored"), kernel="native")) for p in ("float32", "float64")}


def test_every_projection_of_that_network_is_at_work(stored, tmp_path):
    recorded = stored["float64"]
    assert all(len(recorded.spikes[name]) > 10 for name in "ABCS")
    for name in DRAWN_AGAIN:
        before, heading, after = again("float64", "stored").partition(f"  {name}:\n")
        unit = {"kick": "mV", "often": "nS"}.get(name, "pA")
        silenced = before + heading + re.sub(r"weight: .*", f"weight: 0 {unit}", after, count=1)
        other = run_plan(plan_of(tmp_path, silenced, kernel="native"))
        assert not np.array_equal(other.samples["V", "B", "V"], recorded.samples["V", "B", "V"]), name


@pytest.mark.parametrize("threads", [1, 3])
def test_edges_that_are_drawn_again_give_the_bits_of_stored_ones(stored, tmp_path, precision, threads):
    plan = plan_of(tmp_path, again(precision, "procedural"), kernel="native", threads=threads)
    assert {pathway.name for pathway in plan.pathways if not pathway.stored} == set(DRAWN_AGAIN)
    assert_same_bits(run_plan(plan, lengths=[3, 397]), stored[precision])


def test_the_xla_kernel_stores_them_and_gives_the_same_bits(stored, tmp_path, precision):
    plan = plan_of(tmp_path, again(precision, "procedural"))
    assert all(pathway.stored for pathway in plan.pathways)
    assert_same_bits(run_plan(plan), stored[precision])


@pytest.mark.parametrize(
    ("storage", "expected"), [("auto", set(DRAWN_AGAIN)), ("stored", set()), ("procedural", set(DRAWN_AGAIN))]
)
def test_memory_is_spared_where_the_file_leaves_it_open(stored, tmp_path, storage, expected):
    plan = plan_of(tmp_path, again("float32", storage), kernel="native", procedural_if_needed=True)
    assert {pathway.name for pathway in plan.pathways if not pathway.stored} == expected
    assert_same_bits(run_plan(plan), stored["float32"])


def test_what_is_left_open_is_stored_where_there_is_room(native, tmp_path):
    assert all(pathway.stored for pathway in plan_of(tmp_path, again("float32", "auto"), kernel="native").pathways)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("often", "{lognormal: {mean: 1 nS, std: 1 nS}}", "{normal: {mean: 9 nS, std: 1.2 nS}}"),
        ("all", "{mean: 1 ms, std: 0.5 ms, redraw: {min: 0.1 ms, max: 3 ms}}", "{mean: 5 ms, std: 0.7 ms}"),
    ],
)
def test_what_might_be_negative_is_not_drawn_again_unasked(native, tmp_path, name, old, new):
    """Though none of these draws is, so that stored edges are sound."""
    text = again("float32", "auto")
    assert old in text
    plan = plan_of(tmp_path, text.replace(old, new), kernel="native", procedural_if_needed=True)
    assert {pathway.name for pathway in plan.pathways if not pathway.stored} == set(DRAWN_AGAIN) - {name}


SPARSE = f"""\
seed: SEED
duration: 10 ms
populations:
  A: {{size: 20, {NEURON}, I_e: 900 pA}}
  B: {{size: 20, {NEURON}}}
projections:
  x: {{pre: A, post: B, connect: {{rule: fixed_prob, p: 0.001, storage: STORAGE}}, weight: 1 mV, synapse: {{model: delta}}}}
monitors:
  V: {{model: state, of: B, variables: [V]}}
"""


def test_a_single_edge_is_not_lost_where_fewer_than_half_of_one_are_expected(native, tmp_path):
    """0.4 edges are expected; with the first seed that has one, it acts, stored or not."""
    for seed in range(20):
        spec = load(tmp_path, SPARSE.replace("SEED", str(seed)).replace("STORAGE", "stored")).spec
        if len(connect.collect(network.build(spec, tmp_path).projections["x"].connectivity).pre):
            break
    text = SPARSE.replace("SEED", str(seed))
    kept, drawn = (run_plan(plan_of(tmp_path, text.replace("STORAGE", how), kernel="native")) for how in ("stored", "procedural"))
    assert len(np.unique(kept.samples["V", "B", "V"])) > 2
    np.testing.assert_array_equal(kept.samples["V", "B", "V"], drawn.samples["V", "B", "V"])


@pytest.mark.parametrize("storage", ["stored", "procedural"])
@pytest.mark.parametrize("least", ["8.5", "99"])
@pytest.mark.parametrize("field", ["weight", "delay"])
def test_bounds_that_are_hardly_ever_met_are_refused(kernel, tmp_path, storage, least, field):
    """Before the run, or by the file's check: never by arrivals that nobody drew."""
    unit = {"weight": "mV", "delay": "ms"}[field]
    law = f"{{normal: {{mean: 1 {unit}, std: 1 {unit}, redraw: {{min: {least} {unit}}}}}}}"
    text = SPARSE.replace("SEED", "1").replace("STORAGE", storage).replace("p: 0.001", "p: 0.5")
    text = text.replace("weight: 1 mV", f"weight: {law}" if field == "weight" else f"weight: 1 mV, delay: {law}")
    with pytest.raises(SpecError) as caught:
        plan_of(tmp_path, text, kernel=kernel)
    (fault,) = caught.value.faults
    assert fault.path[:3] == ("projections", "x", field) and "hardly ever met" in fault.message


HUGE = f"""\
duration: 1 s
populations:
  A: {{size: 100000, {NEURON}}}
projections:
  x:
    pre: A
    post: A
    connect: {{rule: all_to_all, storage: STORAGE}}
    weight: {{normal: {{mean: 1 pA, std: 1 pA}}}}
    delay: 1.5 ms
    synapse: {{model: expon, tau: 5 ms}}
"""


def test_ten_billion_synapses_need_less_than_two_gigabytes(tmp_path):
    """Where they are drawn again; the XLA kernel, which stores them, would need hundreds."""
    spec = load(tmp_path, HUGE.replace("STORAGE", "procedural")).spec
    assert estimate.estimate(spec, tmp_path, "native").total_synapses == 1e10
    assert estimate.estimate(spec, tmp_path, "native").peak_bytes < 2e9
    assert estimate.estimate(spec, tmp_path, "native", threads=8).peak_bytes < 2e9
    assert estimate.estimate(spec, tmp_path, "xla").peak_bytes > 200e9
    auto = load(tmp_path, HUGE.replace("STORAGE", "auto")).spec
    assert estimate.estimate(auto, tmp_path, "native").peak_bytes > 50e9
    assert estimate.estimate(auto, tmp_path, "native", procedural=True).peak_bytes < 2e9


def test_ten_billion_synapses_are_lowered_without_drawing_one(native, tmp_path):
    spec = load(tmp_path, HUGE.replace("STORAGE", "procedural")).spec
    plan = lower.lower(network.build(spec, tmp_path), kernel="native")
    assert [(pathway.synapses, pathway.stored) for pathway in plan.pathways] == [(10**10, False)]
    assert plan.connectivity_bytes == 0
    assert engine.init(plan).transit.pending is None
