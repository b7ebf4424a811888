"""What synapses hold at t = 0."""

import math

import numpy as np
import pytest
from networks import Frames, assert_same_bits, load, plan_of, run_plan, states

from snnrun import engine, snapshot
from snnrun.document import SpecError
from snnrun.models import synapses
from snnrun.quantities import fields

TAU_S, TAU, C, DT, STEPS = 5.0, 12.0, 200.0, 0.1, 400
KINETICS = {
    "expon": f"{{model: expon, tau: {TAU_S} ms}}",
    "alpha": f"{{model: alpha, tau: {TAU_S} ms}}",
    "dual_expon": f"{{model: dual_expon, tau_decay: {TAU_S} ms, tau_rise: 1 ms}}",
}
GATED = ("ampa", "gabaa", "nmda")
NET = """
duration: 40 ms
precision: PRECISION
populations:
  S: {size: 3, model: poisson, rate: 20 Hz}
  N: {size: 4, model: lif, tau: 12 ms, V_rest: -60 mV, V_reset: -65 mV, V_th: 0 mV, C: 200 pF}
  M: {size: 6, model: lif, tau: 12 ms, V_rest: -60 mV, V_reset: -65 mV, V_th: 0 mV, C: 200 pF}
projections:
  p: {pre: S, post: "N[:3]", connect: {rule: all_to_all}, weight: 0 pA, synapse: SYNAPSE, init: FIRST}
  q: {pre: S, post: [N, M], connect: {rule: all_to_all}, weight: 0 pA, synapse: SYNAPSE, init: SECOND}
monitors:
  m: {model: state, of: [N, M], variables: [V, VARIABLES]}
"""


def run(tmp_path, text, **options):
    return run_plan(plan_of(tmp_path, text, **options))


def written(synapse="alpha", first="{x: 60 pA}", second="{}", precision="float64", variables="q.x"):
    found = NET.replace("SYNAPSE", KINETICS.get(synapse, synapse)).replace("PRECISION", precision)
    return found.replace("FIRST", first).replace("SECOND", second).replace("VARIABLES", variables)


def voltage(t, modes):
    """V of a membrane that a current sum of factor t^n exp(-t / tau) has driven from rest, by fine quadrature."""
    found = []
    for end in t:
        s = np.linspace(0.0, end, 4001)
        current = sum(factor * s**n * np.exp(-s / tau) for factor, tau, n in modes)
        found.append(np.trapezoid(current * np.exp(-(end - s) / TAU), s) / C)
    return np.array(found)


@pytest.mark.parametrize("kernel_name", ["xla", "native"])
@pytest.mark.parametrize("name", KINETICS)
def test_what_is_held_at_first_decays_as_a_spike_would(tmp_path, name, kernel_name):
    given = {"x": 60.0} if name == "expon" else {"x": 60.0, "y": 12.0}
    first = "{x: 60 pA}" if name == "expon" else "{x: 60 pA, y: 12 pA/ms}"
    found = run(tmp_path, written(name, first), kernel=kernel_name)
    t = np.arange(STEPS)[::40] * DT
    x, y = given["x"], given.get("y", 0.0)
    modes = [(x, TAU_S, 0), (y, TAU_S, 1)]
    if name == "dual_expon":
        b = 1.0 - 1.0 / TAU_S
        modes = [(x + y / b, TAU_S, 0), (-y / b, 1.0, 0)]
    V = found.samples["m", "N", "V"]
    np.testing.assert_allclose(V[::40, 0], -60.0 + voltage(t, modes), rtol=0, atol=1e-6)
    held = found.samples["m", "N", "q.x"][::40, 0]
    np.testing.assert_allclose(held, sum(f * t**n * np.exp(-t / tau) for f, tau, n in modes), rtol=1e-10)
    assert (V[:, 3] == -60.0).all() and (found.samples["m", "M", "V"] == -60.0).all()  # who is no target holds nothing


def test_what_projections_hold_on_one_receptor_is_added(tmp_path):
    text = written(
        "alpha", "{x: [10 pA, 20 pA, 30 pA]}", "{x: {uniform: {low: 5 pA, high: 9 pA}}, y: 2 pA/ms}", variables="q.x, q.y"
    )
    merged, apart = run(tmp_path, text), plan_of(tmp_path, text, merge=False)
    values = {name: values for name, _, values in engine.variables(apart, engine.init(apart))}
    drawn = merged.samples["m", "N", "q.x"][0] - [10.0, 20.0, 30.0, 0.0]
    assert (drawn >= 5).all() and (drawn <= 9).all() and len(set(drawn)) == 4
    np.testing.assert_array_equal(values["p.x"], [10.0, 20.0, 30.0, 0.0])
    np.testing.assert_allclose(merged.samples["m", "N", "V"], run_plan(apart).samples["m", "N", "V"], rtol=0, atol=1e-12)
    assert (merged.samples["m", "N", "q.y"][0] == 2.0).all() and (merged.samples["m", "M", "q.y"][0] == 2.0).all()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_run_that_is_stopped_goes_on_and_neighbours_change_no_bit(tmp_path, precision):
    text = written("dual_expon", "{y: {normal: {mean: 8 pA/ms, std: 2 pA/ms}}}", "{x: 40 pA}", precision).replace(
        "weight: 0 pA", "weight: 30 pA"
    )
    whole = run(tmp_path, text)
    half = engine.simulate(whole.plan, engine.init(whole.plan), 150, Frames())
    end = engine.simulate(whole.plan, snapshot.restore(whole.plan, snapshot.take(whole.plan, half)), STEPS - 150, Frames())
    for name, values in states(whole).items():
        np.testing.assert_array_equal(values, states(whole._replace(state=end))[name])
    other = text.replace(
        "  M: {", "  L: {size: 9, model: lif, tau: 3 ms, V_rest: -60 mV, V_reset: -65 mV, V_th: 0 mV, C: 200 pF}\n  M: {"
    )
    synapse = "synapse: {model: expon, tau: 1 ms}, init: {x: 9 pA}"
    extra = f"  r: {{pre: S, post: L, connect: {{rule: all_to_all}}, weight: 1 pA, {synapse}}}\nmonitors"
    assert_same_bits(whole, run(tmp_path, other.replace("monitors", extra)), without="L")
    assert_same_bits(whole, run(tmp_path, text, kernel="native", threads=2))


def test_poisson_inputs_hold_something_too(tmp_path):
    text = """
    duration: 5 ms
    populations: {N: {size: 3, model: lif, tau: 12 ms, V_rest: 0 mV, V_reset: 0 mV, V_th: 90 mV, C: 200 pF}}
    inputs:
      n: {model: poisson, to: "N[1:]", rate: 0 Hz, weight: 1 nS, synapse: {model: expon, tau: 5 ms},
          output: {model: coba, E: 50 mV}, init: {x: [3 nS, 4 nS]}}
    monitors: {m: {model: state, of: N, variables: [n.x]}}
    """
    np.testing.assert_array_equal(run(tmp_path, text).samples["m", "N", "n.x"][0], [0.0, 3.0, 4.0])


GATES = """
duration: 10 ms
precision: float64
populations:
  S: {size: 3, model: poisson, rate: 0 Hz}
  N: {size: 2, model: lif, tau: 12 ms, V_rest: -60 mV, V_reset: -65 mV, V_th: 0 mV, C: 200 pF}
projections:
  p: {pre: S, post: N, connect: {rule: all_to_all}, weight: 2 nS, delay: DELAY,
      synapse: {model: NAME}, output: {model: coba, E: 0 mV}, init: {s: [0.1, 0.2, 0.4]}}
  q: {pre: "S[1:]", post: N, connect: {rule: all_to_all}, weight: 2 nS,
      synapse: {model: NAME}, output: {model: coba, E: 1 mV}, init: {s: 0.3}}
  r: {pre: S, post: N, connect: {rule: all_to_all}, weight: 2 nS,
      synapse: {model: NAME}, output: {model: coba, E: 2 mV}, init: {s: 0.3}}
monitors:
  g: {model: state, of: S, variables: [p.gate.s, r.gate.s]}
  m: {model: state, of: N, variables: [p.x, q.x, r.x]}
"""


@pytest.mark.parametrize("name", GATED)
def test_gates_of_sources_begin_open_and_close(tmp_path, name):
    found = run(tmp_path, GATES.replace("NAME", name).replace("DELAY", "0 ms"))
    closing = 100.0 if name == "nmda" else 1 / 0.18
    t = np.arange(100)[:, None] * DT
    np.testing.assert_allclose(found.samples["g", "S", "p.gate.s"], [0.1, 0.2, 0.4] * np.exp(-t / closing), rtol=1e-10)
    np.testing.assert_allclose(found.samples["m", "N", "p.x"], np.repeat(2 * 0.7 * np.exp(-t / closing), 2, 1), rtol=1e-10)
    np.testing.assert_allclose(found.samples["m", "N", "r.x"], np.repeat(2 * 0.9 * np.exp(-t / closing), 2, 1), rtol=1e-10)
    # q has a slice of the sources: the gates of the others are closed, so they are not those of r
    np.testing.assert_allclose(found.samples["m", "N", "q.x"], np.repeat(2 * 0.6 * np.exp(-t / closing), 2, 1), rtol=1e-10)
    late = run(tmp_path, GATES.replace("NAME", name).replace("DELAY", "1.5 ms")).samples["m", "N", "p.x"]
    assert (late[:15] == 0).all()
    np.testing.assert_array_equal(late[15:], found.samples["m", "N", "p.x"][:-15])


def test_every_variable_of_every_synapse_can_be_set(tmp_path):
    named = {field.name for field in fields(synapses.Init)}
    assert {name for model in synapses.MODELS.values() for name in model.settable} == named
    tried = {*KINETICS, *GATED}
    assert {name for name, model in synapses.MODELS.items() if not model.settable} == synapses.MODELS.keys() - tried
    net = GATES[: GATES.index("monitors")].replace("{s: [0.1, 0.2, 0.4]}", "GIVEN").replace("init: {s: 0.3}", "init: {}")
    for name in tried:
        text = net.replace("{model: NAME}", KINETICS.get(name, f"{{model: {name}}}")).replace("DELAY", "0 ms")
        for variable, more in synapses.MODELS[name].settable.items():
            value, label = ("0.5", f"p.gate.{variable}") if name in GATED else (f"3 nS{more}", f"p.{variable}")
            plan = plan_of(tmp_path, text.replace("GIVEN", f"{{{variable}: {value}}}"))
            held = {label: values for label, _, values in engine.variables(plan, engine.init(plan))}[label]
            assert (held == (0.5 if name in GATED else 3.0)).all(), (name, variable)


@pytest.mark.parametrize(
    ("synapse", "given", "at", "message"),
    [
        ("{model: expon, tau: 5 ms}", "{y: 3 pA/ms}", ("init", "y"), "expon has no variable 'y'"),
        ("{model: delta}", "{x: 3 mV}", ("init", "x"), "delta synapses hold nothing"),
        ("{model: alpha, tau: 5 ms}", "{y: 3 pA}", ("init", "y"), "a quantity in pA/ms is wanted here, and this is a current"),
        ("{model: alpha, tau: 5 ms}", "{x: 3}", ("init", "x"), "a current needs a unit"),
        ("{model: alpha, tau: 5 ms}", "{x: 3 mV}", ("init", "x"), "a current is wanted here, and this is a voltage"),
        ("{model: alpha, tau: 5 ms}", "{x: [1 pA, 2 pA]}", ("init", "x"), "the list has 2 values, and there are 3 neurons"),
        ("{model: alpha, tau: 5 ms}", "{z: 1 pA}", ("init", "z"), "unknown key"),
    ],
)  # fmt: skip
def test_what_cannot_be_held_is_refused_where_it_stands(tmp_path, synapse, given, at, message):
    with pytest.raises(SpecError) as raised:
        load(
            tmp_path,
            written(synapse, given, variables="V")
            .replace("[V, V]", "[V]")
            .replace("weight: 0 pA", "weight: 1 mV" if "delta" in synapse else "weight: 0 pA"),
        )
    fault = raised.value.faults[0]
    assert fault.path == ("projections", "p", *at) and message in fault.message


@pytest.mark.parametrize(("given", "message"), [("{s: 1.5}", "s lies between 0 and 1"), ("{x: -1}", "x is not negative")])
def test_gates_stay_within_their_range(tmp_path, given, message):
    text = GATES.replace("NAME", "nmda").replace("DELAY", "0 ms").replace("{s: 0.3}", given)
    with pytest.raises(SpecError) as raised:
        load(tmp_path, text)
    assert [fault.message for fault in raised.value.faults] == [message] * 2
    with pytest.raises(SpecError, match="s lies between 0 and 1"):
        plan_of(tmp_path, text.replace(given, "{s: {normal: {mean: 0.5, std: 3}}}"))


def test_a_conductance_is_never_negative(tmp_path):
    text = written("expon", "{x: -1 nS}").replace("weight: 0 pA", "weight: 0 nS, output: {model: coba, E: 0 mV}")
    with pytest.raises(SpecError, match="a conductance must not be negative"):
        load(tmp_path, text)
    with pytest.raises(SpecError, match="a conductance must not be negative"):
        plan_of(tmp_path, text.replace("-1 nS", "{normal: {mean: 1 nS, std: 9 nS}}"))
    assert math.isclose(run(tmp_path, text.replace("-1", "1")).samples["m", "N", "q.x"][0, 0], 1.0)
