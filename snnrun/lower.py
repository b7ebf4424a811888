"""Network -> Plan: time becomes steps, equations become coefficients, names become places in memory.

The passes, in their order:

1. place      populations side by side on one axis of sources, each padded to a multiple of 64;
2. merge      receptors, and their places on one axis of targets (receptors.py);
3. quantise   each receptor's quantum, and weights as whole multiples of it;
4. constants  coefficients of every model for this time step;
5. edges      pathways on the merged axes, arranged by a kernel: those with a delay, and those without;
6. monitors   what is taken, as places.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnrun import connect, inputs, kernels, neurons, precision, random, receptors, synapses, units
from snnrun.check import selection_sizes, variables
from snnrun.kernels import Pathway
from snnrun.network import Network, round_steps
from snnrun.plan import (
    Constants,
    NoisePlan,
    PathwayReport,
    Plan,
    PopulationPlan,
    ReceptorPlan,
    Sample,
    SpikeTap,
    Structure,
)
from snnrun.receptors import Receptor, Source, output_of
from snnrun.spec import Part, Spec, parts

LANES = 64  # a large odd length costs XLA on a CPU a factor of four; words of the history hold 32
END = np.iinfo(np.int64).max


def lower(network: Network, merge: bool = True, kernel: str = "xla", threads: int = 1, spare: bool = False) -> Plan:
    """The plan of a network for a kernel and a number of threads; `spare` spares the memory of edges that can be drawn again.

    Without `merge` every projection has receptors of its own, to test that it makes no difference.
    """
    spec, how = network.spec, kernels.module(kernel)
    found = receptors.receptors(spec, merge)
    populations = place(network, found)
    by_name = {population.name: i for i, population in enumerate(populations)}
    receptor_plans, noise_of = _receptor_plans(network, found, populations, by_name)
    quanta = _quanta(network, found)
    sources, targets = (sum(part.padded for part in axis) for axis in (populations, receptor_plans))
    pathways = _pathways(network, found, receptor_plans, populations, by_name, quanta, kernel == "native", spare)
    arranged = how.arrange(pathways, sources, [(plan.first, plan.padded) for plan in receptor_plans], threads)
    reports = tuple(
        PathwayReport(p.connectivity.name, f.synapses, (f.shortest, f.longest), f.stored)
        for p, f in zip(pathways, arranged.found, strict=True)
    )
    receptor_plans = _reached(spec, found, receptor_plans, reports)
    samples, taps, tapped = _monitors(spec, found, populations, by_name)
    noise = [item for items in noise_of for item in items]
    structure = Structure(
        dt=spec.dt,
        precision=spec.precision,
        steps=_steps(spec.duration, spec.dt),
        populations=tuple(populations),
        receptors=tuple(receptor_plans),
        noise=tuple(NoisePlan(part.start, part.stop) for _, _, part in noise),
        sources=sources,
        targets=targets,
        depth=max((report.delays[1] for report in reports), default=0) or 1,
        kernel=kernel,
        samples=samples,
        taps=taps,
        tapped=tapped,
    )
    delivery = how.bind(arranged, structure, _noise(network, structure, noise, quanta), tuple(quanta))
    return Plan(structure, _constants(network, found, structure, delivery), reports, arranged)


def _steps(time: float, dt: float) -> int:
    """Whole steps of a literal time, which has been checked."""
    steps = units.steps(time, dt)
    assert steps is not None, f"{time} ms is off the grid of {dt} ms"
    return steps


def _window(start: float, stop: float | None, dt: float) -> tuple[int, int]:
    return _steps(start, dt), END if stop is None else _steps(stop, dt)


def padded(size: int) -> int:
    return -(-size // LANES) * LANES


# ---- 1. place --------------------------------------------------------------------------------------------------------


def place(network: Network, found: list[Receptor]) -> list[PopulationPlan]:
    spec, plans, first = network.spec, [], 0
    for name, population in spec.populations.items():
        own = tuple(i for i, receptor in enumerate(found) if receptor.population == name)
        method, kept = None, spec.precision
        if population.model not in neurons.SOURCES:
            conductances = any(found[i].output is not None and found[i].output.model == "coba" for i in own)
            method = neurons.MODELS[population.model].method(population, conductances)
            kept = precision.of_membrane(spec.precision, network.populations[name].parameters, spec.dt)
        plans.append(PopulationPlan(name, population.model, population.size, padded(population.size), first, method, own, kept))
        first += padded(population.size)
    return plans


# ---- 2. merge --------------------------------------------------------------------------------------------------------


def _receptor_plans(network: Network, found: list[Receptor], populations: list[PopulationPlan], by_name: dict[str, int]):
    """Receptors with their places, and for each its Poisson inputs as (name, index of the part, part)."""
    spec = network.spec
    noise_of: list[list[tuple[str, int, Part]]] = [[] for _ in found]
    for name, entry in spec.inputs.items():
        if entry.model == "poisson":
            for i, feed in enumerate(receptors.feeds(entry, Source("inputs", name), found, spec)):
                noise_of[feed.receptor].append((name, i, feed.part))
    plans, first, noise = [], 0, 0
    for receptor, items in zip(found, noise_of, strict=True):
        population = populations[by_name[receptor.population]]
        output = None if receptor.output is None else receptor.output.model
        plans.append(
            ReceptorPlan(
                receptor.name,
                by_name[receptor.population],
                receptor.synapse.model,
                output,
                first,
                population.padded,
                tuple(range(noise, noise + len(items))),
                due=False,
                instant=False,
                precision=precision.of_synapse(spec.precision, _kinetics(network, receptor), spec.dt),
            )  # fmt: skip
        )
        first, noise = first + population.padded, noise + len(items)
    return plans, noise_of


def _kinetics(network: Network, receptor: Receptor) -> dict[str, Any]:
    """Parameters of a receptor's synapse and output, which are those of any of its sources."""
    section, source = receptor.sources[0]
    return network.kinetics[section, source, receptor.population]


# ---- 3. quantise -----------------------------------------------------------------------------------------------------


def _quanta(network: Network, found: list[Receptor]) -> list[float]:
    """The quantum of each receptor: a power of two, the same for all receptors of a group.

    float32: weights are whole numbers up to 2**30, which is finer than a float32 weight. float64: the sum of |w| over all
    that can reach a target in a step stays below 2**62. A neuron spikes at most once per step, so that bound is exact. Both
    follow from what a distribution can yield, not from what was drawn, so that edges that are never stored have the same.
    """
    spec = network.spec
    sizes = selection_sizes(spec)
    largest: dict[int, float] = {}
    total = {(receptor.group, receptor.population): np.zeros(sizes[receptor.population]) for receptor in found}

    def add(feed: receptors.Feed, largest_weight: float, sums: Any) -> None:
        receptor = found[feed.receptor]
        largest[receptor.group] = max(largest.get(receptor.group, 0.0), largest_weight)
        total[receptor.group, receptor.population][feed.part.start : feed.part.stop] += sums

    for name, projection in network.projections.items():
        largest_weight, sums = _weight_sums(projection.connectivity)
        for feed in receptors.feeds(spec.projections[name], Source("projections", name), found, spec):
            add(feed, largest_weight, sums[feed.offset : feed.offset + feed.part.size] if np.ndim(sums) else sums)
    for name, entry in spec.inputs.items():
        if entry.model != "poisson":
            continue
        for feed, values in zip(
            receptors.feeds(entry, Source("inputs", name), found, spec), network.inputs[name].values, strict=True
        ):
            most = len(inputs.poisson.table(float(np.max(values["rate"])), spec.dt))
            add(feed, float(np.max(np.abs(values["weight"]))), most * np.abs(values["weight"]))
    if spec.precision == "float32":
        return [receptors.quantum(largest[receptor.group], receptors.WEIGHT_BITS) for receptor in found]
    bound: dict[int, float] = {}
    for (group, _), sums in total.items():
        bound[group] = max(bound.get(group, 0.0), float(sums.max()))
    return [receptors.quantum(bound[receptor.group], 62) for receptor in found]


def _weight_sums(c: connect.Connectivity) -> tuple[float, Any]:
    """Bounds of |w|, and of the sum of |w| over the edges of each target."""
    if c.listed is not None and np.ndim(c.weight):
        weight = np.abs(c.weight)
        return float(np.max(weight, initial=0.0)), np.bincount(c.listed[1], weights=weight, minlength=c.sizes.post)
    largest = float(np.max(np.abs(connect.weight_bounds(c))))
    return largest, largest * connect.most_inputs(c)


# ---- 4. constants ----------------------------------------------------------------------------------------------------


class _Cast:
    """Host values as device types: floats in a precision, one value per neuron padded with the last one."""

    def __init__(self, precision: str) -> None:
        self.float = np.dtype(precision)

    def __call__(self, value: Any, length: int) -> Any:
        value = np.asarray(value)
        if value.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and the run says so
                value = value.astype(self.float)
        if value.ndim == 0:
            return value
        return np.concatenate([value, np.repeat(value[-1:], length - len(value))])


def _constants(network: Network, found: list[Receptor], structure: Structure, delivery: Any) -> Constants:
    spec = network.spec
    neuron_consts, V0, currents = [], [], []
    for plan in structure.populations:
        cast, population = _Cast(plan.precision), network.populations[plan.name]
        neuron_consts.append(_neuron_const(network, plan, spec, cast))
        V = None if population.V is None else np.broadcast_to(population.V - _zero(network, plan), plan.size)
        V0.append(None if V is None else cast(V, plan.padded))
        currents.append(tuple(_currents(network, plan, spec, cast)))
    synapse_consts, gains, reversal = [], [], []
    for receptor, plan in zip(found, structure.receptors, strict=True):
        population, kinetics = structure.populations[plan.population], _kinetics(network, receptor)
        own, onto = _Cast(plan.precision), _Cast(population.precision)
        lowered = synapses.MODELS[plan.synapse].lower(kinetics, spec.dt)
        synapse_consts.append(type(lowered)(*(own(np.asarray(v, np.float64), plan.padded) for v in lowered)))
        if population.method == "exact" and plan.output == "cuba":
            parameters = network.populations[receptor.population].parameters
            both = neurons.MODELS[population.model].gains(parameters, kinetics["tau"], spec.dt)
            gains.append(tuple(onto(gain, plan.padded) for gain in both))
        else:
            gains.append(None)
        reversal.append(onto(kinetics["E"] - _zero(network, population), plan.padded) if plan.output == "coba" else None)
    return Constants(
        tuple(neuron_consts), tuple(currents), tuple(synapse_consts), tuple(gains), tuple(reversal), delivery, tuple(V0)
    )


def _zero(network: Network, plan: PopulationPlan) -> Any:
    """What the potentials of a population are relative to, in mV."""
    return neurons.MODELS[plan.model].zero(network.populations[plan.name].parameters, plan.precision)


def _noise(network: Network, structure: Structure, noise: list[tuple[str, int, Part]], quanta: list[float]) -> tuple[Any, ...]:
    """Constants of the Poisson inputs, part by part."""
    spec, constants = network.spec, []
    for name, i, part in noise:
        entry: Any = spec.inputs[name]
        values = network.inputs[name].values[i]
        receptor = next(r for r, plan in enumerate(structure.receptors) if len(constants) in plan.noise)
        start, stop = _window(entry.start, entry.stop, spec.dt)
        constants.append(
            inputs.poisson.Const(
                inputs.poisson.table(values["rate"], spec.dt),
                kernels.quantised(values["weight"], quanta[receptor], wide=True),
                np.int64(_steps(entry.delay, spec.dt)),
                np.int64(start),
                np.int64(stop),
                np.array(random.key(spec.seed, f"input/{name}/{part.population}"), np.uint32),
            )
        )
    return tuple(constants)


def _neuron_const(network: Network, plan: PopulationPlan, spec: Spec, cast: _Cast) -> Any:
    population = network.populations[plan.name]
    entry: Any = spec.populations[plan.name]
    if plan.model == "poisson":
        start, stop = _window(entry.start, entry.stop, spec.dt)
        stream = random.key(spec.seed, f"population/{plan.name}/spikes")
        const = neurons.poisson.lower(population.parameters["rate"], start, stop, stream, spec.dt)
        return const._replace(threshold=cast(const.threshold, plan.padded))
    if plan.model == "spike_times":
        assert population.trains is not None
        return neurons.spike_times.lower(*population.trains, plan.size, plan.padded)
    ref_steps = round_steps(population.parameters["tau_ref"], spec.dt)
    ref_steps = np.minimum(ref_steps, neurons.MODELS[plan.model].LONGEST).astype(np.int32)  # days of model time
    parameters = population.parameters | {"I_e": population.parameters["I_e"] + _steady_current(network, plan, spec)}
    with np.errstate(over="ignore", invalid="ignore"):  # what is beyond a float is infinite, and the run says so
        const = neurons.MODELS[plan.model].lower(parameters, ref_steps, spec.dt, plan.precision)
    held = type(const)(*(None if value is None else cast(value, plan.padded) for value in const))
    return held._replace(zero=_Cast("float64")(const.zero, plan.padded))


def _is_steady(entry: Any) -> bool:
    """Whether an input is a constant current all the time: it is then a part of I_e."""
    return entry.model == "constant" and entry.start == 0 and entry.stop is None


def _steady_current(network: Network, plan: PopulationPlan, spec: Spec) -> Any:
    """Sum of the constant currents on a population that are never switched, in pA: one for all, or one per neuron."""
    total: Any = 0.0
    for name, entry in spec.inputs.items():
        if _is_steady(entry):
            for part, values in zip(network.inputs[name].parts, network.inputs[name].values, strict=True):
                if part.population == plan.name:
                    total = total + _profile(values["current"], part, plan.size)
    return total


def _profile(current: Any, part: Part, size: int) -> Any:
    """A current on a part of a population as one number for all neurons, or one for each."""
    if part.size == size and np.ndim(current) == 0:
        return float(current)
    whole = np.zeros(size)
    whole[part.start : part.stop] = current
    return whole


def _currents(network: Network, plan: PopulationPlan, spec: Spec, cast: _Cast) -> list[tuple[Any, Any, Any]]:
    """Currents on a population that change in time: (steps of change, factors between them, pA per neuron or for all)."""
    found = []
    for name, entry in spec.inputs.items():
        if entry.model == "poisson" or _is_steady(entry):
            continue
        start, stop = _window(entry.start, entry.stop, spec.dt)
        if entry.model == "steps":
            changes, factors = inputs.steps.course(entry, [_steps(t, spec.dt) for t in entry.times], start, stop)
        else:
            changes, factors = inputs.constant.course(entry, start, stop)
        for part, values in zip(network.inputs[name].parts, network.inputs[name].values, strict=True):
            if part.population != plan.name:
                continue
            profile = _profile(1.0 if entry.model == "steps" else values["current"], part, plan.size)
            found.append(
                (np.array(changes, np.int64), cast(np.array(factors, np.float64), len(factors)), cast(profile, plan.padded))
            )
    return found


# ---- 5. edges --------------------------------------------------------------------------------------------------------


def _pathways(network: Network, found: list[Receptor], plans: list[ReceptorPlan], populations: list[PopulationPlan],
              by_name: dict[str, int], quanta: list[float], again: bool, spare: bool) -> list[Pathway]:  # fmt: skip
    """All projections on the merged axes.

    A delta synapse without delay acts one step later, because the threshold of this instant has been tested already. `again`
    says whether the kernel can draw edges again.
    """
    spec, pathways = network.spec, []
    for name, projection in network.projections.items():
        entry, connectivity = spec.projections[name], projection.connectivity
        feeds = receptors.feeds(entry, Source("projections", name), found, spec)
        pathways.append(
            Pathway(
                connectivity,
                _places(projection.pre, [populations[by_name[p.population]].first for p in projection.pre]),
                _places([feed.part for feed in feeds], [plans[feed.receptor].first for feed in feeds]),
                quanta[feeds[0].receptor],
                spec.precision == "float64",
                output_of(entry) is None,
                again and connect.procedural(connectivity, spare),
            )
        )
    return pathways


def _reached(spec: Spec, found: list[Receptor], plans: list[ReceptorPlan], reports: Any) -> list[ReceptorPlan]:
    """Receptors with the word whether edges with and without a delay reach them: what nothing reaches costs nothing."""
    marked = list(plans)
    for report in reports:
        if report.synapses:
            for feed in receptors.feeds(spec.projections[report.name], Source("projections", report.name), found, spec):
                plan = marked[feed.receptor]
                due, instant = plan.due or report.delays[1] > 0, plan.instant or report.delays[0] == 0
                marked[feed.receptor] = plan._replace(due=due, instant=instant)
    return marked


def _places(selection: list[Part], firsts: list[int]) -> NDArray[np.int32]:
    """Place on a merged axis of each neuron of a selection."""
    return np.concatenate([np.arange(f + p.start, f + p.stop, dtype=np.int32) for p, f in zip(selection, firsts, strict=True)])


# ---- 6. monitors -----------------------------------------------------------------------------------------------------


def _monitors(spec: Spec, found: list[Receptor], populations: list[PopulationPlan], by_name: dict[str, int]):
    sizes, samples, taps = selection_sizes(spec), [], []
    spiking = [m for m in spec.monitors.values() if m.model in ("spikes", "rate")]
    tapped_names = {part.population for m in spiking for part in parts(m.of, sizes)}
    runs, row = {}, 0
    for population in populations:
        if population.name in tapped_names:
            runs[population.name] = (row, row + population.padded // 32)
            row += population.padded // 32
    monitor: Any
    for name, monitor in spec.monitors.items():
        first, last = _window(monitor.start, monitor.stop, spec.dt)
        for part in parts(monitor.of, sizes):
            if monitor.model in ("spikes", "rate"):
                bin_steps = _steps(monitor.bin, spec.dt) if monitor.model == "rate" else None
                taps.append(SpikeTap(name, part.population, part.start, part.stop, first, last, runs[part.population], bin_steps))
                continue
            every = 1 if monitor.every is None else _steps(monitor.every, spec.dt)
            for label, unit, kind, where, field in _sampled(spec, monitor, part, found, by_name):
                samples.append(
                    Sample(name, part.population, label, unit, kind, where, field, part.start, part.stop, every, first, last)
                )
    tapped = tuple((p.first // 32, (p.first + p.padded) // 32) for p in populations if p.name in tapped_names)
    return tuple(samples), tuple(taps), tapped


def _sampled(spec: Spec, monitor: Any, part: Part, found: list[Receptor], by_name: dict[str, int]):
    """(label, unit, kind, place, field) of each thing that a state or input monitor takes of a population."""
    own = [(i, receptor) for i, receptor in enumerate(found) if receptor.population == part.population]
    if monitor.model == "input":
        for i, receptor in own:
            names = [source.name for source in receptor.sources]
            labels = [receptor.name] if monitor.receptors is None else [n for n in monitor.receptors if n in names]
            for label in labels:
                yield label, "mV" if receptor.output is None else "pA", "input", i, "x"
        return
    known = variables(part.population, spec.populations[part.population].model, [r for _, r in own])
    for label in monitor.variables:
        if "." not in label:
            yield label, known[label], "neuron", by_name[part.population], label
        else:
            name, field = label.split(".")
            place_ = next(i for i, receptor in own if name in [source.name for source in receptor.sources])
            yield label, known[label], "receptor", place_, field
