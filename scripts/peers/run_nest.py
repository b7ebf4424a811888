"""NEST: neurons in float64, delays of at least one step, spikes recorded in memory."""

import nest
import runner

PER_PROCESS = 134_217_726  # connections of one synapse model that a virtual process may have
MODELS = {"delta": "iaf_psc_delta", "expon cuba": "iaf_psc_exp", "expon coba": "iaf_cond_exp"}


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
    recorders = record(network, nodes, groups)
    clock.lap("build")
    nest.Prepare()
    clock.lap("build")
    nest.Run(network["steps"] * network["dt"])
    clock.lap("run")
    nest.Cleanup()
    return runner.report(
        network, clock, f"NEST {nest.__version__}", [recorder.n_events for recorder in recorders],
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
    for p in network["populations"]:
        values = {"E_L": p["V_rest"], "V_th": p["V_th"], "V_reset": p["V_reset"], "t_ref": p["tau_ref"], "I_e": p["I"]}
        values |= {"C_m": p["C"], "V_m": drawn(p["V"])}
        values |= {"g_L": 1.0 / p["R"]} if kind == "expon coba" else {"tau_m": p["tau"]}
        for projection in projections:
            side = "in" if inhibitory(projection) else "ex"
            if kind == "expon cuba":
                values[f"tau_syn_{side}"] = projection["tau"]
            if kind == "expon coba":
                values |= {f"tau_syn_{side}": projection["tau"], f"E_{side}": projection["E"]}
        groups.append(nest.Create(MODELS[kind], p["size"], params=values))
    nodes = groups[0]
    for group in groups[1:]:
        nodes += group
    return nodes, groups


def inhibitory(projection):
    """Whether synapses go to NEST's second receptor, which serves negative weights."""
    weight = projection["weight"]
    if projection["synapse"] == "expon coba":
        return projection["E"] < -65.0
    return (weight["first"] if runner.is_drawn(weight) else weight) < 0


def connect(network, nodes):
    for projection in network["projections"]:
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
        nest.Connect(nodes[a:b], nodes[c:d], rule, {"synapse_model": "static_synapse", "weight": weight, "delay": delay})
    for entry in network["poisson"]:
        a, b = entry["to"]
        generator = nest.Create("poisson_generator", params={"rate": entry["rate"] * 1e3})
        delay = entry["delay"] or shortest(network)  # a shorter one than in the network would cost NEST time
        nest.Connect(generator, nodes[a:b], syn_spec={"weight": entry["weight"], "delay": delay})


def drives(network):
    """Connections from generators."""
    return sum(entry["to"][1] - entry["to"][0] for entry in network["poisson"])


def record(network, nodes, groups):
    """A recorder for each population."""
    recorders = [nest.Create("spike_recorder", params={"record_to": "memory"}) for _ in groups]
    for group, recorder in zip(groups, recorders, strict=True):
        nest.Connect(group, recorder, syn_spec={"delay": shortest(network)})
    return recorders


def shortest(network):
    """The shortest delay of the projections, which sets how often NEST exchanges spikes."""
    delays = [projection["delay"] for projection in network["projections"]]
    return max(network["dt"], min((network["dt"] if runner.is_drawn(delay) else delay for delay in delays), default=0.0))


def drawn(value):
    """A number, or NEST's own random parameter."""
    if not runner.is_drawn(value):
        return value
    low, high = value["low"], value["high"]
    if value["kind"] == "uniform":
        parameter = nest.random.uniform(value["first"], value["second"])
    else:
        parameter = nest.random.normal(value["first"], value["second"])
    if low is None and high is None:
        return parameter
    return nest.math.redraw(parameter, min=-1e300 if low is None else low, max=1e300 if high is None else high)


if __name__ == "__main__":
    runner.main(simulate)
