"""A spike of weight w lets the receptor variable jump by w; it decays with tau: w exp(-t / tau).

dx/dt = -x / tau,    x <- x + w at each arrival
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.neurons.drive import Rule
from snnrun.quantities import Drawable, Frozen, Time
from snnrun.synapses.decay import decayed


class Spec(Frozen):
    """Exponential decay after a jump by the weight."""

    model: Literal["expon"]
    tau: Drawable[Time]
    """Time constant of the decay."""


DRAWN = {"tau": "time"}
RULES = (Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),)
VARIABLES = {"x": ""}
WEIGHT = None


class Const(NamedTuple):
    decay: Any  # exp(-dt / tau)
    zero: Any  # see decay.py


class State(NamedTuple):
    x: Any  # pA or nS


def lower(p: dict[str, Any], dt: float) -> Const:
    return Const(np.exp(-dt / p["tau"]), 0.0)


def init(zeros: Any) -> State:
    return State(zeros)


def advance(const: Const, state: State) -> State:
    return State(decayed(const.decay, state.x, const.zero))


def arrive(const: Const, state: State, arrivals: Any) -> State:
    return State(state.x + arrivals)


def increment(gains: tuple[Any, Any], state: State) -> Any:
    """mV that the freely decaying current adds to V over the step."""
    return gains[0] * state.x
