"""Short-term plasticity: what part of its weight a spike carries, from variables of the source.

tsodyks (Tsodyks & Markram 1997; as in Tsodyks, Uziel & Markram 2000):

    du/dt = -u / tau_f,    dx/dt = (1 - x) / tau_d                between spikes
    u <- u + U (1 - u),    the spike carries u x,    x <- x - u x    at a spike, in this order

With tau_f = 0 the release u is U at every spike: depression alone. `std` has such depression with the weight that of a spike from
rest: the spike carries x, and then x <- x - U x (Abbott et al. 1997).

A spike carries what it does when it leaves its source; it arrives with that after its delay. Each source of a projection has its
own u and x, of double precision in any run. Both decay by one factor per step, so the state has no time in it.
"""

from abc import abstractmethod
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from snnrun.models.interface import Parameters, Part, Rule, State
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Drawable, Frozen, Number, Time


class Tsodyks(Frozen):
    """Depression and facilitation: a spike carries u x of the weight."""

    model: Literal["tsodyks"] = "tsodyks"
    U: Drawable[Number]
    """What part of the rest a spike adds to u, the release."""
    tau_d: Drawable[Time]
    """Time constant with which the resources x recover."""
    tau_f: Drawable[Time] = 0.0
    """Time constant with which u decays; with 0, u is U at every spike."""
    u: Drawable[Number] = 0.0
    """u at t = 0."""
    x: Drawable[Number] = 1.0
    """x at t = 0."""


class Std(Frozen):
    """Depression: a spike carries x of the weight and uses up a part U of x."""

    model: Literal["std"]
    U: Drawable[Number]
    """What part of the resources x a spike uses up."""
    tau_d: Drawable[Time]
    """Time constant with which x recovers."""
    x: Drawable[Number] = 1.0
    """x at t = 0."""


Stp = Annotated[Tsodyks | Std, Field(discriminator="model")]
USUAL = "tsodyks"


class Const(NamedTuple):
    """One for all sources, or one each."""

    U: Any
    facilitation: Any  # exp(-dt / tau_f)
    recovery: Any  # exp(-dt / tau_d)
    whole: Any  # whether a spike carries all of x
    zero: Any  # see synapses/decay.py


def _between(name: str, low_too: bool) -> Rule:
    text = "0 <= " if low_too else "0 < "
    return Rule((name,), lambda v: (v >= 0 if low_too else v > 0) & (v <= 1), f"{text}{name} <= 1 must hold")


variables = {"u": "", "x": ""}
"""Of a source, with their units."""


class _ShortTerm(Part):
    """Values of a projection become those of the columns of Const, one per source."""

    @abstractmethod
    def lower(self, parameters: Parameters, dt: float) -> Const:
        """Coefficients of a step."""

    def init(self, parameters: Parameters) -> State:
        return {"u": parameters.get("u", 0.0), "x": parameters["x"]}


class _Tsodyks(_ShortTerm):
    Spec = Tsodyks
    checked = "NEST's tsodyks2_synapse: sequences of weights to 1e-11"
    rules = (
        _between("U", False),
        Rule(("tau_d",), lambda tau: tau > 0, "tau_d must be positive"),
        Rule(("tau_f",), lambda tau: tau >= 0, "tau_f must not be negative"),
        _between("u", True),
        _between("x", True),
    )

    def lower(self, parameters: Parameters, dt: float) -> Const:
        tau_f = np.asarray(parameters["tau_f"], np.float64)
        facilitation = np.where(tau_f > 0, np.exp(-dt / np.where(tau_f > 0, tau_f, 1.0)), 0.0)
        return Const(parameters["U"], facilitation, np.exp(-dt / parameters["tau_d"]), False, 0.0)


class _Std(_ShortTerm):
    Spec = Std
    checked = "its recursion, spike by spike, to 1e-11"
    rules = (
        _between("U", True),
        Rule(("tau_d",), lambda tau: tau > 0, "tau_d must be positive"),
        _between("x", True),
    )

    def lower(self, parameters: Parameters, dt: float) -> Const:
        return Const(parameters["U"], 0.0, np.exp(-dt / parameters["tau_d"]), True, 0.0)


MODELS: dict[str, _ShortTerm] = {"tsodyks": _Tsodyks(), "std": _Std()}


class Released(NamedTuple):
    """At the end of a step, for each source: what a spike carries there, the variables without one, and after one."""

    carried: Any
    without: State
    then: State


def step(const: Const, state: State) -> Released:
    """One step, in which nobody has fired yet."""
    from snnrun.lazy import jnp

    u = decayed(const.facilitation, state["u"], const.zero)
    x = 1.0 - decayed(const.recovery, 1.0 - state["x"], const.zero)
    raised = u + decayed(const.U, 1.0 - u, const.zero)
    used = decayed(raised, x, const.zero)
    return Released(jnp.where(const.whole, x, used), {"u": u, "x": x}, {"u": raised, "x": x - used})
