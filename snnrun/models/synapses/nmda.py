"""NMDA receptors that saturate: a spike adds to x, which opens those that are closed (Wang, J. Neurosci. 19, 1999).

    dx/dt = -x / tau_rise,  x <- x + 1 at a spike of the source        ds/dt = -s / tau_decay + a x (1 - s)

A step takes x at its mean over the step, X = x tau_rise (1 - exp(-dt / tau_rise)) / dt, and is then exact:
s <- s_inf + (s - s_inf) exp(-rho dt),  rho = 1 / tau_decay + a X,  s_inf = a X / rho.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.lazy import jnp
from snnrun.models.interface import Graded, Parameters, Rule, State
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Frozen, Rate, Time


class Spec(Frozen):
    """Slow excitation that saturates, with a gate for each source; use it with the output mg_block."""

    model: Literal["nmda"]
    tau_rise: Time = 2.0
    """Time constant of x, which opens the receptors."""
    tau_decay: Time = 100.0
    """Time constant with which they close."""
    a: Rate = 0.5
    """How fast they open for each unit of x."""


class Const(NamedTuple):
    fading: Any  # exp(-dt / tau_rise)
    mean: Any  # a tau_rise (1 - exp(-dt / tau_rise)) / dt, in 1/ms
    closing: Any  # 1 / tau_decay
    dt: Any
    zero: Any  # see decay.py


class Nmda(Graded):
    Spec = Spec
    checked = "its step to 1e-12, and small steps (second order in dt); sums over edges to 1e-13"
    rules = (
        Rule(("tau_rise",), lambda tau: tau > 0, "tau_rise must be positive"),
        Rule(("tau_decay",), lambda tau: tau > 0, "tau_decay must be positive"),
        Rule(("a",), lambda a: a >= 0, "a must not be negative"),
    )
    gate = {"s": "", "x": ""}

    def opening(self, parameters: Parameters, dt: float) -> Const:
        tau = parameters["tau_rise"]
        mean = -parameters["a"] * tau * np.expm1(-dt / tau) / dt
        return Const(np.exp(-dt / tau), mean, 1.0 / parameters["tau_decay"], dt, 0.0)

    def opened(self, const: Const, state: State, fired: Any) -> State:
        s, x, zero = state["s"], state["x"], const.zero
        opens = decayed(const.mean, x, zero)
        rate = opens + const.closing
        end = opens / rate
        s = end + decayed(jnp.exp(-decayed(const.dt, rate, zero)), s - end, zero)
        return {"s": s, "x": decayed(const.fading, x, zero) + fired}


MODEL = Nmda()
