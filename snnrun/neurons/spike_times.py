"""A source that spikes at listed times.

A time t is the stamp of the spike: the whole step t / dt, at least one. A neuron spikes at most once in a step.
"""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Tag

from snnrun.lazy import jnp
from snnrun.quantities import Count, Frozen, OffGrid, Time


class TrainsFile(Frozen):
    """A file with the columns `neuron` (0-based) and `time_ms`, or a file of spikes of SONATA's."""

    file: str
    population: str | None = None
    """Whose spikes of a SONATA file; may be left out where there is one population."""
    off_grid: OffGrid = "error"
    """What becomes of times that are no whole number of steps: an error, or the nearest step. Spikes of a neuron that then
    share a step are one spike."""


class Spec(Frozen):
    """Sources that spike at given times."""

    model: Literal["spike_times"]
    size: Count
    """Number of neurons."""
    times: Annotated[
        Annotated[tuple[Time, ...], Tag("<list>")] | Annotated[TrainsFile, Tag("<file>")],
        Discriminator(lambda raw: "<file>" if isinstance(raw, dict | TrainsFile) else "<list>"),
    ]
    """Times at which all neurons spike, or a file with the columns `neuron` and `time_ms`."""


DRAWN: dict[str, str] = {}
VARIABLES: dict[str, str] = {}
RULES = ()
NEVER = np.iinfo(np.int64).max


class Const(NamedTuple):
    stamps: Any  # steps, ascending within a neuron, each neuron's list closed by NEVER
    first: Any  # where a neuron's list begins


class State(NamedTuple):
    spent: Any  # spikes that each neuron has sent


def lower(neurons: NDArray[np.int64], stamps: NDArray[np.int64], size: int, padded: int) -> Const:
    """From pairs (neuron, stamp), in any order."""
    every_neuron = np.concatenate([neurons, np.arange(padded)])
    every_stamp = np.concatenate([stamps, np.full(padded, NEVER)])
    order = np.lexsort((every_stamp, every_neuron))
    counts = np.bincount(neurons, minlength=padded)
    first = np.concatenate([[0], np.cumsum(counts + 1)[:-1]])
    return Const(every_stamp[order], first.astype(np.int64))


def init(padded: int) -> State:
    return State(np.zeros(padded, np.int64))


def step(const: Const, state: State, step: Any) -> tuple[State, Any]:
    """Who spikes in a step; a spike of step k bears the stamp k + 1."""
    fired = const.stamps[const.first + state.spent] == step + 1
    return State(state.spent + fired.astype(jnp.int64)), fired
