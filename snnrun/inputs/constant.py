"""A current that is constant between start and stop."""

from typing import Literal

from snnrun.quantities import Current, Drawable, Frozen, Selection, Time


class Spec(Frozen):
    """Constant current."""

    model: Literal["constant"]
    to: Selection
    """Population, slice of one, or list of these."""
    current: Drawable[Current]
    start: Time = 0.0
    """First step is the one that begins here."""
    stop: Time | None = None
    """No step that begins here or later; the end of the run where it is not given."""


DRAWN = {"current": "current"}


def course(spec: Spec, start: int, stop: int) -> tuple[list[int], list[float]]:
    """Steps at which the factor of `current` changes, and its values before, between and after them."""
    return [start, stop], [0.0, 1.0, 0.0]
