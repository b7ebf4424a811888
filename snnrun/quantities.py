"""Types of the values in a network file: quantities with units, distributions of them, columns of files.

A field's type names its dimension (`tau: Drawable[Time]`); after loading, its value is a plain float in internal units
(ms, mV, pA, nS, pF, GOhm, kHz), a distribution of such floats, or the name of a column that holds them.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, TypeGuard, TypeVar, Union, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag, model_validator
from pydantic_core import PydanticCustomError, core_schema

from snnrun import units
from snnrun.selections import RANDOM, SLICE

NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"  # of populations, projections, inputs and monitors


class Frozen(BaseModel):
    """What a user wrote: immutable, hashable by value, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def fault(message: str, hint: str = "", at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """An error that pydantic carries to the place where it belongs; `at` leads from there to the part that is wrong."""
    return PydanticCustomError("snnrun", "{message}", {"message": message, "hint": hint, "at": at})


class Quantity(NamedTuple):
    """A number with whatever unit it was given: a weight's dimension follows from its synapse and output."""

    value: float
    dimension: str | None  # None: a bare number


@dataclass(frozen=True)
class Unit:
    """Annotation of a float that is written with a unit of one dimension, or without one if that is `number`."""

    dimension: str

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(self.write)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        if self.dimension == "number":
            return _number_schema("number without a unit")
        if not units.is_simple(self.dimension):
            return _compound_schema(f"like 5 {units.usual(self.dimension)}")
        return _quantity_schema(units.of_dimension(self.dimension), f"{self.dimension}, like 5 {units.usual(self.dimension)}")

    def read(self, raw: object) -> float:
        try:
            return units.read(raw, self.dimension)
        except units.UnitError as error:
            raise fault(error.message, error.hint) from None

    def write(self, value: float) -> str | float:
        return value if self.dimension == "number" else units.show(value, self.dimension)


@dataclass(frozen=True)
class AnyUnit:
    """Annotation of a Quantity: a number with a unit whose dimension is checked once its surroundings are known."""

    dimensions: tuple[str, ...]  # that are told of
    others: bool = False  # whether compound units and bare numbers have a use, too

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(list)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        allowed = [unit for dimension in self.dimensions for unit in units.of_dimension(dimension)]
        description = " or ".join(self.dimensions) if len(self.dimensions) < 4 else "a number with its unit"
        if self.others:
            every = [_quantity_schema(allowed, description), _compound_schema("compound unit"), _number_schema("number")]
            return {"anyOf": every}
        return _quantity_schema(allowed, description)

    def bare(self, raw: Any) -> Quantity:
        if not math.isfinite(float(raw)):
            raise fault("a finite number with its unit is wanted here", f"like {self.examples()}")
        return Quantity(float(raw), None)

    def examples(self) -> str:
        return ", ".join(f"5 {units.usual(dimension)}" for dimension in self.dimensions[:3])

    def read(self, raw: object) -> Quantity:
        if isinstance(raw, bool) or not isinstance(raw, int | float | str):
            raise fault("a number with its unit is wanted here", f"like {self.examples()}")
        try:
            if not isinstance(raw, str):
                return self.bare(raw)
            return Quantity(*units.parse(raw))
        except units.UnitError as error:
            if error.message == "a unit is missing":
                return self.bare(raw)
            told = "did you mean" in error.hint or "comma" in error.message
            known = error.hint if told else f"write it like {self.examples()}"
            raise fault(error.message, known) from None


_ANY_UNIT = "|".join(units.UNITS)
EXPRESSION = (
    rf"^\s*-?\s*(?!({_ANY_UNIT})\b)[A-Za-z_(]"
    rf"|^\s*{units.NUMBER}\s*(({_ANY_UNIT})?\s*([*+]\s*[A-Za-z0-9.(]|-\s|/\s*\()|/\s*[A-Za-z0-9.])"
)
"""How an expression begins, which a number with a unit does not: with a name or a bracket, or with a number and an operator."""


def _quantity_schema(allowed: list[str], description: str) -> dict[str, Any]:
    pattern = rf"^\s*{units.NUMBER}\s*({'|'.join(allowed)})\s*$|{EXPRESSION}"
    return {"type": "string", "pattern": pattern, "description": f"{description} ({', '.join(allowed)})"}


def _compound_schema(description: str) -> dict[str, Any]:
    """A number with any compound unit: which are of the wanted dimension is more than a pattern can say."""
    return {"type": "string", "pattern": rf"^\s*{units.NUMBER}\s*{units.COMPOUND}\s*$|{EXPRESSION}", "description": description}


def _number_schema(description: str) -> dict[str, Any]:
    written = {"type": "string", "pattern": rf"^\s*{units.NUMBER}\s*$|{EXPRESSION}"}
    return {"anyOf": [{"type": "number"}, written], "description": description}


class _Selecting:
    """Annotation of a population, a slice of one, or a list of these; always a tuple after loading."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = {"type": "string", "pattern": f"{NAME[:-1]}({SLICE}|{RANDOM})?$"}
        number = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": EXPRESSION}]}
        drawn = {"random": number, "of": {"type": "string", "pattern": NAME}, "name": {"type": "string"}}
        one = {
            "anyOf": [text, {"type": "object", "properties": drawn, "required": ["random", "of"], "additionalProperties": False}]
        }
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one, "minItems": 1}]}

    def read(self, raw: object) -> tuple[str, ...]:
        every = raw if isinstance(raw, list | tuple) else [raw]
        parts = tuple(part for part in every if isinstance(part, str))
        if not parts or len(parts) < len(every):
            raise fault("a population, a slice of one, or a list of these is wanted", 'like E, "E[:100]" or [E, I]')
        return parts


@dataclass(frozen=True)
class Whole:
    """Annotation of a time that is a whole number of steps: where it is drawn it is rounded to one, a literal must be one."""

    least: int = 0


_LENGTHS = 1e-12, 1e12  # um: no neuron is smaller or farther away, and squares of these are far from what a float can hold


def _length(value: float) -> float:
    if abs(value) > _LENGTHS[1]:
        raise fault("this is too large", f"write at most {units.show(_LENGTHS[1], 'length')}")
    return value


def _positive(example: str) -> AfterValidator:
    def check(value: float) -> float:
        if not value > 0:
            raise fault("this must be positive")
        if not _LENGTHS[0] <= value <= _LENGTHS[1]:
            raise fault(f"this is too {'small' if value < 1 else 'large'}", f"write what neurons have, like {example}")
        return value

    return AfterValidator(check)


Time = Annotated[float, Unit("time")]
Steps = Annotated[float, Unit("time"), Whole()]
FewSteps = Annotated[float, Unit("time"), Whole(1)]  # one at least
Voltage = Annotated[float, Unit("voltage")]
Current = Annotated[float, Unit("current")]
Conductance = Annotated[float, Unit("conductance")]
Resistance = Annotated[float, Unit("resistance")]
Capacitance = Annotated[float, Unit("capacitance")]
Rate = Annotated[float, Unit("rate")]
Diffusion = Annotated[float, Unit("mV/ms^(1/2)")]
PerVoltage = Annotated[float, Unit("1/mV")]
Length = Annotated[float, Unit("length"), AfterValidator(_length)]
Span = Annotated[float, Unit("length"), _positive("100 um")]  # a length above 0
Speed = Annotated[float, Unit("um/ms"), _positive("0.3 m/s")]
Number = Annotated[float, Unit("number")]
WeightQuantity = Annotated[Quantity, AnyUnit(("voltage", "current", "conductance"))]
Amplitude = Annotated[Quantity, AnyUnit(("current", "conductance"))]  # of an input, whichever its output wants
# one set of distributions serves all dimensions; check.py compares theirs with that of the place where they stand
AnyQuantity = Annotated[Quantity, AnyUnit(tuple(units.USUAL), others=True)]

T = TypeVar("T")


class Bounds(Frozen):
    """Lowest and highest value allowed; one of them may be left out."""

    min: AnyQuantity | None = None
    max: AnyQuantity | None = None

    @model_validator(mode="after")
    def _some(self) -> "Bounds":
        if self.min is None and self.max is None:
            raise fault("bounds need min or max", "write {min: ..., max: ...}")
        if self.min is not None and self.max is not None and not plain(self.min) < plain(self.max):
            raise fault("min must lie below max", at=("min",))
        return self


class _Law(Frozen):
    kind: ClassVar[str]

    redraw: Bounds | None = None
    """Draw again until the value lies within these bounds."""
    clip: Bounds | None = None
    """Move a value outside of these bounds to the nearest one."""

    @model_validator(mode="after")
    def _one_kind_of_bounds(self) -> "_Law":
        if self.redraw is not None and self.clip is not None:
            raise fault("redraw and clip are two ways to keep within bounds", "keep one of them", at=("clip",))
        return self


_FAR, _HUGE = 1e6, 1e100  # shapes, scales and logarithms beyond have no use, and may be beyond a float


def _positive_std(law: Any, zero_mean_allowed: bool) -> Any:
    if not plain(law.std) > 0:
        raise fault("std must be positive", "for a value that does not vary, write the value instead", at=("std",))
    if not zero_mean_allowed:
        if not plain(law.mean) > 0:
            raise fault("mean must be positive for this distribution", at=("mean",))
        if not 1 / _FAR <= plain(law.std) / plain(law.mean) <= _FAR:
            message = "std and mean are too far apart for this distribution"
            raise fault(message, "the one is at most 1e6 times the other", at=("std",))
        if not all(1 / _HUGE <= plain(value) <= _HUGE for value in (law.mean, law.std)):
            raise fault("this is too large or too small for this distribution", at=("mean",))
    return law


class Normal(_Law):
    kind = "normal"
    mean: AnyQuantity
    std: AnyQuantity

    @model_validator(mode="after")
    def _sound(self) -> "Normal":
        return _positive_std(self, zero_mean_allowed=True)


class Lognormal(_Law):
    kind = "lognormal"
    mean: AnyQuantity
    """Mean of the variable itself, not of its logarithm."""
    std: AnyQuantity
    """Standard deviation of the variable itself, not of its logarithm."""

    @model_validator(mode="after")
    def _sound(self) -> "Lognormal":
        return _positive_std(self, zero_mean_allowed=False)


class Gamma(_Law):
    kind = "gamma"
    mean: AnyQuantity
    std: AnyQuantity

    @model_validator(mode="after")
    def _sound(self) -> "Gamma":
        return _positive_std(self, zero_mean_allowed=False)


class Uniform(_Law):
    kind = "uniform"
    low: AnyQuantity
    high: AnyQuantity

    @model_validator(mode="after")
    def _sound(self) -> "Uniform":
        if not plain(self.low) < plain(self.high):
            raise fault("low must lie below high", at=("low",))
        return self


class Exponential(_Law):
    kind = "exponential"
    mean: AnyQuantity

    @model_validator(mode="after")
    def _sound(self) -> "Exponential":
        if not plain(self.mean) > 0:
            raise fault("mean must be positive for this distribution", at=("mean",))
        return self


class NormalOf(Frozen):
    normal: Normal


class LognormalOf(Frozen):
    lognormal: Lognormal


class GammaOf(Frozen):
    gamma: Gamma


class UniformOf(Frozen):
    uniform: Uniform


class ExponentialOf(Frozen):
    exponential: Exponential


OffGrid = Literal["error", "round", "up"]  # what becomes of times of a file that are no whole number of steps


class Column(Frozen):
    """One value per neuron from a file: a CSV column, an NPZ array or an HDF5 dataset, named `<name>_<unit>`."""

    file: str
    column: str
    id: str | None = None
    """The column that says of which neuron a row is; where it is not given, the rows follow each other as the neurons do."""


class TimesFile(Frozen):
    """A file with times that are whole numbers of steps."""

    columns: ClassVar[tuple[str, ...]]  # that it needs

    file: str


class TrainsFile(TimesFile):
    """A file with the columns `neuron` (0-based) and `time_ms`, or a file of spikes of SONATA's."""

    columns = ("neuron", "time_ms")

    population: str | None = None
    """Whose spikes of a SONATA file; may be left out where there is one population."""
    off_grid: OffGrid = "error"
    """What becomes of times that are no whole number of steps: an error, the nearest step, or the next one, as in NEST. Spikes
    of a neuron that then share a step are one spike."""


class RatesFile(TimesFile):
    """A file with the columns `time_ms` and `rate_Hz`."""

    columns = ("time_ms", "rate_Hz")

    off_grid: OffGrid = "error"
    """What becomes of times that are no whole number of steps: an error, the nearest step, or the next one. Of rates that then
    begin in one step the last one counts."""


class WaveformFile(TimesFile):
    """A file with the columns `time_ms`, `current_<unit>` or `conductance_<unit>`, and maybe `neuron`."""

    columns = ("time_ms",)


LAWS = ("normal", "lognormal", "gamma", "uniform", "exponential")


def _kind(raw: Any, keys: tuple[str, ...]) -> str | None:
    """Which of the forms of a value stands here: a plain one, or one that begins with some key."""
    if isinstance(raw, Frozen):
        return f"<{next(iter(type(raw).model_fields))}>"
    if not isinstance(raw, dict):
        return "<value>"
    return next((f"<{key}>" for key in keys if key in raw), None)


def _neuron_kind(raw: Any) -> str | None:
    """Of a value of each neuron."""
    return "<list>" if is_list(raw) else _kind(raw, (*LAWS, "slices", "file"))


def _edge_kind(raw: Any) -> str | None:
    """Of a value of each synapse."""
    return None if is_list(raw) else _kind(raw, (*LAWS, "file", "distance"))


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether a value of each neuron is written out."""
    return type(value) in (list, tuple)


def _chosen(kind: Callable[[Any], str | None]) -> Discriminator:
    return Discriminator(kind, custom_error_type="no_distribution", custom_error_message="no distribution")


class Slices(Frozen):
    """A value or a distribution for each of some slices of the neurons, which are all of them."""

    slices: dict[
        str,
        Annotated[
            Annotated[AnyQuantity, Tag("<value>")]
            | Annotated[NormalOf, Tag("<normal>")]
            | Annotated[LognormalOf, Tag("<lognormal>")]
            | Annotated[GammaOf, Tag("<gamma>")]
            | Annotated[UniformOf, Tag("<uniform>")]
            | Annotated[ExponentialOf, Tag("<exponential>")],
            _chosen(lambda raw: _kind(raw, LAWS)),
        ],
    ]
    """By slice, like "[:800]"; `else` are the neurons that no other slice has."""

    def __hash__(self) -> int:
        return hash(frozenset(self.slices.items()))


if TYPE_CHECKING:
    Drawn = NormalOf | LognormalOf | GammaOf | UniformOf | ExponentialOf | Column
    Drawable = T | Drawn | Slices | tuple[T, ...]
    ByDistance = TypeVar("ByDistance")
    PerEdge = T | Drawn | ByDistance
else:
    _DRAWN = (
        Annotated[NormalOf, Tag("<normal>")],
        Annotated[LognormalOf, Tag("<lognormal>")],
        Annotated[GammaOf, Tag("<gamma>")],
        Annotated[UniformOf, Tag("<uniform>")],
        Annotated[ExponentialOf, Tag("<exponential>")],
        Annotated[Column, Tag("<file>")],
    )

    class Drawable:
        """`Drawable[Time]`: a value, a distribution of such values, a list of them, some for slices, or a column of a file."""

        def __class_getitem__(cls, item: Any) -> Any:
            own = Annotated[Slices, Tag("<slices>")], Annotated[tuple[item, ...], Tag("<list>")]
            return Annotated[Union[(Annotated[item, Tag("<value>")], *_DRAWN, *own)], _chosen(_neuron_kind)]  # noqa: UP007

    class PerEdge:
        """`PerEdge[Time, DelayByDistance]`: a value, a distribution of such values, or `{distance: ...}`."""

        def __class_getitem__(cls, items: Any) -> Any:
            item, by_distance = items
            own = (Annotated[by_distance, Tag("<distance>")],)
            return Annotated[Union[(Annotated[item, Tag("<value>")], *_DRAWN, *own)], _chosen(_edge_kind)]  # noqa: UP007


class Windowed(Frozen):
    """What happens from one time to another."""

    start: Steps = 0.0
    """The first step is the one that begins here."""
    stop: Steps | None = None
    """No step that begins here or later; the end of the run where it is not given."""


def paired(times: tuple[float, ...], values: tuple[float, ...], name: str) -> None:
    """That each of some ascending times has a value; of which `name` is the field, in the plural."""
    if len(times) != len(values):
        raise fault(
            f"times and {name} differ in length: {len(times)} and {len(values)}",
            f"give one {name.removesuffix('s')} per time",
            at=("times",),
        )
    if not times:
        raise fault("times is empty", f"give at least one time and one {name.removesuffix('s')}", at=("times",))
    for i, (before, time) in enumerate(zip(times, times[1:], strict=False), start=1):
        if time <= before:
            raise fault("times must ascend", "each time lies after the one before it", at=("times", i))


class FieldOf(NamedTuple):
    """What the type of a field says of it."""

    name: str
    dimension: str | None  # None also where it depends on what stands beside it, as that of a weight does
    drawable: bool
    least: int | None  # of a whole number of steps


@cache
def fields(spec: type[Frozen]) -> tuple[FieldOf, ...]:
    """The fields of a Spec that hold quantities, in their order."""
    found = []
    for name, info in spec.model_fields.items():
        every = [*info.metadata, *_within(info.annotation)]
        unit = next((part for part in every if isinstance(part, Unit | AnyUnit)), None)
        if unit is not None:
            whole = next((part for part in every if isinstance(part, Whole)), None)
            dimension = unit.dimension if isinstance(unit, Unit) else None
            found.append(FieldOf(name, dimension, Column in every, None if whole is None else whole.least))
    return tuple(found)


def _within(annotation: Any) -> list[Any]:
    """A type and all that it is made of, outside in; not what its models have as fields."""
    found = [annotation, *getattr(annotation, "__metadata__", ())]
    for part in get_args(annotation):
        if part not in found:
            found += _within(part)
    return found


Name = Annotated[str, Field(pattern=NAME)]
Selection = Annotated[tuple[str, ...], _Selecting()]
Count = Annotated[int, Field(ge=1, lt=2**31, strict=True)]
Precision = Literal["float32", "float64"]


class Law(NamedTuple):
    """A distribution in plain numbers (internal units): what random.draw needs."""

    kind: str
    first: float  # mean, or low
    second: float  # std, or high; 0 for exponential
    redraw: tuple[float, float] | None
    clip: tuple[float, float] | None


def plain(value: Any) -> float:
    """The number in a literal: itself, or the value of a Quantity."""
    return value.value if isinstance(value, Quantity) else value


def is_literal(value: Any) -> bool:
    return isinstance(value, int | float | Quantity)


def law_of(value: Any) -> Law | None:
    """The distribution that a drawable value stands for; None for all else."""
    if not isinstance(value, NormalOf | LognormalOf | GammaOf | UniformOf | ExponentialOf):
        return None
    inner = getattr(value, next(iter(type(value).model_fields)))

    def bounds(given: Bounds | None) -> tuple[float, float] | None:
        if given is None:
            return None
        return (
            -float("inf") if given.min is None else plain(given.min),
            float("inf") if given.max is None else plain(given.max),
        )

    first = inner.low if inner.kind == "uniform" else inner.mean
    second = inner.high if inner.kind == "uniform" else getattr(inner, "std", 0.0)
    return Law(inner.kind, plain(first), plain(second), bounds(inner.redraw), bounds(inner.clip))


Key = tuple[str | int, ...]


def leaves(value: Any) -> list[tuple[Key, Quantity]]:
    """Every Quantity in a drawable value with its path below the value: all must have the same dimension."""
    if isinstance(value, Quantity):
        return [((), value)]
    return [((name, *path), leaf) for name, inner in _inside(value) for path, leaf in leaves(inner)]


def literals(value: Any) -> list[tuple[Key, float]]:
    """Every number that a value of each neuron is, with its path below the value: none that only describes a distribution."""
    if is_literal(value):
        return [((), plain(value))]
    if isinstance(value, Frozen) and not isinstance(value, Slices):
        return []
    return [((name, *path), number) for name, inner in _inside(value) for path, number in literals(inner)]


def _inside(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, Frozen):
        return [(name, getattr(value, name)) for name in type(value).model_fields]
    return value.items() if isinstance(value, dict) else enumerate(value) if is_list(value) else ()
