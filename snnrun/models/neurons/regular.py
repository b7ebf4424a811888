"""A source of spikes at equal distances: at the times phase + n period, n = 0, 1, 2, ...

Each time is rounded to the nearest step, half a step up (as is what lies less than 1e-9 steps below a half, so that 3.5 steps of
decimal numbers are a half). What is rounded are the times and not the intervals, so that the mean rate is 1 / period however
long the run: a time is counted in 2**-62 of a step. A period is at least one step, so no two spikes share one. A time
that is rounded to 0 lies before the first step, and is left out: with phase 0 the first spike comes at the period.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun import units
from snnrun.lazy import jnp
from snnrun.models.interface import Drive, Members, Parameters, Population, Rule, State, Words
from snnrun.models.layout import Layout
from snnrun.quantities import Count, Drawable, Time, Windowed


class Spec(Windowed):
    """Sources that spike at equal distances."""

    model: Literal["regular"]
    size: Count
    """Number of neurons."""
    layout: Layout | None = None
    """Where the neurons are."""
    period: Drawable[Time]
    """From spike to spike; at least one step."""
    phase: Drawable[Time] = 0.0
    """Of the first spike; one at t = 0 is left out."""


BITS = 62
_HALF = 2 ** (BITS - 1) + 2 ** (BITS - 30)  # and the slack
_LONGEST = 2.0**53  # steps: beyond the end of any run


class Const(NamedTuple):
    """Times in steps, each as a whole number and a part in 2**-62."""

    due: Any  # of the first spike
    rest: Any
    steps: Any  # the period
    part: Any
    start: Any  # first step and the one after the last
    stop: Any


def _split(steps: Any) -> tuple[Any, Any]:
    """Whole steps and the rest in 2**-62, exactly."""
    steps = np.minimum(steps, _LONGEST)
    whole = np.floor(steps)
    return whole.astype(np.int64), np.ldexp(steps - whole, BITS).astype(np.int64)


def _after(due: Any, rest: Any, steps: Any, part: Any) -> tuple[Any, Any]:
    """A time some steps later."""
    rest = rest + part
    return due + steps + (rest >> BITS), rest & (2**BITS - 1)


class Regular(Population):
    """Its state is the time of the next spike, from half a step before which on it is stamped."""

    Spec = Spec
    source = True
    rules = (
        Rule(("period",), lambda period: period > 0, "period must be positive"),
        Rule(("phase",), lambda phase: phase >= 0, "phase must not be negative"),
    )

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        dt = checker.dt
        if isinstance(spec.period, float) and dt is not None and spec.period > 0 and _short(spec.period, dt):
            message = f"{units.show(spec.period, 'time')} is less than one step"
            checker.fault((*path, "period"), message, f"use at least {units.show(dt, 'time')}")

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        short = _short(np.asarray(parameters["period"]), dt)
        return ("period", "a period is less than one step", short) if np.any(short) else None

    def lower(self, members: Members, method: str) -> Const:
        p, dt = members.parameters, members.dt
        period = _split(np.maximum(np.asarray(p["period"]) / dt, 1.0))
        due, rest = _after(*_split(np.asarray(p["phase"]) / dt), 0, _HALF)
        later, rest_later = _after(due, rest, *period)
        first = np.where(due < 1, later, due), np.where(due < 1, rest_later, rest)
        return Const(*first, *period, np.asarray(p["start"], np.int64), np.asarray(p["stop"], np.int64))

    def init(self, const: Const, initial: State, padded: int) -> State:
        return {"due": np.broadcast_to(const.due, padded), "rest": np.broadcast_to(const.rest, padded)}

    def step(
        self, const: Const, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Any]:
        """A spike of step k bears the stamp k + 1."""
        fired = state["due"] == step + 1
        due, rest = _after(state["due"], state["rest"], const.steps, const.part)
        state = {"due": jnp.where(fired, due, state["due"]), "rest": jnp.where(fired, rest, state["rest"])}
        return state, fired & (step >= const.start) & (step < const.stop)


def _short(period: Any, dt: float) -> Any:
    return period < dt * (1 - units.GRID_TOLERANCE)


MODEL = Regular()
