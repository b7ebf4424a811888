"""The closed set of units, and numbers with units as text.

Inside the program there is one coherent set: ms, mV, pA, nS, pF, GOhm, kHz, um. In it GOhm * pF = ms, pA * GOhm = mV,
nS * mV = pA and pA / pF = mV / ms, so no equation carries a factor.

A dimension is a text: the name of one of the table below, `number` for none, or for a compound one its internal unit, like
`mV/ms`, `1/mV`, `pA*ms` or `mV/ms^(1/2)`. What equals a dimension with a name goes by that name: pA/mV is `conductance`.
"""

import difflib
import math
import re
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from typing import Any

# unit -> (dimension, power of ten that takes a number in this unit to the internal one)
UNITS: dict[str, tuple[str, int]] = {
    "s": ("time", 3),
    "ms": ("time", 0),
    "us": ("time", -3),
    "V": ("voltage", 3),
    "mV": ("voltage", 0),
    "uV": ("voltage", -3),
    "A": ("current", 12),
    "mA": ("current", 9),
    "uA": ("current", 6),
    "nA": ("current", 3),
    "pA": ("current", 0),
    "S": ("conductance", 9),
    "mS": ("conductance", 6),
    "uS": ("conductance", 3),
    "nS": ("conductance", 0),
    "Ohm": ("resistance", -9),
    "kOhm": ("resistance", -6),
    "MOhm": ("resistance", -3),
    "GOhm": ("resistance", 0),
    "F": ("capacitance", 12),
    "uF": ("capacitance", 6),
    "nF": ("capacitance", 3),
    "pF": ("capacitance", 0),
    "Hz": ("rate", -3),
    "kHz": ("rate", 0),
    "m": ("length", 6),
    "mm": ("length", 3),
    "um": ("length", 0),
}

# dimension -> its exponents of time, voltage, current and length
BASE: tuple[str, ...] = ("ms", "mV", "pA", "um")
_EXPONENTS: dict[str, tuple[int, ...]] = {
    "number": (0, 0, 0, 0),
    "time": (1, 0, 0, 0),
    "voltage": (0, 1, 0, 0),
    "current": (0, 0, 1, 0),
    "conductance": (0, -1, 1, 0),
    "resistance": (0, 1, -1, 0),
    "capacitance": (1, -1, 1, 0),
    "rate": (-1, 0, 0, 0),
    "length": (0, 0, 0, 1),
}
_NAMED: dict[tuple[Fraction | int, ...], str] = {exponents: name for name, exponents in _EXPONENTS.items()}

# dimension -> the unit that a person would write it in
USUAL = {
    "time": "ms",
    "voltage": "mV",
    "current": "pA",
    "conductance": "nS",
    "resistance": "MOhm",
    "capacitance": "pF",
    "rate": "Hz",
    "length": "um",
}

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TEXT = re.compile(rf"\s*({NUMBER})\s*(\S.*?)?\s*")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"))  # hyphens, figure and en dash, minus sign
LOOKALIKES = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u03a9": "Ohm", "\u2126": "Ohm"})  # micro, mu, Omega, ohm

# a unit and its exponent, which is whole, half, or a fraction in brackets; several of these with * and / are a compound unit
_EXPONENT = r"\s*(?:\^|\*\*)\s*(?P<exponent>-?[0-9]?\.5|-?[0-9]{1,3}|\(-?[0-9]+(?:/[0-9]+)?\))"
_FACTOR = re.compile(rf"(?P<sign>[*/])?\s*(?P<unit>[A-Za-z]+)(?:{_EXPONENT})?")


def _compounds(unit: str) -> str:
    """The pattern of all compound units made of those that are given as a pattern."""
    factor = rf"(?:{unit})(?:{_EXPONENT.replace('?P<exponent>', '?:')})?"
    return rf"(?:(?:1\s*)?/\s*)?{factor}(?:\s*[*/]\s*{factor})*"


COMPOUND = _compounds("|".join(UNITS))
_COMPOUND = re.compile(_compounds("[A-Za-z]+"))
_FARTHEST = 300  # power of ten between two units: more is beyond a double

LONGEST = 100  # characters of a quantity: nobody means more as a number, and a longer text can take the pattern for ever

# A literal time may miss the grid by this many steps: decimal inputs do, 0.15 / 0.1 for one.
GRID_TOLERANCE = 1e-6


class UnitError(ValueError):
    """A text that is no quantity of the wanted dimension: what is wrong, and what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def of_dimension(dimension: str) -> list[str]:
    """The units of a dimension, in the order of the table."""
    return [unit for unit, (d, _) in UNITS.items() if d == dimension]


def is_simple(dimension: str) -> bool:
    """Whether a dimension has a name and units of its own."""
    return dimension in USUAL


@cache
def exponents(dimension: str) -> tuple[Fraction, ...]:
    """The exponents of time, voltage, current and length in a dimension."""
    if dimension in _EXPONENTS:
        return tuple(map(Fraction, _EXPONENTS[dimension]))
    return _compound(dimension)[0]


def dimension_of(exponents: Iterable[Fraction | int]) -> str:
    """The dimension with these exponents of time, voltage, current and length."""
    found = tuple(map(Fraction, exponents))
    return _NAMED.get(found) or _product(zip(BASE, found, strict=True))


def _product(factors: Iterable[tuple[str, Fraction]]) -> str:
    """The text of a product of powers of units: `pA*ms`, `1/mV`, `mV/ms^(1/2)`; time stands last."""
    factors = sorted(factors, key=lambda factor: factor[0] == "ms")
    above = [_power(unit, exponent) for unit, exponent in factors if exponent > 0]
    below = ["/" + _power(unit, -exponent) for unit, exponent in factors if exponent < 0]
    return "*".join(above or ["1"]) + "".join(below)


def _power(unit: str, exponent: Fraction) -> str:
    if exponent == 1:
        return unit
    return f"{unit}^{exponent}" if exponent.denominator == 1 else f"{unit}^({exponent})"


def _compound(unit: str) -> tuple[tuple[Fraction, ...], float]:
    """Exponents of a unit, and the power of ten that takes a number in it to the internal one.

    The power is whole unless a unit like s or V stands under a root. Raises UnitError.
    """
    total, power = [Fraction(0)] * len(BASE), Fraction(0)
    if not unit or _COMPOUND.fullmatch(unit) is None:
        raise UnitError(f"unknown unit {unit!r}", _nearest_unit(unit))
    for factor in _FACTOR.finditer(unit):
        if factor["unit"] not in UNITS:
            raise UnitError(f"unknown unit {factor['unit']!r}", _nearest_unit(factor["unit"]))
        try:
            exponent = Fraction((factor["exponent"] or "1").strip("()"))
        except ZeroDivisionError:
            raise UnitError(f"unknown unit {unit!r}", "its exponent divides by 0") from None
        exponent = -exponent if factor["sign"] == "/" else exponent
        dimension, ten = UNITS[factor["unit"]]
        total = [a + exponent * b for a, b in zip(total, _EXPONENTS[dimension], strict=True)]
        power += exponent * ten
    if abs(power) > _FARTHEST or any(abs(part) > _FARTHEST for part in total):
        raise UnitError(f"the unit {unit!r} is out of range")
    return tuple(total), int(power) if power.denominator == 1 else float(power)


def usual(dimension: str) -> str:
    """The unit that a person would write a dimension in: of a compound one the internal unit, by the shortest of its names."""
    if dimension in USUAL:
        return USUAL[dimension]
    if dimension == "number":
        return ""
    wanted = exponents(dimension)
    ways = [dict(zip(BASE, wanted, strict=True))]
    for unit, known in (("nS", "conductance"), ("pF", "capacitance"), ("GOhm", "resistance")):
        for sign in (1, -1):
            rest = [a - sign * b for a, b in zip(wanted, _EXPONENTS[known], strict=True)]
            ways.append({unit: Fraction(sign), **dict(zip(BASE, rest, strict=True))})
    return _product(min(ways, key=lambda way: sum(map(abs, way.values()))).items()).removeprefix("1")


def article(dimension: str) -> str:
    """A dimension as what a quantity is: a voltage, a number, a quantity in mV/ms."""
    return f"a {dimension}" if dimension in _EXPONENTS else f"a quantity in {usual(dimension)}"


def parse(text: str) -> tuple[float, str]:
    """Value in internal units and dimension of a text such as `20 ms`, `-55mV`, `0.6 µS`, `8 mV/ms`, `0.07 /mV`, `3 nS/mV^2`.

    A compound unit is read from the left, like any product: mV/ms*pA is mV pA / ms.
    The conversion multiplies or divides by an exact power of ten, so that `0.1 ms` is the double 0.1.
    """
    match = _TEXT.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        shown = repr(text) if len(text) <= LONGEST else f"{text[:40]!r}..."
        typed = text.strip().translate(_DASHES) if len(text) <= LONGEST else ""
        if typed != text.strip() and _TEXT.fullmatch(typed):  # as word processors and papers have it
            raise UnitError(f"{shown} has a dash in place of a minus", f"write {typed}")
        raise UnitError(f"{shown} is no number with a unit", "write it like 20 ms")
    number, unit = match.groups()
    if unit is None:
        raise UnitError("a unit is missing")
    if re.match(r",\d", unit):
        meant = text.strip().replace(",", ".", 1)
        raise UnitError(f"{text!r} has a decimal comma", f"write {meant}{'' if re.search('[A-Za-z]', unit) else ' and its unit'}")
    unit = unit.translate(LOOKALIKES)
    dimension, value = _dimension(unit), scaled(float(number), unit)
    if not math.isfinite(value):
        raise UnitError(f"{text!r} is out of range")
    return value, dimension


def read(raw: object, dimension: str) -> float:
    """Value in internal units of what stands in a file where a quantity of `dimension` is wanted."""
    if dimension == "number":
        return _number(raw)
    unit = usual(dimension)
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise UnitError(f"{article(dimension)} is wanted here", f"write a number with its unit, like 5 {unit}")
    if isinstance(raw, int | float):
        if not math.isfinite(raw):
            raise UnitError(f"{article(dimension)} must be finite", f"write a number with its unit, like 5 {unit}")
        raise UnitError(f"{article(dimension)} needs a unit", f"write {number_text(raw)} {unit}")
    try:
        value, found = parse(raw)
    except UnitError as error:
        if error.message == "a unit is missing":
            raise UnitError(f"{article(dimension)} needs a unit", f"write {raw.strip()} {unit}") from None
        raise
    if found != dimension:
        raise UnitError(
            f"{raw!r} is {article(found)}, and {article(dimension)} is wanted here",
            written_in(dimension),
        )
    return value


def _number(raw: object) -> float:
    """The value of what stands where a bare number is wanted, which may be in quotes."""
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise UnitError("a number is wanted here", written_in("number"))
    if isinstance(raw, str) and (len(raw) > LONGEST or re.fullmatch(rf"\s*{NUMBER}\s*", raw) is None):
        try:
            _, found = parse(raw)
        except UnitError:
            shown = repr(raw) if len(raw) <= LONGEST else f"{raw[:40]!r}..."
            raise UnitError(f"{shown} is no number", written_in("number")) from None
        what = f"is {article(found)}" if found != "number" else "has a unit"
        raise UnitError(f"{raw!r} {what}, and a number is wanted here", written_in("number"))
    try:
        value = float(raw)
    except OverflowError:  # an integer of more than 308 digits
        value = math.inf
    if not math.isfinite(value):
        raise UnitError("a number must be finite", written_in("number"))
    return value


def written_in(dimension: str) -> str:
    """`write it in ms (or s, us)`."""
    if dimension not in USUAL:
        return f"write it like 5 {usual(dimension)}" if dimension != "number" else "write it without a unit, like 5"
    return f"write it in {USUAL[dimension]} (or {', '.join(u for u in of_dimension(dimension) if u != USUAL[dimension])})"


def number_text(value: float) -> str:
    """The shortest decimal that a person would write: 5, 0.1, 1e-05; twelve digits at most."""
    return f"{value:.12g}"


def show_time(ms: float, digits: int = 4) -> str:
    """A time in ms, or in s from one on, for people who read and do not compute."""
    return f"{ms * 1e-3:.{digits}g} s" if ms >= 1e3 else f"{ms:.{digits}g} ms"


def show(value: float, dimension: str) -> str:
    """A quantity as a person would write it: the unit in which the number is neither long nor small."""
    if dimension not in USUAL:
        return f"{number_text(value)} {usual(dimension)}".rstrip()
    if value == 0:
        return f"0 {USUAL[dimension]}"
    by_size = sorted(of_dimension(dimension), key=lambda unit: UNITS[unit][1])
    ends = [(by_size[0], 0, 1), (by_size[-1], 1, math.inf)]  # what is tiny or huge in every unit
    for unit, low, high in [(USUAL[dimension], 1e-3, 1e4), *((unit, 1, 1e3) for unit in by_size), *ends]:
        factor, multiply = to_internal(unit)
        scaled = value / factor if multiply else value * factor
        if low <= abs(scaled) < high:
            return f"{number_text(scaled)} {unit}"
    return f"{number_text(value)} {by_size[0]}"  # too small for a double in any other


def column_unit(column: str) -> tuple[str, str] | None:
    """Unit and dimension named by a column's suffix: `I_e_pA` -> (pA, current), `d_mV/ms` -> (mV/ms, mV/ms). None where there
    is none."""
    name, _, unit = column.rpartition("_")
    try:
        return (unit, _dimension(unit)) if "_" in column and len(column) <= LONGEST else None
    except UnitError:
        return None


def _dimension(unit: str) -> str:
    """The dimension of a unit. Raises UnitError."""
    return UNITS[unit][0] if unit in UNITS else dimension_of(_compound(unit)[0])


def to_internal(unit: str) -> tuple[float, bool]:
    """(power of ten, whether to multiply): arrays are converted exactly as texts are."""
    power = UNITS[unit][1] if unit in UNITS else _compound(unit)[1]
    return (10.0**power, True) if power >= 0 else (10.0**-power, False)


def scaled(values: Any, unit: str) -> Any:
    """Numbers in a unit as numbers in the internal one."""
    factor, multiply = to_internal(unit)
    return values * factor if multiply else values / factor


def steps(time: float, dt: float) -> int | None:
    """Whole number of steps in `time`, or None where it misses the grid by more than GRID_TOLERANCE steps."""
    quotient = time / dt
    if not math.isfinite(quotient):
        return None
    nearest = round(quotient)
    # relative slack for long times: one part in 1e12 is the rounding of the quotient, not an error of the user
    return nearest if abs(quotient - nearest) <= max(GRID_TOLERANCE, 1e-12 * abs(quotient)) else None


def whole(time: float, dt: float) -> int:
    """Whole steps of a literal time that has been checked."""
    found = steps(time, dt)
    assert found is not None, f"{time} ms is off the grid of {dt} ms"
    return found


def off_grid(time: float, dt: float, least: int = 0) -> tuple[str, str]:
    """Message and hint for a literal time that is no whole number of steps, of which it takes at least some."""
    below = math.floor(time / dt)
    near = [show(steps * dt, "time") for steps in (below, below + 1) if steps >= least]
    return f"{show(time, 'time')} is no whole number of steps of {show(dt, 'time')}", f"use {' or '.join(near)}"


def _nearest_unit(unit: str) -> str:
    same = [u for u in UNITS if u.lower() == unit.lower()]
    near = same or difflib.get_close_matches(unit, UNITS, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"units are {' '.join(UNITS)}"
