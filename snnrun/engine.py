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
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from snnrun import inputs, neurons, synapses
from snnrun.kernels import History, xla
from snnrun.neurons.drive import Drive
from snnrun.plan import Constants, Plan, PopulationPlan, Sample, Structure

MAX_CHUNK = 1000  # steps
FRAME_BYTES = 32 * 2**20  # what the frames of a chunk may take
FIRST_CHUNK = 16  # steps; chunks then grow until one takes a while
CHUNK_SECONDS = 0.25


class State(NamedTuple):
    """Everything that a run remembers between two steps."""

    step: Any  # int64
    neurons: tuple[Any, ...]  # one per population
    receptors: tuple[Any, ...]
    history: History
    row: Any  # uint32 [words]: who fired in the last step, which is not in the history yet


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
    """A state variable is no number any more."""


def init(plan: Plan) -> State:
    """The state at t = 0."""
    s, c = plan.structure, plan.constants
    dtype = np.dtype(s.precision)
    population_states = []
    for population, const, V in zip(s.populations, c.neurons, c.V, strict=True):
        if population.model == "poisson":
            population_states.append(neurons.poisson.State())
        elif population.model == "spike_times":
            population_states.append(neurons.spike_times.init(population.padded))
        else:
            ref = np.zeros(population.padded, np.int32)
            population_states.append(neurons.MODELS[population.model].init(const, V, ref))
    receptor_states = [synapses.MODELS[r.synapse].init(np.zeros(r.padded, dtype)) for r in s.receptors]
    words = np.zeros((s.depth, s.sources // 32), np.uint32)
    history = History(words, np.zeros(words.shape, np.int32))
    row = np.zeros(s.sources // 32, np.uint32)
    return State(np.int64(0), tuple(population_states), tuple(receptor_states), history, row)


def step(s: Structure, c: Constants, state: State) -> tuple[State, Any]:
    """One step of the network: the state after it, and the bits of the neurons that fired in it."""
    k = state.step
    # The history is written before it is read: the other way round, XLA copies all of it in every step.
    history = _recorded(state.history, state.row, k - 1)
    arrivals = _arrivals(s, c, history, k)
    receptor_states = []
    for plan, const, receptor, arrived in zip(s.receptors, c.synapses, state.receptors, arrivals, strict=True):
        module = synapses.MODELS[plan.synapse]
        advanced = module.advance(const, receptor)
        receptor_states.append(advanced if arrived is None else module.arrive(const, advanced, arrived))
    population_states, rows = [], []
    for i, plan in enumerate(s.populations):
        if plan.model == "poisson":
            after, fired = state.neurons[i], neurons.poisson.step(c.neurons[i], k, plan.padded)
        elif plan.model == "spike_times":
            after, fired = neurons.spike_times.step(c.neurons[i], state.neurons[i], k)
        else:
            drive = _drive(s, c, plan, i, state, receptor_states)
            after, fired = neurons.MODELS[plan.model].step(c.neurons[i], state.neurons[i], drive, plan.method)
        if plan.padded > plan.size:
            fired = fired & (np.arange(plan.padded) < plan.size)
        population_states.append(after)
        rows.append(_packed(fired))
    row = jnp.concatenate(rows)
    if s.instant:
        sums = xla.deliver(c.instant, History(row[None], _running_count(row)[None]), k)
        for r, plan in enumerate(s.receptors):
            if plan.instant:
                module = synapses.MODELS[plan.synapse]
                receptor_states[r] = module.arrive(c.synapses[r], receptor_states[r], _in_units(s, c, r, sums, None))
    return State(k + 1, tuple(population_states), tuple(receptor_states), history, row), row


def _arrivals(s: Structure, c: Constants, history: History, k: Any) -> list[Any]:
    """What arrives at the end of step k through each receptor, in its unit, one value per neuron; None where nothing can."""
    sums = xla.deliver(c.due, history, k) if s.due else None
    return [_in_units(s, c, r, sums if plan.due else None, _noise(s, c, r, k)) for r, plan in enumerate(s.receptors)]


def _noise(s: Structure, c: Constants, r: int, k: Any) -> Any:
    """Sum of the Poisson inputs of a receptor, in quanta; None where it has none."""
    plan, total = s.receptors[r], None
    for i in plan.noise:
        part = s.noise[i]
        counts = inputs.poisson.arrivals(c.noise[i], k, part.start, part.stop)
        counts = jnp.pad(counts, (part.start, plan.padded - part.stop))
        total = counts if total is None else total + counts
    return total


def _in_units(s: Structure, c: Constants, r: int, sums: Any, noise: Any) -> Any:
    """Integer sums of a receptor as floats: int64 -> float64, times the quantum, -> the run's precision."""
    plan = s.receptors[r]
    quanta = None if sums is None else sums[plan.first : plan.first + plan.padded]
    if noise is not None:
        quanta = noise if quanta is None else quanta + noise
    return None if quanta is None else (quanta.astype(jnp.float64) * c.quantum[r]).astype(jnp.dtype(s.precision))


def _drive(s: Structure, c: Constants, plan: PopulationPlan, i: int, state: State, after: list[Any]) -> Drive:
    """What a population receives in a step: receptor variables of its beginning, and jumps of its end."""
    total: dict[str, Any] = dict.fromkeys(Drive._fields)

    def add(field: str, value: Any) -> None:
        total[field] = value if total[field] is None else total[field] + value

    for changes, factors, profile in c.currents[i]:
        add("current", factors[jnp.sum(changes <= state.step)] * profile)
    for r in plan.receptors:
        receptor, module = s.receptors[r], synapses.MODELS[s.receptors[r].synapse]
        if receptor.output is None:
            add("jump", after[r].x)
        elif receptor.output == "coba":
            add("conductance", state.receptors[r].x)
            add("reversal", state.receptors[r].x * c.reversal[r])
        elif c.gains[r] is not None:
            add("increment", module.increment(c.gains[r], state.receptors[r]))
        else:
            add("current", state.receptors[r].x)
    return Drive(**total)


def _packed(fired: Any) -> Any:
    """Bits of a mask, 32 to a word, the first neuron in the lowest bit."""
    bits = fired.reshape(-1, 32).astype(jnp.uint32) << jnp.arange(32, dtype=jnp.uint32)
    return jnp.sum(bits, axis=1, dtype=jnp.uint32)


def _recorded(history: History, row: Any, k: Any) -> History:
    place, put = k % history.words.shape[0], lax.dynamic_update_index_in_dim
    return History(put(history.words, row, place, 0), put(history.count, _running_count(row), place, 0))


def _running_count(row: Any) -> Any:
    """Spikes in a row up to and including each word."""
    return jnp.cumsum(lax.population_count(row).astype(jnp.int32), dtype=jnp.int32)


# ---- chunks ----------------------------------------------------------------------------------------------------------


def _take(s: Structure, c: Constants, sample: Sample, state: State) -> Any:
    """The values of a sample in the present state."""
    window = slice(sample.start, sample.stop)
    if sample.kind == "neuron":
        values = getattr(state.neurons[sample.place], sample.field)
        return jnp.zeros(sample.stop - sample.start, jnp.int32) if values is None else values[window]
    values = getattr(state.receptors[sample.place], sample.field)
    receptor = s.receptors[sample.place]
    if sample.kind == "input" and receptor.output == "coba":
        values = values * (c.reversal[sample.place] - state.neurons[receptor.population].V)
    return values[window]


def _frames(sample: Sample, step: Any) -> Any:
    """How many frames of a sample lie before a step."""
    return (jnp.maximum(step - sample.first_step, 0) + sample.every - 1) // sample.every


@functools.partial(jax.jit, static_argnums=(0, 4), donate_argnums=(2,))
def run_chunk(s: Structure, c: Constants, state: State, steps: Any, capacity: int) -> tuple[State, Any, tuple[Any, ...], Any]:
    """`steps` steps (traced, at most `capacity`): the state after them, rows of fired bits, samples, and a flag for NaN."""
    begin = state.step

    def body(i: Any, carry: Any) -> Any:
        state, rows, samples = carry
        taken = []
        for sample, buffer in zip(s.samples, samples, strict=True):
            k = state.step
            due = (k >= sample.first_step) & (k < sample.last_step) & ((k - sample.first_step) % sample.every == 0)
            slot = jnp.where(due, _frames(sample, k) - _frames(sample, begin), buffer.shape[0] - 1)
            taken.append(buffer.at[slot].set(_take(s, c, sample, state)))
        state, row = step(s, c, state)
        if s.tapped:
            rows = rows.at[i].set(jnp.concatenate([row[a:b] for a, b in s.tapped]))
        return state, rows, tuple(taken)

    rows = jnp.zeros((capacity, sum(b - a for a, b in s.tapped)), jnp.uint32)
    # the last row of a buffer takes what is not due
    samples = tuple(
        jnp.zeros((-(-capacity // sample.every) + 2, sample.stop - sample.start), jax.eval_shape(
            lambda sample=sample: _take(s, c, sample, state)).dtype)
        for sample in s.samples
    )  # fmt: skip
    state, rows, samples = lax.fori_loop(0, steps, body, (state, rows, samples))
    floats = [leaf for leaf in jax.tree.leaves((state.neurons, state.receptors)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    failed = jnp.any(jnp.array([jnp.any(~jnp.isfinite(leaf)) for leaf in floats])) if floats else jnp.array(False)
    return state, rows, samples, failed


def capacity_of(s: Structure) -> int:
    """Steps per chunk that the frames' memory allows."""
    per_step = 4 * sum(b - a for a, b in s.tapped)
    per_step += sum(8 * (sample.stop - sample.start) / sample.every for sample in s.samples)
    return int(max(1, min(MAX_CHUNK, FRAME_BYTES // max(per_step, 1), s.steps)))


def simulate(plan: Plan, state: State, steps: int, sink: Sink, capacity: int | None = None,
             progress: Callable[[int], None] | None = None) -> State:  # fmt: skip
    """Run `steps` steps from a state and hand every chunk's frame to the sink. Raises NumericalError on NaN.

    The device works on the next chunk while the sink writes the last one.
    """
    s = plan.structure
    capacity = capacity_of(s) if capacity is None else capacity
    constants = jax.device_put(plan.constants)
    state = jax.device_put(state)
    done, first = 0, int(state.step)
    state, *_ = run_chunk(s, constants, state, np.int64(0), capacity)  # compiles, and does nothing
    if progress is not None:
        progress(first)
    length, pending = min(FIRST_CHUNK, capacity), None
    began = time.perf_counter()
    while done < steps:
        count = min(length, steps - done)
        state, rows, samples, failed = run_chunk(s, constants, state, np.int64(count), capacity)
        if pending is not None:
            _hand_over(s, pending, sink, progress)
        pending = (first + done, count, rows, samples, failed)
        done += count
        now = time.perf_counter()
        if now - began < CHUNK_SECONDS:
            length = min(2 * length, capacity)
        began = now
    if pending is not None:
        _hand_over(s, pending, sink, progress)
    return state


def _hand_over(s: Structure, pending: Any, sink: Sink, progress: Callable[[int], None] | None) -> None:
    first, count, rows, samples, failed = pending
    host = []
    for sample, buffer in zip(s.samples, samples, strict=True):
        frames = [int(np.clip(-(-(k - sample.first_step) // sample.every), 0, None)) for k in (first, first + count)]
        last = int(np.clip(-(-(sample.last_step - sample.first_step) // sample.every), 0, None))
        host.append(np.asarray(buffer)[: max(min(frames[1], last) - frames[0], 0)])
    frame = Frame(first, count, np.asarray(rows)[:count], tuple(host), bool(failed))
    sink.write(frame)
    if frame.failed:
        raise NumericalError(
            f"a state variable is no finite number any more, at the latest at t = {(first + count) * s.dt:.6g} ms"
        )
    if progress is not None:
        progress(first + count)
