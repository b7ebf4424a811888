"""A spike of weight w moves V by w (mV) at once, before the threshold is tested; a refractory target loses it."""

from typing import Any, Literal, NamedTuple

from snnrun.neurons.drive import Rule
from snnrun.quantities import Frozen


class Spec(Frozen):
    """V jumps by the weight."""

    model: Literal["delta"]


DRAWN: dict[str, str] = {}
RULES: tuple[Rule, ...] = ()
VARIABLES: dict[str, str] = {}
WEIGHT = "voltage"  # other synapses leave the dimension to the output


class Const(NamedTuple):
    pass


class State(NamedTuple):
    x: Any  # mV that have arrived at this instant


def lower(p: dict[str, Any], dt: float) -> Const:
    return Const()


def init(zeros: Any) -> State:
    return State(zeros)


def advance(const: Const, state: State) -> State:
    return state


def arrive(const: Const, state: State, arrivals: Any) -> State:
    return State(arrivals)
