"""Building: what is drawn belongs to its name and neuron alone, and what only drawn or loaded values can show is found."""

import textwrap

import h5py
import numpy as np
import pytest
from networks import load

from snnrun import lower, network, random, tables
from snnrun.document import SpecError
from snnrun.models import connect
from snnrun.quantities import Law

HEAD = """
seed: 7
duration: 10 ms
"""
LIF = "model: lif, tau: 20 ms, V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 100 MOhm"
NEURONS = f"""
populations:
  A: {{size: 30, {LIF}}}
  B: {{size: 20, {LIF}}}
"""


def build(tmp_path, text):
    spec = load(tmp_path, HEAD + textwrap.dedent(text)).spec
    return network.build(spec, tmp_path)


def edges_of(built, name="x"):
    """All edges of a projection, drawn."""
    return connect.collect(built.projections[name].connectivity)


def refused(tmp_path, text):
    """Where and how a network is refused that passed all checks before anything was drawn."""
    spec = load(tmp_path, HEAD + textwrap.dedent(text)).spec
    with pytest.raises(SpecError) as caught:
        network.build(spec, tmp_path)
    return fault_of(caught)


def refused_for_its_edges(tmp_path, text, kernel):
    """The same of a network whose edges show it: they are drawn when they are arranged."""
    built = build(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        lower.lower(built, kernel=kernel, threads=2)
    return fault_of(caught)


def fault_of(caught):
    (fault,) = caught.value.faults
    return ".".join(map(str, fault.path)), fault.message, fault.hint


def projection(connect, weight="0.1 mV", synapse="{model: delta}", **more):
    lines = {"pre": "A", "post": "B", "connect": connect, "weight": weight, "synapse": synapse, **more}
    return (
        NEURONS + "projections:\n  x:\n" + "".join(f"    {key}: {value}\n" for key, value in lines.items() if value is not None)
    )


def write(path, columns):
    """A table in the format that the file's name asks for."""
    if path.suffix == ".csv":
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join([",".join(columns), *(",".join(map(repr, map(float, row))) for row in rows)]) + "\n")
    elif path.suffix == ".npz":
        np.savez(path, **{name: np.asarray(values) for name, values in columns.items()})
    else:
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = np.asarray(values)


def equal(a, b):
    """Whether two nested collections hold the same bits."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b)


# ---- independence ----------------------------------------------------------------------------------------------------

RICH = {
    "populations": f"""
  A: {{size: 30, {LIF}, I_e: {{normal: {{mean: 1 pA, std: 1 pA}}}}, init: {{V: {{uniform: {{low: -60 mV, high: -55 mV}}}}}}}}
  B: {{size: 20, {LIF}}}
""",
    "inputs": """
  drive: {model: constant, to: A, current: {gamma: {mean: 1 pA, std: 1 pA}}}
  noise:
    {model: poisson, to: B, rate: {exponential: {mean: 1 Hz}}, weight: {normal: {mean: 1 mV, std: 1 mV}}, synapse: {model: delta}}
""",
    "projections": """
  x:
    pre: A
    post: B
    connect: {rule: fixed_prob, p: 0.3}
    weight: {lognormal: {mean: 1 pA, std: 1 pA}}
    delay: {uniform: {low: 1 ms, high: 2 ms}}
    synapse: {model: expon, tau: {normal: {mean: 5 ms, std: 1 ms, redraw: {min: 1 ms}}}}
""",
    "monitors": """
  a: {model: spikes, of: A}
""",
}
UNRELATED = {
    "populations": f"  Z: {{size: 9, {LIF}, I_e: {{normal: {{mean: 1 pA, std: 1 pA}}}}}}\n",
    "inputs": "  other: {model: constant, to: B, current: {gamma: {mean: 1 pA, std: 1 pA}}}\n",
    "projections": """
  y:
    {pre: B, post: A, connect: {rule: fixed_total, n: 50}, weight: {normal: {mean: 1 mV, std: 1 mV}}, synapse: {model: delta}}
""",
    "monitors": "  b: {model: state, of: B, variables: [V]}\n",
}


def text_of(sections):
    return "".join(f"{section}:\n{entries}" for section, entries in sections.items())


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("section", UNRELATED)
def test_something_unrelated_changes_no_draw(tmp_path, section, place):
    one, other = RICH[section], UNRELATED[section]
    plain = build(tmp_path, text_of(RICH))
    more = build(tmp_path, text_of(RICH | {section: one + other if place == "after" else other + one}))
    for part in ("populations", "projections", "inputs", "kinetics"):
        drawn = getattr(plain, part)
        assert equal(drawn, {name: getattr(more, part)[name] for name in drawn})
    assert equal(edges_of(plain), edges_of(more))


def test_the_seed_changes_every_draw(tmp_path):
    first = build(tmp_path, text_of(RICH))
    spec = load(tmp_path, HEAD.replace("7", "8") + text_of(RICH)).spec
    second = network.build(spec, tmp_path)
    for a, b in (
        (first.populations["A"].parameters["I_e"], second.populations["A"].parameters["I_e"]),
        (first.populations["A"].initial["V"], second.populations["A"].initial["V"]),
        (first.inputs["drive"].values[0]["current"], second.inputs["drive"].values[0]["current"]),
        (edges_of(first).pre[:50], edges_of(second).pre[:50]),
        (edges_of(first).weight[:50], edges_of(second).weight[:50]),
    ):
        assert not np.array_equal(a, b)


def test_a_growing_population_keeps_the_values_of_its_neurons(tmp_path):
    small, large = (build(tmp_path, text_of(RICH).replace("size: 30", f"size: {size}")) for size in (30, 45))
    np.testing.assert_array_equal(small.populations["A"].initial["V"], large.populations["A"].initial["V"][:30])
    np.testing.assert_array_equal(small.populations["A"].parameters["I_e"], large.populations["A"].parameters["I_e"][:30])


def test_fields_and_sections_have_streams_of_their_own(tmp_path):
    found = build(tmp_path, text_of(RICH))
    law = Law("normal", 1.0, 1.0, None, None)
    expected = random.draw(random.key(7, "population/A/I_e"), law, np.arange(30))
    np.testing.assert_array_equal(found.populations["A"].parameters["I_e"], expected)
    weights = found.inputs["noise"].values[0]["weight"]
    assert len(np.unique(np.concatenate([expected, weights]))) == 50


def test_weights_and_delays_are_drawn_by_the_row_and_number_of_their_edge(tmp_path):
    for rule in ("{rule: fixed_prob, p: 0.3}", "{rule: fixed_indegree, n: 4}", "{rule: fixed_total, n: 99, multapses: false}"):
        weight, delay = "{normal: {mean: 1 mV, std: 1 mV}}", "{uniform: {low: 1 ms, high: 9 ms}}"
        edges = edges_of(build(tmp_path, projection(rule, weight=weight, delay=delay)))
        spec = load(tmp_path, HEAD + projection(rule)).spec
        chunks = connect.chunks(spec.projections["x"].connect, connect.Sizes(30, 20), random.key(7, "projection/x/connect"))
        drawn = next(iter(chunks))()
        np.testing.assert_array_equal(edges.pre, drawn.pre)
        law = Law("normal", 1.0, 1.0, None, None)
        exact = random.draw(random.key(7, "projection/x/weight"), law, drawn.entity, drawn.number)
        np.testing.assert_array_equal(edges.weight, exact)
        law = Law("uniform", 1.0, 9.0, None, None)
        times = random.draw(random.key(7, "projection/x/delay"), law, drawn.entity, drawn.number)
        np.testing.assert_array_equal(edges.delay, np.floor(times / 0.1 + 0.5))


@pytest.mark.parametrize("rule", ["{rule: fixed_prob, p: 0.3}", "{rule: fixed_total, n: 400}", "{rule: fixed_indegree, n: 9}"])
def test_threads_and_chunks_change_no_bit(tmp_path, rule, monkeypatch):
    text = projection(rule, weight="{gamma: {mean: 1 mV, std: 2 mV}}", delay="{uniform: {low: 1 ms, high: 9 ms}}")
    whole = edges_of(build(tmp_path, text))
    monkeypatch.setattr("snnrun.models.rule.CHUNK", 40)
    for threads in (1, 5):
        monkeypatch.setattr(connect, "_threads", lambda threads=threads: threads)
        assert equal(whole, edges_of(build(tmp_path, text)))


def test_values_of_an_input_belong_to_the_neuron_not_to_the_slice(tmp_path):
    def currents(to):
        text = f"inputs:\n  drive: {{model: constant, to: {to}, current: {{normal: {{mean: 1 pA, std: 1 pA}}}}}}\n"
        found = build(tmp_path, NEURONS + text).inputs["drive"]
        return [values["current"] for values in found.values]

    (everyone,) = currents("A")
    np.testing.assert_array_equal(currents('"A[10:]"')[0], everyone[10:])
    first, second, third = currents('["A[20:]", B, "A[3:5]"]')
    np.testing.assert_array_equal(first, everyone[20:])
    np.testing.assert_array_equal(third, everyone[3:5])
    assert not np.isin(second, everyone).any()


def test_a_file_of_an_input_lists_its_targets_in_their_order(tmp_path):
    write(tmp_path / "i.csv", {"I_nA": np.arange(12)})
    text = "inputs:\n  drive: {model: constant, to: ['A[20:]', 'B[:2]'], current: {file: i.csv, column: I_nA}}\n"
    first, second = (values["current"] for values in build(tmp_path, NEURONS + text).inputs["drive"].values)
    assert first.tolist() == [1000.0 * i for i in range(10)]
    assert second.tolist() == [10_000.0, 11_000.0]


# ---- parameters from files -------------------------------------------------------------------------------------------

FORMATS = ["v.csv", "v.npz", "v.h5"]


def with_column(file, column="V_th_mV"):
    neurons = LIF.replace("V_th: -50 mV", f"V_th: {{file: {file}, column: {column}}}")
    return f"populations:\n  B: {{size: 3, {neurons}}}\n"


@pytest.mark.parametrize("file", FORMATS)
def test_a_parameter_from_a_file_is_converted_by_the_unit_of_its_column(tmp_path, file):
    write(tmp_path / file, {"other_mV": [1.0, 2.0, 3.0], "V_th_V": [-0.05, -0.045, -0.055]})
    found = build(tmp_path, with_column(file, "V_th_V")).populations["B"].parameters["V_th"]
    np.testing.assert_allclose(found, [-50, -45, -55], rtol=1e-15)


@pytest.mark.parametrize("file", FORMATS)
def test_a_column_of_wrong_length_is_refused(tmp_path, file):
    write(tmp_path / file, {"V_th_mV": [-50.0, -50.0]})
    where, message, _ = refused(tmp_path, with_column(file))
    assert where == "populations.B.V_th.column"
    assert "2 values" in message and "3 neurons" in message


@pytest.mark.parametrize("file", FORMATS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_column_with_nan_is_refused(tmp_path, file, value):
    write(tmp_path / file, {"V_th_mV": [-50.0, value, -50.0]})
    where, message, hint = refused(tmp_path, with_column(file))
    assert where == "populations.B.V_th.column"
    assert f"V_th_mV is {value:g} {'in line 3' if file == 'v.csv' else 'at index 1'} of {file}" in message and "finite" in hint


def test_a_column_that_breaks_a_rule_of_the_model_is_refused(tmp_path):
    write(tmp_path / "v.csv", {"V_th_mV": [-50.0, -66.0, -50.0]})
    where, message, hint = refused(tmp_path, with_column("v.csv"))
    assert where == "populations.B.V_th"
    assert "1 of 3" in message and hint == "the first is V_th_mV in line 3 of v.csv"


@pytest.mark.parametrize("file", ["v.csv", "v.npz", "v.h5"])
def test_a_missing_column_and_a_broken_file_are_table_errors(tmp_path, file):
    path = tmp_path / file
    write(path, {"a_mV": [1.0]})
    with pytest.raises(tables.TableError):
        tables.parameters(path).read(["b_mV"])
    path.write_bytes(b"a_mV,b_mV\n1,\n" if file == "v.csv" else b"nonsense")
    with pytest.raises(tables.TableError):
        tables.parameters(path).read(["b_mV"])


def test_text_in_place_of_numbers_is_a_table_error(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["one_mV"], file["many_mV"] = "text", ["some", "text"]
    np.savez(tmp_path / "v.npz", one_mV="text", many_mV=["some", "text"])
    for path in (tmp_path / "v.h5", tmp_path / "v.npz"):
        for column in ("one_mV", "many_mV"):
            with pytest.raises(tables.TableError):
                tables.parameters(path).read([column])


# ---- edges from files ------------------------------------------------------------------------------------------------

FILE = "{{rule: file, path: {}}}"


@pytest.mark.parametrize("file", ["e.csv", "e.npz", "e.h5"])
def test_edges_from_a_file_have_its_weights_and_delays(tmp_path, file):
    write(tmp_path / file, {"delay_ms": [1.0, 0.3], "pre": [29, 0], "weight_uV": [500.0, -2.0], "post": [0, 19]})
    edges = edges_of(build(tmp_path, projection(FILE.format(file), weight=None)))
    assert (edges.pre.tolist(), edges.post.tolist()) == ([29, 0], [0, 19])
    assert edges.weight.tolist() == [0.5, -0.002]
    assert edges.delay.tolist() == [10, 3]


@pytest.mark.parametrize("has", ["weight", "delay", "neither"])
def test_a_file_of_edges_may_leave_weight_or_delay_to_the_projection(tmp_path, has):
    more = {"weight": {"weight_mV": [3.0, 4.0]}, "delay": {"delay_ms": [1.0, 2.0]}, "neither": {}}[has]
    write(tmp_path / "e.csv", {"pre": [1, 2], "post": [3, 4]} | more)
    weight = None if has == "weight" else "0.5 mV"
    edges = edges_of(build(tmp_path, projection(FILE.format("e.csv"), weight=weight, delay="1.5 ms")))
    assert np.broadcast_to(edges.weight, 2).tolist() == ([3.0, 4.0] if has == "weight" else [0.5, 0.5])
    assert np.broadcast_to(edges.delay, 2).tolist() == ([10, 20] if has == "delay" else [15, 15])


def test_weights_and_delays_of_listed_edges_are_drawn_by_their_place_in_the_list(tmp_path):
    drawn = {"weight": "{normal: {mean: 1 mV, std: 1 mV}}", "delay": "{uniform: {low: 1 ms, high: 9 ms}}"}
    pairs = [[1, 1], [2, 3], [0, 0], [5, 2]]
    write(tmp_path / "e.csv", dict(zip(("pre", "post"), zip(*pairs, strict=True), strict=True)))
    inline = edges_of(build(tmp_path, projection(f"{{rule: pairs, pairs: {pairs}}}", **drawn)))
    assert equal(inline, edges_of(build(tmp_path, projection(FILE.format("e.csv"), **drawn))))
    fewer = projection("{rule: file, path: e.csv, autapses: false}", **drawn, post="A")
    kept = edges_of(build(tmp_path, fewer))
    assert equal(kept, [column[[1, 3]] for column in inline])


def test_edges_of_sonata_count_their_weight_nsyns_times(tmp_path):
    """In any order of rows, with the weight of the file, of the types or of the projection; the file is as bmtk writes it."""
    (tmp_path / "types.csv").write_text("edge_type_id syn_weight delay dynamics_params\n100 2.0 1.5 NULL\n101 -1.5 0.5 NULL\n")
    with h5py.File(tmp_path / "edges.h5", "w") as file:
        group = file.create_group("edges/a_to_b")
        group["source_node_id"], group["target_node_id"] = np.uint64([1, 2, 3]), np.uint64([4, 5, 6])
        group["edge_type_id"], group["edge_group_id"] = np.uint32([100, 101, 101]), np.uint16([0, 0, 0])
        group["edge_group_index"], group["0/nsyns"] = np.uint32([2, 0, 1]), np.uint32([0, 3, 2])
    loaded = load(tmp_path, HEAD + projection(FILE.format("edges.h5, types: types.csv"), weight=None))
    assert not loaded.warnings
    typed = edges_of(network.build(loaded.spec, tmp_path))
    assert (typed.weight.tolist(), typed.delay.tolist()) == ([4.0, 0.0, -4.5], [15, 5, 5])
    untyped = load(tmp_path, HEAD + projection(FILE.format("edges.h5"), weight="3 mV"))
    assert "edge types and no syn_weight" in untyped.warnings[0].message  # not silently
    assert edges_of(network.build(untyped.spec, tmp_path)).weight.tolist() == [6.0, 0.0, 9.0]
    with pytest.raises(SpecError, match="weight is missing") as caught:
        load(tmp_path, HEAD + projection(FILE.format("edges.h5"), weight=None))
    assert "types" in fault_of(caught)[2]


@pytest.mark.parametrize("nsyns", [1.5, -1, np.nan, np.inf])
def test_nsyns_is_a_number_of_synapses(tmp_path, nsyns):
    write(tmp_path / "e.h5", {"pre": [0, 1], "post": [0, 1], "nsyns": [1, nsyns]})
    where, message, _ = refused(tmp_path, projection(FILE.format("e.h5")))
    assert where == "projections.x.connect.path" and "nsyns is" in message and "at index 1" in message


def test_edges_of_sonata_are_read(tmp_path):
    with h5py.File(tmp_path / "edges.h5", "w") as file:
        for name, weight in (("a_to_b", [1.0, 2.0, 3.0]), ("b_to_a", [9.0, 9.0, 9.0])):
            group = file.create_group(f"edges/{name}")
            group["source_node_id"], group["target_node_id"] = np.uint64([1, 2, 3]), np.uint64([4, 5, 6])
            group["edge_type_id"], group["edge_group_id"] = [0] * 3, [0] * 3
            group["0/syn_weight"], group["0/delay"] = np.float32(weight), [1.0, 2.0, 1.5]
    rule = "{rule: file, path: edges.h5, population: a_to_b}"
    edges = edges_of(build(tmp_path, projection(rule, weight=None)))
    assert equal(edges, ([1, 2, 3], [4, 5, 6], [1.0, 2.0, 3.0], [10, 20, 15]))


@pytest.mark.parametrize("file", ["e.csv", "e.npz", "e.h5"])
def test_a_file_without_edges_connects_nothing(tmp_path, file):
    write(tmp_path / file, {"pre": np.array([], int), "post": np.array([], int)})
    weight, delay = "{normal: {mean: 1 mV, std: 1 mV}}", "{uniform: {low: 1 ms, high: 2 ms}}"
    edges = edges_of(build(tmp_path, projection(FILE.format(file), weight=weight, delay=delay)))
    assert [len(column) for column in edges] == [0, 0, 0, 0]
    assert edges.pre.dtype == edges.post.dtype == edges.delay.dtype == np.int32


BAD_EDGES = {
    "an index out of range": ({"pre": [0, 30]}, ("pre is 30", 2)),
    "a negative index": ({"post": [-1, 0]}, ("post is -1", 1)),
    "a fractional index": ({"pre": [0.5, 0]}, ("pre is 0.5", 1)),
    "an index that is nan": ({"pre": [np.nan, 0]}, ("pre is nan", 1)),
    "a weight that is nan": ({"weight_mV": [0, np.nan]}, ("weight_mV is nan", 2)),
    "a delay off the grid": ({"delay_ms": [1.0, 0.25]}, "no whole number of steps"),
    "a negative delay": ({"delay_ms": [1.0, -0.1]}, ("delay_ms is -0.1", 2)),
    "a delay that is nan": ({"delay_ms": [np.nan, 1.0]}, ("delay_ms is nan", 1)),
    "an infinite delay": ({"delay_ms": [np.inf, 1.0]}, ("delay_ms is inf", 1)),
    "a delay beyond all steps": ({"delay_ms": [1e9, 1.0]}, ("delay_ms is 1000000000", 1)),
}


@pytest.mark.parametrize("file", ["e.csv", "e.npz", "e.h5"])
@pytest.mark.parametrize("name", BAD_EDGES)
def test_a_faulty_file_of_edges_is_refused_where_it_is_named(tmp_path, file, name):
    columns, message = BAD_EDGES[name]
    write(tmp_path / file, {"pre": [0, 1], "post": [0, 1], "weight_mV": [1.0, 1.0], "delay_ms": [1.0, 1.0]} | columns)
    where, found, _ = refused(tmp_path, projection(FILE.format(file), weight=None))
    assert where == "projections.x.connect.path"
    if isinstance(message, tuple):  # what, and in which row
        what, row = message
        message = f"{what} in line {row + 1}" if file == "e.csv" else f"{what} at index {row - 1}"
    assert message in found


def test_columns_of_different_length_are_refused(tmp_path):
    np.savez(tmp_path / "e.npz", pre=[0, 1], post=[0])
    with pytest.raises(SpecError) as caught:
        build(tmp_path, projection(FILE.format("e.npz")))
    where, message, _ = fault_of(caught)
    assert where == "projections.x.connect.path"
    assert "differ in length" in message


def test_a_negative_conductance_in_a_file_is_refused_where_the_file_is_named(tmp_path):
    write(tmp_path / "e.csv", {"pre": [0, 1], "post": [0, 1], "weight_nS": [1.0, -1.0]})
    coba = {"synapse": "{model: expon, tau: 5 ms}", "output": "{model: coba, E: 0 mV}"}
    where, message, _ = refused(tmp_path, projection(FILE.format("e.csv"), weight=None, **coba))
    assert where == "projections.x.connect.path"
    assert "1 negative" in message


def test_spike_times_from_a_file(tmp_path):
    source = "populations:\n  S: {size: 3, model: spike_times, times: {file: t.csv}}\n"
    write(tmp_path / "t.csv", {"neuron": [2, 0, 2], "time_ms": [0.3, 0.1, 0.2]})
    neuron, stamps = build(tmp_path, source).populations["S"].parameters["times"]
    assert (neuron.tolist(), stamps.tolist()) == ([0, 2, 2], [1, 2, 3])
    for columns, message in (
        ({"neuron": [3], "time_ms": [1.0]}, "neuron is 3 in line 2"),
        ({"neuron": [0], "time_ms": [0.25]}, "no whole number"),
        ({"neuron": [0], "time_ms": [np.inf]}, "time_ms is inf in line 2"),
        ({"neuron": [0], "time_ms": [0.0]}, "time_ms is 0 in line 2"),
        ({"neuron": [1, 1], "time_ms": [1.0, 1.0]}, "two spikes in one step"),
    ):
        write(tmp_path / "t.csv", columns)
        where, found, _ = refused(tmp_path, source)
        assert where == "populations.S.times.file"
        assert message in found


@pytest.mark.parametrize("file", ["e.csv", "e.npz", "e.h5"])
def test_delays_of_a_file_that_miss_the_grid_are_rounded_as_drawn_ones_if_asked_for(tmp_path, file):
    delays = [0.15, 0.2500001, 0.349, 0.04, 0.3 * (1 + 1e-9), 0.0]
    write(tmp_path / file, {"pre": range(6), "post": range(6), "delay_ms": delays})
    _, message, hint = refused(tmp_path, projection(FILE.format(file)))
    assert "0.15 ms is no whole number of steps of 0.1 ms" in message and hint == "use 0.1 ms or 0.2 ms, or off_grid: round"
    edges = edges_of(build(tmp_path, projection(FILE.format(f"{file}, off_grid: round"))))
    assert edges.delay.tolist() == [2, 3, 3, 0, 3, 0]


def test_trains_that_miss_the_grid_are_rounded_and_merged_if_asked_for_and_that_is_said(tmp_path):
    source = "populations:\n  S: {size: 3, model: spike_times, times: {file: t.csv}}\n"
    write(tmp_path / "t.csv", {"neuron": [0, 0, 1, 2, 2], "time_ms": [3.06675, 3.0901, 2.691, 0.0, 0.04]})
    _, message, hint = refused(tmp_path, source)
    assert "time_ms in line 2 of t.csv: 3.06675 ms is no whole number" in message and "or off_grid: round" in hint
    found = build(tmp_path, source.replace("t.csv", "t.csv, off_grid: round"))
    neuron, stamps = found.populations["S"].parameters["times"]
    assert (neuron.tolist(), stamps.tolist()) == ([0, 1, 2], [31, 27, 1])
    (warning,) = found.warnings
    assert warning.path == ("populations", "S", "times", "file") and "2 of 5 spikes are left out" in warning.message
    assert "neuron 0 has two spikes in one step, the second in line 3" in warning.hint
    write(tmp_path / "t.csv", {"neuron": [0], "time_ms": [-0.1]})
    assert "must not be negative" in refused(tmp_path, source.replace("t.csv", "t.csv, off_grid: round"))[2]


def test_trains_of_sonata_with_several_populations(tmp_path):
    source = "populations:\n  S: {size: 3, model: spike_times, times: {file: s.h5, population: b}}\n"
    write(tmp_path / "s.h5", {"spikes/a/timestamps": [9.0], "spikes/a/node_ids": [9], "spikes/b/timestamps": [0.001, 0.0002],
                              "spikes/b/node_ids": np.uint64([2, 0])})  # fmt: skip
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["spikes/b/timestamps"].attrs["units"] = "s"
    neuron, stamps = build(tmp_path, source).populations["S"].parameters["times"]
    assert (neuron.tolist(), stamps.tolist()) == ([0, 2], [2, 10])


def test_weights_of_a_file_that_float32_loses_are_told(tmp_path):
    write(tmp_path / "e.csv", {"pre": [0, 1, 2], "post": [0, 1, 2], "weight_mV": [1e10, 0.0, 1.0]})
    (warning,) = build(tmp_path, projection(FILE.format("e.csv"), weight=None)).warnings
    assert "1 weights of e.csv become 0 in float32" in warning.message and "the first is 1 in line 4" in warning.message
    assert not build(tmp_path, "precision: float64\n" + projection(FILE.format("e.csv"), weight=None)).warnings


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weight", 5e-324, "a weight is too small"),
        ("weight", -1.0, "1 conductances are negative"),
        ("rate", 1e30, "spikes per step"),
    ],
)
def test_a_value_of_an_input_that_it_cannot_have_is_found_in_its_row(tmp_path, column, value, message):
    columns = {"weight": [1.0] * 12, "rate": [1.0] * 12} | {column: [1.0] * 11 + [value]}
    write(tmp_path / "i.csv", {"weight_nS": columns["weight"], "rate_Hz": columns["rate"]})
    text = """inputs:
  i: {model: poisson, to: ['A[20:]', 'B[:2]'], rate: {file: i.csv, column: rate_Hz}, weight: {file: i.csv, column: weight_nS},
      synapse: {model: expon, tau: 5 ms}, output: {model: coba, E: 0 mV}}
"""
    where, found, hint = refused(tmp_path, NEURONS + text)
    assert where == f"inputs.i.{column}" and message in found and "in line 13 of i.csv" in hint


def test_faults_of_several_files_come_at_once(tmp_path):
    write(tmp_path / "v.csv", {"V_th_mV": [-50.0, np.nan, -50.0]})
    write(tmp_path / "t.csv", {"neuron": [7], "time_ms": [1.0]})
    text = with_column("v.csv") + "  S: {size: 3, model: spike_times, times: {file: t.csv}}\n"
    spec = load(tmp_path, HEAD + text).spec
    with pytest.raises(SpecError) as caught:
        network.build(spec, tmp_path)
    assert [fault.path[1] for fault in caught.value.faults] == ["B", "S"]
    assert network.examine(spec, tmp_path).faults == caught.value.faults


def test_files_that_are_too_large_to_be_examined_are_named(tmp_path):
    write(tmp_path / "v.h5", {"V_th_mV": [-50.0, np.nan, -50.0]})
    spec = load(tmp_path, HEAD + with_column("v.h5")).spec
    found = network.examine(spec, tmp_path, most=40)
    assert not found.faults and found.unread == ["v.h5"]


def test_drawn_parameters_are_examined_as_well(tmp_path):
    drawn = LIF.replace("20 ms", "{normal: {mean: 1 ms, std: 1 ms}}")
    spec = load(tmp_path, HEAD + f"populations:\n  A: {{size: 100, {drawn}}}\n").spec
    assert "of 100 neurons" in network.examine(spec, tmp_path).faults[0].message


# ---- what only drawn values can show ---------------------------------------------------------------------------------

ALL = "{rule: all_to_all}"


def test_drawn_delays_are_rounded_half_away_from_zero():
    assert network.round_steps([0.0, 0.24, 0.25, 0.26, 0.5, 1.25], 0.5).tolist() == [0, 0, 1, 1, 1, 3]


def test_a_drawn_negative_delay_asks_for_redraw(tmp_path, kernel):
    text = projection(ALL, delay="{normal: {mean: 1 ms, std: 1 ms}}")
    where, message, hint = refused_for_its_edges(tmp_path, text, kernel)
    assert where == "projections.x.delay"
    assert "negative" in message and "redraw" in hint
    bounded = "{normal: {mean: 1 ms, std: 1 ms, redraw: {min: 0.05 ms}}}"
    assert edges_of(build(tmp_path, projection(ALL, delay=bounded))).delay.min() == 1


def test_a_drawn_negative_conductance_asks_for_redraw(tmp_path, kernel):
    coba = {"synapse": "{model: expon, tau: 5 ms}", "output": "{model: coba, E: 0 mV}"}
    weight = "{normal: {mean: 1 nS, std: 1 nS}}"
    where, message, hint = refused_for_its_edges(tmp_path, projection(ALL, weight=weight, **coba), kernel)
    assert where == "projections.x.weight"
    assert "negative" in message and "redraw" in hint
    noise = f"inputs:\n  n: {{model: poisson, to: A, rate: 1 Hz, weight: {weight}, synapse: {{model: expon, tau: 5 ms}}, "
    where, _, hint = refused(tmp_path, NEURONS + noise + "output: {model: coba, E: 0 mV}}\n")
    assert where == "inputs.n.weight"
    assert "redraw" in hint
    bounded = weight.replace("std: 1 nS", "std: 1 nS, redraw: {min: 0 nS}")
    assert edges_of(build(tmp_path, projection(ALL, weight=bounded, **coba))).weight.min() >= 0


def test_a_drawn_negative_current_is_a_current_like_any_other(tmp_path):
    weight, synapse = "{normal: {mean: 0 pA, std: 1 pA}}", "{model: expon, tau: 5 ms}"
    assert edges_of(build(tmp_path, projection(ALL, weight=weight, synapse=synapse))).weight.min() < 0


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("tau: 20 ms", "tau: {normal: {mean: 1 ms, std: 1 ms}}", "tau"),
        ("R: 100 MOhm", "R: {normal: {mean: 1 MOhm, std: 1 MOhm}}", "R"),
        ("V_reset: -65 mV", "V_reset: {normal: {mean: -51 mV, std: 1 mV}}", "V_reset"),
        ("V_th: -50 mV", "V_th: {normal: {mean: -64 mV, std: 1 mV}}", "V_th"),
    ],
)
def test_drawn_parameters_obey_the_rules_of_the_model(tmp_path, old, new, field):
    where, message, hint = refused(tmp_path, f"populations:\n  A: {{size: 100, {LIF.replace(old, new)}}}\n")
    assert where == f"populations.A.{field}"
    assert "of 100 neurons" in message and "redraw" in hint


def test_a_drawn_time_constant_of_a_synapse_obeys_its_rule(tmp_path):
    synapse = "{model: expon, tau: {normal: {mean: 1 ms, std: 1 ms}}}"
    where, _, _ = refused(tmp_path, projection(ALL, weight="1 pA", synapse=synapse))
    assert where == "projections.x.synapse.tau"


@pytest.mark.parametrize("field", ["weight", "delay"])
def test_bounds_that_are_never_met_are_refused_at_the_distribution(tmp_path, field, kernel):
    unit = {"weight": "mV", "delay": "ms"}[field]
    law = f"{{normal: {{mean: 1 {unit}, std: 1 {unit}, redraw: {{min: 99 {unit}}}}}}}"
    where, _, hint = refused_for_its_edges(tmp_path, projection(ALL, **{field: law}), kernel)
    assert where == f"projections.x.{field}.normal"
    assert "widen" in hint


@pytest.mark.parametrize("field", ["weight", "delay"])
def test_a_column_cannot_stand_for_values_of_edges(tmp_path, field):
    column = {"weight": "w_mV", "delay": "d_ms"}[field]
    write(tmp_path / "c.csv", {column: [1.0] * 30})
    try:
        where, _, hint = refused(tmp_path, projection(ALL, **{field: f"{{file: c.csv, column: {column}}}"}))
    except SpecError as error:  # refused already when the file is checked
        where, hint = ".".join(map(str, error.faults[0].path)), error.faults[0].hint
    assert where.startswith(f"projections.x.{field}")
    assert "rule: file" in hint
