"""From the state of a run to its snapshot, and back.

Not in it, because it follows from the network file: parameters, edges, and the random numbers of every step, which are functions
of the seed and the step. Not in it either is what a kernel makes of the spikes of the last steps, such as arrivals that were
drawn already and are waiting: that is made again from those spikes.
"""

from typing import Any

import numpy as np

from snnrun import engine, kernels
from snnrun.checkpoint import Snapshot
from snnrun.engine import State
from snnrun.plan import Plan, PopulationPlan


class Mismatch(ValueError):
    """A snapshot of another network: what differs."""


def take(plan: Plan, state: State) -> Snapshot:
    """The snapshot of a state that no call is working on."""
    s, step = plan.structure, int(state.step)
    variables = {_name(name, population): values[: population.size] for name, population, values in engine.variables(s, state)}
    rows = kernels.module(s.kernel).rows(s, state.history, step)
    return Snapshot(step, variables, {p.name: rows[:, p.first // 32 : (p.first + p.padded) // 32] for p in s.populations})


def restore(plan: Plan, snapshot: Snapshot) -> State:
    """The state of a snapshot, for whatever kernel and threads the plan is for. Raises Mismatch."""
    s, start = plan.structure, engine.init(plan)
    wanted = {_name(name, population): values for name, population, values in engine.variables(s, start)}
    if wanted.keys() != snapshot.variables.keys():
        raise Mismatch(f"the variables are not the same: {', '.join(sorted(wanted.keys() ^ snapshot.variables.keys()))}")
    sizes = {population.name: population.size for population in s.populations}
    found = {}
    for name, values in snapshot.variables.items():
        size, dtype = sizes[name.partition("/")[0]], wanted[name].dtype
        if values.shape != (size,) or values.dtype != dtype:
            raise Mismatch(f"{name} is {values.dtype} {list(values.shape)}, and {dtype} [{size}] is wanted")
        found[name] = np.concatenate([values, np.repeat(values[-1:], len(wanted[name]) - size)])
    rows = kernels.nobody(s)
    for p in s.populations:
        fired = snapshot.fired.get(p.name)
        if fired is None or fired.shape != (s.depth, p.padded // 32) or fired.dtype != np.uint32:
            raise Mismatch(f"the last spikes of {p.name} are not those of {s.depth} steps of {p.size} neurons")
        rows[:, p.first // 32 : (p.first + p.padded) // 32] = fired

    def filled(values: Any, of: PopulationPlan, prefix: str = "") -> Any:
        return type(values)(*(
            None if value is None else found[_name(prefix + field, of)] for field, value in values._asdict().items()
        ))  # fmt: skip

    neurons = tuple(filled(values, p) for p, values in zip(s.populations, start.neurons, strict=True))
    receptors = tuple(
        filled(values, s.populations[r.population], f"{r.name}.") for r, values in zip(s.receptors, start.receptors, strict=True)
    )
    history = kernels.module(s.kernel).history(s, plan.arranged, plan.constants.delivery, rows, snapshot.step)
    return State(np.int64(snapshot.step), neurons, receptors, history)


def _name(variable: str, population: PopulationPlan) -> str:
    return f"{population.name}/{variable}"
