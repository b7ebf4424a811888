"""What the runners share: the description of the network, drawn numbers, memory, and the one line that they print.

    python run_<simulator>.py '{"network": "network.json", "file": "network.yaml", "threads": 1, "folder": "scratch"}'

A runner builds the network, simulates it once and prints one JSON object as its last line: seconds to build, to compile and to
run, spikes of each population, synapses, steps, bytes. `unsupported` in it says why a simulator cannot do a network. With
`"keep": "spikes.npz"` in the request all spikes go there, and with `"voltage": {"neurons": 20, "every": 100}` the membrane
potentials of the first neurons, too, at every 100th step.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


class Unsupported(Exception):
    """Why a simulator cannot do a network."""


class Clock:
    """Seconds of each stage."""

    def __init__(self):
        self.seconds, self._since = {"build": 0.0, "compile": 0.0, "run": 0.0}, time.perf_counter()

    def lap(self, stage):
        """Count the time since the last lap for a stage; None counts it for nothing."""
        now = time.perf_counter()
        if stage is not None:
            self.seconds[stage] += now - self._since
        self._since = now


def memory(field="VmHWM"):
    """Resident memory of this process in bytes: the largest so far, or (VmRSS) now."""
    return memory_in(Path("/proc/self/status").read_text(), field)


def memory_in(status, field="VmHWM"):
    line = next(line for line in status.splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def main(simulate):
    """Call `simulate(network, request)` and print what it returns."""
    request = json.loads(sys.argv[1])
    network = json.loads(Path(request["network"]).read_text())
    try:
        result = simulate(network, request)
    except Unsupported as error:
        result = {"unsupported": str(error)}
    print("\n" + json.dumps(result), flush=True)


def report(network, clock, version, spikes, synapses, connectivity, peak, **more):
    """The result of a run; `spikes` holds one number per population."""
    neurons = sum(population["size"] for population in network["populations"])
    seconds = network["steps"] * network["dt"] * 1e-3
    return {
        **clock.seconds, "version": version, "spikes": int(sum(spikes)), "population_spikes": [int(n) for n in spikes],
        "rate_hz": float(sum(spikes)) / neurons / seconds, "neurons": neurons, "synapses": int(synapses),
        "steps": network["steps"], "connectivity_bytes": connectivity, "peak_bytes": peak, **more,
    }  # fmt: skip


def keep(request, network, stamps, neurons, V=None):
    """Store what was recorded where the request wants it.

    Stamps are whole steps as snnrun counts them: the end of the step in which the threshold is met. Row i of V [mV] is the state
    at step (i + 1) every; the last step of the run is left out.
    """
    if "keep" not in request:
        return
    stamps = np.rint(stamps).astype(np.uint32)
    order = np.lexsort((neurons, stamps))
    found = {"step": stamps[order], "neuron": np.asarray(neurons, np.uint32)[order]}
    if V is not None:
        found["V"] = np.asarray(V, np.float64)[: samples(request, network)]
    np.savez_compressed(request["keep"], **found)


def samples(request, network):
    """Number of samples of the membrane potential."""
    return (network["steps"] - 1) // request["voltage"]["every"]


def count(network, neurons, numbers=None):
    """Spikes per population from indices of neurons that fired, or from a number of spikes for every neuron."""
    size = sum(population["size"] for population in network["populations"])
    per_neuron = np.bincount(neurons, minlength=size) if numbers is None else numbers
    return [per_neuron[p["first"] : p["first"] + p["size"]].sum() for p in network["populations"]]


# ---- drawn numbers ---------------------------------------------------------------------------------------------------


def is_drawn(value):
    return isinstance(value, dict)


def draw(rng, value, size):
    """`size` numbers: listed, a value repeated, or drawn from its distribution and redrawn outside of the bounds."""
    if not is_drawn(value):
        return np.broadcast_to(np.asarray(value, float), size)
    law = {"normal": rng.normal, "uniform": rng.uniform}[value["kind"]]
    low = -np.inf if value["low"] is None else value["low"]
    high = np.inf if value["high"] is None else value["high"]
    numbers = law(value["first"], value["second"], size)
    while len(wrong := np.flatnonzero((numbers < low) | (numbers > high))):
        numbers[wrong] = law(value["first"], value["second"], len(wrong))
    return numbers


def initial(network, rng):
    """V of all neurons at t = 0."""
    return np.concatenate([draw(rng, population["V"], population["size"]) for population in neurons(network)])


def per_neuron(network, key):
    """A parameter of the populations for each neuron."""
    return np.concatenate([np.broadcast_to(np.asarray(p[key], float), p["size"]) for p in neurons(network)])


def edges(rng, projection):
    """Pre and post index of every synapse of a projection, drawn by its rule; ordered by post where the rule allows."""
    (a, b), (c, d) = projection["pre"], projection["post"]
    if projection["rule"] == "listed":
        return tuple(np.array(side, np.int32) for side in projection["edges"])
    if projection["rule"] == "fixed_indegree":
        post = np.repeat(np.arange(c, d, dtype=np.int32), projection["n"])
        return rng.integers(a, b, len(post), dtype=np.int32), post
    if projection["rule"] == "fixed_total":
        n = projection["n"]
        return rng.integers(a, b, n, dtype=np.int32), rng.integers(c, d, n, dtype=np.int32)
    if projection["rule"] == "fixed_prob":
        number = rng.binomial(b - a, projection["p"], d - c)
        pre = np.concatenate([rng.choice(b - a, k, replace=False) for k in number]).astype(np.int32) + np.int32(a)
        return pre, np.repeat(np.arange(c, d, dtype=np.int32), number)
    raise Unsupported(f"no connection rule {projection['rule']}")


# ---- questions about a network ---------------------------------------------------------------------------------------


def neurons(network):
    """The populations that are no sources. They come first in all networks here. Raises Unsupported where they do not."""
    found = [population for population in network["populations"] if population["model"] == "lif"]
    if found != network["populations"][: len(found)]:
        raise Unsupported("sources before neurons")
    return found


def sources(network):
    """The populations with given spikes."""
    return network["populations"][len(neurons(network)) :]


def shared(network, *keys):
    """A parameter that all neurons have in common, or several. Raises Unsupported where they differ."""
    first, *others = neurons(network)
    for key in keys:
        if isinstance(first[key], list) or any(population[key] != first[key] for population in others):
            raise Unsupported(f"neurons with different {key}")
    return [first[key] for key in keys]


def static(network):
    """Raises Unsupported where weights change: a runner that cannot do that says so."""
    if any("stdp" in projection for projection in network["projections"]):
        raise Unsupported("plastic synapses")


def synapse(network):
    """The one kind of synapses that a network has; None without any."""
    kinds = {entry["synapse"] for entry in (*network["projections"], *network["poisson"])}
    if len(kinds) > 1:
        raise Unsupported("several kinds of synapses")
    return kinds.pop() if kinds else None
