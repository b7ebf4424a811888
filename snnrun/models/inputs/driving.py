"""What inputs that are held over a step have in common: to whom they go, from when to when, and what they are there.

An input is a current (pA), or with `output: {model: coba, E: ...}` a conductance (nS), which acts by g (E - V). Its value is that
of the beginning of a step, t_k, it acts in the steps with start <= t_k < stop, and moves V first at t_k + dt.
"""

from typing import Any

import numpy as np
from pydantic import model_validator

from snnrun.models.outputs import Output
from snnrun.quantities import Frozen, Selection, Windowed, fault


class Driving(Windowed):
    to: Selection
    """Population, slice of one, or list of these."""
    output: Output | None = None
    """cuba where it is not given: the values are currents."""


class Either(Driving):
    """A value that is written as `current` or as `conductance`."""

    @model_validator(mode="after")
    def _one_of_current_and_conductance(self) -> "Either":
        one, other = self._names()
        given = getattr(self, one), getattr(self, other)
        if (given[0] is None) == (given[1] is None):
            missing = given[0] is None
            raise fault(
                f"{one} or {other} is missing" if missing else f"{one} and {other} are both given",
                f"add {one}: ... in pA, or {other}: ... in nS" if missing else "keep one of them",
                at=() if missing else (other,),
            )
        return self

    @classmethod
    def _names(cls) -> tuple[str, str]:
        one, other = (name for name in cls.model_fields if name.startswith(("current", "conductance")))
        return one, other


def value_of(spec: Frozen, parameters: dict[str, Any]) -> Any:
    """The current, or the conductance, whichever was given."""
    return parameters["current"] if parameters["current"] is not None else parameters["conductance"]


def mean_of(parameters: dict[str, Any]) -> Any:
    """The mean, 0 where it is not given."""
    return 0.0 if parameters["mean"] is None else parameters["mean"]


def lowest(*values: Any) -> Any:
    return np.min(np.broadcast_arrays(*map(np.asarray, values)), axis=0)
