"""Weights of NEST's plastic synapses under given spikes: python scripts/references/stdp_nest.py tests/stdp_nest.json

Needs nest-simulator (3.10 was used). Two parrot neurons repeat given trains; a plastic synapse between them, of one delay, is
read after each spike of its source.
"""

import json
import sys
from pathlib import Path

import nest
import numpy as np

DT, DELAY = 0.1, 1.5
CASES = {
    "pair, mu": ("stdp_synapse", {"lambda": 0.1, "alpha": 0.9, "mu_plus": 0.7, "mu_minus": 0.8, "tau_plus": 17.0, "Wmax": 3.0}),
    "pair": ("stdp_synapse", {"lambda": 0.07, "alpha": 0.8, "mu_plus": 0.0, "mu_minus": 0.0, "tau_plus": 17.0, "Wmax": 3.0}),
    "pair, mu 1": ("stdp_synapse", {"lambda": 0.2, "alpha": 1.1, "mu_plus": 1.0, "mu_minus": 1.0, "tau_plus": 17.0, "Wmax": 3.0}),
    "nearest": ("stdp_nn_symm_synapse", {"lambda": 0.1, "alpha": 0.7, "mu_plus": 0.0, "mu_minus": 0.0, "tau_plus": 17.0,
                                         "Wmax": 3.0}),
    "triplet": ("stdp_triplet_synapse", {"tau_plus": 16.8, "tau_plus_triplet": 101.0, "Aplus": 0.2, "Aplus_triplet": 0.3,
                                         "Aminus": 0.2, "Aminus_triplet": 0.1, "Wmax": 3.0}),
    "vogels2011": ("vogels_sprekeler_synapse", {"tau": 20.0, "eta": 0.05, "alpha": 0.12, "Wmax": 30.0}),
}  # fmt: skip


def trains(seed: int) -> list[list[float]]:
    """Two trains of 60 spikes on the grid, with some that fall together at the synapse."""
    rng = np.random.default_rng(seed)
    pre, post = (np.sort(rng.choice(np.arange(20, 6000), 60, replace=False)) for _ in range(2))
    post[::7] = pre[::7] - round(DELAY / DT)
    post = post[post > pre[0]]  # NEST's nearest neighbours take it that there was a spike of the source at 0
    return [np.unique(side).tolist() for side in (pre, post)]


def weights(model: str, parameters: dict, pre: list[int], post: list[int]) -> list[float]:
    nest.ResetKernel()
    nest.set(resolution=DT)
    generators = [nest.Create("spike_generator", params={"spike_times": [(s - 10) * DT for s in side]}) for side in (pre, post)]
    tau_minus = {"stdp_triplet_synapse": 33.7, "vogels_sprekeler_synapse": 20.0}.get(model, 23.0)
    traces = {"tau_minus": tau_minus, "tau_minus_triplet": 125.0}
    parrots = [nest.Create("parrot_neuron"), nest.Create("parrot_neuron", params=traces)]
    for generator, parrot in zip(generators, parrots, strict=True):
        nest.Connect(generator, parrot, syn_spec={"delay": 1.0})
    recorder = nest.Create("weight_recorder")
    nest.CopyModel(model, "watched", {"weight_recorder": recorder})
    nest.Connect(*parrots, syn_spec={"synapse_model": "watched", "weight": 1.5, "delay": DELAY, "receptor_type": 1, **parameters})
    nest.Simulate(700.0)
    return np.asarray(recorder.events["weights"]).tolist()


if __name__ == "__main__":
    found = {"nest": nest.__version__, "delay": DELAY, "dt": DT, "cases": {}}
    for number, (name, (model, parameters)) in enumerate(CASES.items()):
        pre, post = trains(number)
        found["cases"][name] = {"model": model, "parameters": parameters, "pre": pre, "post": post,
                                "weights": weights(model, parameters, pre, post)}  # fmt: skip
    Path(sys.argv[1]).write_text(json.dumps(found) + "\n")
