"""Leaky integrate-and-fire with absolute refractoriness.

    tau dV/dt = -(V - V_rest) + R I(t)        while not refractory
    V >= V_th:  a spike; V <- V_reset, held for tau_ref

With current receptors that decay freely over a step the membrane equation is linear and is integrated exactly (Rotter &
Diesmann, Biol. Cybern. 81, 1999). With conductances

    C dV/dt = -g_L (V - V_rest) + sum_r g_r (E_r - V) + I

everything is taken at the beginning of the step, which is first order in dt: `linear` keeps the conductances in the linear
term (exponential Euler), `frozen` makes a current g_r (E_r - V) of them that is held over the step.

In float32 V is kept as its distance from V_th, and a step adds the change to it. Then V is finest where it moves slowest, and a
step is right to 2**-24 tau / dt of itself however little a neuron is driven above its threshold. In float64 V is what it says.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from snnrun.lazy import jnp
from snnrun.neurons.drive import Crossing, Drive, Rule
from snnrun.quantities import Capacitance, Count, Current, Drawable, Frozen, Resistance, Time, Voltage, fault


class Init(Frozen):
    """State at t = 0."""

    V: Drawable[Voltage] | None = None
    """Membrane potential; V_rest where it is not given."""


class Spec(Frozen):
    """Leaky integrate-and-fire neurons."""

    model: Literal["lif"]
    size: Count
    """Number of neurons."""
    tau: Drawable[Time]
    """Time constant of the membrane, R C."""
    tau_ref: Drawable[Time] = 0.0
    """Time that V is held at V_reset after a spike."""
    V_rest: Drawable[Voltage]
    """Resting potential."""
    V_reset: Drawable[Voltage]
    """Potential after a spike; below V_th."""
    V_th: Drawable[Voltage]
    """Threshold: V >= V_th is a spike."""
    R: Drawable[Resistance] | None = None
    """Resistance of the membrane; this or C."""
    C: Drawable[Capacitance] | None = None
    """Capacitance of the membrane; this or R."""
    I_e: Drawable[Current] = 0.0
    """Constant current."""
    init: Init = Init()
    """State at t = 0."""
    conductance: Literal["linear", "frozen"] = "linear"
    """How conductances enter a step: in the linear term, or as a current held over the step."""
    solver: Literal["exact", "exp_euler"] | None = None
    """exact where all receptors are currents (the default there), exp_euler where there are conductances."""

    @model_validator(mode="after")
    def _one_of_R_and_C(self) -> "Spec":
        if (self.R is None) == (self.C is None):
            missing = self.R is None
            raise fault(
                "R or C is missing" if missing else "R and C are both given, and tau = R C fixes one from the other",
                "write one of them, like C: 250 pF" if missing else "keep one of them",
                at=() if missing else ("C",),
            )
        return self


DRAWN = {
    "tau": "time",
    "tau_ref": "time",
    "V_rest": "voltage",
    "V_reset": "voltage",
    "V_th": "voltage",
    "R": "resistance",
    "C": "capacitance",
    "I_e": "current",
}
VARIABLES = {"V": "mV", "ref": "steps"}
RULES = (
    Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),
    Rule(("tau_ref",), lambda tau_ref: tau_ref >= 0, "tau_ref must not be negative"),
    Rule(("R",), lambda R: R > 0, "R must be positive"),
    Rule(("C",), lambda C: C > 0, "C must be positive"),
    Rule(("V_reset", "V_th"), lambda V_reset, V_th: V_reset < V_th, "V_reset must lie below V_th"),
)


class Const(NamedTuple):
    """What a step needs; each a number or one value per neuron. Potentials are relative to `zero`."""

    zero: Any  # mV, in float64
    V_rest: Any  # mV; in float32 with what I_e adds to it
    V_th: Any  # mV
    V_reset: Any  # mV
    I_e: Any  # pA; None in float32
    decay: Any  # exp(-dt / tau); None in float32
    loss: Any  # 1 - exp(-dt / tau); None in float64
    per_pA: Any  # mV that 1 pA held over a step adds: (tau / C) (1 - exp(-dt / tau))
    leak: Any  # nS, C / tau
    dt_per_C: Any  # ms / pF
    ref_steps: Any  # whole steps held after a spike; None where no neuron is ever refractory


class State(NamedTuple):
    V: Any  # mV, relative to zero
    last: Any  # step of the last spike, its lowest 32 bits; None where no neuron is ever refractory


LONGEST = 2**31 - 2**20  # steps that a neuron is held at most, so that the age of its last spike can be told from 32 bits


def capacitance(p: dict[str, Any]) -> Any:
    """C in pF, from R and tau where R is given."""
    return p["C"] if p["C"] is not None else p["tau"] / p["R"]


def method(spec: Spec, conductances: bool) -> str:
    """How V is propagated: exact, linear or frozen."""
    return spec.conductance if conductances or spec.solver == "exp_euler" else "exact"


def zero(p: dict[str, Any], precision: str) -> Any:
    """What V and reversal potentials are relative to in a population of that precision, in mV."""
    return p["V_th"] if precision == "float32" else 0.0


def lower(p: dict[str, Any], ref_steps: Any, dt: float, precision: str) -> Const:
    """Coefficients of a step of dt, computed in float64, from parameters in internal units."""
    C, tau, single, origin = capacitance(p), p["tau"], precision == "float32", zero(p, precision)
    return Const(
        zero=origin,
        V_rest=p["V_rest"] - origin + tau / C * p["I_e"] if single else p["V_rest"],
        V_th=0.0 if single else p["V_th"],
        V_reset=p["V_reset"] - origin,
        I_e=None if single else p["I_e"],
        decay=None if single else np.exp(-dt / tau),
        loss=-np.expm1(-dt / tau) if single else None,
        per_pA=-(tau / C) * np.expm1(-dt / tau),
        leak=C / tau,
        dt_per_C=dt / C,
        ref_steps=ref_steps if np.any(ref_steps) else None,
    )


def gains(p: dict[str, Any], tau_s: Any, dt: float) -> tuple[Any, Any]:
    """What V gains in a step of dt from currents x exp(-t / tau_s) and y t exp(-t / tau_s), per pA of x and per pA / ms of y.

        first  = (dt / C)   exp(-dt / tau) phi(z)         phi(z) = (exp(z) - 1) / z
        second = (dt**2 / C) exp(-dt / tau) psi(z)        psi(z) = ((z - 1) exp(z) + 1) / z**2,   z = dt (1 / tau - 1 / tau_s)

    z = 0 (tau_s = tau) is a removable singularity; near it both are summed as series.
    """
    C, tau = np.asarray(capacitance(p), np.float64), np.asarray(p["tau"], np.float64)
    z = dt * (1.0 / tau - 1.0 / np.asarray(tau_s, np.float64))
    membrane, synapse = np.exp(-dt / tau), np.exp(-dt / np.asarray(tau_s, np.float64))
    near = np.abs(z) < 1.0
    away, close = np.where(near, 1.0, z), np.where(near, z, 0.0)
    phi, psi, term = np.zeros_like(close), np.zeros_like(close), np.ones_like(close)
    for n in range(22):  # phi = sum z**n / (n + 1)!,  psi = sum z**n / (n! (n + 2))
        phi, psi = phi + term / (n + 1), psi + term / (n + 2)
        term = term * close / (n + 1)
    # away from z = 0: exp(-dt / tau) exp(z) = exp(-dt / tau_s), so that neither factor can overflow
    first = np.where(near, membrane * phi, (synapse - membrane) / away)
    second = np.where(near, membrane * psi, ((away - 1.0) * synapse + membrane) / (away * away))
    return dt / C * first, dt * dt / C * second


def init(const: Const, V: Any) -> State:
    return State(V, None if const.ref_steps is None else np.broadcast_to(-1 - const.ref_steps, V.shape).astype(np.int32))


def settled(const: Const, state: State, step: Any) -> State:
    """The same state with last spikes that hold nobody any more moved up; due before a step, at least every 2**20 steps."""
    if const.ref_steps is None:
        return state
    return state._replace(last=_low(step) - jnp.minimum(_low(step) - state.last, const.ref_steps + 1))


def observed(const: Const, state: State, name: str, step: Any) -> Any:
    """A variable of VARIABLES at the beginning of a step."""
    if name == "V":
        return state.V + const.zero
    if const.ref_steps is None:
        return jnp.zeros(state.V.shape, jnp.int32)
    return jnp.maximum(const.ref_steps + 1 - (_low(step) - state.last), 0)


def _low(step: Any) -> Any:
    """The lowest 32 bits of a step."""
    return step.astype(jnp.int32)


def step(const: Const, state: State, drive: Drive, method: str, step: Any) -> tuple[State, Crossing]:
    """One step up to the threshold: propagate, add delta arrivals, hold where refractory. Returns the state and who fires."""
    V = _PROPAGATE[method](const, state.V, drive)
    if drive.jump is not None:
        V = V + drive.jump
    if const.ref_steps is None:
        return State(V, None), Crossing(V, const.V_th, State(const.V_reset, None))
    V = jnp.where(_low(step) - state.last <= const.ref_steps, const.V_reset, V)  # V_reset lies below the threshold
    return State(V, state.last), Crossing(V, const.V_th, State(const.V_reset, _low(step)))


def _current(const: Const, drive: Drive) -> Any:
    """pA; None where there is none beside what V_rest contains."""
    if const.I_e is None or drive.current is None:
        return drive.current if const.I_e is None else const.I_e
    return const.I_e + drive.current


def _held(const: Const, V: Any, current: Any, increment: Any) -> Any:
    """V after a step with a current that is held, and what other currents add to it."""
    if const.loss is None:
        V = const.V_rest + const.decay * (V - const.V_rest) + const.per_pA * current
        return V if increment is None else V + increment
    change = const.loss * (const.V_rest - V)  # summed before it is added: V, which is larger, is rounded once
    if current is not None:
        change = change + const.per_pA * current
    return V + (change if increment is None else change + increment)


def _exact(const: Const, V: Any, drive: Drive) -> Any:
    return _held(const, V, _current(const, drive), drive.increment)


def _linear(const: Const, V: Any, drive: Drive) -> Any:
    """V relaxes to V_inf with the total conductance G of the beginning of the step."""
    if drive.conductance is None:
        return _exact(const, V, drive)
    G, current = const.leak + drive.conductance, _current(const, drive)
    pull = const.leak * const.V_rest + drive.reversal
    V_inf = (pull if current is None else pull + current) / G
    return V_inf + (V - V_inf) * jnp.exp(-const.dt_per_C * G)


def _frozen(const: Const, V: Any, drive: Drive) -> Any:
    if drive.conductance is None:
        return _exact(const, V, drive)
    current, synaptic = _current(const, drive), drive.reversal - drive.conductance * V
    return _held(const, V, synaptic if current is None else current + synaptic, None)


_PROPAGATE = {"exact": _exact, "linear": _linear, "frozen": _frozen}
