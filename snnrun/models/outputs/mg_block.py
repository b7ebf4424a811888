"""The receptor variable is a conductance that magnesium blocks at rest: I = x B(V) (E - V), with x in nS.

    B(V) = 1 / (1 + (c_Mg / beta) exp(-alpha V))        Jahr & Stevens, J. Neurosci. 10, 1990

B follows V at once. A step takes it as it is at its beginning, as it takes conductances; rk4 takes it at each of its stages.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.lazy import jnp
from snnrun.models.interface import Drive, Output, Parameters, Rule
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Drawable, Frozen, Number, PerVoltage, Voltage


class Spec(Frozen):
    """Conductance of NMDA receptors, blocked by magnesium at low potentials: the weight is a conductance."""

    model: Literal["mg_block"]
    E: Drawable[Voltage] = 0.0
    """Reversal potential."""
    c_Mg: Drawable[Number] = 1.2
    """Concentration of magnesium outside, in mM."""
    alpha: Drawable[PerVoltage] = 0.062
    """How steeply a potential lifts the block."""
    beta: Drawable[Number] = 3.57
    """Concentration of magnesium that blocks half of the conductance at 0 mV, in mM."""


class Const(NamedTuple):
    E: Any  # mV, relative to the origin of V
    ratio: Any  # c_Mg / beta exp(-alpha origin)
    alpha: Any  # 1/mV
    zero: Any  # see synapses/decay.py


class MgBlock(Output):
    Spec = Spec
    checked = "its step to 1e-11; fourth order with rk4"
    weight = "conductance"
    conductance = True
    gated = True
    rules = (
        Rule(("c_Mg",), lambda c: c >= 0, "c_Mg must not be negative"),
        Rule(("beta",), lambda beta: beta > 0, "beta must be positive"),
    )

    def lower(self, parameters: Parameters, origin: Any) -> Const:
        ratio = parameters["c_Mg"] / parameters["beta"] * np.exp(-parameters["alpha"] * np.asarray(origin, np.float64))
        return Const(parameters["E"] - origin, ratio, parameters["alpha"], 0.0)

    def drive(self, const: Const, x: Any, V: Any) -> Drive:
        open_ = x / (1.0 + decayed(const.ratio, jnp.exp(-decayed(const.alpha, V, const.zero)), const.zero))
        return Drive(conductance=open_, reversal=decayed(open_, const.E, const.zero))

    def current(self, const: Const, x: Any, V: Any) -> Any:
        return self.drive(const, x, V).conductance * (const.E - V)


MODEL = MgBlock()
