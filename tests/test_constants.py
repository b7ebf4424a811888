"""Constants and arithmetic in a network file: what they stand for, where they may stand, and what is wrong with them."""

import json
from typing import Literal, get_args, get_origin

import pytest
from networks import load, plan_of, run_plan
from test_every_model import PARTS, members
from test_every_model import is_part as is_spec

from snnrun import constants, units
from snnrun.document import Override, SpecError
from snnrun.quantities import TimesFile

NET = """
duration: 100 ms
constants: {{J: 0.1 mV, g: 5, tau: 20 ms, N: 400, eps: 0.1, {more}}}
populations:
  E: {{size: 0.8 * N, model: lif, tau: tau, V_rest: 0 mV, V_reset: 0 mV, V_th: 200 * J, R: 1 GOhm,
      init: {{V: {{uniform: {{low: 0 mV, high: 150 * J}}}}}}}}
  I: {{size: 0.2 * N, model: izhikevich, I_e: 100 * J / 1 GOhm}}
inputs:
  noise: {{model: poisson, to: [E, "I[:10]"], rate: (3 * V_th) / (J * tau), weight: J, synapse: {{model: delta}}}}
projections:
  exc: {{pre: E, post: [E, I], connect: {{rule: fixed_indegree, n: eps * 0.8 * N}}, weight: J,
        delay: {{normal: {{mean: tau / 10, std: tau / 100}}}}, synapse: {{model: delta}}}}
  inh: {{pre: I, post: E, connect: {{rule: pairs, pairs: [[0, N / 80], [1, 2]]}}, weight: -g * J, synapse: {{model: delta}}}}
monitors:
  s: {{model: spikes, of: [E, I], start: tau}}
  V: {{model: state, of: E, variables: [V], every: 2 * 0.5 ms}}
"""
PLAIN = {
    "eps * 0.8 * N": "32", "0.8 * N": "320", "tau: tau,": "tau: 20 ms,", "200 * J": "20 mV", "150 * J": "15 mV",
    "0.2 * N": "80", "100 * J / 1 GOhm": "10 pA", "(3 * V_th) / (J * tau)": "30 kHz", "weight: J": "weight: 0.1 mV",
    "tau / 100": "0.2 ms", "tau / 10": "2 ms", "N / 80": "5", "-g * J": "-0.5 mV", "start: tau": "start: 20 ms",
    "2 * 0.5 ms": "1 ms",
}  # fmt: skip


def text(more="V_th: 200 * J"):
    return NET.format(more=more)


def plain():
    found = "\n".join(line for line in text().splitlines() if not line.startswith("constants:"))
    for expression, value in PLAIN.items():
        assert expression in found, expression
        found = found.replace(expression, value)
    return found


def test_a_file_with_constants_is_that_with_their_values(tmp_path):
    assert load(tmp_path, text()).spec.model_copy(update={"name": "net"}) == load(tmp_path, plain()).spec
    found, expected = (run_plan(plan_of(tmp_path, one)) for one in (text(), plain()))
    assert found.spikes == expected.spikes and found.spikes["E"]


def test_an_override_of_a_constant_reaches_all_that_depends_on_it(tmp_path):
    from snnrun import check

    (tmp_path / "net.yaml").write_text(text("V_th: 200 * J, half: J / 2").replace("weight: J,", "weight: 2 * half,"))
    changed = check.load(tmp_path / "net.yaml", [Override(("constants", "J"), "0.2 mV", "here")]).spec
    assert changed.projections["inh"].weight.value == -1 and changed.projections["exc"].weight.value == 0.2
    assert changed.populations["E"].V_th == 40
    once = check.load(tmp_path / "net.yaml", [Override(("projections", "exc", "weight"), "3 * J", "here")]).spec
    assert once.projections["exc"].weight.value == pytest.approx(0.3) and once.projections["inh"].weight.value == -0.5


@pytest.mark.parametrize(
    "value", [5, "5", "1e-3", "0.1 mV", "8 mV/ms", "3 GOhm", "7 Hz", "0.3 m/s", "2 mV/ms^(1/2)", "0.1 + 0.2", "1 / 3"]
)
def test_a_value_is_written_to_its_last_bit(value):
    found = constants._Constants({"x": value}, faults := [])
    assert found.need("x") and not faults
    again = constants.written(found.values["x"], found.dimensions["x"])
    expected = (float(again), "number") if not isinstance(again, str) else units.parse(again)
    assert expected == (found.values["x"], found.dimensions["x"])


def test_arithmetic_needs_no_constants(tmp_path):
    assert load(tmp_path, plain().replace("duration: 100 ms", "duration: 2 * 50 ms")).spec.duration == 100


WRONG = [
    ("V_th: 200 * j", "constants.V_th: there is no 'j'"),
    ("V_th: 200 * J, a: b, b: c + 1, c: 2 * a", "constants.a: this constant depends on itself: a -> b -> c -> a"),
    ("V_th: J + 3", "constants.V_th: a sum of a voltage and a number"),
    ("V_th: 1 / 0", "constants.V_th: this comes out as inf"),
    ("V_th: [1 mV]", "constants.V_th: a number, a quantity or an expression is wanted here"),
    ("V_th: 200 * J, exp: 3", "constants.exp: exp has another meaning"),
    ("V_th: 200 * J, a-b: 3", "constants.a-b: 'a-b' is no name of a constant"),
    ("V_th: J > 3 mV", "constants.V_th: this is true or false"),
    ("V_th: 200 * J *", "constants.V_th: "),
    ("V_th: 3 ms", "inputs.noise.rate: "),
]


@pytest.mark.parametrize(("more", "said"), WRONG)
def test_what_is_wrong_with_constants_is_told(tmp_path, more, said):
    with pytest.raises(SpecError) as error:
        load(tmp_path, text(more))
    assert said in str(error.value), str(error.value)


def test_all_faults_of_expressions_and_others_are_told_at_once_and_each_once(tmp_path):
    faulty = text().replace("eps * 0.8 * N", "epsilon * N").replace("weight: J,", "weight: 2 J,").replace("150 * J", "150 * N")
    faulty = faulty.replace("0.2 * N", "N / 3").replace("-g * J", "-g * tau").replace("model: state", "model: states")
    with pytest.raises(SpecError) as error:
        load(tmp_path, faulty)
    paths = [".".join(map(str, fault.path)) for fault in error.value.faults]
    assert sorted(set(paths)) == sorted(
        ["populations.E.init.V.uniform.high", "populations.I.size", "inputs.noise.weight", "projections.exc.connect.n",
         "projections.exc.weight", "projections.inh.weight", "monitors.V.model"]
    ) and len(paths) == len(set(paths)), str(error.value)  # fmt: skip
    assert next(f for f in error.value.faults if f.path[-1] == "n").message == "there is no 'epsilon'"


def test_a_column_of_an_expression_is_shown(tmp_path, capsys):
    from snnrun import document

    with pytest.raises(SpecError) as error:
        load(tmp_path, text("V_th: 200 * J * jay"))
    (fault,) = document.as_objects(error.value.document, error.value.faults)
    line = (tmp_path / "net.yaml").read_text().splitlines()[fault["line"] - 1]
    assert line[fault["column"] - 1 :].startswith("jay")


def texts_of(spec):
    """Fields whose values are texts, and the words of fields that may have a number as well."""
    texts, words = set(), set()
    for name, info in spec.model_fields.items():
        kinds = members(info.annotation)
        literals = {word for one in kinds if get_origin(one) is Literal for word in get_args(one) if isinstance(word, str)}
        selecting = any(type(part).__name__ == "_Selecting" for part in info.metadata)
        inner = [one for kind in kinds if get_origin(kind) is tuple for one in get_args(kind)]
        if str in kinds or str in inner or selecting:
            texts.add(name)
        words |= {(name, word) for word in literals}
        for one in kinds:
            if is_spec(one):
                below = texts_of(one)
                texts, words = texts | below[0], words | below[1]
    return texts, words


def test_texts_are_left_alone():
    """Every field that takes a text is among those that are not computed, and words elsewhere are no names of constants."""
    texts, words = set(), set()
    for _, _, spec, _ in PARTS:
        found = texts_of(spec)
        texts, words = texts | found[0], words | found[1]
    texts |= texts_of(TimesFile)[0]
    assert texts <= constants.TEXTS
    assert {word for name, word in words if name not in constants.TEXTS} <= constants.WORDS
    assert json.dumps(sorted(constants.TEXTS))
