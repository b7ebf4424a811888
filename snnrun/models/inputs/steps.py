"""A current or conductance that takes a new value at each of a list of times; 0 before the first."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import model_validator

from snnrun.models import series
from snnrun.models.inputs.driving import Either
from snnrun.models.interface import Current, Parameters, State, Targets, Words
from snnrun.quantities import Conductance, Steps, paired
from snnrun.quantities import Current as Amplitude


class Spec(Either):
    """Step currents or conductances."""

    model: Literal["steps"]
    times: tuple[Steps, ...]
    """When a value begins, ascending."""
    currents: tuple[Amplitude, ...] | None = None
    """The current from each of the times on; this or conductances."""
    conductances: tuple[Conductance, ...] | None = None
    """With an output that has a reversal potential."""

    @model_validator(mode="after")
    def _pairs(self) -> "Spec":
        name = "currents" if self.currents is not None else "conductances"
        paired(self.times, self.values, name)
        return self

    @property
    def values(self) -> tuple[float, ...]:
        return self.currents if self.currents is not None else self.conductances or ()


class StepCurrent(Current):
    Spec = Spec
    checked = "NEST and Brian2: spike for spike (validation.md)"

    def course(self, spec: Spec, dt: float, read: Callable[[Any], Any]) -> series.Series:
        return series.level(spec.times, spec.values, dt)

    def steady(self, spec: Spec, parameters: Parameters) -> Any:
        return spec.values[0] if len(spec.times) == 1 and spec.times[0] <= spec.start else None

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return min(spec.values)

    def lower(self, targets: Targets) -> series.Const:
        return series.lower(targets.parameters["course"], targets.which, targets.precision)

    def value(self, const: series.Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        return series.at(const, step, zero)


MODEL = StepCurrent()
