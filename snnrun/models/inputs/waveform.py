"""A current or conductance from a file: points in time, and what lies between them.

The columns are `time_ms`, ascending, and `current_<unit>` or `conductance_<unit>`; with a column `neuron`, which counts within
the selection, each target has points of its own. Before the first point the value is 0, after the last one it stays, until the
period is over and all of it comes again. A value is that of t_k, so that times need not be whole steps.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from snnrun import units
from snnrun.models import series
from snnrun.models.inputs.driving import Driving
from snnrun.models.interface import Current, Parameters, State, Targets, Words, cast
from snnrun.models.synapses.decay import decayed
from snnrun.quantities import Drawable, FewSteps, Number, WaveformFile


class Spec(Driving, WaveformFile):
    """What a file says."""

    model: Literal["waveform"]
    interpolation: Literal["constant", "linear"] = "constant"
    """Between two points: the value of the first one, or on the line from the one to the other."""
    period: FewSteps | None = None
    """After which all of this comes again, and again."""
    scale: Drawable[Number] = 1.0
    """What all values are multiplied by."""


class Points(NamedTuple):
    """What a file says, in ms and pA or nS: sorted by the course and the time."""

    first: Any  # int64 [courses + 1]
    time: Any
    value: Any


class Const(NamedTuple):
    scale: Any
    period: Any  # int64 steps; None where nothing comes again
    course: series.Const


class Waveform(Current):
    Spec = Spec
    checked = "its value at every step, on and off the grid"

    def alike(self, spec: Spec, dt: float) -> tuple[Any, ...]:
        return (None if spec.period is None else units.whole(spec.period, dt),)

    def course(self, spec: Spec, dt: float, read: Callable[[Any], Points]) -> series.Series:
        first, times, values = read(spec)
        if spec.interpolation == "linear":
            return series.lines(first, times, values, dt)
        return series.made(first, series.next_steps(times, dt), values, None)

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        value = parameters["course"].value
        bounds = np.min(value, initial=0.0), np.max(value, initial=0.0)
        scale = np.asarray(parameters["scale"])
        return np.minimum(scale * bounds[0], scale * bounds[1])

    def lower(self, targets: Targets) -> Const:
        p, kept = targets.parameters, targets.precision
        period = None if p["period"] is None else np.int64(np.asarray(p["period"]).flat[0])  # of all alike
        return Const(cast(p["scale"], kept), period, series.lower(p["course"], targets.which, kept))

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        at = step if const.period is None else step % const.period
        return decayed(const.scale, series.at(const.course, at, zero), zero)


MODEL = Waveform()
