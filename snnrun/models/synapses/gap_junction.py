"""Gap junctions: a current that follows the difference of two potentials.

    I_i = sum_j g_ij (V_j - V_i)

V_j is that of the beginning of a step, t_k, like all that a neuron receives, and is held over the step; V_i is integrated as with
any conductance. So V_i moves towards a mean of its own equilibrium and the V_j, which no strength of coupling lets it pass.
"""

from typing import Any, Literal, NamedTuple

from snnrun.models.interface import Drive, Graded, Output, Parameters
from snnrun.quantities import Frozen


class Spec(Frozen):
    """An electrical synapse: the weight is its conductance. It acts on post; a rule that is symmetric makes it act both ways."""

    model: Literal["gap_junction"]


class Const(NamedTuple):
    total: Any  # nS: sum of g_ij over j, one per neuron
    origin: Any  # of V, in mV


class Junction(Output):
    """What a junction makes of x, the sum of g_ij V_j in pA, with V_j against 0 mV."""

    Spec = Spec
    weight = "conductance"
    conductance = True

    def lower(self, parameters: Parameters, origin: Any) -> Const:
        return Const(0.0, origin)  # the total is known when the edges are

    def drive(self, const: Const, x: Any, V: Any) -> Drive:
        return Drive(conductance=const.total, reversal=x - const.total * const.origin)

    def current(self, const: Const, x: Any, V: Any) -> Any:
        return x - const.total * (V + const.origin)


class GapJunction(Graded):
    Spec = Spec
    checked = "the matrix exponential of coupled membranes (first order in dt); sums over edges to 1e-10 pA"
    weight = "conductance"
    output = Junction()
    largest = 2.0**13  # mV

    def opening(self, parameters: Parameters, dt: float) -> None:
        return None

    def opened(self, const: None, state: Any, fired: Any) -> Any:
        return state


MODEL = GapJunction()
