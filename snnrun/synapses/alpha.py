"""A spike of weight w opens the receptor as a w t exp(-t / tau).

    dx/dt = -x / tau + y,    dy/dt = -y / tau,    y <- y + a w at each arrival

With `normalize: peak` the weight is the peak, reached at t = tau: a = e / tau. With `area` the charge is that of an
exponential of the same weight, w tau: a = 1 / tau, which is also what `none` stands for.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.neurons.drive import Rule
from snnrun.quantities import Drawable, Frozen, Time
from snnrun.synapses.decay import decayed


class Spec(Frozen):
    """Alpha function: rises and decays with one time constant."""

    model: Literal["alpha"]
    tau: Drawable[Time]
    """Time constant; the peak lies at t = tau."""
    normalize: Literal["peak", "area", "none"] = "peak"
    """What the weight is: the peak of the response, or its area divided by tau."""


DRAWN = {"tau": "time"}
RULES = (Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),)
VARIABLES = {"x": "", "y": "/ms"}
WEIGHT = None


class Const(NamedTuple):
    decay: Any  # exp(-dt / tau)
    dt: Any  # ms
    scale: Any  # a, 1/ms
    zero: Any  # see decay.py


class State(NamedTuple):
    x: Any  # pA or nS
    y: Any  # pA/ms or nS/ms


def lower(p: dict[str, Any], dt: float) -> Const:
    return Const(np.exp(-dt / p["tau"]), dt, (math.e if p["normalize"] == "peak" else 1.0) / p["tau"], 0.0)


def init(zeros: Any) -> State:
    return State(zeros, zeros)


def advance(const: Const, state: State) -> State:
    """Exact: x(t + dt) = exp(-dt / tau) (x + dt y)."""
    y = decayed(const.dt, state.y, const.zero)
    return State(decayed(const.decay, state.x + y, const.zero), decayed(const.decay, state.y, const.zero))


def arrive(const: Const, state: State, arrivals: Any) -> State:
    return State(state.x, state.y + decayed(const.scale, arrivals, const.zero))


def increment(gains: tuple[Any, Any], state: State) -> Any:
    """mV that the freely decaying current adds to V over the step."""
    return gains[0] * state.x + gains[1] * state.y
