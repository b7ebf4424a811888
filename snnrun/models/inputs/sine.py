"""A current or conductance that goes up and down.

    I(t_k) = mean + amplitude sin(2 pi frequency t_k + phase)

Where in the turn a step lies is counted in 2**-64 of a turn, so that no phase is lost in long runs. The sine of a quarter turn is
its Taylor series, whose next term is below the rounding.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun.lazy import jnp
from snnrun.models.inputs.driving import Driving, mean_of
from snnrun.models.interface import Current, Parameters, Rule, State, Targets, Words, cast
from snnrun.models.rounded import Rounded, plain
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Amplitude, Drawable, Number, Rate

_TERMS = {"float32": 7, "float64": 12}


class Spec(Driving):
    """A sine."""

    model: Literal["sine"]
    amplitude: Drawable[Amplitude]
    """Of the sine, around the mean."""
    frequency: Drawable[Rate]
    """Turns per time; at most one in two steps."""
    phase: Drawable[Number] = 0.0
    """At t = 0, in radians."""
    mean: Drawable[Amplitude] | None = None
    """What it goes up and down around; 0 where it is not given."""


class Const(NamedTuple):
    mean: Any
    amplitude: Any
    phase: Any  # uint64: of step 0, in 2**-64 of a turn
    turn: Any  # uint64: of a step


class Sine(Current):
    Spec = Spec
    checked = "its value at every step; the lag of a membrane; V of NEST with ac_generator to 1e-13 mV"
    rules = (Rule(("frequency",), lambda frequency: frequency > 0, "frequency must be positive"),)

    def check(self, spec: Spec, checker: Any, path: Any) -> None:
        if isinstance(spec.frequency, float) and checker.dt is not None and spec.frequency * checker.dt > 0.5:
            checker.fault((*path, "frequency"), "a turn takes less than two steps", "use a smaller dt")

    def sound(self, spec: Spec, parameters: Parameters, dt: float) -> tuple[str, str, Any] | None:
        fast = np.asarray(parameters["frequency"]) * dt > 0.5
        return ("frequency", "a turn takes less than two steps", fast) if np.any(fast) else None

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return mean_of(parameters) - np.abs(parameters["amplitude"])

    def lower(self, targets: Targets) -> Const:
        p, kept = targets.parameters, targets.precision
        phase, turn = p["phase"] / (2 * math.pi), p["frequency"] * targets.dt
        return Const(cast(mean_of(p), kept), cast(p["amplitude"], kept), of_a_turn(phase), of_a_turn(turn))

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        at = const.phase + const.turn * step.astype(jnp.uint64)  # modulo whole turns
        return const.mean + decayed(const.amplitude, sine_of(at, zero), zero)


def of_a_turn(turns: Any) -> Any:
    """Parts of a turn as whole numbers of 2**-64, whole turns left out."""
    part = np.asarray(turns, np.float64) % 1.0
    return np.ldexp(np.where(part < 1.0, part, 0.0), 64).astype(np.uint64)


def sine_of(at: Any, zero: Any) -> Any:
    """sin of an angle in 2**-64 of a turn, in the precision of the zero: to 1e-15, or 1e-7."""
    near = at.astype(jnp.int64)  # between half a turn backwards and half a turn on; a cast keeps the bits
    quarter, half = np.int64(2**62), np.int64(-(2**63))
    near = jnp.where((near > quarter) | (near < -quarter), half - near, near)  # sin(pi - x) = sin(x)
    x = Rounded(near.astype(zero.dtype), zero) * (2 * math.pi * 2.0**-64)
    square, total = x * x, 1.0
    for n in range(_TERMS[str(zero.dtype)] - 1, 0, -1):
        total = 1.0 - square * total * (1.0 / (2 * n * (2 * n + 1)))
    return plain(x * total)


MODEL = Sine()
