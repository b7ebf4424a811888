"""A spike of weight w moves V by w (mV) at once, before the threshold is tested; a refractory target loses it."""

from typing import Literal, NamedTuple

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
    checked = "NEST and Brian2: spike for spike, V within 1e-12 mV (validation.md)"
    variables = {"x": ""}
    weight = "voltage"

    def lower(self, parameters: Parameters, dt: float) -> Const:
        return Const()

    def advance(self, const: Const, state: State) -> State:
        return {}


MODEL = Delta()
