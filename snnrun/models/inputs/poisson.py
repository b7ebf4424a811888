"""A Poisson train for every target neuron, without a population of sources.

In each step a neuron receives n ~ Poisson(rate * dt) spikes at once, which act as one of n times the weight. A spike of
step k arrives at the end of the step, plus the delay. The rate is constant, or has a course in time that all neurons share: see
models/rates.py.

Trains are independent, or have a correlation c: then there is one mother train of the rate r / c for all targets of the input,
and each of them copies each of its events with probability c. So each train is a Poisson process of rate r, and c is the
correlation of the counts of any two (the multiple interaction process of Kuhn, Aertsen & Rotter, Neural Comput. 15, 2003). With
c = 1 all targets have the same train.

Counts follow from one random word per neuron and step by comparison with thresholds. Where these differ from step to step they
are rows of a table: of the distinct rates, or, of a sine and where there are more rates than rows, along the turn or the rates,
with lines between the rows. The mean of the counts is linear in the thresholds.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from snnrun import random
from snnrun.lazy import jnp, lax
from snnrun.models import rates
from snnrun.models.inputs import normals
from snnrun.models.interface import Input, Parameters, Rule
from snnrun.models.outputs import Output
from snnrun.models.synapses import Init, Synapse
from snnrun.quantities import Drawable, Rate, Selection, Steps, WeightQuantity, Windowed, fault

MAX_PER_STEP = 64.0  # above this mean a table of thresholds is the wrong tool
NEVER = 2**32 - 1  # a threshold; this word is not drawn where one may be there
_ROW, _PART = 12, 20  # bits of a place that choose a row, and bits of the way to the next one


class Spec(Windowed):
    """Background noise: one Poisson train per target neuron."""

    model: Literal["poisson"]
    to: Selection
    """Population, slice of one, or list of these."""
    rate: Drawable[Rate] | None = None
    """Mean number of spikes per time that a neuron receives; this or course."""
    course: rates.Course | None = None
    """How the rate goes in time, the same for all neurons."""
    correlation: normals.Correlation = 0.0
    """Of the trains of any two targets: 0 where they are independent, 1 where there is one train for all."""
    weight: Drawable[WeightQuantity]
    """mV for delta, pA for cuba, nS for coba."""
    delay: Steps = 0.0
    """From the spike to its arrival, in whole steps."""
    synapse: Synapse
    """How the effect of a spike unfolds in time."""
    output: Output | None = None
    """cuba where it is not given."""
    init: Init = Init()
    """What the synapses hold at t = 0, instead of nothing."""

    @model_validator(mode="after")
    def _one_of_rate_and_course(self) -> "Spec":
        if (self.rate is None) == (self.course is None):
            missing = self.rate is None
            raise fault(
                "rate or course is missing" if missing else "rate and course are both given",
                "write one of them, like rate: 10 Hz" if missing else "keep one of them",
                at=() if missing else ("course",),
            )
        if self.correlation > 0 and self.rate is not None and not isinstance(self.rate, float):
            raise fault("correlated trains have one rate for all", "write a number with its unit", at=("rate",))
        return self


class Course(NamedTuple):
    """Thresholds that differ from step to step: see native/noise.hpp."""

    rows: Any  # uint32 [rows, thresholds]
    changes: Any  # int64 [changes]; None where the place moves on evenly
    places: Any  # uint64 [changes + 1]; None in that case
    phase: Any  # uint64: the place in step 0, and what a step adds to it
    turn: Any


class Const(NamedTuple):
    table: Any  # thresholds [m] or, with one rate per neuron, [m, n]; None where there is a course
    weight: Any  # in quanta of the receptor
    delay_steps: Any
    start: Any  # first step and the one after the last
    stop: Any
    stream: Any
    course: Course | None = None
    copies: Any = None  # uint32 [events + 1, events]: thresholds of how many of some events are copied; None where none are
    mother: Any = None  # stream of the events


def table(rate: Any, dt: float) -> Any:
    """Thresholds of the inverse cumulative distribution, for one rate or for one rate per neuron."""
    means = np.asarray(rate, np.float64) * dt
    if means.ndim == 0:
        return random.poisson_table(float(means))
    distinct, which = np.unique(means, return_inverse=True)
    return np.ascontiguousarray(_rows(distinct).T[:, which])


def _rows(means: Any) -> Any:
    """Thresholds of some means, the shorter rows filled up: uint32 [means, thresholds]."""
    tables = [random.poisson_table(float(mean)) for mean in means]
    filled = np.full((len(tables), max(map(len, tables))), NEVER, np.uint32)
    for row, thresholds in zip(filled, tables, strict=True):
        row[: len(thresholds)] = thresholds
    return filled


def lower(values: Parameters, dt: float) -> dict[str, Any]:
    """The constants that decide how many spikes come: table, course and copies of a Const."""
    correlation, course = values["correlation"], values["course"]
    if course is None and correlation == 0:
        return {"table": table(values["rate"], dt)}
    course = rates.Pieces(np.empty(0, np.int64), np.array([values["rate"]])) if course is None else course
    found = _course(course, dt / correlation if correlation else dt, dt)
    return {"table": None, "course": found, "copies": _copies(found.rows.shape[1], correlation) if correlation else None}


def _course(course: rates.Pieces | rates.Wave, per_rate: float, dt: float) -> Course:
    """Of a rate in time, and the mean count in a step per rate."""
    zero = np.uint64(0)
    if isinstance(course, rates.Wave):
        angle = 2 * math.pi * np.arange(2**_ROW + 1) / 2**_ROW
        means = np.maximum(course.mean + course.amplitude * np.sin(angle), 0.0) * per_rate
        turn = course.frequency * dt
        return Course(_rows(means), None, None, *rates.of_a_turn([course.phase / (2 * math.pi) + turn / 2, turn]))
    means = course.rates * per_rate
    distinct, which = np.unique(means, return_inverse=True)
    if len(distinct) <= 2**_ROW:
        places = which.astype(np.uint64) << np.uint64(64 - _ROW)
        return Course(_rows(np.append(distinct, distinct[-1])), course.changes, places, zero, zero)
    levels = np.linspace(0.0, distinct[-1], 2**_ROW + 1)
    places = np.floor(means / distinct[-1] * 2.0 ** (_ROW + _PART))
    places = np.minimum(places, 2.0 ** (_ROW + _PART) - 1).astype(np.uint64) << np.uint64(64 - _ROW - _PART)
    return Course(_rows(levels), course.changes, places, zero, zero)


def _copies(events: int, correlation: float) -> Any:
    found = np.full((events + 1, events), NEVER, np.uint32)
    for n in range(1, events + 1):
        found[n, :n] = random.binomial_table(n, correlation)
    return found


def most(values: Parameters, dt: float) -> int:
    """The largest number of spikes that a neuron may receive in a step."""
    course, correlation = values["course"], values["correlation"]
    if course is None:
        highest = float(np.max(values["rate"]))
    else:
        highest = course.mean + abs(course.amplitude) if isinstance(course, rates.Wave) else float(np.max(course.rates))
    return len(random.poisson_table(highest * dt / (correlation or 1.0)))


def arrivals(const: Const, step: Any, start: int, stop: int) -> Any:
    """Weight times number of spikes that arrive in a step, in quanta, for the neurons start ... stop - 1 of a population."""
    sent = step - const.delay_steps

    def draw() -> Any:
        words = random.step_words((const.stream[0], const.stream[1]), sent, start, stop - start)
        thresholds = const.table
        if const.course is not None:
            thresholds = _thresholds(const.course, sent)
            if const.copies is not None:
                word = random.step_words((const.mother[0], const.mother[1]), sent, 0, 1)
                events = jnp.sum(jnp.minimum(word, jnp.uint32(NEVER - 1)) >= thresholds, dtype=jnp.int32)
                thresholds = const.copies[events]
        if const.course is not None or thresholds.ndim == 2:
            words = jnp.minimum(words, jnp.uint32(NEVER - 1))
        count = jnp.zeros(words.shape, jnp.int32)
        for m in range(thresholds.shape[0]):  # one fused loop over the neurons, not a sum over a matrix
            count = count + (words >= thresholds[m]).astype(jnp.int32)
        return count

    # Within a conditional the counts are computed once. XLA would otherwise repeat the draws in each of their uses, which
    # takes five times as long.
    active = (sent >= const.start) & (sent < const.stop)
    return lax.cond(active, draw, lambda: jnp.zeros(stop - start, jnp.int32)).astype(jnp.int64) * const.weight


def _thresholds(course: Course, step: Any) -> Any:
    """The thresholds of a step, uint32 [thresholds]."""
    if course.changes is None:
        place = course.phase + course.turn * step.astype(jnp.uint64)
    else:
        place = course.places[jnp.searchsorted(course.changes, step, side="right")]
    row = (place >> np.uint64(64 - _ROW)).astype(jnp.int32)
    part = (place >> np.uint64(64 - _ROW - _PART)).astype(jnp.int64) & (2**_PART - 1)
    low, high = (course.rows[row + more].astype(jnp.int64) for more in (0, 1))
    return (low + (((high - low) * part) >> _PART)).astype(jnp.uint32)


class Poisson(Input):
    Spec = Spec
    checked = "the distribution of its counts; correlations; rates under noise by theory (validation.md)"
    rules = (Rule(("rate",), lambda rate: rate >= 0, "rate must not be negative"),)

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        def few(path: Any, rate: float) -> None:
            per_step = rate * (checker.dt or 0.0) / (spec.correlation or 1.0)
            if per_step > MAX_PER_STEP:
                of = " of the train whose events are copied" if spec.correlation else ""
                message = f"{per_step:.3g} spikes{of} per step are more than the limit of {MAX_PER_STEP:.0f}"
                checker.fault(path, message, "use a larger correlation" if spec.correlation else "split it into several inputs")

        if isinstance(spec.rate, float):
            few((*path, "rate"), spec.rate)
        if spec.course is not None:
            rates.check_course(checker, (*path, "course"), spec.course, few)

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        if parameters["rate"] is None:
            return None
        per_step = np.asarray(parameters["rate"]) * dt
        message = f"a rate makes {np.max(per_step):.3g} spikes per step; the limit is {MAX_PER_STEP:g}"
        return ("rate", message, per_step > MAX_PER_STEP) if np.any(per_step > MAX_PER_STEP) else None

    def highest(self, spec: Spec, dt: float) -> float:
        """The highest rate that a file may say."""
        return MAX_PER_STEP * (spec.correlation or 1.0) / dt


MODEL = Poisson()
