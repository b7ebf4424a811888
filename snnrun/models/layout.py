"""Where the neurons of a population are, in one to three dimensions.

Places that are drawn are functions of (seed, neuron, attempt), like all draws: a larger population has the same neurons at the
same places, and more.
"""

import math
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from snnrun import random
from snnrun.models.space import LEAF, Places, Space, length
from snnrun.quantities import Count, Frozen, Length, Span, fault

Floats = NDArray[np.float64]

DIMENSIONS = 3
MAX_ATTEMPTS = 1000  # at a place within a round volume, of which a draw hits half and more
MAX_ROUNDS = 300  # at places that keep a distance
# What of a line, an area or a volume intervals, discs or balls cover that are dropped at random until none fits any more
# (Renyi 1958; Feder 1980; Cooper 1988)
_JAMMED = (0.7475, 0.547, 0.384)
_UNIT_BALL = (2.0, math.pi, 4.0 * math.pi / 3.0)

Spans = Annotated[tuple[Span, ...], Field(min_length=1, max_length=DIMENSIONS)]
Point = Annotated[tuple[Length, ...], Field(min_length=1, max_length=DIMENSIONS)]


class LayoutError(ValueError):
    """Places that cannot be: the field that is wrong, what is wrong, and what to do."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.field, self.message, self.hint = field, message, hint


# ---- what a user writes ----------------------------------------------------------------------------------------------


class _Layout(Frozen):
    @property
    def period(self) -> tuple[float, ...] | None:
        """The extent along each axis, where the space closes on itself."""
        return None

    def impossible(self, size: int) -> tuple[str, str, str] | None:
        """Field, message and hint where so many neurons have no place."""
        return None


class _Centred(_Layout):
    dimensions: ClassVar[int]

    centre: Point | None = None
    """The middle; the origin where it is not given."""

    @model_validator(mode="after")
    def _in_one_space(self) -> "_Centred":
        if self.centre is not None and len(self.centre) != self.dimensions:
            message = f"this has {_times(len(self.centre), 'coordinate')}, and the layout {_times(self.dimensions, 'dimension')}"
            raise fault(message, at=("centre",))
        return self

    @property
    def middle(self) -> Floats:
        return np.zeros(self.dimensions) if self.centre is None else np.array(self.centre)


class Grid(_Centred):
    """A regular grid; the last coordinate runs fastest. Each neuron is in the middle of its cell, the grid around its centre."""

    model: Literal["grid"]
    shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=DIMENSIONS)]
    """Numbers of neurons along each axis."""
    spacing: Span | None = None
    """From neuron to neuron; this or extent."""
    extent: Spans | None = None
    """Of the whole grid along each axis, with half a spacing on either side; this or spacing."""
    periodic: bool = False
    """Whether opposite ends meet."""

    @model_validator(mode="after")
    def _one_of_each(self) -> "Grid":
        if (self.spacing is None) == (self.extent is None):
            missing = self.spacing is None
            raise fault(
                "spacing or extent is missing" if missing else "spacing and extent are both given",
                "write one of them, like spacing: 25 um" if missing else "keep one of them",
                at=() if missing else ("extent",),
            )
        if self.extent is not None and len(self.extent) != len(self.shape):
            raise fault(f"extent has {_times(len(self.extent), 'length')}, and shape {len(self.shape)}", at=("extent",))
        return self

    @property
    def dimensions(self) -> int:  # type: ignore[override]
        return len(self.shape)

    @property
    def sides(self) -> tuple[float, ...]:
        return tuple(n * self.spacing for n in self.shape) if self.extent is None else self.extent  # type: ignore[operator]

    @property
    def period(self) -> tuple[float, ...] | None:
        return self.sides if self.periodic else None

    def impossible(self, size: int) -> tuple[str, str, str] | None:
        there = math.prod(self.shape)
        if there == size:
            return None
        shape = " x ".join(map(str, self.shape))
        return "shape", f"a grid of {shape} has {there:,} places, and there are {size:,} neurons", "make them equal"


class Random(_Centred):
    """Uniform and independent in a box around the centre."""

    model: Literal["random"]
    extent: Spans
    """Of the box along each axis."""
    min_distance: Span | None = None
    """No two neurons are closer: of two that are, the later one is drawn again."""
    periodic: bool = False
    """Whether opposite ends meet."""

    @property
    def dimensions(self) -> int:  # type: ignore[override]
        return len(self.extent)

    @property
    def period(self) -> tuple[float, ...] | None:
        return self.extent if self.periodic else None

    def impossible(self, size: int) -> tuple[str, str, str] | None:
        if self.min_distance is None:
            return None
        # the neurons' balls, of half the distance, may stick out of the box by their radius
        box = [side + (0.0 if self.periodic else self.min_distance) for side in self.extent]
        covered = size * _UNIT_BALL[len(box) - 1] * (0.5 * self.min_distance) ** len(box) / math.prod(box)
        if covered <= 0.95 * _JAMMED[len(box) - 1]:
            return None
        message = f"{size:,} neurons at this distance do not fit when they are placed at random"
        return "min_distance", message, "make it smaller, or write model: grid"


class Disc(_Centred):
    """Uniform in a disc around the centre."""

    dimensions = 2
    model: Literal["disc"]
    radius: Span


class Ball(_Centred):
    """Uniform in a ball around the centre."""

    dimensions = 3
    model: Literal["ball"]
    radius: Span


class Sphere(_Centred):
    """Uniform on a sphere around the centre. Distances are those of straight lines."""

    dimensions = 3
    model: Literal["sphere"]
    radius: Span


class File(_Layout):
    """Places from the columns of a file, one row per neuron."""

    dimensions: ClassVar[None] = None  # the file says it
    model: Literal["file"]
    file: str
    """CSV with a header, NPZ or HDF5."""
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=DIMENSIONS)] | None = None
    """One for each dimension, like [x_um, y_um]; those named x, y, z with a unit of length where they are not given."""
    id: str | None = None
    """The column that says of which neuron a row is; where it is not given, the rows follow each other as the neurons do."""
    extent: Spans | None = None
    """Along each axis, where the space is periodic."""
    periodic: bool = False
    """Whether opposite ends of the extent meet."""

    @model_validator(mode="after")
    def _both_or_none(self) -> "File":
        if self.periodic and self.extent is None:
            raise fault("extent is missing", "a periodic space needs one, like extent: [1 mm, 1 mm]")
        if self.extent is not None and not self.periodic:
            raise fault("an extent is of use where the space is periodic", "add periodic: true", at=("extent",))
        return self

    @property
    def period(self) -> tuple[float, ...] | None:
        return self.extent


Layout = Annotated[Grid | Random | Disc | Ball | Sphere | File, Field(discriminator="model")]


def _times(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


# ---- places ----------------------------------------------------------------------------------------------------------


def places(layout: Any, size: int, stream: random.Key) -> Places:
    """Where the neurons of a layout other than `file` are. Raises LayoutError where they do not fit."""
    return Places(_LAYOUTS[layout.model](layout, size, stream), layout.period)


def _grid(layout: Grid, size: int, stream: random.Key) -> Floats:
    axes = [(np.arange(n) - 0.5 * (n - 1)) * (side / n) for n, side in zip(layout.shape, layout.sides, strict=True)]
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1) + layout.middle


def _uniform(stream: random.Key, neurons: NDArray[Any], attempt: Any, dimensions: int) -> Floats:
    """Numbers between 0 and 1 for each dimension, two to a block."""
    first = random.blocks(stream, neurons, 2 * attempt)
    second = random.blocks(stream, neurons, 2 * attempt + 1) if dimensions > 2 else ()
    return np.stack([random.uniform(words) for words in (*first, *second)[:dimensions]], axis=1)


def _random(layout: Random, size: int, stream: random.Key) -> Floats:
    sides, neurons = np.array(layout.extent), np.arange(size)

    def drawn(which: NDArray[Any], attempt: Any) -> Floats:
        return (_uniform(stream, which, attempt, len(sides)) - 0.5) * sides

    points = drawn(neurons, 0)
    if layout.min_distance is not None:
        attempts = np.zeros(size, np.int64)
        for _ in range(MAX_ROUNDS):
            crowded = _crowded(points, layout)
            if not len(crowded):
                break
            attempts[crowded] += 1
            points[crowded] = drawn(crowded, attempts[crowded])
        else:
            message = f"{size:,} neurons at this distance were not found a place each within {MAX_ROUNDS} rounds of draws"
            raise LayoutError("min_distance", message, "make it smaller, or write model: grid")
    return points + layout.middle


def _crowded(points: Floats, layout: Random) -> NDArray[np.int64]:
    """Neurons that are too close to an earlier one."""
    from scipy.spatial import KDTree

    assert layout.min_distance is not None
    sides = np.array(layout.extent)
    tree = KDTree(points + 0.5 * sides, LEAF, boxsize=sides) if layout.periodic else KDTree(points, LEAF)
    near = tree.query_pairs(layout.min_distance * (1 + 1e-9), output_type="ndarray").astype(np.int64)
    apart = length(Space(points, points, layout.period).axes(near[:, 0], near[:, 1]))
    return np.unique(near[apart < layout.min_distance].max(axis=1, initial=-1))


def _in_ball(layout: Any, size: int, stream: random.Key) -> Floats:
    """By draws from the cube around it; those outside are drawn again."""
    points, open_ = np.empty((size, layout.dimensions)), np.arange(size)
    for attempt in range(MAX_ATTEMPTS):
        points[open_] = 2.0 * _uniform(stream, open_, attempt, layout.dimensions) - 1.0
        far = length(tuple(points[open_].T))
        open_ = open_[(far > 1.0) | (far < 1e-6)]  # what is too close to the middle has no direction
        if not len(open_):
            break
    if layout.model == "sphere":
        points /= length(tuple(points.T))[:, None]
    return points * layout.radius + layout.middle


_LAYOUTS: dict[str, Any] = {"grid": _grid, "random": _random, "disc": _in_ball, "ball": _in_ball, "sphere": _in_ball}
