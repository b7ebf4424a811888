"""The loop. One pure step, and chunks of steps that hand frames to a sink.

Step k takes the network from t = k dt to (k + 1) dt, in this order:

1. V is propagated from the receptor variables at t (held where refractory);
2. receptor variables decay over the step;
3. arrivals due at (k + 1) dt are added: to receptor variables, or to V (delta; lost where refractory);
4. V >= V_th is a spike, stamped (k + 1) dt; V is reset and held for tau_ref;
5. spikes without delay reach receptor variables at once.

What a frame shows at t is the state before step k: the right limit at that instant.
"""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from snnrun import kernels, neurons, synapses
from snnrun.kernels import History, Reached
from snnrun.neurons.drive import Crossing, Drive
from snnrun.plan import Constants, Plan, PopulationPlan, Sample, Structure

MAX_CHUNK = 2_000  # steps
FRAME_BYTES = 16 * 2**20  # what the frames of a chunk may take; memory of a few MiB is used again, more is new every time
FIRST_CHUNK = 16  # steps; chunks then grow until one takes a while
CHUNK_SECONDS = 0.25
GROWTH = 8
COMPILER = {"xla_cpu_prefer_vector_width": 512}  # a tenth faster on a CPU that has such vectors, and of no effect on others


class State(NamedTuple):
    """Everything that a run remembers between two steps."""

    step: Any  # int64
    neurons: tuple[Any, ...]  # one per population
    receptors: tuple[Any, ...]
    history: History


class Frame(NamedTuple):
    """What a chunk recorded, on the host: row i belongs to step `first_step + i`."""

    first_step: int
    steps: int
    rows: np.ndarray  # uint32 [steps, words]: bits of the neurons that fired
    samples: tuple[np.ndarray, ...]  # per Sample: [frames, neurons]
    failed: bool  # a value that is no number


class Sink(Protocol):
    """Where frames go: a results file, or a list in tests."""

    def write(self, frame: Frame) -> None: ...


class NumericalError(RuntimeError):
    """A state variable is no finite number any more: which, of which neuron, and from which step on."""


def init(plan: Plan) -> State:
    """The state at t = 0."""
    s, c = plan.structure, plan.constants
    population_states = []
    for population, const, V in zip(s.populations, c.neurons, c.V, strict=True):
        if population.model == "poisson":
            population_states.append(neurons.poisson.State())
        elif population.model == "spike_times":
            population_states.append(neurons.spike_times.init(population.padded))
        else:
            population_states.append(neurons.MODELS[population.model].init(const, V))
    receptor_states = [synapses.MODELS[r.synapse].init(np.zeros(r.padded, r.precision)) for r in s.receptors]
    history = kernels.module(s.kernel).history(s, plan.arranged, c.delivery, kernels.nobody(s), 0)
    return State(np.int64(0), tuple(population_states), tuple(receptor_states), history)


def step(s: Structure, c: Constants, state: State, frames: Any, first: Any, end: Any) -> tuple[State, Any]:
    """One step of those from `first` to `end`: the state after it. Who fired in it is written into the frames."""
    k, kernel = state.step, kernels.module(s.kernel)
    history, jumps, waiting = kernel.jumps(s, c.delivery, state.history, k)
    advanced = []
    for plan, const, receptor, jump in zip(s.receptors, c.synapses, state.receptors, jumps, strict=True):
        module = synapses.MODELS[plan.synapse]
        after = module.advance(const, receptor)
        advanced.append(after if jump is None else module.arrive(const, after, jump))
    population_states, fired = [], []
    for i, plan in enumerate(s.populations):
        if plan.model == "poisson":
            after, who = state.neurons[i], neurons.poisson.step(c.neurons[i], k, plan.padded, kernel.words)
        elif plan.model == "spike_times":
            after, who = neurons.spike_times.step(c.neurons[i], state.neurons[i], k)
        else:
            drive = _drive(s, c, plan, i, state, advanced)
            after, who = neurons.MODELS[plan.model].step(c.neurons[i], state.neurons[i], drive, plan.method, k)
        population_states.append(after)
        fired.append(who)
    leaves, tree = jax.tree.flatten(population_states)
    fired = [
        _reached(leaves, after, who) if isinstance(who, Crossing) else who
        for after, who in zip(population_states, fired, strict=True)
    ]
    history, arrivals, leaves, frames = kernel.arrive(s, c.delivery, history, waiting, k, fired, leaves, frames, first, end)
    population_states = jax.tree.unflatten(tree, leaves)
    receptor_states = [
        after if arrived is None else synapses.MODELS[plan.synapse].arrive(const, after, arrived)
        for plan, const, after, arrived in zip(s.receptors, c.synapses, advanced, arrivals, strict=True)
    ]
    return State(k + 1, tuple(population_states), tuple(receptor_states), history), frames


def _reached(leaves: list[Any], after: Any, who: Crossing) -> Reached:
    """A crossing in terms of the leaves of all states."""
    then = tuple((_index(leaves, old), new) for old, new in zip(after, who.then, strict=True) if new is not None)
    return Reached(_index(leaves, who.value), who.threshold, then)


def _index(leaves: list[Any], value: Any) -> int:
    return next(i for i, leaf in enumerate(leaves) if leaf is value)


def _drive(s: Structure, c: Constants, plan: PopulationPlan, i: int, state: State, after: list[Any]) -> Drive:
    """What a population receives in a step, in its precision: receptor variables of its beginning, and jumps of its end."""
    total: dict[str, Any] = dict.fromkeys(Drive._fields)
    dtype = jnp.dtype(plan.precision)

    def add(field: str, value: Any) -> None:
        total[field] = value if total[field] is None else total[field] + value

    for changes, factors, profile in c.currents[i]:
        add("current", factors[jnp.sum(changes <= state.step)] * profile)
    for r in plan.receptors:
        receptor, module = s.receptors[r], synapses.MODELS[s.receptors[r].synapse]
        if receptor.output is None:
            add("jump", after[r].x.astype(dtype))
            continue
        variables = type(state.receptors[r])(*(variable.astype(dtype) for variable in state.receptors[r]))
        if receptor.output == "coba":
            add("conductance", variables.x)
            add("reversal", variables.x * c.reversal[r])
        elif c.gains[r] is not None:
            add("increment", module.increment(c.gains[r], variables))
        else:
            add("current", variables.x)
    return Drive(**total)


# ---- chunks ----------------------------------------------------------------------------------------------------------


def _take(s: Structure, c: Constants, sample: Sample, state: State) -> Any:
    """The values of a sample in the present state, floats in the run's precision."""
    if sample.kind == "neuron":
        model, const = neurons.MODELS[s.populations[sample.place].model], c.neurons[sample.place]
        values = model.observed(const, state.neurons[sample.place], sample.field, state.step)
    else:
        values, receptor = getattr(state.receptors[sample.place], sample.field), s.receptors[sample.place]
        if sample.kind == "input" and receptor.output == "coba":
            values = values * (c.reversal[sample.place] - state.neurons[receptor.population].V)
    values = values[sample.start : sample.stop]
    return values.astype(s.precision) if jnp.issubdtype(values.dtype, jnp.floating) else values


def _frames(sample: Sample, step: Any) -> Any:
    """How many frames of a sample lie before a step."""
    return (jnp.maximum(step - sample.first_step, 0) + sample.every - 1) // sample.every


@functools.partial(jax.jit, static_argnums=(0, 4), compiler_options=COMPILER)
def run_chunk(s: Structure, c: Constants, state: State, steps: Any, capacity: int) -> tuple[State, Any, tuple[Any, ...], Any]:
    """`steps` steps (traced, at most `capacity`): the state after them, rows of fired bits, samples, and a flag for NaN.

    The state before them is left as it is, so that a chunk that went wrong can be looked at again.
    """
    begin, end = state.step, state.step + steps

    def body(carry: Any) -> Any:
        state, rows, samples = carry
        taken = []
        for sample, buffer in zip(s.samples, samples, strict=True):
            k = state.step
            due = (k >= sample.first_step) & (k < sample.last_step) & ((k - sample.first_step) % sample.every == 0)
            slot = jnp.where(due, _frames(sample, k) - _frames(sample, begin), buffer.shape[0] - 1)
            taken.append(buffer.at[slot].set(_take(s, c, sample, state)))
        state, rows = step(s, c, state, rows, begin, end)
        return state, rows, tuple(taken)

    rows = jnp.zeros((capacity, sum(b - a for a, b in s.tapped)), jnp.uint32)
    # the last row of a buffer takes what is not due
    samples = tuple(
        jnp.zeros((-(-capacity // sample.every) + 2, sample.stop - sample.start), jax.eval_shape(
            lambda sample=sample: _take(s, c, sample, state)).dtype)
        for sample in s.samples
    )  # fmt: skip
    state, rows, samples = lax.while_loop(lambda carry: carry[0].step < end, body, (state, rows, samples))
    state = state._replace(neurons=tuple(
        own if plan.model in neurons.SOURCES else neurons.MODELS[plan.model].settled(const, own, end)
        for plan, const, own in zip(s.populations, c.neurons, state.neurons, strict=True)
    ))  # fmt: skip
    floats = [leaf for leaf in jax.tree.leaves((state.neurons, state.receptors)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    failed = jnp.any(jnp.array([jnp.any(~jnp.isfinite(leaf)) for leaf in floats])) if floats else jnp.array(False)
    return state, rows, samples, failed


def capacity_of(s: Structure) -> int:
    """Steps per chunk that the frames' memory allows."""
    per_step = 4 * sum(b - a for a, b in s.tapped)
    per_step += sum(8 * (sample.stop - sample.start) / sample.every for sample in s.samples)
    return int(max(1, min(MAX_CHUNK, FRAME_BYTES // max(per_step, 1))))


def simulate(plan: Plan, state: State, steps: int, sink: Sink, capacity: int | None = None,
             progress: Callable[[int], None] | None = None, stop: Callable[[], bool] = lambda: False) -> State:  # fmt: skip
    """Run `steps` steps from a state, or fewer where `stop` says so between two chunks, and hand every chunk's frame to the sink.

    The device works on the next chunk while the sink writes the last one. Whatever ends the run, no chunk is being worked on when
    this returns or raises. Raises NumericalError where a variable is no finite number any more.
    """
    s = plan.structure
    capacity = capacity_of(s) if capacity is None else capacity
    constants = jax.device_put(plan.constants)
    state = jax.device_put(state)
    first = int(state.step)
    done, length = 0, min(FIRST_CHUNK, capacity)
    chunk = None
    try:
        state, *_ = run_chunk(s, constants, state, np.int64(0), capacity)  # compiles, and does nothing
        if progress is not None:
            progress(first)
        began = time.perf_counter()
        while done < steps and not stop():
            before, count = state, min(length, steps - done)
            state, rows, samples, failed = run_chunk(s, constants, before, np.int64(count), capacity)
            chunk, last = _Chunk(first + done, count, before, rows, samples, failed), chunk
            if last is not None:
                _hand_over(s, constants, capacity, last, sink, progress)
            done += count
            now = time.perf_counter()
            if now - began < CHUNK_SECONDS:
                length = min(GROWTH * length, capacity)
            began = now
        if chunk is not None:
            _hand_over(s, constants, capacity, chunk, sink, progress)
    finally:
        jax.block_until_ready(state)
    return state


class _Chunk(NamedTuple):
    """A chunk that the device has been given, and what will come of it."""

    first_step: int
    steps: int
    before: State
    rows: Any
    samples: tuple[Any, ...]
    failed: Any


def _hand_over(s: Structure, c: Constants, capacity: int, chunk: _Chunk, sink: Sink,
               progress: Callable[[int], None] | None) -> None:  # fmt: skip
    first, count, host = chunk.first_step, chunk.steps, []
    for sample, buffer in zip(s.samples, chunk.samples, strict=True):
        frames = [int(np.clip(-(-(k - sample.first_step) // sample.every), 0, None)) for k in (first, first + count)]
        last = int(np.clip(-(-(sample.last_step - sample.first_step) // sample.every), 0, None))
        host.append(np.asarray(buffer)[: max(min(frames[1], last) - frames[0], 0)])
    frame = Frame(first, count, np.asarray(chunk.rows)[:count], tuple(host), bool(chunk.failed))
    sink.write(frame)
    if frame.failed:
        raise NumericalError(_first_failure(s, c, capacity, chunk))
    if progress is not None:
        progress(first + count)


def _first_failure(s: Structure, c: Constants, capacity: int, chunk: _Chunk) -> str:
    """Which variable of which neuron a chunk has left without a finite value, and in which of its steps that began.

    A variable that is no finite number stays so, and the fewest steps after which one is not are found by bisection.
    """
    sound, failed = 0, chunk.steps
    while failed - sound > 1:
        middle = (sound + failed) // 2
        if bool(run_chunk(s, c, chunk.before, np.int64(middle), capacity)[3]):
            failed = middle
        else:
            sound = middle
    after = run_chunk(s, c, chunk.before, np.int64(failed), capacity)[0]
    for name, population, values in variables(s, after):
        bad = np.flatnonzero(~np.isfinite(values)) if values.dtype.kind == "f" else ()
        if len(bad):  # beyond the last neuron lie copies of it
            neuron, step = min(int(bad[0]), population.size - 1), chunk.first_step + failed
            return (
                f"{name} of neuron {neuron} of population {population.name} is no finite number any more ({values[bad[0]]:g}) "
                f"after step {step:,}, at t = {step * s.dt:.12g} ms"
            )
    raise AssertionError("a chunk failed, and nothing in it")


def variables(s: Structure, state: State) -> Iterator[tuple[str, PopulationPlan, np.ndarray]]:
    """All variables of the neurons and receptors of a state: name, population and values, [padded]."""
    for population, values in zip(s.populations, state.neurons, strict=True):
        for field, value in values._asdict().items():
            if value is not None:
                yield field, population, np.asarray(value)
    for receptor, values in zip(s.receptors, state.receptors, strict=True):
        for field, value in values._asdict().items():
            yield f"{receptor.name}.{field}", s.populations[receptor.population], np.asarray(value)
