"""Types of fields: a plain number and a compound quantity are literals, distributions and columns like any other."""

import json
import re
from typing import Annotated

import numpy as np
import pydantic
import pytest
import yaml

from snnrun import check, network, outline, tables
from snnrun.quantities import Drawable, Frozen, Number, Unit, fields, law_of
from snnrun.spec import read

NETWORK = """\
duration: 10 ms
populations:
  E: {model: lif, size: 3, tau: 20 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF}
"""


class Part(Frozen):
    """Parameters as a model of a user may have them."""

    d: Drawable[Annotated[float, Unit("mV/ms")]]
    k: Drawable[Number] = 1.0
    B: Drawable[Annotated[float, Unit("mV/ms^(1/2)")]] = 0.0


PATH = ("populations", "E")


def faults(part, folder):
    """What the check of a network file says of a part of it."""
    checker = check._Checker(read(yaml.safe_load(NETWORK), "net"), folder)
    checker.types(PATH, part, {"E": 3})
    return [(fault.path[2:], fault.message, fault.hint) for fault, _ in checker.findings]


def values(part, name, folder):
    spec = read(yaml.safe_load(NETWORK), "net").spec
    return network._values(spec, "stream", getattr(part, name), np.arange(3), (*PATH, name), folder, 3)


def part(**given):
    return Part.model_validate({"d": "8 mV/ms", **given})


def test_literals_are_plain_floats_and_are_written_as_they_are_read(tmp_path):
    found = part(d="8 V/s", k=3, B="2 mV/ms^0.5")
    assert (found.d, found.k, found.B) == (8.0, 3.0, 2.0) and faults(found, tmp_path) == []
    assert found.model_dump() == {"d": "8 mV/ms", "k": 3.0, "B": "2 mV/ms^(1/2)"}
    assert Part.model_validate(found.model_dump()) == found
    assert [outline.value_text(getattr(found, f.name), f.dimension) for f in fields(Part)] == ["8 mV/ms", "3", "2 mV/ms^(1/2)"]
    for wrong, message in [
        ({"d": 8}, "needs a unit"),
        ({"d": "8 mV"}, "is a voltage, and"),
        ({"k": "3 mV"}, "and a number is wanted"),
    ]:
        with pytest.raises(pydantic.ValidationError, match=message):
            part(**wrong)


def test_they_are_drawn_from_distributions(tmp_path):
    found = part(d={"normal": {"mean": "8 V/s", "std": "500 uV/ms"}}, k={"uniform": {"low": 1, "high": "1e1"}})
    assert faults(found, tmp_path) == []
    assert law_of(found.d)[1:3] == (8.0, 0.5) and law_of(found.k)[1:3] == (1.0, 10.0)
    drawn = values(found, "k", tmp_path)
    assert drawn.shape == (3,) and ((drawn >= 1) & (drawn < 10)).all()
    assert outline.value_text(found.d, "mV/ms") == "normal(8 mV/ms, 0.5 mV/ms)"


def test_a_distribution_of_another_dimension_is_a_fault_at_its_number(tmp_path):
    wrong = part(d={"normal": {"mean": "8 mV", "std": 0.5}}, k={"uniform": {"low": 0, "high": "1 nS/mV"}})
    assert faults(wrong, tmp_path) == [
        (("d", "normal", "mean"), "a quantity in mV/ms is wanted here, and this is a voltage", "write it like 5 mV/ms"),
        (("d", "normal", "std"), "a quantity in mV/ms needs a unit", "write 0.5 mV/ms"),
        (("k", "uniform", "high"), "a number is wanted here, and this is a quantity in nS/mV", "write it without a unit, like 5"),
    ]


def test_they_are_read_of_columns(tmp_path):
    (tmp_path / "n.csv").write_text("d_V/s,k,d_uV/ms\n1,4,100\n2,5,200\n3,6,300\n")
    found = part(d={"file": "n.csv", "column": "d_uV/ms"}, k={"file": "n.csv", "column": "k"})
    assert faults(found, tmp_path) == []
    assert values(found, "d", tmp_path).tolist() == [0.1, 0.2, 0.3] and values(found, "k", tmp_path).tolist() == [4, 5, 6]
    np.savez(tmp_path / "n.npz", **{"d_mV/ms": np.arange(3.0), "k_mV": np.arange(3.0)})
    assert faults(part(d={"file": "n.npz", "column": "d_mV/ms"}), tmp_path) == []
    wrong = part(d={"file": "n.csv", "column": "k"}, k={"file": "n.npz", "column": "k_mV"})
    assert faults(wrong, tmp_path) == [
        (("d", "column"), "the column 'k' names no unit", "end its name in one, like k_mV/ms"),
        (("k", "column"), "the column 'k_mV' is in mV, and a number is wanted here", "give it a name without a unit"),
    ]
    table = tables.parameters(tmp_path / "n.npz")
    with pytest.raises(tables.TableError, match="is in mV/ms, and a quantity in /mV is wanted here"):
        tables.check_column(table, "d_mV/ms", "1/mV")


def accepts(schema, value, defs):
    """A JSON Schema of quantities, as far as it is used here."""
    if "$ref" in schema:
        return accepts(defs[schema["$ref"].rsplit("/", 1)[-1]], value, defs)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return any(accepts(each, value, defs) for each in schema[key])
    kind = {"string": str, "number": int | float, "object": dict, "array": list, "null": type(None)}[schema["type"]]
    if not isinstance(value, kind):
        return False
    if isinstance(value, list):
        return all(accepts(schema["items"], each, defs) for each in value)
    if isinstance(value, dict):
        if "properties" not in schema:
            return all(accepts(schema["additionalProperties"], each, defs) for each in value.values())
        known = schema["properties"]
        return set(value) <= set(known) and all(accepts(known[name], each, defs) for name, each in value.items())
    return "pattern" not in schema or re.search(schema["pattern"], value) is not None


def test_the_schema_takes_what_the_program_takes():
    schema = json.loads(json.dumps(Part.model_json_schema()))
    defs, own = schema["$defs"], schema["properties"]
    for name, taken, refused in [
        ("d", ["8 mV/ms", "8 mV / s", "8mV/ms", "-8 mV*ms^-1", {"normal": {"mean": "8 V/s", "std": "1 mV/ms"}},
               {"file": "a.csv", "column": "d_mV/ms", "id": "n"}, ["8 mV/ms", "J"],
               {"slices": {"[:5]": "8 mV/ms", "else": {"normal": {"mean": "8 V/s", "std": "1 mV/ms"}}}},
               "2 * J / tau", "J", "-g * J", "(1 mV + J) / tau", "20 mV / (2 * x)"],
               [8, "8", "8 mV/", "8 mv/ms", "8 mV//ms", "mV/ms", ["8 mV/ms", 8], {"slices": {"[:5]": []}}]),
        ("k", [3, 0.5, "1e-3", {"uniform": {"low": 0, "high": 1}}, "x", "1 / 3"], ["3 mV", "3 x", None]),
        ("B", ["2 mV/ms^(1/2)", "2 mV/ms^0.5", "2 mV/s^0.5"], ["2 mV/ms^(1/2", 2]),
    ]:  # fmt: skip
        assert all(accepts(own[name], value, defs) for value in taken), name
        assert not any(accepts(own[name], value, defs) for value in refused), name
