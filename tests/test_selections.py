"""Selections of neurons: slices, steps, lists and draws name the same neurons wherever they stand, however they are written."""

import numpy as np
import pytest
from networks import assert_same_bits, load, plan_of, run, run_plan

from snnrun import check, engine, snapshot, subsets
from snnrun.document import SpecError
from snnrun.results import Results
from snnrun.selections import Part, SelectionError, common, parts

SIZES = {"A": 10, "B": 3}


@pytest.mark.parametrize(
    "text, neurons",
    [
        ("A[::3]", [0, 3, 6, 9]),
        ("A[1::4]", [1, 5, 9]),
        ("A[2:7:2]", [2, 4, 6]),
        ("A[-4::2]", [6, 8]),
        ("A[::99]", [0]),
        ("A[::]", list(range(10))),
        ("A[7, 2,-1]", [7, 2, 9]),
        ("A[4,5,6]", [4, 5, 6]),
    ],
)
def test_a_selection_names_neurons(text, neurons):
    (part,) = parts((text,), SIZES)
    assert list(part.neurons) == part.numbers.tolist() == neurons and part.size == len(neurons)
    assert np.arange(10)[part.index].tolist() == neurons
    assert [n for low, high in part.runs for n in range(low, high)] == neurons
    assert (part.start, part.stop) == (min(neurons), max(neurons) + 1)


@pytest.mark.parametrize(
    "selection, index, message",
    [
        (("A[::0]",), 0, "the step 0"),
        (("A[::-1]",), 0, "the step -1"),
        (("A[3, 10]",), 0, "out of range"),
        (("A[3, -11]",), 0, "out of range"),
        (("A[3, 3]",), 0, "a neuron twice"),
        (("A[9, -1]",), 0, "a neuron twice"),
        (("B", "A[::2]", "A[5, 4]"), 2, "overlaps"),
        (("A[3, ]",), 0, "no slice"),
        (("A[:3, 5]",), 0, "no slice"),
        (("A[random 11]",), 0, "draws more neurons than there are"),
    ],
)
def test_what_is_not_there_is_told(selection, index, message):
    with pytest.raises(SelectionError, match=message) as caught:
        parts(selection, SIZES)
    assert caught.value.index == index


def test_parts_that_lie_between_each_other_do_not_overlap():
    assert [part.size for part in parts(("A[::2]", "A[1::2]", "B[0, 2]", "B[1]"), SIZES)] == [5, 5, 2, 1]


@pytest.mark.parametrize("a", ["A", "A[2:8]", "A[::2]", "A[1::3]", "A[7, 3, 4, 5]"])
@pytest.mark.parametrize("b", ["A", "A[5:]", "A[::2]", "A[9, 5, 4, 7]", "B"])
def test_neurons_in_common_are_found(a, b):
    (one,), (other,) = parts((a,), SIZES), parts((b,), SIZES)
    pairs = [(i + n, j + n) for i, j, length in common(one, other) for n in range(length)]
    expected = [(i, j) for i, x in enumerate(one.neurons) for j, y in enumerate(other.neurons) if x == y and a[0] == b[0]]
    assert sorted(pairs) == expected


# ---- the same network, written otherwise -----------------------------------------------------------------------------

# what stands in the place of SOURCES, TARGETS and SEEN
WAYS = {
    "step": ('"P[1::3]"', '"E[::4]"', '"E[2::6]"'),
    "list": ('"P[%s]"', '"E[%s]"', '"E[%s]"'),
    "apart": ("[%s]", "[%s]", "[%s]"),
}
NUMBERS = (range(1, 16, 3), range(0, 16, 4), range(2, 16, 6))
NET = """
seed: 5
duration: 60 ms
precision: PRECISION
populations:
  P: {size: 16, model: poisson, rate: 100 Hz}
  E: {size: 16, model: lif, tau: 20 ms, tau_ref: 1 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: -50 mV, C: 200 pF, I_e: 100 pA}
inputs:
  a: {model: constant, to: TARGETS, current: {uniform: {low: 10 pA, high: 90 pA}}}
  b: {model: ou_noise, to: TARGETS, std: {uniform: {low: 10 pA, high: 90 pA}}, tau: 5 ms, correlation: 0.3}
  c: {model: poisson, to: TARGETS, rate: {uniform: {low: 1 kHz, high: 2 kHz}}, weight: {normal: {mean: 20 pA, std: 5 pA}},
      synapse: {model: expon, tau: 5 ms}}
  d: {model: poisson, to: TARGETS, rate: 1 kHz, weight: 0.1 mV, correlation: 0.2, synapse: {model: delta}}
projections:
  plain: {pre: SOURCES, post: TARGETS, connect: {rule: fixed_indegree, n: 5}, weight: {normal: {mean: 50 pA, std: 5 pA}},
          delay: 1 ms, synapse: {model: expon, tau: 3 ms}}
  back: {pre: TARGETS, post: TARGETS, connect: {rule: fixed_prob, p: 0.4, autapses: false}, weight: 0.5 mV, delay: 0.5 ms,
         synapse: {model: delta}}
  facil: {pre: SOURCES, post: E, connect: {rule: fixed_prob, p: 0.2}, weight: 30 pA, delay: 0.3 ms,
          synapse: {model: alpha, tau: 2 ms},
          stp: {U: {uniform: {low: 0.1, high: 0.9}}, tau_d: 100 ms, tau_f: 50 ms}}
  learnt: {pre: SOURCES, post: TARGETS, connect: {rule: fixed_prob, p: 0.5}, weight: 20 pA, delay: 1 ms,
           synapse: {model: expon, tau: 4 ms}, stdp: {model: pair, A_plus: 2 pA, A_minus: 2 pA, tau_plus: 20 ms, tau_minus: 20 ms,
           w_max: 40 pA}}
  slow: {pre: TARGETS, post: SEEN, connect: {rule: fixed_prob, p: 0.5}, weight: 1 nS, delay: 0.5 ms, synapse: {model: nmda},
         output: {model: mg_block}}
monitors:
  s: {model: spikes, of: [P, E]}
  V: {model: state, of: E, variables: [V, plain.x]}
  stp: {model: state, of: SEEN_SOURCES, variables: [facil.stp.u, facil.stp.x]}
"""


def written(way, precision="float32"):
    texts = []
    for text, numbers, name in zip(WAYS[way], NUMBERS, "PEE", strict=True):
        inside = ", ".join(map(str, numbers)) if way == "list" else ", ".join(f'"{name}[{i}]"' for i in numbers)
        texts.append(text % inside if "%" in text else text)
    found = NET.replace("SEEN_SOURCES", '"P[4]"').replace("SOURCES", texts[0]).replace("TARGETS", texts[1])
    return found.replace("SEEN", texts[2]).replace("PRECISION", precision)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """The network whose selections are lists of single neurons: what was possible before any others."""
    return run(tmp_path_factory.mktemp("apart"), written("apart"))


@pytest.mark.parametrize("way", ["step", "list"])
def test_a_network_does_not_depend_on_how_its_selections_are_written(tmp_path, apart, way, kernel):
    found = run_plan(plan_of(tmp_path, written(way), kernel=kernel, threads=2))
    assert len(found.spikes["E"]) > 20
    assert found.spikes == apart.spikes and len({n for _, n in found.spikes["E"] if n % 4}) > 0
    for key, values in apart.samples.items():
        np.testing.assert_array_equal(found.samples[key], values)


def test_it_goes_on_from_a_snapshot_to_the_same_bits(tmp_path, kernel):
    plan = plan_of(tmp_path, written("step"), kernel=kernel)
    whole = run_plan(plan)
    state = engine.simulate(plan, engine.init(plan), 233, type("Sink", (), {"write": staticmethod(lambda frame: None)})())
    again = snapshot.restore(plan, snapshot.take(plan, state))
    rest = engine.simulate(
        plan, again, plan.structure.steps - 233, type("Sink", (), {"write": staticmethod(lambda frame: None)})()
    )
    assert_same_bits(whole, whole._replace(state=rest), watched=False)


def test_what_is_recorded_is_what_all_neurons_show(tmp_path, native):
    native_run = lambda *net: run_plan(plan_of(*net, kernel="native"))  # noqa: E731
    net = written("step").split("monitors:")[0]
    every = native_run(tmp_path, net + "monitors: {s: {model: spikes, of: E}, V: {model: state, of: E, variables: [V]}, "
                "I: {model: input, of: E, receptors: [plain, a]}, "
                'u: {model: state, of: "P[1::3]", variables: [facil.stp.u]}}')  # fmt: skip
    some = native_run(tmp_path, net + 'monitors: {s: {model: spikes, of: "E[3, 15, 2]"}, '
               'V: {model: state, of: ["E[8::3]", "E[5, 1]"], variables: [V]}, '
               'I: {model: input, of: "E[random 7]", receptors: [plain, a]}, '
               'u: {model: state, of: "P[10, 4, 13]", variables: [facil.stp.u]}}')  # fmt: skip
    assert sorted(some.spikes["E"]) == sorted((t, n) for t, n in every.spikes["E"] if n in (2, 3, 15))
    V = every.samples["V", "E", "V"]
    samples = [one for one in some.plan.structure.samples if one.monitor == "V"]
    taken = {n: V[:, n] for n in range(16)}
    assert [list(one.neurons) for one in samples] == [[8, 11, 14], [5, 1]]
    np.testing.assert_array_equal(some.samples["V", "E", "V"], np.stack([taken[n] for n in samples[-1].neurons], axis=1))
    (of_input, _) = (one for one in some.plan.structure.samples if one.monitor == "I")
    for label in ("plain", "a"):
        np.testing.assert_array_equal(some.samples["I", "E", label], every.samples["I", "E", label][:, of_input.neurons])
    sources = list(range(1, 16, 3))
    u = every.samples["u", "P", "facil.stp.u"]
    np.testing.assert_array_equal(some.samples["u", "P", "facil.stp.u"], u[:, [sources.index(n) for n in (10, 4, 13)]])


def test_results_know_the_numbers_of_the_neurons(tmp_path):
    from typer.testing import CliRunner

    from snnrun.cli import app

    net = written("step").split("monitors:")[0]
    (tmp_path / "net.yaml").write_text(net + """
monitors:
  all: {model: spikes, of: [E, P]}
  s: {model: spikes, of: ["E[::4]", {random: 5, of: P, name: some}]}
  V: {model: state, of: "E[7, 13, 2]", variables: [V]}
  r: {model: rate, of: "E[::4]", bin: 60 ms}
""")  # fmt: skip
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "net.yaml"), "-o", str(tmp_path / "r.h5"), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    with Results(tmp_path / "r.h5") as results:
        all_, some = results.spikes("all"), results.spikes("s")
        assert results.recorded("E", "s").tolist() == list(range(0, 16, 4))
        assert results.recorded("P", "s").tolist() == subsets.chosen(16, 5, 5, "some")
        for name in "EP":
            kept = np.isin(all_[name].neurons, results.recorded(name, "s"))
            np.testing.assert_array_equal(some[name].neurons, all_[name].neurons[kept])
            np.testing.assert_array_equal(some[name].times, all_[name].times[kept])
            assert some[name].size == len(results.recorded(name, "s"))
        assert results.series("V")["E", "V"].neurons.tolist() == [7, 13, 2]
        assert results.rates("r")["E"].values[0] == pytest.approx(1000 * len(some["E"].times) / 60 / 4)


def test_edges_between_lists_are_those_between_the_neurons(tmp_path):
    text = 'projections: {x: {pre: "P[5, 1, 3]", post: "E[9, 2]", connect: {rule: all_to_all}, weight: 1 pA, synapse: %s}}'
    net = NET.split("inputs:")[0].replace("PRECISION", "float32") + text % "{model: expon, tau: 1 ms}"
    (tmp_path / "net.yaml").write_text(net)
    from typer.testing import CliRunner

    from snnrun.cli import app

    done = CliRunner().invoke(app, ["export", "edges", str(tmp_path / "net.yaml"), "-o", str(tmp_path / "e.h5")])
    assert done.exit_code == 0, done.output
    import h5py

    with h5py.File(tmp_path / "e.h5") as file:
        (edges,) = file["edges"].values()
        pairs = sorted(zip(edges["source_node_id"][()].tolist(), edges["target_node_id"][()].tolist(), strict=True))
    assert pairs == [(1, 2), (1, 9), (3, 2), (3, 9), (5, 2), (5, 9)]


# ---- at random -------------------------------------------------------------------------------------------------------

HEAD = """
seed: {seed}
duration: 1 ms
constants: {{n: 3}}
populations:
  E: {{size: 50, model: poisson, rate: 1 Hz}}
  F: {{size: 50, model: poisson, rate: 1 Hz}}
monitors:
"""


def drawn(tmp_path, monitors, seed=1):
    spec = load(tmp_path, HEAD.format(seed=seed) + monitors).spec
    return {name: [list(p.neurons) for p in parts(one.of, check.selection_sizes(spec))] for name, one in spec.monitors.items()}


def test_a_draw_is_named_by_its_place_and_by_nothing_else_in_the_file(tmp_path):
    alone = drawn(tmp_path, '  a: {model: spikes, of: "E[random 10]"}\n')["a"]
    (first,) = alone
    assert first == sorted(set(first)) and len(first) == 10 and first[-1] < 50
    more = drawn(tmp_path, """
  z: {model: spikes, of: F}
  a: {model: spikes, of: "E[random 10]"}
  b: {model: spikes, of: "E[random 10]"}
""")  # fmt: skip
    assert more["a"] == alone and more["b"] != alone
    assert drawn(tmp_path, '  a: {model: spikes, of: "E[random 10]"}\n', seed=2)["a"] != alone
    assert drawn(tmp_path, "  a: {model: spikes, of: {random: 10, of: E}}\n")["a"] == alone


def test_draws_of_one_name_are_the_same_or_a_part_of_each_other(tmp_path):
    found = drawn(tmp_path, """
  a: {model: spikes, of: {random: 10, of: E, name: x}}
  b: {model: spikes, of: [F, {random: 10, of: E, name: x}]}
  c: {model: spikes, of: {random: 3 * n, of: E, name: x}}
  d: {model: spikes, of: {random: 10, of: E, name: y}}
""")  # fmt: skip
    assert found["a"][0] == found["b"][1] != found["d"][0]
    assert len(found["c"][0]) == 9 and set(found["c"][0]) < set(found["a"][0])


def test_every_neuron_is_drawn_as_often_as_any_other():
    counts = np.bincount(np.concatenate([subsets.chosen(20, 5, seed, "x") for seed in range(2000)]), minlength=20)
    expected = 500
    assert ((counts - expected) ** 2 / (expected * 0.75)).sum() < 43.8  # 99.9 % of chi-square with 19 degrees of freedom
    assert subsets.chosen(7, 7, 1, "x") == list(range(7))


@pytest.mark.parametrize(
    "of, where, message",
    [
        ('"E[random 51]"', "", "draws more neurons than there are"),
        ('"E[random 0]"', "", "is empty"),
        ('"G[random 3]"', "", "there is no population 'G'"),
        ('[F, "E[random 51]"]', ".1", "draws more neurons than there are"),
        ("{random: 51, of: E}", "", "draws more neurons than there are"),
        ("{random: 3}", "", "of is the population to draw from"),
        ("{of: E}", "", "random is the number of neurons to draw"),
        ("{random: -3, of: E}", ".random", "random is the number of neurons to draw"),
        ('{random: 3, of: "E[:5]"}', ".of", "of is the population to draw from"),
        ("{random: 3, of: E, nam: x}", ".nam", "unknown key"),
        ('["E[:40]", "E[random 40]"]', ".1", "overlaps another part"),
        ('"E[random x]"', "", "no slice"),
    ],
)
def test_a_draw_that_cannot_be_is_shown_where_it_is(tmp_path, of, where, message):
    with pytest.raises(SpecError) as caught:
        drawn(tmp_path, f"  a: {{model: spikes, of: {of}}}\n")
    (fault,) = caught.value.faults
    assert ".".join(map(str, fault.path)) == f"monitors.a.of{where}" and message in fault.message


def test_a_list_of_many_neurons_is_shown_in_short(tmp_path):
    with pytest.raises(SpecError, match=r"\d+, \.\.\. 40 neurons\] overlaps"):
        drawn(tmp_path, '  a: {model: spikes, of: ["E[:40]", "E[random 40]"]}\n')


def test_a_part_can_be_compared():
    assert Part("A", range(0, 3)) == Part("A", range(3)) != Part("A", (0, 1, 2))
