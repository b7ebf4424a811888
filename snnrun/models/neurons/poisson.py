"""A source of independent Poisson trains, one per neuron: in every step each neuron spikes with probability rate * dt.

The rate is constant, or has a course in time that all neurons share: see models/rates.py. All targets of a source neuron see the
same train. At most one spike per neuron and step.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from snnrun import random
from snnrun.models import rates
from snnrun.models.interface import Drive, Members, Parameters, Population, Rule, State, Words
from snnrun.models.layout import Layout
from snnrun.quantities import Count, Drawable, Rate, Windowed, fault


class Spec(Windowed):
    """Sources that spike at random at a given rate."""

    model: Literal["poisson"]
    size: Count
    """Number of neurons."""
    layout: Layout | None = None
    """Where the neurons are."""
    rate: Drawable[Rate] | None = None
    """Mean number of spikes per time, rate * dt is at most 1; this or course."""
    course: rates.Course | None = None
    """How the rate goes in time, the same for all neurons."""

    @model_validator(mode="after")
    def _one_of_rate_and_course(self) -> "Spec":
        if (self.rate is None) == (self.course is None):
            missing = self.rate is None
            raise fault(
                "rate or course is missing" if missing else "rate and course are both given",
                "write one of them, like rate: 10 Hz" if missing else "keep one of them",
                at=() if missing else ("course",),
            )
        return self


class Const(NamedTuple):
    threshold: Any  # a 32-bit word below this is a spike; None where that changes in time
    start: Any  # first step and the one after the last
    stop: Any
    streams: random.Streams
    course: rates.Const | None  # in that case


class Poisson(Population):
    """It remembers nothing: a draw depends on the neuron and the step alone."""

    Spec = Spec
    source = True
    rules = (Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"),)

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        said = "spikes that would share a step are lost"
        if isinstance(spec.rate, float):
            rates.check(checker, (*path, "rate"), spec.rate, said)
        if spec.course is not None:
            each = lambda path, rate: rates.check(checker, path, rate, said)  # noqa: E731
            rates.check_course(checker, (*path, "course"), spec.course, each)

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        return None if parameters["rate"] is None else rates.sound(parameters["rate"], dt)

    def lower(self, members: Members, method: str) -> Const:
        p, course, threshold = members.parameters, None, None
        if p["course"] is None:
            threshold = random.bernoulli_threshold(np.minimum(np.asarray(p["rate"]) * members.dt, 1.0))
        else:
            course = rates.lower(p["course"], members.sizes, members.padded, members.dt)
        return Const(
            threshold,
            np.asarray(p["start"], np.int64),
            np.asarray(p["stop"], np.int64),
            random.side_by_side(members.streams("spikes"), members.sizes, members.padded),
            course,
        )

    def init(self, const: Const, initial: State, padded: int) -> State:
        return {}

    def step(
        self, const: Const, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Any]:
        threshold = const.threshold if const.course is None else rates.threshold(const.course, step)
        spikes = words(const.streams, step) < threshold
        return state, spikes & (step >= const.start) & (step < const.stop)


MODEL = Poisson()
