"""A current that takes a new value at each of a list of times; 0 before the first."""

from typing import Literal

from pydantic import model_validator

from snnrun.quantities import Current, Frozen, Selection, Time, fault


class Spec(Frozen):
    """Step currents."""

    model: Literal["steps"]
    to: Selection
    """Population, slice of one, or list of these."""
    times: tuple[Time, ...]
    """When a current begins, ascending."""
    currents: tuple[Current, ...]
    """The current from each of the times on."""
    start: Time = 0.0
    """Zero before this time."""
    stop: Time | None = None
    """Zero from this time on."""

    @model_validator(mode="after")
    def _pairs(self) -> "Spec":
        if len(self.times) != len(self.currents):
            raise fault(
                f"times and currents differ in length: {len(self.times)} and {len(self.currents)}",
                "give one current per time",
                at=("times",),
            )
        if not self.times:
            raise fault("times is empty", "give at least one time and one current", at=("times",))
        for i, (before, time) in enumerate(zip(self.times, self.times[1:], strict=False), start=1):
            if time <= before:
                raise fault("times must ascend", "each time lies after the one before it", at=("times", i))
        return self


DRAWN: dict[str, str] = {}


def course(spec: Spec, times: list[int], start: int, stop: int) -> tuple[list[int], list[float]]:
    """Steps at which the current changes, and its values (pA) before, between and after them."""
    edges, values = [start], [0.0, 0.0]
    for time, current in zip(times, spec.currents, strict=True):
        if time <= start:
            values[-1] = current
        elif time < stop:
            edges.append(time)
            values.append(current)
    return [*edges, stop], [*values, 0.0]
