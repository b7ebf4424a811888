"""The receptor variable is a current: I = x (pA)."""

from typing import Any, Literal, NamedTuple

from snnrun.models.interface import Drive, Output, Parameters
from snnrun.quantities import Frozen


class Spec(Frozen):
    """Current-based: the weight is a current."""

    model: Literal["cuba"] = "cuba"


class Const(NamedTuple):
    pass


class Cuba(Output):
    Spec = Spec
    checked = "NEST and Brian2: spike for spike, V within 1e-12 mV (validation.md)"
    weight = "current"

    def lower(self, parameters: Parameters, origin: Any) -> Const:
        return Const()

    def drive(self, const: Const, x: Any, V: Any) -> Drive:
        return Drive(current=x)

    def current(self, const: Const, x: Any, V: Any) -> Any:
        return x


MODEL = Cuba()
