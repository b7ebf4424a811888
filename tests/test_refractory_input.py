"""What arrives at a LIF neuron while it is held: lost, or kept until it is free."""

import numpy as np
import pytest
from networks import Frames, assert_same_bits, load, plan_of, run_plan

from snnrun import engine, network, snapshot
from snnrun.models import connect

TAU, TAU_REF, DT, STEPS = 12.0, 2.3, 0.1, 2000
REST, RESET, THRESHOLD, WEIGHT = -60.0, -62.0, -50.0, 1.7
POPULATION = f"""{{size: SIZE, model: lif, tau: {TAU} ms, tau_ref: {TAU_REF} ms, V_rest: {REST} mV, V_reset: {RESET} mV,
      V_th: {THRESHOLD} mV, R: 100 MOhm, I_e: 60 pA, refractory_input: KEEP}}"""
NET = """
seed: 8
duration: 200 ms
precision: PRECISION
populations:
  P: {size: 40, model: poisson, rate: 150 Hz}
  E: POPULATION
  F: OTHER
projections:
  x: {pre: P, post: E, connect: {rule: fixed_indegree, n: 12}, weight: 1.7 mV, delay: 1 ms, synapse: {model: delta}}
  y: {pre: P, post: F, connect: {rule: fixed_indegree, n: 12}, weight: 1.7 mV, delay: 1 ms, synapse: {model: delta}}
monitors:
  s: {model: spikes, of: [P, E]}
  V: {model: state, of: E, variables: [V, kept, ref]}
"""


def written(keep="true", other="false", precision="float64"):
    population = lambda size, kept: POPULATION.replace("SIZE", str(size)).replace("KEEP", kept)  # noqa: E731
    found = NET.replace("POPULATION", population(5, keep)).replace("OTHER", population(3, other))
    return found.replace("PRECISION", precision)


def reference(jumps, keep):
    """V after each step, what is kept, and the steps in which a neuron spikes: one by one, as it is said."""
    V, kept, held, found, waiting, spikes = REST, 0.0, 0, [], [], []
    for k, jump in enumerate(jumps):
        V = REST + 6.0 + (V - REST - 6.0) * np.exp(-DT / TAU)
        if held > 0:
            kept += keep * jump * np.exp(-held * DT / TAU)
            V, held = RESET, held - 1
        else:
            V, kept = V + jump + kept, 0.0
            if V >= THRESHOLD:
                V, held = RESET, round(TAU_REF / DT)
                spikes.append(k + 1)
        found.append(V)
        waiting.append(kept)
    return np.array(found), np.array(waiting), spikes


@pytest.mark.parametrize("keep", ["true", "false"])
def test_jumps_are_kept_and_fade_or_are_lost(tmp_path, keep, kernel):
    plan = plan_of(tmp_path, written(keep), kernel=kernel)
    found = run_plan(plan)

    edges = connect.collect(network.build(load(tmp_path, written(keep)).spec, tmp_path).projections["x"].connectivity)
    several = 0
    for neuron in range(5):
        jumps = np.zeros(STEPS)
        for source in edges.pre[edges.post == neuron]:
            for t, n in found.spikes["P"]:
                if n == source and t + 10 <= STEPS:
                    jumps[t + 10 - 1] += WEIGHT
        V, kept, spikes = reference(jumps, keep == "true")
        np.testing.assert_allclose(found.samples["V", "E", "V"][1:, neuron], V[:-1], atol=1e-7)
        np.testing.assert_allclose(found.samples["V", "E", "kept"][1:, neuron], kept[:-1], atol=1e-7)
        assert [t for t, n in found.spikes["E"] if n == neuron] == spikes
        several += len(spikes)
    assert several > 20


def test_it_is_of_a_population_and_changes_no_other(tmp_path, precision):
    """Groups of other kinds stand beside it; what is not asked for has the bits that it has alone."""
    lost, beside = (run_plan(plan_of(tmp_path, written("false", other, precision))) for other in ("false", "true"))
    assert_same_bits(lost, beside, without="F")
    kept, alone = (run_plan(plan_of(tmp_path, written("true", other, precision))) for other in ("false", "true"))
    assert_same_bits(kept, alone, without="F")
    assert kept.spikes["E"] != lost.spikes["E"] and len(kept.spikes["E"]) > len(lost.spikes["E"])


def test_it_goes_on_from_a_snapshot(tmp_path, kernel):
    plan = plan_of(tmp_path, written(precision="float32"), kernel=kernel, threads=2)
    whole = run_plan(plan)
    (refractory,) = np.nonzero((whole.samples["V", "E", "kept"] > 0).any(axis=1))
    at = int(refractory[len(refractory) // 2]) + 1  # something is kept then
    state = engine.simulate(plan, engine.init(plan), at, Frames())
    again = snapshot.restore(plan, snapshot.take(plan, state))
    assert_same_bits(whole, whole._replace(state=engine.simulate(plan, again, STEPS - at, Frames())), watched=False)


def test_without_refractoriness_nothing_is_kept(tmp_path):
    """The model is then that without it, bit for bit."""
    a, b = (run_plan(plan_of(tmp_path, written(keep).replace("tau_ref: 2.3 ms", "tau_ref: 0 ms"))) for keep in ("true", "false"))
    assert a.spikes == b.spikes and not a.samples["V", "E", "kept"].any()
    np.testing.assert_array_equal(a.samples["V", "E", "V"], b.samples["V", "E", "V"])
