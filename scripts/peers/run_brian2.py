"""Brian2 in C++ standalone mode, in float64, with its numerical rules made equal to those of snnrun.

All neurons are one NeuronGroup, projections with constant weight and delay a Synapses object each, and all that have drawn ones
together one: the fewest objects that do the same. Refractory periods are one step longer here, because Brian2 counts the step of
the spike; delta synapses act before the threshold is tested, and their delay is counted from there.
"""

import os
from pathlib import Path

import brian2 as b2
import numpy as np
import runner
from brian2 import ms, mV, nS, pA, pF

NOW = "std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count()"
EVENTS = 1000  # trains that PoissonInput sums up


def simulate(network, request):
    folder, clock = Path(request["folder"]) / "standalone", runner.Clock()
    rng = np.random.default_rng(network["seed"])
    b2.prefs.logging.file_log = False
    b2.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    b2.defaultclock.dt = network["dt"] * ms
    b2.seed(network["seed"])
    if request["threads"] > 1:
        b2.prefs.devices.cpp_standalone.openmp_threads = request["threads"]
    b2.prefs.codegen.cpp.headers += ["<chrono>", "<fstream>", "<string>"]
    neurons = group(network, rng)
    synapses = connect(network, neurons, rng)
    drives = background(network, neurons)
    monitor = b2.SpikeMonitor(neurons)
    net = b2.Network(neurons, monitor, *synapses, *drives)
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
    numbers = np.array(monitor.count)
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
    """All neurons, with one receptor variable for each kind of synapse."""
    keys = ("tau", "tau_ref", "V_rest", "V_reset", "V_th", "R", "C")
    tau, tau_ref, V_rest, V_reset, V_th, R, C = runner.shared(network, *keys)
    kind = runner.synapse(network)
    receptors = {variable(entry): entry for entry in (*network["projections"], *network["poisson"])} if kind != "delta" else {}
    namespace = {"tau": tau * ms, "E_L": V_rest * mV, "V_reset": V_reset * mV, "V_th": V_th * mV, "C": C * pF}
    unit, lines, current = ("siemens", [], "I") if kind == "expon coba" else ("amp", [], "I")
    for name, entry in receptors.items():
        lines.append(f"d{name}/dt = -{name} / tau_{name} : {unit}")
        namespace[f"tau_{name}"] = entry["tau"] * ms
        if kind == "expon coba":
            namespace[f"E_{name}"] = entry["E"] * mV
        current += f" + {name} * (E_{name} - v)" if kind == "expon coba" else f" + {name}"
    currents = runner.per_neuron(network, "I")
    if np.ptp(currents):
        lines.append("I : amp (constant)")
    else:
        namespace["I"] = currents[0] * pA
    lines.append(f"dv/dt = (E_L - v) / tau + ({current}) / C : volt (unless refractory)")
    neurons = b2.NeuronGroup(
        len(currents), "\n".join(lines), threshold="v >= V_th", reset="v = V_reset", namespace=namespace,
        refractory=(tau_ref + network["dt"]) * ms, method="exponential_euler" if kind == "expon coba" else "exact",
    )  # fmt: skip
    neurons.v = runner.initial(network, rng) * mV
    if np.ptp(currents):
        neurons.I = currents * pA
    return neurons


def connect(network, neurons, rng):
    """Synapses of all projections."""
    made, listed = [], {}
    for projection in network["projections"]:
        if runner.is_drawn(projection["weight"]) or runner.is_drawn(projection["delay"]):
            listed.setdefault(variable(projection), []).append(projection)
        else:
            made.append(uniform(network, projection, neurons, rng))
    for name, projections in listed.items():
        drawn = [runner.edges(rng, projection) for projection in projections]
        parts = [(p, len(pre)) for p, (pre, _) in zip(projections, drawn, strict=True)]
        unit, dimension = unit_of(projections[0])
        synapses = b2.Synapses(neurons, neurons, f"w : {dimension}", on_pre=f"{name} += w")
        synapses.connect(i=np.concatenate([pre for pre, _ in drawn]), j=np.concatenate([post for _, post in drawn]))
        synapses.w = np.concatenate([runner.draw(rng, p["weight"], n) for p, n in parts]) * unit
        delays = np.concatenate([runner.draw(rng, p["delay"], n) for p, n in parts])
        synapses.delay = np.floor(delays / network["dt"] + 0.5) * network["dt"] * ms
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
        made.append(b2.PoissonInput(neurons[a:b], variable(entry), EVENTS, rate, weight, when=when))
    return made


if __name__ == "__main__":
    runner.main(simulate)
