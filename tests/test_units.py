"""Numbers with units: what is read, to which double, what is refused and with which advice, and how they are shown."""

import math
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnrun import units

READ = [
    ("20 ms", 20.0, "time"),
    ("20ms", 20.0, "time"),
    ("  20   ms  ", 20.0, "time"),
    ("1 s", 1000.0, "time"),
    ("250 us", 0.25, "time"),
    ("250 \u00b5s", 0.25, "time"),  # micro sign
    ("250 \u03bcs", 0.25, "time"),  # Greek mu
    ("-55mV", -55.0, "voltage"),
    ("+5 mV", 5.0, "voltage"),
    ("1e-3 V", 1.0, "voltage"),
    ("1E+2 uV", 0.1, "voltage"),
    (".5 nA", 500.0, "current"),
    ("5. pA", 5.0, "current"),
    ("1 A", 1e12, "current"),
    ("0.6 uS", 600.0, "conductance"),
    ("1 GOhm", 1.0, "resistance"),
    ("100 MOhm", 0.1, "resistance"),
    ("100 M\u03a9", 0.1, "resistance"),  # Greek omega
    ("100 M\u2126", 0.1, "resistance"),  # ohm sign
    ("1 F", 1e12, "capacitance"),
    ("0.2 nF", 200.0, "capacitance"),
    ("8 Hz", 0.008, "rate"),
    ("2 kHz", 2.0, "rate"),
    ("1 mm", 1000.0, "length"),
    ("0 mV", 0.0, "voltage"),
]


@pytest.mark.parametrize(("text", "value", "dimension"), READ)
def test_a_number_with_a_unit_is_read_in_internal_units(text, value, dimension):
    assert units.parse(text) == (value, dimension)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "no number with a unit", "20 ms"),
        ("ms", "no number with a unit", "20 ms"),
        ("ms 20", "no number with a unit", "20 ms"),
        ("twenty ms", "no number with a unit", "20 ms"),
        ("20\nms\nms", "no number with a unit", "20 ms"),
        ("1" * 2000 + "m\ns", f"'{'1' * 40}'... is no number with a unit", "20 ms"),  # took the pattern half a minute
        ("20", "a unit is missing", ""),
        ("20 ms ms", "unknown unit 'ms ms'", "ms"),
        ("20 Ms", "unknown unit 'Ms'", "did you mean ms or mS?"),
        ("20 mv", "unknown unit 'mv'", "did you mean mV?"),
        ("20 Mohm", "unknown unit 'Mohm'", "did you mean MOhm?"),
        ("20 sec", "unknown unit 'sec'", "did you mean s?"),
        ("20 %", "unknown unit '%'", "units are s ms us V mV"),
        ("1,5 ms", "'1,5 ms' has a decimal comma", "write 1.5 ms"),
        (" -55,5mV", "has a decimal comma", "write -55.5mV"),
        ("20,5", "has a decimal comma", "write 20.5 and its unit"),
        ("1_000 ms", "unknown unit '_000 ms'", ""),
        ("inf ms", "no number with a unit", "20 ms"),
        ("nan ms", "no number with a unit", "20 ms"),
        ("1e400 ms", "out of range", ""),
        ("1e308 A", "out of range", ""),
    ],
)
def test_what_is_no_quantity_is_refused_with_advice(text, message, hint):
    with pytest.raises(units.UnitError, match=re.escape(message)) as caught:
        units.parse(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("raw", "message", "hint"),
    [
        (20, "a time needs a unit", "write 20 ms"),
        (0.1, "a time needs a unit", "write 0.1 ms"),
        ("20", "a time needs a unit", "write 20 ms"),
        (" 20 ", "a time needs a unit", "write 20 ms"),
        ("20 mV", "'20 mV' is a voltage, and a time is wanted here", "write it in ms (or s, us)"),
        (math.nan, "a time must be finite", "like 5 ms"),
        (-math.inf, "a time must be finite", "like 5 ms"),
        (None, "a time is wanted here", "like 5 ms"),
        (True, "a time is wanted here", "like 5 ms"),
        (["20 ms"], "a time is wanted here", "like 5 ms"),
        ({"normal": 1}, "a time is wanted here", "like 5 ms"),
    ],
)
def test_where_a_time_is_wanted_the_advice_is_a_time(raw, message, hint):
    with pytest.raises(units.UnitError, match=re.escape(message)) as caught:
        units.read(raw, "time")
    assert hint in caught.value.hint


@given(st.decimals(min_value="-999999.99999", max_value="999999.99999", places=5))
def test_a_decimal_in_the_internal_unit_is_exactly_the_double_that_python_reads(number):
    for unit in ("ms", "mV", "pA", "nS", "pF", "GOhm", "kHz", "um"):
        assert units.parse(f"{number} {unit}")[0] == float(number)


@pytest.mark.parametrize(
    ("text", "value"), [("0.1 ms", 0.1), ("100 us", 0.1), ("0.0001 s", 0.1), ("0.3 ms", 0.3), ("300 us", 0.3)]
)
def test_common_time_steps_are_the_same_double_in_every_unit(text, value):
    assert units.read(text, "time") == value


def test_the_internal_units_are_coherent():
    """GOhm pF = ms, pA GOhm = mV, nS mV = pA, pA / pF = mV / ms, kHz ms = 1: no equation needs a factor."""
    power = {name: math.log10(units.parse(f"1 {unit}")[0]) for name, unit in
             {"s": "s", "V": "V", "A": "A", "S": "S", "Ohm": "Ohm", "F": "F", "Hz": "Hz"}.items()}  # fmt: skip
    assert power["Ohm"] + power["F"] == pytest.approx(power["s"])
    assert power["A"] + power["Ohm"] == pytest.approx(power["V"])
    assert power["S"] + power["V"] == pytest.approx(power["A"])
    assert power["A"] - power["F"] == pytest.approx(power["V"] - power["s"])
    assert power["Hz"] + power["s"] == pytest.approx(0)


@pytest.mark.parametrize(
    ("value", "dimension", "shown"),
    [
        (0.0, "voltage", "0 mV"),
        (0.1, "time", "0.1 ms"),
        (0.30000000000000004, "time", "0.3 ms"),
        (1000.0, "time", "1000 ms"),
        (20000.0, "time", "20 s"),
        (3.6e6, "time", "3600 s"),
        (1e-5, "time", "0.01 us"),
        (-55.0, "voltage", "-55 mV"),
        (0.008, "rate", "8 Hz"),
        (20.0, "rate", "20 kHz"),
        (0.1, "resistance", "100 MOhm"),
        (25000.0, "current", "25 nA"),
        (600.0, "conductance", "600 nS"),
        (1e300, "time", "1e+297 s"),
    ],
)
def test_a_quantity_is_shown_as_a_person_would_write_it(value, dimension, shown):
    assert units.show(value, dimension) == shown


@settings(max_examples=300)
@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(sorted(units.USUAL)))
def test_what_is_shown_is_read_back_to_eleven_digits(value, dimension):
    if abs(value) < 1e-290:
        return
    assert units.read(units.show(value, dimension), dimension) == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize(
    ("time", "dt", "steps"),
    [
        (0.3, 0.1, 3),  # 0.3 / 0.1 is 2.9999999999999996
        (0.7, 0.1, 7),
        (1.1, 0.1, 11),
        (0.0, 0.1, 0),
        (1e6, 0.1, 10**7),
        (3.6e9, 0.1, 36_000_000_000),
        (0.15, 0.1, None),
        (0.25, 0.1, None),
        (0.04, 0.1, None),
        (0.1 + 1e-8, 0.1, 1),  # a tenth of the tolerance
        (0.1 + 1e-6, 0.1, None),  # ten times the tolerance
        (1.0, 1e-320, None),  # more steps than a double can hold
    ],
)
def test_a_time_is_on_the_grid_within_a_millionth_of_a_step(time, dt, steps):
    assert units.steps(time, dt) == steps


@given(st.integers(0, 10**9), st.sampled_from(["0.1", "0.05", "0.025", "0.2", "1", "0.01", "0.125"]))
def test_every_multiple_of_dt_that_can_be_written_is_on_the_grid(count, dt):
    assert units.steps(float(Decimal(dt) * count), float(dt)) == count


@pytest.mark.parametrize(
    ("time", "dt", "least", "hint"),
    [
        (0.25, 0.1, 0, "use 0.2 ms or 0.3 ms"),
        (0.04, 0.1, 0, "use 0 ms or 0.1 ms"),
        (0.04, 0.1, 1, "use 0.1 ms"),
        (100.0, 0.3, 1, "use 99.9 ms or 100.2 ms"),
        (0.0003, 0.0002, 1, "use 0.2 us or 0.4 us"),
    ],
)
def test_a_time_off_the_grid_is_told_its_neighbours(time, dt, least, hint):
    message, found = units.off_grid(time, dt, least)
    assert found == hint and "no whole number of steps" in message


@pytest.mark.parametrize(
    ("column", "found"),
    [("I_e_pA", ("pA", "current")), ("tau_ms", ("ms", "time")), ("ms", None), ("tau", None), ("tau_msec", None)],
)
def test_a_column_names_its_unit_in_its_suffix(column, found):
    assert units.column_unit(column) == found


# Compound units

COMPOUND = [
    ("8 mV/ms", 8.0, "mV/ms"),
    ("8 mV / s", 0.008, "mV/ms"),
    ("0.07 /mV", 0.07, "1/mV"),
    ("0.07/mV", 0.07, "1/mV"),
    ("0.07 1/mV", 0.07, "1/mV"),
    ("3 mV^-1", 3.0, "1/mV"),
    ("1 pA*ms", 1.0, "pA*ms"),
    ("1 ms * pA", 1.0, "pA*ms"),
    ("3 nS/mV^2", 3.0, "pA/mV^3"),
    ("3 \u00b5S/V**2", 0.003, "pA/mV^3"),
    ("2 mV/ms^(1/2)", 2.0, "mV/ms^(1/2)"),
    ("2 mV/ms^0.5", 2.0, "mV/ms^(1/2)"),
    ("2 mV*ms^(-1/2)", 2.0, "mV/ms^(1/2)"),
    ("1 mV/ms*pA", 1.0, "mV*pA/ms"),  # from the left
    ("1 um^2/ms", 1.0, "um^2/ms"),
    # what has a name goes by it
    ("2 1/ms", 2.0, "rate"),
    ("2 /s", 0.002, "rate"),
    ("5 pA/mV", 5.0, "conductance"),
    ("5 nS^-1", 5.0, "resistance"),
    ("7 pA*ms/mV", 7.0, "capacitance"),
    ("7 nS*mV", 7.0, "current"),
    ("7 GOhm*pF", 7.0, "time"),
    ("7 mV*mV/V", 0.007, "voltage"),
    ("2 mV/V", 0.002, "number"),
]


@pytest.mark.parametrize(("text", "value", "dimension"), COMPOUND)
def test_a_compound_unit_is_read_in_internal_units(text, value, dimension):
    assert units.parse(text) == (value, dimension)
    if dimension != "number":
        assert units.read(text, dimension) == value
        assert re.fullmatch(rf"\s*{units.NUMBER}\s*{units.COMPOUND}\s*", text.translate(units.LOOKALIKES))


def test_one_power_of_ten_converts_a_compound_unit():
    """1.1 / 1e3 once, and not 1.1 * 1e-3 twice over; only a root of a unit has none that is exact."""
    assert units.parse("1.1 uV/s")[0] == 1.1 / 1e6 and units.parse("1.1 nA/uV")[0] == 1.1 * 1e6
    assert units.parse("1 mV/s^(1/2)")[0] == pytest.approx(1 / math.sqrt(1000), rel=1e-15)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("5 mv/ms", "unknown unit 'mv'", "did you mean mV?"),
        ("5 mV/", "unknown unit 'mV/'", "did you mean mV"),
        ("5 mV//ms", "unknown unit 'mV//ms'", ""),
        ("5 *mV", "unknown unit '*mV'", ""),
        ("5 mV^", "unknown unit 'mV^'", ""),
        ("5 mV^x", "unknown unit 'mV^x'", ""),
        ("5 mV/(ms)", "unknown unit 'mV/(ms)'", ""),
        ("5 1", "unknown unit '1'", ""),
        ("5 1/", "unknown unit '1/'", ""),
        ("5 mV^(1/0)", "unknown unit", "divides by 0"),
        ("1,5 mV/ms", "has a decimal comma", "write 1.5 mV/ms"),
        ("5 A^6*A^6*A^6*A^6*A^6", "out of range", ""),
        ("5 mV^999", "out of range", ""),
        ("5 mV^(9999999999999999999999999)", "out of range", ""),
        ("1e300 V^9", "out of range", ""),
        ("2 " + "a" * 90 + "!", "unknown unit", ""),
        ("2 " + "ms " * 30, "unknown unit", ""),
    ],
)
def test_what_is_no_compound_unit_is_refused(text, message, hint):
    with pytest.raises(units.UnitError, match=re.escape(message)) as caught:
        units.parse(text)
    assert hint in caught.value.hint


@settings(max_examples=500)
@given(st.text(alphabet="12.e/*^()- msVAhHzOpFGk", max_size=40), st.sampled_from(["number", "time", "mV/ms", "1/mV"]))
def test_any_text_is_a_quantity_or_a_unit_error(text, dimension):
    for written in (text, f"3 {text}", f"3 mV/{text}"):
        try:
            assert math.isfinite(units.read(written, dimension))
        except units.UnitError as error:
            assert error.message


EXPONENTS = st.tuples(*[st.fractions(-6, 6, max_denominator=2) for _ in units.BASE])


@given(EXPONENTS)
def test_a_dimension_is_its_exponents(exponents):
    dimension = units.dimension_of(exponents)
    assert units.exponents(dimension) == exponents
    assert units.dimension_of(units.exponents(dimension)) == dimension
    if dimension != "number":
        assert units.parse(f"1 {units.usual(dimension)}")[1] == dimension
        if not units.is_simple(dimension):
            assert units.parse(f"1 {units.usual(dimension)}")[0] == units.parse(f"1 {dimension}")[0] == 1.0


@given(EXPONENTS, st.floats(allow_nan=False, allow_infinity=False))
def test_a_compound_quantity_is_shown_as_it_is_read(exponents, value):
    dimension = units.dimension_of(exponents)
    if abs(value) > 1e-290 and not units.is_simple(dimension):
        assert units.read(units.show(value, dimension), dimension) == pytest.approx(value, rel=1e-11)


def test_dimensions_are_named_as_a_physicist_would():
    every = {"mV/ms": ("mV/ms", "8 mV/ms"), "1/mV": ("/mV", "8 /mV"), "pA/mV^3": ("nS/mV^2", "8 nS/mV^2"), "number": ("", "8"),
             "pA*ms": ("pA*ms", "8 pA*ms"), "rate": ("Hz", "8000 Hz"), "pA/mV^2": ("nS/mV", "8 nS/mV"),
             "mV/pA/ms": ("/pF", "8 /pF")}  # fmt: skip
    assert {dimension: (units.usual(dimension), units.show(8.0, dimension)) for dimension in every} == every
    assert units.article("mV/ms") == "a quantity in mV/ms" and units.article("number") == "a number"


@pytest.mark.parametrize(
    ("raw", "dimension", "message", "hint"),
    [
        (8, "mV/ms", "a quantity in mV/ms needs a unit", "write 8 mV/ms"),
        ("8", "1/mV", "a quantity in /mV needs a unit", "write 8 /mV"),
        ("8 mV", "mV/ms", "'8 mV' is a voltage, and a quantity in mV/ms is wanted here", "write it like 5 mV/ms"),
        ("8 mV/ms", "voltage", "'8 mV/ms' is a quantity in mV/ms, and a voltage is wanted here", "write it in mV (or V, uV)"),
        (None, "mV/ms", "a quantity in mV/ms is wanted here", "like 5 mV/ms"),
        ("5 mV", "number", "'5 mV' is a voltage, and a number is wanted here", "without a unit"),
        ("5 mV/V", "number", "'5 mV/V' has a unit, and a number is wanted here", "without a unit"),
        ("five", "number", "'five' is no number", "without a unit"),
        ("1" * 200, "number", "... is no number", "without a unit"),
        (True, "number", "a number is wanted here", "without a unit"),
        ([5], "number", "a number is wanted here", "without a unit"),
        (math.inf, "number", "a number must be finite", ""),
        ("1e999", "number", "a number must be finite", ""),
        (10**400, "number", "a number must be finite", ""),
    ],
)
def test_compound_quantities_and_numbers_are_refused_with_advice(raw, dimension, message, hint):
    with pytest.raises(units.UnitError, match=re.escape(message)) as caught:
        units.read(raw, dimension)
    assert hint in caught.value.hint


def test_a_number_is_read_without_a_unit():
    assert [units.read(raw, "number") for raw in (5, -0.5, "1e-3", " 2 ", 0)] == [5.0, -0.5, 0.001, 2.0, 0.0]


@pytest.mark.parametrize(
    ("column", "found"),
    [("d_mV/ms", ("mV/ms", "mV/ms")), ("d_mV*ms^-1", ("mV*ms^-1", "mV/ms")), ("f_1/s", ("1/s", "rate")),
     ("k_/mV", ("/mV", "1/mV")),
     ("mV/ms", None), ("d_mv/ms", None), ("d_", None)],
)  # fmt: skip
def test_a_column_may_name_a_compound_unit(column, found):
    assert units.column_unit(column) == found
    if found is not None:
        assert units.scaled(3.0, found[0]) == units.parse(f"3 {found[0]}")[0]
