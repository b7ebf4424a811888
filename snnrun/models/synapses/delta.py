"""A spike of weight w moves V by w (mV) at once, before the threshold is tested; a refractory target loses it."""

from typing import Any, Literal, NamedTuple

from snnrun.models.interface import Parameters, State, Synapse
from snnrun.quantities import Frozen


class Spec(Frozen):
    """V jumps by the weight."""

    model: Literal["delta"]


class Const(NamedTuple):
    pass


class Delta(Synapse):
    """Its variable x is what has arrived at this instant, in mV."""

    Spec = Spec
    variables = {"x": ""}
    weight = "voltage"
    jumps = True

    def lower(self, parameters: Parameters, dt: float) -> Const:
        return Const()

    def advance(self, const: Const, state: State) -> State:
        return state

    def arrive(self, const: Const, state: State, arrivals: Any) -> State:
        return {"x": arrivals}


MODEL = Delta()
