"""Networks that hypothesis makes up: all models, rules, distributions and selections, small but alive.

A network is the tree of a network file, so that a test can change a part of it, and a failing example reads as a file.
"""

import json
from typing import Any

from hypothesis import strategies as st


def number(low: float, high: float, unit: str) -> st.SearchStrategy[str]:
    return st.integers(0, 1000).map(lambda i: f"{low + (high - low) * i / 1000:.6g} {unit}")


def whole(low: int, high: int, unit: str, dt: float) -> st.SearchStrategy[str]:
    """A time of so many steps."""
    return st.integers(low, high).map(lambda steps: f"{steps * dt:.6g} {unit}")


def drawn(low: float, high: float, unit: str) -> st.SearchStrategy[Any]:
    """A distribution that yields nothing far outside of low ... high, and nothing below low."""
    middle, width, bounds = (low + high) / 2, (high - low) / 4, {"redraw": {"min": f"{low} {unit}", "max": f"{high} {unit}"}}
    parts = {"mean": f"{middle} {unit}", "std": f"{width} {unit}", **bounds}
    kinds = [{"normal": parts}, {"uniform": {"low": f"{low} {unit}", "high": f"{high} {unit}"}}]
    if low > 0:
        kinds += [{"lognormal": parts}, {"gamma": parts}]
    return st.sampled_from(kinds)


def varying(low: float, high: float, unit: str) -> st.SearchStrategy[Any]:
    return number(low, high, unit) | drawn(low, high, unit)


@st.composite
def lif(draw: Any, dt: float) -> dict[str, Any]:
    """Neurons of which many fire: their currents lie around and above what reaches the threshold (15 mV, 250 pF, tau).

    Here and in synapses, time constants of more than a second are those that float32 leaves to float64.
    """
    tau = draw(st.sampled_from([5.0, 10.0, 20.0, 1500.0]))
    reach = 15.0 * 250.0 / tau
    found = {
        "size": draw(st.integers(1, 90)), "model": "lif", "V_rest": "-65 mV", "V_reset": draw(varying(-70, -60, "mV")),
        "tau": draw(st.just(f"{tau} ms") | drawn(0.9 * tau, 1.1 * tau, "ms")), "V_th": draw(varying(-52, -49, "mV")),
        "tau_ref": draw(whole(0, 30, "ms", dt) | drawn(0, 3, "ms")), "I_e": draw(varying(1.1 * reach, 2.5 * reach, "pA")),
        "init": {"V": draw(varying(-65, -50, "mV"))}, "conductance": draw(st.sampled_from(["linear", "frozen"])),
        **draw(st.sampled_from([{"C": "250 pF"}, {"R": f"{tau / 250.0} GOhm"}])),
    }  # fmt: skip
    return found


@st.composite
def selection(draw: Any, sizes: dict[str, int], lists: bool = True) -> Any:
    """A population, a slice of one, or a list of several."""
    names = draw(st.lists(st.sampled_from(sorted(sizes)), min_size=1, max_size=2 if lists else 1, unique=True))
    parts = []
    for name in names:
        first = draw(st.integers(0, sizes[name] - 1))
        last = draw(st.integers(first + 1, sizes[name]))
        parts.append(draw(st.sampled_from([name, f"{name}[{first}:{last}]"])))
    return parts if len(parts) > 1 else parts[0]


def count(of: Any, sizes: dict[str, int]) -> int:
    """Number of neurons in a selection."""
    total = 0
    for part in [of] if isinstance(of, str) else of:
        name, _, rest = part.partition("[")
        first, _, last = rest.rstrip("]").partition(":")
        total += int(last) - int(first) if rest else sizes[name]
    return total


@st.composite
def synapse(draw: Any) -> tuple[dict[str, Any], str, float]:
    """Synapse and output; unit and scale of a weight. Few kinds, so that projections share receptors."""
    kind = draw(st.sampled_from(["delta", "cuba", "alpha", "coba", "drawn"]))
    expon = {"model": "expon", "tau": draw(st.sampled_from(["3 ms", "10 ms", "1.5 s"]))}
    if kind == "delta":
        return {"synapse": {"model": "delta"}}, "mV", 1.0
    if kind == "cuba":
        return {"synapse": expon}, "pA", 50.0
    alpha = {"model": "alpha", "normalize": draw(st.sampled_from(["peak", "area"]))}
    alpha["tau"] = draw(drawn(1, 5, "ms")) if kind == "drawn" else draw(st.sampled_from(["2 ms", "2 s"]))
    if kind == "coba":
        output = {"model": "coba", "E": draw(st.sampled_from(["0 mV", "-80 mV"]))}
        return {"synapse": draw(st.sampled_from([expon, alpha])), "output": output}, "nS", 2.0
    return {"synapse": alpha}, "pA", 50.0


@st.composite
def projection(draw: Any, sizes: dict[str, int], targets: dict[str, int], dt: float) -> dict[str, Any]:
    parts, unit, scale = draw(synapse())
    pre, post = draw(selection(sizes)), draw(selection(targets))
    low = 0.0 if unit == "nS" else -scale
    least, most = sorted([count(pre, sizes), count(post, sizes)])
    storage = {"storage": draw(st.sampled_from(["stored", "procedural"]))}
    selves = {"autapses": draw(st.booleans())} if least > 6 else {}
    again = {"multapses": draw(st.booleans())} if least > 6 else {}
    pairs = draw(st.lists(st.tuples(st.integers(0, count(pre, sizes) - 1), st.integers(0, count(post, sizes) - 1)), max_size=30))
    rules = [
        {"rule": "all_to_all", **storage, **selves}, {"rule": "fixed_prob", "p": 0.2, **storage, **selves},
        {"rule": "fixed_outdegree", "n": 5, **storage, **selves, **again}, {"rule": "fixed_indegree", "n": 5, **selves, **again},
        {"rule": "fixed_total", "n": 5 * most, **selves, **again}, {"rule": "pairwise_poisson", "mean": 0.2, **selves},
        {"rule": "spatial", "kernel": {"model": "gaussian", "sigma": "40 um"}, "p0": 0.9, **selves},
        {"rule": "spatial_indegree", "kernel": {"model": "exponential", "scale": "40 um"}, "n": 5, **selves, **again},
        {"rule": "blocks", "p": [[0.2]], **selves},
    ]  # fmt: skip
    if pairs:
        rules.append({"rule": "pairs", "pairs": [list(pair) for pair in pairs]})
    if count(pre, sizes) == count(post, sizes):
        rules.append({"rule": "one_to_one"})
    rule = draw(st.sampled_from(rules))
    weights, delays = varying(low, scale, unit), whole(0, 25, "ms", dt) | drawn(0, 2, "ms")
    if "storage" not in rule:
        near = {"kernel": {"model": "linear", "radius": "90 um"}, "amplitude": f"{scale} {unit}"}
        weights |= st.just({"distance": near})
        delays |= st.just({"distance": {"velocity": "0.1 m/s", "offset": "0.1 ms"}})
    return {"pre": pre, "post": post, "connect": rule, **parts, "weight": draw(weights), "delay": draw(delays)}


@st.composite
def poisson(draw: Any, targets: dict[str, int], dt: float) -> dict[str, Any]:
    parts, unit, scale = draw(synapse())
    times = {"delay": draw(whole(0, 9, "ms", dt)), "start": draw(whole(0, 20, "ms", dt)), "stop": draw(whole(40, 120, "ms", dt))}
    weight = draw(varying(0, scale / 2, unit))
    kind, correlation = draw(st.sampled_from(["rate", "steps", "sine"])), draw(st.sampled_from([0.0, 0.3, 1.0]))
    wave = {"mean": "2 kHz", "amplitude": "1.5 kHz", "frequency": "70 Hz"}
    two = {"times": ["0 ms", f"{50 * dt:.6g} ms"], "rates": ["500 Hz", "3 kHz"]}
    given: dict[str, Any] = {"course": {"model": "steps", **two} if kind == "steps" else {"model": "sine", **wave}}
    if kind == "rate":
        given = {"rate": "2 kHz" if correlation else draw(varying(0, 3, "kHz"))}
    to = draw(selection(targets))
    return {"model": "poisson", "to": to, **given, "correlation": correlation, "weight": weight, **times, **parts}


@st.composite
def driving(draw: Any, targets: dict[str, int], dt: float) -> dict[str, Any]:
    """An input that is held over a step: a current, or a conductance of about a tenth of the leak."""
    coba = draw(st.booleans())
    unit, scale = ("nS", 2.0) if coba else ("pA", 60.0)
    output = {"output": {"model": "coba", "E": draw(st.sampled_from(["0 mV", "-80 mV"]))}} if coba else {}
    least = 0.0 if coba else -scale
    mean, other = f"{scale:g} {unit}", draw(varying(least, scale, unit))
    kinds = {
        "ramp": {"initial": mean, "final": other, "stop": "12 ms"},
        "sine": {"mean": mean, "amplitude": draw(varying(0, scale, unit)), "frequency": draw(varying(10, 200, "Hz"))},
        "pulses": {"amplitude": other, "width": f"{9 * dt:.6g} ms", "period": f"{31 * dt:.6g} ms"},
        "white_noise": {"mean": mean, "std": draw(varying(0, scale, unit)), "every": f"{draw(st.integers(1, 5)) * dt:.6g} ms"},
        "ou_noise": {"mean": mean, "std": draw(varying(0, scale, unit)), "tau": draw(st.sampled_from(["3 ms", "3 s"]))},
    }
    model = draw(st.sampled_from(sorted(kinds)))
    shared = {"correlation": draw(st.sampled_from([0.0, 0.3, 1.0]))} if "noise" in model else {}
    start = draw(whole(0, 40, "ms", dt))
    return {"model": model, "to": draw(selection(targets)), "start": start, **kinds[model], **shared, **output}


@st.composite
def source(draw: Any, dt: float) -> dict[str, Any]:
    """Of any kind that draws, or counts, on its own."""
    rate, two = draw(varying(50, 300, "Hz")), {"times": ["0 ms", f"{50 * dt:.6g} ms"], "rates": ["90 Hz", "300 Hz"]}
    wave = {"mean": "200 Hz", "amplitude": "150 Hz", "frequency": "70 Hz", "phase": draw(st.sampled_from([0.0, 2.0]))}
    kind = draw(st.sampled_from(["rate", "steps", "sine", "gamma", "regular"]))
    if kind == "gamma":
        begin = draw(st.sampled_from(["stationary", "spike"]))
        return {"model": "gamma", "rate": rate, "shape": draw(st.sampled_from([0.5, 1.0, 4.0])), "begin": begin}
    if kind == "regular":
        return {"model": "regular", "period": draw(varying(1, 9, "ms")), "phase": draw(varying(0, 5, "ms"))}
    course = {"steps": {"model": "steps", **two}, "sine": {"model": "sine", **wave}}
    return {"model": "poisson", **({"rate": rate} if kind == "rate" else {"course": course[kind]})}


@st.composite
def networks(draw: Any) -> dict[str, Any]:
    """The tree of a network file, whose populations are all recorded."""
    dt, steps = draw(st.sampled_from([0.1, 0.25])), draw(st.integers(120, 260))
    populations = {name: draw(lif(dt)) for name in ("A", "B")[: draw(st.integers(1, 2))]}
    targets = {name: p["size"] for name, p in populations.items()}
    if draw(st.booleans()):
        populations["P"] = {"size": draw(st.integers(1, 70)), **draw(source(dt))}
    if draw(st.booleans()):
        times = draw(st.lists(st.integers(1, 250), min_size=1, max_size=8, unique=True))
        populations["S"] = {"size": draw(st.integers(1, 9)), "model": "spike_times", "times": [f"{t * dt:.6g} ms" for t in times]}
    sizes, periodic = {name: p["size"] for name, p in populations.items()}, draw(st.booleans())
    for population in populations.values():
        population["layout"] = {"model": "random", "extent": ["200 um", "100 um"], "periodic": periodic}
    inputs = {f"noise{i}": draw(poisson(targets, dt)) for i in range(draw(st.integers(0, 1)))}
    if draw(st.booleans()):
        push = {"current": draw(varying(-50, 100, "pA")), "start": draw(whole(0, 30, "ms", dt))}
        inputs["push"] = {"model": "constant", "to": draw(selection(targets)), **push}
    if draw(st.booleans()):
        times = {"times": [f"{k * dt:.6g} ms" for k in (0, 40, 90)], "currents": ["50 pA", "-20 pA", "100 pA"]}
        inputs["steps"] = {"model": "steps", "to": draw(selection(targets)), **times}
    inputs |= {f"drive{i}": draw(driving(targets, dt)) for i in range(draw(st.integers(0, 2)))}
    projections = {f"p{i}": draw(projection(sizes, targets, dt)) for i in range(draw(st.integers(1, 3)))}
    return {
        "seed": draw(st.integers(0, 2**64 - 1)), "dt": f"{dt} ms", "duration": f"{steps * dt:.6g} ms",
        "precision": draw(st.sampled_from(["float32", "float64"])), "populations": populations, "inputs": inputs,
        "projections": projections,
        "monitors": {
            "spikes": {"model": "spikes", "of": list(populations)},
            "V": {"model": "state", "of": list(targets), "variables": ["V"]},
        },
    }  # fmt: skip


def text(tree: dict[str, Any]) -> str:
    """A tree as a network file: JSON is YAML."""
    return json.dumps(tree, indent=1)
