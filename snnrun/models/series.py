"""Courses in time that are given piece by piece: where in a list of times a step lies, and the value there.

    v(t_k) = value[i] + slope[i] (k - step[i])        for the last i with step[i] <= k;  0 before the first

Values are taken at the beginning of a step, t_k. So a time between two steps is as good as the next step after it, and a line is
right at every t_k wherever its ends lie.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snnrun import units
from snnrun.lazy import jnp
from snnrun.models.interface import cast
from snnrun.models.synapses.decay import decayed

MOST = 2**53  # steps


class Series(NamedTuple):
    """One course, or several one after the other."""

    first: NDArray[np.int64]  # [courses + 1]: where each begins
    step: NDArray[np.int64]  # [pieces], ascending within a course
    value: NDArray[np.float64]
    slope: NDArray[np.float64] | None  # per step; None where all pieces are level

    @property
    def courses(self) -> int:
        return len(self.first) - 1


def next_steps(times: Any, dt: float) -> NDArray[np.int64]:
    """The first step that begins at each of some times or later."""
    with np.errstate(over="ignore"):
        quotient = np.asarray(times, np.float64) / dt
    nearest = np.rint(quotient)
    on_grid = np.abs(quotient - nearest) <= np.maximum(units.GRID_TOLERANCE, 1e-12 * np.abs(quotient))
    return np.clip(np.where(on_grid, nearest, np.ceil(quotient)), 0, MOST).astype(np.int64)


def level(times: Any, values: Any, dt: float) -> Series:
    """One course of values that hold from their times on."""
    steps, values = next_steps(times, dt), np.asarray(values, np.float64)
    return made(np.array([0, len(steps)]), steps, values, None)


def made(first: Any, step: NDArray[np.int64], value: NDArray[np.float64], slope: NDArray[np.float64] | None) -> Series:
    """Courses without the pieces that end in the step in which they begin."""
    last = np.append(step[1:] > step[:-1], True)[: len(step)]
    ends = np.asarray(first[1:])
    last[ends[ends > 0] - 1] = True
    before = np.concatenate([[0], np.cumsum(last)])
    return Series(before[first].astype(np.int64), step[last], value[last], None if slope is None else slope[last])


def part(series: Series, begin: int, count: int) -> Series:
    """The courses of some targets; all of one course have that."""
    if series.courses == 1:
        return series
    low, high = series.first[begin], series.first[begin + count]
    slope = None if series.slope is None else series.slope[low:high]
    return Series(series.first[begin : begin + count + 1] - low, series.step[low:high], series.value[low:high], slope)


def lines(first: Any, times: NDArray[np.float64], values: NDArray[np.float64], dt: float) -> Series:
    """Courses along straight lines from point to point, and level after the last one."""
    step, slope = next_steps(times, dt), np.zeros_like(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope[:-1] = (values[1:] - values[:-1]) / (times[1:] - times[:-1])  # per ms
    ends = np.asarray(first[1:])
    slope[ends[ends > np.asarray(first[:-1])] - 1] = 0.0
    begin = values + slope * (step * dt - times)  # on the line at the first step of it
    return made(first, step, begin, slope * dt)


# ---- in a step -------------------------------------------------------------------------------------------------------


class Const(NamedTuple):
    """Courses as a device holds them. All have the same times, then values are [pieces + 1, courses], or each has its own."""

    step: Any  # int64 [pieces]
    first: Any  # int32 [courses + 1]; None where all have the same times
    halvings: Any  # int8 [steps of a bisection]: only its length matters; None in that case
    value: Any  # [pieces + 1, courses], of which the first row is 0; or [pieces + 1], of which the first is 0
    slope: Any  # the same; None where all pieces are level
    begin: Any  # int64 [pieces + 1]: the step in which a piece begins; None where there is no slope
    which: Any  # int32 [neurons]: which of the courses; None where there is one


def lower(series: Sequence[Series], which: Any, precision: str) -> Const:
    """Courses of some inputs; `which` counts those of all of them."""
    sloped = any(one.slope is not None for one in series)
    slopes = [np.zeros_like(one.value) if one.slope is None else one.slope for one in series]
    of_each = [
        (one.step[a:b], one.value[a:b], slope[a:b])
        for one, slope in zip(series, slopes, strict=True)
        for a, b in zip(one.first, one.first[1:], strict=False)
    ]
    step = of_each[0][0]
    same = all(len(other) == len(step) and (other == step).all() for other, _, _ in of_each)
    if same:
        first = halvings = None
        value, slope = (np.stack([part[i] for part in of_each], axis=1) for i in (1, 2))
        value, slope = (np.concatenate([np.zeros_like(part[:1]) if len(part) else np.zeros((1, len(of_each))), part])
                        for part in (value, slope))  # fmt: skip
    else:
        step, value, slope = (np.concatenate([part[i] for part in of_each]) for i in (0, 1, 2))
        lengths = [len(part) for part, _, _ in of_each]
        first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        halvings = np.zeros(int(max(lengths)).bit_length(), np.int8)
        value, slope = np.append(0.0, value), np.append(0.0, slope)
    begin = np.append(0, step) if sloped else None
    return Const(step, first, halvings, cast(value, precision), cast(slope, precision) if sloped else None, begin, which)


def at(const: Const, step: Any, zero: Any) -> Any:
    """Values in a step, one per neuron, or one for all where there is one course."""
    if const.first is None:
        past = jnp.searchsorted(const.step, step, side="right")
    else:
        low, end = const.first[:-1], const.first[1:]
        high, last = end, const.step.shape[0] - 1
        for _ in range(const.halvings.shape[0]):  # the first piece of the course that begins after the step
            middle = (low + high) // 2
            before = (low < high) & (const.step[jnp.minimum(middle, last)] <= step)
            low, high = jnp.where(before, middle + 1, low), jnp.where(before, high, middle)
        past = jnp.where(low > const.first[:-1], low, 0)
    value = const.value[past]
    if const.slope is not None:
        late = (step - const.begin[past]).astype(value.dtype)
        value = value + decayed(const.slope[past], late, zero)
    if const.which is not None:
        return value[const.which]
    return value[0]
