"""Brian2 in C++ standalone mode, in float64, with its numerical rules made equal to those of snnrun.

- A spike of Brian2 bears the time at which its step begins, one of snnrun that at which it ends: stamps are one step later.
- Refractory periods are one step longer here, because Brian2 counts the step of the spike.
- A threshold is met with >=.
- By default a delta synapse of Brian2 acts after the threshold is tested; here it acts before that (`after_groups`), and its
  delay is counted from there. The default has no counterpart.
- Conductances: `exponential_euler`, everything taken at the beginning of a step. Currents: `exact`.

All neurons are one NeuronGroup, projections with constant weight and delay a Synapses object each, and all that have drawn or
listed ones together one: the fewest objects that do the same.
"""

import os
from pathlib import Path

import brian2 as b2
import numpy as np
import runner
from brian2 import ms, mV, nS, pA, pF

NOW = "std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count()"
EVENTS = 1000  # trains that PoissonInput sums up
PARAMETERS = (
    ("tau", "tau", ms, "second"), ("C", "C", pF, "farad"), ("E_L", "V_rest", mV, "volt"), ("V_reset", "V_reset", mV, "volt"),
    ("V_th", "V_th", mV, "volt"), ("I", "I", pA, "amp"), ("hold", "tau_ref", ms, "second"),
)  # fmt: skip


def simulate(network, request):
    runner.static(network)
    folder, clock = Path(request["folder"]) / "standalone", runner.Clock()
    rng = np.random.default_rng(network["seed"])
    b2.prefs.logging.file_log = False
    b2.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    b2.defaultclock.dt = network["dt"] * ms
    b2.seed(network["seed"])
    if request["threads"] > 1:
        b2.prefs.devices.cpp_standalone.openmp_threads = request["threads"]
    b2.prefs.codegen.cpp.headers += ["<chrono>", "<fstream>", "<string>"]
    neurons, trains = group(network, rng), given(network)
    synapses = connect(network, neurons, trains, rng)
    drives = background(network, neurons)
    monitors = [b2.SpikeMonitor(neurons), *observe(network, request, neurons)]
    net = b2.Network(neurons, *trains.values(), *monitors, *synapses, *drives)
    b2.device.insert_code("before_network_run", f"const double _begin = {NOW};")
    b2.device.insert_code("after_network_run", watch(folder))
    net.run(network["steps"] * network["dt"] * ms)
    clock.lap("build")
    b2.device.build(directory=str(folder), compile=True, run=False)
    clock.lap("compile")
    b2.device.run(directory=str(folder), with_output=False)
    clock.lap("build")
    run, peak = (folder / "watched").read_text().split("\n", 1)
    clock.seconds["run"] = float(run)
    clock.seconds["build"] -= float(run)
    number = sum(len(s) for s in synapses)
    numbers = np.array(monitors[0].count)
    if "keep" in request:
        V = np.array(monitors[1].v / mV).T[1:] if len(monitors) > 1 else None  # the first sample is the initial state
        runner.keep(request, network, np.array(monitors[0].t / ms) / network["dt"] + 1, np.array(monitors[0].i), V)
    peak_bytes = runner.memory_in(peak)
    return runner.report(
        network, clock, f"Brian2 {b2.__version__}", runner.count(network, None, numbers), number,
        peak_bytes, peak_bytes, brian2_seconds=b2.device._last_run_time, threads_used=request["threads"],
    )  # fmt: skip


def watch(folder):
    """C++ that stores the seconds of the loop and the memory of the process."""
    return f"""
    {{
        const double _end = {NOW};
        std::ifstream _status("/proc/self/status");
        std::ofstream _watched("{os.fspath(folder.resolve() / "watched")}");
        _watched.precision(9);
        _watched << _end - _begin << std::endl << _status.rdbuf();
    }}
    """


def variable(entry):
    """Name of the variable that a projection acts on: V itself, or one receptor variable for each time constant."""
    if entry["synapse"] == "delta":
        return "v"
    return f"g_{entry['tau']:g}_{entry['E'] or 0:g}".replace(".", "p").replace("-", "m")


def group(network, rng):
    """All neurons, with one receptor variable for each kind of synapse. A parameter that varies is a variable of theirs."""
    kind, namespace, own, lines, current = runner.synapse(network), {}, {}, [], "I"
    if kind == "alpha cuba":
        raise runner.Unsupported("this runner has no alpha synapses")
    for name, key, unit, dimension in PARAMETERS:
        values = runner.per_neuron(network, key) + (network["dt"] if key == "tau_ref" else 0.0)
        if np.ptp(values):
            own[name] = values * unit
            lines.append(f"{name} : {dimension} (constant)")
        else:
            namespace[name] = values[0] * unit
    entries = (*network["projections"], *network["poisson"])
    for name, entry in {variable(entry): entry for entry in entries if entry["synapse"] != "delta"}.items():
        lines.append(f"d{name}/dt = -{name} / tau_{name} : {'siemens' if kind == 'expon coba' else 'amp'}")
        namespace[f"tau_{name}"] = entry["tau"] * ms
        if kind == "expon coba":
            namespace[f"E_{name}"] = entry["E"] * mV
        current += f" + {name} * (E_{name} - v)" if kind == "expon coba" else f" + {name}"
    lines.append(f"dv/dt = (E_L - v) / tau + ({current}) / C : volt (unless refractory)")
    neurons = b2.NeuronGroup(
        len(runner.per_neuron(network, "tau")), "\n".join(lines), threshold="v >= V_th", reset="v = V_reset",
        namespace=namespace, refractory="hold" if "hold" in own else namespace["hold"],
        method="exponential_euler" if kind == "expon coba" else "exact",
    )  # fmt: skip
    neurons.v = runner.initial(network, rng) * mV
    for name, values in own.items():
        setattr(neurons, name, values)
    return neurons


def given(network):
    """Sources with given spikes, by the place of their first neuron. They fire in the step that ends at the stamp."""
    found = {}
    for p in runner.sources(network):
        times = (np.array(p["step"]) - 1) * network["dt"] * ms
        found[p["first"]] = b2.SpikeGeneratorGroup(p["size"], np.array(p["neuron"]), times)
    return found


def observe(network, request, neurons):
    """A monitor of the membrane potential, which sees the state at the beginning of a step."""
    if "voltage" not in request:
        return []
    every = request["voltage"]["every"] * network["dt"] * ms
    return [b2.StateMonitor(neurons, "v", record=np.arange(request["voltage"]["neurons"]), dt=every, when="start")]


def connect(network, neurons, trains, rng):
    """Synapses of all projections."""
    made, listed = [], {}
    for projection in network["projections"]:
        if projection["rule"] == "listed" or runner.is_drawn(projection["weight"]) or runner.is_drawn(projection["delay"]):
            first = projection["pre"][0] if projection["pre"][0] >= len(neurons) else None
            listed.setdefault((variable(projection), first), []).append(projection)
        else:
            made.append(uniform(network, projection, neurons, rng))
    for (name, first), projections in listed.items():
        drawn = [runner.edges(rng, projection) for projection in projections]
        parts = [(p, len(pre)) for p, (pre, _) in zip(projections, drawn, strict=True)]
        unit, dimension = unit_of(projections[0])
        synapses = b2.Synapses(trains.get(first, neurons), neurons, f"w : {dimension}", on_pre=f"{name} += w")
        pre, post = (np.concatenate(side) for side in zip(*drawn, strict=True))
        synapses.connect(i=pre - (first or 0), j=post)
        synapses.w = np.concatenate([runner.draw(rng, p["weight"], n) for p, n in parts]) * unit
        delays = np.concatenate([runner.draw(rng, p["delay"], n) for p, n in parts])
        steps = np.floor(delays / network["dt"] + 0.5)
        if name == "v":
            steps, synapses.pre.when = np.maximum(steps - 1, 0), "after_groups"
        synapses.delay = steps * network["dt"] * ms
        made.append(synapses)
    return made


def unit_of(entry):
    """Unit of a weight in numbers and in equations."""
    return {"delta": (mV, "volt"), "expon cuba": (pA, "amp"), "expon coba": (nS, "siemens")}[entry["synapse"]]


def uniform(network, projection, neurons, rng):
    """One projection whose synapses are equal."""
    (a, b), (c, d), name = projection["pre"], projection["post"], variable(projection)
    delay, delta = projection["delay"], projection["synapse"] == "delta"
    synapses = b2.Synapses(
        neurons[a:b], neurons[c:d], on_pre=f"{name} += w", namespace={"w": projection["weight"] * unit_of(projection)[0]},
        delay=(max(delay - network["dt"], 0.0) if delta else delay) * ms,
    )  # fmt: skip
    if delta:
        synapses.pre.when = "after_groups"
    if projection["rule"] == "fixed_prob":
        synapses.connect(p=projection["p"])
    else:
        pre, post = runner.edges(rng, projection)
        synapses.connect(i=pre - a, j=post - c)
    return synapses


def background(network, neurons):
    made = []
    for entry in network["poisson"]:
        a, b = entry["to"]
        rate = entry["rate"] * 1e3 / EVENTS * b2.Hz
        when = "after_groups" if entry["synapse"] == "delta" else "synapses"
        weight = entry["weight"] * unit_of(entry)[0]
        if entry["start"] or entry["stop"] is not None:  # PoissonInput has no window, but its weight may depend on the time
            begin, end = entry["start"] * ms, (network["steps"] * network["dt"] if entry["stop"] is None else entry["stop"]) * ms
            weight = f"({weight / b2.get_unit(weight.dim)!r}) * {unit_of(entry)[1]} * int(t >= {begin / ms!r} * ms - dt / 2)"
            weight += f" * int(t < {end / ms!r} * ms - dt / 2)"
        made.append(b2.PoissonInput(neurons[a:b], variable(entry), EVENTS, rate, weight, when=when))
    return made


if __name__ == "__main__":
    runner.main(simulate)
