"""A spike of weight w opens the receptor as a w t exp(-t / tau).

    dx/dt = -x / tau + y,    dy/dt = -y / tau,    y <- y + a w at each arrival

With `normalize: peak` the weight is the peak, reached at t = tau: a = e / tau. With `area` the charge is that of an
exponential of the same weight, w tau: a = 1 / tau, which is also what `none` stands for.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.models.interface import Enters, Mode, Parameters, Rule, State, Synapse
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Drawable, Frozen, Time


class Spec(Frozen):
    """Alpha function: rises and decays with one time constant."""

    model: Literal["alpha"]
    tau: Drawable[Time]
    """Time constant; the peak lies at t = tau."""
    normalize: Literal["peak", "area", "none"] = "peak"
    """What the weight is: the peak of the response, or its area divided by tau."""


class Const(NamedTuple):
    decay: Any  # exp(-dt / tau)
    dt: Any  # ms
    scale: Any  # a, 1/ms
    zero: Any  # see decay.py


class Alpha(Synapse):
    Spec = Spec
    checked = "NEST and Brian2: spike for spike, V within 1e-12 mV (validation.md)"
    rules = (Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),)
    variables = {"x": "", "y": "/ms"}
    enters = Enters("y", "decay", "scale")

    def lower(self, parameters: Parameters, dt: float) -> Const:
        tau = parameters["tau"]
        return Const(np.exp(-dt / tau), dt, (math.e if parameters["normalize"] == "peak" else 1.0) / tau, 0.0)

    def advance(self, const: Const, state: State) -> State:
        """Exact: x(t + dt) = exp(-dt / tau) (x + dt y)."""
        y = decayed(const.dt, state["y"], const.zero)
        return {"x": decayed(const.decay, state["x"] + y, const.zero)}

    def modes(self, parameters: Parameters) -> tuple[tuple[Mode, ...], ...]:
        return ((Mode(1.0, parameters["tau"], 0),), (Mode(1.0, parameters["tau"], 1),))

    def slowest(self, parameters: Parameters) -> Any:
        return parameters["tau"]


MODEL = Alpha()
