"""A current or conductance that is constant between start and stop."""

from typing import Any, Literal, NamedTuple

from snnrun.models.inputs.driving import Either, value_of
from snnrun.models.interface import Current, Parameters, State, Targets, Words, cast
from snnrun.quantities import Conductance, Drawable
from snnrun.quantities import Current as Amplitude


class Spec(Either):
    """Constant current or conductance."""

    model: Literal["constant"]
    current: Drawable[Amplitude] | None = None
    """This or conductance."""
    conductance: Drawable[Conductance] | None = None
    """With an output that has a reversal potential."""


class Const(NamedTuple):
    value: Any


class Constant(Current):
    Spec = Spec
    checked = "NEST and Brian2: spike for spike (validation.md)"

    def steady(self, spec: Spec, parameters: Parameters) -> Any:
        return value_of(spec, parameters)

    def least(self, spec: Spec, parameters: Parameters) -> Any:
        return value_of(spec, parameters)

    def lower(self, targets: Targets) -> Const:
        return Const(cast(value_of(targets.spec, targets.parameters), targets.precision))

    def value(self, const: Const, state: State, step: Any, words: Words, zero: Any) -> Any:
        return const.value


MODEL = Constant()
