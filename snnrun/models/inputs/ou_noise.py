"""Noise with a memory: an Ornstein-Uhlenbeck process, which is normal with a correlation that decays as exp(-|t - s| / tau).

    dy/dt = -y / tau + std sqrt(2 / tau) xi(t)        I(t_k) = mean + y(t_k)

The step is exact, y <- exp(-dt / tau) y + std sqrt(1 - exp(-2 dt / tau)) xi_k, and y(0) is drawn from the stationary law, so that
std is the standard deviation at any time. It does not begin with the window: y is there from t = 0 on. A conductance is 0 where
mean + y is negative (the point conductances of Destexhe, Rudolph, Fellous & Sejnowski, Neuroscience 107, 2001).
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.lazy import jnp
from snnrun.models.inputs import normals
from snnrun.models.inputs.driving import Driving, mean_of
from snnrun.models.interface import Current, Parameters, Rule, State, Targets, Words, cast
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Amplitude, Drawable, Time


class Spec(Driving):
    """Ornstein-Uhlenbeck noise: normal values that remember each other for a time."""

    model: Literal["ou_noise"]
    mean: Drawable[Amplitude] | None = None
    """0 where it is not given."""
    std: Drawable[Amplitude]
    """Standard deviation of the values at any time."""
    tau: Drawable[Time]
    """Time after which a correlation has fallen to 1 / e."""
    correlation: normals.Correlation = 0.0
    """Between any two targets: 0 where each has its own noise, 1 where all have the same."""


class Const(NamedTuple):
    mean: Any
    decay: Any  # exp(-dt / tau), in the precision of the state
    spread: Any  # std sqrt(1 - exp(-2 dt / tau))
    lowest: Any  # 0 for a conductance; None for a current
    zero: Any  # in the precision of the state, see rounded.py
    normals: normals.Const


class OUNoise(Current):
    """Its state is y, the distance from the mean."""

    Spec = Spec
    checked = "its law, its autocorrelation, and the variance of V that follows from it"
    rules = (
        Rule(("std",), lambda std: std >= 0, "std must not be negative"),
        Rule(("tau",), lambda tau: tau > 0, "tau must be positive"),
    )

    def alike(self, spec: Spec, dt: float) -> tuple[Any, ...]:
        return (spec.correlation,)

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return mean_of(parameters)

    def slowest(self, parameters: Parameters) -> Any:
        return parameters["tau"]

    def lower(self, targets: Targets) -> Const:
        p, kept = targets.parameters, targets.kept
        spread = p["std"] * np.sqrt(-np.expm1(-2.0 * targets.dt / p["tau"]))
        return Const(
            cast(mean_of(p), targets.precision),
            cast(np.exp(-targets.dt / p["tau"]), kept),
            cast(spread, kept),
            np.asarray(0.0, targets.precision) if targets.positive else None,
            np.asarray(0.0, kept),
            normals.lower(targets, targets.spec.correlation, kept),
        )

    def init(self, const: Const, targets: Targets) -> State:
        p = targets.parameters
        return {"y": (p["std"] * normals.initial(targets, targets.spec.correlation)).astype(targets.kept)}

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        found = const.mean + state["y"].astype(zero.dtype)
        return found if const.lowest is None else jnp.maximum(found, const.lowest)

    def advance(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> State:
        xi = normals.draw(const.normals, step, words, const.zero)
        return {"y": decayed(const.decay, state["y"], const.zero) + decayed(const.spread, xi, const.zero)}


MODEL = OUNoise()
