"""Coefficients of every model for one time step, and initial values."""

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from snnrun import kernels, random, units
from snnrun.lower.groups import Placed, of_group, of_stack, side_by_side, stops
from snnrun.models import inputs
from snnrun.models.interface import Course, Current, Members, Mode, cast
from snnrun.network import Network
from snnrun.plan import END, Group
from snnrun.spec import Part


class Layer(NamedTuple):
    """Currents on a group that change in time, at most one on each neuron."""

    changes: Any  # int64 [currents, changes]: steps at which a factor changes, ascending
    factors: Any  # [currents, changes + 1]: before, between and after them
    which: Any  # int32 [neurons]: which of the currents; None where there is one
    amplitude: Any  # pA, one for all or one per neuron


def lowered(network: Network, placed: Placed) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """(neurons, currents, synapses, instants, outputs, gains) as in plan.Constants, and initial values per group."""
    spec = network.spec
    neurons, currents, initial, members, origins = [], [], [], [], []
    steady = _steady(network)
    for group, names in zip(placed.groups, placed.members, strict=True):
        sizes = tuple(spec.populations[name].size for name in names)
        parameters = of_group(network, names, group.padded)
        if any(name in steady for name in names):  # switched on all the time: a part of the constant current
            extra = side_by_side([steady.get(name, 0.0) for name in names], sizes, group.padded)
            parameters["I_e"] = parameters["I_e"] + extra

        def streams(what: str, names: list[str] = names) -> tuple[random.Key, ...]:
            return tuple(random.key(spec.seed, f"population/{name}/{what}") for name in names)

        own = Members(parameters, sizes, group.padded, streams, spec.dt, group.precision)
        members.append(own)
        neurons.append(group.model.lower(own, group.method))
        origins.append(group.model.origin(parameters, group.precision))
        currents.append(_currents(network, group, names, sizes))
        initial.append(_initial(network, group, names, sizes, origins[-1]))
    synapses, instants, outputs, gains = [], [], [], []
    for stack, rows in zip(placed.stacks, placed.rows, strict=True):
        group = placed.groups[stack.group]
        kinetics = of_stack(network, rows, stack.padded)
        stages = group.model.stages(group.method)
        synapses.append(_cast(stack.synapse.lower(kinetics, spec.dt), stack.precision))
        later = (
            None
            if stack.output is None
            else tuple(_cast(stack.synapse.lower(kinetics, stage * spec.dt), stack.precision) for stage in stages[1:])
        )
        instants.append(later)
        if stack.output is None:
            outputs.append(None), gains.append(None)
            continue
        outputs.append(_cast(stack.output.lower(kinetics, origins[stack.group]), group.precision))
        modes = None if stack.output.conductance else stack.synapse.modes(kinetics)
        found = None if modes is None else _gains(group, members[stack.group], modes)
        gains.append(None if found is None else tuple({x: cast(gain, group.precision) for x, gain in of.items()} for of in found))
    return tuple(map(tuple, (neurons, currents, synapses, instants, outputs, gains))), tuple(initial)


def _gains(group: Group, members: Members, modes: tuple[tuple[Mode, ...], ...]) -> tuple[dict[str, Any], ...] | None:
    """What each variable of a synapse adds to those of neurons over a step."""
    every = [mode for of_variable in modes for mode in of_variable]
    gains = group.model.gains(members, group.method, tuple((mode.tau, mode.n) for mode in every))
    if gains is None:
        return None
    of_mode, found = iter(zip(every, gains, strict=True)), []
    for of_variable in modes:
        total: dict[str, Any] = {}
        for _ in of_variable:
            mode, gain = next(of_mode)
            for variable, value in gain.items():
                total[variable] = total.get(variable, 0.0) + mode.factor * value
        found.append(total)
    return tuple(found)


def _cast(const: Any, precision: str) -> Any:
    return type(const)(*(None if value is None else cast(np.asarray(value, np.float64), precision) for value in const))


def _initial(network: Network, group: Group, names: Iterable[str], sizes: tuple[int, ...], origin: Any) -> dict[str, Any]:
    """Initial values, V relative to its origin."""
    every = [network.populations[name].initial for name in names]
    found = {}
    for variable in every[0]:
        values = side_by_side([of_one[variable] for of_one in every], sizes, group.padded)
        found[variable] = cast(np.asarray(values, np.float64) - (origin if variable == "V" else 0.0), group.precision)
    return found


# ---- currents --------------------------------------------------------------------------------------------------------


def _always(entry: Any, course: Course) -> bool:
    return entry.start == 0 and entry.stop is None and len(course.changes) == 2


def _every(network: Network) -> Iterable[tuple[Any, Course, Any]]:
    """Input currents: what the user wrote, their courses, and the parts with their values."""
    spec = network.spec
    steps = partial(units.whole, dt=spec.dt)
    for name, entry in spec.inputs.items():
        model = inputs.MODELS[entry.model]
        if isinstance(model, Current):
            course = model.course(entry, steps, steps(entry.start), stops(entry.stop, steps))
            values = network.inputs[name]
            amplitudes = [model.amplitude(of_part) for of_part in values.values]
            yield entry, course, list(zip(values.parts, amplitudes, strict=True))


def _steady(network: Network) -> dict[str, Any]:
    """Sum of the currents on each population that are never switched, in pA: one for all, or one per neuron."""
    total: dict[str, Any] = {}
    for entry, course, parts in _every(network):
        if _always(entry, course):
            for part, amplitude in parts:
                size = network.spec.populations[part.population].size
                more = _amplitude(amplitude * course.values[1], part, size)
                total[part.population] = total.get(part.population, 0.0) + more
    return total


def _amplitude(current: Any, part: Part, size: int) -> Any:
    """A current on a part of a population as one number for all neurons, or one for each."""
    if part.size == size and np.ndim(current) == 0:
        return float(current)
    whole = np.zeros(size)
    whole[part.start : part.stop] = current
    return whole


def _currents(network: Network, group: Group, names: list[str], sizes: tuple[int, ...]) -> tuple[Layer, ...]:
    """Currents that change in time, so that each neuron receives its own in the order of the file."""
    own: dict[str, list[tuple[Course, Any]]] = {name: [] for name in names}
    for entry, course, parts in _every(network):
        if not _always(entry, course):
            for part, amplitude in parts:
                if part.population in own:
                    size = network.spec.populations[part.population].size
                    own[part.population].append((course, _amplitude(amplitude, part, size)))
    layers = []
    for depth in range(max(map(len, own.values()))):
        here = [(i, *own[name][depth]) for i, name in enumerate(names) if len(own[name]) > depth]
        courses = list(dict.fromkeys(course for _, course, _ in here))
        longest = max(len(course.changes) for course in courses)
        changes = np.array([[*c.changes, *[END] * (longest - len(c.changes))] for c in courses], np.int64)
        factors = np.array([[*c.values, *[c.values[-1]] * (longest - len(c.changes))] for c in courses])
        of = dict((i, courses.index(course)) for i, course, _ in here)
        which = None
        if len(courses) > 1:
            which = side_by_side([of.get(i, 0) for i in range(len(names))], sizes, group.padded).astype(np.int32)
        amplitudes = {i: amplitude for i, _, amplitude in here}
        amplitude = side_by_side([amplitudes.get(i, 0.0) for i in range(len(names))], sizes, group.padded)
        layers.append(Layer(changes, cast(factors, group.precision), which, cast(amplitude, group.precision)))
    return tuple(layers)


# ---- Poisson inputs --------------------------------------------------------------------------------------------------


def noise(network: Network, wanted: list[tuple[str, int, float]]) -> tuple[Any, ...]:
    """Constants of the Poisson inputs: name, number of the part, and quantum of the receptor."""
    spec, found = network.spec, []
    steps = partial(units.whole, dt=spec.dt)
    for name, i, quantum in wanted:
        entry: Any = spec.inputs[name]
        part, values = network.noise[name].parts[i], network.noise[name].values[i]
        found.append(
            inputs.poisson.Const(
                inputs.poisson.table(values["rate"], spec.dt),
                kernels.quantised(values["weight"], quantum, wide=True),
                np.int64(steps(entry.delay)),
                np.int64(steps(entry.start)),
                np.int64(stops(entry.stop, steps)),
                np.array(random.key(spec.seed, f"input/{name}/{part.population}"), np.uint32),
            )
        )
    return tuple(found)
