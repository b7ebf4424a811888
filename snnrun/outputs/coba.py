"""The receptor variable is a conductance: I = x (E - V), with x in nS and the reversal potential E in mV."""

from typing import Literal

from snnrun.neurons.drive import Rule
from snnrun.quantities import Drawable, Frozen, Voltage


class Spec(Frozen):
    """Conductance-based: the weight is a conductance."""

    model: Literal["coba"]
    E: Drawable[Voltage]
    """Reversal potential."""


DRAWN = {"E": "voltage"}
RULES: tuple[Rule, ...] = ()
WEIGHT = "conductance"
