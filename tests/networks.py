"""Small networks as text, run without files: what the tests of the simulation share."""

import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from snnrun import check, engine, lower, network


class Recording(NamedTuple):
    """What a run recorded, by monitor."""

    spikes: dict[str, list[tuple[int, int]]]  # population -> (stamp in steps, neuron), in order
    samples: dict[tuple[str, str, str], np.ndarray]  # (monitor, population, label) -> [frames, neurons]
    state: Any
    plan: Any


class Frames(list):
    """A sink that keeps frames."""

    write = list.append


def load(tmp_path: Path, text: str, name: str = "net.yaml"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return check.load(path)


def plan_of(tmp_path: Path, text: str, merge: bool = True, **options):
    """The plan of a network; `options` are those of `lower`: kernel, threads, procedural_if_needed."""
    spec = load(tmp_path, text).spec
    return lower.lower(network.build(spec, tmp_path), merge, **options)


def run_plan(plan, capacity: int | None = None, lengths: list[int] | None = None) -> Recording:
    """Run a plan to its end; `lengths` are steps to take at a time."""
    sink, state = Frames(), engine.init(plan)
    for length in lengths or [plan.structure.steps]:
        state = engine.simulate(plan, state, length, sink, capacity)
    spikes: dict[str, list[tuple[int, int]]] = {}
    for tap in plan.structure.taps:
        if tap.bin is not None:
            continue
        found = spikes.setdefault(tap.population, [])
        for frame in sink:
            bits = np.unpackbits(frame.rows.copy().view(np.uint8), axis=1, bitorder="little")[:, tap.bit :]
            for step, neuron in zip(*np.nonzero(bits[:, np.asarray(tap.neurons)]), strict=True):
                found.append((frame.first_step + int(step) + 1, tap.neurons[int(neuron)]))
    samples = {}
    for sample in plan.structure.samples:
        own = slice(sample.column, sample.column + len(sample.neurons))
        samples[sample.monitor, sample.population, sample.label] = np.concatenate([f.samples[sample.take][:, own] for f in sink])
    return Recording(spikes, samples, state, plan)


def run(tmp_path: Path, text: str, **options) -> Recording:
    return run_plan(plan_of(tmp_path, text), **options)


def states(recorded: Recording, without: str = "") -> dict[str, np.ndarray]:
    """All that a run has left, by name, but for a population and what is on it."""
    found = {f"{p.name}/{name}": (p.name, values) for name, p, values in engine.variables(recorded.plan, recorded.state)}
    return {name: values for name, (on, values) in found.items() if on != without}


def records(recorded: Recording, without: str = "") -> dict[str, np.ndarray]:
    """All that a run shows, by name, but for what is of a population."""
    found = {f"spikes of {name}": np.array(spikes).reshape(-1, 2) for name, spikes in recorded.spikes.items() if name != without}
    return found | {" ".join(key): values for key, values in recorded.samples.items() if key[1] != without}


def assert_same_bits(one: Recording, other: Recording, without: str = "", watched: bool = True) -> None:
    """Two runs have the same state at their end and, if `watched`, recorded the same."""
    for find in (states, records) if watched else (states,):
        a, b = find(one, without), find(other, without)
        assert a.keys() == b.keys()
        for name, values in a.items():
            assert values.dtype == b[name].dtype
            np.testing.assert_array_equal(values, b[name], err_msg=name)
