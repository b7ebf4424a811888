"""Sound network files to begin with: those of configs/, and some that use every word of the format."""

from functools import cache
from pathlib import Path
from typing import Any

from snnrun import document

CONFIGS = Path(__file__).parents[2] / "configs"

NEURON = "model: lif, tau: 10 ms, tau_ref: 1 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF"

RICH = f"""\
# every model, rule, distribution and monitor
name: rich
seed: 11
duration: 20 ms
dt: 0.1 ms
precision: float64
populations:
  P: {{size: 30, model: poisson, rate: 100 Hz, start: 2 ms, stop: 15 ms}}
  D: {{size: 5, model: poisson, rate: {{uniform: {{low: 0 Hz, high: 300 Hz}}}}}}
  T: {{size: 3, model: spike_times, times: [0.1 ms, 5 ms, 8 ms], period: 8 ms}}
  C: {{size: 5, model: poisson, course: {{model: steps, times: [0 ms, 9 ms], rates: [10 Hz, 90 Hz]}}}}
  W: {{size: 5, model: poisson, course: {{model: sine, mean: 50 Hz, amplitude: 20 Hz, frequency: 40 Hz, phase: 1.5}}}}
  G: {{size: 5, model: gamma, rate: {{lognormal: {{mean: 90 Hz, std: 20 Hz}}}}, shape: 2.5, begin: spike}}
  R: {{size: 5, model: regular, period: 2.5 ms, phase: {{uniform: {{low: 0 ms, high: 2 ms}}}}, stop: 19 ms}}
  E:
    size: 50
    model: lif
    tau: {{normal: {{mean: 15 ms, std: 1 ms, redraw: {{min: 1 ms}}}}}}
    tau_ref: {{uniform: {{low: 0 ms, high: 3 ms}}}}
    V_rest: -65 mV
    V_reset: -60 mV
    V_th: {{normal: {{mean: -50 mV, std: 1 mV, clip: {{min: -55 mV, max: -45 mV}}}}}}
    C: 250 pF
    I_e: 1e-1 nA
    init: {{V: {{uniform: {{low: -65 mV, high: -50 mV}}}}}}
    conductance: frozen
  I: {{size: 15, {NEURON}, solver: exp_euler}}
inputs:
  push: {{model: constant, to: [E, I], current: {{normal: {{mean: 250 pA, std: 50 pA}}}}, start: 1 ms}}
  pulse: {{model: steps, to: "E[:10]", times: [5 ms, 15 ms], currents: [500 pA, 0 pA], stop: 18 ms}}
  one: {{model: poisson, to: [E, I], rate: 6 kHz, weight: 0.2 mV, synapse: &delta {{model: delta}}}}
  each:
    {{model: poisson, to: ["E[10:50]", "I[1:]"], rate: {{exponential: {{mean: 1 kHz}}}},
     weight: {{gamma: {{mean: 0.1 nS, std: 0.1 nS}}}}, synapse: &gate {{model: expon, tau: 5 ms}},
     output: &excite {{model: coba, E: 0 mV}}, delay: 0.5 ms}}
projections:
  kick: {{pre: P, post: [E, I], connect: {{rule: fixed_indegree, n: 5}}, weight: 1 mV, delay: 1 ms, synapse: *delta}}
  jolt: {{pre: T, post: I, connect: {{rule: all_to_all}}, weight: {{exponential: {{mean: 0.1 mV}}}}, synapse: *delta}}
  near: {{pre: [E, D], post: [E, I], connect: {{rule: fixed_prob, p: 0.1, storage: procedural}}, weight: 30 pA,
         synapse: {{model: expon, tau: 3 ms}}}}
  far:
    pre: E
    post: E
    connect: {{rule: fixed_outdegree, n: 12, multapses: false, autapses: false}}
    weight: {{normal: {{mean: 30 pA, std: 5 pA}}}}
    delay: {{normal: {{mean: 1.5 ms, std: 0.75 ms, redraw: {{min: 0 ms}}}}}}
    synapse: {{model: alpha, tau: {{uniform: {{low: 1 ms, high: 5 ms}}}}, normalize: peak}}
    output: {{model: cuba}}
  gates:
    pre: "E[10:]"
    post: I
    connect: {{rule: fixed_total, n: 40}}
    weight: {{lognormal: {{mean: 0.2 nS, std: 0.2 nS}}}}
    delay: {{uniform: {{low: 0 ms, high: 2 ms}}}}
    synapse: *gate
    output: *excite
  pairs: {{pre: "E[:15]", post: I, connect: {{rule: one_to_one}}, weight: -9 pA, synapse: {{model: expon, tau: 3 ms}}}}
  listed: {{pre: T, post: "I[:3]", connect: {{rule: pairs, pairs: [[0, 1], [2, 0]]}}, weight: 2 mV, synapse: {{model: delta}}}}
monitors:
  spikes: {{model: spikes, of: [P, D, T, E, I]}}
  V: {{model: state, of: [E, "I[:3]"], variables: [V, ref], every: 1 ms}}
  x: {{model: state, of: I, variables: [gates.x], start: 5 ms, stop: 10 ms}}
  rate: {{model: rate, of: E, bin: 3 ms}}
  currents: {{model: input, of: "I[:2]", receptors: [gates, jolt]}}
"""

MERGED = f"""\
x-unknown: 3
duration: 1 s
populations:
  E: &lif
    {{size: 8, {NEURON}}}
  I: {{<<: *lif, size: 2}}
  J:
    <<: [*lif, {{tau: 5 ms}}]
    V_th: -40 mV
projections:
  e: &p {{pre: E, post: I, connect: {{rule: fixed_prob, p: 0.5}}, weight: 1 nS, delay: 1 ms, 
      synapse: &s {{model: expon, tau: 5 ms}}, output: &o {{model: coba, E: 0 mV}}}}
  i: {{<<: *p, pre: I, post: E, weight: 2 nS, output: {{<<: *o, E: -80 mV}}}}
monitors: {{s: {{model: spikes, of: [E, I, J]}}}}
"""

SMALL = f"""\
duration: 5 ms
populations: {{E: {{size: 4, {NEURON}, I_e: 600 pA}}, S: {{size: 1, model: spike_times, times: [1 ms]}}}}
projections: {{p: {{pre: S, post: E, connect: {{rule: all_to_all}}, weight: 1 mV, synapse: {{model: delta}}}}}}
monitors: {{v: {{model: state, of: E, variables: [V]}}, s: {{model: spikes, of: [E, S]}}}}
"""


@cache
def texts() -> tuple[str, ...]:
    """Small files as often as all larger ones together: those cost more time, and hold nothing that the others do not."""
    configs = [path.read_text() for path in sorted(CONFIGS.glob("*.yaml"))]
    small = [text for text in configs if len(text) < 4000]
    return (*configs, *small * 2, *[RICH, MERGED, SMALL] * len(configs))


@cache
def trees() -> tuple[Any, ...]:
    return tuple(document.parse(document.Document("", text, Path())).tree for text in texts())
