"""A source of independent Poisson trains, one per neuron: in every step each neuron spikes with probability rate * dt.

All targets of a source neuron see the same train. At most one spike per neuron and step.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun import random
from snnrun.neurons.drive import Rule
from snnrun.quantities import Count, Drawable, Frozen, Rate, Time


class Spec(Frozen):
    """Sources that spike at random at a given rate."""

    model: Literal["poisson"]
    size: Count
    """Number of neurons."""
    rate: Drawable[Rate]
    """Mean number of spikes per time; rate * dt is at most 1."""
    start: Time = 0.0
    """Silent before this time."""
    stop: Time | None = None
    """Silent from this time on."""


DRAWN = {"rate": "rate"}
VARIABLES: dict[str, str] = {}
RULES = (Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"),)


class Const(NamedTuple):
    threshold: Any  # a 32-bit word below this is a spike
    start: Any  # first step and the one after the last
    stop: Any
    stream: Any


class State(NamedTuple):
    """A Poisson source remembers nothing: a draw depends on the neuron and the step alone."""


def lower(rate: Any, start: int, stop: int, stream: random.Key, dt: float) -> Const:
    return Const(
        random.bernoulli_threshold(np.minimum(np.asarray(rate) * dt, 1.0)),
        np.int64(start),
        np.int64(stop),
        np.array(stream, np.uint32),
    )


def step(const: Const, step: Any, size: int, draw: Callable[..., Any] = random.step_words) -> Any:
    """Who spikes in a step, for `size` neurons; `draw` yields a word for each."""
    words = draw((const.stream[0], const.stream[1]), step, 0, size)
    return (words < const.threshold) & (step >= const.start) & (step < const.stop)
