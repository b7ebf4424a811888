"""A network file in plain numbers, for the simulators that do not read it: so none of them has parameters of its own.

Units are ms, mV, pA, nS, pF, GOhm and kHz. Neurons have one index over all populations, in the order of the file. The
simulators either draw for themselves what the file leaves to chance, or are given what snnrun has drawn: then every parameter
that varies is a list with one number per neuron, and every projection a list of synapses.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnrun import check, document, network, quantities, spec
from snnrun.models import connect, stdp
from snnrun.selections import Part, parts

PARAMETERS = ("tau", "tau_ref", "V_rest", "V_reset", "V_th")


class Unsupported(ValueError):
    """What the description has no words for."""


def load(file: Path, overrides: Mapping[str, Any] = {}) -> spec.Spec:
    """A network file with some values replaced, as by `snnrun simulate --set KEY.PATH=VALUE`."""
    return check.load(file, [document.Override(tuple(key.split(".")), str(value), key) for key, value in overrides.items()]).spec


def describe(file: Path, overrides: Mapping[str, Any] = {}, drawn: bool = False) -> dict[str, Any]:
    """The network of a file; with `drawn` the very neurons and synapses that snnrun simulates. Raises Unsupported."""
    read = load(file, overrides)
    built = network.build(read, file.parent) if drawn else None
    first, populations = {}, []
    for name, entry in read.populations.items():
        first[name] = sum(found["size"] for found in populations)
        values = _population(entry) if built is None else _drawn_population(entry, built.populations[name], read.dt)
        populations.append({"name": name, "size": entry.size, "first": first[name], **values})
    by_name = {population["name"]: population for population in populations}
    poisson = []
    for name, entry in read.inputs.items():
        if entry.model == "poisson":
            window = {"start": entry.start, "stop": entry.stop}
            place = _range(_parts(read, entry.to), first)
            poisson.append({"to": place, "rate": _plain(entry.rate), "delay": entry.delay, **window, **_synapse(entry)})
        else:
            _add_current(name, entry, built, by_name)
    projections = [
        {"name": name, **_synapse(entry), **(_rule(read, entry, first) if built is None else _listed(read, built, name, first))}
        for name, entry in read.projections.items()
    ]
    shared = {"dt": read.dt, "steps": round(read.duration / read.dt), "seed": read.seed}
    return {**shared, "populations": populations, "poisson": poisson, "projections": projections}


def out_degrees(described: dict[str, Any]) -> list[float]:
    """Mean number of synapses that a spike of each population reaches."""
    found = []
    for population in described["populations"]:
        first, last = population["first"], population["first"] + population["size"]
        total = 0.0
        for projection in described["projections"]:
            (a, b), (c, d) = projection["pre"], projection["post"]
            synapses = {
                "fixed_prob": (projection["p"] or 0.0) * (b - a) * (d - c),
                "fixed_indegree": (projection["n"] or 0) * (d - c),
                "fixed_total": projection["n"] or 0,
            }[projection["rule"]]
            total += synapses * max(0, min(b, last) - max(a, first)) / (b - a)
        found.append(total / population["size"])
    return found


# ---- neurons ---------------------------------------------------------------------------------------------------------


def _population(entry: Any) -> dict[str, Any]:
    """Parameters as the file has them: numbers, and laws for the initial potential."""
    if entry.model != "lif":
        raise Unsupported(f"{entry.model} neurons that are not drawn")
    R = entry.tau / entry.C if entry.R is None else entry.R
    V = entry.V_rest if entry.init.V is None else entry.init.V
    values = {key: getattr(entry, key) for key in PARAMETERS}
    return {"model": "lif", "R": R, "C": entry.tau / R, "I": entry.I_e, "V": _plain(V), **values}


def _drawn_population(entry: Any, drawn: network.Population, dt: float) -> dict[str, Any]:
    """Parameters of the neurons that were drawn: numbers, and lists where neurons differ."""
    if entry.model == "spike_times":
        neuron, step = drawn.parameters["times"]
        return {"model": "spike_times", "neuron": neuron.tolist(), "step": step.tolist()}
    if entry.model != "lif":
        raise Unsupported(f"{entry.model} neurons")
    numbers = {key: value for key, value in drawn.parameters.items() if not isinstance(value, str)}
    p = {key: value if value is None else np.asarray(value, float) for key, value in numbers.items()}
    C = p["tau"] / p["R"] if p["C"] is None else p["C"]
    ref, V = p["tau_ref"] * dt, drawn.initial["V"]  # a whole number of steps
    values = {**{key: p[key] for key in PARAMETERS}, "tau_ref": ref, "R": p["tau"] / C, "C": C, "I": p["I_e"], "V": V}
    return {"model": "lif", **{key: np.asarray(value).tolist() for key, value in values.items()}}


def _add_current(name: str, entry: Any, built: network.Network | None, populations: dict[str, dict[str, Any]]) -> None:
    """Add a constant current to the neurons that it drives."""
    if entry.model != "constant" or entry.start or entry.stop is not None:
        raise Unsupported(f"inputs of model {entry.model}, or with a window")
    if built is None:
        for population in entry.to:
            populations[population]["I"] += entry.current
        return
    for part, values in zip(built.inputs[name].parts, built.inputs[name].values, strict=True):
        population = populations[part.population]
        currents = np.broadcast_to(np.asarray(population["I"], float), population["size"]).copy()
        currents[part.index] += values["current"]
        population["I"] = currents.tolist()


# ---- synapses --------------------------------------------------------------------------------------------------------


def _parts(read: spec.Spec, selection: tuple[str, ...]) -> list[Part]:
    return parts(selection, check.selection_sizes(read))


def _range(selected: list[Part], first: dict[str, int]) -> list[int]:
    """First and last place of a selection, the last one excluded."""
    runs = [(first[part.population] + part.start, first[part.population] + part.stop) for part in selected]
    if not all(part.dense for part in selected) or any(a[1] != b[0] for a, b in zip(runs, runs[1:], strict=False)):
        raise Unsupported("a selection that is not one run of neurons")
    return [runs[0][0], runs[-1][1]]


def _rule(read: spec.Spec, entry: Any, first: dict[str, int]) -> dict[str, Any]:
    """How to draw the synapses of a projection."""
    return {
        "pre": _range(_parts(read, entry.pre), first), "post": _range(_parts(read, entry.post), first),
        "rule": entry.connect.rule, "p": getattr(entry.connect, "p", None), "n": getattr(entry.connect, "n", None),
        "delay": _plain(entry.delay),
    }  # fmt: skip


def _listed(read: spec.Spec, built: network.Network, name: str, first: dict[str, int]) -> dict[str, Any]:
    """The synapses of a projection: indices of neurons over all populations, weights, delays."""
    drawn = built.projections[name]
    edges = connect.collect(drawn.connectivity)
    pre, post = (np.concatenate([part.numbers + first[part.population] for part in side]) for side in (drawn.pre, drawn.post))
    return {
        "pre": _range(drawn.pre, first), "post": _range(drawn.post, first), "rule": "listed",
        "edges": [pre[edges.pre].tolist(), post[edges.post].tolist()],
        "weight": np.asarray(edges.weight, float).tolist(), "delay": (np.asarray(edges.delay, float) * read.dt).tolist(),
    }  # fmt: skip


def _synapse(entry: Any) -> dict[str, Any]:
    output = getattr(entry.output, "model", "cuba")
    if getattr(entry.synapse, "normalize", "peak") != "peak":
        raise Unsupported("alpha synapses whose weight is not their peak")
    return {
        **({} if getattr(entry, "stdp", None) is None else {"stdp": _pairs(entry.stdp)}),
        "weight": _plain(entry.weight),
        "synapse": "delta" if entry.synapse.model == "delta" else f"{entry.synapse.model} {output}",
        "tau": getattr(entry.synapse, "tau", None),
        "E": getattr(entry.output, "E", None),
    }


def _pairs(rule: Any) -> dict[str, Any]:
    """Plasticity by pairs of spikes, with the delay in the dendrite."""
    if rule.model != "pair" or rule.delay != "dendrite" or stdp.bounds(rule)[0] != 0:
        raise Unsupported("plasticity other than by pairs of spikes, with the delay in the dendrite, from 0 on")
    powers = {name: getattr(rule, name) for name in ("mu_plus", "mu_minus", "tau_plus", "tau_minus")}
    return powers | {name: quantities.plain(getattr(rule, name)) for name in ("A_plus", "A_minus", "w_max")}


def _plain(value: Any) -> Any:
    """A number, or a distribution as {kind, first, second, low, high}, redrawn outside of low ... high."""
    law = quantities.law_of(value)
    if law is None:
        return quantities.plain(value)
    low, high = law.redraw or (None, None)
    bounds = {"low": low, "high": high}
    return {"kind": law.kind, "first": law.first, "second": law.second,
            **{key: None if bound in (float("-inf"), float("inf")) else bound for key, bound in bounds.items()}}  # fmt: skip
