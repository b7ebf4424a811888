"""The loop. One pure step, and chunks of steps that hand frames to a sink.

Step k takes the network from t = k dt to (k + 1) dt, in this order:

1. neurons are propagated from the receptor variables and inputs at t (lif: V, held where refractory);
2. receptor variables decay over the step;
3. arrivals due at (k + 1) dt are added: to receptor variables, or to V (delta; lost where refractory);
4. who is at its threshold then (lif: V >= V_th) spikes, stamped (k + 1) dt, and is reset;
5. spikes without delay reach receptor variables at once.

What a frame shows at t is the state before step k: the right limit at that instant.
"""

import functools
import operator
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from snnrun import kernels
from snnrun.kernels import Entry, Transit, graded
from snnrun.models import drives, stp
from snnrun.models.interface import Drive
from snnrun.models.interface import State as Variables
from snnrun.models.synapses.decay import decayed
from snnrun.plan import END, Constants, Group, Plan, PopulationPlace, Program, Stack, Take

MAX_CHUNK = 2_000  # steps
FRAME_BYTES = 16 * 2**20  # what the frames of a chunk may take; memory of a few MiB is used again, more is new every time
FIRST_CHUNK = 16  # steps; chunks then grow until one takes a while
CHUNK_SECONDS = 0.25
GROWTH = 8
PROGRAMS = 64  # compiled programs that a process keeps; each takes 4 MiB and 60 of the 65,530 maps that Linux grants a process
COMPILER = {"xla_cpu_prefer_vector_width": 512}  # a tenth faster on a CPU that has such vectors, and of no effect on others


class State(NamedTuple):
    """Everything that a run remembers between two steps."""

    step: Any  # int64
    neurons: tuple[Variables, ...]  # per group
    receptors: tuple[Variables, ...]  # per stack
    driving: tuple[Variables, ...]  # per layer: what inputs remember
    transit: Transit
    releases: Variables = {}  # noqa: RUF012  of sources with short-term plasticity
    weights: Variables = {}  # noqa: RUF012  that change, in the form of a kernel
    gates: tuple[Variables, ...] = ()  # per Value
    values: Any = None  # float64 [steps, places]: of the last steps; row k % steps has those at t_k


class Frame(NamedTuple):
    """What a chunk recorded, on the host: row i belongs to step `first_step + i`."""

    first_step: int
    steps: int
    rows: np.ndarray  # uint32 [steps, words]: bits of the neurons that fired
    samples: tuple[np.ndarray, ...]  # per Take: [frames, neurons]
    failed: bool  # a value that is no number
    weights: tuple[tuple[int, Any], ...] = ()  # number of a WeightTap, and kernels.Weights, before the first of these steps


class Sink(Protocol):
    """Where frames go: a results file, or a list in tests."""

    def write(self, frame: Frame) -> None: ...


class NumericalError(RuntimeError):
    """A state variable is no finite number any more: which, of which neuron, and from which step on."""


def init(plan: Plan) -> State:
    """The state at t = 0."""
    p, c = plan.program, plan.constants
    neurons = [
        group.model.init(const, initial, group.padded)
        for group, const, initial in zip(p.groups, c.neurons, plan.initial, strict=True)
    ]
    receptors = [
        {name: np.zeros((stack.rows, stack.padded), stack.precision) for name in stack.synapse.variables} | held
        for stack, held in zip(p.stacks, plan.held, strict=True)
    ]
    transit = kernels.module(p.kernel).transit(p, plan.arranged, c.delivery, kernels.nobody(p), kernels.unscaled(p), 0)
    weights = kernels.module(p.kernel).plastic(p, plan.arranged, {}, 0)
    state = State(np.int64(0), tuple(neurons), tuple(receptors), plan.begun, transit, dict(plan.released), weights)
    if not p.graded.values:
        return state
    return _acted(p, c, state._replace(gates=plan.gates, values=np.zeros((p.graded.depth, p.graded.places))))


def _acted(p: Program, c: Constants, state: State) -> State:
    """With what acts at every instant, at the instant of the state."""
    potentials = {v.group: _observed(p, c, v.group, "V", state) for v in p.graded.values if v.model is None}
    now = graded.values(p.graded, state.gates, potentials)
    kept = state.values if isinstance(state.step, Tracer) else jnp.asarray(state.values)
    kept = kept.at[state.step % p.graded.depth].set(now)
    receptors = graded.received(p.graded, c.brought, kept, state.step, list(state.receptors))
    return state._replace(receptors=tuple(receptors), values=kept)


def step(p: Program, c: Constants, state: State, frames: Any, first: Any, end: Any) -> tuple[State, Any]:
    """One step of those from `first` to `end`: the state after it. Who fired in it is written into the frames."""
    k, kernel = state.step, kernels.module(p.kernel)
    transit, weights, jumps, waiting = kernel.jumps(p, c.delivery, state.transit, state.weights, k)
    neurons, fired = [], []
    for group, const, own in zip(p.groups, c.neurons, state.neurons, strict=True):
        received = () if group.model.source else _drives(p, c, group, state, jumps)
        after, who = group.model.step(const, own, received, group.method, k, kernel.words)
        neurons.append(after)
        fired.append(who)
    stacks = list(zip(p.stacks, c.synapses, state.receptors, strict=True))
    entered = [_entry(*parts) for parts in stacks]
    released = stp.step(c.release, state.releases) if p.releases.places else None
    transit, weights, variables, neurons, releases, frames = kernel.close(
        p, c.delivery, transit, weights, waiting, k, fired, neurons, released, entered, frames, first, end
    )  # fmt: skip
    receptors = []
    for (stack, const, own), jump, variable in zip(stacks, jumps, variables, strict=True):
        after = own | stack.synapse.advance(const, own)
        if stack.synapse.enters is None:
            receptors.append(after if jump is None else after | {"x": jump})
        else:
            receptors.append(after | {stack.synapse.enters.variable: variable})
    driving = [
        layer.model.advance(const.model, own, k, kernel.words, c.zero)
        for layer, const, own in zip(p.layers, c.driven, state.driving, strict=True)
    ]
    after = State(
        k + 1, tuple(neurons), tuple(receptors), tuple(driving), transit, releases, weights, state.gates, state.values
    )  # fmt: skip
    if p.graded.values:
        row, firsts = kernel.fired(p, transit, k), tuple(group.first for group in p.groups)
        after = _acted(p, c, after._replace(gates=graded.opened(p.graded, c.opening, state.gates, row, firsts)))
    return after, frames


def _entry(stack: Stack, const: Any, own: Variables) -> Entry | None:
    """Where what arrives after the threshold goes; None where all moves V."""
    enters = stack.synapse.enters
    if enters is None:
        return None
    scale = None if enters.scale is None else getattr(const, enters.scale)
    return Entry(own[enters.variable], getattr(const, enters.decay), scale, const.zero)


def _drives(p: Program, c: Constants, group: Group, state: State, jumps: list[Any]) -> tuple[Drive, ...]:
    """What a group receives in a step, in its precision, at each stage of it: receptor variables as they decay from the beginning
    on, and jumps of its end. The receptors of a neuron are summed one by one, in their order."""
    held, zero = Drive(), c.zero.astype(group.precision) if group.model.described else None
    for i in group.layers:
        held = drives.plus(held, _rounded(_held(p, c, i, state), c.zero.astype(group.precision)))
    found = []
    for number in range(len(group.model.stages(group.method))):
        total = held
        for i in group.stacks:
            brought = _brought(p.stacks[i], c, i, group, state.receptors[i], jumps[i], number)
            total = total if brought is None else drives.rows_added(total, _rounded(brought, zero), p.stacks[i].rows)
        found.append(total)
    return tuple(found)


def _rounded(drive: Drive, zero: Any) -> Drive:
    """A drive whose products have been rounded: see models/rounded.py."""
    return drive if zero is None else jax.tree.map(lambda values: values + zero, drive)


def _brought(stack: Stack, c: Constants, i: int, group: Group, own: Variables, jump: Any, number: int) -> Drive | None:
    """What a stack brings at a stage: arrays [rows, neurons]."""
    if stack.output is None:
        return None if number else Drive(jump=(own["x"] if jump is None else jump).astype(group.precision))
    if c.gains[i] is not None:
        return Drive(increment=_gained(c.gains[i], stack, group, own, c.zero))
    if number and not stack.synapse.graded:
        own = _after(stack, c.instants[i][number - 1], own)
    x = own["x"].astype(group.precision)
    return drives.gate(stack.output.drive, c.outputs[i], x) if stack.output.gated else stack.output.drive(c.outputs[i], x, None)


def _gained(gains: tuple[dict[str, Any], ...], stack: Stack, group: Group, own: Variables, zero: Any) -> dict[str, Any]:
    """What each variable of a group gains over the step."""
    found: dict[str, Any] = {}
    for of_mode, name in zip(gains, stack.synapse.variables, strict=True):
        x = own[name].astype(group.precision)
        for variable, gain in of_mode.items():
            more = gain * x if not group.model.described else decayed(gain, x, zero.astype(group.precision))
            found[variable] = found[variable] + more if variable in found else more
    return found


def _after(stack: Stack, const: Any, own: Variables) -> Variables:
    """The variables of a stack when a time has passed in which nothing arrives."""
    entry = _entry(stack, const, own)
    assert entry is not None and stack.synapse.enters is not None
    rest = decayed(entry.decay, entry.variable, entry.zero)
    return own | stack.synapse.advance(const, own) | {stack.synapse.enters.variable: rest}


def _held(p: Program, c: Constants, i: int, state: State) -> Drive:
    """What a layer of inputs brings during a step."""
    output, const, value = p.layers[i].output, c.driven[i].output, _driven(p, c, i, state)
    if output.gated:
        return drives.gate(output.drive, const, jnp.broadcast_to(value, (1, p.groups[p.layers[i].group].padded)))
    return output.drive(const, value, None)


def _driven(p: Program, c: Constants, i: int, state: State) -> Any:
    """What a layer of inputs brings in the present step, in pA or nS: one value for all neurons of its group, or one for each."""
    layer, const = p.layers[i], c.driven[i]
    zero = c.zero.astype(p.groups[layer.group].precision)
    value = layer.model.value(const.model, state.driving[i], state.step, kernels.module(p.kernel).words, zero)
    acts = [] if const.start is None else [state.step >= const.start]
    acts += [] if const.stop is None else [state.step < const.stop]
    acts += [] if const.on is None else [const.on]
    return jnp.where(functools.reduce(operator.and_, acts), value, zero) if acts else value


# ---- chunks ----------------------------------------------------------------------------------------------------------


def _take(p: Program, c: Constants, i: int, state: State) -> Any:
    """The values of a take in the present state, floats in the run's precision."""
    take, taken = p.takes[i], c.taken[i]
    if take.kind == "neuron":
        values = _observed(p, c, take.place, take.field, state)
    elif take.kind == "release":
        values = state.releases[take.field]
    elif take.kind == "gate":
        values = state.gates[take.place][take.field]
    elif take.kind == "driving":
        layer = p.layers[take.place]
        V = state.neurons[layer.group]["V"] if layer.output.conductance else None
        values = layer.output.current(c.driven[take.place].output, _driven(p, c, take.place, state), V)
        values = jnp.broadcast_to(values, p.groups[layer.group].padded)
    else:
        values, stack = state.receptors[take.place][take.field], p.stacks[take.place]
        if take.kind == "input" and stack.output is not None:
            V = state.neurons[stack.group]["V"] if stack.output.conductance else None
            values = stack.output.current(c.outputs[take.place], values, V)
        values = values.reshape(-1)
    values = values[taken] if take.runs is None else jnp.concatenate([values[low:high] for low, high in take.runs])
    return values.astype(p.precision) if jnp.issubdtype(values.dtype, jnp.floating) else values


def _observed(p: Program, c: Constants, group: int, name: str, state: State) -> Any:
    return p.groups[group].model.observed(c.neurons[group], state.neurons[group], name, state.step)


def _recorded(p: Program, c: Constants, state: State, begin: Any, samples: tuple[Any, ...]) -> tuple[Any, ...]:
    """Samples with what is due in the present state, in a chunk that begins with the step `begin`. The last row of a buffer takes
    what is not due."""
    k, after = state.step, []
    for i, (take, buffer) in enumerate(zip(p.takes, samples, strict=True)):
        late = k - take.first_step if take.first_step else k
        conditions = [late >= 0] if take.first_step else []
        conditions += [k < take.last_step] if take.last_step < END else []
        conditions += [late % take.every == 0] if take.every > 1 else []
        slot = _frames(take, k) - _frames(take, begin)
        if conditions:
            slot = jnp.where(functools.reduce(operator.and_, conditions), slot, buffer.shape[0] - 1)
        after.append(buffer.at[slot].set(_take(p, c, i, state), mode="promise_in_bounds"))
    return tuple(after)


def _frames(take: Take, step: Any) -> Any:
    """How many frames of a take lie before a step."""
    past = jnp.maximum(step - take.first_step, 0) if take.first_step else step
    return (past + take.every - 1) // take.every if take.every > 1 else past


def run_chunk(p: Program, c: Constants, state: State, steps: Any, capacity: int) -> tuple[State, Any, tuple[Any, ...], Any]:
    """`steps` steps (at most `capacity`): the state after them, rows of fired bits, samples, and a flag for NaN.

    The state before them is left as it is, so that a chunk that went wrong can be looked at again.
    """
    return compiled(p, capacity)(c, state, steps)


@functools.lru_cache(maxsize=PROGRAMS)
def compiled(p: Program, capacity: int) -> Any:
    """What `run_chunk` calls, as XLA compiles it: one for each program."""

    def run_chunk(c: Constants, state: State, steps: Any) -> tuple[State, Any, tuple[Any, ...], Any]:  # the name in XLA's cache
        return _steps(p, c, state, steps, capacity)

    return jax.jit(run_chunk, compiler_options=COMPILER)


def _steps(p: Program, c: Constants, state: State, steps: Any, capacity: int) -> tuple[State, Any, tuple[Any, ...], Any]:
    begin, end = state.step, state.step + steps

    def body(carry: Any) -> Any:
        state, rows, samples = carry
        state, rows = step(p, c, state, rows, begin, end)
        # the state after a step: what is read of a state before it is changed would have to be copied
        return state, rows, _recorded(p, c, state, begin, samples)

    rows = jnp.zeros((capacity, sum(b - a for a, b in p.tapped)), jnp.uint32)
    kinds = [jax.eval_shape(lambda i=i: _take(p, c, i, state)) for i in range(len(p.takes))]
    samples = tuple(
        jnp.zeros((-(-capacity // take.every) + 2, *kind.shape), kind.dtype) for take, kind in zip(p.takes, kinds, strict=True)
    )
    samples = _recorded(p, c, state, begin, samples)
    state, rows, samples = lax.while_loop(lambda carry: carry[0].step < end, body, (state, rows, samples))
    settled = [g.model.settled(const, own, end) for g, const, own in zip(p.groups, c.neurons, state.neurons, strict=True)]
    state = state._replace(neurons=tuple(settled))
    leaves = jax.tree.leaves((state.neurons, state.receptors, state.driving, state.gates))
    floats = [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
    failed = jnp.any(jnp.array([jnp.any(~jnp.isfinite(leaf)) for leaf in floats])) if floats else jnp.array(False)
    return state, rows, samples, failed


def capacity_of(plan: Plan) -> int:
    """Steps per chunk that the frames' memory allows."""
    per_step = 4 * sum(b - a for a, b in plan.program.tapped)
    per_step += sum(8 * len(sample.neurons) / sample.every for sample in plan.structure.samples)
    most = MAX_CHUNK * (5 if plan.program.plasticity.weights else 1)  # the state, which each chunk begins by copying, is large
    return int(max(1, min(most, FRAME_BYTES // max(per_step, 1))))


def simulate(plan: Plan, state: State, steps: int, sink: Sink, capacity: int | None = None,
             progress: Callable[[int], None] | None = None, stop: Callable[[], bool] = lambda: False) -> State:  # fmt: skip
    """Run `steps` steps from a state, or fewer where `stop` says so between two chunks, and hand every chunk's frame to the sink.

    The device works on the next chunk while the sink writes the last one. Whatever ends the run, no chunk is being worked on when
    this returns or raises. Raises NumericalError where a variable is no finite number any more.
    """
    p = plan.program
    capacity = capacity_of(plan) if capacity is None else capacity
    constants = jax.device_put(plan.constants)
    state = jax.device_put(state)
    first = int(state.step)
    done, length = 0, min(FIRST_CHUNK, capacity)
    chunk = None
    try:
        state, *_ = run_chunk(p, constants, state, np.int64(0), capacity)  # compiles, and does nothing
        if progress is not None:
            progress(first)
        began = time.perf_counter()
        while done < steps and not stop():
            before, count = state, min(length, steps - done)
            now = first + done
            count = min([count, *(tap.next_due(now) - now for tap in plan.structure.weights)])
            weights = _weights_due(plan, state, now)
            state, rows, samples, failed = run_chunk(p, constants, before, np.int64(count), capacity)
            chunk, last = _Chunk(first + done, count, before, rows, samples, failed, weights), chunk
            if last is not None:
                _hand_over(plan, constants, capacity, last, sink, progress)
            done += count
            now = time.perf_counter()
            if now - began < CHUNK_SECONDS:
                length = min(GROWTH * length, capacity)
            began = now
        if chunk is not None:
            _hand_over(plan, constants, capacity, chunk, sink, progress)
    finally:
        jax.block_until_ready(state)
    return state


def weights(plan: Plan, state: State) -> dict[str, kernels.Weights]:
    """The weights of plastic projections that have synapses, in a state that no call is working on."""
    if not state.weights:
        return {}
    p, module = plan.program, kernels.module(plan.program.kernel)
    return {w.name: w for w in module.weights(p, plan.arranged, plan.constants.delivery, state.weights, int(state.step))}


def _weights_due(plan: Plan, state: State, step: int) -> tuple[tuple[int, Any], ...]:
    due = [i for i, tap in enumerate(plan.structure.weights) if tap.due(step)]
    found = weights(plan, jax.block_until_ready(state)) if due else {}
    return tuple((i, found[plan.structure.weights[i].projection]) for i in due)


class _Chunk(NamedTuple):
    """A chunk that the device has been given, and what will come of it."""

    first_step: int
    steps: int
    before: State
    rows: Any
    samples: tuple[Any, ...]
    failed: Any
    weights: tuple[tuple[int, Any], ...]


def _hand_over(plan: Plan, c: Constants, capacity: int, chunk: _Chunk, sink: Sink,
               progress: Callable[[int], None] | None) -> None:  # fmt: skip
    first, count, host = chunk.first_step, chunk.steps, []
    for take, buffer in zip(plan.program.takes, chunk.samples, strict=True):
        frames = [int(np.clip(-(-(k - take.first_step) // take.every), 0, None)) for k in (first, first + count)]
        last = int(np.clip(-(-(take.last_step - take.first_step) // take.every), 0, None))
        host.append(np.asarray(buffer)[: max(min(frames[1], last) - frames[0], 0)])
    frame = Frame(first, count, np.asarray(chunk.rows)[:count], tuple(host), bool(chunk.failed), chunk.weights)
    sink.write(frame)
    if frame.failed:
        raise NumericalError(_first_failure(plan, c, capacity, chunk))
    if progress is not None:
        progress(first + count)


def _first_failure(plan: Plan, c: Constants, capacity: int, chunk: _Chunk) -> str:
    """Which variable of which neuron a chunk has left without a finite value, and in which of its steps that began.

    A variable that is no finite number stays so, and the fewest steps after which one is not are found by bisection.
    """
    p, sound, failed = plan.program, 0, chunk.steps
    while failed - sound > 1:
        middle = (sound + failed) // 2
        if bool(run_chunk(p, c, chunk.before, np.int64(middle), capacity)[3]):
            failed = middle
        else:
            sound = middle
    after = run_chunk(p, c, chunk.before, np.int64(failed), capacity)[0]
    for name, population, values in variables(plan, after):
        bad = np.flatnonzero(~np.isfinite(values)) if values.dtype.kind == "f" else np.empty(0, np.int64)
        if len(bad):
            step = chunk.first_step + failed
            return (
                f"{name} of neuron {bad[0]} of population {population.name} is no finite number any more ({values[bad[0]]:g}) "
                f"after step {step:,}, at t = {step * plan.structure.dt:.12g} ms"
            )
    raise AssertionError("a chunk failed, and nothing in it")


def variables(plan: Plan, state: State) -> Iterator[tuple[str, PopulationPlace, np.ndarray]]:
    """All variables of the neurons and receptors of a state: name, population, and a value for each of its neurons."""
    for values, place, first, name in _places(plan, state):
        yield name, place, values.reshape(-1)[first : first + place.size]


def _places(plan: Plan, state: State) -> Iterator[tuple[np.ndarray, PopulationPlace, int, str]]:
    """Every variable with the array that it is in, its population, and where in the array that begins."""
    neurons = [{name: np.asarray(values) for name, values in own.items()} for own in state.neurons]
    receptors = [{name: np.asarray(values) for name, values in own.items()} for own in state.receptors]
    for place in plan.structure.populations:
        for name, values in neurons[place.group].items():
            yield values, place, place.first, name
    driving = [{name: np.asarray(values) for name, values in own.items()} for own in state.driving]
    for place in plan.structure.inputs:
        for name, values in driving[place.layer].items():
            yield values, plan.structure.populations[place.population], place.first, f"{place.name}.{name}"
    gates = [{name: np.asarray(values) for name, values in own.items()} for own in state.gates]
    for place in {place.value: place for place in reversed(plan.structure.gates)}.values():
        for name, values in gates[place.value].items():
            yield values, plan.structure.populations[place.population], 0, f"{place.projection}.gate.{name}"
    for receptor in plan.structure.receptors:
        for name, values in receptors[receptor.stack].items():
            yield values, plan.structure.populations[receptor.population], receptor.first, f"{receptor.name}.{name}"
    for release in plan.structure.releases:
        sources = PopulationPlace(f"{release.projection} (sources {release.part})", "", release.size, "float64", -1, -1)
        for name, values in state.releases.items():
            yield np.asarray(values), sources, release.first, name
