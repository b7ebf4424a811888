"""Leaky integrate-and-fire with absolute refractoriness.

    tau dV/dt = -(V - V_rest) + R I(t)        while not refractory; with noise, + tau B dW/dt
    V >= V_th:  a spike; V <- V_reset, held for tau_ref

With current receptors that decay freely over a step the membrane equation is linear and is integrated exactly (Rotter &
Diesmann, Biol. Cybern. 81, 1999). With conductances

    C dV/dt = -g_L (V - V_rest) + sum_r g_r (E_r - V) + I

everything is taken at the beginning of the step, which is first order in dt: `linear` keeps the conductances in the linear
term (exponential Euler), `frozen` makes a current g_r (E_r - V) of them that is held over the step.

With `refractory_input` a jump of V that arrives while V is held is not lost: it decays with tau until the neuron is free, and is
then added to V in the first step, as in iaf_psc_delta of NEST. A jump in a step from which on V is held for r steps is kept as
exp(-r dt / tau) of itself.

Noise is added after the step: B sqrt((C / 2 G) (1 - exp(-2 G dt / C))) times a normal number for each neuron and step, with the
total conductance G of the step, which is C / tau without synaptic ones. This is exact for them, and for G that stands still.

In float32 V is kept as its distance from V_th, and a step adds the change to it. Then V is finest where it moves slowest, and a
step is right to 2**-24 tau / dt of itself however little a neuron is driven above its threshold. In float64 V is what it says.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from snnrun import random
from snnrun.lazy import jnp
from snnrun.models import normal, precision, refractory
from snnrun.models.drives import at as drives_at
from snnrun.models.interface import Crossing, Drive, Members, Parameters, Population, Rule, State, Words, cast
from snnrun.models.layout import Layout
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Capacitance, Count, Current, Diffusion, Drawable, Frozen, Resistance, Steps, Time, Voltage, fault


class Init(Frozen):
    """State at t = 0."""

    V: Drawable[Voltage] | None = None
    """Membrane potential; V_rest where it is not given."""


class Spec(Frozen):
    """Leaky integrate-and-fire neurons."""

    model: Literal["lif"]
    size: Count
    """Number of neurons."""
    layout: Layout | None = None
    """Where the neurons are."""
    tau: Drawable[Time]
    """Time constant of the membrane, R C."""
    tau_ref: Drawable[Steps] = 0.0
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
    refractory_input: bool = False
    """Whether jumps of V that arrive while it is held are kept, decay with tau, and act once it is free; else they are lost."""
    noise: Drawable[Diffusion] | None = None
    """Strength B of white noise on V, dV = ... + B dW: alone it makes a standard deviation of B sqrt(tau / 2)."""
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
    fading: Any  # -dt / tau, by whose exponential jumps fade that are kept; None where they are lost
    noise: Any  # mV / sqrt(ms); None where there is none
    spread: Any  # mV, of the noise of a step without conductances
    dt: Any  # ms
    none: Any  # 0, see models/rounded.py
    streams: Any  # random.Streams of the noise


def gains(C: Any, tau: Any, tau_s: Any, dt: float) -> tuple[Any, Any]:
    """What V gains in a step of dt from currents x exp(-t / tau_s) and y t exp(-t / tau_s), per pA of x and per pA / ms of y.

        first  = (dt / C)   exp(-dt / tau) phi(z)         phi(z) = (exp(z) - 1) / z
        second = (dt**2 / C) exp(-dt / tau) psi(z)        psi(z) = ((z - 1) exp(z) + 1) / z**2,   z = dt (1 / tau - 1 / tau_s)

    z = 0 (tau_s = tau) is a removable singularity; near it both are summed as series.
    """
    C, tau = np.asarray(C, np.float64), np.asarray(tau, np.float64)
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


def capacitance(p: Parameters) -> Any:
    """C in pF, from R and tau where R is given."""
    return p["C"] if p["C"] is not None else p["tau"] / p["R"]


class Lif(Population):
    """Its state is V, in mV relative to its origin; the last spike where any neuron is ever refractory; and what is kept of jumps
    where these are not lost then."""

    Spec = Spec
    rules = (
        Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),
        Rule(("tau_ref",), lambda tau_ref: tau_ref >= 0, "tau_ref must not be negative"),
        Rule(("R",), lambda R: R > 0, "R must be positive"),
        Rule(("C",), lambda C: C > 0, "C must be positive"),
        Rule(("V_reset", "V_th"), lambda V_reset, V_th: V_reset < V_th, "V_reset must lie below V_th"),
    )
    variables = {"V": "mV", "ref": "steps", "kept": "mV"}

    def methods(self, spec: Any, conductances: bool) -> str:
        return spec.conductance if conductances or spec.solver == "exp_euler" else "exact"

    def bears(self, method: str) -> float | None:
        return 1.0 if method == "frozen" else None

    def response(self, parameters: Parameters, dt: float) -> Any:
        tau, R = self.membrane(parameters)  # type: ignore[misc]
        return R / tau

    def method_text(self, method: str) -> str:
        return {"exact": "exact", "linear": "exp_euler, linear", "frozen": "exp_euler, frozen"}[method]

    def precision(self, run: str, parameters: Parameters, dt: float) -> str:
        span = np.maximum(_span(parameters) / precision.SPAN, 1.0)
        return precision.of(run, parameters["tau"] * span, dt)

    def finest(self, parameters: Parameters) -> float:
        """Spacing of the values of V in float32 where they lie furthest from the threshold, in mV."""
        return float(np.spacing(np.float32(min(np.max(_span(parameters)), precision.MOST))))

    def initial(self, parameters: Parameters, given: State) -> State:
        return {"V": parameters["V_rest"], **given}

    def origin(self, parameters: Parameters, precision: str) -> Any:
        """V is relative to V_th in float32."""
        return parameters["V_th"] if precision == "float32" else 0.0

    def lower(self, members: Members, method: str) -> Const:
        p, dt, single = members.parameters, members.dt, members.precision == "float32"
        C, tau, origin = capacitance(p), p["tau"], self.origin(p, members.precision)
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond a float is infinite, and the run says so
            const = Const(
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
                ref_steps=refractory.steps(p["tau_ref"]),
                fading=-dt / tau if p["refractory_input"] and np.any(p["tau_ref"]) else None,
                noise=p["noise"],
                spread=None if p["noise"] is None else p["noise"] * np.sqrt(tau / 2 * -np.expm1(-2 * dt / tau)),
                dt=dt,
                none=0.0,
                streams=None,
            )
        held = Const(*(cast(value, members.precision) for value in const))
        streams = random.side_by_side(members.streams("noise/V"), members.sizes, members.padded)
        return held._replace(zero=cast(const.zero, "float64"), streams=None if p["noise"] is None else streams)

    def gains(self, members: Members, method: str, modes: tuple[tuple[Any, int], ...]) -> tuple[State, ...] | None:
        if method != "exact":
            return None
        p = members.parameters
        return tuple({"V": gains(capacitance(p), p["tau"], tau, members.dt)[n]} for tau, n in modes)

    def init(self, const: Const, initial: State, padded: int) -> State:
        state = {"V": np.broadcast_to(initial["V"], padded)}
        if const.ref_steps is not None:
            state["last"] = refractory.init(const.ref_steps, padded)
        if const.fading is not None:
            state["kept"] = np.zeros(padded, state["V"].dtype)
        return state

    def settled(self, const: Const, state: State, step: Any) -> State:
        if const.ref_steps is None:
            return state
        return state | {"last": refractory.settled(const.ref_steps, state["last"], step)}

    def observed(self, const: Const, state: State, name: str, step: Any) -> Any:
        if name == "V":
            return state["V"] + const.zero
        if name == "kept":
            return state["kept"] if const.fading is not None else jnp.zeros_like(state["V"])
        if const.ref_steps is None:
            return jnp.zeros(state["V"].shape, jnp.int32)
        return refractory.left(const.ref_steps, state["last"], step)

    def step(
        self, const: Const, state: State, drives: tuple[Drive, ...], method: str, step: Any, words: Words
    ) -> tuple[State, Crossing]:
        """Propagate, add delta arrivals, hold where refractory."""
        drive = drives_at(drives[0], state["V"])
        V = _PROPAGATE[method](const, state["V"], drive)
        if const.noise is not None:
            xi = normal.of_words(words(const.streams, step), V.dtype, const.none)
            V = V + decayed(_spread(const, drive, method), xi, const.none)
        if drive.jump is not None:
            V = V + drive.jump
        if const.ref_steps is None:
            return {"V": V}, Crossing("V", const.V_th, {"V": const.V_reset})
        held, then = refractory.blocks(const.ref_steps, state["last"], step), {"V": const.V_reset, "last": refractory.low(step)}
        if const.fading is None:
            V = jnp.where(held, const.V_reset, V)  # V_reset lies below the threshold
            return {"V": V, "last": state["last"]}, Crossing("V", const.V_th, then)
        kept = state["kept"]
        V = jnp.where(held, const.V_reset, V + kept)
        if drive.jump is not None:
            left = refractory.left(const.ref_steps, state["last"], step).astype(V.dtype)
            kept = kept + decayed(jnp.exp(const.fading * left), drive.jump, const.none)
        return {"V": V, "last": state["last"], "kept": jnp.where(held, kept, 0.0)}, Crossing("V", const.V_th, then)


def _span(p: Parameters) -> Any:
    """How far V is from the threshold, in mV: at rest or after a spike."""
    return np.maximum(np.abs(p["V_th"] - p["V_rest"]), np.abs(p["V_th"] - p["V_reset"]))


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


def _spread(const: Const, drive: Drive, method: str) -> Any:
    """Standard deviation of what noise adds to V in a step."""
    if method != "linear" or drive.conductance is None:
        return const.spread
    z = 2.0 * const.dt_per_C * (const.leak + drive.conductance)  # 2 dt G / C
    return const.noise * jnp.sqrt(const.dt * (1.0 - jnp.exp(-z)) / z)


def _exact(const: Const, V: Any, drive: Drive) -> Any:
    return _held(const, V, _current(const, drive), None if drive.increment is None else drive.increment["V"])


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


MODEL = Lif()
