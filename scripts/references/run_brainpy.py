"""BrainPy on the CPU, in float32 (`"precision": "float64"` in the request: in that): LifRefLTC neurons, aligned and merged
synapses, event-driven CSR products.

Corrections make it the network of the others:

- A merged exponential adds arrivals before it decays, so weights are given exp(dt / tau) times as large.
- A spike leaves a delay line of d steps one step earlier than it should, one more with exponential synapses, so lines are that
  much longer.
- Refractoriness compares times as floats: tau_ref + dt / 2 holds the wanted number of steps without rounding.
- A spike of step n bears the time n dt: one step less than snnrun's stamp. V after step n is snnrun's at (n + 1) dt.
"""

import math
import time

import brainpy as bp
import brainpy.math as bm
import jax
import numpy as np
import runner

CHUNK = 1000  # steps per call
CHUNK_BYTES = 128 * 2**20  # of recorded masks per call


def simulate(network, request):
    runner.static(network)
    clock = runner.Clock()
    bm.set_platform("cpu")
    if request.get("precision") == "float64":
        bm.enable_x64()
    bm.set_dt(network["dt"])
    bm.random.seed(network["seed"])
    model = Net(network, np.random.default_rng(network["seed"]))
    steps = chunk(network)
    state = {name: variable.value for name, variable in model.vars().items()}
    watched, every = (request["voltage"]["neurons"], request["voltage"]["every"]) if "voltage" in request else (0, 1)
    loop = bm.jit(lambda indices: bm.for_loop(lambda i: (model.step_run(i), model.N.V.value[:watched]), indices))
    clock.lap("build")
    jax.block_until_ready(loop(np.arange(steps)))
    clock.lap("compile")
    for name, variable in model.vars().items():
        variable.value = state[name]
    seconds, numbers, kept, V = 0.0, np.zeros(model.N.num, np.int64), [], []
    for first in range(0, network["steps"], steps):
        begin = time.perf_counter()
        spikes, potentials = jax.block_until_ready(loop(np.arange(first, first + steps)))
        seconds += time.perf_counter() - begin
        numbers += np.asarray(spikes).sum(0)
        if "keep" in request:
            kept.append(np.argwhere(np.asarray(spikes)) + [first + 1, 0])
            V.append(np.asarray(potentials))
    clock.seconds["run"] = seconds
    clock.seconds["compile"] = max(clock.seconds["compile"] - seconds * steps / network["steps"], 0.0)  # it ran a chunk, too
    if "keep" in request:
        stamps, fired = np.concatenate(kept).T
        runner.keep(request, network, stamps, fired, np.concatenate(V)[every - 1 :: every] if watched else None)
    version = f"BrainPy {bp.__version__}, jax {jax.__version__}"
    return runner.report(
        network, clock, version, runner.count(network, None, numbers), model.synapses, model.connectivity, runner.memory()
    )


def chunk(network):
    """Steps per call: few enough for the masks, and a divisor of all steps, so that one compilation serves every call."""
    neurons = sum(population["size"] for population in network["populations"])
    steps = max(1, min(CHUNK, network["steps"], CHUNK_BYTES // neurons))
    while network["steps"] % steps:
        steps -= 1
    return steps


class Net(bp.DynSysGroup):
    """One group of neurons with all projections onto it."""

    def __init__(self, network, rng):
        super().__init__()
        keys = ("tau", "tau_ref", "V_rest", "V_reset", "V_th", "R")
        tau, tau_ref, V_rest, V_reset, V_th, R = runner.shared(network, *keys)
        self.current, V = runner.per_neuron(network, "I"), runner.initial(network, rng)
        self.current = float(self.current[0]) if not np.ptp(self.current) else bm.asarray(self.current, bm.float_)
        dt, delta = network["dt"], runner.synapse(network) == "delta"
        self.N = bp.dyn.LifRefLTC(
            len(V), V_rest=V_rest, V_th=V_th, V_reset=V_reset, tau=tau, R=R,
            tau_ref=tau_ref + dt / 2,  # times are compared as floats
            V_initializer=bp.init.ZeroInit(),
        )  # fmt: skip
        self.N.V[:] = V
        self.delay = bp.VarDelay(self.N.spike)
        self.delay.register_entry("out", delay_step=delay_of(network, delta))
        self.ranges, self.projections, self.synapses, self.connectivity = [], bm.NodeList(), 0, 0
        for projection in network["projections"]:
            self.add(projection, dt, rng)
        self.noise = [Noise(self.N, entry, dt) for entry in network["poisson"]]

    def add(self, projection, dt, rng):
        (a, b), (c, d) = projection["pre"], projection["post"]
        if (c, d) != (0, self.N.num):
            raise runner.Unsupported("projections onto a part of a group")
        if np.ndim(projection["weight"]) or runner.is_drawn(projection["weight"]):
            raise runner.Unsupported("this runner has one weight for all synapses of a projection")
        pre, post = runner.edges(rng, projection)
        order = np.argsort(pre, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(pre - a, minlength=b - a))])
        connect = bp.conn.CSRConn(post[order], starts)(pre_size=b - a, post_size=d - c)
        weight = projection["weight"]
        if projection["synapse"] == "delta":
            made = bp.dyn.HalfProjDelta(comm=bp.dnn.EventCSRLinear(connect, weight), post=self.N)
        else:
            out = bp.dyn.CUBA.desc() if projection["E"] is None else bp.dyn.COBA.desc(E=projection["E"])
            made = bp.dyn.HalfProjAlignPostMg(
                comm=bp.dnn.EventCSRLinear(connect, weight * math.exp(dt / projection["tau"])),
                syn=bp.dyn.Expon.desc(size=d - c, tau=projection["tau"]), out=out, post=self.N,
            )  # fmt: skip
        comm = made.comm if hasattr(made, "comm") else made.refs["comm"]
        self.ranges.append((a, b))
        self.projections.append(made)
        self.synapses += len(post)
        self.connectivity += comm.indices.nbytes + comm.indptr.nbytes

    def update(self):
        spikes = self.delay.at("out")
        for (a, b), projection in zip(self.ranges, self.projections, strict=True):
            projection(spikes[a:b])
        self.delay(self.N(self.current))
        return self.N.spike.value


class Noise:
    """Poisson trains as jumps of V at the end of a step, like those of delta synapses; bp.dyn.PoissonInput acts before it."""

    def __init__(self, neurons, entry, dt):
        if entry["synapse"] != "delta" or entry["to"] != [0, neurons.num]:
            raise runner.Unsupported("this runner has Poisson input by delta synapses onto all neurons only")
        if entry["start"] or entry["stop"] is not None:
            raise runner.Unsupported("this runner has Poisson input for the whole run only")
        mean, weight = entry["rate"] * dt, entry["weight"]
        neurons.add_inp_fun("background", lambda: bm.random.poisson(mean, neurons.num) * weight, category="delta")


def delay_of(network, delta):
    """Length of the delay line in steps, None without one."""
    delays = [projection["delay"] for projection in network["projections"]]
    if any(np.ndim(delay) or runner.is_drawn(delay) for delay in delays):
        raise runner.Unsupported("a projection has one delay for all synapses")
    if len(set(delays)) > 1:
        raise runner.Unsupported("this runner has one delay for all projections")
    steps = round(delays[0] / network["dt"]) if delays else 0
    if delta:
        return steps + 1 if steps > 1 else None
    return steps + 2 if steps else None


if __name__ == "__main__":
    runner.main(simulate)
