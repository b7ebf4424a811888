"""The receptor variable is a conductance: I = x (E - V), with x in nS and the reversal potential E in mV."""

from typing import Any, Literal, NamedTuple

from snnrun.models.interface import Drive, Output, Parameters
from snnrun.quantities import Drawable, Frozen, Voltage


class Spec(Frozen):
    """Conductance-based: the weight is a conductance."""

    model: Literal["coba"]
    E: Drawable[Voltage]
    """Reversal potential."""


class Const(NamedTuple):
    E: Any  # mV, relative to the origin of V


class Coba(Output):
    Spec = Spec
    checked = "Brian2: spike for spike; NEST by statistics (validation.md)"
    weight = "conductance"
    conductance = True

    def lower(self, parameters: Parameters, origin: Any) -> Const:
        return Const(parameters["E"] - origin)

    def drive(self, const: Const, x: Any, V: Any) -> Drive:
        return Drive(conductance=x, reversal=x * const.E)

    def current(self, const: Const, x: Any, V: Any) -> Any:
        return x * (const.E - V)


MODEL = Coba()
