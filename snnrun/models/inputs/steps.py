"""A current that takes a new value at each of a list of times; 0 before the first."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import model_validator

from snnrun.models.interface import Course, Current, Parameters
from snnrun.quantities import Current as Amplitude
from snnrun.quantities import Selection, Steps, Windowed, paired


class Spec(Windowed):
    """Step currents."""

    model: Literal["steps"]
    to: Selection
    """Population, slice of one, or list of these."""
    times: tuple[Steps, ...]
    """When a current begins, ascending."""
    currents: tuple[Amplitude, ...]
    """The current from each of the times on."""

    @model_validator(mode="after")
    def _pairs(self) -> "Spec":
        paired(self.times, self.currents, "currents")
        return self


class StepCurrent(Current):
    """The course holds the currents themselves, in pA."""

    Spec = Spec

    def amplitude(self, parameters: Parameters) -> Any:
        return 1.0

    def course(self, spec: Spec, steps: Callable[[float], int], start: int, stop: int) -> Course:
        edges, values = [start], [0.0, 0.0]
        for time, current in zip(map(steps, spec.times), spec.currents, strict=True):
            if time <= start:
                values[-1] = current
            elif time < stop:
                edges.append(time)
                values.append(current)
        return Course((*edges, stop), (*values, 0.0))


MODEL = StepCurrent()
