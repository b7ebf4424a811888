"""A spike of weight w opens the receptor as a w (exp(-t / tau_decay) - exp(-t / tau_rise)).

    dx/dt = -x / tau_decay + y,    dy/dt = -y / tau_rise,    y <- y + a b w at each arrival,    b = 1 / tau_rise - 1 / tau_decay

With `normalize: peak` the weight is the peak of the response, reached at t_p = ln(tau_decay / tau_rise) / b:
a = 1 / (exp(-t_p / tau_decay) - exp(-t_p / tau_rise)). With `area` the charge is that of an exponential of the same weight,
w tau_decay: a = tau_decay / (tau_decay - tau_rise). With `none`, a = 1.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.models.interface import Enters, Mode, Parameters, Rule, State, Synapse
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Drawable, Frozen, Time

CLOSEST = 1e-3  # part of tau_decay by which tau_rise is shorter: nearer, the two exponentials cancel to a few digits


class Spec(Frozen):
    """Difference of two exponentials: rises with one time constant and decays with another."""

    model: Literal["dual_expon"]
    tau_decay: Drawable[Time]
    """Time constant of the decay."""
    tau_rise: Drawable[Time]
    """Time constant of the rise; shorter than tau_decay."""
    normalize: Literal["peak", "area", "none"] = "peak"
    """What the weight is: the peak of the response, its area divided by tau_decay, or the factor of both exponentials."""


class Const(NamedTuple):
    decay: Any  # exp(-dt / tau_decay)
    rise: Any  # exp(-dt / tau_rise)
    grown: Any  # ms, what y adds to x over the step: (exp(-dt / tau_decay) - exp(-dt / tau_rise)) / b
    scale: Any  # a b, 1/ms
    zero: Any  # see decay.py


class DualExpon(Synapse):
    Spec = Spec
    checked = "the closed form of its responses to 1e-9; any mix of linear synapses to 1e-12"
    rules = (
        Rule(("tau_decay",), lambda tau: tau > 0, "tau_decay must be positive"),
        Rule(("tau_rise",), lambda tau: tau > 0, "tau_rise must be positive"),
        Rule(
            ("tau_rise", "tau_decay"),
            lambda rise, decay: rise < decay * (1 - CLOSEST),
            "tau_rise must lie below tau_decay; for equal ones use alpha",
        ),
    )
    variables = {"x": "", "y": "/ms"}
    enters = Enters("y", "rise", "scale")

    def lower(self, parameters: Parameters, dt: float) -> Const:
        slow, fast = (np.asarray(parameters[name], np.float64) for name in ("tau_decay", "tau_rise"))
        b = 1.0 / fast - 1.0 / slow
        peak = np.log(slow / fast) / b
        a = {
            "peak": 1.0 / (np.exp(-peak / slow) - np.exp(-peak / fast)),
            "area": slow / (slow - fast),
            "none": np.ones_like(slow),
        }[parameters["normalize"]]
        # exp(-dt / slow) - exp(-dt / fast), without its cancellation where dt is short
        grown = np.exp(-dt / slow) * -np.expm1(-dt * b) / b
        return Const(np.exp(-dt / slow), np.exp(-dt / fast), grown, a * b, 0.0)

    def advance(self, const: Const, state: State) -> State:
        """Exact."""
        return {"x": decayed(const.decay, state["x"], const.zero) + decayed(const.grown, state["y"], const.zero)}

    def modes(self, parameters: Parameters) -> tuple[tuple[Mode, ...], ...]:
        slow, fast = parameters["tau_decay"], parameters["tau_rise"]
        time = 1.0 / (1.0 / np.asarray(fast, np.float64) - 1.0 / np.asarray(slow, np.float64))
        return ((Mode(1.0, slow, 0),), (Mode(time, slow, 0), Mode(-time, fast, 0)))

    def slowest(self, parameters: Parameters) -> Any:
        return parameters["tau_decay"]


MODEL = DualExpon()
