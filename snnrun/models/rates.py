"""Rates of sources: that one is not too high, and how one goes in time, which is its *course*.

    steps   r(t) = rates[i] from times[i] on, 0 before the first
    sine    r(t) = mean + amplitude sin(2 pi frequency t + phase)
    file    like steps, from the columns time_ms and rate_Hz

In step k a source spikes with probability r dt, where r is that of the beginning of the step for what changes on the grid, and
that of its middle for a sine. A sine is looked up in a table of one turn, with lines between the entries (right to 3e-7 of its
amplitude). Where in the turn a step lies is counted in 2**-64 of a turn, so that no phase is lost in long runs.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from snnrun import random, units
from snnrun.lazy import jax, jnp
from snnrun.quantities import Frozen, Rate, RatesFile, Steps, fault, paired

END = np.iinfo(np.int64).max


class StepsSpec(Frozen):
    """A rate that takes a new value at each of a list of times; 0 before the first."""

    model: Literal["steps"]
    times: tuple[Steps, ...]
    """When a rate begins, ascending."""
    rates: tuple[Rate, ...]
    """The rate from each of the times on."""

    @model_validator(mode="after")
    def _pairs(self) -> "StepsSpec":
        paired(self.times, self.rates, "rates")
        for i, rate in enumerate(self.rates):
            if rate < 0:
                raise fault("a rate must not be negative", at=("rates", i))
        return self


class SineSpec(Frozen):
    """A rate that goes up and down: mean + amplitude sin(2 pi frequency t + phase)."""

    model: Literal["sine"]
    mean: Rate
    amplitude: Rate
    """At most the mean: a rate is never negative."""
    frequency: Rate
    """Turns per time."""
    phase: float = 0.0
    """At t = 0, in radians."""

    @model_validator(mode="after")
    def _sound(self) -> "SineSpec":
        if self.mean < 0:
            raise fault("a rate must not be negative", at=("mean",))
        if abs(self.amplitude) > self.mean:
            raise fault("the rate falls below 0", "amplitude is at most mean", at=("amplitude",))
        if self.frequency <= 0:
            raise fault("frequency must be positive", at=("frequency",))
        return self


class FileSpec(RatesFile):
    """Rates from a file with the columns `time_ms` and `rate_Hz`: each from its time on, 0 before the first."""

    model: Literal["file"]


Course = Annotated[StepsSpec | SineSpec | FileSpec, Field(discriminator="model")]


class Pieces(NamedTuple):
    """rates[0] before changes[0], rates[1] from there to changes[1], and so on."""

    changes: Any  # int64 [changes]: steps, ascending
    rates: Any  # kHz [changes + 1]


class Wave(NamedTuple):
    """mean + amplitude sin(2 pi frequency t + phase)."""

    mean: float  # kHz
    amplitude: float
    frequency: float
    phase: float


def built(spec: Any, dt: float, read: Callable[[RatesFile], tuple[Any, Any]]) -> Pieces | Wave:
    """What a user wrote, in steps; `read` gives the steps and rates of a file."""
    if isinstance(spec, SineSpec):
        return Wave(spec.mean, spec.amplitude, spec.frequency, spec.phase)
    if isinstance(spec, StepsSpec):
        steps, rates = [units.whole(time, dt) for time in spec.times], list(spec.rates)
    else:
        steps, rates = read(spec)
    return Pieces(np.asarray(steps, np.int64), np.concatenate([[0.0], np.asarray(rates, np.float64)]))


# ---- not too high ----------------------------------------------------------------------------------------------------

HINT = "use several sources, or an input of model poisson"


def check(checker: Any, path: Any, rate: float, said: str) -> None:
    """That a source of a literal rate spikes at most once in a step; `said` is what becomes of spikes that are closer."""
    if checker.dt is None:
        return
    p = rate * checker.dt
    if p > 1:
        checker.fault(path, f"rate * dt is {p:.3g}, and a source spikes at most once in a step", HINT)
    elif p > 0.1:
        checker.warn(path, f"rate * dt is {p:.2g}: {said}")


def check_course(checker: Any, path: Any, course: Any, check_rate: Callable[[Any, float], None]) -> None:
    """The same of a course by its highest rate, and that its times are whole steps."""
    checker.types(path, course, {})
    if isinstance(course, StepsSpec):
        highest = max(range(len(course.rates)), key=course.rates.__getitem__)
        check_rate((*path, "rates", highest), course.rates[highest])
    elif isinstance(course, SineSpec):
        check_rate((*path, "amplitude"), course.mean + abs(course.amplitude))
        if checker.dt is not None and course.frequency * checker.dt > 0.5:
            checker.fault((*path, "frequency"), "a turn takes less than two steps", "use a smaller dt")


def sound(rate: Any, dt: float) -> tuple[str, str, Any] | None:
    """The same of drawn rates: see interface.Part.sound."""
    per_step = np.asarray(rate) * dt
    message = f"a rate makes {np.max(per_step):.3g} spikes per step; the limit is 1"
    return ("rate", message, per_step > 1.0) if np.any(per_step > 1.0) else None


# ---- in a step -------------------------------------------------------------------------------------------------------

_CELLS, _PART = 12, 20  # bits of a turn that choose an entry of the table, and bits of the way to the next one


class Const(NamedTuple):
    """Courses of populations that lie side by side: either pieces or waves."""

    thresholds: Any  # [courses, pieces], or of one turn [courses, entries]: a 32-bit word below this is a spike
    changes: Any  # int64 [courses, changes]; None for waves
    phase: Any  # uint64 [courses]: at the middle of step 0, in 2**-64 of a turn; None for pieces
    turn: Any  # uint64 [courses]: of a step
    which: Any  # int32 [neurons]: which of the courses; None where there is one


def lower(courses: Sequence[Pieces | Wave], sizes: tuple[int, ...], padded: int, dt: float) -> Const:
    """One course per population, all of a kind."""
    which = None
    if len(courses) > 1:
        lengths = [*sizes[:-1], padded - sum(sizes[:-1])]
        which = np.repeat(np.arange(len(courses), dtype=np.int32), lengths)
    pieces = [course for course in courses if isinstance(course, Pieces)]
    if pieces:
        longest = max(len(course.changes) for course in pieces)
        more = [longest - len(course.changes) for course in pieces]
        changes = np.stack([np.pad(c.changes, (0, n), constant_values=END) for c, n in zip(pieces, more, strict=True)])
        rates = np.stack([np.pad(c.rates, (0, n), mode="edge") for c, n in zip(pieces, more, strict=True)])
        return Const(_thresholds(rates, dt), changes, None, None, which)
    waves = [course for course in courses if isinstance(course, Wave)]
    angle = 2 * math.pi * np.arange(2**_CELLS + 1) / 2**_CELLS
    rates = np.array([wave.mean + wave.amplitude * np.sin(angle) for wave in waves])
    turns = [wave.frequency * dt for wave in waves]
    begin = [wave.phase / (2 * math.pi) + turn / 2 for wave, turn in zip(waves, turns, strict=True)]
    return Const(_thresholds(rates, dt).astype(np.int64), None, of_a_turn(begin), of_a_turn(turns), which)


def _thresholds(rates: Any, dt: float) -> Any:
    return random.bernoulli_threshold(np.clip(rates * dt, 0.0, 1.0))


def of_a_turn(turns: list[float]) -> Any:
    """Parts of a turn as whole numbers of 2**-64, whole turns left out."""
    return np.array([int(math.ldexp(turn % 1.0, 64)) % 2**64 for turn in turns], np.uint64)


def threshold(const: Const, step: Any) -> Any:
    """A uniform 32-bit word lies below this with the probability of a spike in a step; one for all neurons, or one each."""
    if const.changes is None:
        at = const.phase + const.turn * step.astype(jnp.uint64)  # modulo whole turns
        cell = (at >> np.uint64(64 - _CELLS)).astype(jnp.int32)[:, None]
        part = (at >> np.uint64(64 - _CELLS - _PART)).astype(jnp.int64) & (2**_PART - 1)
        low, high = (jnp.take_along_axis(const.thresholds, cell + more, axis=1)[:, 0] for more in (0, 1))
        now = (low + (((high - low) * part) >> _PART)).astype(jnp.uint64)
    else:
        past = jax.vmap(lambda changes: jnp.searchsorted(changes, step, side="right"))(const.changes)
        now = jnp.take_along_axis(const.thresholds, past[:, None], axis=1)[:, 0]
    return now[0] if const.which is None else now[const.which]
