"""A spike of weight w lets the receptor variable jump by w; it decays with tau: w exp(-t / tau).

dx/dt = -x / tau,    x <- x + w at each arrival
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.models.interface import Enters, Mode, Parameters, Rule, State, Synapse
from snnrun.quantities import Drawable, Frozen, Time


class Spec(Frozen):
    """Exponential decay after a jump by the weight."""

    model: Literal["expon"]
    tau: Drawable[Time]
    """Time constant of the decay."""


class Const(NamedTuple):
    decay: Any  # exp(-dt / tau)
    zero: Any  # see decay.py


class Expon(Synapse):
    Spec = Spec
    checked = "NEST and Brian2: spike for spike, V within 1e-12 mV (validation.md)"
    rules = (Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),)
    variables = {"x": ""}
    enters = Enters("x", "decay")

    def lower(self, parameters: Parameters, dt: float) -> Const:
        return Const(np.exp(-dt / parameters["tau"]), 0.0)

    def advance(self, const: Const, state: State) -> State:
        return {}

    def modes(self, parameters: Parameters) -> tuple[tuple[Mode, ...], ...]:
        return ((Mode(1.0, parameters["tau"], 0),),)

    def slowest(self, parameters: Parameters) -> Any:
        return parameters["tau"]


MODEL = Expon()
