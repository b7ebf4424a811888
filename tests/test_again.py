"""Networks that differ in a few values, one after the other: what is the same is neither drawn nor compiled again."""

import jax
import numpy as np
import pytest
from networks import assert_same_bits, load, plan_of, run_plan

from snnrun import check, engine, lower, network
from snnrun.cli.common import overrides_of
from snnrun.kernels import native as kernel

NET = """
seed: 3
duration: 30 ms
populations:
  P: {size: 60, model: poisson, rate: 300 Hz}
  E: {size: 150, model: lif, tau: 12 ms, tau_ref: 1 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF, I_e: 120 pA}
  I: {size: 70, model: lif, tau: 8 ms, tau_ref: 1 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF}
inputs:
  n: {model: poisson, to: I, rate: 2 kHz, weight: 30 pA, synapse: {model: expon, tau: 2 ms}}
projections:
  a: {pre: P, post: [E, I], connect: {rule: fixed_prob, p: 0.3}, weight: 80 pA, delay: 0.4 ms, synapse: {model: expon, tau: 3 ms}}
  b: {pre: E, post: I, connect: {rule: fixed_indegree, n: 9}, weight: 80 pA, delay: 0.4 ms, synapse: {model: expon, tau: 3 ms}}
  c: {pre: I, post: E, connect: {rule: fixed_total, n: 900}, weight: {normal: {mean: -90 pA, std: 9 pA}},
      delay: {uniform: {low: 0.3 ms, high: 2 ms}}, synapse: {model: alpha, tau: 2 ms}}
  d: {pre: P, post: E, connect: {rule: pairwise_poisson, mean: 0.1}, weight: 0.7 mV, synapse: {model: delta}}
  e: {pre: E, post: E, connect: {rule: fixed_outdegree, n: 7}, weight: 40 pA, synapse: {model: expon, tau: 4 ms},
      stp: {U: 0.4, tau_d: 100 ms, tau_f: 50 ms}}
  f: {pre: P, post: I, connect: {rule: all_to_all}, weight: 20 pA, delay: 1 ms, synapse: {model: expon, tau: 5 ms},
      stdp: {A_plus: 2 pA, A_minus: 1 pA, tau_plus: 20 ms, tau_minus: 20 ms, w_max: 60 pA}}
monitors:
  s: {model: spikes, of: [P, E, I]}
  V: {model: state, of: E, variables: [V]}
""".replace("fixed_total, n: 900", "fixed_total, n: 900").replace(
    "rule: pairwise_poisson, mean: 0.1", "rule: fixed_prob, p: 0.05"
)

# what is changed, and which projections' edges may then be kept
EVERY = "abcde"
CHANGES = [
    ({"projections.a.weight": "90 pA"}, EVERY.replace("a", "").replace("b", "")),  # a and b had one weight, and were one block
    ({"projections.a.weight": "95 pA"}, EVERY),
    ({"projections.b.weight": "95 pA"}, EVERY.replace("a", "").replace("b", "")),  # now they have one again
    ({"populations.E.tau": "14 ms", "populations.I.V_th": "-51 mV", "populations.E.I_e": "140 pA"}, EVERY),
    ({"projections.b.synapse.tau": "6 ms"}, ""),  # a receptor more: all that follows it has other places
    ({"projections.b.synapse.tau": "7 ms"}, EVERY),
    ({"projections.e.stp.U": "0.3", "projections.e.weight": "55 pA", "duration": "35 ms"}, EVERY),
    ({"projections.c.weight": "{normal: {mean: -80 pA, std: 9 pA}}"}, EVERY.replace("c", "")),
    ({"projections.c.delay": "{uniform: {low: 0.3 ms, high: 1.5 ms}}"}, EVERY.replace("c", "")),
    ({"projections.b.connect.n": "10"}, EVERY.replace("b", "").replace("a", "")),
    ({"populations.I.size": "75"}, "de"),
    ({"seed": "4"}, ""),
    ({"dt": "0.05 ms"}, ""),
    ({"projections.f.weight": "25 pA", "inputs.n.weight": "35 pA"}, EVERY),
]  # fmt: skip


def edges_of(plan):
    """Where the edges of each projection lie in memory."""
    return {
        pathway.connectivity.name: made.block.records
        for made in plan.arranged.edges.made
        for pathway in made.pathways
        if made.block
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_the_same_is_taken_from_the_network_before_and_no_bit_differs(native, tmp_path, threads):
    texts: dict[str, str] = {}
    load(tmp_path, NET)
    before = None
    for changed, _ in [({}, "")] + CHANGES:
        texts |= changed
        overrides = overrides_of([f"{path}={value}" for path, value in texts.items()], {})
        built = network.build(check.load(tmp_path / "net.yaml", overrides).spec, tmp_path)
        plan = lower.lower(built, kernel="native", threads=threads, again=True, earlier=before)
        fresh = lower.lower(built, kernel="native", threads=threads)
        for one, other in zip(jax.tree.leaves(plan.initial), jax.tree.leaves(fresh.initial), strict=True):
            np.testing.assert_array_equal(one, other)
        assert plan.program == fresh.program and plan.pathways == fresh.pathways
        assert_same_bits(run_plan(plan), run_plan(fresh))
        before = plan


def test_only_what_has_changed_is_drawn_again(native, tmp_path):
    load(tmp_path, NET)
    texts: dict[str, str] = {}
    before = None
    for changed, kept in [({}, "")] + CHANGES:
        texts |= changed
        overrides = overrides_of([f"{path}={value}" for path, value in texts.items()], {})
        built = network.build(check.load(tmp_path / "net.yaml", overrides).spec, tmp_path)
        plan = lower.lower(built, kernel="native", again=True, earlier=before)
        if before is not None:
            one, other = edges_of(before), edges_of(plan)
            assert "".join(name for name in one if one[name] == other[name]) == kept, changed
        before = plan


def test_nothing_is_kept_for_other_networks_where_there_are_none(native, tmp_path):
    assert plan_of(tmp_path, NET, kernel="native").arranged.edges.made == []
    assert isinstance(plan_of(tmp_path, NET, kernel="native", again=True).arranged.edges.made[0], kernel.Made)


@pytest.mark.parametrize("name", ["native", "xla"])
def test_other_values_and_durations_compile_nothing(request, tmp_path, name):
    if name == "native":
        request.getfixturevalue("native")
    engine.compiled.cache_clear()
    texts = [NET, NET.replace("120 pA", "125 pA"), NET.replace("weight: 80 pA", "weight: 0 pA"), NET.replace("30 ms", "45 ms"),
             NET.replace("tau: 3 ms", "tau: 3.5 ms")]  # fmt: skip
    plans = [plan_of(tmp_path, text, kernel=name) for text in texts]
    for plan in plans:
        run_plan(plan)
    assert engine.compiled.cache_info().currsize == 1
    assert engine.compiled(plans[0].program, engine.capacity_of(plans[0]))._cache_size() == 1
