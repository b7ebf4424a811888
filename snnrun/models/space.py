"""Distance: how far apart neurons are that have places, and what follows from that.

Lengths are in um. Where a space is periodic, the distance along each axis is that to the nearest image, |x - L round(x / L)|. A
distance is computed from + - * / and square roots alone, so that it has the same bits on every machine.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from snnrun import random
from snnrun.models.rule import Indices
from snnrun.quantities import Frozen, Span, Speed, Time, WeightQuantity, fault, plain

Floats = NDArray[np.float64]

PAIRS = 1 << 18  # pairs that are looked at in one go
LEAF = 16  # points in a leaf of a k-d tree
_FARTHEST = 700.0  # exp(-700) is the least that is told from 0


# ---- what a user writes ----------------------------------------------------------------------------------------------


class Gaussian(Frozen):
    """exp(-d**2 / (2 sigma**2))."""

    model: Literal["gaussian"]
    sigma: Span

    def value(self, d: Floats) -> Floats:
        z = d / self.sigma
        return _exp(-0.5 * z * z)

    def reach(self, least: float) -> float:
        return self.sigma * math.sqrt(2.0 * max(-math.log(least), 0.0))


class Exponential(Frozen):
    """exp(-d / scale)."""

    model: Literal["exponential"]
    scale: Span

    def value(self, d: Floats) -> Floats:
        return _exp(-d / self.scale)

    def reach(self, least: float) -> float:
        return self.scale * max(-math.log(least), 0.0)


class Box(Frozen):
    """1 up to a distance, and 0 beyond."""

    model: Literal["box"]
    radius: Span

    def value(self, d: Floats) -> Floats:
        return (d <= self.radius).astype(np.float64)

    def reach(self, least: float) -> float:
        return self.radius


class Linear(Frozen):
    """1 - d / radius, and 0 beyond the radius."""

    model: Literal["linear"]
    radius: Span

    def value(self, d: Floats) -> Floats:
        return np.maximum(1.0 - d / self.radius, 0.0)

    def reach(self, least: float) -> float:
        return self.radius


Kernel = Annotated[Gaussian | Exponential | Box | Linear, Field(discriminator="model")]
"""A function of distance that is 1 at 0 and nowhere more: `value(d)` of distances; beyond `reach(least)` it is below `least`."""


class Circle(Frozen):
    """What is no farther than the radius: in one dimension an interval, in three a ball."""

    model: Literal["circle"]
    radius: Span

    @property
    def reach(self) -> float:
        return self.radius

    def holds(self, axes: tuple[Floats, ...], d: Floats) -> NDArray[np.bool_]:
        return d <= self.radius


class Doughnut(Frozen):
    """What is no nearer than `inner` and no farther than `outer`."""

    model: Literal["doughnut"]
    inner: Span
    outer: Span

    @model_validator(mode="after")
    def _hole(self) -> "Doughnut":
        if not self.inner < self.outer:
            raise fault("inner must lie below outer", at=("inner",))
        return self

    @property
    def reach(self) -> float:
        return self.outer

    def holds(self, axes: tuple[Floats, ...], d: Floats) -> NDArray[np.bool_]:
        return (d >= self.inner) & (d <= self.outer)


class BoxMask(Frozen):
    """A box of this extent around the neuron: along each axis no farther than half of it."""

    model: Literal["box"]
    extent: Annotated[tuple[Span, ...], Field(min_length=1, max_length=3)]

    @property
    def reach(self) -> float:
        return 0.5 * math.sqrt(sum(length * length for length in self.extent))

    def holds(self, axes: tuple[Floats, ...], d: Floats) -> NDArray[np.bool_]:
        inside = np.ones(len(d), bool)
        for x, length in zip(axes, self.extent, strict=True):
            inside &= np.abs(x) <= 0.5 * length
        return inside


Mask = Annotated[Circle | Doughnut | BoxMask, Field(discriminator="model")]


class Profile(Frozen):
    """base + amplitude kernel(d)."""

    kernel: Kernel
    amplitude: WeightQuantity
    """What is added at distance 0."""
    base: WeightQuantity | None = None
    """What it is far away; 0 where it is not given."""

    @property
    def ends(self) -> tuple[float, float]:
        """The values far away and at distance 0, between which all others lie."""
        base = 0.0 if self.base is None else plain(self.base)
        return base, base + plain(self.amplitude)


class WeightByDistance(Frozen):
    """A weight that depends on the distance of the two neurons."""

    distance: Profile

    def values(self, d: Floats) -> Floats:
        base, _ = self.distance.ends
        return base + plain(self.distance.amplitude) * self.distance.kernel.value(d)


class Conduction(Frozen):
    """offset + d / velocity."""

    velocity: Speed
    offset: Time = 0.0

    @model_validator(mode="after")
    def _causal(self) -> "Conduction":
        if self.offset < 0:
            raise fault("a time must not be negative", at=("offset",))
        return self


class DelayByDistance(Frozen):
    """A delay that grows with the distance of the two neurons, rounded to whole steps."""

    distance: Conduction

    def values(self, d: Floats) -> Floats:
        return self.distance.offset + d / self.distance.velocity


def _exp(x: Floats) -> Floats:
    """exp(x) for x <= 0; 0 where there is hardly a float for it."""
    return np.where(x < -_FARTHEST, 0.0, random.exp(np.maximum(x, -_FARTHEST)))


# ---- places and distances --------------------------------------------------------------------------------------------


class Places(NamedTuple):
    """Where the neurons of a population are."""

    points: Floats  # [neurons, dimensions], um
    period: tuple[float, ...] | None  # um along each axis, where the space closes on itself


class Space(NamedTuple):
    """Where the neurons are that a projection connects."""

    pre: Floats  # [N_pre, dimensions], um
    post: Floats
    period: tuple[float, ...] | None

    @property
    def turned(self) -> "Space":
        return Space(self.post, self.pre, self.period)

    def axes(self, pre: Indices, post: Indices) -> tuple[Floats, ...]:
        """From pre to post along each axis, for some pairs."""
        found = []
        for k in range(self.pre.shape[1]):
            x = self.post[post, k] - self.pre[pre, k]
            if self.period is not None:
                x -= self.period[k] * np.floor(x / self.period[k] + 0.5)
            found.append(x)
        return tuple(found)

    def distance(self, pre: Indices, post: Indices) -> Floats:
        return length(self.axes(pre, post))

    @property
    def widest(self) -> float:
        """No two neurons are farther apart than this."""
        both = np.concatenate([self.pre, self.post])
        sides = both.max(axis=0) - both.min(axis=0) if len(both) else np.zeros(self.pre.shape[1])
        if self.period is not None:
            sides = np.minimum(sides, 0.5 * np.array(self.period))
        return float(np.sqrt(np.sum(sides * sides))) * (1 + 1e-9)


def length(axes: tuple[Floats, ...]) -> Floats:
    """Of vectors that are given along each axis."""
    total = axes[0] * axes[0]
    for x in axes[1:]:
        total += x * x
    return np.sqrt(total)


class Near:
    """For each neuron of pre those of post that may lie within a reach: all of these, and few others.

    Without an end, or where everything is that near, these are all pairs. Otherwise they are found by a k-d tree; its distances
    are those of a library, and therefore only used to leave out what is clearly too far.
    """

    def __init__(self, space: Space, reach: float) -> None:
        self._space, self._tree = space, None
        self._reach = reach * (1 + 1e-9)
        if len(space.pre) and len(space.post) and not reach >= space.widest:
            self._tree = self._tree_of(space.post)

    def _tree_of(self, points: Floats) -> Any:
        from scipy.spatial import KDTree  # only a network that needs it pays for it

        if self._space.period is None:
            return KDTree(points, LEAF)
        period = np.array(self._space.period)
        wrapped = points - period * np.floor(points / period)
        return KDTree(np.where(wrapped >= period, 0.0, wrapped), LEAF, boxsize=period)

    def mean(self) -> float:
        """About how many there are for a neuron."""
        if self._tree is None:
            return float(len(self._space.post))
        some = self._space.pre[:: max(len(self._space.pre) // 64, 1)]
        found = self._tree_of(some).count_neighbors(self._tree, self._reach)
        return max(float(found) / len(some), 1.0)

    def chunks(self) -> Iterator[Indices]:
        """All neurons of pre, in pieces with about as many pairs as are looked at in one go."""
        step = max(1, int(PAIRS / max(self.mean(), 1.0)))
        for start in range(0, len(self._space.pre), step):
            yield np.arange(start, min(start + step, len(self._space.pre)))

    def pairs(self, pre: Indices) -> tuple[Indices, Indices]:
        """Of some neurons of pre: pre and post of each pair, in any order."""
        if self._tree is None:
            there = len(self._space.post)
            return np.repeat(pre, there), np.tile(np.arange(there), len(pre))
        found = self._tree_of(self._space.pre[pre]).sparse_distance_matrix(self._tree, self._reach, output_type="ndarray")
        return pre[found["i"]], found["j"]
