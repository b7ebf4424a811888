"""Noise that takes new normal values every so many steps, as NEST's noise_generator does.

    I(t_k) = mean + std xi_j        j = floor((t_k - start) / every)

`std` is that of the values. What it makes of V depends on `every`: a current with the spectrum of white noise would need
std ~ 1 / sqrt(every). With `sigma` instead, std follows from the membrane,

    std = sigma / (R sqrt(2 tanh(every / (2 tau))))        so that  tau dV/dt = -V + R mean + sigma sqrt(tau) xi(t)

has its stationary standard deviation, sigma / sqrt(2), whatever `every` and dt are (exact for lif whose inputs are currents).
A conductance is 0 where this would be negative.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from snnrun.lazy import jnp
from snnrun.models.inputs import normals
from snnrun.models.inputs.driving import Driving, mean_of
from snnrun.models.interface import Current, Parameters, Rule, State, Targets, Words, cast
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Amplitude, Drawable, FewSteps, Voltage, fault


class Spec(Driving):
    """White noise: independent normal values."""

    model: Literal["white_noise"]
    mean: Drawable[Amplitude] | None = None
    """0 where it is not given."""
    std: Drawable[Amplitude] | None = None
    """Standard deviation of the values; this or sigma."""
    sigma: Drawable[Voltage] | None = None
    """Strength of the noise on a membrane: V has the standard deviation sigma / sqrt(2)."""
    every: FewSteps | None = None
    """How long a value is held; dt where it is not given."""
    correlation: normals.Correlation = 0.0
    """Between any two targets: 0 where each has its own noise, 1 where all have the same."""

    @model_validator(mode="after")
    def _one_of_std_and_sigma(self) -> "Spec":
        if (self.std is None) == (self.sigma is None):
            missing = self.std is None
            raise fault(
                "std or sigma is missing" if missing else "std and sigma are both given",
                "write one of them, like std: 50 pA" if missing else "keep one of them",
                at=() if missing else ("sigma",),
            )
        return self


class Const(NamedTuple):
    mean: Any
    std: Any
    start: Any  # int64 steps
    every: Any
    lowest: Any  # 0 for a conductance; None for a current
    normals: normals.Const


class WhiteNoise(Current):
    Spec = Spec
    checked = "its law, and the variance of V that follows from it"
    rules = (
        Rule(("std",), lambda std: std >= 0, "std must not be negative"),
        Rule(("sigma",), lambda sigma: sigma >= 0, "sigma must not be negative"),
    )

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        if spec.sigma is not None:
            checker.membranes((*path, "sigma"), spec.to, "write std: ... instead")

    def alike(self, spec: Spec, dt: float) -> tuple[Any, ...]:
        return spec.start, spec.every, spec.correlation

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return mean_of(parameters)

    def lower(self, targets: Targets) -> Const:
        p, kept = targets.parameters, targets.precision
        every = 1 if p["every"] is None else _one(p["every"])
        return Const(
            cast(mean_of(p), kept),
            cast(p["std"] if p["sigma"] is None else _std(p["sigma"], targets, every * targets.dt), kept),
            _one(p["start"]),
            np.int64(every),
            np.asarray(0.0, kept) if targets.positive else None,
            normals.lower(targets, targets.spec.correlation, kept),
        )

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        number = jnp.maximum(step - const.start, 0) // const.every
        found = const.mean + decayed(const.std, normals.draw(const.normals, number, words, zero), zero)
        return found if const.lowest is None else jnp.maximum(found, const.lowest)


def _one(value: Any) -> Any:
    """What all of them have."""
    return np.int64(np.asarray(value).flat[0])


def _std(sigma: Any, targets: Targets, held: float) -> Any:
    assert targets.membrane is not None
    tau, R = targets.membrane
    return sigma / (R * np.sqrt(2.0 * np.tanh(held / (2.0 * tau))))


MODEL = WhiteNoise()
