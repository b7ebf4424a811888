"""AMPA and GABA_A receptors, opened by a pulse of transmitter (Destexhe, Mainen & Sejnowski, Neural Comput. 6, 1994).

    ds/dt = alpha T (1 - s) - beta s        T = T_0 for a time T_dur after each spike of the source, else 0

s is the part of the receptors that is open. A spike during a pulse lets it begin anew. T is constant between steps, so that the
step is exact:  s <- s_inf + (s - s_inf) exp(-dt (alpha T + beta)),  s_inf = alpha T / (alpha T + beta).
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.lazy import jnp
from snnrun.models.interface import Graded, Parameters, Rule, State
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Frozen, Number, Rate, Steps


class Ampa(Frozen):
    """Receptors opened by a pulse of transmitter: fast excitation."""

    model: Literal["ampa"]
    alpha: Rate = 0.98
    """How fast receptors open, for each mM of transmitter."""
    beta: Rate = 0.18
    """How fast they close."""
    T: Number = 0.5
    """Concentration of transmitter during the pulse, in mM."""
    T_dur: Steps = 0.5
    """How long the pulse lasts."""


class Gabaa(Frozen):
    """Receptors opened by a pulse of transmitter: fast inhibition."""

    model: Literal["gabaa"]
    alpha: Rate = 0.53
    """How fast receptors open, for each mM of transmitter."""
    beta: Rate = 0.18
    """How fast they close."""
    T: Number = 1.0
    """Concentration of transmitter during the pulse, in mM."""
    T_dur: Steps = 1.0
    """How long the pulse lasts."""


class Const(NamedTuple):
    open_: Any  # part that is open in the end, during a pulse
    rising: Any  # exp(-dt (alpha T + beta))
    falling: Any  # exp(-dt beta)
    pulse: Any  # steps
    zero: Any  # see decay.py


class Transmitter(Graded):
    checked = "its equations, step by step, to 1e-12; sums over edges to 1e-13"
    rules = (
        Rule(("alpha",), lambda alpha: alpha >= 0, "alpha must not be negative"),
        Rule(("beta",), lambda beta: beta > 0, "beta must be positive"),
        Rule(("T",), lambda T: T >= 0, "T must not be negative"),
        Rule(("T_dur",), lambda T_dur: T_dur > 0, "T_dur must be positive"),
    )
    gate = {"s": "", "pulse": ""}

    def __init__(self, spec: type[Frozen]) -> None:
        self.Spec = spec  # type: ignore[misc]

    def opening(self, parameters: Parameters, dt: float) -> Const:
        pushed, beta = parameters["alpha"] * parameters["T"], parameters["beta"]
        rate = pushed + beta
        return Const(pushed / rate, np.exp(-dt * rate), np.exp(-dt * beta), np.rint(parameters["T_dur"] / dt), 0.0)

    def opened(self, const: Const, state: State, fired: Any) -> State:
        s, pulse = state["s"], state["pulse"]
        during = const.open_ + decayed(const.rising, s - const.open_, const.zero)
        s = jnp.where(pulse > 0, during, decayed(const.falling, s, const.zero))
        return {"s": s, "pulse": jnp.where(fired, const.pulse, jnp.maximum(pulse - 1.0, 0.0))}


AMPA, GABAA = Transmitter(Ampa), Transmitter(Gabaa)
