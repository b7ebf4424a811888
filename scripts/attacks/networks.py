"""Networks that hold everything that a run must remember, and run for a second or two."""

NEURON = "model: lif, tau: 10 ms, tau_ref: 2 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, C: 250 pF"

DRAWN = f"""\
name: drawn
seed: 5
duration: DURATION
precision: PRECISION
populations:
  P: {{size: 200, model: poisson, rate: {{uniform: {{low: 0 Hz, high: 200 Hz}}}}, start: 3 ms}}
  T: {{size: 3, model: spike_times, times: [0.1 ms, 5 ms, 20 ms, 333.3 ms, 1234.5 ms]}}
  E: {{size: 800, {NEURON}, init: {{V: {{uniform: {{low: -65 mV, high: -50 mV}}}}}}}}
  I: {{size: 200, {NEURON}}}
inputs:
  push: {{model: constant, to: [E, I], current: {{normal: {{mean: 350 pA, std: 50 pA}}}}}}
  pulse: {{model: steps, to: "E[:100]", times: [50 ms, 700 ms], currents: [200 pA, 0 pA]}}
  noise: {{model: poisson, to: [E, I], rate: 4 kHz, weight: 0.1 mV, synapse: {{model: delta}}, delay: 0.7 ms}}
  gate: {{model: poisson, to: "I[20:]", rate: 1 kHz, weight: 0.1 nS, synapse: &gate {{model: expon, tau: 5 ms}},
         output: &excite {{model: coba, E: 0 mV}}}}
projections:
  kick: {{pre: [P, T], post: [E, I], connect: {{rule: fixed_prob, p: 0.05}}, weight: 0.5 mV, delay: 1 ms,
         synapse: {{model: delta}}}}
  far: {{pre: E, post: E, connect: {{rule: fixed_outdegree, n: 20}}, weight: {{normal: {{mean: 15 pA, std: 5 pA}}}},
        delay: {{uniform: {{low: 0 ms, high: 20 ms}}}}, synapse: {{model: alpha, tau: 3 ms}}}}
  gates: {{pre: E, post: I, connect: {{rule: fixed_indegree, n: 20}}, weight: {{gamma: {{mean: 0.2 nS, std: 0.1 nS}}}},
          delay: {{normal: {{mean: 3 ms, std: 1 ms, redraw: {{min: 0.1 ms}}}}}}, synapse: *gate, output: *excite}}
  stop: {{pre: I, post: [E, I], connect: {{rule: fixed_prob, p: 0.1}}, weight: -40 pA, delay: 1.5 ms,
         synapse: {{model: expon, tau: 7 ms}}}}
monitors:
  spikes: {{model: spikes, of: [P, T, E, I]}}
  some: {{model: spikes, of: "E[10:30]", start: 100 ms, stop: 900 ms}}
  V: {{model: state, of: ["E[:5]", "I[:5]"], variables: [V, ref], every: 0.7 ms}}
  x: {{model: state, of: "E[:3]", variables: [far.x, far.y]}}
  rate: {{model: rate, of: E, bin: 33.3 ms}}
  late: {{model: rate, of: I, bin: 170 ms, start: 12.3 ms}}
  currents: {{model: input, of: "I[:2]", every: 1.1 ms}}
"""

PROCEDURAL = f"""\
name: procedural
seed: 8
duration: DURATION
precision: PRECISION
populations:
  E: {{size: 1200, {NEURON}, I_e: 330 pA, init: {{V: {{uniform: {{low: -65 mV, high: -50 mV}}}}}}}}
  I: {{size: 300, {NEURON}, I_e: 320 pA, init: {{V: {{uniform: {{low: -65 mV, high: -50 mV}}}}}}}}
inputs:
  noise: {{model: poisson, to: E, rate: {{uniform: {{low: 1 kHz, high: 5 kHz}}}}, weight: 4 pA,
          synapse: &fast {{model: expon, tau: 3 ms}}}}
projections:
  exc: {{pre: E, post: [E, I], connect: {{rule: fixed_prob, p: 0.02, storage: procedural}}, weight: 12 pA, synapse: *fast,
        delay: {{uniform: {{low: 0.1 ms, high: 5 ms}}}}}}
  inh: {{pre: I, post: [E, I], connect: {{rule: fixed_outdegree, n: 30, storage: procedural}}, delay: 1 ms,
        weight: {{uniform: {{low: -60 pA, high: -40 pA}}}}, synapse: *fast}}
monitors:
  spikes: {{model: spikes, of: [E, I]}}
  V: {{model: state, of: "E[:20]", variables: [V], every: 1 ms}}
  rate: {{model: rate, of: [E, I], bin: 7.7 ms}}
"""

NETWORKS = {
    "drawn": DRAWN.replace("PRECISION", "float32"),
    "drawn, float64": DRAWN.replace("PRECISION", "float64"),
    "procedural": PROCEDURAL.replace("PRECISION", "float32"),
    "procedural, float64": PROCEDURAL.replace("PRECISION", "float64"),
}


def lasting(name: str, duration: str) -> str:
    """The text of a network that runs for so long in its own time."""
    return NETWORKS[name].replace("DURATION", duration)
