"""Membranes and synapses against closed forms, in float64."""

from decimal import Decimal, localcontext
from typing import NamedTuple

import numpy as np
import pytest
from networks import load, plan_of, run_plan

from snnrun import network
from snnrun.models.neurons import lif

DT = 0.1  # ms
LIF = "model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1000 mV, C: 250 pF"
TAU, C = 10.0, 250.0
KICK = 1.0  # ms, when the source K spikes; all delays are 0.5 ms
ARRIVAL = 15  # steps

# Three neurons, each with values of its own.
ROWS = {
    "tau_ms": [5.0, 10.0, 20.0],
    "C_pF": [100.0, 250.0, 200.0],
    "V_rest_mV": [-70.0, -65.0, 0.0],
    "V_reset_mV": [-75.0, -65.0, -5.0],
    "V_th_mV": [-55.0, -50.0, 20.0],
    "tau_ref_ms": [0.0, 2.0, 0.5],
    "I_e_pA": [400.0, 500.0, 250.0],
    "tau_syn_ms": [0.5, 10.0, 2.0],
    "E_mV": [0.0, -80.0, 10.0],
}
FIELDS = {"tau": "ms", "C": "pF", "V_rest": "mV", "V_reset": "mV", "V_th": "mV", "tau_ref": "ms", "I_e": "pA"}
# time constants of synapses in units of the membrane's, with equal and nearly equal ones
RATIOS = [0.005, 0.05, 0.2, 0.9, 1 - 1e-6, 1 - 1e-12, 1.0, 1 + 1e-9, 1 + 1e-4, 1.02, 3.0, 100.0]

EXPON = "synapse: {model: expon, tau: 2 ms}"
ALPHA = "synapse: {model: alpha, tau: 3 ms}"
COBA = "output: {model: coba, E: {file: rows.csv, column: E_mV}}"


def _membranes():
    """One network for all closed forms of `lif` without conductances, and for rows of per-neuron parameters."""
    column = ", ".join(f"{name}: {{file: rows.csv, column: {name}_{unit}}}" for name, unit in FIELDS.items())
    literal = [", ".join(f"{name}: {ROWS[f'{name}_{unit}'][i]} {unit}" for name, unit in FIELDS.items()) for i in range(3)]
    populations = [
        "K: {model: spike_times, size: 1, times: [1 ms]}",
        f"dc: {{size: 1, {LIF}, I_e: 100 pA}}",
        "dc_R: {size: 1, model: lif, tau: 10 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 1000 mV, R: 40 MOhm, I_e: 100 pA}",
        f"decay: {{size: 1, {LIF}, init: {{V: -30 mV}}}}",
        f"expon: {{size: {len(RATIOS)}, {LIF}}}",
        f"alpha: {{size: {len(RATIOS)}, {LIF}}}",
        f"norm: {{size: 1, {LIF}}}",
        f"jump: {{size: 1, {LIF}}}",
        f"euler: {{size: 1, {LIF}, solver: exp_euler}}",
        *(f"{name}: {{size: 1, {LIF}, init: {{V: {V} mV}}}}" for name, V in (("one", 3), ("two", -5), ("both", -2))),
        f"rows: {{size: 3, model: lif, {column}}}",
        f"rows_g: {{size: 3, model: lif, {column}}}",
        *(f"row{i}: {{size: 1, model: lif, {literal[i]}}}" for i in range(3)),
        *(f"row_g{i}: {{size: 1, model: lif, {literal[i]}}}" for i in range(3)),
        """drawn: {size: 40, model: lif, tau: {uniform: {low: 5 ms, high: 20 ms}}, C: {uniform: {low: 100 pF, high: 300 pF}},
                   V_rest: -65 mV, V_reset: {uniform: {low: -75 mV, high: -60 mV}}, V_th: {uniform: {low: -55 mV, high: -50 mV}},
                   tau_ref: {uniform: {low: 0 ms, high: 3 ms}}, I_e: {uniform: {low: 900 pA, high: 1 nA}}}""",
    ]
    ratio = "{file: ratios.csv, column: tau_ms}"
    own = "{file: rows.csv, column: tau_syn_ms}"
    projections = {
        "e": f"post: expon, weight: 100 pA, synapse: {{model: expon, tau: {ratio}}}",
        "a": f"post: alpha, weight: 100 pA, synapse: {{model: alpha, tau: {ratio}}}",
        "peak": "post: norm, weight: 7 pA, synapse: {model: alpha, tau: 2 ms}",
        "area": "post: norm, weight: 7 pA, synapse: {model: alpha, tau: 3 ms, normalize: area}",
        "none": "post: norm, weight: 7 pA, synapse: {model: alpha, tau: 3 ms, normalize: none}",
        "d": "post: jump, weight: 3 mV, synapse: {model: delta}",
        "u": f"post: euler, weight: 100 pA, {EXPON}",
        "p1": f"post: [one, both], weight: 100 pA, {EXPON}",
        "p2": f"post: [two, both], weight: -50 pA, {ALPHA}",
        "p3": "post: [two, both], weight: 2 mV, synapse: {model: delta}",
        "r": f"post: rows, weight: 100 pA, synapse: {{model: expon, tau: {own}}}",
        "rg": f"post: rows_g, weight: 5 nS, synapse: {{model: alpha, tau: {own}}}, {COBA}",
    }
    for i in range(3):
        tau, E = ROWS["tau_syn_ms"][i], ROWS["E_mV"][i]
        projections[f"r{i}"] = f"post: row{i}, weight: 100 pA, synapse: {{model: expon, tau: {tau} ms}}"
        output = f"output: {{model: coba, E: {E} mV}}"
        projections[f"rg{i}"] = f"post: row_g{i}, weight: 5 nS, synapse: {{model: alpha, tau: {tau} ms}}, {output}"
    state = [p.partition(":")[0] for p in populations[1:]]
    return "\n".join(
        [
            "precision: float64\nduration: 100 ms\npopulations:",
            *(f"  {p}" for p in populations),
            "inputs:\n  push: {model: constant, to: [one, both], current: 60 pA, start: 2 ms, stop: 9 ms}",
            "projections:",
            *(f"  {n}: {{pre: K, connect: {{rule: all_to_all}}, delay: 0.5 ms, {p}}}" for n, p in projections.items()),
            "monitors:",
            f"  V: {{model: state, of: [{', '.join(state)}], variables: [V]}}",
            "  x: {model: state, of: norm, variables: [peak.x, area.x, none.x]}",
            "  spikes: {model: spikes, of: [rows, drawn, rows_g, " + ", ".join(f"row{i}, row_g{i}" for i in range(3)) + "]}",
            "",
        ]
    )


class Membranes(NamedTuple):
    V: dict  # population -> [frames, neurons]
    x: dict  # receptor -> [frames]
    spikes: dict
    drawn: dict  # parameters of the population of that name


@pytest.fixture(scope="module")
def membranes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("membranes")
    rows = [",".join(ROWS), *(",".join(map(repr, values)) for values in zip(*ROWS.values(), strict=True))]
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    (folder / "ratios.csv").write_text("tau_ms\n" + "\n".join(repr(TAU * ratio) for ratio in RATIOS) + "\n")
    recorded = run_plan(plan_of(folder, _membranes()))
    V = {population: values for (monitor, population, _), values in recorded.samples.items() if monitor == "V"}
    x = {label.partition(".")[0]: values[:, 0] for (monitor, _, label), values in recorded.samples.items() if monitor == "x"}
    built = network.build(load(folder, _membranes()).spec, folder)
    return Membranes(V, x, recorded.spikes, built.populations["drawn"].parameters)


def test_a_constant_current_charges_the_membrane(membranes):
    t = np.arange(1000) * DT
    np.testing.assert_allclose(membranes.V["dc"][:, 0], -100.0 * TAU / C * np.expm1(-t / TAU), rtol=1e-12)


def test_resistance_and_capacitance_are_two_ways_to_say_one_thing(membranes):
    np.testing.assert_allclose(membranes.V["dc_R"], membranes.V["dc"], rtol=1e-13)


def test_without_input_the_potential_decays_to_rest(membranes):
    t = np.arange(1000) * DT
    np.testing.assert_allclose(membranes.V["decay"][:, 0], -30.0 * np.exp(-t / TAU), rtol=1e-12)


def intervals(stamps, neuron):
    return set(np.diff([stamp for stamp, index in stamps if index == neuron]).tolist())


def test_the_interspike_interval_is_the_refractory_time_and_the_way_to_threshold(membranes):
    p = membranes.drawn
    V_inf = p["V_rest"] + p["tau"] / p["C"] * p["I_e"]
    ref = p["tau_ref"]  # whole steps
    expected = ref + np.ceil(p["tau"] / DT * np.log((V_inf - p["V_reset"]) / (V_inf - p["V_th"])))
    assert len(set(expected)) > 10
    assert [intervals(membranes.spikes["drawn"], i) for i in range(40)] == [{int(steps)} for steps in expected]


def psp(t, tau, tau_s, weight, alpha):
    """V after one spike at t = 0 through a current synapse, in 50 digits and as the textbook writes it."""
    with localcontext(prec=50):
        t, tau, tau_s = Decimal(t) * Decimal(DT), Decimal(tau), Decimal(tau_s)
        rate = 1 / tau_s - 1 / tau
        membrane, synapse = (-t / tau).exp(), (-t / tau_s).exp()
        if alpha:
            peak = Decimal(1).exp() / tau_s * Decimal(weight) / Decimal(C)
            shape = t * t / 2 * membrane if rate == 0 else (membrane - synapse) / rate**2 - t * synapse / rate
            return float(peak * shape)
        shape = t * membrane if rate == 0 else (membrane - synapse) / rate
        return float(Decimal(weight) / Decimal(C) * shape)


@pytest.mark.parametrize("synapse", ["expon", "alpha"])
@pytest.mark.parametrize("i", range(len(RATIOS)), ids=lambda i: f"tau_syn={RATIOS[i]!r}tau")
def test_a_postsynaptic_potential_is_the_closed_form(membranes, synapse, i):
    V = membranes.V[synapse][:, i]
    assert not V[: ARRIVAL + 1].any()
    after = np.concatenate([np.arange(1, 20), np.arange(20, len(V) - ARRIVAL, 37)])
    expected = [psp(int(t), TAU, TAU * RATIOS[i], 100.0, synapse == "alpha") for t in after]
    np.testing.assert_allclose(V[ARRIVAL + after], expected, rtol=1e-12)


def test_propagators_equal_the_closed_form_where_time_constants_are_short_against_the_step():
    """One step of psp from each of the two variables, also for tau_syn and tau far below dt."""
    for tau in (0.01, 1.0, 10.0):
        for tau_s in (0.001, 0.01, 0.011, 0.09, 0.1, 1.0, 10.0, 1000.0):
            first, second = lif.gains(C, tau, tau_s, DT)
            np.testing.assert_allclose(first, psp(1, tau, tau_s, 1.0, alpha=False), rtol=1e-12)
            np.testing.assert_allclose(second * np.e / tau_s, psp(1, tau, tau_s, 1.0, alpha=True), rtol=1e-12)


def test_the_weight_of_an_alpha_synapse_is_its_peak(membranes):
    """Reached at t = tau, which is 20 steps after the arrival."""
    assert membranes.x["peak"].argmax() == ARRIVAL + 20
    np.testing.assert_allclose(membranes.x["peak"].max(), 7.0, rtol=1e-13)


@pytest.mark.parametrize("normalize", ["area", "none"])
def test_the_weight_of_an_alpha_synapse_is_its_area(membranes, normalize):
    """The charge w tau of an exponential of the same weight."""
    x = membranes.x[normalize]
    t = np.arange(len(x) - ARRIVAL) * DT
    np.testing.assert_allclose(x[ARRIVAL:], 7.0 * t / 3.0 * np.exp(-t / 3.0), rtol=1e-12)
    np.testing.assert_allclose(x.sum() * DT, 7.0 * 3.0, rtol=1e-3)


def test_a_delta_synapse_lifts_the_potential_by_its_weight(membranes):
    V = membranes.V["jump"][:, 0]
    assert not V[:ARRIVAL].any()
    np.testing.assert_allclose(V[ARRIVAL:], 3.0 * np.exp(-np.arange(1000 - ARRIVAL) * DT / TAU), rtol=1e-12)


def test_exponential_euler_takes_the_synaptic_current_at_the_beginning_of_the_step(membranes):
    V, x = [0.0], 0.0
    for k in range(999):
        V_inf = TAU / C * x
        V.append(V_inf + (V[-1] - V_inf) * np.exp(-DT / TAU))
        x = x * np.exp(-DT / 2.0) + 100.0 * (k + 1 == ARRIVAL)
    np.testing.assert_allclose(membranes.V["euler"][:, 0], V, rtol=1e-12)


def test_responses_below_threshold_add_up(membranes):
    """Initial potentials, a window of current, and three kinds of synapse."""
    V = membranes.V
    assert np.ptp(V["both"]) > 1
    np.testing.assert_allclose(V["both"], V["one"] + V["two"], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["row", "row_g"])
def test_parameters_per_neuron_are_those_of_populations_of_one(membranes, kind):
    """tau, C, V_rest, V_reset, V_th, tau_ref, I_e and the synapse's tau from a file; with conductances E as well."""
    whole = membranes.V["rows" + kind[3:]]
    for i in range(3):
        np.testing.assert_allclose(membranes.V[f"{kind}{i}"][:, 0], whole[:, i], rtol=1e-14)
        own = [stamp for stamp, _ in membranes.spikes[f"{kind}{i}"]]
        assert own == [stamp for stamp, neuron in membranes.spikes["rows" + kind[3:]] if neuron == i]
        assert own


# ---- conductances ----------------------------------------------------------------------------------------------------

SPIKES = {"exc": [1.0, 3.0, 3.2, 8.0], "inh": [2.0, 6.0]}  # ms
G_TAU = {"exc": 5.0, "inh": 10.0}
G_E = {"exc": 0.0, "inh": -80.0}
G_WEIGHT = {"exc": 6.0, "inh": 20.0}
CUBA_WEIGHT, CUBA_TAU, DRIVE = 40.0, 3.0, 50.0
REST, G_C, G_LEAK = -60.0, 200.0, 10.0
END = 16.0


def _conductances():
    membrane = "model: lif, tau: 20 ms, V_rest: -60 mV, V_reset: -60 mV, V_th: 1000 mV, C: 200 pF"
    common, cuba = "delay: 0.4 ms, connect: {rule: all_to_all}", f"synapse: {{model: expon, tau: {CUBA_TAU} ms}}"
    kinds = ["linear", "frozen", "linear_strong", "frozen_strong"]
    lines = [f"precision: float64\nduration: {END} ms\ndt: {DT} ms\npopulations:"]
    for name, times in SPIKES.items():
        lines.append(f"  {name}_source: {{model: spike_times, size: 1, times: [{', '.join(f'{t} ms' for t in times)}]}}")
    lines += [f"  {kind}: {{size: 1, {membrane}, conductance: {kind.partition('_')[0]}}}" for kind in kinds]
    lines += [f"inputs:\n  drive: {{model: constant, to: [linear, frozen], current: {DRIVE} pA}}", "projections:"]
    for name in SPIKES:
        synapse = f"synapse: {{model: expon, tau: {G_TAU[name]} ms}}, output: {{model: coba, E: {G_E[name]} mV}}"
        ends = f"pre: {name}_source, post: [linear, frozen]"
        lines.append(f"  {name}: {{{ends}, {common}, weight: {G_WEIGHT[name]} nS, {synapse}}}")
        ends = f"pre: {name}_source, post: [linear_strong, frozen_strong]"
        lines.append(f"  {name}_strong: {{{ends}, {common}, weight: 9 uS, {synapse}}}")
    lines.append(f"  cuba: {{pre: inh_source, post: [linear, frozen], {common}, weight: {CUBA_WEIGHT} pA, {cuba}}}")
    lines.append(f"monitors:\n  V: {{model: state, of: [{', '.join(kinds)}], variables: [V]}}")
    lines.append("  I: {model: input, of: [linear, frozen], receptors: [exc]}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def conductances(tmp_path_factory):
    """Samples of all monitors."""
    return run_plan(plan_of(tmp_path_factory.mktemp("conductances"), _conductances())).samples


def arrivals():
    """Conductance and current steps: {step: (exc, inh, cuba)}."""
    found = {}
    for name, place in (("exc", 0), ("inh", 1)):
        for time in SPIKES[name]:
            jump = found.setdefault(round((time + 0.4) / DT), np.zeros(3))
            jump[place] += G_WEIGHT[name]
            jump[2] += CUBA_WEIGHT if name == "inh" else 0.0
    return found


TAUS = np.array([G_TAU["exc"], G_TAU["inh"], CUBA_TAU])


def loop(kind):
    """The rule of the model, by hand: (V, input through exc) at each step."""
    V, x, due, found = REST, np.zeros(3), arrivals(), []
    for k in range(round(END / DT)):
        found.append((V, x[0] * (G_E["exc"] - V)))
        if kind == "linear":
            G = G_LEAK + x[0] + x[1]
            V_inf = (G_LEAK * REST + x[0] * G_E["exc"] + x[1] * G_E["inh"] + DRIVE + x[2]) / G
            V = V_inf + (V - V_inf) * np.exp(-DT * G / G_C)
        else:
            current = DRIVE + x[2] + x[0] * (G_E["exc"] - V) + x[1] * (G_E["inh"] - V)
            V = REST + (V - REST) * np.exp(-DT * G_LEAK / G_C) - current / G_LEAK * np.expm1(-DT * G_LEAK / G_C)
        x = x * np.exp(-DT / TAUS) + due.get(k + 1, 0.0)
    return np.array(found).T


@pytest.mark.parametrize("kind", ["linear", "frozen"])
def test_a_step_with_conductances_is_the_one_written_down(conductances, kind):
    V, current = loop(kind)
    np.testing.assert_allclose(conductances["V", kind, "V"][:, 0], V, rtol=1e-13)
    np.testing.assert_allclose(conductances["I", kind, "exc"][:, 0], current, rtol=1e-12)


def test_a_linear_conductance_never_overshoots_its_reversal_potentials(conductances):
    """A frozen one does, once it empties the membrane within a step."""
    low, high = G_E["inh"], G_E["exc"]
    linear, frozen = (conductances["V", f"{kind}_strong", "V"] for kind in ("linear", "frozen"))
    assert low <= linear.min() and linear.max() <= high
    assert frozen.min() < low and frozen.max() > high


# ---- float32 ---------------------------------------------------------------------------------------------------------

FINE = 0.01  # ms
MARGINS = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 5.0, 100.0])  # mV driven above the threshold
SLOW = {"fast": 1.0, "usual": 20.0, "border": 40.0, "slow": 100.0, "slowest": 1000.0}  # ms


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """Membranes and synapses of several time constants in steps of 10 us, in float32."""
    folder = tmp_path_factory.mktemp("slow")
    (folder / "p.csv").write_text("\n".join(["I_pA", *map(repr, (15.0 + MARGINS).tolist())]) + "\n")
    V = "V_rest: -65 mV, V_reset: -65 mV, V_th: -50 mV, R: 1 GOhm"
    lines = [f"duration: 200 ms\ndt: {FINE} ms\npopulations:\n  K: {{model: spike_times, size: 1, times: [0.01 ms]}}"]
    for name, tau in SLOW.items():
        drive = "tau_ref: 2 ms, I_e: {file: p.csv, column: I_pA}"
        lines.append(f"  {name}: {{size: {len(MARGINS)}, model: lif, tau: {tau} ms, {V}, {drive}}}")
        lines.append(f"  {name}_rest: {{size: 1, model: lif, tau: {tau} ms, {V}, init: {{V: -51 mV}}}}")
    lines += [f"  x: {{size: 1, model: lif, tau: 20 ms, {V}}}", "projections:"]
    for name, tau in SLOW.items():
        for kind in ("expon", "alpha"):
            synapse = f"weight: 1 pA, synapse: {{model: {kind}, tau: {tau} ms}}"
            lines.append(f"  {name}_{kind}: {{pre: K, post: x, connect: {{rule: all_to_all}}, delay: 0.01 ms, {synapse}}}")
    x = ", ".join(f"{name}_{kind}.x" for name in SLOW for kind in ("expon", "alpha"))
    lines += [
        f"monitors:\n  spikes: {{model: spikes, of: [{', '.join(SLOW)}]}}",
        f"  x: {{model: state, of: x, variables: [{x}], every: 0.1 ms}}",
        f"  V: {{model: state, of: [{', '.join(f'{name}_rest' for name in SLOW)}], variables: [V], every: 0.1 ms}}",
    ]
    return run_plan(plan_of(folder, "\n".join(lines) + "\n"))


@pytest.mark.parametrize("name", SLOW)
def test_a_neuron_just_above_threshold_fires_in_float32_when_it_should(slow, name):
    """In its very step, however slowly V crosses; nothing is driven so little that V would stand still."""
    first = np.ceil(SLOW[name] / FINE * np.log1p(15.0 / MARGINS)).astype(int)
    expected = []
    for neuron, begin in enumerate(first):
        expected += [(stamp, neuron) for stamp in range(begin, 20_001, begin + round(2.0 / FINE))]
    assert slow.spikes[name] == sorted(expected)
    assert len(expected) >= 1


@pytest.mark.parametrize("name", SLOW)
def test_a_membrane_decays_in_float32_as_it_should(slow, name):
    """And stands still at no more than 2**-24 tau / dt of the 15 mV from the threshold before rest."""
    V, t = slow.samples["V", f"{name}_rest", "V"][:, 0], np.arange(2000) * 0.1
    most = 15.0 * 2**-24 * min(SLOW[name] / FINE, 4096.0) + 8e-6  # and the rounding of what is recorded
    np.testing.assert_allclose(V, -65.0 + 14.0 * np.exp(-t / SLOW[name]), rtol=0, atol=most)
    kept = {p.name: p.precision for p in slow.plan.structure.populations}[f"{name}_rest"]
    assert kept == ("float64" if SLOW[name] > 4096 * FINE else "float32")


@pytest.mark.parametrize("kind", ["expon", "alpha"])
@pytest.mark.parametrize("name", SLOW)
def test_a_synapse_decays_in_float32_as_it_should(slow, name, kind):
    """To less than 1e-4 of its peak, and to the rounding of what is recorded where it is so slow that it is kept in float64."""
    t = (np.arange(2000) * 0.1 - 2 * FINE) / SLOW[name]
    expected = np.where(t >= 0, np.exp(-t) if kind == "expon" else np.e * t * np.exp(-t), 0.0)
    values, receptor = slow.samples["x", "x", f"{name}_{kind}.x"], f"{name}_{kind}"
    assert values.dtype == np.float32
    kept = {r.name: r.precision for r in slow.plan.structure.receptors}[receptor]
    assert kept == ("float64" if SLOW[name] > 4096 * FINE else "float32")
    np.testing.assert_allclose(values[:, 0], expected, rtol=0, atol=1e-4 if kept == "float32" else 1e-7)
