"""A source of independent Poisson trains, one per neuron: in every step each neuron spikes with probability rate * dt.

All targets of a source neuron see the same train. At most one spike per neuron and step.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun import random
from snnrun.models.interface import Drive, Members, Parameters, Population, Rule, State, Words
from snnrun.quantities import Count, Drawable, Rate, Windowed


class Spec(Windowed):
    """Sources that spike at random at a given rate."""

    model: Literal["poisson"]
    size: Count
    """Number of neurons."""
    rate: Drawable[Rate]
    """Mean number of spikes per time; rate * dt is at most 1."""


class Const(NamedTuple):
    threshold: Any  # a 32-bit word below this is a spike
    start: Any  # first step and the one after the last
    stop: Any
    streams: random.Streams


class Poisson(Population):
    """It remembers nothing: a draw depends on the neuron and the step alone."""

    Spec = Spec
    source = True
    rules = (Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"),)

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        if isinstance(spec.rate, float) and checker.dt is not None:
            p = spec.rate * checker.dt
            if p > 1:
                message = f"rate * dt is {p:.3g}, and a source spikes at most once in a step"
                checker.fault((*path, "rate"), message, "use several sources, or an input of model poisson")
            elif p > 0.1:
                checker.warn((*path, "rate"), f"rate * dt is {p:.2g}: spikes that would share a step are lost")

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        per_step = np.asarray(parameters["rate"]) * dt
        message = f"a rate makes {np.max(per_step):.3g} spikes per step; the limit is 1"
        return ("rate", message, per_step > 1.0) if np.any(per_step > 1.0) else None

    def lower(self, members: Members, method: str) -> Const:
        p = members.parameters
        return Const(
            random.bernoulli_threshold(np.minimum(np.asarray(p["rate"]) * members.dt, 1.0)),
            np.asarray(p["start"], np.int64),
            np.asarray(p["stop"], np.int64),
            random.side_by_side(members.streams("spikes"), members.sizes, members.padded),
        )

    def init(self, const: Const, initial: State, padded: int) -> State:
        return {}

    def step(self, const: Const, state: State, drive: Drive, method: str, step: Any, words: Words) -> tuple[State, Any]:
        spikes = words(const.streams, step) < const.threshold
        return state, spikes & (step >= const.start) & (step < const.stop)


MODEL = Poisson()
