"""From the state of a run to its snapshot, and back.

Not in it, because it follows from the network file: parameters, edges, and the random numbers of every step, which are functions
of the seed and the step. Not in it either is what a kernel makes of the spikes of the last steps, such as arrivals that were
drawn already and are waiting: that is made again from those spikes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from snnrun import engine, kernels
from snnrun.checkpoint import Snapshot
from snnrun.engine import State
from snnrun.plan import Plan, PopulationPlace, ReleasePlace


class Mismatch(ValueError):
    """A snapshot of another network: what differs."""


def take(plan: Plan, state: State) -> Snapshot:
    """The snapshot of a state that no call is working on."""
    program, step = plan.program, int(state.step)
    variables = {_name(name, population): values.copy() for name, population, values in engine.variables(plan, state)}
    rows, every = kernels.module(program.kernel).rows(program, state.transit, step)
    bits = _bits(rows)
    fired = {}
    for p in plan.structure.populations:
        first = program.groups[p.group].first + p.first
        own = np.zeros((program.depth, -(-p.size // 64) * 64), np.uint8)
        own[:, : p.size] = bits[:, first : first + p.size]
        fired[p.name] = _rows(own)
    carried = {}
    for r in plan.structure.releases:
        p = plan.structure.populations[r.population]
        first = program.groups[p.group].first + p.first + r.start
        spiked = bits[:, first : first + r.size] > 0
        carried[_part(r)] = np.where(spiked, every[:, r.first : r.first + r.size], 0.0)
    last = np.arange(step + 1 - program.graded.depth, step + 1) % program.graded.depth
    gates = {name: np.asarray(state.values)[last, first : first + size] for name, first, size in _gates(plan)}
    return Snapshot(step, variables, fired, carried, engine.weights(plan, state), gates)


def restore(plan: Plan, snapshot: Snapshot) -> State:
    """The state of a snapshot, for whatever kernel and threads the plan is for. Raises Mismatch."""
    program, start = plan.program, engine.init(plan)
    neurons, receptors, driving = (
        tuple({name: np.array(values) for name, values in own.items()} for own in states)
        for states in (start.neurons, start.receptors, start.driving)
    )
    releases = {name: np.array(values) for name, values in start.releases.items()}
    gates = tuple({name: np.array(values) for name, values in own.items()} for own in start.gates)
    begun = start._replace(neurons=neurons, receptors=receptors, driving=driving, releases=releases, gates=gates)
    wanted = {_name(name, population): (population, values) for name, population, values in engine.variables(plan, begun)}
    if wanted.keys() != snapshot.variables.keys():
        raise Mismatch(f"the variables are not the same: {', '.join(sorted(wanted.keys() ^ snapshot.variables.keys()))}")
    for name, (population, place) in wanted.items():
        values, size = snapshot.variables[name], population.size
        if values.shape != (size,) or values.dtype != place.dtype:
            raise Mismatch(f"{name} is {values.dtype} {list(values.shape)}, and {place.dtype} [{size}] is wanted")
        place[:] = values  # a view of the state
    _fill(plan, neurons, receptors)
    bits = np.zeros((program.depth, program.sources), np.uint8)
    for p in plan.structure.populations:
        fired = snapshot.fired.get(p.name)
        if fired is None or fired.shape != (program.depth, -(-p.size // 64) * 2) or fired.dtype != np.uint32:
            raise Mismatch(f"the last spikes of {p.name} are not those of {program.depth} steps of {p.size} neurons")
        first = program.groups[p.group].first + p.first
        bits[:, first : first + p.size] = _bits(fired)[:, : p.size]
    every = kernels.unscaled(program)
    for r in plan.structure.releases:
        carried = snapshot.carried.get(_part(r))
        if carried is None or carried.shape != (program.depth, r.size) or carried.dtype != np.float64:
            wanted = f"{program.depth} steps of {r.size} sources"
            raise Mismatch(f"what the last spikes of {r.projection} carry is not that of {wanted}")
        every[:, r.first : r.first + r.size] = carried
    transit = kernels.module(program.kernel).transit(
        program, plan.arranged, plan.constants.delivery, _rows(bits), every, snapshot.step
    )
    known = {}
    for w in engine.weights(plan, start).values():
        kept = snapshot.weights.get(w.name)
        if kept is None or not all(
            getattr(kept, field).dtype == np.float64 and getattr(kept, field).shape[:1] == getattr(w, field).shape[:1]
            for field in ("y", "source", "target")
        ):
            raise Mismatch(f"the weights of {w.name} are not those of {len(w.y)} synapses")
        known[w.name] = w._replace(y=kept.y, source=kept.source, target=kept.target)
    changing = kernels.module(program.kernel).plastic(program, plan.arranged, known, snapshot.step)
    values = start.values if start.values is None else np.array(start.values)
    last = np.arange(snapshot.step + 1 - program.graded.depth, snapshot.step + 1) % program.graded.depth
    for name, first, size in _gates(plan):
        kept = snapshot.gates.get(name)
        if kept is None or kept.shape != (program.graded.depth, size) or kept.dtype != np.float64:
            raise Mismatch(f"the last values of {name} are not those of {program.graded.depth} steps of {size} sources")
        assert values is not None  # for there is a gate
        values[last, first : first + size] = kept
    return State(np.int64(snapshot.step), neurons, receptors, driving, transit, releases, changing, gates, values)


def _gates(plan: Plan) -> Iterator[tuple[str, int, int]]:
    """Names of the gates, with their places among the values."""
    for place in {place.value: place for place in reversed(plan.structure.gates)}.values():
        value = plan.program.graded.values[place.value]
        yield f"{place.projection}/{plan.structure.populations[place.population].name}", value.first_value, value.size


def _part(release: ReleasePlace) -> str:
    return f"{release.projection}/{release.part}"


def _fill(plan: Plan, neurons: Any, receptors: Any) -> None:
    """What lies beyond the last neuron of a group is a copy of it."""
    program = plan.program
    of_stacks = [program.groups[stack.group] for stack in program.stacks]
    for group, own in (*zip(program.groups, neurons, strict=True), *zip(of_stacks, receptors, strict=True)):
        for values in own.values():
            values[..., group.size :] = values[..., group.size - 1 : group.size]


def _bits(rows: Any) -> Any:
    return np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, bitorder="little")


def _rows(bits: Any) -> Any:
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint32)


def _name(variable: str, population: PopulationPlace) -> str:
    return f"{population.name}/{variable}"
