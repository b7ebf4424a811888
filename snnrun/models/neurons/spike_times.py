"""A source that spikes at listed times.

A time t is the stamp of the spike: the whole step t / dt, at least one. A neuron spikes at most once in a step.
"""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Discriminator, Tag

from snnrun import units
from snnrun.lazy import jnp
from snnrun.models.interface import Drive, Members, Population, State, Words
from snnrun.quantities import Count, FewSteps, Frozen, TrainsFile


class Spec(Frozen):
    """Sources that spike at given times."""

    model: Literal["spike_times"]
    size: Count
    """Number of neurons."""
    times: Annotated[
        Annotated[tuple[FewSteps, ...], Tag("<list>")] | Annotated[TrainsFile, Tag("<file>")],
        Discriminator(lambda raw: "<file>" if isinstance(raw, dict | TrainsFile) else "<list>"),
    ]
    """Times at which all neurons spike, or a file with the columns `neuron` and `time_ms`."""


NEVER = np.iinfo(np.int64).max


class Const(NamedTuple):
    stamps: Any  # steps, ascending within a neuron, each neuron's list closed by NEVER
    first: Any  # where a neuron's list begins


class SpikeTimes(Population):
    """Its state is how many spikes each neuron has sent."""

    Spec = Spec
    source = True

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        seen: dict[int, int] = {}
        for i, time in enumerate(spec.times if isinstance(spec.times, tuple) else ()):
            step = units.steps(time, checker.dt) if checker.dt is not None else None
            if step is not None:
                if step in seen:
                    checker.fault((*path, "times", i), "two spikes in one step", "a neuron spikes at most once in a step")
                seen[step] = i

    def lower(self, members: Members, method: str) -> Const:
        """The trains are pairs (neuron, stamp), in any order."""
        neurons, stamps = members.parameters["times"]
        every_neuron = np.concatenate([neurons, np.arange(members.padded)])
        every_stamp = np.concatenate([stamps, np.full(members.padded, NEVER)])
        order = np.lexsort((every_stamp, every_neuron))
        counts = np.bincount(neurons, minlength=members.padded)
        first = np.concatenate([[0], np.cumsum(counts + 1)[:-1]])
        return Const(every_stamp[order], first.astype(np.int64))

    def init(self, const: Const, initial: State, padded: int) -> State:
        return {"spent": np.zeros(padded, np.int64)}

    def step(self, const: Const, state: State, drive: Drive, method: str, step: Any, words: Words) -> tuple[State, Any]:
        """A spike of step k bears the stamp k + 1."""
        fired = const.stamps[const.first + state["spent"]] == step + 1
        return {"spent": state["spent"] + fired.astype(jnp.int64)}, fired


MODEL = SpikeTimes()
