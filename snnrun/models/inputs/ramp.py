"""A current or conductance that goes along a straight line from one value, at start, to another one, at stop.

I(t_k) = initial + (final - initial) (t_k - start) / (stop - start)        start <= t_k < stop
"""

from typing import Any, Literal, NamedTuple

from pydantic import Field

from snnrun.lazy import jnp
from snnrun.models.inputs.driving import Driving, lowest
from snnrun.models.interface import Current, Parameters, State, Targets, Words, cast
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Amplitude, Drawable, Steps


class Spec(Driving):
    """A value that grows or falls at an even pace."""

    model: Literal["ramp"]
    initial: Drawable[Amplitude]
    """At start."""
    final: Drawable[Amplitude]
    """At stop, where it ends."""
    # pydantic does not let pyright know that what is frozen may be narrowed
    stop: Steps = Field()  # pyright: ignore[reportIncompatibleVariableOverride]
    """When the final value would be reached."""


class Const(NamedTuple):
    initial: Any
    slope: Any  # per step
    start: Any  # int64 steps
    stop: Any


class Ramp(Current):
    Spec = Spec
    checked = "its value at every step"

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return lowest(parameters["initial"], parameters["final"])

    def lower(self, targets: Targets) -> Const:
        p = targets.parameters
        slope = (p["final"] - p["initial"]) / (p["stop"] - p["start"])
        return Const(cast(p["initial"], targets.precision), cast(slope, targets.precision), p["start"], p["stop"])

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        late = jnp.clip(step, const.start, const.stop) - const.start  # outside nothing that might overflow
        return const.initial + decayed(const.slope, late.astype(zero.dtype), zero)


MODEL = Ramp()
