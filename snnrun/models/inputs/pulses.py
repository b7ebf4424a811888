"""Rectangular pulses of a current or conductance, at equal distances or at given times.

I(t_k) = amplitude    where  begin <= t_k < begin + width
begin = start + n period,  n = 0 ... number - 1,  or each of the given times
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import model_validator

from snnrun.lazy import jnp
from snnrun.models import series
from snnrun.models.inputs.driving import Driving
from snnrun.models.interface import Current, Parameters, State, Targets, Words, cast
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Amplitude, Count, Drawable, FewSteps, Steps, fault


class Spec(Driving):
    """Rectangular pulses."""

    model: Literal["pulses"]
    amplitude: Drawable[Amplitude]
    """The value during a pulse."""
    width: FewSteps
    """How long each lasts."""
    period: FewSteps | None = None
    """From the beginning of one to that of the next; the first begins at start. This or times."""
    number: Count | None = None
    """How many; as many as there is time for where it is not given."""
    times: tuple[Steps, ...] | None = None
    """When they begin, ascending."""

    @model_validator(mode="after")
    def _one_of_period_and_times(self) -> "Spec":
        if (self.period is None) == (self.times is None):
            missing = self.period is None
            raise fault(
                "period or times is missing" if missing else "period and times are both given",
                "write one of them, like period: 50 ms" if missing else "keep one of them",
                at=() if missing else ("times",),
            )
        if self.times is not None:
            if self.number is not None:
                raise fault("times says how many pulses there are", "remove number", at=("number",))
            if not self.times:
                raise fault("times is empty", "give at least one time", at=("times",))
            for i, (before, time) in enumerate(zip(self.times, self.times[1:], strict=False), start=1):
                if time < before + self.width * (1 - 1e-9):
                    message = "a pulse begins before the one before it has ended"
                    raise fault(message, "times ascend by width at least", at=("times", i))
        elif self.period is not None and self.width > self.period * (1 + 1e-9):
            raise fault("a pulse is longer than the period", "width is at most period", at=("width",))
        return self


class Const(NamedTuple):
    amplitude: Any
    start: Any  # int64 steps; of pulses at equal distances
    width: Any
    period: Any
    end: Any  # of the last of them, from start on
    course: series.Const | None  # 1 during a pulse, of pulses at given times


class Pulses(Current):
    Spec = Spec
    checked = "its value at every step"

    def course(self, spec: Spec, dt: float, read: Callable[[Any], Any]) -> series.Series | None:
        if spec.times is None:
            return None
        begins = series.next_steps(spec.times, dt)
        edges = np.stack([begins, begins + series.next_steps(spec.width, dt)], axis=1).ravel()
        return series.made(np.array([0, len(edges)]), edges, np.tile([1.0, 0.0], len(begins)), None)

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return parameters["amplitude"]

    def lower(self, targets: Targets) -> Const:
        p = targets.parameters
        amplitude = cast(p["amplitude"], targets.precision)
        if p["course"] is not None:
            return Const(amplitude, None, None, None, None, series.lower(p["course"], targets.which, targets.precision))
        number = series.MOST if p["number"] is None else p["number"]
        end = np.minimum(np.asarray(p["period"], np.float64) * number, series.MOST).astype(np.int64)
        return Const(amplitude, p["start"], p["width"], p["period"], end, None)

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        if const.course is not None:
            return decayed(const.amplitude, series.at(const.course, step, zero), zero)
        late = step - const.start
        return jnp.where((late % const.period < const.width) & (late < const.end), const.amplitude, zero)


MODEL = Pulses()
