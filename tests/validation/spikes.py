"""Spike for spike: one network, drawn once by snnrun, simulated by snnrun and by another simulator.

A case is a network file in cases/. Everything in it is deterministic once its neurons and synapses are drawn, and the other
simulator is given exactly those, as lists of numbers. Then the two must agree in every spike, to the step, and in the membrane
potential up to the rounding of float64. How each simulator is made to compute the same is said in scripts/references/run_*.py.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import networks
import numpy as np
from references import describe, processes

from snnrun import lower, network

HERE = Path(__file__).parent
CASES, STORED = HERE / "cases", HERE / "stored"
COMPARED = {  # case -> simulators that have all its parts
    "delta": ("nest", "brian2"),
    "expon": ("nest", "brian2"),
    "expon_equal": ("nest",),  # Brian2's solution divides by 1 / tau - 1 / tau_syn
    "alpha": ("nest",),
    "alpha_equal": ("nest",),
    "refractory": ("nest", "brian2"),
    "coba": ("brian2",),  # NEST integrates conductances adaptively, which is no fixed scheme
    "einet": ("brian2", "brainpy"),
}
PAIRS = [(case, simulator) for case, simulators in COMPARED.items() for simulator in simulators]
WATCHED = {"neurons": 20, "every": 100}  # membrane potentials that are compared, and after how many steps each
TIMEOUT = 1800.0  # seconds
VOLTAGE = 1e-9  # mV by which potentials may differ: errors of rounding grow between two spikes, and begin at 1e-14


class Recorded(NamedTuple):
    """All spikes in the order of (step, neuron), and samples [times, neurons] of V in mV at every 100th step."""

    step: Any
    neuron: Any
    V: Any


class Agreement(NamedTuple):
    """What a comparison finds."""

    ours: int  # spikes
    theirs: int
    first: int | None  # step of the first spike that only one of the two has
    voltage: float  # largest difference of V in mV, before that


def described(case: str, **overrides: Any) -> dict[str, Any]:
    """The drawn network in plain numbers; `overrides` replace values of the file, like `seed=2`."""
    return describe.describe(CASES / f"{case}.yaml", overrides, drawn=True)


def digest(description: dict[str, Any]) -> str:
    """What tells one drawn network from another."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def ours(case: str, kernel: str, **overrides: Any) -> Recorded:
    """The run of snnrun with one of its kernels."""
    spec = describe.load(CASES / f"{case}.yaml", overrides)
    recorded = networks.run_plan(lower.lower(network.build(spec, CASES), kernel=kernel))
    step, neuron = np.array(recorded.spikes["N"], np.int64).T
    return Recorded(step, neuron, recorded.samples["V", "N", "V"][1:])  # the first sample is the initial state


def theirs(case: str, simulator: str, python: Path, folder: Path, **overrides: Any) -> tuple[Recorded, str, str]:
    """The run of another simulator, its version, and the digest of the network. Raises RuntimeError."""
    file, kept, description = folder / "network.json", folder / "kept.npz", described(case, **overrides)
    file.write_text(json.dumps(description))
    request = {"network": str(file), "folder": str(folder), "threads": 1, "keep": str(kept), "voltage": WATCHED}
    found = processes.run(simulator, python, {**request, "precision": "float64"}, None, TIMEOUT)
    if isinstance(found, str) or "unsupported" in found:
        raise RuntimeError(f"{case} with {simulator}: {found}")
    arrays = np.load(kept)
    return Recorded(*(arrays[name] for name in Recorded._fields)), found["version"], digest(description)


def path(case: str, simulator: str) -> Path:
    return STORED / f"{case}.{simulator}.npz"


def store(case: str, simulator: str, recorded: Recorded, version: str, drawn: str) -> None:
    """Keep a run of another simulator for the tests."""
    small = [part.astype(np.uint16) for part in recorded[:2]]
    assert all(np.array_equal(a, b) for a, b in zip(small, recorded, strict=False))
    STORED.mkdir(exist_ok=True)
    np.savez_compressed(path(case, simulator), step=small[0], neuron=small[1], V=recorded.V, version=version, network=drawn)


def stored(case: str, simulator: str) -> tuple[Recorded, str, str]:
    """What `store` kept: the run, the version, the digest of the network."""
    arrays = np.load(path(case, simulator))
    recorded = Recorded(arrays["step"].astype(np.int64), arrays["neuron"].astype(np.int64), arrays["V"])
    return recorded, str(arrays["version"]), str(arrays["network"])


def compare(a: Recorded, b: Recorded) -> Agreement:
    """How far two runs agree."""
    spikes = [set(zip(np.asarray(r.step).tolist(), np.asarray(r.neuron).tolist(), strict=True)) for r in (a, b)]
    odd = spikes[0] ^ spikes[1]
    first = min((step for step, _ in odd), default=None)
    rows = len(a.V) if first is None else max((first - 1) // WATCHED["every"], 0)
    difference = np.abs(a.V[:rows] - b.V[:rows])
    return Agreement(len(a.step), len(b.step), first, float(difference.max()) if difference.size else 0.0)
