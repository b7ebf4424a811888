"""NEST: neurons in float64, delays of at least one step, spikes recorded in memory.

Its rules are those of snnrun: a spike is stamped with the end of its step, V is held for tau_ref after it and moves again at
tau_ref + dt, an arrival acts delay after the stamp. Neurons with conductances are integrated adaptively (Runge-Kutta-Fehlberg).
A connection without a delay of its own would get 1 ms, so every one is given.
"""

import nest
import numpy as np
import runner

PER_PROCESS = 134_217_726  # connections of one synapse model that a virtual process may have
MODELS = {"delta": "iaf_psc_delta", "expon cuba": "iaf_psc_exp", "alpha cuba": "iaf_psc_alpha", "expon coba": "iaf_cond_exp"}


def simulate(network, request):
    clock = runner.Clock()
    threads = virtual_processes(network, request["threads"])
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.set(resolution=network["dt"], local_num_threads=threads, rng_seed=network["seed"], print_time=False)
    nodes, groups = create(network)
    before = runner.memory("VmRSS")
    connect(network, nodes)
    connectivity = runner.memory("VmRSS") - before
    synapses = nest.num_connections
    recorders = record(network, groups)
    voltmeter = watch(network, request, nodes)
    clock.lap("build")
    nest.Prepare()
    clock.lap("build")
    nest.Run(network["steps"] * network["dt"])
    clock.lap("run")
    nest.Cleanup()
    if "keep" in request:
        events = [recorder.get("events") for recorder in recorders if recorder is not None]
        times, senders = (np.concatenate([found[key] for found in events]) for key in ("times", "senders"))
        runner.keep(request, network, times / network["dt"], senders - nodes[0].global_id, voltages(request, voltmeter))
    return runner.report(
        network, clock, f"NEST {nest.__version__}", [recorder.n_events if recorder else 0 for recorder in recorders],
        synapses - drives(network), connectivity, runner.memory(), threads_used=threads,
    )  # fmt: skip


def virtual_processes(network, threads):
    """The threads that were asked for, or as many as NEST needs for the synapses."""
    synapses = sum(projection["n"] or 0 for projection in network["projections"] if projection["rule"] == "fixed_total")
    while threads * PER_PROCESS * 0.9 < synapses:
        threads *= 2
    return threads


def create(network):
    """All neurons in the order of the network, and the collection of each population."""
    kind = runner.synapse(network)
    projections = [*network["projections"], *network["poisson"]]
    groups = []
    for p in runner.neurons(network):
        values = {"E_L": p["V_rest"], "V_th": p["V_th"], "V_reset": p["V_reset"], "t_ref": p["tau_ref"], "I_e": p["I"]}
        values |= {"C_m": p["C"], "V_m": drawn(p["V"])}
        values |= {"g_L": np.divide(1.0, p["R"]).tolist()} if kind == "expon coba" else {"tau_m": p["tau"]}
        for projection in projections:
            side = "in" if inhibitory(projection) else "ex"
            if kind in ("expon cuba", "alpha cuba"):
                values[f"tau_syn_{side}"] = projection["tau"]
            if kind == "expon coba":
                values |= {f"tau_syn_{side}": projection["tau"], f"E_{side}": projection["E"]}
        plastic = [q["stdp"]["tau_minus"] for q in projections if "stdp" in q and q["post"][0] <= p["first"] < q["post"][1]]
        values |= {"tau_minus": plastic[0]} if plastic else {}
        groups.append(nest.Create(MODELS[kind], p["size"], params=values))
    for p in runner.sources(network):
        neuron, step = np.array(p["neuron"]), np.array(p["step"])
        trains = [{"spike_times": np.sort(step[neuron == i]) * network["dt"]} for i in range(p["size"])]
        groups.append(nest.Create("spike_generator", p["size"], params=trains))
    nodes = groups[0]
    for group in groups[1:]:
        nodes += group
    return nodes, groups


def inhibitory(projection):
    """Whether synapses go to NEST's second receptor, which serves negative weights."""
    weight = projection["weight"]
    if projection["synapse"] == "delta":
        return False
    if projection["synapse"] == "expon coba":
        return projection["E"] < -65.0
    if runner.is_drawn(weight):
        return weight["first"] < 0
    if np.min(weight) < 0 < np.max(weight):
        raise runner.Unsupported("a projection with weights of both signs")
    return bool(np.min(weight) < 0)


def connect(network, nodes):
    for projection in network["projections"]:
        if projection["rule"] == "listed":
            connect_listed(network, projection, nodes)
            continue
        (a, b), (c, d) = projection["pre"], projection["post"]
        weight, delay = drawn(projection["weight"]), drawn(projection["delay"])
        if projection["synapse"] == "expon coba" and inhibitory(projection):
            weight = -weight
        if not runner.is_drawn(projection["delay"]):
            delay = max(delay, network["dt"])
        rule = {
            "fixed_indegree": {"rule": "fixed_indegree", "indegree": projection["n"]},
            "fixed_total": {"rule": "fixed_total_number", "N": projection["n"]},
            "fixed_prob": {"rule": "pairwise_bernoulli", "p": projection["p"]},
        }[projection["rule"]]
        nest.Connect(nodes[a:b], nodes[c:d], rule, {**model(projection), "weight": weight, "delay": delay})
    for entry in network["poisson"]:
        a, b = entry["to"]
        window = {key: value for key, value in (("start", entry["start"]), ("stop", entry["stop"])) if value is not None}
        generator = nest.Create("poisson_generator", params={"rate": entry["rate"] * 1e3, **window})
        delay = entry["delay"] or shortest(network)  # a shorter one than in the network would cost NEST time
        nest.Connect(generator, nodes[a:b], syn_spec={"weight": entry["weight"], "delay": delay})


def model(projection):
    """NEST's synapse model, with its parameters: amounts are relative to the largest weight there."""
    rule = projection.get("stdp")
    if rule is None:
        return {"synapse_model": "static_synapse"}
    own = {"lambda": rule["A_plus"] / rule["w_max"], "alpha": rule["A_minus"] / rule["A_plus"], "Wmax": rule["w_max"]}
    return {"synapse_model": "stdp_synapse", **own, **{name: rule[name] for name in ("tau_plus", "mu_plus", "mu_minus")}}


def connect_listed(network, projection, nodes):
    """One connection for each synapse of a list."""
    pre, post = runner.edges(None, projection)
    weight, delay = (runner.draw(None, projection[key], len(pre)) for key in ("weight", "delay"))
    if projection["synapse"] == "expon coba" and inhibitory(projection):
        weight = -weight
    first, kind = nodes[0].global_id, model(projection)
    nest.Connect(first + pre, first + post, "one_to_one", {**kind, "weight": weight, "delay": np.maximum(delay, network["dt"])})


def drives(network):
    """Connections from generators."""
    return sum(entry["to"][1] - entry["to"][0] for entry in network["poisson"])


def record(network, groups):
    """A recorder for each population; None for sources."""
    recorders = []
    for group, population in zip(groups, network["populations"], strict=True):
        recorders.append(None if population["model"] != "lif" else nest.Create("spike_recorder", params={"record_to": "memory"}))
        if recorders[-1] is not None:
            nest.Connect(group, recorders[-1], syn_spec={"delay": shortest(network)})
    return recorders


def watch(network, request, nodes):
    """A device that samples the membrane potential of the first neurons."""
    if "voltage" not in request:
        return None
    interval = request["voltage"]["every"] * network["dt"]
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": interval})
    nest.Connect(meter, nodes[: request["voltage"]["neurons"]], syn_spec={"delay": shortest(network)})
    return meter


def voltages(request, meter):
    """Samples [times, neurons] of the membrane potential in mV."""
    if meter is None:
        return None
    events = meter.get("events")
    order = np.lexsort((events["senders"], events["times"]))
    return events["V_m"][order].reshape(-1, request["voltage"]["neurons"])


def shortest(network):
    """The shortest delay of the projections, which sets how often NEST exchanges spikes."""
    delays = [projection["delay"] for projection in network["projections"]]
    return max(network["dt"], min((network["dt"] if runner.is_drawn(delay) else np.min(delay) for delay in delays), default=0.0))


def drawn(value):
    """A number, or NEST's own random parameter."""
    if not runner.is_drawn(value):
        return value
    low, high = value["low"], value["high"]
    laws = {"uniform": nest.random.uniform, "normal": nest.random.normal}
    if value["kind"] not in laws:
        raise runner.Unsupported(f"no distribution {value['kind']}")
    parameter = laws[value["kind"]](value["first"], value["second"])
    if low is None and high is None:
        return parameter
    return nest.math.redraw(parameter, min=-1e300 if low is None else low, max=1e300 if high is None else high)


if __name__ == "__main__":
    runner.main(simulate)
