"""A current that is constant between start and stop."""

from collections.abc import Callable
from typing import Any, Literal

from snnrun.models.interface import Course, Current, Parameters
from snnrun.quantities import Current as Amplitude
from snnrun.quantities import Drawable, Selection, Windowed


class Spec(Windowed):
    """Constant current."""

    model: Literal["constant"]
    to: Selection
    """Population, slice of one, or list of these."""
    current: Drawable[Amplitude]


class Constant(Current):
    Spec = Spec

    def amplitude(self, parameters: Parameters) -> Any:
        return parameters["current"]

    def course(self, spec: Spec, steps: Callable[[float], int], start: int, stop: int) -> Course:
        return Course((start, stop), (0.0, 1.0, 0.0))


MODEL = Constant()
