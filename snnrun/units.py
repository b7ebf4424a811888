"""The closed set of units, and numbers with units as text.

Inside the program there is one coherent set: ms, mV, pA, nS, pF, GOhm, kHz, um. In it GOhm * pF = ms, pA * GOhm = mV,
nS * mV = pA and pA / pF = mV / ms, so no equation carries a factor.
"""

import difflib
import math
import re
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
_LOOKALIKES = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u03a9": "Ohm", "\u2126": "Ohm"})  # micro, mu, Omega, ohm

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


def article(dimension: str) -> str:
    return f"a {dimension}"


def parse(text: str) -> tuple[float, str]:
    """Value in internal units and dimension of a text such as `20 ms`, `-55mV`, `0.6 µS`.

    The conversion multiplies or divides by an exact power of ten, so that `0.1 ms` is the double 0.1.
    """
    match = _TEXT.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        shown = repr(text) if len(text) <= LONGEST else f"{text[:40]!r}..."
        raise UnitError(f"{shown} is no number with a unit", "write it like 20 ms")
    number, unit = match.groups()
    if unit is None:
        raise UnitError("a unit is missing")
    if re.match(r",\d", unit):
        meant = text.strip().replace(",", ".", 1)
        raise UnitError(f"{text!r} has a decimal comma", f"write {meant}{'' if re.search('[A-Za-z]', unit) else ' and its unit'}")
    unit = unit.translate(_LOOKALIKES)
    if unit not in UNITS:
        raise UnitError(f"unknown unit {unit!r}", _nearest_unit(unit))
    dimension, power = UNITS[unit]
    value = float(number)
    value = value * 10.0**power if power >= 0 else value / 10.0**-power
    if not math.isfinite(value):
        raise UnitError(f"{text!r} is out of range")
    return value, dimension


def read(raw: object, dimension: str) -> float:
    """Value in internal units of what stands in a file where a quantity of `dimension` is wanted."""
    usual = USUAL[dimension]
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise UnitError(f"{article(dimension)} is wanted here", f"write a number with its unit, like 5 {usual}")
    if isinstance(raw, int | float):
        if not math.isfinite(raw):
            raise UnitError(f"{article(dimension)} must be finite", f"write a number with its unit, like 5 {usual}")
        raise UnitError(f"{article(dimension)} needs a unit", f"write {number_text(raw)} {usual}")
    try:
        value, found = parse(raw)
    except UnitError as error:
        if error.message == "a unit is missing":
            raise UnitError(f"{article(dimension)} needs a unit", f"write {raw.strip()} {usual}") from None
        raise
    if found != dimension:
        raise UnitError(
            f"{raw!r} is {article(found)}, and {article(dimension)} is wanted here",
            written_in(dimension),
        )
    return value


def written_in(dimension: str) -> str:
    """`write it in ms (or s, us)`."""
    return f"write it in {USUAL[dimension]} (or {', '.join(u for u in of_dimension(dimension) if u != USUAL[dimension])})"


def number_text(value: float) -> str:
    """The shortest decimal that a person would write: 5, 0.1, 1e-05; twelve digits at most."""
    return f"{value:.12g}"


def show(value: float, dimension: str) -> str:
    """A quantity as a person would write it: the unit in which the number is neither long nor small."""
    if value == 0:
        return f"0 {USUAL[dimension]}"
    usual = USUAL[dimension]
    by_size = sorted(of_dimension(dimension), key=lambda unit: UNITS[unit][1])
    ends = [(by_size[0], 0, 1), (by_size[-1], 1, math.inf)]  # what is tiny or huge in every unit
    for unit, low, high in [(usual, 1e-3, 1e4), *((unit, 1, 1e3) for unit in by_size), *ends]:
        factor, multiply = to_internal(unit)
        scaled = value / factor if multiply else value * factor
        if low <= abs(scaled) < high:
            return f"{number_text(scaled)} {unit}"
    return f"{number_text(value)} {by_size[0]}"  # too small for a double in any other


def column_unit(column: str) -> tuple[str, str] | None:
    """Unit and dimension named by a column's suffix: `I_e_pA` -> (pA, current). None where there is none."""
    unit = column.rsplit("_", 1)[-1]
    return (unit, UNITS[unit][0]) if unit in UNITS and "_" in column else None


def to_internal(unit: str) -> tuple[float, bool]:
    """(power of ten, whether to multiply): arrays are converted exactly as texts are."""
    power = UNITS[unit][1]
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
