"""Coefficients of every model for one time step, and initial values."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from snnrun import kernels, random, units
from snnrun.lower import driving
from snnrun.lower.groups import Placed, of_group, of_stack, side_by_side, stops
from snnrun.models import inputs
from snnrun.models.interface import Members, Mode, cast
from snnrun.network import Network
from snnrun.plan import Group, Stack
from snnrun.receptors import Receptor
from snnrun.selections import Part


class Lowered(NamedTuple):
    neurons: tuple[Any, ...]  # these as in plan.Constants
    synapses: tuple[Any, ...]
    instants: tuple[Any, ...]
    outputs: tuple[Any, ...]
    gains: tuple[Any, ...]
    initial: tuple[dict[str, Any], ...]  # per group: values of variables
    held: tuple[dict[str, Any], ...]  # per stack: variables at t = 0, where there is anything to hold
    driving: driving.Lowered


def lowered(network: Network, placed: Placed) -> Lowered:
    """Coefficients of all models."""
    spec = network.spec
    neurons, initial, members, origins = [], [], [], []
    steady = driving.steady(network)
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
            outputs.append(None)
            gains.append(None)
            continue
        outputs.append(_cast(stack.output.lower(kinetics, origins[stack.group]), group.precision))
        modes = None if stack.output.conductance else stack.synapse.modes(kinetics)
        found = None if modes is None else _gains(group, members[stack.group], modes)
        gains.append(None if found is None else tuple({x: cast(gain, group.precision) for x, gain in of.items()} for of in found))
    held = tuple(_held(network, stack, rows) for stack, rows in zip(placed.stacks, placed.rows, strict=True))
    of_stacks = tuple(synapses), tuple(instants), tuple(outputs), tuple(gains)
    return Lowered(tuple(neurons), *of_stacks, tuple(initial), held, driving.lowered(network, placed, origins))


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


def _held(network: Network, stack: Stack, rows: Sequence[Sequence[Receptor]]) -> dict[str, Any]:
    """What a stack holds at t = 0: in each receptor the sum over its sources, in their order."""
    sizes = [network.spec.populations[receptor.population].size for receptor in rows[0]]
    every: list[list[dict[str, Any]]] = []
    for row in rows:
        every.append([])
        for receptor in row:
            total: dict[str, Any] = {}
            for source in receptor.sources:
                for variable, values in network.first.get((source.section, source.name), {}).get(receptor.population, {}).items():
                    total[variable] = total.get(variable, 0.0) + values
            every[-1].append(total)
    found = {}
    for variable in dict.fromkeys(variable for row in every for total in row for variable in total):
        of_rows = [side_by_side([total.get(variable, 0.0) for total in row], sizes, stack.padded) for row in every]
        values = np.stack([np.broadcast_to(row, stack.padded) for row in of_rows])
        found[variable] = cast(np.asarray(values, np.float64), stack.precision)
    return found


# ---- Poisson inputs --------------------------------------------------------------------------------------------------


def _on_a_run(part: Part, values: dict[str, Any]) -> dict[str, Any]:
    """The values of a Poisson input for a run of neurons, of which those between the targets receive what weighs nothing."""
    if part.dense:
        return values
    weight, places = np.zeros(part.stop - part.start), part.numbers - part.start
    weight[places] = values["weight"]
    rate = values["rate"]
    if np.ndim(rate):
        rate = np.full(len(weight), rate[0])
        rate[places] = values["rate"]
    return values | {"weight": weight, "rate": rate}


def noise(network: Network, wanted: list[tuple[str, int, float]]) -> tuple[Any, ...]:
    """Constants of the Poisson inputs: name, number of the part, and quantum of the receptor."""
    spec, found = network.spec, []
    steps = partial(units.whole, dt=spec.dt)
    for name, i, quantum in wanted:
        entry: Any = spec.inputs[name]
        part = network.noise[name].parts[i]
        values = _on_a_run(part, network.noise[name].values[i])
        found.append(
            inputs.poisson.Const(
                weight=kernels.quantised(values["weight"], quantum, wide=True),
                delay_steps=np.int64(steps(entry.delay)),
                start=np.int64(steps(entry.start)),
                stop=np.int64(stops(entry.stop, steps)),
                stream=np.array(random.key(spec.seed, f"input/{name}/{part.population}"), np.uint32),
                mother=np.array(random.key(spec.seed, f"input/{name}"), np.uint32) if entry.correlation else None,
                **inputs.poisson.lower(values, spec.dt),
            )
        )
    return tuple(found)
