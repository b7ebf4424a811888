"""Values of neurons that are written out: lists, slices, columns whose rows say of which neuron they are, and times of spikes."""

import h5py
import numpy as np
import pytest
from networks import assert_same_bits, load, plan_of, run, run_plan

from snnrun import network, outline
from snnrun.document import SpecError

HEAD = "seed: 3\nduration: 30 ms\n"
LIF = "model: lif, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, R: 100 MOhm, I_e: 150 pA"


def built(tmp_path, text):
    return network.build(load(tmp_path, HEAD + text).spec, tmp_path)


def populations(tau, size=6, more=""):
    return f"populations:\n  E: {{size: {size}, tau: {tau}, {LIF}{more}}}\n"


def tau_of(tmp_path, value, size=6):
    return built(tmp_path, populations(value, size)).populations["E"].parameters["tau"]


def faults(tmp_path, text):
    """What is wrong with a network, whether its file shows it or its draws do."""
    with pytest.raises(SpecError) as caught:
        built(tmp_path, text)
    return [(".".join(map(str, fault.path)), fault.message, fault.hint) for fault in caught.value.faults]


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_neurons_with_values_of_their_own_are_populations_of_one_neuron(tmp_path, kernel):
    given = {"tau": ["10 ms", "12.5 ms", "20 ms"], "tau_ref": ["0 ms", "2 ms", "1.5 ms"], "V": ["-60 mV", "-55 mV", "-51 mV"]}
    one = "{{size: {n}, {lif}, tau: {tau}, tau_ref: {tau_ref}, init: {{V: {V}}}}}"
    together = {name: f"[{', '.join(values)}]" for name, values in given.items()}
    text = HEAD + "populations:\n  E: " + one.format(n=3, lif=LIF, **together)
    text += "\nmonitors: {V: {model: state, of: E, variables: [V]}, s: {model: spikes, of: E}}\n"
    apart = HEAD + "populations:\n"
    for i in range(3):
        apart += f"  E{i}: {one.format(n=1, lif=LIF, **{name: values[i] for name, values in given.items()})}\n"
    apart += "monitors: {V: {model: state, of: [E0, E1, E2], variables: [V]}, s: {model: spikes, of: [E0, E1, E2]}}\n"
    all_, each = (run_plan(plan_of(tmp_path, one, kernel=kernel)) for one in (text, apart))
    V = all_.samples["V", "E", "V"]
    np.testing.assert_array_equal(V, np.hstack([each.samples["V", f"E{i}", "V"] for i in range(3)]))
    assert sorted(all_.spikes["E"]) == sorted((t, i) for i in range(3) for t, _ in each.spikes[f"E{i}"])
    assert len({n for _, n in all_.spikes["E"]}) == 3


EVERYWHERE = """
populations:
  E: {{size: 4, tau: 20 ms, {lif}}}
  I: {{size: 4, model: adex, a: {a}, init: {{w: {w}}}}}
inputs:
  d: {{model: constant, to: ["E[1:3]", "I[:2]"], current: {current}, start: 1 ms}}
  p: {{model: poisson, to: "E[1:]", rate: {rate}, weight: {weight}, synapse: {{model: expon, tau: {tau}}}}}
projections:
  x: {{pre: ["I[2:]", "E[:2]"], post: E, connect: {{rule: all_to_all}}, weight: 5 pA, synapse: {{model: expon, tau: 5 ms}},
      stp: {{U: {U}, tau_d: 100 ms}}}}
"""
VALUES = {
    "a": ("nS", [1, 2, 3, 4]), "w": ("pA", [0, 10, 20, 30]), "current": ("pA", [100, 200, 300, 400]),
    "rate": ("Hz", [1000, 2000, 3000]), "weight": ("pA", [50, 60, 70]), "tau": ("ms", [1, 2, 3, 4]),
    "U": ("", [0.1, 0.2, 0.3, 0.4]),
}  # fmt: skip


def test_a_list_is_the_column_of_a_file_wherever_it_stands(tmp_path):
    written, columns, sliced = {}, {}, {}
    for name, (unit, values) in VALUES.items():
        column = f"x_{unit}" if unit else "x"
        (tmp_path / f"{name}.csv").write_text("\n".join([column, *map(str, values)]))
        texts = [f"{value} {unit}" for value in values]
        written[name], columns[name] = f"[{', '.join(texts)}]", f"{{file: {name}.csv, column: {column}}}"
        pairs = [f'"[{i}:{i + 1}]": {text}' for i, text in enumerate(texts[1:], start=1)]
        sliced[name] = f"{{slices: {{{', '.join(pairs)}, else: {texts[0]}}}}}"
    watch = "monitors: {V: {model: state, of: [E, I], variables: [V]}, s: {model: spikes, of: [E, I]}}\n"
    one, *others = (run(tmp_path, HEAD + EVERYWHERE.format(lif=LIF, **of) + watch) for of in (written, columns, sliced))
    assert len(one.spikes["E"]) > 4
    for other in others:
        assert_same_bits(one, other)


def test_a_constant_may_stand_in_a_list_and_in_slices(tmp_path):
    text = "constants: {T: 10 ms}\n" + populations("[T, 2 * T]", 2)
    np.testing.assert_array_equal(built(tmp_path, text).populations["E"].parameters["tau"], [10, 20])
    text = "constants: {T: 10 ms}\n" + populations('{slices: {"[0]": T, "[1:]": {normal: {mean: 3 * T, std: T / 1000}}}}', 2)
    np.testing.assert_allclose(built(tmp_path, text).populations["E"].parameters["tau"], [10, 30], atol=0.1)


# ---- slices ----------------------------------------------------------------------------------------------------------

NORMAL, UNIFORM = "{normal: {mean: 20 ms, std: 2 ms}}", "{uniform: {low: 5 ms, high: 6 ms}}"


def test_a_draw_is_that_of_the_neuron_whichever_slice_it_is_in(tmp_path):
    normal, uniform = tau_of(tmp_path, NORMAL), tau_of(tmp_path, UNIFORM)
    halves = tau_of(tmp_path, f'{{slices: {{"[:3]": {NORMAL}, "[3:]": {NORMAL}}}}}')
    np.testing.assert_array_equal(halves, normal)
    mixed = tau_of(tmp_path, f'{{slices: {{"[-2:]": {UNIFORM}, "[1]": 7 ms, else: {NORMAL}}}}}')
    np.testing.assert_array_equal(mixed, [normal[0], 7.0, normal[2], normal[3], uniform[4], uniform[5]])


def test_slices_of_an_input_count_within_its_targets_and_draw_for_the_neuron(tmp_path):
    text = populations("20 ms") + 'inputs: {d: {model: constant, to: "E[2:]", current: %s}}\n'
    law = "{normal: {mean: 100 pA, std: 10 pA}}"
    whole = built(tmp_path, text % law).inputs["d"].values[0]["current"]
    part = built(tmp_path, text % f'{{slices: {{"[:2]": 5 pA, "[2:]": {law}}}}}').inputs["d"].values[0]["current"]
    np.testing.assert_array_equal(part, [5, 5, whole[2], whole[3]])


def test_synapses_with_slices_keep_a_receptor_of_their_own(tmp_path):
    found = plan_of(tmp_path, HEAD + populations("20 ms") + """
projections:
  a: {pre: E, post: E, connect: {rule: one_to_one}, weight: 1 pA, synapse: {model: expon, tau: 5 ms}}
  b: {pre: E, post: E, connect: {rule: one_to_one}, weight: 1 pA, synapse: {model: expon, tau: {slices: {else: 5 ms}}}}
""")  # fmt: skip
    assert len(found.structure.receptors) == 2


def test_a_plan_says_them_in_words(tmp_path):
    spec = load(tmp_path, HEAD + populations("[1 ms, 2 ms]", 2, ', tau_ref: {slices: {"[0]": 1 ms, else: 2 ms}}')).spec
    entry = spec.populations["E"]
    assert outline.value_text(entry.tau, "time") == "2 values"
    assert outline.value_text(entry.tau_ref, "time") == "1 ms [0] and 2 ms else"


def sliced(inside):
    return f"{{slices: {{{inside}}}}}"


@pytest.mark.parametrize(
    "value, where, message",
    [
        ("[10 ms, 20 ms]", "", "the list has 2 values, and E has 6 neurons"),
        ("[]", "", "the list has 0 values"),
        ("[1 ms, 1 ms, 1 ms, 5 mV, 1 ms, 1 ms]", ".3", "'5 mV' is a voltage"),
        ("[1 ms, 1 ms, 1 ms, {normal: {mean: 1 ms, std: 1 ms}}, 1 ms, 1 ms]", ".3", "a time is wanted here"),
        ("[1 ms, 1 ms, 1 ms, 1 ms, 0 ms, 1 ms]", ".4", "tau must be positive (1 of 6 neurons violate this)"),
        (sliced('"[:3]": 5 ms'), ".slices", "neuron 3 and 2 more are in no slice"),
        (sliced('"[:5]": 5 ms'), ".slices", "neuron 5 is in no slice"),
        (sliced('"[:4]": 5 ms, "[2:]": 3 ms'), ".slices.[2:]", "[:4] has some of these neurons, too"),
        (sliced('"[:9]": 5 ms'), ".slices.[:9]", "[:9] is out of range"),
        (sliced('"[4:2]": 5 ms'), ".slices.[4:2]", "[4:2] is empty"),
        (sliced('"E[:2]": 5 ms'), ".slices.E[:2]", "'E[:2]' is no slice"),
        (sliced('"[:]": 5 ms, else: 3 ms'), ".slices.else", "no neurons are left for else"),
        (sliced('"[:]": 5 mV'), ".slices.[:]", "a time is wanted here, and this is a voltage"),
        (sliced('"[:]": 5'), ".slices.[:]", "a time needs a unit"),
        (sliced('"[:2]": 5 ms, else: 0 ms'), ".slices.else", "tau must be positive (4 of 6 neurons violate this)"),
        (sliced('"[:]": {normal: {mean: 1 mV, std: 1 ms}}'), ".slices.[:].normal.mean", "a time is wanted here"),
        (sliced('"[:]": {file: a.csv, column: x}'), ".slices.[:].file", "file is no distribution"),
        (sliced('"[:]": [1 ms, 2 ms]'), ".slices.[:]", "a number with its unit is wanted here"),
        ("{slice: {else: 1 ms}}", ".slice", "slice is no distribution"),
    ],
)  # fmt: skip
def test_a_mistake_in_them_is_shown_where_it_is(tmp_path, value, where, message):
    ((path, said, _),) = faults(tmp_path, populations(value))
    assert path == f"populations.E.tau{where}" and message in said


@pytest.mark.parametrize("value, where", [("[1 ms, 1.05 ms]", "1"), (sliced('"[0]": 1 ms, else: 1.05 ms'), "slices.else")])
def test_times_that_are_written_out_are_whole_steps(tmp_path, value, where):
    ((path, said, _),) = faults(tmp_path, populations("20 ms", 2, f", tau_ref: {value}"))
    assert path == f"populations.E.tau_ref.{where}" and "no whole number of steps" in said


@pytest.mark.parametrize("field", ["weight", "delay"])
@pytest.mark.parametrize("value", ["[1 ms]", "{slices: {else: 1 ms}}"])
def test_a_synapse_takes_no_values_of_neurons(tmp_path, field, value):
    text = populations("20 ms") + "projections:\n  x: {pre: E, post: E, connect: {rule: all_to_all}, synapse: {model: delta}, "
    ((path, said, _),) = faults(tmp_path, text + f"{'weight: 1 mV, ' if field == 'delay' else ''}{field}: {value}}}\n")
    assert path == f"projections.x.{field}" and f"a {field} belongs to a synapse" in said


def test_values_of_an_input_that_do_not_fit_are_shown_where_they_are(tmp_path):
    text = populations("20 ms") + """
inputs:
  a: {model: poisson, to: ["E[:2]", "E[3:5]"], rate: 1 kHz, weight: [1 nS, 1 nS, -1 nS, 1 nS], synapse: {model: expon, tau: 5 ms},
      output: {model: coba, E: 0 mV}}
  b: {model: constant, to: "E[:2]", current: [1 pA]}
  c: {model: poisson, to: E, rate: 1 kHz, weight: {slices: {"[:2]": 1e40 pA, else: 1 pA}}, synapse: {model: expon, tau: 5 ms}}
"""  # fmt: skip
    found = {path: message for path, message, _ in faults(tmp_path, text)}
    assert "a conductance must not be negative" in found["inputs.a.weight.2"]
    assert found["inputs.b.current"] == "the list has 1 value, and there are 2 neurons"
    assert "too large for float32" in found["inputs.c.weight"]


# ---- columns whose rows say of which neuron they are ------------------------------------------------------------------


def write(path, columns):
    if path.suffix == ".csv":
        rows = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join([",".join(columns), *rows]) + "\n")
    elif path.suffix == ".npz":
        np.savez(path, **columns)
    else:
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values


COLUMN = "{file: FILE, column: tau_ms, id: neuron}"
FORMATS = pytest.mark.parametrize("file", ["c.csv", "c.npz", "c.h5"])


@FORMATS
def test_rows_in_any_order_go_to_the_neurons_that_they_name(tmp_path, file):
    order = [4, 0, 5, 1, 3, 2]
    write(tmp_path / file, {"neuron": order, "tau_ms": [10.0 + i for i in order], "x_um": [float(i) for i in order]})
    found = built(
        tmp_path, populations(COLUMN.replace("FILE", file), more=f", layout: {{model: file, file: {file}, id: neuron}}")
    )
    np.testing.assert_array_equal(found.populations["E"].parameters["tau"], [10, 11, 12, 13, 14, 15])
    np.testing.assert_array_equal(found.populations["E"].places.points[:, 0], range(6))


def test_numbers_of_an_input_count_within_its_targets(tmp_path):
    write(tmp_path / "c.csv", {"neuron": [2, 0, 1], "I_pA": [30.0, 10.0, 20.0]})
    text = populations("20 ms") + 'inputs: {d: {model: constant, to: ["E[4:]", "E[0]"], current: '
    found = built(tmp_path, text + "{file: c.csv, column: I_pA, id: neuron}}}\n").inputs["d"].values
    assert [values["current"].tolist() for values in found] == [[10.0, 20.0], [30.0]]


@FORMATS
@pytest.mark.parametrize(
    "numbers, where, message",
    [
        ([0, 1, 2, 2, 4, 5], "id", "neuron 2 stands {2} and {3} of FILE"),
        ([0, 1, 2, 4, 5], "id", "FILE has no row whose neuron is 3"),
        ([0, 5], "id", "FILE has no row whose neuron is 1, nor one for 3 other neurons"),
        ([0, 1, 2, 3, 4, 6], "id", "neuron is 6 {5} of FILE"),
        ([0, 1, 2, 3, 4, -1], "id", "neuron is -1 {5} of FILE"),
        ([0.0, 1.0, 2.0, 3.5, 4.0, 5.0], "id", "neuron is 3.5 {3} of FILE"),
    ],
)
def test_a_number_that_is_missing_or_stands_twice_is_shown(tmp_path, file, numbers, where, message):
    write(tmp_path / file, {"neuron": numbers, "tau_ms": [10.0] * len(numbers)})
    ((path, said, _),) = faults(tmp_path, populations(COLUMN.replace("FILE", file)))
    places = [f"in line {i + 2}" if file == "c.csv" else f"at index {i}" for i in range(7)]
    assert path == f"populations.E.tau.{where}" and message.replace("FILE", file).format(*places) in said


def test_what_is_wrong_with_a_value_is_shown_in_its_row(tmp_path):
    write(tmp_path / "c.csv", {"neuron": [5, 4, 3, 2, 1, 0], "tau_ms": [1, 1, -1, 1, 1, 1]})
    ((path, said, hint),) = faults(tmp_path, populations(COLUMN.replace("FILE", "c.csv")))
    assert (path, hint) == ("populations.E.tau", "the first is tau_ms in line 4 of c.csv")
    write(tmp_path / "c.csv", {"neuron": [5, 4, 3, 2, 1, 0], "tau_ms": [1, 1, 1, 1, "inf", 1]})
    ((path, said, _),) = faults(tmp_path, populations(COLUMN.replace("FILE", "c.csv")))
    assert path == "populations.E.tau.column" and "tau_ms is inf in line 6 of c.csv" in said


def test_a_column_of_numbers_that_is_not_there_is_found_without_reading_values(tmp_path):
    write(tmp_path / "c.csv", {"cell": [0, 1], "tau_ms": [1, 1]})
    with pytest.raises(SpecError) as caught:
        load(tmp_path, HEAD + populations(COLUMN.replace("FILE", "c.csv"), 2))
    (fault,) = caught.value.faults
    assert fault.path[-1] == "id" and "no column 'neuron'" in fault.message


# ---- times of spikes -------------------------------------------------------------------------------------------------

SOURCE = HEAD + "populations:\n  S: {model: spike_times, size: 4, times: %s%s}\nmonitors: {s: {model: spikes, of: S}}\n"


def test_times_of_neurons_are_those_of_a_file(tmp_path):
    (tmp_path / "t.csv").write_text("neuron,time_ms\n3,2\n0,1\n0,5\n")
    ways = [
        "{0: [1 ms, 5 ms], 3: [2 ms]}",
        "[[5 ms, 1 ms], [], [], [2 ms]]",
        '{"3": [2 ms], 0: [5 ms, 1 ms], 1: []}',
        "{file: t.csv}",
    ]
    found = [run(tmp_path, SOURCE % (way, more)).spikes["S"] for way in ways for more in ("", ", period: 10 ms")]
    assert found[0] == [(10, 0), (20, 3), (50, 0)]
    again = [(t + later, n) for later in (0, 100, 200) for t, n in found[0]]
    assert all(one == other for one, other in zip(found, 4 * [found[0], again], strict=True))


@pytest.mark.parametrize(
    "times, where, message",
    [
        ("{4: [1 ms]}", ".4", "there is no neuron 4"),
        ("{-1: [1 ms]}", ".-1", "'-1' is no neuron"),
        ("{a: [1 ms]}", ".a", "'a' is no neuron"),
        ("{1.5: [1 ms]}", ".1.5", "'1.5' is no neuron"),
        ("{0: 1 ms}", ".0", "a list is wanted"),
        ("{0: [1 ms, 2 mV]}", ".0.1", "is a voltage"),
        ("{0: [1 ms, 1.05 ms]}", ".0.1", "no whole number of steps"),
        ("{0: [1 ms], 1: [1 ms, 2 ms, 1 ms]}", ".1.2", "two spikes in one step"),
        ("[[1 ms], [2 ms]]", "", "there are 2 lists of times, and 4 neurons"),
        ("[[1 ms], 2 ms, [], []]", ".1", "a list is wanted"),
        ("[[1 ms], [0 ms], [], []]", ".1.0", "less than one step"),
    ],
)
def test_a_mistake_in_times_is_shown_where_it_is(tmp_path, times, where, message):
    ((path, said, _),) = faults(tmp_path, SOURCE.removeprefix(HEAD) % (times, ""))
    assert path == f"populations.S.times{where}" and message in said


def test_times_of_neurons_lie_within_the_period(tmp_path):
    ((path, said, _),) = faults(tmp_path, SOURCE.removeprefix(HEAD) % ("{2: [1 ms, 11 ms]}", ", period: 10 ms"))
    assert path == "populations.S.times.2.1" and "after the period" in said
