"""Lowering: which projections share a receptor, in which quanta weights are counted, and where things are put."""

import math
from collections import Counter

import numpy as np
import pytest
from networks import Frames, load, plan_of, run_plan

from snnrun import engine
from snnrun.receptors import receptors

LIF = "model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 20 mV, C: 250 pF"


def two_projections(first, second):
    """Populations A and B with sources S, and two entries that differ in what is given."""
    return f"""\
duration: 1 ms
populations:
  S: {{model: poisson, size: 4, rate: 10 Hz}}
  A: {{size: 4, {LIF}}}
  B: {{size: 4, {LIF}}}
projections:
  one: {{pre: S, connect: {{rule: all_to_all}}, {first}}}
  two: {{pre: S, connect: {{rule: all_to_all}}, {second}}}
"""


def sources_of(tmp_path, text, merge=True):
    """[(name, population, sources)] of the receptors."""
    found = receptors(load(tmp_path, text).spec, merge)
    return [(r.name, r.population, [source.name for source in r.sources]) for r in found]


EXPON = "post: A, weight: 1 pA, synapse: {model: expon, tau: 5 ms}"
ALPHA = "post: A, weight: 1 pA, synapse: {model: alpha, tau: 5 ms}"
DELTA = "post: A, weight: 1 mV, synapse: {model: delta}"
COBA = "post: A, weight: 1 nS, synapse: {model: expon, tau: 5 ms}, output: {model: coba, E: 0 mV}"
DRAWN = "post: A, weight: 1 pA, synapse: {model: expon, tau: {uniform: {low: 4 ms, high: 6 ms}}}"
DRAWN_E = (
    "post: A, weight: 1 nS, synapse: {model: expon, tau: 5 ms}, output: {model: coba, E: {uniform: {low: 0 mV, high: 1 mV}}}"
)


SHARED = {
    "equal synapse and output": (EXPON, EXPON),
    "the same time in another unit": (EXPON, EXPON.replace("5 ms", "0.005 s")),
    "another weight": (EXPON, EXPON.replace("1 pA", "-3 nA")),
    "another delay": (EXPON + ", delay: 1 ms", EXPON + ", delay: 2 ms"),
    "cuba written out is cuba left out": (EXPON, EXPON + ", output: {model: cuba}"),
    "delta": (DELTA, DELTA),
    "equal reversal potentials": (COBA, COBA),
    "the default normalisation written out": (ALPHA, ALPHA.replace("5 ms}", "5 ms, normalize: peak}")),
    "slices of one population": (EXPON.replace("A", '"A[:2]"', 1), EXPON.replace("A", '"A[1:]"', 1)),
}
APART = {
    "another time constant": (EXPON, EXPON.replace("5 ms", "6 ms")),
    "another synapse": (EXPON, ALPHA),
    "another normalisation": (ALPHA, ALPHA.replace("5 ms}", "5 ms, normalize: area}")),
    "a current and a conductance": (EXPON, COBA),
    "another reversal potential": (COBA, COBA.replace("0 mV", "-80 mV")),
    "another population": (EXPON, EXPON.replace("A", "B", 1)),
    "drawn time constants": (DRAWN, DRAWN),
    "drawn reversal potentials": (DRAWN_E, DRAWN_E),
}


@pytest.mark.parametrize("pair", SHARED.values(), ids=SHARED)
def test_projections_share_a_receptor(tmp_path, pair):
    text = two_projections(*pair)
    assert sources_of(tmp_path, text) == [("one", "A", ["one", "two"])]
    assert sources_of(tmp_path, text, merge=False) == [("one", "A", ["one"]), ("two", "A", ["two"])]


@pytest.mark.parametrize("pair", APART.values(), ids=APART)
def test_projections_do_not_share_a_receptor(tmp_path, pair):
    assert [name for name, _, _ in sources_of(tmp_path, two_projections(*pair))] == ["one", "two"]


def test_a_projection_onto_two_populations_has_a_receptor_on_each(tmp_path):
    text = two_projections(EXPON.replace("A", "[A, B]", 1), EXPON.replace("A", "B", 1))
    assert sources_of(tmp_path, text) == [("one", "A", ["one"]), ("one", "B", ["one", "two"])]


@pytest.mark.parametrize("inputs_first", [True, False])
def test_inputs_share_receptors_and_the_first_in_the_file_names_them(tmp_path, inputs_first):
    populations = f"populations:\n  S: {{model: poisson, size: 4, rate: 10 Hz}}\n  A: {{size: 4, {LIF}}}\n"
    inputs = "inputs:\n  noise: {model: poisson, to: A, rate: 1 kHz, weight: 1 pA, synapse: {model: expon, tau: 5 ms}}\n"
    projections = f"projections:\n  exc: {{pre: S, connect: {{rule: all_to_all}}, {EXPON}}}\n"
    sections = [inputs, projections] if inputs_first else [projections, inputs]
    names = ["noise", "exc"] if inputs_first else ["exc", "noise"]
    assert sources_of(tmp_path, "duration: 1 ms\n" + populations + "".join(sections)) == [(names[0], "A", names)]


# ---- quanta and edges ------------------------------------------------------------------------------------------------

# Two delta projections and two expon ones that merge, one that does not, slices, delays 0, fixed and drawn, and a noise.
MIXED = f"""\
seed: 3
duration: 20 ms
precision: PRECISION
populations:
  S: {{model: poisson, size: 30, rate: 200 Hz}}
  A: {{size: 20, {LIF}}}
  B: {{size: 7, {LIF}, tau_ref: 1 ms}}
inputs:
  push: {{model: constant, to: [A, B], current: 400 pA}}
  noise: {{model: poisson, to: [A, B], rate: 2 kHz, weight: 20 pA, synapse: {{model: expon, tau: 5 ms}}}}
projections:
  kick: {{pre: S, post: [A, B], connect: {{rule: fixed_prob, p: 0.2}}, weight: 0.7 mV, synapse: {{model: delta}}}}
  jolt:
    pre: A
    post: "B[2:]"
    connect: {{rule: fixed_indegree, n: 5}}
    weight: {{normal: {{mean: -0.3 mV, std: 0.1 mV}}}}
    delay: 0.3 ms
    synapse: {{model: delta}}
  exc:
    pre: S
    post: [A, B]
    connect: {{rule: fixed_prob, p: 0.3}}
    weight: {{normal: {{mean: 90 pA, std: 9 pA}}}}
    delay: {{uniform: {{low: 0 ms, high: 2 ms}}}}
    synapse: {{model: expon, tau: 5 ms}}
  inh:
    pre: [A, B]
    post: "A[5:]"
    connect: {{rule: fixed_indegree, n: 6}}
    weight: -300 pA
    delay: 0 ms
    synapse: {{model: expon, tau: 5 ms}}
  slow:
    pre: S
    post: A
    connect: {{rule: fixed_prob, p: 0.2}}
    weight: 10 pA
    delay: 1 ms
    synapse: {{model: alpha, tau: 3 ms}}
monitors:
  spikes: {{model: spikes, of: [S, A, B]}}
  V: {{model: state, of: [A, B], variables: [V]}}
  kicks: {{model: input, of: [A, B]}}
  currents: {{model: state, of: A, variables: [exc.x, inh.x, noise.x, slow.y]}}
"""


@pytest.fixture
def mixed(tmp_path, precision):
    text = MIXED.replace("PRECISION", precision)
    return plan_of(tmp_path, text), plan_of(tmp_path, text, merge=False)


def arrivals(plan):
    """The multiset of (source, population, neuron, synapse, weight in its unit, delay) of all edges of a plan."""
    p, s, found = plan.program, plan.structure, Counter()
    firsts = [p.stacks[r.stack].first + r.first for r in s.receptors]
    for layout in (*plan.constants.delivery.due, *plan.constants.delivery.instant):
        if layout is None:
            continue
        segments = len(layout.first_edge) - 1
        if layout.first_segment is None:
            owner, age = np.arange(segments), np.zeros(segments, int)
        else:
            owner, age = np.repeat(np.arange(p.sources), np.diff(layout.first_segment)), layout.segment_delay
        length = np.diff(layout.first_edge)
        source, delay = np.repeat(owner, length), np.repeat(layout.delays[age], length)
        edges = len(source)
        weight = layout.weight_of_source[source] if layout.weight is None else layout.weight[:edges]
        for edge in range(edges):
            target = int(layout.target[edge])
            i = max(range(len(firsts)), key=lambda i: (firsts[i] <= target) * (firsts[i] + 1))
            receptor, neuron = s.receptors[i], target - firsts[i]
            stack = p.stacks[receptor.stack]
            assert neuron < s.populations[receptor.population].size
            quanta = np.broadcast_to(plan.constants.delivery.quanta[receptor.stack], (stack.rows, stack.padded)).ravel()
            volts = int(weight[edge]) * float(quanta[target - stack.first])
            jumps = "delta" if stack.synapse.jumps else stack.synapse
            found[int(source[edge]), receptor.population, neuron, jumps, volts, int(delay[edge])] += 1
    return found


def test_quanta_are_powers_of_two_and_the_same_for_merged_and_unmerged(mixed):
    quanta = []
    for plan in mixed:
        found = set()
        for receptor in plan.structure.receptors:
            stack = plan.program.stacks[receptor.stack]
            every = np.broadcast_to(plan.constants.delivery.quanta[receptor.stack], (stack.rows, stack.padded)).ravel()
            found.add((receptor.population, stack.synapse, float(every[receptor.first])))
        assert all(math.frexp(q)[0] == 0.5 for _, _, q in found)
        quanta.append(found)
    assert quanta[0] == quanta[1]


def test_a_projection_has_one_weight_on_all_its_targets_whatever_else_reaches_them(tmp_path, precision, kernel):
    """A and B get 1 mV from the same projection, also where B has a stronger synapse of the same kind besides."""
    text = f"""\
duration: 1 ms
precision: {precision}
populations:
  S: {{model: spike_times, size: 1, times: [0.2 ms]}}
  A: {{size: 4, {LIF}}}
  B: {{size: 4, {LIF}}}
projections:
  both: {{pre: S, post: ORDER, connect: {{rule: all_to_all}}, weight: 1 mV, synapse: {{model: delta}}}}
  strong: {{pre: S, post: "B[0]", connect: {{rule: all_to_all}}, weight: 11 mV, synapse: {{model: delta}}}}
monitors:
  kicks: {{model: input, of: [A, B]}}
"""
    for order in ("[A, B]", "[B, A]"):
        recorded = run_plan(plan_of(tmp_path, text.replace("ORDER", order), kernel=kernel))
        assert recorded.samples["kicks", "A", "both"][3].tolist() == [1, 1, 1, 1]
        assert recorded.samples["kicks", "B", "both"][3].tolist() == [12, 1, 1, 1]


def test_merging_changes_no_arrival(mixed):
    merged, apart = mixed
    assert len(merged.structure.receptors) == 5
    assert len(apart.structure.receptors) == 9
    assert arrivals(merged) == arrivals(apart)
    assert sum(arrivals(merged).values()) == sum(report.synapses for report in merged.pathways)


def test_weights_keep_the_precision_of_a_float(mixed, precision):
    """The rounding of an int32 weight is below that of a float32, though its quantum follows from the largest weight that any
    projection onto the same targets can draw; that of an int64 one is finer still."""
    plan = mixed[0]
    bits = {"float32": np.int32, "float64": np.int64}[precision]
    assert plan.constants.delivery.due[0].weight.dtype == bits
    drawn = [weight for (_, _, _, synapse, weight, delay), _ in arrivals(plan).items() if synapse == "delta" and delay == 1]
    assert drawn
    np.testing.assert_allclose(drawn, 0.7, rtol={"float32": 2**-25, "float64": 2**-53}[precision])


def test_no_sum_of_weights_can_overflow(mixed, precision):
    """All that can reach a target in one step stays below 2**62 quanta, even were every edge due at once."""
    plan = mixed[0]
    for layout in (*plan.constants.delivery.due, *plan.constants.delivery.instant):
        edges = int(layout.first_edge[-1])
        weight = np.repeat(layout.weight_of_source, edges) if layout.weight is None else layout.weight[:edges]
        total = np.zeros(plan.program.targets)
        np.add.at(total, layout.target[:edges], np.abs(weight.astype(np.float64)))
        assert total.max() < 2**62
    if precision == "float64":
        assert total.max() > 2**50


WEIGHTS = {
    "one": "3 pA",
    "normal": "{normal: {mean: 1 pA, std: 30 pA}}",
    "broad": "{lognormal: {mean: 1 pA, std: 20 pA}}",
    "exponential": "{exponential: {mean: 1 pA}}",
    "gamma": "{gamma: {mean: 1 pA, std: 9 pA}}",
    "clipped": "{normal: {mean: 0 pA, std: 1 pA, clip: {min: -0.5 pA, max: 1 pA}}}",
}


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_counted_in_quanta_that_follow_from_what_can_be_drawn(tmp_path, weight, precision):
    """So that stored and procedural edges have the same: they fit into 31 bits, or their sums over a target into 62."""
    text = two_projections(EXPON.replace("1 pA", weight) + ", delay: 1 ms", EXPON + ", delay: 0 ms")
    text = text.replace("duration", f"precision: {precision}\nduration").replace("size: 4,", "size: 300,")
    plan, another = (plan_of(tmp_path, f"seed: {seed}\n{text}") for seed in (1, 2))
    assert plan.constants.delivery.quanta == another.constants.delivery.quanta
    (layout,) = plan.constants.delivery.due
    edges = int(layout.first_edge[-1])
    quanta = np.abs(np.repeat(layout.weight_of_source[:300], 300) if layout.weight is None else layout.weight[:edges])
    sums = np.zeros(plan.program.targets)
    np.add.at(sums, layout.target[:edges], quanta.astype(np.float64))
    assert edges == 90_000
    assert quanta.max() < 2**31 if precision == "float32" else sums.max() < 2**62
    assert quanta.max() > 2**10  # and are not coarse


def test_merging_changes_voltages_by_rounding_only(tmp_path):
    """Arrivals are equal to the bit, so spikes are; receptor variables of a group add up to the merged one."""
    text = MIXED.replace("PRECISION", "float64")
    merged, apart = (run_plan(plan_of(tmp_path, text, merge)) for merge in (True, False))
    assert merged.spikes == apart.spikes
    assert len(merged.spikes["A"]) > 5 and len(merged.spikes["B"]) > 5
    for population in "AB":
        key = ("V", population, "V")
        np.testing.assert_allclose(merged.samples[key], apart.samples[key], rtol=0, atol=1e-12)
    kicks = apart.samples["kicks", "B", "kick"] + apart.samples["kicks", "B", "jolt"]
    np.testing.assert_allclose(merged.samples["kicks", "B", "kick"], kicks, rtol=0, atol=1e-15)
    together = sum(apart.samples["currents", "A", f"{name}.x"] for name in ("exc", "inh", "noise"))
    for name in ("exc", "inh", "noise"):
        np.testing.assert_allclose(merged.samples["currents", "A", f"{name}.x"], together, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(merged.samples["currents", "A", "slow.y"], apart.samples["currents", "A", "slow.y"])


def test_a_delta_without_delay_is_one_of_one_step(tmp_path):
    plan = plan_of(tmp_path, MIXED.replace("PRECISION", "float64"))
    delays = {report.name: report.delays for report in plan.pathways}
    assert delays["kick"] == (1, 1) and delays["jolt"] == (3, 3)
    assert delays["exc"] == (0, 20) and delays["inh"] == (0, 0)
    assert {delay for (_, _, _, synapse, _, delay), _ in arrivals(plan).items() if synapse == "delta"} == {1, 3}
    assert plan.program.depth == 20  # as many rows as the longest delay has steps


def test_a_network_of_deltas_without_delay_runs(tmp_path, kernel):
    text = """\
    duration: 2 ms
    populations:
      S: {size: 1, model: spike_times, times: [1 ms]}
      E: {size: 1, model: lif, tau: 10 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF}
    projections: {p: {pre: S, post: E, connect: {rule: all_to_all}, weight: 1 mV, synapse: {model: delta}}}
    """
    plan = plan_of(tmp_path, text, kernel=kernel)
    assert repr(plan.pathways[0].delays) == "(1, 1)" and repr(plan.program.depth) == "1"
    run_plan(plan)


def test_edges_with_and_without_a_delay_are_delivered_apart(tmp_path):
    plan = plan_of(tmp_path, MIXED.replace("PRECISION", "float64"))
    assert plan.constants.delivery.instant[0].delays.tolist() == [0]
    assert plan.constants.delivery.due[0].delays.min() == 1


def test_projections_without_edges_run(tmp_path):
    text = two_projections(EXPON + ", delay: 0 ms", EXPON + ", delay: 1 ms").replace("all_to_all", "fixed_prob, p: 0")
    plan = plan_of(tmp_path, text)
    assert plan.constants.delivery.due == () == plan.constants.delivery.instant
    assert run_plan(plan).state.step == 10


# ---- places ----------------------------------------------------------------------------------------------------------


def test_groups_lie_side_by_side_in_whole_words(tmp_path):
    plan = plan_of(tmp_path, MIXED.replace("PRECISION", "float32"))
    p = plan.program
    ends = [group.first + group.padded for group in p.groups]
    assert [group.first for group in p.groups] == [0, *ends[:-1]] and p.sources == ends[-1]
    assert all(group.size <= group.padded < group.size + 64 and group.padded % 64 == 0 for group in p.groups)
    assert [stack.first for stack in p.stacks] == np.cumsum([0, *(stack.places for stack in p.stacks)])[:-1].tolist()
    assert all(stack.padded == p.groups[stack.group].padded for stack in p.stacks)


def test_a_program_is_hashable_and_equal_for_equal_files(tmp_path):
    """It decides what is compiled: another seed or duration needs no other one."""
    text = MIXED.replace("PRECISION", "float32")
    first, *others = (plan_of(tmp_path, changed).program for changed in (
        text, text.replace("seed: 3", "seed: 4"), text.replace("duration: 20 ms", "duration: 30 ms")))  # fmt: skip
    assert all(hash(first) == hash(other) and first == other for other in others)


def test_padding_neurons_never_fire(tmp_path):
    """Every neuron of A spikes in each step and every one of S too; the words of a frame have no other bits."""
    text = f"""\
duration: 2 ms
populations:
  S: {{model: poisson, size: 3, rate: 10 kHz}}
  A: {{size: 5, {LIF}, I_e: 1 uA}}
  T: {{model: spike_times, size: 2, times: [1 ms]}}
monitors:
  spikes: {{model: spikes, of: [S, A, T]}}
"""
    plan, sink = plan_of(tmp_path, text), Frames()
    engine.simulate(plan, engine.init(plan), 20, sink)
    rows = np.concatenate([frame.rows for frame in sink])
    bits = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little")
    for tap, size, fires in zip(plan.structure.taps, (3, 5, 2), (True, True, np.arange(20) == 9), strict=True):
        assert (bits[:, tap.bit : tap.bit + size] == np.reshape(fires, (-1, 1))).all()
        bits[:, tap.bit : tap.bit + size] = 0
    assert not bits.any()
